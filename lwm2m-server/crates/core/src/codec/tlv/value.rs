//! The bytes of a value in TLV.

use std::borrow::Cow;

use crate::codec::scalar::without_nul;
use crate::{DataType, ObjectLink, Value, ValueError};

/// Reads a value; TLV does not say its type, so without a model the bytes stay as they are.
pub(super) fn read(expected: Option<DataType>, bytes: &[u8]) -> Result<Value<'_>, ValueError> {
    let Some(expected) = expected else {
        return Ok(Value::Opaque(Cow::Borrowed(bytes)));
    };
    let length = ValueError::Length {
        expected,
        length: bytes.len(),
    };
    Ok(match expected {
        DataType::String => Value::String(without_nul(text(bytes)?)),
        DataType::CoreLink => Value::CoreLink(without_nul(text(bytes)?)),
        DataType::Integer => Value::Integer(signed(bytes).ok_or(length)?),
        DataType::Time => Value::Time(signed(bytes).ok_or(length)?),
        DataType::Unsigned => Value::Unsigned(unsigned(bytes).ok_or(length)?),
        DataType::Float => Value::Float(float(bytes).ok_or(length)?),
        DataType::Boolean => match bytes {
            [0] => Value::Boolean(false),
            [1] => Value::Boolean(true),
            [_] => return Err(ValueError::Range { expected }),
            _ => return Err(length),
        },
        DataType::Opaque => Value::Opaque(Cow::Borrowed(bytes)),
        DataType::ObjectLink => {
            let &[a, b, c, d] = bytes else {
                return Err(length);
            };
            Value::ObjectLink(ObjectLink {
                object: u16::from_be_bytes([a, b]),
                instance: u16::from_be_bytes([c, d]),
            })
        }
    })
}

/// The bytes of a value, ready to be written.
pub(super) enum Bytes<'v> {
    /// The last bytes of a number.
    Number([u8; 8], usize),
    /// Text or bytes.
    Slice(&'v [u8]),
}

impl Bytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Number(bytes, length) => &bytes[8 - length..],
            Bytes::Slice(slice) => slice,
        }
    }
}

/// The bytes of a value, integers in the fewest; none for null.
pub(super) fn bytes<'v>(value: &'v Value<'_>) -> Option<Bytes<'v>> {
    Some(match value {
        Value::String(text) | Value::CoreLink(text) => Bytes::Slice(text.as_bytes()),
        Value::Opaque(bytes) => Bytes::Slice(bytes),
        Value::Integer(number) | Value::Time(number) => {
            Bytes::Number(number.to_be_bytes(), signed_len(*number))
        }
        Value::Unsigned(number) => Bytes::Number(number.to_be_bytes(), unsigned_len(*number)),
        Value::Float(number) => Bytes::Number(number.to_be_bytes(), 8),
        Value::Boolean(truth) => Bytes::Number(u64::from(*truth).to_be_bytes(), 1),
        Value::ObjectLink(link) => {
            let number = u64::from(link.object) << 16 | u64::from(link.instance);
            Bytes::Number(number.to_be_bytes(), 4)
        }
        Value::Null => return None,
    })
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, ValueError> {
    str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| ValueError::Utf8)
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match *bytes {
        [a] => i64::from(i8::from_be_bytes([a])),
        [a, b] => i64::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_be_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
        _ => u64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn float(bytes: &[u8]) -> Option<f64> {
    Some(match *bytes {
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        _ => f64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn signed_len(number: i64) -> usize {
    if i8::try_from(number).is_ok() {
        1
    } else if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

fn unsigned_len(number: u64) -> usize {
    match number {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}
