//! At most eight bytes, stored in place: own tokens, ETags, numbers as option values.

use crate::Uint;

/// Up to eight bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Short {
    bytes: [u8; 8],
    len: u8,
}

impl Short {
    /// These bytes; none when there are more than eight.
    pub(super) fn new(bytes: &[u8]) -> Option<Short> {
        let mut short = Short::default();
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        short.len = bytes.len() as u8;
        Some(short)
    }

    /// All eight bytes of a number.
    pub(super) fn from_u64(number: u64) -> Short {
        Short {
            bytes: number.to_be_bytes(),
            len: 8,
        }
    }

    /// A number in the shortest form of an option value.
    pub(super) fn uint(number: u32) -> Short {
        let mut short = Short::default();
        let uint = Uint::new(number);
        let value = uint.as_bytes();
        short.bytes[..value.len()].copy_from_slice(value);
        short.len = value.len() as u8;
        short
    }

    /// The number that all eight bytes make; none when there are fewer.
    pub(super) fn to_u64(self) -> Option<u64> {
        (self.len == 8).then(|| u64::from_be_bytes(self.bytes))
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
