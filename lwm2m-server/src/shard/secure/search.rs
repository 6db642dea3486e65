//! Questions to the credential store that take their time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::SessionId;

use crate::Reason;
use crate::credentials::Credential;
use crate::identity::PeerIdentity;

/// A question to the store, for the loop to wait for.
pub(crate) struct CredentialSearch {
    pub(super) session: SessionId,
    pub(super) question: Question,
    pub(super) presented: PeerIdentity,
    pub(super) patience: Duration,
    pub(super) credentials: Pin<Box<dyn Future<Output = Vec<Arc<Credential>>> + Send>>,
}

/// What the store has answered.
#[derive(Debug)]
pub(crate) struct FoundCredentials {
    pub(super) session: SessionId,
    pub(super) question: Question,
    pub(super) presented: PeerIdentity,
    /// None when it did not answer in time.
    pub(super) credentials: Option<Vec<Arc<Credential>>>,
}

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which key a handshake goes on with.
    Key,
    /// Whether a peer that has proven itself may come in.
    Admission,
}

impl CredentialSearch {
    /// Waits for the store.
    pub(crate) async fn run(self) -> FoundCredentials {
        FoundCredentials {
            session: self.session,
            question: self.question,
            presented: self.presented,
            credentials: tokio::time::timeout(self.patience, self.credentials)
                .await
                .ok(),
        }
    }
}

/// Why a session ends whose credentials could not be looked up.
pub(super) fn unanswered() -> Reason {
    Reason::new(
        "credential-store-silent",
        "the store of credentials did not answer in time",
    )
    .hint("find out why the store is slow; the device connects again by itself")
}
