//! Reads CBOR items (RFC 8949) for the formats built on them.

use std::borrow::Cow;

use minicbor::Decoder;
use minicbor::data::Type;

use super::scalar::Scalar;
use super::{DecodeError, NESTING_MAX};
use crate::{ContentFormat, ValueError};

/// A well-formed item, or why it is no value that LwM2M knows.
pub(super) type Datum<'a> = Result<Scalar<'a>, ValueError>;

/// The items of a payload, in order.
///
/// Announced lengths are never trusted: nothing is allocated ahead, and text and bytes borrow from
/// the payload unless they come in several chunks.
pub(super) struct Reader<'a> {
    format: ContentFormat,
    decoder: Decoder<'a>,
}

/// How many items of an array, or pairs of a map, are still to come.
pub(super) enum Remaining {
    Counted(u64),
    UntilBreak,
}

/// The key of a map.
pub(super) enum Key<'a> {
    Number(i128),
    Text(Cow<'a, str>),
}

impl<'a> Reader<'a> {
    pub(super) fn new(format: ContentFormat, payload: &'a [u8]) -> Reader<'a> {
        Reader {
            format,
            decoder: Decoder::new(payload),
        }
    }

    /// The byte offset of the next item.
    pub(super) fn at(&self) -> usize {
        self.decoder.position()
    }

    /// Starts an array.
    pub(super) fn array(&mut self, reason: &'static str) -> Result<Remaining, DecodeError> {
        let at = self.at();
        let length = self.decoder.array();
        self.remaining(at, length, reason)
    }

    /// Starts a map.
    pub(super) fn map(&mut self, reason: &'static str) -> Result<Remaining, DecodeError> {
        let at = self.at();
        let length = self.decoder.map();
        self.remaining(at, length, reason)
    }

    /// True when another item of this array, or pair of this map, follows.
    pub(super) fn another(&mut self, remaining: &mut Remaining) -> Result<bool, DecodeError> {
        match remaining {
            Remaining::Counted(0) => Ok(false),
            Remaining::Counted(left) => {
                *left -= 1;
                Ok(true)
            }
            Remaining::UntilBreak => {
                let more = self.kind()? != Type::Break;
                if !more {
                    self.decoder.set_position(self.at() + 1);
                }
                Ok(more)
            }
        }
    }

    /// The type of the next item.
    pub(super) fn kind(&self) -> Result<Type, DecodeError> {
        let at = self.at();
        self.decoder
            .datatype()
            .map_err(|error| self.refusal(at, &error, "no CBOR item"))
    }

    /// A map key: a number or text.
    pub(super) fn key(&mut self) -> Result<Key<'a>, DecodeError> {
        match self.kind()? {
            Type::String | Type::StringIndef => match self.text()? {
                Ok(text) => Ok(Key::Text(text)),
                Err(_) => Err(self.malformed(self.at(), "a label that is not UTF-8")),
            },
            kind if is_integer(kind) => self.integer().map(Key::Number),
            _ => Err(self.malformed(self.at(), "a label is a number or text")),
        }
    }

