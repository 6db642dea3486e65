//! Bytes that nobody sees.

use std::fmt;

use zeroize::Zeroizing;

/// A key: compared in constant time, wiped when it goes, and never printed.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<Box<[u8]>>);

impl SecretKey {
    /// The longest pre-shared key and master secret, in bytes (LwM2M Core 1.2.2 §E.1).
    pub const MAX: usize = 64;

    /// A pre-shared key shorter than this is taken with a warning, in bytes.
    pub const STRONG: usize = 16;

    /// Takes 1 to [`SecretKey::MAX`] bytes; none for any other number.
    pub fn new(bytes: &[u8]) -> Option<SecretKey> {
        let fits = (1..=SecretKey::MAX).contains(&bytes.len());
        fits.then(|| SecretKey(Zeroizing::new(bytes.into())))
    }

    /// The bytes, for a handshake.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &SecretKey) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_1_to_64_bytes_and_is_never_printed() {
        assert_eq!(SecretKey::new(b""), None);
        assert_eq!(SecretKey::new(&[0; 65]), None);
        let key = SecretKey::new(&[0x41; 64]).expect("a key");
        assert_eq!(key.expose(), [0x41; 64]);
        assert_eq!(format!("{key:?}"), "SecretKey(…)");
        assert_ne!(Some(key), SecretKey::new(&[0x41; 63]));
    }
}
