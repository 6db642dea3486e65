//! Which of two notifications is newer (RFC 7641 §3.4).

use super::exchange::Observation;

/// Seconds after which any notification is newer.
const FRESH_S: u32 = 128;

/// Half of the sequence numbers' range.
const HALF: u32 = 1 << 23;

impl Observation {
    /// Takes note of a notification; false when it is older than the latest.
    pub(super) fn is_fresh(&mut self, sequence: u32, now_s: u32) -> bool {
        let fresh =
            is_newer(self.sequence, sequence) || now_s > self.received_s.saturating_add(FRESH_S);
        if fresh {
            self.sequence = sequence;
            self.received_s = now_s;
        }
        fresh
    }
}

/// True when `next` follows `last` in numbers of 24 bits that wrap.
fn is_newer(last: u32, next: u32) -> bool {
    (last < next && next - last < HALF) || (last > next && last - next > HALF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn numbers_wrap_at_24_bits() {
        assert!(is_newer(1, 2) && !is_newer(2, 1) && !is_newer(2, 2));
        assert!(is_newer(0xff_ffff, 0) && !is_newer(0, 0xff_ffff));
        assert!(is_newer(0, HALF - 1) && !is_newer(0, HALF));
        assert!(is_newer(HALF + 1, 0) && !is_newer(HALF, 0));
    }

    #[test]
    fn after_128_seconds_everything_is_newer() {
        let mut observation = Observation {
            sequence: 9,
            received_s: 100,
            code: Code::GET,
            options: Box::default(),
        };
        assert!(!observation.is_fresh(8, 228));
        assert!(observation.is_fresh(8, 229));
        assert!(!observation.is_fresh(8, 300));
        assert!(observation.is_fresh(9, 300));
    }
}
