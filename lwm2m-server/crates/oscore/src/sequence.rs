//! Sender sequence numbers: Partial IVs that are given out once (RFC 8613 §7.2.1).

use crate::ProtectError;

/// The last sequence number, 2^40 - 1.
pub const PARTIAL_IV_MAX: u64 = (1 << 40) - 1;

/// A sender sequence number in its shortest form: 1 to 5 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialIv(u64);

impl PartialIv {
    /// The Partial IV of a number; none above [`PARTIAL_IV_MAX`].
    pub fn new(number: u64) -> Option<PartialIv> {
        (number <= PARTIAL_IV_MAX).then_some(PartialIv(number))
    }

    /// Reads 1 to 5 bytes without leading zeros, zero itself being one byte.
    pub fn decode(bytes: &[u8]) -> Option<PartialIv> {
        match bytes {
            [] | [0, _, ..] => None,
            _ if bytes.len() > 5 => None,
            _ => Some(PartialIv(
                bytes
                    .iter()
                    .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
            )),
        }
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The shortest form, for the option and for the additional authenticated data.
    pub fn encode(self) -> ([u8; 5], usize) {
        let padded = self.padded();
        let zeros = padded.iter().take(4).take_while(|byte| **byte == 0).count();
        let mut bytes = [0; 5];
        bytes[..5 - zeros].copy_from_slice(&padded[zeros..]);
        (bytes, 5 - zeros)
    }

    /// All five bytes, for the nonce.
    pub(crate) fn padded(self) -> [u8; 5] {
        let [_, _, _, rest @ ..] = self.0.to_be_bytes();
        rest
    }
}

/// The numbers that may be used, `next` to `limit`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderSequence {
    next: u64,
    /// The first number that may not be used: what the caller has made durable.
    limit: u64,
}

impl SenderSequence {
    /// Nothing may be used before a reserve is there.
    pub(crate) fn starting_at(next: u64) -> SenderSequence {
        SenderSequence { next, limit: next }
    }

    pub(crate) fn reserve(&mut self, limit: u64) {
        self.limit = self.limit.max(limit.min(PARTIAL_IV_MAX + 1));
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn left(&self) -> u64 {
        self.limit - self.next
    }

    pub(crate) fn take(&mut self) -> Result<PartialIv, ProtectError> {
        if self.next > PARTIAL_IV_MAX {
            return Err(ProtectError::SequenceExhausted);
        }
        if self.next >= self.limit {
            return Err(ProtectError::SequenceNotReserved);
        }
        let number = PartialIv(self.next);
        self.next += 1;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_ivs_are_shortest() {
        for (number, bytes) in [
            (0, &[0][..]),
            (0x14, &[0x14]),
            (0x100, &[1, 0]),
            (PARTIAL_IV_MAX, &[0xff; 5]),
        ] {
            let partial_iv = PartialIv::new(number).expect("in range");
            let (encoded, len) = partial_iv.encode();
            assert_eq!(&encoded[..len], bytes);
            assert_eq!(PartialIv::decode(bytes), Some(partial_iv));
        }
        assert_eq!(PartialIv::new(PARTIAL_IV_MAX + 1), None);
        assert_eq!(PartialIv::decode(&[]), None);
        assert_eq!(PartialIv::decode(&[0, 1]), None);
        assert_eq!(PartialIv::decode(&[1; 6]), None);
    }

    #[test]
    fn numbers_come_from_the_reserve_and_end() {
        let mut sequence = SenderSequence::starting_at(7);
        assert_eq!(sequence.take(), Err(ProtectError::SequenceNotReserved));
        sequence.reserve(8);
        assert_eq!(sequence.take().map(PartialIv::number), Ok(7));
        assert_eq!(sequence.take(), Err(ProtectError::SequenceNotReserved));
        sequence.reserve(3);
        assert_eq!(sequence.take(), Err(ProtectError::SequenceNotReserved));

        let mut last = SenderSequence::starting_at(PARTIAL_IV_MAX);
        last.reserve(u64::MAX);
        assert_eq!(last.take().map(PartialIv::number), Ok(PARTIAL_IV_MAX));
        assert_eq!(last.take(), Err(ProtectError::SequenceExhausted));
    }
}
