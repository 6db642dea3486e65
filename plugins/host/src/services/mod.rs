//! What plugins may ask of the host, the same for every language.

use std::sync::OnceLock;

use lwm2m_server::{EventKind, Server, WeakServer};

use crate::PluginsConfig;

/// What all plugins share.
pub(crate) struct Services {
    server: OnceLock<WeakServer>,
}

impl Services {
    /// Opens what is kept on disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(_config: &PluginsConfig) -> std::io::Result<Services> {
        Ok(Services {
            server: OnceLock::new(),
        })
    }

    /// The server runs from now on.
    pub(crate) fn started(&self, server: WeakServer) {
        // A host belongs to one server; a second one would not be heard of.
        let _ = self.server.set(server);
    }

    /// The server; none before it runs and after it has stopped.
    pub(crate) fn server(&self) -> Option<Server> {
        self.server.get()?.upgrade()
    }

    /// Tells the subscribers of the server; nobody when it does not run.
    pub(crate) fn publish(&self, kind: EventKind) {
        if let Some(server) = self.server() {
            server.publish(None, kind);
        }
    }
}
