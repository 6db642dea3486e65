//! Time inside the engine: a clock in milliseconds and one heap of timers.
//!
//! Nothing is removed from the heap when a timer is no longer wanted. The owner of a timer holds
//! its deadline, and an entry that does not agree with its owner is passed over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Milliseconds since the first call that brought the time.
pub(super) type Millis = u64;

/// The deadline of an owner that waits for nothing.
pub(super) const NEVER: Millis = Millis::MAX;

/// The whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER / 4)
}

/// Counts time from the first instant that was seen.
#[derive(Debug, Default)]
pub(super) struct Clock {
    epoch: Option<Instant>,
    now: Millis,
}

impl Clock {
    /// Takes note of the time; it never goes backwards.
    pub(super) fn advance(&mut self, now: Instant) -> Millis {
        let epoch = *self.epoch.get_or_insert(now);
        self.now = self.now.max(millis(now.saturating_duration_since(epoch)));
        self.now
    }

    /// The time of the latest call.
    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// The latest time in whole seconds.
    pub(super) fn seconds(&self) -> u32 {
        seconds(self.now)
    }

    /// The instant of a time; none before the first call, or when it is beyond reckoning.
    pub(super) fn instant(&self, at: Millis) -> Option<Instant> {
        self.epoch?.checked_add(Duration::from_millis(at))
    }
}

/// Whole seconds of a time, rounded down.
pub(super) fn seconds(at: Millis) -> u32 {
    u32::try_from(at / 1000).unwrap_or(u32::MAX)
}

/// Who waits, as a slot of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A message to send again, or to give up.
    Transmission(u32),
    /// A request whose response is due.
    Exchange(u32),
    /// A peer that may be forgotten.
    Peer(u32),
    /// A body in reception that was never finished.
    Assembly(u32),
    /// A response kept for requests of its later blocks.
    Stored(u32),
}

/// All timers of an engine.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Millis, Timer)>>,
}

impl Timers {
    /// Adds a timer; its owner must hold the same deadline.
    pub(super) fn arm(&mut self, at: Millis, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// The earliest entry, which may be out of date.
    pub(super) fn peek(&self) -> Option<(Millis, Timer)> {
        self.heap.peek().map(|entry| entry.0)
    }

    /// Takes the earliest entry.
    pub(super) fn pop(&mut self) -> Option<(Millis, Timer)> {
        self.heap.pop().map(|entry| entry.0)
    }

    /// True when most entries must be out of date, `owners` being how many there can be at most.
    pub(super) fn is_crowded(&self, owners: usize) -> bool {
        self.heap.len() > 1024 + 2 * owners
    }

    /// Removes the entries that are out of date.
    pub(super) fn sweep(&mut self, is_current: impl Fn(Millis, Timer) -> bool) {
        self.heap
            .retain(|Reverse((at, timer))| is_current(*at, *timer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_stale_ones_can_be_swept() {
        let mut timers = Timers::default();
        for slot in 0..3000 {
            timers.arm(3000 - u64::from(slot), Timer::Exchange(slot));
        }
        assert!(timers.is_crowded(900) && !timers.is_crowded(1000));
        timers.sweep(|at, _| at > 2998);
        assert_eq!(timers.pop(), Some((2999, Timer::Exchange(1))));
        assert_eq!(timers.pop(), Some((3000, Timer::Exchange(0))));
        assert_eq!(timers.pop(), None);
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let start = Instant::now();
        let mut clock = Clock::default();
        assert_eq!(clock.instant(5), None);
        assert_eq!(clock.advance(start), 0);
        assert_eq!(clock.advance(start + Duration::from_micros(2500)), 2);
        assert_eq!(clock.advance(start), 2);
        assert_eq!(clock.instant(2), Some(start + Duration::from_millis(2)));
    }
}
