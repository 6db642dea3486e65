//! Putting a server together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lwm2m_core::ObjectModels;

use crate::bootstrap::BootstrapStore;
use crate::credentials::CredentialStore;
use crate::keys::Keys;
use crate::observe::{ObserveFileError, ObserveStrategies, ObserveStrategiesError};
use crate::oscore::SequenceStore;
use crate::{Authorizer, Event, Interceptor, ModelsDirectory, Server, ServerConfig, start};

/// An endpoint that devices reach the server at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    scheme: Scheme,
    address: SocketAddr,
    pub(crate) roles: Roles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Coap,
    Coaps,
    CoapTcp,
    CoapsTcp,
}

/// What is served at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Registration, and what follows it.
    pub(crate) registers: bool,
    /// Bootstrap.
    pub(crate) bootstraps: bool,
}

impl Default for Roles {
    fn default() -> Roles {
        Roles {
            registers: true,
            bootstraps: false,
        }
    }
}

impl Listener {
    /// `coap://`: UDP without security. For loopback, tests, and networks that are closed.
    pub fn coap(address: SocketAddr) -> Listener {
        Listener::new(Scheme::Coap, address)
    }

    /// `coaps://`: DTLS over UDP, for the devices of [`ServerBuilder::credentials`].
    pub fn coaps(address: SocketAddr) -> Listener {
        Listener::new(Scheme::Coaps, address)
    }

    /// `coap+tcp://`: TCP without security (RFC 8323). For loopback, tests, and networks that are
    /// closed.
    pub fn coap_tcp(address: SocketAddr) -> Listener {
        Listener::new(Scheme::CoapTcp, address)
    }

    /// `coaps+tcp://`: TLS over TCP, with the keys of [`ServerBuilder::keys`] and for the devices of
    /// [`ServerBuilder::credentials`].
    pub fn coaps_tcp(address: SocketAddr) -> Listener {
        Listener::new(Scheme::CoapsTcp, address)
    }

    fn new(scheme: Scheme, address: SocketAddr) -> Listener {
        Listener {
            scheme,
            address,
            roles: Roles::default(),
        }
    }

    /// The same for bootstrap, by what [`ServerBuilder::bootstrap`] says, and for nothing else.
    pub fn bootstrap(mut self) -> Listener {
        self.roles = Roles {
            registers: false,
            bootstraps: true,
        };
        self
    }

    /// The same for bootstrap as well.
    pub fn also_bootstrap(mut self) -> Listener {
        self.roles.bootstraps = true;
        self
    }

    /// The address to bind, as it was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The scheme of its URI, as in `coap+tcp`.
    pub fn scheme(&self) -> &'static str {
        match self.scheme {
            Scheme::Coap => "coap",
            Scheme::Coaps => "coaps",
            Scheme::CoapTcp => "coap+tcp",
            Scheme::CoapsTcp => "coaps+tcp",
        }
    }

    /// True when devices bootstrap there.
    pub fn is_for_bootstrap(&self) -> bool {
        self.roles.bootstraps
    }

    /// True when devices connect instead of sending datagrams.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.scheme, Scheme::CoapTcp | Scheme::CoapsTcp)
    }

    /// Whether its connections are TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::CoapsTcp)
    }

    /// Whether its datagrams are DTLS.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Coaps)
    }
}

/// What [`ServerBuilder::on`] calls.
pub(crate) type Subscriber = Box<dyn Fn(&Event) + Send + Sync>;

/// Where object models come from.
#[derive(Default)]
pub(crate) enum ModelsSource {
    #[default]
    Embedded,
    Given(Arc<dyn ObjectModels>),
    Directory(ModelsDirectory),
}

/// Puts a [`Server`] together.
#[derive(Default)]
pub struct ServerBuilder {
    pub(crate) config: ServerConfig,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) models: ModelsSource,
    pub(crate) authorizer: Option<Arc<dyn Authorizer>>,
    pub(crate) credentials: Option<Arc<dyn CredentialStore>>,
    pub(crate) keys: Option<Keys>,
    pub(crate) sequences: Option<Arc<dyn SequenceStore>>,
    pub(crate) bootstrap: Option<Arc<dyn BootstrapStore>>,
    pub(crate) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(crate) observe: ObserveStrategies,
    pub(crate) observe_file: Option<PathBuf>,
    pub(crate) subscribers: Vec<Subscriber>,
}

impl ServerBuilder {
    /// Sets the configuration.
    pub fn config(mut self, config: ServerConfig) -> ServerBuilder {
        self.config = config;
        self
    }

    /// Adds an endpoint that devices reach the server at.
    pub fn listen(mut self, listener: Listener) -> ServerBuilder {
        self.listeners.push(listener);
        self
    }

    /// *Replace*: where object models come from; the embedded core objects by default.
    pub fn models(mut self, models: Arc<dyn ObjectModels>) -> ServerBuilder {
        self.models = ModelsSource::Given(models);
        self
    }

