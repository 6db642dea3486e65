//! Values as text: the form of `text/plain`, and the forms that people write.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, general_purpose};

use crate::codec::parse_rfc3339;
use crate::{DataType, ObjectLink, Value, ValueError};

impl Value<'_> {
    /// Reads what a person writes into a form, a command line or an HTTP request.
    ///
    /// The forms of [`Value::to_text`], and besides: `0` and `1` for a Boolean, a date of RFC 3339
    /// for a Time, base64 without padding or with the URL alphabet for Opaque.
    ///
    /// # Errors
    /// Text that is no `data_type`, or a number outside its range.
    pub fn from_text(data_type: DataType, text: &str) -> Result<Value<'_>, ValueError> {
        match (data_type, text) {
            (DataType::Boolean, "true") => Ok(Value::Boolean(true)),
            (DataType::Boolean, "false") => Ok(Value::Boolean(false)),
            (DataType::Opaque, _) => opaque_lenient(text),
            (DataType::Time, _) => {
                match parse_rfc3339(text) {
                    Some(seconds) => Ok(Value::Time(seconds)),
                    None => integer(DataType::Time, text)
                        .map(Value::Time)
                        .map_err(|error| match error {
                            ValueError::Type { .. } => ValueError::Time,
                            other => other,
                        }),
                }
            }
            _ => from_plain(data_type, text),
        }
    }

    /// The value as text: decimal numbers without exponent, `true` or `false`, padded base64 of
    /// the standard alphabet, seconds since 1970, `object:instance`.
    ///
    /// Not finite floats and [`Value::Null`] have names (`NaN`, `inf`, `null`) that
    /// [`Value::from_text`] refuses.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Value::String(text) | Value::CoreLink(text) => Cow::Borrowed(text),
            Value::Integer(number) | Value::Time(number) => Cow::Owned(number.to_string()),
            Value::Unsigned(number) => Cow::Owned(number.to_string()),
            Value::Float(number) => Cow::Owned(number.to_string()),
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
            Value::Opaque(bytes) => Cow::Owned(STANDARD.encode(bytes)),
            Value::ObjectLink(link) => Cow::Owned(link.to_string()),
            Value::Null => Cow::Borrowed("null"),
        }
    }
}

/// Reads the form of `text/plain` (Core 1.2.2 §7.4.1), and no other.
pub(crate) fn from_plain(data_type: DataType, text: &str) -> Result<Value<'_>, ValueError> {
    let expected = data_type;
    Ok(match data_type {
        DataType::String => Value::String(Cow::Borrowed(text)),
        DataType::CoreLink => Value::CoreLink(Cow::Borrowed(text)),
        DataType::Integer => Value::Integer(integer(expected, text)?),
        DataType::Time => Value::Time(integer(expected, text)?),
        DataType::Unsigned => Value::Unsigned(unsigned(text)?),
        DataType::Float => Value::Float(float(text)?),
        DataType::Boolean => match text {
            "0" => Value::Boolean(false),
            "1" => Value::Boolean(true),
            _ => return Err(ValueError::Type { expected }),
        },
        DataType::Opaque => Value::Opaque(Cow::Owned(
            STANDARD.decode(text).map_err(|_| ValueError::Base64)?,
        )),
        DataType::ObjectLink => Value::ObjectLink(text.parse::<ObjectLink>()?),
    })
}

/// Reads base64 of either alphabet, with padding or without.
pub(crate) fn base64_lenient(text: &str) -> Result<Vec<u8>, ValueError> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD_ANY: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_ANY: GeneralPurpose =
        general_purpose::GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    let url = text.bytes().any(|b| b == b'-' || b == b'_');
    let engine = if url { URL_ANY } else { STANDARD_ANY };
    engine.decode(text).map_err(|_| ValueError::Base64)
}

fn opaque_lenient(text: &str) -> Result<Value<'_>, ValueError> {
    Ok(Value::Opaque(Cow::Owned(base64_lenient(text)?)))
}

fn integer(expected: DataType, text: &str) -> Result<i64, ValueError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !is_digits(digits) {
        return Err(ValueError::Type { expected });
    }
    // Only digits are left, so what fails now is the range.
    text.parse().map_err(|_| ValueError::Range { expected })
}