    /// One datum: no array, no map, no `undefined`.
    pub(super) fn scalar(&mut self) -> Result<Datum<'a>, DecodeError> {
        let at = self.at();
        for _ in 0..=NESTING_MAX {
            if self.kind()? != Type::Tag {
                return self.untagged();
            }
            let tag_at = self.at();
            let tag = self.decoder.tag();
            let tag = tag.map_err(|error| self.refusal(tag_at, &error, "no tag"))?;
            match tag.as_u64() {
                0 => return self.date(),
                1 => return self.seconds(),
                2 => return self.bignum(false),
                3 => return self.bignum(true),
                4 => return self.fraction(10),
                5 => return self.fraction(2),
                // Any other tag says something about the item that LwM2M does not need.
                _ => {}
            }
        }
        Err(self.too_deep(at))
    }

    /// Passes over an item that lies `depth` levels deep.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), DecodeError> {
        let at = self.at();
        match self.kind()? {
            _ if depth > NESTING_MAX => Err(self.too_deep(at)),
            Type::Array | Type::ArrayIndef => {
                let mut remaining = self.array("no array")?;
                while self.another(&mut remaining)? {
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Type::Map | Type::MapIndef => {
                let mut remaining = self.map("no map")?;
                while self.another(&mut remaining)? {
                    self.skip(depth + 1)?;
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Type::Tag => {
                let tag = self.decoder.tag();
                tag.map_err(|error| self.refusal(at, &error, "no tag"))?;
                self.skip(depth + 1)
            }
            Type::Break | Type::Unknown(_) => Err(self.malformed(at, "no CBOR item")),
            _ => self
                .decoder
                .skip()
                .map_err(|error| self.refusal(at, &error, "no CBOR item")),
        }
    }

    /// Refuses bytes after the last item.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        let at = self.at();
        if at < self.decoder.input().len() {
            return Err(DecodeError::TrailingBytes {
                format: self.format,
                at,
            });
        }
        Ok(())
    }

    pub(super) fn malformed(&self, at: usize, reason: &'static str) -> DecodeError {
        DecodeError::Malformed {
            format: self.format,
            at,
            reason,
        }
    }

    /// An integer of CBOR's own range, -2^64 to 2^64 - 1.
    pub(super) fn integer(&mut self) -> Result<i128, DecodeError> {
        let at = self.at();
        self.decoder
            .int()
            .map(i128::from)
            .map_err(|error| self.refusal(at, &error, "no integer"))
    }

    /// Text; in several chunks when its length was not known ahead.
    pub(super) fn text(&mut self) -> Result<Result<Cow<'a, str>, ValueError>, DecodeError> {
        if self.kind()? != Type::StringIndef {
            return Ok(self.text_chunk()?.map(Cow::Borrowed));
        }
        self.decoder.set_position(self.at() + 1);
        let mut whole = Ok(Cow::Borrowed(""));
        while self.kind()? != Type::Break {
            let chunk = self.text_chunk()?;
            whole = match (whole, chunk) {
                (Ok(text), Ok(chunk)) => Ok(text + chunk),
                _ => Err(ValueError::Utf8),
            };
        }
        self.decoder.set_position(self.at() + 1);
        Ok(whole)
    }

    fn text_chunk(&mut self) -> Result<Result<&'a str, ValueError>, DecodeError> {
        let at = self.at();
        if self.kind()? != Type::String {
            return Err(self.malformed(at, "text of something else than text"));
        }
        match self.decoder.str() {
            Ok(text) => Ok(Ok(text)),
            Err(error) if error.is_end_of_input() => Err(self.truncated(at)),
            // The whole chunk is consumed nevertheless: the payload can be read on.
            Err(_) => Ok(Err(ValueError::Utf8)),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        if self.kind()? != Type::BytesIndef {
            return self.bytes_chunk().map(Cow::Borrowed);
        }
        self.decoder.set_position(self.at() + 1);
        let mut whole: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        while self.kind()? != Type::Break {
            let chunk = self.bytes_chunk()?;
            if whole.is_empty() {
                whole = Cow::Borrowed(chunk);
            } else {
                whole.to_mut().extend_from_slice(chunk);
            }
        }
        self.decoder.set_position(self.at() + 1);
        Ok(whole)
    }

    fn bytes_chunk(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.at();
        self.decoder
            .bytes()
            .map_err(|error| self.refusal(at, &error, "a byte string is expected"))
    }

    fn untagged(&mut self) -> Result<Datum<'a>, DecodeError> {
        let at = self.at();
        match self.kind()? {
            Type::String | Type::StringIndef => Ok(self.text()?.map(Scalar::Text)),
            Type::Bytes | Type::BytesIndef => Ok(Ok(Scalar::Bytes(self.bytes()?))),
            kind if is_integer(kind) => Ok(Ok(Scalar::Int(self.integer()?))),
            kind if is_float(kind) => Ok(Ok(Scalar::Float(self.float()?))),
            Type::Bool => {
                let truth = self.decoder.bool();
                let truth = truth.map_err(|error| self.refusal(at, &error, "no boolean"))?;
                Ok(Ok(Scalar::Bool(truth)))
            }
            Type::Null => {
                self.decoder.set_position(at + 1);
                Ok(Ok(Scalar::Null))
            }
            _ => Err(self.malformed(at, "an item that is no value")),
        }
    }

    pub(super) fn float(&mut self) -> Result<f64, DecodeError> {
        let at = self.at();
        self.decoder
            .f64()
            .map_err(|error| self.refusal(at, &error, "no float"))
    }

    fn remaining(
        &self,
        at: usize,
        length: Result<Option<u64>, minicbor::decode::Error>,
        reason: &'static str,
    ) -> Result<Remaining, DecodeError> {
        match length {
            Ok(Some(length)) => Ok(Remaining::Counted(length)),
            Ok(None) => Ok(Remaining::UntilBreak),
            Err(error) => Err(self.refusal(at, &error, reason)),
        }
    }

    fn refusal(
        &self,
        at: usize,
        error: &minicbor::decode::Error,
        reason: &'static str,
    ) -> DecodeError {
        if error.is_end_of_input() {
            self.truncated(at)
        } else {
            self.malformed(at, reason)
        }
    }

    fn truncated(&self, at: usize) -> DecodeError {
        DecodeError::Truncated {
            format: self.format,
            at,
        }
    }

    fn too_deep(&self, at: usize) -> DecodeError {
        DecodeError::Nesting {
            format: self.format,
            at,
        }
    }
}

