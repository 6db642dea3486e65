//! What all shards have in common.

use std::sync::Arc;

use lwm2m_core::ObjectModels;

use super::secure::Secure;
use crate::bootstrap::BootstrapStore;
use crate::bootstrap::sessions::BootstrapSessions;
use crate::builder::Roles;
use crate::credentials::CredentialStore;
use crate::directory::Directory;
use crate::hooks::Herald;
use crate::keys::Keys;
use crate::observe::Observer;
use crate::oscore::Oscore;
use crate::registration::profile::Profiles;
use crate::secure_datagram::Capabilities;
use crate::transport::{Peer, SessionTable, Tls};
use crate::{Authorizer, Interceptor, Listener, ServerConfig, StartError};

/// What all shards share.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) directory: Directory,
    pub(crate) profiles: Profiles,
    pub(crate) models: Arc<dyn ObjectModels>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) credentials: Option<Arc<dyn CredentialStore>>,
    /// What is written into devices that bootstrap.
    pub(crate) bootstrap: Option<Arc<dyn BootstrapStore>>,
    pub(crate) bootstrap_sessions: BootstrapSessions,
    /// The OSCORE contexts of the credentials; none without credentials.
    pub(crate) oscore: Option<Arc<Oscore>>,
    pub(crate) interceptors: Vec<Arc<dyn Interceptor>>,
    /// Tells interceptors what has happened; none without interceptors.
    pub(crate) herald: Option<Herald>,
    /// Hears which devices may need other observations.
    pub(crate) observer: Observer,
    /// The server's own keys.
    pub(crate) keys: Option<Keys>,
    /// How sessions are continued: alike on all shards, since a device may come back to any.
    pub(crate) resumption: lwm2m_dtls::ServerResumption,
    /// The listeners, which peers name by their indices.
    pub(crate) listeners: Vec<Listener>,
    /// The connections of all shards.
    pub(crate) sessions: Arc<SessionTable>,
    /// TLS of connections.
    pub(crate) tls: Arc<Tls>,
}

impl Shared {
    pub(super) fn is_secure(&self, peer: &Peer) -> bool {
        self.listener(peer).is_some_and(Listener::is_secure)
    }

    fn listener(&self, peer: &Peer) -> Option<&Listener> {
        self.listeners.get(usize::from(peer.listener()))
    }

    /// What is served to a peer.
    pub(super) fn roles(&self, peer: &Peer) -> Roles {
        self.listener(peer)
            .map_or(Roles::default(), |listener| listener.roles)
    }

    pub(super) fn scheme(&self, peer: &Peer) -> &'static str {
        self.listener(peer).map_or("coap", Listener::scheme)
    }

    /// The DTLS of a shard; none when no listener has it.
    ///
    /// # Errors
    /// The backend cannot be used.
    pub(super) fn secure(&self, shard: u16) -> Result<Option<Secure>, StartError> {
        match self.listeners.iter().any(Listener::is_secure) {
            true => Secure::new(shard, self).map(Some),
            false => Ok(None),
        }
    }

    /// What the backend of DTLS can do; none when no listener has it.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn dtls(&self) -> Result<Option<Capabilities>, StartError> {
        Ok(self.secure(0)?.map(|secure| secure.capabilities()))
    }
}
