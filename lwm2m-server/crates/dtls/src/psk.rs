//! A pre-shared key.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A pre-shared key: 1 to [`Psk::BYTES_MAX`] bytes, cleared from memory on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Psk {
    bytes: Box<[u8]>,
    label: u64,
}

/// Why bytes are no pre-shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pre-shared key has 1 to {max} bytes, not {found}", max = Psk::BYTES_MAX)]
pub struct PskError {
    /// How many bytes there are.
    pub found: usize,
}

impl Psk {
    /// The longest key that every stack takes (RFC 4279 §5.3), in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Takes the bytes of a key.
    ///
    /// # Errors
    /// When there are none, or more than [`Psk::BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Result<Psk, PskError> {
        match bytes.len() {
            1..=Psk::BYTES_MAX => Ok(Psk {
                bytes: bytes.into(),
                label: 0,
            }),
            found => Err(PskError { found }),
        }
    }

    /// Gives the key a number of the application's, which says later which of two keys of one
    /// identity a peer has proved itself by ([`Peer::key_label`](crate::Peer::key_label)).
    pub fn labelled(mut self, label: u64) -> Psk {
        self.label = label;
        self
    }

    pub(crate) fn label(&self) -> u64 {
        self.label
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Psk(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_length_and_is_not_printed() {
        assert_eq!(Psk::new(&[]), Err(PskError { found: 0 }));
        assert!(Psk::new(&[7; 64]).is_ok());
        assert_eq!(Psk::new(&[7; 65]), Err(PskError { found: 65 }));
        assert_eq!(
            format!("{:?}", Psk::new(b"secret").expect("key")),
            "Psk(..)"
        );
    }
}
