//! Reads the JSON of a SenML pack, record by record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::cbor_reader::Datum;
use super::scalar::Scalar;
use super::senml_fields::{Fields, Label, Refusal, UnknownLabel};
use super::{DecodeError, NESTING_MAX};
use crate::ContentFormat;
use crate::value_text::base64_lenient;

/// How deep the value of a label lies: in a record in an array.
const VALUE_DEPTH: usize = 3;

/// What takes the records, one by one.
type Take<'t, 'a> = &'t mut dyn FnMut(Fields<'a>) -> Result<(), Refusal>;

/// Reads the records of a pack and gives them to `take` one by one.
///
/// Text without escapes borrows from the payload.
pub(super) fn read<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    take: Take<'_, 'a>,
) -> Result<(), DecodeError> {
    let mut stop = None;
    let mut json = serde_json::Deserializer::from_slice(payload);
    let pack = PackSeed {
        take,
        stop: &mut stop,
    };
    if let Err(error) = pack.deserialize(&mut json) {
        let at = offset(payload, &error);
        return Err(match stop {
            Some(Stop::Refused(refusal)) => refusal.at(format, at),
            Some(Stop::TooDeep) => DecodeError::Nesting { format, at },
            None => broken(format, at, &error),
        });
    }
    json.end().map_err(|error| DecodeError::TrailingBytes {
        format,
        at: offset(payload, &error),
    })
}

/// Why we, not the JSON reader, end the reading; kept aside since its error carries text only.
pub(super) enum Stop {
    Refused(Refusal),
    TooDeep,
}

fn stopped<E: serde::de::Error>(stop: &mut Option<Stop>, why: Stop) -> E {
    *stop = Some(why);
    E::custom("refused")
}

fn broken(format: ContentFormat, at: usize, error: &serde_json::Error) -> DecodeError {
    let reason = match error.classify() {
        Category::Eof => return DecodeError::Truncated { format, at },
        Category::Data => "no array of records with plain values",
        Category::Syntax | Category::Io => "no JSON, or a number out of range",
    };
    DecodeError::Malformed { format, at, reason }
}

/// The byte offset of an error that tells line and column.
pub(super) fn offset(payload: &[u8], error: &serde_json::Error) -> usize {
    let lines_above = error.line().saturating_sub(1);
    let above: usize = payload
        .split_inclusive(|&byte| byte == b'\n')
        .take(lines_above)
        .map(<[u8]>::len)
        .sum();
    (above + error.column().saturating_sub(1)).min(payload.len())
}

struct PackSeed<'s, 't, 'a> {
    take: Take<'t, 'a>,
    stop: &'s mut Option<Stop>,
}

impl<'de> DeserializeSeed<'de> for PackSeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PackSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(fields) = records.next_element_seed(RecordSeed { stop: self.stop })? {
            (self.take)(fields).map_err(|refusal| stopped(self.stop, Stop::Refused(refusal)))?;
        }
        Ok(())
    }
}

struct RecordSeed<'s> {
    stop: &'s mut Option<Stop>,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Fields<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut labels: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(text) = labels.next_key_seed(TextSeed)? {
            let taken = match Label::from_text(&text) {
                Some(label) => {
                    let scalar = labels.next_value_seed(ScalarSeed)?;
                    fields.set(label, datum(label, scalar))
                }
                None => {
                    let passed = fields.pass_over(UnknownLabel::Text(text));
                    labels.next_value_seed(SkipSeed {
                        depth: VALUE_DEPTH,
                        stop: self.stop,
                    })?;
                    passed
                }
            };
            taken.map_err(|refusal| stopped(self.stop, Stop::Refused(refusal)))?;
        }
        Ok(fields)
    }
}

/// JSON has no bytes: under `vd` they come as base64.
fn datum(label: Label, scalar: Scalar<'_>) -> Datum<'_> {
    match (label, scalar) {
        (Label::Data, Scalar::Text(text)) => {
            let bytes = base64_lenient(&text)?;
            Ok(Scalar::Bytes(Cow::Owned(bytes)))
        }
        (_, scalar) => Ok(scalar),
    }
}

/// Text, borrowed where it has no escapes.
pub(super) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A datum. Integers stay integers; only what has a fraction, an exponent, or more than 64 bits
/// comes as a float.
pub(super) struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Scalar<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a boolean or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Int(i128::from(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Int(i128::from(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(truth))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }
}

/// Passes over a value that lies `depth` levels deep.
pub(super) struct SkipSeed<'s> {
    pub(super) depth: usize,
    pub(super) stop: &'s mut Option<Stop>,
}

impl SkipSeed<'_> {
    fn deeper(&mut self) -> SkipSeed<'_> {
        SkipSeed {
            depth: self.depth + 1,
            stop: self.stop,
        }
    }
}

impl<'de> DeserializeSeed<'de> for SkipSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.depth > NESTING_MAX {
            return Err(stopped(self.stop, Stop::TooDeep));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SkipSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.deeper())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut labels: A) -> Result<(), A::Error> {
        while labels.next_key_seed(TextSeed)?.is_some() {
            labels.next_value_seed(self.deeper())?;
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
