//! The sum that tells one content of a file from another.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

/// SHA-256 of a content with its line ends as LF, in hexadecimal.
///
/// Checkouts may have CRLF where the registry has LF; to XML it is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum(String);

impl Sum {
    /// The sum of a content of which the line ends are LF already.
    pub(super) fn of(normalised: &[u8]) -> Sum {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(normalised) {
            // Into a String: cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Sum(text)
    }

    /// Takes what [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Option<Sum> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_sum = text.len() == 64 && text.bytes().all(is_digit);
        is_sum.then(|| Sum(text.to_owned()))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same content with LF where it had CRLF.
pub(super) fn normalised(content: Vec<u8>) -> Vec<u8> {
    if !content.contains(&b'\r') {
        return content;
    }
    let mut following = content.iter().skip(1).chain([&0]);
    let mut kept = content.clone();
    kept.retain(|byte| {
        let next = following.next().copied().unwrap_or_default();
        !(*byte == b'\r' && next == b'\n')
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_make_no_difference() {
        let sum = |content: &[u8]| Sum::of(&normalised(content.to_vec()));
        assert_eq!(sum(b"a\r\nb\r\n"), sum(b"a\nb\n"));
        assert_ne!(sum(b"a\nb\n"), sum(b"ab\n"));
        assert_eq!(normalised(b"\ra\r\r\n\r".to_vec()), b"\ra\r\n\r");
        assert_eq!(normalised(b"\r\n\n\r\n".to_vec()), b"\n\n\n");
    }

    #[test]
    fn is_sha256_in_hexadecimal() {
        // FIPS 180-2, B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sum::of(b"abc").to_string(), expected);
        assert_eq!(Sum::parse(expected), Some(Sum::of(b"abc")));
        assert_eq!(Sum::parse(&expected.to_uppercase()), None);
        assert_eq!(Sum::parse(&expected[1..]), None);
    }
}
