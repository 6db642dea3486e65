//! What plugins may ask of the host, the same for every language.
//!
//! Each is a method of [`CallContext`](crate::context::CallContext), which knows who asks: it counts
//! the call, looks at the permission, and carries it out.

mod clock;
mod device;
mod events;
mod http;
mod kv;
mod log;
mod metrics;
mod registry;

use std::future::Future;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Instant;

use lwm2m_server::{EventKind, Server, WeakServer};
use tokio::runtime::{Builder, Runtime};

pub(crate) use clock::Clock;
pub(crate) use device::DeviceError;
#[cfg(feature = "wasm")]
pub(crate) use events::EventError;
pub(crate) use http::{HttpError, HttpRequest, HttpResponse};
pub(crate) use kv::{Kv, KvError, Scope};
pub(crate) use log::Level;
pub(crate) use metrics::Metrics;
pub use metrics::PluginMetric;
#[cfg(feature = "wasm")]
pub(crate) use registry::RegistryError;

use crate::PluginsConfig;
use crate::fixture::Stage;
use crate::trace::Watcher;

/// What all plugins share.
pub(crate) struct Services {
    server: OnceLock<WeakServer>,
    /// Where it is carried out what threads wait for; there once one has waited.
    errands: OnceLock<Errands>,
    pub(crate) clock: Clock,
    pub(crate) kv: Kv,
    pub(crate) metrics: Metrics,
    http: http::Client,
    /// What stands for the server and the network while a fixture is run.
    pub(crate) stage: Option<Arc<Stage>>,
    /// Who watches the calls.
    pub(crate) watcher: OnceLock<Watcher>,
}

impl Services {
    /// Opens what is kept on disk.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(config: &PluginsConfig) -> std::io::Result<Services> {
        Ok(Services {
            server: OnceLock::new(),
            errands: OnceLock::new(),
            clock: Clock::default(),
            kv: match &config.state {
                Some(directory) => Kv::open(directory)?,
                None => Kv::in_memory(),
            },
            metrics: Metrics::default(),
            http: http::Client::default(),
            stage: None,
            watcher: OnceLock::new(),
        })
    }

    /// The same with something in the place of the server and the network.
    pub(crate) fn on_stage(mut self, stage: Arc<Stage>) -> Services {
        self.clock = Clock::Stage(Arc::clone(&stage));
        self.kv = self.kv.by(self.clock.clone());
        self.stage = Some(stage);
        self
    }

    /// The server runs from now on.
    pub(crate) fn started(&self, server: WeakServer) {
        // A host belongs to one server; a second one would not be heard of.
        let _ = self.server.set(server);
    }

    /// What plugins plan may be something else now.
    pub(crate) fn plan_observations(&self) {
        if let Some(server) = self.server() {
            server.plan_observations();
        }
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

    /// Whoever presents itself to the server from now on is asked about anew.
    pub(crate) fn forget_granted_credentials(&self) {
        if let Some(server) = self.server() {
            server.forget_granted_credentials();
        }
    }

    /// Waits on this thread for something that another one carries out; none when it is not done by
    /// then. For guests that cannot give way, and while a plugin is loaded.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        deadline: Instant,
    ) -> Option<T> {
        crate::lane::hand_out();
        let (sender, done) = mpsc::sync_channel(1);
        let errands = match self.errands.get() {
            Some(errands) => errands,
            None => {
                let started = Errands::start().ok()?;
                self.errands.get_or_init(|| started)
            }
        };
        errands.0.as_ref()?.spawn(async move {
            // Nobody waits any more otherwise.
            let _ = sender.send(work.await);
        });
        let left = deadline.saturating_duration_since(Instant::now());
        done.recv_timeout(left).ok()
    }
}

/// A thread of its own: what a thread waits for must not be left to itself.
struct Errands(Option<Runtime>);

impl Errands {
    fn start() -> std::io::Result<Errands> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lwm2m-plugin-io")
            .enable_all()
            .build()?;
        Ok(Errands(Some(runtime)))
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        // Not waiting, as it may be dropped within another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
