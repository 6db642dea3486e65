//! Whether a component is quick enough to begin on the thread of whoever asks.
//!
//! The way to a worker and back costs more than most calls. So a component begins where it is asked,
//! mostly a shard, and goes on at a worker when it is not done within one tick of the epoch, or waits
//! for something. How long shards may be held is an account: each call puts on it what it took above
//! `limits.shard_us_max`, and what it took less comes off. Above [`OVERDRAWN`] the plugin is asked at the
//! workers alone, for a time that doubles when the next overdraft follows soon.
//!
//! Time is that of the wall. A call during which the system gave the thread to others looks like one
//! that took long, so that one alone never overdraws the account: it counts as [`COUNTED_MAX`] at most,
//! and the quick ones after it pay for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The account of one version of a plugin.
#[derive(Debug)]
pub(crate) struct Pace {
    born: Instant,
    /// What a call may take of whoever asks, on average; zero for nothing at all.
    allowance: Duration,
    /// What calls took above their allowance, in nanoseconds.
    debt_ns: AtomicU64,
    /// Since `born`, in milliseconds: until then it is asked at the workers.
    away_until_ms: AtomicU64,
    /// For how long it was last sent away, in milliseconds; 0 for never.
    away_for_ms: AtomicU64,
}

/// What one call counts at most: one that is not done within a tick is taken away then.
const COUNTED_MAX: Duration = Duration::from_millis(2);

/// How much more than their allowance all calls together may have taken: fewer than two of the longest.
const OVERDRAWN: Duration = Duration::from_micros(3500);

/// For how long a plugin is sent away, the first time and at most.
const AWAY_MIN: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_secs(300);

impl Pace {
    pub(crate) fn new(born: Instant, allowance: Duration) -> Pace {
        Pace {
            born,
            allowance,
            debt_ns: AtomicU64::new(0),
            away_until_ms: AtomicU64::new(0),
            away_for_ms: AtomicU64::new(0),
        }
    }

    /// True when a call begins where it is asked, and not at the workers.
    pub(crate) fn is_quick(&self, now: Instant) -> bool {
        let back_ms = self.away_until_ms.load(Ordering::Relaxed);
        !self.allowance.is_zero() && (back_ms == 0 || self.ms(now) >= back_ms)
    }

    /// Notes what a call took of whoever asked. Calls that end at the same moment may each miss what
    /// the other one put on the account, never more.
    pub(crate) fn took(&self, took: Duration, now: Instant) {
        let before = self.debt_ns.load(Ordering::Relaxed);
        if before == 0 && took <= self.allowance {
            return;
        }
        let took = took.min(COUNTED_MAX).as_nanos() as u64;
        let debt = (before + took).saturating_sub(self.allowance.as_nanos() as u64);
        if debt < OVERDRAWN.as_nanos() as u64 {
            self.debt_ns.store(debt, Ordering::Relaxed);
            return;
        }
        self.debt_ns.store(0, Ordering::Relaxed);
        self.send_away(self.ms(now));
    }

    fn send_away(&self, now_ms: u64) {
        let back_ms = self.away_until_ms.load(Ordering::Relaxed);
        let before_ms = self.away_for_ms.load(Ordering::Relaxed);
        let (min, max) = (AWAY_MIN.as_millis() as u64, AWAY_MAX.as_millis() as u64);
        let soon = before_ms > 0 && now_ms < back_ms.saturating_add(before_ms);
        let away_ms = match soon {
            true => before_ms.saturating_mul(2).min(max),
            false => min,
        };
        self.away_for_ms.store(away_ms, Ordering::Relaxed);
        self.away_until_ms
            .store(now_ms + away_ms, Ordering::Relaxed);
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn quick_calls_stay_for_ever_also_where_the_system_runs_others_now_and_then() {
        let start = Instant::now();
        for (one_in, took_us) in [(10, 300), (50, 10_000)] {
            let pace = Pace::new(start, 50 * US);
            for n in 0..100_000 {
                let took = if n % one_in == 0 {
                    took_us * US
                } else {
                    5 * US
                };
                pace.took(took, start);
                assert!(pace.is_quick(start), "{took_us} us, call {n}");
            }
        }
    }

    #[test]
    fn two_that_hold_a_shard_send_it_away_each_time_for_longer() {
        let mut now = Instant::now();
        let pace = Pace::new(now, 50 * US);
        let overdraw = |now| {
            assert!(pace.is_quick(now));
            pace.took(COUNTED_MAX, now);
            assert!(pace.is_quick(now), "one alone");
            pace.took(COUNTED_MAX, now);
        };
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            overdraw(now);
            now += Duration::from_millis(seconds * 1000 - 1);
            assert!(!pace.is_quick(now), "{seconds} s are not over");
            now += Duration::from_millis(1);
        }
        // After a good while it begins anew.
        now += Duration::from_secs(300);
        overdraw(now);
        assert!(!pace.is_quick(now));
        assert!(pace.is_quick(now + AWAY_MIN));
    }

    #[test]
    fn one_that_loops_now_and_then_is_sent_away() {
        let start = Instant::now();
        let pace = Pace::new(start, 50 * US);
        let calls = (0..).find(|n| {
            pace.took(if n % 20 == 0 { COUNTED_MAX } else { 5 * US }, start);
            !pace.is_quick(start)
        });
        assert_eq!(calls, Some(40), "at the third of them");
    }

    #[test]
    fn one_microsecond_above_the_limit_adds_up_and_the_limit_does_not() {
        let start = Instant::now();
        let pace = Pace::new(start, 50 * US);
        for _ in 0..10_000 {
            pace.took(50 * US, start);
            assert!(pace.is_quick(start));
        }
        let calls = (1..).find(|_| {
            pace.took(51 * US, start);
            !pace.is_quick(start)
        });
        assert_eq!(calls, Some(3500));
    }

    #[test]
    fn without_an_allowance_nothing_begins() {
        let start = Instant::now();
        assert!(!Pace::new(start, Duration::ZERO).is_quick(start));
    }
}
