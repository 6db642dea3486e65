//! One plugin: whichever version of it is in service, its breaker and its figures.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use lwm2m_server::{EventKind, Hook, Reason};
use tokio::time::timeout_at;

use crate::breaker::{Admission, Breaker, BreakerStatus, LastFailure, Turn};
use crate::checksum::Checksum;
use crate::config::{PluginConfig, Terms};
use crate::context::{Allowance, CallContext};
use crate::guest::Guest;
use crate::hook::{Fail, facts};
use crate::lane::{Lane, Work};
use crate::load::{Language, Seen};
use crate::manifest::Manifest;
use crate::pace::Pace;
use crate::services::Services;
use crate::statistics::Statistics;
use crate::stripes::Stripes;
use crate::workers::Workers;
use crate::{Call, CallTrace, Failure, Reply};

/// A plugin, through all its versions.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    leases: Stripes<ArcSwap<Lease>>,
    breaker: Mutex<Breaker>,
    /// False while it answers: then the breaker has nothing to say, and is not looked at. Changed only
    /// with the lock of the breaker.
    failing: AtomicBool,
    pub(crate) statistics: Statistics,
    /// Calls that wait or run, other than those that have begun where they were asked.
    waiting: Arc<AtomicU32>,
    /// Calls of a script that wait for a thread.
    lane: Arc<Lane>,
    /// When a failure was told last, in milliseconds since `born`.
    told: AtomicU64,
    born: Instant,
}

/// One version of a plugin, with the settings it was loaded with.
pub(crate) struct Version {
    pub(crate) guest: Guest,
    pub(crate) language: Language,
    pub(crate) config: PluginConfig,
    pub(crate) manifest: Manifest,
    pub(crate) allowance: Arc<Allowance>,
    /// Whether its calls may begin on a shard.
    pub(crate) pace: Pace,
    pub(crate) seen: Seen,
    /// Of its files and settings: whether anything has changed.
    pub(crate) checksum: Checksum,
    /// From 1, one more with each reload.
    pub(crate) generation: u64,
    pub(crate) loaded_at: SystemTime,
}

/// The version in service, as a thread has it: what each call holds on to.
struct Lease {
    version: Arc<Version>,
    /// That of the version.
    allowance: Arc<Allowance>,
    /// What its configuration says of each hook.
    terms: [Terms; Hook::ALL.len()],
    waiting: Arc<AtomicU32>,
}

