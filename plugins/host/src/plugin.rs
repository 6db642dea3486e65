//! One plugin: whichever version of it is in service, its breaker and its figures.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use lwm2m_server::{EventKind, Hook, Reason};
use tokio::sync::{Semaphore, oneshot};

use crate::breaker::{Breaker, Turn};
use crate::config::PluginConfig;
use crate::context::{Allowance, CallContext};
use crate::guest::Guest;
use crate::hook::{Fail, facts};
use crate::load::Language;
use crate::manifest::Manifest;
use crate::services::Services;
use crate::statistics::Statistics;
use crate::workers::Workers;
use crate::{Call, CallTrace, Failure, Reply};

/// A plugin, through all its versions.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    version: ArcSwap<Version>,
    breaker: Mutex<Breaker>,
    pub(crate) statistics: Statistics,
    /// Calls that wait or run.
    waiting: AtomicU32,
    /// Calls that may hold a thread at once: not all of them, so that other plugins go on.
    running: Arc<Semaphore>,
    /// When a failure was told last, in milliseconds since `born`.
    told: AtomicU64,
    born: Instant,
}

/// One version of a plugin, with the settings it was loaded with.
pub(crate) struct Version {
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) language: Language,
    pub(crate) config: PluginConfig,
    pub(crate) manifest: Manifest,
    pub(crate) allowance: Arc<Allowance>,
    /// Of its files and settings: whether anything has changed.
    pub(crate) digest: [u8; 32],
    /// From 1, one more with each reload.
    pub(crate) generation: u64,
    pub(crate) loaded_at: SystemTime,
}

/// At most one failure of a plugin is told in this time; all are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How much longer than its deadline a call that computes may take before it is given up.
const GRACE: Duration = Duration::from_millis(2);

