//! Switches a plugin off for a while when it fails again and again.

use std::time::{Duration, Instant};

/// When a plugin is switched off, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row; 0 for never.
    pub failures: u32,
    /// For how long, in seconds.
    pub cool_down_s: u32,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig {
            failures: 5,
            cool_down_s: 30,
        }
    }
}

/// The state of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    closed_again_at: Option<Instant>,
}

/// What a result has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    None,
    /// It is switched off from now on.
    Off,
    /// It works again.
    On,
}

impl Breaker {
    /// True while it is off. Once the time is over, calls go through again, and the first failure
    /// switches it off anew.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.closed_again_at.is_some_and(|at| now < at)
    }

    pub(crate) fn succeeded(&mut self) -> Turn {
        self.failures = 0;
        match self.closed_again_at.take() {
            Some(_) => Turn::On,
            None => Turn::None,
        }
    }

    pub(crate) fn failed(&mut self, now: Instant, config: &BreakerConfig) -> Turn {
        if self.is_open(now) {
            // A call that began before.
            return Turn::None;
        }
        self.failures = self.failures.saturating_add(1);
        let on_trial = self.closed_again_at.is_some();
        if config.failures == 0 || (self.failures < config.failures && !on_trial) {
            return Turn::None;
        }
        let cool_down = Duration::from_secs(config.cool_down_s.into());
        self.closed_again_at = Some(now + cool_down);
        Turn::Off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        failures: 3,
        cool_down_s: 10,
    };

    fn failed(breaker: &mut Breaker, now: Instant) -> Turn {
        breaker.failed(now, &CONFIG)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            assert_eq!(failed(&mut breaker, now), Turn::None);
        }
        assert_eq!(breaker.succeeded(), Turn::None);
        for _ in 0..2 {
            assert_eq!(failed(&mut breaker, now), Turn::None);
            assert!(!breaker.is_open(now));
        }
        assert_eq!(failed(&mut breaker, now), Turn::Off);
        assert!(breaker.is_open(now));
        assert_eq!(failed(&mut breaker, now), Turn::None);
    }

    #[test]
    fn after_its_time_one_failure_opens_it_anew_and_a_success_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            failed(&mut breaker, start);
        }
        let later = start + Duration::from_secs(10);
        assert!(!breaker.is_open(later));
        assert_eq!(failed(&mut breaker, later), Turn::Off);
        let later = later + Duration::from_secs(10);
        assert!(!breaker.is_open(later));
        assert_eq!(breaker.succeeded(), Turn::On);
        assert_eq!(failed(&mut breaker, later), Turn::None);
    }

    #[test]
    fn zero_failures_are_never_too_many() {
        let mut breaker = Breaker::default();
        let never = BreakerConfig {
            failures: 0,
            ..CONFIG
        };
        for _ in 0..100 {
            assert_eq!(breaker.failed(Instant::now(), &never), Turn::None);
        }
    }
}
