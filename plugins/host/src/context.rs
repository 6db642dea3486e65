//! Who calls a host function, what it may, and what is left to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lwm2m_server::Hook;

use crate::config::PluginLimits;
use crate::services::Services;
use crate::{Failure, Permission};

/// What a plugin may do, in one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    /// The plugin's name.
    pub(crate) plugin: Arc<str>,
    /// What its manifest asks for and its configuration grants.
    pub(crate) permissions: Vec<Permission>,
    pub(crate) limits: PluginLimits,
}

/// One call of a hook, as host functions see it.
pub(crate) struct CallContext {
    pub(crate) allowance: Arc<Allowance>,
    /// The hook; none in `init`.
    pub(crate) hook: Option<Hook>,
    /// The device that the call is about.
    pub(crate) endpoint: Option<Arc<str>>,
    /// When the answer is due.
    pub(crate) deadline: Instant,
    pub(crate) services: Arc<Services>,
    /// What the call may take in all.
    limit: Duration,
    host_calls: AtomicU32,
    log_lines: AtomicU32,
    fuel: AtomicU64,
}

impl CallContext {
    /// A call that began at a time, and may take so long from then on.
    pub(crate) fn new(
        allowance: &Arc<Allowance>,
        hook: Option<Hook>,
        endpoint: Option<&str>,
        (begun, limit): (Instant, Duration),
        services: &Arc<Services>,
    ) -> CallContext {
        CallContext {
            allowance: Arc::clone(allowance),
            hook,
            endpoint: endpoint.map(Arc::from),
            deadline: begun + limit,
            limit,
            services: Arc::clone(services),
            host_calls: AtomicU32::new(allowance.limits.host_calls_max),
            log_lines: AtomicU32::new(allowance.limits.log_lines_max),
            fuel: AtomicU64::new(0),
        }
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

    /// True when a log line may still be written.
    pub(crate) fn may_log(&self) -> bool {
        take(&self.log_lines)
    }

    /// True when the plugin has a permission that covers this one.
    pub(crate) fn may(&self, wanted: &Permission) -> bool {
        let permissions = &self.allowance.permissions;
        permissions.iter().any(|has| has.covers(wanted))
    }

    /// True once the answer is due.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
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
