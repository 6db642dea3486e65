//! Figures for each plugin and hook.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lwm2m_server::{Hook, HookSet};

use crate::Failure;
use crate::stripes::Stripes;

/// What is counted for one plugin, on each thread that has asked it.
#[derive(Debug, Default)]
pub(crate) struct Statistics(Stripes<OnceLock<Box<Hooks>>>);

type Hooks = [Counters; Hook::ALL.len()];

/// What is counted for one hook of a plugin.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    failures: [AtomicU64; FailureKind::COUNT],
    nanoseconds: AtomicU64,
    nanoseconds_max: AtomicU64,
    fuel: AtomicU64,
    memory_max: AtomicU64,
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
    /// That of the longest call.
    pub time_max: Duration,
    /// What all calls have computed, in units of fuel; 0 where `fuel` of the configuration is off, and
    /// for scripts.
    pub fuel: u64,
    /// The most memory that an instance held after a call, in bytes; 0 where it is not known, and for
    /// scripts, which keep nothing.
    pub memory_max: u64,
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
        let Some(counters) = self.mine(hook) else {
            return;
        };
        counters.calls.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
        counters
            .nanoseconds_max
            .fetch_max(nanoseconds, Ordering::Relaxed);
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
    pub(crate) fn burn(&self, hook: Hook, fuel: u64) {
        if fuel > 0
            && let Some(counters) = self.mine(hook)
        {
            counters.fuel.fetch_add(fuel, Ordering::Relaxed);
        }
    }

    /// Notes how much memory an instance held after a call.
    pub(crate) fn hold(&self, hook: Hook, memory: u64) {
        // What it holds is seldom new.
        if let Some(counters) = self.mine(hook)
            && memory > counters.memory_max.load(Ordering::Relaxed)
        {
            counters.memory_max.fetch_max(memory, Ordering::Relaxed);
        }
    }

    fn mine(&self, hook: Hook) -> Option<&Counters> {
        self.0.mine().get_or_init(Box::default).get(hook as usize)
    }

    /// Those of a hook, of all threads that have any.
    fn of(&self, hook: Hook) -> impl Iterator<Item = &Counters> {
        let hooks = self.0.all().filter_map(OnceLock::get);
        hooks.filter_map(move |hooks| hooks.get(hook as usize))
    }

    /// The figures of these hooks, and of those that were asked before.
    pub(crate) fn figures(&self, has: HookSet) -> Vec<HookFigures> {
        let all = Hook::ALL.into_iter().map(|hook| self.figures_of(hook));
        all.filter(|figures| figures.calls > 0 || has.contains(figures.hook))
            .collect()
    }

    fn figures_of(&self, hook: Hook) -> HookFigures {
        let all = Counters::default();
        self.of(hook).for_each(|counters| all.add(counters));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HookFigures {
            hook,
            calls: count(&all.calls),
            failures: (FailureKind::CODES.into_iter())
                .zip(all.failures.iter().map(count))
                .filter(|(_, failures)| *failures > 0)
                .collect(),
            time: Duration::from_nanos(count(&all.nanoseconds)),
            time_max: Duration::from_nanos(count(&all.nanoseconds_max)),
            fuel: count(&all.fuel),
            memory_max: count(&all.memory_max),
            histogram: (0..BUCKETS)
                .map(|n| Duration::from_micros(1 << n))
                .zip(all.buckets.iter().map(count))
                .collect(),
        }
    }
}

impl Counters {
    /// Adds those of another thread.
    fn add(&self, other: &Counters) {
        let sums = [
            (&self.calls, &other.calls),
            (&self.nanoseconds, &other.nanoseconds),
            (&self.fuel, &other.fuel),
        ];
        let failures = self.failures.iter().zip(&other.failures);
        let buckets = self.buckets.iter().zip(&other.buckets);
        for (sum, more) in sums.into_iter().chain(failures).chain(buckets) {
            sum.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for (most, more) in [
            (&self.nanoseconds_max, &other.nanoseconds_max),
            (&self.memory_max, &other.memory_max),
        ] {
            most.fetch_max(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
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
        statistics.hold(Hook::OnRegister, 70);
        statistics.hold(Hook::OnRegister, 65);
        assert_eq!(statistics.figures(HookSet::EMPTY).len(), 1, "one was asked");
        let figures = statistics.figures(HookSet::EMPTY.with(Hook::Transform));
        let [figures, idle] = &figures[..] else {
            panic!("one hook was asked, and it has another");
        };
        assert_eq!((idle.hook, idle.calls), (Hook::Transform, 0));
        assert_eq!(idle.quantile(0.5), None);
        assert_eq!(figures.memory_max, 70);
        assert_eq!(figures.time_max, Duration::from_secs(10));
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