impl Plugin {
    pub(crate) fn new(name: &str, version: Version, threads: usize) -> Plugin {
        Plugin {
            name: name.into(),
            version: ArcSwap::from_pointee(version),
            breaker: Mutex::default(),
            statistics: Statistics::default(),
            waiting: AtomicU32::new(0),
            running: Arc::new(Semaphore::new(threads.saturating_sub(1).max(1))),
            told: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    /// The version in service.
    pub(crate) fn version(&self) -> Arc<Version> {
        self.version.load_full()
    }

    /// Puts another version into service; calls on their way end with the one they began with.
    pub(crate) fn replace(&self, version: Version) {
        self.version.store(Arc::new(version));
        *self.breaker() = Breaker::default();
    }

    /// True while it is switched off.
    pub(crate) fn is_off(&self) -> bool {
        self.breaker().is_open(Instant::now())
    }

    /// Calls that wait or run.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Asks it, and waits no longer than it may take.
    ///
    /// # Errors
    /// The failure, and what it means for what was asked about.
    pub(crate) async fn ask(
        self: &Arc<Plugin>,
        call: Call,
        workers: &Workers,
        services: &Arc<Services>,
    ) -> Result<Reply, (Failure, Fail)> {
        let version = self.version();
        let hook = call.hook();
        let begun = Instant::now();
        let fail = version.config.fail(hook);
        let watched = services
            .watcher
            .get()
            .map(|watcher| (watcher, call.clone()));
        let answer = self.run(&version, call, begun, workers, services).await;
        if let Some((watcher, call)) = watched {
            watcher(&CallTrace::of(&self.name, &call, &answer, begun.elapsed()));
        }
        let failure = answer.as_ref().err();
        self.statistics.record(hook, begun.elapsed(), failure);
        match answer {
            Ok(reply) => {
                if self.breaker().succeeded() == Turn::On {
                    self.tell_turn(services, "plugin-on", "it answers again");
                }
                Ok(reply)
            }
            Err(failure) => {
                self.failed(hook, &failure, fail, &version, services);
                Err((failure, fail))
            }
        }
    }

    async fn run(
        self: &Arc<Plugin>,
        version: &Arc<Version>,
        call: Call,
        begun: Instant,
        workers: &Workers,
        services: &Arc<Services>,
    ) -> Result<Reply, Failure> {
        if self.breaker().is_open(begun) {
            return Err(Failure::BreakerOpen);
        }
        let turn = Turnstile::enter(self, version.config.limits.waiting_max)?;
        let limit = version.config.timeout(call.hook());
        let deadline = begun + limit;
        let context = Arc::new(CallContext::new(
            &version.allowance,
            Some(call.hook()),
            call.endpoint(),
            (begun, limit),
            services,
        ));
        let called_with = Arc::clone(&context);
        let (sender, answer) = oneshot::channel();
        let guest = Arc::clone(&version.guest);
        let blocks = guest.blocks();
        let waits = facts(call.hook()).waits;
        let running = Arc::clone(&self.running);
        let work = async move {
            let _turn = turn;
            // What waits for devices has threads of its own, and more of them.
            let _running = match blocks && !waits {
                true => running.acquire_owned().await.ok(),
                false => None,
            };
            if Instant::now() >= deadline {
                // Nobody waits any more.
                return;
            }
            let called = AssertUnwindSafe(guest.call(&call, &context)).catch_unwind();
            let answer = called.await.unwrap_or(Err(Failure::Defect));
            let _ = sender.send(answer);
        };
        workers.spawn(work, blocks && waits);
        let answer = tokio::time::timeout_at((deadline + GRACE).into(), answer).await;
        self.statistics.burn(called_with.hook, called_with.burned());
        match answer {
            Ok(Ok(answer)) => answer,
            // It was too late for its turn, or the workers end.
            Ok(Err(_)) | Err(_) => Err(Failure::Timeout(limit)),
        }
    }

    fn failed(
        &self,
        hook: Hook,
        failure: &Failure,
        fail: Fail,
        version: &Version,
        services: &Services,
    ) {
        if *failure == Failure::BreakerOpen {
            return;
        }
        let now = Instant::now();
        let turn = self.breaker().failed(now, &version.config.breaker);
        if turn == Turn::Off {
            let why = format!("it failed {}: {failure}", hook.name());
            let seconds = version.config.breaker.cool_down_s;
            let why = format!("{why}; it is switched off for {seconds} s");
            self.tell_turn(services, "plugin-off", &why);
            return;
        }
        let ms = now.duration_since(self.born).as_millis() as u64 + 1;
        let last = self.told.load(Ordering::Relaxed);
        if last != 0 && ms < last + TELL_EVERY.as_millis() as u64 {
            return;
        }
        self.told.store(ms, Ordering::Relaxed);
        let became = match fail {
            Fail::Open => "the server went on without it",
            Fail::Closed => "what it was asked about was refused",
        };
        tracing::warn!(plugin = %self.name, hook = hook.name(), %failure, "a plugin failed");
        services.publish(EventKind::ExtensionFailed {
            extension: self.name.to_string(),
            hook: Some(hook.name()),
            reason: Reason::new(failure.code(), format!("{failure}; {became}")).hint(hint(failure)),
        });
    }

    fn tell_turn(&self, services: &Services, code: &'static str, what: &str) {
        tracing::warn!(plugin = %self.name, code, "{what}");
        services.publish(EventKind::ExtensionFailed {
            extension: self.name.to_string(),
            hook: None,
            reason: Reason::new(code, what.to_owned())
                .hint("mend it and save: it is loaded at once, and works again"),
        });
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a failure is mended.
fn hint(failure: &Failure) -> &'static str {
    match failure {
        Failure::Timeout(_) => "make it quicker, or raise its timeout_ms for this hook",
        Failure::Limit(_) => "let it do less, or raise the limit of this name",
        Failure::Overloaded => "it is slower than devices come; raise its limits.waiting_max",
        Failure::Defect => "report it, with what is on the standard error output",
        _ => "try the input with `lwm2m-server plugin test`",
    }
}

/// One of the calls that wait or run.
struct Turnstile(Arc<Plugin>);

impl Turnstile {
    fn enter(plugin: &Arc<Plugin>, max: u32) -> Result<Turnstile, Failure> {
        let one_more = |waiting| (waiting < max).then_some(waiting + 1);
        plugin
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Failure::Overloaded)?;
        Ok(Turnstile(Arc::clone(plugin)))
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