pub(super) fn is_integer(kind: Type) -> bool {
    matches!(
        kind,
        Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int
    )
}

pub(super) fn is_float(kind: Type) -> bool {
    matches!(kind, Type::F16 | Type::F32 | Type::F64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::codec) fn scalar(bytes: &[u8]) -> Result<Datum<'_>, DecodeError> {
        let mut reader = Reader::new(ContentFormat::Cbor, bytes);
        let datum = reader.scalar()?;
        reader.finish()?;
        Ok(datum)
    }

    #[test]
    fn integers_reach_both_ends_of_the_range() {
        let max = [0x1b, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(scalar(&max), Ok(Ok(Scalar::Int(i128::from(u64::MAX)))));
        let min = [0x3b, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(scalar(&min), Ok(Ok(Scalar::Int(-1 - i128::from(u64::MAX)))));
        // The same as bignums, with a leading zero.
        let big = [0xc2, 0x49, 0, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(scalar(&big), Ok(Ok(Scalar::Int(i128::from(u64::MAX)))));
        let bigger = [0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(scalar(&bigger), Ok(Err(_))));
        assert_eq!(scalar(&[0xc3, 0x41, 9]), Ok(Ok(Scalar::Int(-10))));
    }

    #[test]
    fn other_tags_are_passed_over_up_to_the_limit() {
        let mut bytes = vec![0xd8, 0x2a, 0x01];
        assert_eq!(scalar(&bytes), Ok(Ok(Scalar::Int(1))));
        bytes = [0xc6].repeat(NESTING_MAX);
        bytes.push(1);
        assert_eq!(scalar(&bytes), Ok(Ok(Scalar::Int(1))));
        bytes.insert(0, 0xc6);
        assert!(matches!(scalar(&bytes), Err(DecodeError::Nesting { .. })));
    }

    #[test]
    fn text_and_bytes_come_whole_or_in_chunks() {
        assert!(matches!(
            scalar(&[0x62, b'a', b'b']),
            Ok(Ok(Scalar::Text(Cow::Borrowed("ab"))))
        ));
        assert!(matches!(
            scalar(&[0x7f, 0x62, b'a', b'b', 0xff]),
            Ok(Ok(Scalar::Text(Cow::Borrowed("ab"))))
        ));
        assert_eq!(
            scalar(&[0x5f, 0x41, 1, 0x40, 0x41, 2, 0xff]),
            Ok(Ok(Scalar::Bytes(Cow::Owned(vec![1, 2]))))
        );
        // Text that is not UTF-8 spoils the value, not the payload.
        assert_eq!(scalar(&[0x61, 0xff]), Ok(Err(ValueError::Utf8)));
        assert_eq!(
            scalar(&[0x7f, 0x61, 0xff, 0x61, b'a', 0xff]),
            Ok(Err(ValueError::Utf8))
        );
        // Chunks of the other kind, chunks in chunks, no end.
        for bytes in [
            &[0x7f, 0x41, 1, 0xff][..],
            &[0x5f, 0x61, b'a', 0xff],
            &[0x7f, 0x7f, 0xff, 0xff],
            &[0x7f, 0x61, b'a'],
        ] {
            assert!(scalar(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn skipping_stops_at_the_nesting_limit() {
        let nested = |levels: usize| {
            let mut bytes = [0x9f].repeat(levels);
            bytes.extend([0xff].repeat(levels));
            bytes
        };
        let skip = |bytes: &[u8]| Reader::new(ContentFormat::SenmlCbor, bytes).skip(1);
        assert_eq!(skip(&nested(NESTING_MAX)), Ok(()));
        assert!(matches!(
            skip(&nested(NESTING_MAX + 1)),
            Err(DecodeError::Nesting { .. })
        ));
    }
}
