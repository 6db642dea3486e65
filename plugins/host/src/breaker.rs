//! Switches a plugin off for a while when it fails again and again.
//!
//! ```text
//! closed ── failures in a row ──> open ── its time is over, and a call comes ──> half-open
//!    ^                              ^                                                │
//!    └────── it succeeds ───────────┼────────────────────────────────────────────────┤
//!                                   └──────────────── it fails ──────────────────────┘
//! ```
//!
//! Half-open, that one call is the trial: until it is answered, others find the plugin switched off. What
//! calls from before come to does not count meanwhile. A trial that nobody waits for any more is none, and
//! the next call is one.

use std::time::{Duration, Instant, SystemTime};

use lwm2m_server::Hook;

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

/// How a plugin stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// Whether it is asked.
    pub state: BreakerState,
    /// How often it has failed since it succeeded last.
    pub failures: u32,
    /// When it has failed last, of this version; none when it has not.
    pub last_failure: Option<LastFailure>,
}

/// Whether a plugin is asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is switched off.
    Open {
        /// Until then.
        until: SystemTime,
        /// The last failure before.
        why: String,
    },
    /// One call at a time is let through: its success switches the plugin on, and its failure off.
    HalfOpen,
}

/// A failure of a plugin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LastFailure {
    /// When.
    pub at: SystemTime,
    /// At which hook.
    pub hook: Hook,
    /// Its [`Failure::code`](crate::Failure::code).
    pub code: &'static str,
    /// A sentence.
    pub message: String,
}

/// The state of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    state: State,
    last_failure: Option<LastFailure>,
    /// Trials so far, so that none is taken for another one.
    trials: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        on_the_clock: SystemTime,
        why: String,
    },
    HalfOpen {
        /// The call on its way; none when that one was given up.
        trial: Option<u64>,
    },
}

/// Whether a call is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is not: the plugin is switched off.
    Off,
    /// It is, as any other.
    Usual,
    /// It is the only one, to see.
    Trial {
        number: u64,
        /// The first one since the plugin was switched off.
        is_first: bool,
    },
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    None,
    /// It is switched off from now on.
    Off,
    /// It is asked again, to see.
    Trying,
    /// It works again.
    On,
}

