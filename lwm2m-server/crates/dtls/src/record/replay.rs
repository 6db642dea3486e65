//! The window against replays (RFC 6347 §4.1.2.6).

/// Remembers which of the latest [`ReplayWindow::BITS`] sequence numbers have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReplayWindow {
    /// One more than the highest number that has come.
    next: u64,
    /// Bit n stands for the number `next - 1 - n`.
    seen: u64,
}

/// What the window says of a number that it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Above all before it.
    Newest,
    /// Late, but within the window.
    Late,
}

impl ReplayWindow {
    pub(crate) const BITS: u64 = 64;

    /// A window as it was saved.
    pub(crate) fn restore(next: u64, seen: u64) -> ReplayWindow {
        ReplayWindow { next, seen }
    }

    /// What to save.
    pub(crate) fn state(&self) -> (u64, u64) {
        (self.next, self.seen)
    }

    /// None for a replay, and for a number too old to tell.
    pub(crate) fn check(&self, sequence: u64) -> Option<Freshness> {
        if sequence >= self.next {
            return Some(Freshness::Newest);
        }
        let age = self.next - 1 - sequence;
        (age < ReplayWindow::BITS && self.seen >> age & 1 == 0).then_some(Freshness::Late)
    }

    /// Takes note of a number; only after its record has been authenticated.
    pub(crate) fn mark(&mut self, sequence: u64) {
        if sequence >= self.next {
            let shift = sequence + 1 - self.next;
            self.seen = if shift < ReplayWindow::BITS {
                self.seen << shift | 1
            } else {
                1
            };
            self.next = sequence + 1;
        } else {
            self.seen |= 1 << (self.next - 1 - sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_fresh_once() {
        let mut window = ReplayWindow::default();
        for sequence in [0, 5, 3, 64, 1, 200, 137, 138] {
            let fresh = window.check(sequence);
            assert!(fresh.is_some(), "{sequence}");
            window.mark(sequence);
            assert_eq!(window.check(sequence), None, "{sequence} again");
        }
    }

    #[test]
    fn the_window_holds_sixty_four_numbers() {
        let mut window = ReplayWindow::default();
        window.mark(100);
        assert_eq!(window.check(101), Some(Freshness::Newest));
        assert_eq!(window.check(37), Some(Freshness::Late));
        assert_eq!(window.check(36), None);
        window.mark(37);
        assert_eq!(window.check(37), None);
    }

    #[test]
    fn it_agrees_with_a_set_of_all_numbers() {
        use std::collections::BTreeSet;

        let mut window = ReplayWindow::default();
        let mut seen = BTreeSet::<u64>::new();
        let mut state = 1_u64;
        for _ in 0..10_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let highest = seen.last().copied().unwrap_or(0);
            let sequence = (highest + 20).saturating_sub((state >> 33) % 100);
            let expected = !seen.contains(&sequence)
                && (seen.is_empty() || sequence + ReplayWindow::BITS > highest);
            assert_eq!(window.check(sequence).is_some(), expected, "{sequence}");
            if expected {
                window.mark(sequence);
                seen.insert(sequence);
            }
        }
    }
}
