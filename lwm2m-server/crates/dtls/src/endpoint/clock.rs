//! Time inside the engine: milliseconds since the first call, and one heap of timers.
//!
//! Each occupant of a slot has at most one timer that counts, the one that it remembers. An entry
//! of the heap that its occupant does not remember is passed over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::types::SessionId;

/// Milliseconds since the first call that brought the time.
pub(super) type Millis = u64;

/// The deadline of who waits for nothing.
pub(super) const NEVER: Millis = Millis::MAX;

/// The whole milliseconds of a duration, far below [`NEVER`].
pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).map_or(NEVER / 4, |millis| millis.min(NEVER / 4))
}

/// Counts time from the first instant that was seen.
#[derive(Debug, Default)]
pub(super) struct Clock {
    epoch: Option<Instant>,
    now: Millis,
}

impl Clock {
    /// Takes note of the time; it never goes backwards.
    pub(super) fn advance(&mut self, now: Instant) {
        let epoch = *self.epoch.get_or_insert(now);
        self.now = self.now.max(millis(now.saturating_duration_since(epoch)));
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    pub(super) fn instant(&self, at: Millis) -> Option<Instant> {
        self.epoch?.checked_add(Duration::from_millis(at))
    }
}

/// All timers of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Millis, SessionId)>>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Millis, session: SessionId) {
        self.heap.push(Reverse((at, session)));
    }

    pub(super) fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|entry| entry.0.0)
    }

    /// The earliest entry that is due.
    pub(super) fn pop(&mut self, now: Millis) -> Option<(Millis, SessionId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(slot: u32) -> SessionId {
        SessionId {
            slot,
            generation: 1,
        }
    }

    #[test]
    fn timers_come_when_they_are_due_and_in_order() {
        let mut timers = Timers::default();
        timers.arm(30, session(1));
        timers.arm(10, session(2));
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(30), Some((10, session(2))));
        assert_eq!(timers.pop(30), Some((30, session(1))));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let start = Instant::now();
        let mut clock = Clock::default();
        clock.advance(start);
        clock.advance(start + Duration::from_micros(2500));
        assert_eq!(clock.now(), 2);
        clock.advance(start);
        assert_eq!(clock.now(), 2);
        assert_eq!(clock.instant(2), Some(start + Duration::from_millis(2)));
    }
}
