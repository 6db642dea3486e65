//! All plugins of a server, as one interceptor of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use lwm2m_core::Path;
use lwm2m_server::bootstrap::{BootstrapAnswer, BootstrapRequest};
use lwm2m_server::hooks::{
    Batch, BootstrapEnd, CredentialAnswer, CredentialRequest, EndReason, FirmwareChoice,
    FirmwareEvent, FirmwareJob, FirmwareStep, ObserveFailure, ObservePlan, Outcome, Repair, Update,
};
use lwm2m_server::{
    Answer, Decision, EventKind, Hook, HookSet, Interceptor, Reason, Registration, WeakServer,
};
use tokio::runtime::Handle;

use crate::breaker::BreakerStatus;
use crate::chain::{Asking, Chain};
use crate::config::PluginsConfig;
use crate::find::{self, Found};
use crate::load::{Loader, Read};
use crate::plugin::Plugin;
use crate::services::{PluginMetric, Services};
use crate::statistics::HookFigures;
use crate::stripes::Stripes;
use crate::watch::Watch;
use crate::workers::Workers;
use crate::{CallTrace, LoadError};

/// All plugins of a server. Clones are handles to the same ones.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use lwm2m_plugins::PluginHost;
/// use lwm2m_server::{Listener, Server};
///
/// let server = Server::builder()
///     .listen(Listener::coap("127.0.0.1:5683".parse()?))
///     .intercept(PluginHost::open("plugins").await?)
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PluginHost {
    inner: Arc<Inner>,
    /// None for hosts that are not told of changes.
    _watch: Option<Arc<Watch>>,
}

pub(crate) struct Inner {
    config: PluginsConfig,
    loader: Loader,
    asking: Stripes<ArcSwap<Asking>>,
    /// Those of the chain, to look at without loading it.
    hooks: AtomicU32,
    services: Arc<Services>,
    /// What the plugins in service are read from, with their names. Held while plugins are compiled: one
    /// look at the files at a time.
    reloading: Mutex<BTreeMap<PathBuf, String>>,
    /// What the last look at the files found wrong, by plugin. Never held for long.
    refused: Mutex<Vec<(String, LoadError)>>,
}

/// Why plugins cannot be hosted at all. A single plugin that cannot be loaded is no such reason: see
/// [`PluginHost::list`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
    /// The system gives no threads, or does not tell of changed files.
    #[error("plugins cannot be run here")]
    System(#[source] std::io::Error),
    /// The runtime of the components does not start.
    #[error("components cannot be run here: {0}")]
    Engine(String),
}

/// A plugin as it is now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// Its version, as its manifest has it.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// `rhai` or `wasm`; empty when no version of it could be loaded.
    pub language: &'static str,
    /// The hooks that it has.
    pub hooks: Vec<Hook>,
    /// From 1, one more with each reload; 0 when no version of it could be loaded.
    pub generation: u64,
    /// When the version in service was loaded.
    pub loaded_at: Option<SystemTime>,
    /// Whether it is asked, or switched off after failures; none when no version of it could be
    /// loaded.
    pub breaker: Option<BreakerStatus>,
    /// Calls of it that wait or run.
    pub waiting: u32,
    /// Why its newest version is not in service.
    pub error: Option<LoadError>,
    /// Bytes that its instances hold; 0 for scripts. What a script computes with is in the memory of the
    /// server while a call of it lasts, and cannot be told from the rest of it.
    pub memory: u64,
    /// Its figures, for each hook that it has.
    pub figures: Vec<HookFigures>,
}

impl PluginHost {
    /// The plugins of a folder, with default settings; it is watched from now on.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(directory: impl Into<std::path::PathBuf>) -> Result<PluginHost, OpenError> {
        PluginHost::with(PluginsConfig {
            directory: Some(directory.into()),
            ..PluginsConfig::default()
        })
        .await
    }

    /// The plugins that a configuration names and those in its folder; they are watched from now on.
    ///
    /// A plugin that cannot be loaded is left out, with an event once the server runs; the others
    /// are in service.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn with(config: PluginsConfig) -> Result<PluginHost, OpenError> {
        for plugin in &config.plugin {
            plugin.check()?;
        }
        let workers = Workers::new(config.threads).map_err(OpenError::System)?;
        let services = Services::open(&config).map_err(OpenError::System)?;
        let services = Arc::new(services);
        let loader = Loader::new(&config, Arc::clone(&services))?;
        let asking = Asking {
            chain: Arc::default(),
            workers: Arc::new(workers),
            services: Arc::clone(&services),
        };
        let inner = Arc::new(Inner {
            config,
            loader,
            asking: Stripes::new(|| ArcSwap::from_pointee(asking.clone())),
            hooks: AtomicU32::new(0),
            services,
            reloading: Mutex::default(),
            refused: Mutex::default(),
        });
        let first = Arc::clone(&inner);
        // Compiling takes seconds for components of some languages.
        let loaded = tokio::task::spawn_blocking(move || first.reload()).await;
        loaded.map_err(|error| OpenError::Engine(error.to_string()))?;
        let watch = Watch::new(&inner).map_err(OpenError::System)?;
        Ok(PluginHost {
            inner,
            _watch: Some(Arc::new(watch)),
        })
    }

    /// The plugins, by name: those in service and those that could not be loaded.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.inner.list()
    }

    /// Figures that plugins have set themselves.
    pub fn metrics(&self) -> Vec<PluginMetric> {
        self.inner.services.metrics.all()
    }

    /// Has somebody watch all calls of plugins from now on, each when it is over; false when somebody
    /// does already. It is told on the thread that asks, and returns at once.
    pub fn watch_calls(&self, watcher: impl Fn(&CallTrace) + Send + Sync + 'static) -> bool {
        self.inner.services.watcher.set(Box::new(watcher)).is_ok()
    }

    /// Looks at the files now, instead of when the system tells that they changed; true when
    /// anything did. Blocks while plugins are compiled.
    pub fn reload(&self) -> bool {
        self.inner.reload()
    }
}