/// At most one failure of a plugin is told in this time; all are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Plugin {
    pub(crate) fn new(name: &str, version: Version) -> Plugin {
        let waiting = Arc::default();
        let version = Arc::new(version);
        Plugin {
            name: name.into(),
            leases: Stripes::new(|| ArcSwap::from_pointee(Lease::new(&version, &waiting))),
            breaker: Mutex::default(),
            failing: AtomicBool::new(false),
            statistics: Statistics::default(),
            waiting,
            lane: Arc::default(),
            told: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    /// The version in service.
    pub(crate) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.leases.mine().load().version)
    }

    /// Puts another version into service; calls on their way end with the one they began with.
    pub(crate) fn replace(&self, version: Version, services: &Services) {
        let version = Arc::new(version);
        for lease in self.leases.all() {
            lease.store(Arc::new(Lease::new(&version, &self.waiting)));
        }
        let mut breaker = self.breaker();
        let turn = breaker.renew();
        self.failing.store(false, Ordering::Relaxed);
        drop(breaker);
        self.tell_turn(services, turn, "another version of it was loaded");
    }

    /// Whether it is asked, and how it has failed.
    pub(crate) fn breaker_status(&self) -> BreakerStatus {
        self.breaker().status(Instant::now())
    }

    /// Calls that wait or run, other than those that have begun where they were asked.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Asks it, and waits no longer than it may take.
    ///
    /// # Errors
    /// The failure, and what it means for what was asked about.
    pub(crate) async fn ask(
        &self,
        call: Call,
        workers: &Workers,
        services: &Services,
    ) -> Result<Reply, (Failure, Fail)> {
        let lease = self.leases.mine().load_full();
        let version = &lease.version;
        let hook = call.hook();
        let begun = Instant::now();
        let Terms { timeout, fail } = lease.terms(hook);
        let watched = services
            .watcher
            .get()
            .map(|watcher| (watcher, call.clone()));
        let admitted = self.admit(begun, services);
        let ((answer, ended), trial) = match admitted {
            Ok(trial) => {
                let answered = self.run(&lease, call, (begun, timeout), workers).await;
                (answered, trial)
            }
            Err(off) => ((Err(off), begun), None),
        };
        let took = ended.duration_since(begun);
        if let Some((watcher, call)) = watched {
            watcher(&CallTrace::of(&self.name, &call, &answer, took));
        }
        let failure = answer.as_ref().err();
        self.statistics.record(hook, took, failure);
        match answer {
            Ok(reply) => {
                if self.failing.load(Ordering::Relaxed) {
                    self.succeeded(trial.as_ref(), services);
                }
                Ok(reply)
            }
            Err(failure) => {
                self.failed(hook, &failure, fail, (version, trial.as_ref()), services);
                Err((failure, fail))
            }
        }
    }

    /// Whether a call may go on, and whether it is a trial.
    fn admit(&self, now: Instant, services: &Services) -> Result<Option<Trial<'_>>, Failure> {
        if !self.failing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let admission = self.breaker().admit(now);
        match admission {
            Admission::Off => Err(Failure::BreakerOpen),
            Admission::Usual => Ok(None),
            Admission::Trial { number, is_first } => {
                if is_first {
                    let what = "its time is over, and it is asked again";
                    self.tell_turn(services, Turn::Trying, what);
                }
                Ok(Some(Trial {
                    plugin: self,
                    number,
                }))
            }
        }
    }

    /// The answer, and when it was there.
    async fn run(
        &self,
        lease: &Arc<Lease>,
        call: Call,
        (begun, timeout): (Instant, Duration),
        workers: &Workers,
    ) -> (Result<Reply, Failure>, Instant) {
        if lease.is_full() {
            return (Err(Failure::Overloaded), begun);
        }
        let hook = call.hook();
        let context = Arc::new(CallContext::new(
            &lease.allowance,
            Some(hook),
            call.endpoint(),
            (begun, timeout),
        ));
        let called_with = Arc::clone(&context);
        let called = Arc::clone(lease);
        let work = async move {
            if context.has_waited_too_long() {
                return Err(context.timeout());
            }
            let answer = called.version.guest.call(&call, &context);
            let answer = AssertUnwindSafe(answer).catch_unwind();
            answer.await.unwrap_or(Err(Failure::Defect))
        };
        let mut work: Work = Box::pin(work);
        let answered = match lease.begin(&mut work, &called_with) {
            Some(answered) => answered,
            None => {
                // What it takes to wait is no part of each call.
                let answer = Box::pin(self.elsewhere(lease, work, &called_with, workers)).await;
                (answer, Instant::now())
            }
        };
        self.statistics.burn(hook, called_with.burned());
        self.statistics.hold(hook, called_with.held());
        answered
    }

    /// Runs a call on the threads of the host, and waits for it.
    async fn elsewhere(
        &self,
        lease: &Lease,
        work: Work,
        context: &CallContext,
        workers: &Workers,
    ) -> Result<Reply, Failure> {
        let work = lease.through_turnstile(work)?;
        let waits = context.hook.is_some_and(|hook| facts(hook).waits);
        match (lease.version.guest.blocks(), waits) {
            (false, _) => patiently(context, workers.spawn(work)).await,
            (true, false) => self.line_up(work, context, workers).await,
            (true, true) => patiently(context, workers.spawn_blocking(work)).await,
        }
    }

    /// A script, which cannot give way: it waits for one of the threads that this plugin may hold.
    async fn line_up(
        &self,
        work: Work,
        context: &CallContext,
        workers: &Workers,
    ) -> Result<Reply, Failure> {
        // Not all threads, so that other plugins go on.
        let runners_max = workers.threads.saturating_sub(1).max(1);
        let answer = self.lane.push(work, runners_max, &workers.handle());
        patiently(context, answer).await
    }

    fn succeeded(&self, trial: Option<&Trial<'_>>, services: &Services) {
        let mut breaker = self.breaker();
        let turn = breaker.succeeded(trial.map(|trial| trial.number));
        self.failing.store(!breaker.is_closed(), Ordering::Relaxed);
        drop(breaker);
        self.tell_turn(services, turn, "it answers again");
    }

    fn failed(
        &self,
        hook: Hook,
        failure: &Failure,
        fail: Fail,
        (version, trial): (&Version, Option<&Trial<'_>>),
        services: &Services,
    ) {
        if *failure == Failure::BreakerOpen {
            return;
        }
        let now = Instant::now();
        let last = LastFailure {
            at: SystemTime::now(),
            hook,
            code: failure.code(),
            message: failure.to_string(),
        };
        let mut breaker = self.breaker();
        let trial = trial.map(|trial| trial.number);
        let turn = breaker.failed(trial, now, &version.config.breaker, last);
        self.failing.store(true, Ordering::Relaxed);
        drop(breaker);
        if turn == Turn::Off {
            let seconds = version.config.breaker.cool_down_s;
            let name = hook.name();
            let why = format!("it failed {name}: {failure}; it is switched off for {seconds} s");
            self.tell_turn(services, turn, &why);
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

    fn tell_turn(&self, services: &Services, turn: Turn, what: &str) {
        let (state, code) = match turn {
            Turn::None => return,
            Turn::Off => ("off", "plugin-off"),
            Turn::Trying => ("trying", "plugin-trying"),
            Turn::On => ("on", "plugin-on"),
        };
        tracing::warn!(plugin = %self.name, code, "{what}");
        let mut reason = Reason::new(code, what.to_owned());
        if turn == Turn::Off {
            reason = reason.hint("mend it and save: it is loaded at once, and asked again");
        }
        services.publish(EventKind::ExtensionSwitched {
            extension: self.name.to_string(),
            state,
            reason,
        });
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    fn new(version: &Arc<Version>, waiting: &Arc<AtomicU32>) -> Lease {
        Lease {
            version: Arc::clone(version),
            // A copy: its count of references is of this thread as well.
            allowance: Arc::new(Allowance::clone(&version.allowance)),
            terms: Hook::ALL.map(|hook| version.config.terms(hook)),
            waiting: Arc::clone(waiting),
        }
    }

    fn terms(&self, hook: Hook) -> Terms {
        let own = self.terms.get(hook as usize);
        own.copied()
            .unwrap_or_else(|| self.version.config.terms(hook))
    }

    /// True when no more calls may wait.
    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.version.config.limits.waiting_max
    }

    /// Counts a call among those that wait or run, until it is done.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] for one too many.
    fn through_turnstile(&self, work: Work) -> Result<Work, Failure> {
        let max = self.version.config.limits.waiting_max;
        let one_more = |waiting| (waiting < max).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Failure::Overloaded)?;
        let turn = Turnstile(Arc::clone(&self.waiting));
        Ok(Box::pin(async move {
            let _turn = turn;
            work.await
        }))
    }

    /// A component that is quick begins here: its answer and when it was there. None when it is to go
    /// on at the workers: it gives way at the next tick of its clock, or when it waits.
    fn begin(
        &self,
        work: &mut Work,
        context: &CallContext,
    ) -> Option<(Result<Reply, Failure>, Instant)> {
        let Version { guest, pace, .. } = &*self.version;
        if guest.blocks() || !pace.is_quick(context.begun) {
            return None;
        }
        context.begin_in_passing();
        // Whoever goes on with it looks at all that it waits for once more.
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        context.end_in_passing();
        let now = Instant::now();
        pace.took(now.duration_since(context.begun), now);
        match polled {
            Poll::Ready(answer) => Some((answer, now)),
            Poll::Pending => None,
        }
    }
}

/// Waits for what runs elsewhere, and no longer than it may take.
async fn patiently<E>(
    context: &CallContext,
    answer: impl Future<Output = Result<Result<Reply, Failure>, E>>,
) -> Result<Reply, Failure> {
    match timeout_at(context.deadline.into(), answer).await {
        Ok(Ok(answer)) => answer,
        // The workers end.
        Ok(Err(_)) | Err(_) => Err(context.timeout()),
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

/// The one call that a plugin is tried with. When its answer has been told, there is nothing to give up
/// any more.
struct Trial<'p> {
    plugin: &'p Plugin,
    number: u64,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.plugin.breaker().gave_up(self.number);
    }
}

/// One of the calls that wait or run.
struct Turnstile(Arc<AtomicU32>);

impl Drop for Turnstile {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
