//! So many looks in a second.

use std::time::Duration;

use tokio::time::Instant;

/// Holds looks at all devices to a rate.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
}

/// How far a pace that was held up may catch up: timers do not tick finer than a millisecond.
const CATCH_UP: Duration = Duration::from_millis(10);

impl Pace {
    pub(super) fn new(per_second: u32, now: Instant) -> Pace {
        Pace {
            interval: Duration::from_secs(1) / per_second.max(1),
            next: now,
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// True when there may be one now, which counts.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let from = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = self.next.max(from) + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_look_more_than_the_limit_waits_for_the_next_second() {
        let begun = Instant::now();
        for per_second in [1, 3, 1000] {
            let mut pace = Pace::new(per_second, begun);
            // Long after it was needed last.
            let begun = begun + Duration::from_secs(60);
            let mut now = begun;
            let mut taken = 0;
            while taken <= per_second {
                taken += u32::from(pace.take(now));
                now = now.max(pace.due());
            }
            let took = now - pace.interval - begun;
            // Intervals are whole nanoseconds.
            assert!(
                took + CATCH_UP >= Duration::from_micros(999_999),
                "{per_second}: {took:?}"
            );
            assert!(
                took <= Duration::from_millis(1001),
                "{per_second}: {took:?}"
            );
        }
    }
}