impl Inner {
    /// Looks at all files, loads what has changed, and puts it into service; true when anything
    /// changed.
    pub(crate) fn reload(&self) -> bool {
        let turn = self.reloading.lock();
        let mut places = turn.unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&self.asking().chain);
        let known = |name: &str| before.plugins.iter().find(|plugin| *plugin.name == *name);
        let in_service = |name: &str| known(name).map(|plugin| plugin.version());
        let Found {
            plugins: found,
            mut errors,
            unreadable,
        } = find::find(&self.config, &places, &in_service);
        places.retain(|_, name| unreadable.contains(name));
        let mut changed = false;
        let mut plugins = Vec::new();
        for (place, read) in found {
            let source = match read {
                Read::AsBefore(name) => {
                    plugins.extend(known(&name).map(Arc::clone));
                    places.insert(place, name);
                    continue;
                }
                Read::Other(source) => source,
            };
            let known = known(&source.name);
            let generation = known.map_or(0, |plugin| plugin.version().generation) + 1;
            match (self.loader.load(&source, generation), known) {
                (Ok(version), known) => {
                    changed = true;
                    let language = source.language.name();
                    tracing::info!(plugin = source.name, language, generation, "plugin loaded");
                    plugins.push(match known {
                        Some(plugin) => {
                            plugin.replace(version, &self.services);
                            Arc::clone(plugin)
                        }
                        None => Arc::new(Plugin::new(&source.name, version)),
                    });
                    places.insert(place, source.name);
                }
                (Err(error), known) => {
                    errors.push((source.name.clone(), error));
                    if let Some(known) = known {
                        plugins.push(Arc::clone(known));
                        places.insert(place, source.name);
                    }
                }
            }
        }
        for plugin in &before.plugins {
            let is_named = |other: &Arc<Plugin>| other.name == plugin.name;
            if unreadable.iter().any(|name| **name == *plugin.name) && !plugins.iter().any(is_named)
            {
                plugins.push(Arc::clone(plugin));
            }
        }
        changed |= plugins.len() != before.plugins.len();
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        let chain = Chain::new(plugins);
        self.hooks.store(chain.hooks().bits(), Ordering::Release);
        let asking = Asking {
            chain: Arc::new(chain),
            ..Asking::clone(&self.asking())
        };
        for place in self.asking.all() {
            place.store(Arc::new(asking.clone()));
        }
        if changed {
            // What the plugins before granted may not be what these would.
            self.services.forget_granted_credentials();
            let plans = before
                .hooks()
                .union(HookSet::from_bits(self.hooks.load(Ordering::Acquire)));
            if plans.contains(Hook::ObservePlan) {
                self.services.plan_observations();
            }
        }
        let known = std::mem::replace(&mut *self.refused(), errors.clone());
        let is_refused = |name: &str| errors.iter().any(|(other, _)| other == name);
        for (name, _) in known.iter().filter(|(name, _)| !is_refused(name)) {
            tracing::info!(plugin = name, "no longer refused");
        }
        for (name, error) in errors.iter().filter(|error| !known.contains(error)) {
            let reason = error.reason();
            let hint = reason.hint.as_deref();
            tracing::error!(plugin = name, hint, "{error}");
            self.publish(name, reason);
            changed = true;
        }
        changed
    }

    fn refused(&self) -> MutexGuard<'_, Vec<(String, LoadError)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, name: &str, reason: Reason) {
        self.services.publish(EventKind::ExtensionFailed {
            extension: name.to_owned(),
            hook: None,
            reason,
        });
    }

    fn list(&self) -> Vec<PluginStatus> {
        let refused = self.refused().clone();
        let error = |name: &str| {
            let own = refused.iter().find(|(other, _)| other == name);
            own.map(|(_, error)| error.clone())
        };
        let asking = self.asking();
        let status = |plugin: &Arc<Plugin>| {
            let version = plugin.version();
            let has = version.guest.hooks();
            PluginStatus {
                name: plugin.name.to_string(),
                version: version.manifest.version.clone(),
                description: version.manifest.description.clone(),
                language: version.language.name(),
                hooks: Hook::ALL.into_iter().filter(|h| has.contains(*h)).collect(),
                generation: version.generation,
                loaded_at: Some(version.loaded_at),
                breaker: Some(plugin.breaker_status()),
                waiting: plugin.waiting(),
                error: error(&plugin.name),
                memory: version.guest.memory(),
                figures: plugin.statistics.figures(has),
            }
        };
        let mut list: Vec<_> = asking.chain.plugins.iter().map(status).collect();
        for (name, error) in refused.iter() {
            if list.iter().any(|status| status.name == *name) {
                continue;
            }
            list.push(PluginStatus {
                name: name.clone(),
                version: String::new(),
                description: String::new(),
                language: "",
                hooks: Vec::new(),
                generation: 0,
                loaded_at: None,
                breaker: None,
                waiting: 0,
                error: Some(error.clone()),
                memory: 0,
                figures: Vec::new(),
            });
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    fn asking(&self) -> Arc<Asking> {
        self.asking.mine().load_full()
    }

    /// Directories and files whose changes matter.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        find::places(&self.config)
    }
}