    /// *Replace*: takes object models from a directory, and follows it while the server runs.
    pub fn models_directory(mut self, directory: ModelsDirectory) -> ServerBuilder {
        self.models = ModelsSource::Directory(directory);
        self
    }

    /// *Replace*: the credentials of devices. Unless [`ServerBuilder::authorizer`] says otherwise,
    /// they also decide who may register under which name, see
    /// [`CredentialAuthorizer`](crate::credentials::CredentialAuthorizer).
    pub fn credentials(mut self, credentials: Arc<dyn CredentialStore>) -> ServerBuilder {
        self.credentials = Some(credentials);
        self
    }

    /// The server's own keys and certificates, for DTLS and TLS. Those out of files are followed
    /// while the server runs.
    pub fn keys(mut self, keys: Keys) -> ServerBuilder {
        self.keys = Some(keys);
        self
    }

    /// *Replace*: what is written into devices that ask at a [bootstrap
    /// listener](Listener::bootstrap).
    pub fn bootstrap(mut self, store: Arc<dyn BootstrapStore>) -> ServerBuilder {
        self.bootstrap = Some(store);
        self
    }

    /// *Replace*: where OSCORE contexts get their sequence numbers from, so that none is used twice;
    /// by default they follow the clock, see [`ClockSequences`](crate::oscore::ClockSequences); kept in
    /// a file by [`FileSequences`](crate::oscore::FileSequences).
    pub fn oscore_sequences(mut self, sequences: Arc<dyn SequenceStore>) -> ServerBuilder {
        self.sequences = Some(sequences);
        self
    }

    /// *Replace*: who may register; by default those whom the credentials allow, or everybody when
    /// there is no store of credentials.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> ServerBuilder {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// *Intercept*: adds an interceptor behind those that are there.
    pub fn intercept(mut self, interceptor: impl Interceptor) -> ServerBuilder {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// What is observed on which devices by itself, unless an interceptor has a plan; nothing by
    /// default. See [`Server::set_observe_strategies`].
    pub fn observe(mut self, strategies: ObserveStrategies) -> ServerBuilder {
        self.observe = strategies;
        self
    }

    /// Where rules that are set at run time are kept, see [`Server::change_observe_rules`]; read when the
    /// server starts, and followed by [`Server::follow_observe_rules`]. Without it they end with the
    /// server.
    pub fn observe_rules_file(mut self, path: impl Into<PathBuf>) -> ServerBuilder {
        self.observe_file = Some(path.into());
        self
    }

    /// *Subscribe*: calls a function for each event, on the runtime that starts the server. One that
    /// takes long loses events, and holds up no device.
    pub fn on(mut self, subscriber: impl Fn(&Event) + Send + Sync + 'static) -> ServerBuilder {
        self.subscribers.push(Box::new(subscriber));
        self
    }

    /// Binds the sockets and starts the shards.
    ///
    /// The server runs until [`Server::shutdown`], or until the last handle to it or to one of
    /// its devices is dropped.
    ///
    /// # Errors
    /// No listener, an address that cannot be bound, a thread that cannot be started.
    pub async fn start(self) -> Result<Server, StartError> {
        start::start(self)
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No listener was given.
    #[error("the server has no listener: name one, as in coap://127.0.0.1:5683")]
    NoListener,
    /// The observe strategies cannot be taken.
    #[error(transparent)]
    Observe(#[from] ObserveStrategiesError),
    /// The observe rules that were set at run time cannot be read.
    #[error(transparent)]
    ObserveFile(#[from] ObserveFileError),
    /// A listener is for bootstrap, and nothing says what is written into devices.
    #[error("a listener is for bootstrap, and there is no bootstrap store")]
    NoBootstrapStore,
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A shard cannot be started.
    #[error("cannot start a shard: {0}")]
    Shard(std::io::Error),
    /// The models directory cannot be followed.
    #[error("cannot follow the models directory: {0}")]
    Models(std::io::Error),
    /// The files of the keys cannot be followed.
    #[error("cannot follow the files of the keys: {0}")]
    Keys(std::io::Error),
    /// OpenSSL cannot be set up for pre-shared keys over TLS.
    #[error("cannot set OpenSSL up for pre-shared keys over TLS: {0}")]
    PreSharedKeys(std::io::Error),
    /// The backend of DTLS that the configuration names is not compiled in.
    #[error("the backend {0} of DTLS is not compiled in: build with the feature `{0}`")]
    DtlsBackendMissing(&'static str),
    /// The backend of DTLS does not take the server's keys.
    #[error("the backend of DTLS cannot be used: {0}")]
    DtlsBackend(String),
    /// More listeners or shards than the server can number; of shards fewer where a Connection ID of
    /// DTLS has to name them.
    #[error("at most {listeners} listeners and {shards} shards are possible")]
    TooMany {
        /// Listeners.
        listeners: usize,
        /// Shards.
        shards: usize,
    },
}
