//! How many handshakes one address may begin in a second.
//!
//! A token bucket for each source, in a table of fixed size; sources that fall into the same place
//! share one. Only ClientHellos with a good cookie are counted, so nobody spends the allowance of
//! somebody else.

use std::hash::{BuildHasher, RandomState};

use super::clock::Millis;

/// The buckets.
#[derive(Debug)]
pub(super) struct HandshakeRate {
    /// Empty without a limit.
    buckets: Box<[Bucket]>,
    hasher: RandomState,
    per_second: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of a handshake.
    tokens: u64,
    refilled: Millis,
}

impl HandshakeRate {
    const SOURCES: usize = 4096;

    /// Allows so many in a second and as many at once; 0 for no limit.
    pub(super) fn new(per_second: u32) -> HandshakeRate {
        let per_second = u64::from(per_second);
        let full = Bucket {
            tokens: per_second * 1000,
            refilled: 0,
        };
        let sources = match per_second {
            0 => 0,
            _ => HandshakeRate::SOURCES,
        };
        HandshakeRate {
            buckets: vec![full; sources].into(),
            hasher: RandomState::new(),
            per_second,
        }
    }

    /// Takes a handshake of a source's allowance; false when there is nothing left.
    pub(super) fn allow(&mut self, now: Millis, host: [u8; 16]) -> bool {
        if self.buckets.is_empty() {
            return true;
        }
        let place = self.hasher.hash_one(source(host)) as usize % self.buckets.len();
        let bucket = &mut self.buckets[place];
        let elapsed = now.saturating_sub(bucket.refilled);
        bucket.refilled = now;
        let refilled = elapsed.saturating_mul(self.per_second);
        bucket.tokens = bucket
            .tokens
            .saturating_add(refilled)
            .min(self.per_second * 1000);
        let allowed = bucket.tokens >= 1000;
        if allowed {
            bucket.tokens -= 1000;
        }
        allowed
    }
}

/// Who is counted together: an IPv4 address, or the network of 64 bits that one subscriber has.
fn source(host: [u8; 16]) -> [u8; 16] {
    let is_ipv4 = host.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    let mut source = host;
    if !is_ipv4 {
        source[8..].fill(0);
    }
    source
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn host(text: &str) -> [u8; 16] {
        text.parse::<Ipv6Addr>().expect("an address").octets()
    }

    #[test]
    fn one_more_than_the_limit_is_held_back_until_there_is_time_for_it() {
        let mut rate = HandshakeRate::new(2);
        let here = host("::ffff:192.0.2.1");
        assert!(rate.allow(0, here) && rate.allow(0, here));
        assert!(!rate.allow(0, here));
        assert!(!rate.allow(499, here));
        assert!(rate.allow(500, here) && !rate.allow(500, here));
        // However long nobody came, no more than the limit comes at once.
        assert!(rate.allow(90_000, here) && rate.allow(90_000, here));
        assert!(!rate.allow(90_000, here));
    }

    #[test]
    fn a_network_of_64_bits_is_one_source_and_an_ipv4_address_is_one() {
        let same = |a, b| source(host(a)) == source(host(b));
        assert!(same("2001:db8::1", "2001:db8::ffff:2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut rate = HandshakeRate::new(0);
        assert!((0..10_000).all(|_| rate.allow(0, host("::1"))));
    }
}
