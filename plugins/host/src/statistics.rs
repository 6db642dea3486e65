//! Figures for each plugin and hook.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lwm2m_server::Hook;

use crate::Failure;

/// What is counted for one plugin.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    hooks: [Counters; Hook::ALL.len()],
}

/// What is counted for one hook of a plugin.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    failures: [AtomicU64; FailureKind::COUNT],
    nanoseconds: AtomicU64,
    fuel: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Upper bounds of 2^n us, the last one without.
const BUCKETS: usize = 20;

/// Figures of one hook of a plugin, since it was loaded first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HookFigures {
    /// The hook.
    pub hook: Hook,
    /// How often it was asked, failures included.
    pub calls: u64,
    /// Failures by their [`Failure::code`], those that occurred.
    pub failures: Vec<(&'static str, u64)>,
    /// The time of all calls, waiting included.
    pub time: Duration,
    /// What all calls have computed, in units of fuel; 0 where `fuel` of the configuration is off, and
    /// for scripts.
    pub fuel: u64,
    /// How many calls took at most so long; those that took longer than the last one are only in
    /// `calls`.
    pub histogram: Vec<(Duration, u64)>,
}

impl HookFigures {
    /// A time that this share of the calls did not exceed, as precise as the histogram: a factor of
    /// two; none without calls.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.calls as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bound = self.histogram.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        match self.calls {
            0 => None,
            _ => Some(bound.map_or(Duration::MAX, |(bound, _)| *bound)),
        }
    }
}

/// The kinds of failures, for counting.
struct FailureKind;

impl FailureKind {
    const CODES: [&'static str; 7] = [
        "plugin-timeout",
        "plugin-failed",
        "plugin-answer",
        "plugin-limit",
        "plugin-off",
        "plugin-overloaded",
        "plugin-host-defect",
    ];
    const COUNT: usize = FailureKind::CODES.len();

    fn index(failure: &Failure) -> Option<usize> {
        let code = failure.code();
        FailureKind::CODES.iter().position(|known| *known == code)
    }
}

impl Statistics {
    /// Counts a call.
    pub(crate) fn record(&self, hook: Hook, took: Duration, failure: Option<&Failure>) {
        let Some(counters) = self.hooks.get(hook as usize) else {
            return;
        };
        counters.calls.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
        let kind = failure.and_then(FailureKind::index);
        if let Some(count) = kind.and_then(|kind| counters.failures.get(kind)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = nanoseconds.div_ceil(1000).max(1);
        let bucket = u64::BITS - (microseconds - 1).leading_zeros();
        if let Some(bucket) = counters.buckets.get(bucket as usize) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what a call has computed.
    pub(crate) fn burn(&self, hook: Option<Hook>, fuel: u64) {
        let counters = hook.and_then(|hook| self.hooks.get(hook as usize));
        if let (Some(counters), 1..) = (counters, fuel) {
            counters.fuel.fetch_add(fuel, Ordering::Relaxed);
        }
    }

    /// The figures of the hooks that were asked.
    pub(crate) fn figures(&self) -> Vec<HookFigures> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figures = |(hook, counters): (Hook, &Counters)| HookFigures {
            hook,
            calls: count(&counters.calls),
            failures: (FailureKind::CODES.into_iter())
                .zip(counters.failures.iter().map(count))
                .filter(|(_, failures)| *failures > 0)
                .collect(),
            time: Duration::from_nanos(count(&counters.nanoseconds)),
            fuel: count(&counters.fuel),
            histogram: (0..BUCKETS)
                .map(|n| Duration::from_micros(1 << n))
                .zip(counters.buckets.iter().map(count))
                .collect(),
        };
        let all = Hook::ALL.into_iter().zip(&self.hooks).map(figures);
        all.filter(|figures| figures.calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_where_they_belong() {
        let statistics = Statistics::default();
        let us = Duration::from_micros;
        for took in [us(1), us(2), us(3), us(4), us(1000)] {
            statistics.record(Hook::OnRegister, took, None);
        }
        let failure = Failure::Timeout(us(50));
        statistics.record(Hook::OnRegister, Duration::from_secs(10), Some(&failure));
        let figures = statistics.figures();
        let [figures] = &figures[..] else {
            panic!("one hook was asked");
        };
        assert_eq!((figures.hook, figures.calls), (Hook::OnRegister, 6));
        assert_eq!(figures.failures, [("plugin-timeout", 1)]);
        let counted: Vec<_> = figures.histogram.iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(
            counted,
            [&(us(1), 1), &(us(2), 1), &(us(4), 2), &(us(1024), 1)]
        );
        assert_eq!(figures.quantile(0.5), Some(us(4)));
        assert_eq!(figures.quantile(1.0), Some(Duration::MAX));
    }

    #[test]
    fn every_failure_has_its_place() {
        for failure in [
            Failure::Timeout(Duration::ZERO),
            Failure::Failed(String::new()),
            Failure::Unusable(String::new()),
            Failure::Limit(""),
            Failure::BreakerOpen,
            Failure::Overloaded,
            Failure::Defect,
        ] {
            assert!(FailureKind::index(&failure).is_some(), "{failure:?}");
        }
    }
}
