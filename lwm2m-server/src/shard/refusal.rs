//! How many refusals one source gets.
//!
//! Without security anybody can write any source address on a datagram. Resets and error answers
//! are no larger than what asked for them, but a flood of them towards a third party is bounded
//! all the same, by a token bucket for each source IP address. Buckets live in a table of fixed
//! size; sources that fall into the same place share one.

use std::hash::{BuildHasher, RandomState};

use crate::transport::Peer;

#[derive(Debug)]
pub(super) struct RefusalRate {
    buckets: Box<[Bucket]>,
    hasher: RandomState,
    per_second: u32,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of a datagram.
    tokens: u64,
    refilled_ms: u64,
}

impl RefusalRate {
    const SOURCES: usize = 4096;

    /// Allows `per_second` refusals to one source, and twice as many at once; 0 for no limit.
    pub(super) fn new(per_second: u32) -> RefusalRate {
        let full = Bucket {
            tokens: u64::from(per_second) * 2000,
            refilled_ms: 0,
        };
        RefusalRate {
            buckets: vec![full; RefusalRate::SOURCES].into(),
            hasher: RandomState::new(),
            per_second,
        }
    }

    /// Takes a refusal of a source's allowance; false when there is nothing left.
    pub(super) fn allow(&mut self, now_ms: u64, peer: &Peer) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let place = self.hasher.hash_one(peer.ip()) as usize % RefusalRate::SOURCES;
        let bucket = &mut self.buckets[place];
        let rate = u64::from(self.per_second);
        let elapsed = now_ms.saturating_sub(bucket.refilled_ms);
        bucket.refilled_ms = now_ms;
        bucket.tokens = bucket
            .tokens
            .saturating_add(elapsed.saturating_mul(rate))
            .min(rate * 2000);
        let allowed = bucket.tokens >= 1000;
        if allowed {
            bucket.tokens -= 1000;
        }
        allowed
    }
}

/// True for a Reset and for an answer of class 4.
pub(super) fn is_refusal(datagram: &[u8]) -> bool {
    match datagram {
        [head, code, ..] => (head >> 4) & 3 == 3 || code >> 5 == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn source(host: u8) -> Peer {
        Peer::new(0, ([10, 0, 0, host], 5683).into(), 0)
    }

    #[test]
    fn tells_refusals_from_answers() {
        assert!(is_refusal(&[0x70, 0x00, 0x12, 0x34]));
        assert!(is_refusal(&[0x60, 0x84, 0x12, 0x34]));
        assert!(!is_refusal(&[0x60, 0x44, 0x12, 0x34]));
        assert!(!is_refusal(&[0x40, 0x01, 0x12, 0x34]));
    }

    #[test]
    fn one_more_than_the_limit_is_held_back() {
        let mut rate = RefusalRate::new(2);
        for _ in 0..4 {
            assert!(rate.allow(0, &source(1)));
        }
        assert!(!rate.allow(0, &source(1)));
        assert!(!rate.allow(499, &source(1)));
        assert!(rate.allow(500, &source(1)));
        assert!(!rate.allow(500, &source(1)));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut rate = RefusalRate::new(0);
        assert!((0..10_000).all(|_| rate.allow(0, &source(1))));
    }
}