fn unsigned(text: &str) -> Result<u64, ValueError> {
    let expected = DataType::Unsigned;
    match text.strip_prefix('-') {
        Some(digits) if is_digits(digits) => return Err(ValueError::Range { expected }),
        _ if !is_digits(text) => return Err(ValueError::Type { expected }),
        _ => {}
    }
    text.parse().map_err(|_| ValueError::Range { expected })
}

/// A decimal number; an exponent is read because some devices send one.
fn float(text: &str) -> Result<f64, ValueError> {
    let expected = DataType::Float;
    let number = parse_decimal(text).ok_or(ValueError::Type { expected })?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(ValueError::Range { expected })
    }
}

/// A decimal number with an optional `-`, fraction and exponent; the words for what is no number
/// and a leading `+` are none.
pub(crate) fn parse_decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain || text.starts_with('+') {
        return None;
    }
    text.parse().ok()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPES: [DataType; 9] = [
        DataType::String,
        DataType::Integer,
        DataType::Unsigned,
        DataType::Float,
        DataType::Boolean,
        DataType::Opaque,
        DataType::Time,
        DataType::ObjectLink,
        DataType::CoreLink,
    ];

    #[test]
    fn reads_what_people_write() {
        for (data_type, text, value) in [
            (DataType::Boolean, "true", Value::Boolean(true)),
            (DataType::Boolean, "0", Value::Boolean(false)),
            (
                DataType::Time,
                "2023-11-14T22:13:20Z",
                Value::Time(1_700_000_000),
            ),
            (DataType::Time, "-5", Value::Time(-5)),
            (
                DataType::Opaque,
                "-_8A_g",
                Value::Opaque(vec![0xfb, 0xff, 0, 0xfe].into()),
            ),
            (
                DataType::Opaque,
                "+/8A/g==",
                Value::Opaque(vec![0xfb, 0xff, 0, 0xfe].into()),
            ),
            (DataType::Float, "1.0E10", Value::Float(1e10)),
        ] {
            assert_eq!(Value::from_text(data_type, text), Ok(value), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_text() {
        let type_error = |expected| ValueError::Type { expected };
        let range = |expected| ValueError::Range { expected };
        for (data_type, text, error) in [
            (DataType::Integer, "+5", type_error(DataType::Integer)),
            (
                DataType::Integer,
                "9223372036854775808",
                range(DataType::Integer),
            ),
            (DataType::Unsigned, "-1", range(DataType::Unsigned)),
            (DataType::Unsigned, "", type_error(DataType::Unsigned)),
            (DataType::Float, "NaN", type_error(DataType::Float)),
            (DataType::Float, "1e999", range(DataType::Float)),
            (DataType::Float, "-", type_error(DataType::Float)),
            (DataType::Boolean, "yes", type_error(DataType::Boolean)),
            (DataType::Time, "tomorrow", ValueError::Time),
            (DataType::Time, "9223372036854775808", range(DataType::Time)),
            (DataType::Opaque, "?", ValueError::Base64),
            (DataType::ObjectLink, "3", ValueError::ObjectLink),
        ] {
            assert_eq!(Value::from_text(data_type, text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_comes_back(integer: i64, unsigned: u64, float in proptest::num::f64::NORMAL,
            truth: bool, bytes: Vec<u8>, text: String, object: u16, instance: u16) {
            for value in [
                Value::Integer(integer),
                Value::Time(integer),
                Value::Unsigned(unsigned),
                Value::Float(float),
                Value::Boolean(truth),
                Value::Opaque(Cow::Borrowed(&bytes)),
                Value::String(Cow::Borrowed(&text)),
                Value::CoreLink(Cow::Borrowed(&text)),
                Value::ObjectLink(ObjectLink { object, instance }),
            ] {
                let data_type = value.data_type().expect("no null here");
                let written = value.to_text();
                prop_assert_eq!(Value::from_text(data_type, &written), Ok(value.borrowed()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            for data_type in TYPES {
                if let Ok(value) = Value::from_text(data_type, &text) {
                    prop_assert_eq!(value.data_type(), Some(data_type));
                }
            }
        }
    }
}
