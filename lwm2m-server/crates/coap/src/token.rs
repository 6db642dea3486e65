//! Tokens.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A token of 0 to 8 bytes, or an extended one of up to [`Token::MAX`] bytes (RFC 8974).
///
/// Ours are 8 bytes at most; longer ones only come from peers and are echoed. A map with tokens as
/// keys can be asked for the bytes of a message's token.
#[derive(Clone, Copy)]
pub struct Token {
    bytes: [u8; Token::MAX],
    len: u8,
}

impl Token {
    /// The longest token that is accepted from a peer, in bytes.
    pub const MAX: usize = 64;

    /// The token of zero bytes.
    pub const EMPTY: Token = Token {
        bytes: [0; Token::MAX],
        len: 0,
    };

    /// A token of these bytes; none when there are more than [`Token::MAX`].
    pub fn new(bytes: &[u8]) -> Option<Token> {
        let mut token = Token::EMPTY;
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        token.len = bytes.len() as u8;
        Some(token)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Token {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_longest_fits_and_one_more_does_not() {
        let longest = Token::new(&[1; Token::MAX]).expect("the longest");
        assert_eq!(longest.as_bytes(), [1; Token::MAX]);
        assert_eq!(Token::new(&[1; Token::MAX + 1]), None);
        assert_ne!(Token::new(&[0]), Some(Token::EMPTY));
    }

    #[test]
    fn maps_are_asked_by_bytes() {
        let token = Token::new(&[0x4a, 0x17]).expect("a token");
        assert_eq!(token.to_string(), "4a17");
        let map = HashMap::from([(token, 1)]);
        assert_eq!(map.get(&[0x4a, 0x17][..]), Some(&1));
        assert_eq!(map.get(&[0x4a][..]), None);
    }
}
