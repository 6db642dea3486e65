//! Sender IDs, Recipient IDs and ID Contexts.

use std::fmt;

/// A Sender ID or Recipient ID, the `kid` of messages: 0 to 7 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct KeyId {
    bytes: [u8; KeyId::MAX],
    len: u8,
}

impl KeyId {
    /// The longest id, in bytes: the nonce less 6 (RFC 8613 §3.3).
    pub const MAX: usize = 7;

    /// An id of these bytes; none when there are more than [`KeyId::MAX`].
    pub fn new(bytes: &[u8]) -> Option<KeyId> {
        let mut id = KeyId::default();
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        id.len = bytes.len() as u8;
        Some(id)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.as_bytes(), f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.as_bytes(), f)
    }
}

/// An ID Context, the `kid context` of messages: 0 to 64 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdContext(Box<[u8]>);

impl IdContext {
    /// The longest ID Context that is taken, in bytes.
    pub const MAX: usize = 64;

    /// An ID Context of these bytes; none when there are more than [`IdContext::MAX`].
    pub fn new(bytes: &[u8]) -> Option<IdContext> {
        (bytes.len() <= IdContext::MAX).then(|| IdContext(Box::from(bytes)))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for IdContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for IdContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fit_and_one_more_does_not() {
        let id = KeyId::new(&[1; KeyId::MAX]).expect("the longest");
        assert_eq!(id.as_bytes(), [1; KeyId::MAX]);
        assert_eq!(KeyId::new(&[1; KeyId::MAX + 1]), None);
        assert_ne!(KeyId::new(&[0]), KeyId::new(&[]));
        assert!(IdContext::new(&[1; IdContext::MAX]).is_some());
        assert_eq!(IdContext::new(&[1; IdContext::MAX + 1]), None);
    }
}
