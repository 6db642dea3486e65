//! How often a peer is answered that it was wrong (coap.md §8): a forged source must not make
//! this endpoint send to others without bound.

use std::hash::{BuildHasher, Hash};

use hashbrown::DefaultHashBuilder;

/// Counters; peers share one when their hashes meet.
const COUNTERS: usize = 4096;

/// Counts resets and refusals in the current second.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    /// None until the first, for most endpoints never have one.
    counters: Option<Box<[u16]>>,
    second: u32,
    hasher: DefaultHashBuilder,
}

impl Rejections {
    /// Counts one; false when it is one more than `max` in this second.
    pub(super) fn allow<P: Hash>(&mut self, now_s: u32, peer: P, max: u16) -> bool {
        let counters = self
            .counters
            .get_or_insert_with(|| vec![0; COUNTERS].into_boxed_slice());
        if self.second != now_s {
            self.second = now_s;
            counters.fill(0);
        }
        let index = self.hasher.hash_one(peer) as usize % COUNTERS;
        let counter = &mut counters[index];
        *counter = counter.saturating_add(1);
        *counter <= max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_allowed_is_not_until_the_next_second() {
        let mut rejections = Rejections::default();
        for _ in 0..3 {
            assert!(rejections.allow(7, 1, 3));
        }
        assert!(!rejections.allow(7, 1, 3));
        assert!(rejections.allow(8, 1, 3));
    }
}
