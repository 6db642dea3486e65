//! Tokens.

use std::fmt;

/// A token of 0 to 8 bytes, or an extended one of up to [`Token::MAX`] bytes (RFC 8974).
///
/// Ours are 8 bytes at most; longer ones only come from peers and are echoed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
