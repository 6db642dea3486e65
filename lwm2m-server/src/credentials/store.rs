//! *Replace*: where credentials come from.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Credential, CredentialError, CredentialId};
use crate::hooks::{Answer, CredentialRequest};
use crate::identity::PeerIdentity;
use crate::{EndpointName, Lagged};

/// Where credentials come from: a memory, a file, a data base, a key server.
///
/// Handshakes and registrations ask on the thread of a shard, so nothing here blocks: an answer that
/// takes its time is [`LookUp::Later`], the handshake waits for it, and other devices go on.
///
/// ```
/// use lwm2m_server::credentials::{
///     Credential, CredentialId, CredentialStore, LookUp, MemoryCredentials, Proof, SecretKey,
/// };
/// use lwm2m_server::PeerIdentity;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryCredentials::default();
/// let proof = Proof::Psk {
///     identity: b"meter-7".as_slice().into(),
///     key: SecretKey::new(b"sixteen bytes ok").ok_or("a key has 1 to 64 bytes")?,
/// };
/// store.add(vec![Credential::new(CredentialId::random(), proof)]).await?;
///
/// // What a handshake does: each credential of the identity is a key to try.
/// let presented = PeerIdentity::psk(b"meter-7", None);
/// let LookUp::Now(candidates) = store.look_up(&presented) else {
///     unreachable!("memory answers at once");
/// };
/// let session = candidates[0].identify(&presented).ok_or("another peer's")?;
/// assert_eq!(session.to_string(), "psk meter-7");
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of credentials",
    label = "this is not a `CredentialStore`",
    note = "`MemoryCredentials` is one; to keep them elsewhere, implement `CredentialStore`"
)]
pub trait CredentialStore: Send + Sync + 'static {
    /// The credentials that may prove a peer which presents this identity.
    ///
    /// At most [`KEYS_PER_IDENTITY_MAX`] for a pre-shared key: while keys change, both are tried.
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>>;

    /// The same, with what else is known of the peer; handshakes ask so. By default the identity
    /// alone counts.
    fn look_up_for(&self, request: &CredentialRequest) -> LookUp<Vec<Arc<Credential>>> {
        self.look_up(&request.presented)
    }

    /// True when a credential stands for this endpoint name, so that nobody may use it without.
    ///
    /// Asked on a shard for each Register without security, and answered at once: a store that is
    /// elsewhere keeps what it takes in memory.
    fn covers(&self, endpoint: &EndpointName) -> bool;

    /// The credential of this id.
    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>>;

    /// Credentials in the order of their ids.
    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>>;

    /// Takes credentials away and puts others in, all or nothing.
    ///
    /// An id that is both taken away and put in is replaced.
    ///
    /// # Errors
    /// An id that is not there, or that is there already; a credential that cannot be taken; no
    /// room. Nothing has changed then.
    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>>;

    /// What changes from now on.
    fn changes(&self) -> CredentialChanges;

    /// Puts credentials in, all or nothing.
    ///
    /// # Errors
    /// Those of [`CredentialStore::apply`].
    fn add(&self, credentials: Vec<Credential>) -> LookUp<Result<(), CredentialStoreError>> {
        self.apply(CredentialUpdate {
            add: credentials,
            remove: Vec::new(),
        })
    }

    /// Takes a credential away; its sessions and registrations end.
    ///
    /// # Errors
    /// Those of [`CredentialStore::apply`].
    fn remove(&self, id: CredentialId) -> LookUp<Result<(), CredentialStoreError>> {
        self.apply(CredentialUpdate {
            add: Vec::new(),
            remove: vec![id],
        })
    }
}

/// Pre-shared keys that one identity has at once: the old one and the new one.
pub const KEYS_PER_IDENTITY_MAX: usize = 2;

/// The answer of a store.
pub type LookUp<T> = Answer<T>;

/// What goes out of a store and what comes in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialUpdate {
    /// What comes in.
    pub add: Vec<Credential>,
    /// What goes.
    pub remove: Vec<CredentialId>,
}

/// Which credentials are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialFilter {
    /// Only ids behind this one, for paging.
    pub after: Option<String>,
    /// At most this many; none for [`CredentialFilter::LIMIT`].
    pub limit: Option<usize>,
    /// Only those that cover this endpoint name.
    pub endpoint: Option<EndpointName>,
    /// Only those of this mode: `psk`, `rpk`, `x509` or `oscore`.
    pub mode: Option<String>,
}

impl CredentialFilter {
    /// How many credentials an answer has when the caller does not say: 1000.
    pub const LIMIT: usize = 1000;

    /// True when a credential is asked for.
    pub fn wants(&self, credential: &Credential) -> bool {
        let after = self.after.as_deref();
        let mode = self.mode.as_deref();
        after.is_none_or(|after| credential.id.as_str() > after)
            && mode.is_none_or(|mode| credential.mode() == mode)
            && (self.endpoint.as_ref()).is_none_or(|endpoint| credential.covers(endpoint))
    }
}

/// Why a store does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialStoreError {
    /// A credential cannot be taken.
    #[error("{error}")]
    Refused {
        /// Which of those that are put in, from 0.
        index: usize,
        /// What is wrong with it.
        error: CredentialError,
    },
    /// A credential is at odds with one that is there: its id, identity or key is taken.
    #[error("{error}")]
    Taken {
        /// Which of those that are put in, from 0.
        index: usize,
        /// What is taken, and by which one.
        error: CredentialError,
    },
    /// No credential has this id.
    #[error("there is no credential {0}")]
    NotFound(CredentialId),
    /// There is no room.
    #[error("the store has room for {max} credentials")]
    Full {
        /// The limit, `credentials_max`.
        max: usize,
    },
    /// There is no room for a credential that has to be compared with every peer.
    #[error("the store has room for {max} credentials whose identity or endpoint is a pattern")]
    TooManyPatterns {
        /// The limit, `patterns_max`.
        max: usize,
    },
    /// What keeps the credentials cannot be reached or written.
    #[error("the credentials cannot be kept: {0}")]
    Unavailable(String),
}

/// What has changed in a store at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialChange {
    /// What is there now.
    pub added: Vec<Arc<Credential>>,
    /// What is there no more; of a replaced credential, as it was.
    pub removed: Vec<Arc<Credential>>,
}

/// The changes of a store, one after another.
#[derive(Debug)]
pub struct CredentialChanges(broadcast::Receiver<Arc<CredentialChange>>);

impl CredentialChanges {
    /// Waits for the next change; none when the store is gone.
    ///
    /// # Errors
    /// [`Lagged`] when changes were lost because this subscriber was slow: it looks at the whole
    /// store again.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<Result<Arc<CredentialChange>, Lagged>> {
        match self.0.recv().await {
            Ok(change) => Some(Ok(change)),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
        }
    }
}

/// The end of the changes that a store holds.
#[derive(Debug, Clone)]
pub struct CredentialChangeSender(broadcast::Sender<Arc<CredentialChange>>);

impl CredentialChangeSender {
    /// An end that keeps `max` changes for each subscriber.
    pub fn new(max: usize) -> CredentialChangeSender {
        CredentialChangeSender(broadcast::channel(max.max(1)).0)
    }

    /// Tells the subscribers.
    pub fn send(&self, change: CredentialChange) {
        // An error says that nobody listens.
        let _ = self.0.send(Arc::new(change));
    }

    /// A new subscription.
    pub fn subscribe(&self) -> CredentialChanges {
        CredentialChanges(self.0.subscribe())
    }
}

impl Default for CredentialChangeSender {
    fn default() -> CredentialChangeSender {
        CredentialChangeSender::new(256)
    }
}
