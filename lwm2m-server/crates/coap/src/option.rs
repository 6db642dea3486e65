//! Option numbers and their rules (RFC 7252 §5.4, §5.10).

use std::fmt;

/// The number of an option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

macro_rules! options {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl OptionNumber {
            $(#[doc = concat!($text, ", ", stringify!($number))]
            pub const $name: OptionNumber = OptionNumber($number);)*

            /// The name of a registered option; empty for others.
            pub const fn name(self) -> &'static str {
                match self {
                    $(OptionNumber::$name => $text,)*
                    _ => "",
                }
            }
        }
    };
}

options! {
    IF_MATCH = 1, "If-Match";
    URI_HOST = 3, "Uri-Host";
    ETAG = 4, "ETag";
    IF_NONE_MATCH = 5, "If-None-Match";
    OBSERVE = 6, "Observe";
    URI_PORT = 7, "Uri-Port";
    LOCATION_PATH = 8, "Location-Path";
    OSCORE = 9, "OSCORE";
    URI_PATH = 11, "Uri-Path";
    CONTENT_FORMAT = 12, "Content-Format";
    MAX_AGE = 14, "Max-Age";
    URI_QUERY = 15, "Uri-Query";
    HOP_LIMIT = 16, "Hop-Limit";
    ACCEPT = 17, "Accept";
    LOCATION_QUERY = 20, "Location-Query";
    BLOCK2 = 23, "Block2";
    BLOCK1 = 27, "Block1";
    SIZE2 = 28, "Size2";
    PROXY_URI = 35, "Proxy-Uri";
    PROXY_SCHEME = 39, "Proxy-Scheme";
    SIZE1 = 60, "Size1";
    ECHO = 252, "Echo";
    NO_RESPONSE = 258, "No-Response";
    REQUEST_TAG = 292, "Request-Tag";
}

impl OptionNumber {
    /// True when a receiver that does not know the option must refuse the message.
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }
}

impl fmt::Debug for OptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "{}", self.0),
            name => f.write_str(name),
        }
    }
}

/// The shortest big-endian form of an unsigned option value.
#[derive(Debug, Clone, Copy)]
pub struct Uint {
    bytes: [u8; 4],
    start: u8,
}

impl Uint {
    /// Encodes a number; zero is the empty value.
    pub const fn new(number: u32) -> Uint {
        Uint {
            bytes: number.to_be_bytes(),
            start: (number.leading_zeros() / 8) as u8,
        }
    }

    /// The bytes, none for zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }

    /// Reads an option value of at most four bytes, leading zeros allowed.
    pub fn decode(value: &[u8]) -> Option<u32> {
        if value.len() > 4 {
            return None;
        }
        Some(
            value
                .iter()
                .fold(0, |number, byte| (number << 8) | u32::from(*byte)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uint_is_shortest_and_reads_leading_zeros() {
        assert_eq!(Uint::new(0).as_bytes(), b"");
        assert_eq!(Uint::new(40).as_bytes(), [40]);
        assert_eq!(Uint::new(11542).as_bytes(), [0x2d, 0x16]);
        assert_eq!(Uint::new(u32::MAX).as_bytes(), [0xff; 4]);
        assert_eq!(Uint::decode(&[0, 0, 1]), Some(1));
        assert_eq!(Uint::decode(&[0; 5]), None);
    }
}