impl Breaker {
    /// A call comes.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        let is_first = match self.state {
            State::Closed => return Admission::Usual,
            State::Open { until, .. } if now < until => return Admission::Off,
            State::HalfOpen { trial: Some(_) } => return Admission::Off,
            State::Open { .. } => true,
            State::HalfOpen { trial: None } => false,
        };
        self.trials += 1;
        let number = self.trials;
        self.state = State::HalfOpen {
            trial: Some(number),
        };
        Admission::Trial { number, is_first }
    }

    /// A call has succeeded, maybe a trial.
    pub(crate) fn succeeded(&mut self, trial: Option<u64>) -> Turn {
        if self.is_closed() {
            self.failures = 0;
            return Turn::None;
        }
        if !self.is_on(trial) {
            return Turn::None;
        }
        self.close();
        Turn::On
    }

    /// A call has failed, maybe a trial.
    pub(crate) fn failed(
        &mut self,
        trial: Option<u64>,
        now: Instant,
        config: &BreakerConfig,
        failure: LastFailure,
    ) -> Turn {
        let is_trial = self.is_on(trial);
        let turn = match self.is_closed() || is_trial {
            true => self.count(is_trial, now, config, &failure),
            // A call that began before.
            false => Turn::None,
        };
        self.last_failure = Some(failure);
        turn
    }

    /// A trial was given up before it was answered.
    pub(crate) fn gave_up(&mut self, trial: u64) {
        if self.is_on(Some(trial)) {
            self.state = State::HalfOpen { trial: None };
        }
    }

    /// Another version takes its place, which has not failed yet.
    pub(crate) fn renew(&mut self) -> Turn {
        let turn = match self.is_closed() {
            true => Turn::None,
            false => Turn::On,
        };
        self.close();
        self.last_failure = None;
        turn
    }

    /// True while it lets all calls through.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn close(&mut self) {
        self.failures = 0;
        self.state = State::Closed;
    }

    /// True for the trial that it waits for.
    fn is_on(&self, trial: Option<u64>) -> bool {
        let State::HalfOpen { trial: Some(own) } = self.state else {
            return false;
        };
        trial == Some(own)
    }

    fn count(
        &mut self,
        is_trial: bool,
        now: Instant,
        config: &BreakerConfig,
        failure: &LastFailure,
    ) -> Turn {
        self.failures = self.failures.saturating_add(1);
        let is_enough = config.failures != 0 && self.failures >= config.failures;
        if !is_enough && !is_trial {
            return Turn::None;
        }
        let cool_down = Duration::from_secs(config.cool_down_s.into());
        self.state = State::Open {
            until: now + cool_down,
            on_the_clock: failure.at + cool_down,
            why: format!("{}: {}", failure.hook.name(), failure.message),
        };
        Turn::Off
    }

    /// How it stands.
    pub(crate) fn status(&self, now: Instant) -> BreakerStatus {
        BreakerStatus {
            state: match &self.state {
                State::Closed => BreakerState::Closed,
                State::Open {
                    until,
                    on_the_clock,
                    why,
                } if now < *until => BreakerState::Open {
                    until: *on_the_clock,
                    why: why.clone(),
                },
                State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
            },
            failures: self.failures,
            last_failure: self.last_failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        failures: 3,
        cool_down_s: 10,
    };

    fn failure() -> LastFailure {
        LastFailure {
            at: SystemTime::UNIX_EPOCH,
            hook: Hook::OnRegister,
            code: "plugin-failed",
            message: "a trap".to_owned(),
        }
    }

    fn failed(breaker: &mut Breaker, now: Instant) -> Turn {
        breaker.failed(None, now, &CONFIG, failure())
    }

    /// The number of the trial that a call is.
    fn trial(breaker: &mut Breaker, now: Instant, is_first: bool) -> u64 {
        match breaker.admit(now) {
            Admission::Trial {
                number,
                is_first: first,
            } if first == is_first => number,
            other => panic!("{other:?}"),
        }
    }

    /// One whose time is over since `now`.
    fn to_be_tried(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            failed(&mut breaker, now - Duration::from_secs(10));
        }
        assert_eq!(breaker.status(now).state, BreakerState::HalfOpen);
        breaker
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(100)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            assert_eq!(failed(&mut breaker, now), Turn::None);
        }
        assert_eq!(breaker.succeeded(None), Turn::None);
        for _ in 0..2 {
            assert_eq!(failed(&mut breaker, now), Turn::None);
            assert_eq!(breaker.admit(now), Admission::Usual);
        }
        assert_eq!(breaker.status(now).failures, 2);
        assert_eq!(failed(&mut breaker, now), Turn::Off);
        assert_eq!(breaker.admit(now), Admission::Off);
        let status = breaker.status(now);
        let BreakerState::Open { until, why } = &status.state else {
            panic!("{status:?}");
        };
        assert_eq!(*until, failure().at + Duration::from_secs(10));
        assert_eq!(why, "on_register: a trap");
        assert_eq!(failed(&mut breaker, now), Turn::None, "it began before");
        assert_eq!(breaker.succeeded(None), Turn::None, "so did this one");
        assert_eq!(breaker.admit(now), Admission::Off);
        assert_eq!(breaker.status(now).last_failure, Some(failure()));
    }

    #[test]
    fn one_call_at_a_time_is_let_through_and_decides() {
        let now = later();
        let mut breaker = to_be_tried(now);
        let first = trial(&mut breaker, now, true);
        for _ in 0..10 {
            assert_eq!(breaker.admit(now), Admission::Off, "one is on its way");
        }
        let turn = breaker.failed(Some(first), now, &CONFIG, failure());
        assert_eq!(turn, Turn::Off);
        assert_eq!(breaker.admit(now), Admission::Off);
        let now = now + Duration::from_secs(10);
        let second = trial(&mut breaker, now, true);
        assert_eq!(breaker.admit(now), Admission::Off);
        assert_eq!(breaker.succeeded(Some(second)), Turn::On);
        assert_eq!(breaker.admit(now), Admission::Usual);
        let status = breaker.status(now);
        assert_eq!((status.state, status.failures), (BreakerState::Closed, 0));
        assert!(status.last_failure.is_some(), "it is remembered");
        assert_eq!(failed(&mut breaker, now), Turn::None);
    }

    #[test]
    fn what_other_calls_come_to_decides_nothing_while_one_is_tried() {
        let now = later();
        let mut breaker = to_be_tried(now);
        let first = trial(&mut breaker, now, true);
        assert_eq!(failed(&mut breaker, now), Turn::None);
        assert_eq!(breaker.succeeded(None), Turn::None);
        assert_eq!(breaker.succeeded(Some(first - 1)), Turn::None);
        assert_eq!(breaker.status(now).state, BreakerState::HalfOpen);
        assert_eq!(breaker.succeeded(Some(first)), Turn::On);
    }

    #[test]
    fn a_trial_that_is_given_up_makes_room_for_the_next_one() {
        let now = later();
        let mut breaker = to_be_tried(now);
        let first = trial(&mut breaker, now, true);
        breaker.gave_up(first);
        assert_eq!(breaker.status(now).state, BreakerState::HalfOpen);
        let second = trial(&mut breaker, now, false);
        breaker.gave_up(first);
        assert_eq!(breaker.admit(now), Admission::Off, "it was another one");
        assert_eq!(breaker.succeeded(Some(second)), Turn::On);
        breaker.gave_up(second);
        assert!(breaker.is_closed(), "it was answered");
    }

    #[test]
    fn another_version_begins_anew_and_has_no_part_in_a_trial_of_the_one_before() {
        let now = later();
        let mut breaker = to_be_tried(now);
        let old = trial(&mut breaker, now, true);
        assert_eq!(breaker.renew(), Turn::On);
        assert_eq!(breaker.renew(), Turn::None);
        assert_eq!(breaker.status(now).last_failure, None);
        for _ in 0..3 {
            failed(&mut breaker, now);
        }
        let now = now + Duration::from_secs(10);
        let own = trial(&mut breaker, now, true);
        assert_eq!(breaker.succeeded(Some(old)), Turn::None);
        assert_eq!(breaker.succeeded(Some(own)), Turn::On);
    }

    #[test]
    fn zero_failures_are_never_too_many() {
        let mut breaker = Breaker::default();
        let never = BreakerConfig {
            failures: 0,
            ..CONFIG
        };
        for _ in 0..100 {
            let turn = breaker.failed(None, Instant::now(), &never, failure());
            assert_eq!(turn, Turn::None);
        }
    }
}
