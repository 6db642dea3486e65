//! Option numbers, their rules, and how they lie in a message (RFC 7252 §3.1, §5.4, §5.10).

use std::fmt;

use crate::Code;
use crate::message::ParseErrorKind;

/// The number of an option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

macro_rules! options {
    ($($name:ident = $number:literal, $text:literal, $times:ident $min:literal..=$max:literal;)*) => {
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

            /// The rules of a registered option; none for others.
            pub const fn format(self) -> Option<OptionFormat> {
                match self {
                    $(OptionNumber::$name => Some(OptionFormat {
                        repeatable: Times::$times.repeatable(),
                        min: $min,
                        max: $max,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

options! {
    IF_MATCH = 1, "If-Match", Many 0..=8;
    URI_HOST = 3, "Uri-Host", Once 1..=255;
    ETAG = 4, "ETag", Many 1..=8;
    IF_NONE_MATCH = 5, "If-None-Match", Once 0..=0;
    OBSERVE = 6, "Observe", Once 0..=3;
    URI_PORT = 7, "Uri-Port", Once 0..=2;
    LOCATION_PATH = 8, "Location-Path", Many 0..=255;
    OSCORE = 9, "OSCORE", Once 0..=255;
    URI_PATH = 11, "Uri-Path", Many 0..=255;
    CONTENT_FORMAT = 12, "Content-Format", Once 0..=2;
    MAX_AGE = 14, "Max-Age", Once 0..=4;
    URI_QUERY = 15, "Uri-Query", Many 0..=255;
    HOP_LIMIT = 16, "Hop-Limit", Once 1..=1;
    ACCEPT = 17, "Accept", Once 0..=2;
    Q_BLOCK1 = 19, "Q-Block1", Once 0..=3;
    LOCATION_QUERY = 20, "Location-Query", Many 0..=255;
    EDHOC = 21, "EDHOC", Once 0..=0;
    BLOCK2 = 23, "Block2", Once 0..=3;
    BLOCK1 = 27, "Block1", Once 0..=3;
    SIZE2 = 28, "Size2", Once 0..=4;
    Q_BLOCK2 = 31, "Q-Block2", Many 0..=3;
    PROXY_URI = 35, "Proxy-Uri", Once 1..=1034;
    PROXY_SCHEME = 39, "Proxy-Scheme", Once 1..=255;
    SIZE1 = 60, "Size1", Once 0..=4;
    ECHO = 252, "Echo", Once 1..=40;
    NO_RESPONSE = 258, "No-Response", Once 0..=1;
    REQUEST_TAG = 292, "Request-Tag", Many 0..=8;
}

impl OptionNumber {
    /// The longest value that an option can have in a message, in bytes.
    pub const VALUE_MAX: usize = 65804;

    /// True for Block1 and Block2.
    pub(crate) const fn is_block(self) -> bool {
        matches!(self, OptionNumber::BLOCK1 | OptionNumber::BLOCK2)
    }

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

/// How often an option may come, and how long its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionFormat {
    /// True when the option may come more than once.
    pub repeatable: bool,
    /// The shortest value, in bytes.
    pub min: u16,
    /// The longest value, in bytes.
    pub max: u16,
}

impl OptionFormat {
    /// True for a length within the bounds.
    pub const fn allows(&self, length: usize) -> bool {
        self.min as usize <= length && length <= self.max as usize
    }
}

/// The column "repeatable" of the table above.
enum Times {
    Once,
    Many,
}

impl Times {
    const fn repeatable(self) -> bool {
        matches!(self, Times::Many)
    }
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionRef<'d> {
    /// The number.
    pub number: OptionNumber,
    /// The value.
    pub value: &'d [u8],
}

impl<'d> OptionRef<'d> {
    /// Reads the option at the start of `bytes`, `last` being the number of the one before.
    #[inline]
    pub(crate) fn split_from(
        last: u16,
        bytes: &'d [u8],
    ) -> Result<(OptionRef<'d>, &'d [u8]), ParseErrorKind> {
        let [nibbles, rest @ ..] = bytes else {
            return Err(ParseErrorKind::OptionCut);
        };
        let (delta, rest) = extended(nibbles >> 4, rest, ParseErrorKind::OptionDelta)?;
        let (length, rest) = extended(nibbles & 0xf, rest, ParseErrorKind::OptionLength)?;
        let number =
            u16::try_from(usize::from(last) + delta).map_err(|_| ParseErrorKind::OptionNumber)?;
        let (value, rest) = rest
            .split_at_checked(length)
            .ok_or(ParseErrorKind::OptionCut)?;
        let number = OptionNumber(number);
        Ok((OptionRef { number, value }, rest))
    }

    /// The rules of RFC 7252 §5.4 for one option of a message.
    pub(crate) fn check(
        &self,
        repeated: bool,
        in_request: bool,
        understood: impl Fn(OptionNumber) -> bool,
    ) -> Result<(), OptionFault> {
        let number = self.number;
        if !number.is_critical() {
            return Ok(());
        }
        if in_request && matches!(number, OptionNumber::PROXY_URI | OptionNumber::PROXY_SCHEME) {
            return Err(OptionFault::Proxy);
        }
        if !understood(number) {
            return Err(OptionFault::Unknown(number));
        }
        if let Some(format) = number.format() {
            if !format.allows(self.value.len()) {
                return Err(OptionFault::Length(number));
            }
            if repeated && !format.repeatable {
                return Err(OptionFault::Repeated(number));
            }
        }
        let is_text = matches!(number, OptionNumber::URI_PATH | OptionNumber::URI_QUERY);
        if is_text && std::str::from_utf8(self.value).is_err() {
            return Err(OptionFault::NotText(number));
        }
        Ok(())
    }
}

/// Reads a delta or length: the nibble, or what extends it.
#[inline]
fn extended(
    nibble: u8,
    rest: &[u8],
    reserved: ParseErrorKind,
) -> Result<(usize, &[u8]), ParseErrorKind> {
    match (nibble, rest) {
        (0..=12, _) => Ok((usize::from(nibble), rest)),
        (13, [extra, rest @ ..]) => Ok((usize::from(*extra) + 13, rest)),
        (14, [high, low, rest @ ..]) => {
            Ok((usize::from(u16::from_be_bytes([*high, *low])) + 269, rest))
        }
        (15.., _) => Err(reserved),
        _ => Err(ParseErrorKind::OptionCut),
    }
}

/// The options of a [`Message`](crate::Message) in their order.
#[derive(Debug, Clone)]
pub struct OptionIter<'d> {
    rest: &'d [u8],
    number: u16,
}

impl<'d> OptionIter<'d> {
    /// Over options that have been walked once, without the payload marker.
    pub(crate) fn new(options: &'d [u8]) -> OptionIter<'d> {
        OptionIter {
            rest: options,
            number: 0,
        }
    }
}

impl<'d> Iterator for OptionIter<'d> {
    type Item = OptionRef<'d>;

    #[inline]
    fn next(&mut self) -> Option<OptionRef<'d>> {
        if self.rest.is_empty() {
            return None;
        }
        let (option, rest) = OptionRef::split_from(self.number, self.rest).ok()?;
        self.number = option.number.0;
        self.rest = rest;
        Some(option)
    }
}

/// Why the options of a well-framed message do not let it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionFault {
    /// A critical option that is not understood.
    #[error("critical option {0:?} is not understood")]
    Unknown(OptionNumber),
    /// A critical option of a length that it does not allow.
    #[error("critical option {0:?} has a wrong length")]
    Length(OptionNumber),
    /// A critical option that came twice and must not.
    #[error("critical option {0:?} is repeated")]
    Repeated(OptionNumber),
    /// A path or query that is no UTF-8.
    #[error("option {0:?} is no utf-8")]
    NotText(OptionNumber),
    /// A Block option with the size exponent 7, reserved on datagrams.
    #[error("option {0:?} has the reserved block size")]
    BlockSize(OptionNumber),
    /// A request to forward.
    #[error("this is no proxy")]
    Proxy,
    /// More options than the receiver takes.
    #[error("too many options")]
    TooMany,
}

impl OptionFault {
    /// The response due to a confirmable request: 4.02, 4.00 or 5.05.
    ///
    /// A Non-confirmable request with a fault of 4.02 is dropped, a response with any fault is
    /// rejected (RFC 7252 §5.4.1).
    pub const fn code(&self) -> Code {
        match self {
            OptionFault::Unknown(_) | OptionFault::Length(_) | OptionFault::Repeated(_) => {
                Code::BAD_OPTION
            }
            OptionFault::NotText(_) | OptionFault::BlockSize(_) | OptionFault::TooMany => {
                Code::BAD_REQUEST
            }
            OptionFault::Proxy => Code::PROXYING_NOT_SUPPORTED,
        }
    }

    /// The fault as a fact in lower case, without the option's name.
    pub const fn reason(&self) -> &'static str {
        match self {
            OptionFault::Unknown(_) => "a critical option is not understood",
            OptionFault::Length(_) => "a critical option has a wrong length",
            OptionFault::Repeated(_) => "a critical option is repeated",
            OptionFault::NotText(_) => "a path or query is no utf-8",
            OptionFault::BlockSize(_) => "the block size is reserved",
            OptionFault::Proxy => "this is no proxy",
            OptionFault::TooMany => "too many options",
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
