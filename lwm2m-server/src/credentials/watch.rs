//! Tells the shards of changes of the credentials.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::{Credential, CredentialChanges, CredentialFilter, CredentialRevision, CredentialStore};
use crate::mailbox::Command;
use crate::oscore::Oscore;

/// Tells the shards what becomes of their sessions and registrations, and which OSCORE keys are new, until the server or the store
/// is gone. Nothing is lost: a full mailbox is waited for, and after changes that came too fast the
/// whole store is looked at.
pub(crate) async fn watch(
    store: Arc<dyn CredentialStore>,
    mut changes: CredentialChanges,
    oscore: Weak<Oscore>,
    shards: Vec<mpsc::WeakSender<Command>>,
) {
    loop {
        let revision = match changes.next().await {
            None => return,
            Some(Ok(change)) => {
                let revision = CredentialRevision::of_change(&change);
                if let Some(oscore) = oscore.upgrade() {
                    // It writes to a disk; a panic in there has been told by itself.
                    let introduce = move || oscore.introduce(&change);
                    let _ = tokio::task::spawn_blocking(introduce).await;
                }
                match revision {
                    None => continue,
                    Some(revision) => revision,
                }
            }
            Some(Err(lagged)) => {
                tracing::warn!(
                    lost = lagged.0,
                    "credentials changed too fast: looking at all"
                );
                CredentialRevision::of_all(all(&*store).await)
            }
        };
        let revision = Arc::new(revision);
        for shard in &shards {
            let Some(shard) = shard.upgrade() else {
                return;
            };
            // A shard that is gone has no sessions.
            let _ = shard.send(Command::Revise(Arc::clone(&revision))).await;
        }
    }
}

async fn all(store: &dyn CredentialStore) -> Vec<Arc<Credential>> {
    let mut all: Vec<Arc<Credential>> = Vec::new();
    loop {
        let filter = CredentialFilter {
            after: all.last().map(|credential| credential.id.to_string()),
            ..CredentialFilter::default()
        };
        let page = store.list(filter).await;
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
