//! Who calls a host function, what it may, and what is left to it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use lwm2m_server::{EndpointName, Hook};

use crate::config::PluginLimits;
use crate::services::Services;
use crate::{Failure, Permission};

/// What a plugin may do, in one of its versions.
#[derive(Clone)]
pub(crate) struct Allowance {
    /// The plugin's name.
    pub(crate) plugin: Arc<str>,
    /// What its manifest asks for and its configuration grants.
    pub(crate) permissions: Vec<Permission>,
    pub(crate) limits: PluginLimits,
    /// What it may ask for it.
    pub(crate) services: Arc<Services>,
}

/// One call of a hook, as host functions see it.
pub(crate) struct CallContext {
    pub(crate) allowance: Arc<Allowance>,
    /// The hook; none in `init`.
    pub(crate) hook: Option<Hook>,
    /// The device that the call is about.
    pub(crate) endpoint: Option<EndpointName>,
    /// When the answer is due: a moment before the time limit, so that it is with who asked by then.
    pub(crate) deadline: Instant,
    /// When the server asked.
    pub(crate) begun: Instant,
    /// What the call may take in all.
    limit: Duration,
    host_calls: AtomicU32,
    log_lines: AtomicU32,
    fuel: AtomicU64,
    memory: AtomicU64,
    /// The guest runs on the thread of whoever asks, which has other things to do.
    in_passing: AtomicBool,
}

/// For the way of an answer to who asked: a tick of the clock of components, one of timers, and what
/// threads wait for each other.
const WAY_BACK: Duration = Duration::from_millis(8);

impl CallContext {
    /// A call that began at a time, and may take so long from then on.
    pub(crate) fn new(
        allowance: &Arc<Allowance>,
        hook: Option<Hook>,
        endpoint: Option<&EndpointName>,
        (begun, limit): (Instant, Duration),
    ) -> CallContext {
        CallContext {
            allowance: Arc::clone(allowance),
            hook,
            endpoint: endpoint.cloned(),
            deadline: begun + limit - WAY_BACK.min(limit / 2),
            begun,
            limit,
            host_calls: AtomicU32::new(allowance.limits.host_calls_max),
            log_lines: AtomicU32::new(allowance.limits.log_lines_max),
            fuel: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            in_passing: AtomicBool::new(false),
        }
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.allowance.services
    }

    /// Counts a host call.
    ///
    /// # Errors
    /// [`Failure::Limit`] for one too many: the call of the plugin ends.
    pub(crate) fn count(&self) -> Result<(), Failure> {
        match take(&self.host_calls) {
            true => Ok(()),
            false => Err(Failure::Limit("host_calls_max")),
        }
    }

    /// Notes what the call has computed, in units of fuel.
    pub(crate) fn burn(&self, fuel: u64) {
        self.fuel.store(fuel, Ordering::Relaxed);
    }

    /// What the call has computed; 0 where it is not counted.
    pub(crate) fn burned(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    /// Notes how much memory the instance holds that was called, in bytes.
    pub(crate) fn hold(&self, memory: u64) {
        self.memory.store(memory, Ordering::Relaxed);
    }

    /// How much memory the instance holds that was called; 0 where it is not known.
    pub(crate) fn held(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// True when a log line may still be written.
    pub(crate) fn may_log(&self) -> bool {
        take(&self.log_lines)
    }

    /// True when the plugin has a permission that covers this one.
    pub(crate) fn may(&self, wanted: &Permission) -> bool {
        let permissions = &self.allowance.permissions;
        permissions.iter().any(|has| has.covers(wanted))
    }

    /// The guest runs on the thread of whoever asks from now on.
    pub(crate) fn begin_in_passing(&self) {
        self.in_passing.store(true, Ordering::Relaxed);
    }

    /// The guest is done there, or goes on elsewhere.
    pub(crate) fn end_in_passing(&self) {
        self.in_passing.store(false, Ordering::Relaxed);
    }

    /// Comes back at the workers: before anything that needs a runtime, as timers do, or that blocks
    /// for a moment, as a disk does. Whoever polls this in passing goes on with it there.
    pub(crate) async fn leave_in_passing(&self) {
        poll_fn(|_| match self.in_passing.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// True when the answer is due before this time has passed once more; of a short time limit half
    /// is left in any case.
    pub(crate) fn ends_before(&self, time: Duration) -> bool {
        Instant::now() + time.min(self.limit / 2) >= self.deadline
    }

    /// True when the call has begun this time ago.
    pub(crate) fn has_run_for(&self, time: Duration) -> bool {
        Instant::now() >= self.begun + time
    }

    /// True when it has waited for a thread until the answer was due: nobody waits for it any more.
    pub(crate) fn has_waited_too_long(&self) -> bool {
        !self.in_passing.load(Ordering::Relaxed) && self.is_late()
    }

    /// True once the answer is due.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late_at(Instant::now())
    }

    /// True when the answer is due at this time.
    pub(crate) fn is_late_at(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// The failure of one that is late.
    pub(crate) fn timeout(&self) -> Failure {
        Failure::Timeout(self.limit)
    }
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}