impl Interceptor for PluginHost {
    fn name(&self) -> &str {
        "plugins"
    }

    fn hooks(&self) -> HookSet {
        HookSet::from_bits(self.inner.hooks.load(Ordering::Acquire))
    }

    fn on_started(&self, server: &WeakServer) {
        self.inner.services.started(server.clone());
        let refused = self.inner.refused().clone();
        for (name, error) in refused {
            self.inner.publish(&name, error.reason());
        }
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        begun(self.inner.asking().credentials(Arc::clone(request)))
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        begun(self.inner.asking().on_register(Arc::clone(registration)))
    }

    fn on_update(
        &self,
        registration: &Arc<Registration>,
        update: &Arc<Update>,
    ) -> Answer<Decision> {
        let (registration, update) = (Arc::clone(registration), Arc::clone(update));
        begun(self.inner.asking().on_update(registration, update))
    }

    fn on_registered(&self, registration: &Arc<Registration>) -> Answer<()> {
        begun(self.inner.asking().on_registered(Arc::clone(registration)))
    }

    fn on_updated(&self, registration: &Arc<Registration>, update: &Arc<Update>) -> Answer<()> {
        let (registration, update) = (Arc::clone(registration), Arc::clone(update));
        begun(self.inner.asking().on_updated(registration, update))
    }

    fn on_gone(&self, registration: &Arc<Registration>, reason: EndReason) -> Answer<()> {
        begun(
            self.inner
                .asking()
                .on_gone(Arc::clone(registration), reason),
        )
    }

    fn observe_plan(&self, registration: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        begun(self.inner.asking().observe_plan(Arc::clone(registration)))
    }

    fn observe_failed(
        &self,
        registration: &Arc<Registration>,
        plan: &ObservePlan,
        paths: &[Path],
        failure: ObserveFailure,
    ) -> Answer<Repair> {
        let registration = Arc::clone(registration);
        let (owner, paths) = (plan.owner.clone(), paths.into());
        let asking = self.inner.asking();
        begun(asking.observe_failed(registration, owner, paths, failure))
    }

    fn transform(&self, batch: &Arc<Batch>) -> Answer<Outcome> {
        begun(self.inner.asking().transform(Arc::clone(batch)))
    }

    fn firmware(&self, job: &Arc<FirmwareJob>) -> Answer<FirmwareChoice> {
        begun(self.inner.asking().firmware(Arc::clone(job)))
    }

    fn firmware_step(
        &self,
        job: &Arc<FirmwareJob>,
        state: &[u8],
        event: &FirmwareEvent,
    ) -> Answer<Option<FirmwareStep>> {
        let asking = self.inner.asking();
        let (job, event) = (Arc::clone(job), Arc::new(event.clone()));
        begun(asking.firmware_step(job, state.into(), event))
    }

    fn bootstrap(&self, request: &Arc<BootstrapRequest>) -> Answer<BootstrapAnswer> {
        begun(self.inner.asking().bootstrap(Arc::clone(request)))
    }

    fn on_bootstrapped(&self, end: &Arc<BootstrapEnd>) -> Answer<()> {
        begun(self.inner.asking().on_bootstrapped(Arc::clone(end)))
    }
}

/// An answer that plugins give at once, or that comes.
fn begun<T: Send + 'static>(answer: impl Future<Output = T> + Send + 'static) -> Answer<T> {
    let mut answer = Box::pin(answer);
    if Handle::try_current().is_err() {
        // Where it is waited for there is a runtime.
        return Answer::Later(answer);
    }
    match answer
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => Answer::Now(answer),
        Poll::Pending => Answer::Later(answer),
    }
}
