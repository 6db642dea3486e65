//! The value of the OSCORE option (RFC 8613 §6.1).
//!
//! ```text
//!   0 0 0 h k n n n   flags; absent when all is absent
//!   Partial IV        n bytes
//!   s, kid context    when h: one byte of length, then s bytes
//!   kid               when k: the rest
//! ```

use crate::PartialIv;

/// The OSCORE option, as it lies in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OscoreOption<'d> {
    /// The sequence number of the sender.
    pub partial_iv: Option<PartialIv>,
    /// The ID Context, of any length.
    pub kid_context: Option<&'d [u8]>,
    /// The Sender ID of the sender, of any length.
    pub kid: Option<&'d [u8]>,
}

impl<'d> OscoreOption<'d> {
    /// Reads an option value.
    ///
    /// # Errors
    /// Reserved bits or lengths, fields that are cut, a Partial IV that is not in its shortest
    /// form, bytes behind the last field.
    pub fn decode(value: &'d [u8]) -> Result<OscoreOption<'d>, HeaderError> {
        let Some((flags, rest)) = value.split_first() else {
            return Ok(OscoreOption::default());
        };
        if flags & 0xe0 != 0 {
            return Err(HeaderError::Reserved);
        }
        if *flags == 0 {
            // All absent is the empty value.
            return Err(HeaderError::Excess);
        }
        let (partial_iv, rest) = match flags & 7 {
            0 => (None, rest),
            len @ 1..=5 => {
                let (bytes, rest) = take(rest, usize::from(len))?;
                let number = PartialIv::decode(bytes).ok_or(HeaderError::PartialIv)?;
                (Some(number), rest)
            }
            _ => return Err(HeaderError::Reserved),
        };
        let (kid_context, rest) = match (flags & 0x10, rest) {
            (0, _) => (None, rest),
            (_, [len, rest @ ..]) => {
                let (context, rest) = take(rest, usize::from(*len))?;
                (Some(context), rest)
            }
            _ => return Err(HeaderError::Cut),
        };
        let kid = match (flags & 8, rest) {
            (0, []) => None,
            (0, _) => return Err(HeaderError::Excess),
            _ => Some(rest),
        };
        Ok(OscoreOption {
            partial_iv,
            kid_context,
            kid,
        })
    }

    /// Appends the option value. A `kid_context` of more than 255 bytes is left out: none of
    /// ours is that long.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kid_context = self
            .kid_context
            .and_then(|context| Some((u8::try_from(context.len()).ok()?, context)));
        let (partial_iv, len) = match self.partial_iv {
            Some(number) => number.encode(),
            None => ([0; 5], 0),
        };
        let flags =
            len as u8 | u8::from(self.kid.is_some()) << 3 | u8::from(kid_context.is_some()) << 4;
        if flags == 0 {
            return;
        }
        out.push(flags);
        out.extend_from_slice(&partial_iv[..len]);
        if let Some((len, context)) = kid_context {
            out.push(len);
            out.extend_from_slice(context);
        }
        out.extend_from_slice(self.kid.unwrap_or_default());
    }
}

fn take(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), HeaderError> {
    bytes.split_at_checked(len).ok_or(HeaderError::Cut)
}

/// Why bytes are no OSCORE option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A reserved flag, or a Partial IV length of 6 or 7.
    #[error("a reserved flag or length")]
    Reserved,
    /// A field overruns the value.
    #[error("a field is cut")]
    Cut,
    /// Leading zeros.
    #[error("the partial iv is not in its shortest form")]
    PartialIv,
    /// Bytes that belong to no field.
    #[error("bytes behind the last field")]
    Excess,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn option<'d>(
        number: Option<u64>,
        kid_context: Option<&'d [u8]>,
        kid: Option<&'d [u8]>,
    ) -> OscoreOption<'d> {
        OscoreOption {
            partial_iv: number.and_then(PartialIv::new),
            kid_context,
            kid,
        }
    }

    #[test]
    fn values_are_those_of_rfc_8613_section_6_3() {
        for (value, expected) in [
            (&[][..], option(None, None, None)),
            (&[0x09, 0x05, 0x25], option(Some(5), None, Some(&[0x25]))),
            (&[0x09, 0x14], option(Some(0x14), None, Some(&[]))),
            (
                &[0x19, 0x05, 0x05, b'H', b'e', b'l', b'l', b'o', 0x25],
                option(Some(5), Some(b"Hello"), Some(&[0x25])),
            ),
            (&[0x01, 0x07], option(Some(7), None, None)),
        ] {
            assert_eq!(OscoreOption::decode(value), Ok(expected), "{value:02x?}");
            let mut written = Vec::new();
            expected.encode(&mut written);
            assert_eq!(written, value);
        }
    }

    #[test]
    fn refuses_what_is_reserved_cut_or_too_much() {
        for (value, error) in [
            (&[0x20][..], HeaderError::Reserved),
            (&[0x80], HeaderError::Reserved),
            (&[0x06, 1, 1, 1, 1, 1, 1], HeaderError::Reserved),
            (&[0x07, 1, 1, 1, 1, 1, 1, 1], HeaderError::Reserved),
            (&[0x02, 1], HeaderError::Cut),
            (&[0x10], HeaderError::Cut),
            (&[0x10, 2, 1], HeaderError::Cut),
            (&[0x02, 0, 1], HeaderError::PartialIv),
            (&[0x01, 1, 1], HeaderError::Excess),
            (&[0x00], HeaderError::Excess),
        ] {
            assert_eq!(OscoreOption::decode(value), Err(error), "{value:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(value in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(option) = OscoreOption::decode(&value) {
                let mut written = Vec::new();
                option.encode(&mut written);
                prop_assert_eq!(written, value);
            }
        }
    }
}
