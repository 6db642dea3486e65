//! Tells the shards that certificates may have been taken back.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::Keys;
use crate::mailbox::Command;

/// Tells the shards of keys that were exchanged and have revocation lists, until the server stops: a
/// session whose certificate is on one ends. A full mailbox is waited for.
pub(crate) async fn watch_revocations(
    keys: Keys,
    mut replaced: watch::Receiver<()>,
    shards: Vec<mpsc::WeakSender<Command>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            heard = replaced.changed() => if heard.is_err() { return },
        }
        let current = keys.current();
        if current.trust_store.revocations().is_empty() {
            continue;
        }
        for shard in &shards {
            let Some(shard) = shard.upgrade() else {
                return;
            };
            let command = Command::RevokeCertificates(Arc::clone(&current));
            // A shard that is gone has no sessions.
            let _ = shard.send(command).await;
        }
    }
}
