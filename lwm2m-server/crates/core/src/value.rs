//! Values of resources.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::DataType;

/// One value of a resource or resource instance (Core 1.2.2 Appendix C).
///
/// Strings and bytes borrow from the payload where the format allows; [`Value::into_owned`] cuts
/// that tie.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// UTF-8 text.
    String(Cow<'a, str>),
    /// A signed 64-bit integer.
    Integer(i64),
    /// An unsigned 64-bit integer.
    Unsigned(u64),
    /// A double.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// Bytes; also the raw value of a resource whose type is unknown.
    Opaque(Cow<'a, [u8]>),
    /// Seconds since 1970-01-01 UTC, negative before.
    Time(i64),
    /// A reference to an object instance.
    ObjectLink(ObjectLink),
    /// CoRE links, as text.
    CoreLink(Cow<'a, str>),
    /// SenML-ETCH `null`: remove this resource instance. No other format carries it.
    Null,
}

impl<'a> Value<'a> {
    /// The type of this value; none for [`Value::Null`].
    pub fn data_type(&self) -> Option<DataType> {
        Some(match self {
            Value::String(_) => DataType::String,
            Value::Integer(_) => DataType::Integer,
            Value::Unsigned(_) => DataType::Unsigned,
            Value::Float(_) => DataType::Float,
            Value::Boolean(_) => DataType::Boolean,
            Value::Opaque(_) => DataType::Opaque,
            Value::Time(_) => DataType::Time,
            Value::ObjectLink(_) => DataType::ObjectLink,
            Value::CoreLink(_) => DataType::CoreLink,
            Value::Null => return None,
        })
    }

    /// The same value, borrowing its bytes.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Opaque(bytes) => Value::Opaque(Cow::Borrowed(bytes)),
            Value::CoreLink(text) => Value::CoreLink(Cow::Borrowed(text)),
            Value::Integer(number) => Value::Integer(*number),
            Value::Unsigned(number) => Value::Unsigned(*number),
            Value::Float(number) => Value::Float(*number),
            Value::Boolean(truth) => Value::Boolean(*truth),
            Value::Time(seconds) => Value::Time(*seconds),
            Value::ObjectLink(link) => Value::ObjectLink(*link),
            Value::Null => Value::Null,
        }
    }

    /// The same datum as a value of another type, where nothing is lost by that: between the
    /// number types and Time, between String and Corelnk.
    ///
    /// [`Value::Null`] stays what it is.
    ///
    /// # Errors
    /// Another kind of value, or a number that `data_type` cannot hold exactly.
    pub fn cast(&self, data_type: DataType) -> Result<Value<'_>, ValueError> {
        let range = ValueError::Range {
            expected: data_type,
        };
        let whole = match self {
            _ if self.data_type().is_none_or(|own| own == data_type) => {
                return Ok(self.borrowed());
            }
            Value::String(text) if data_type == DataType::CoreLink => {
                return Ok(Value::CoreLink(Cow::Borrowed(text)));
            }
            Value::CoreLink(text) if data_type == DataType::String => {
                return Ok(Value::String(Cow::Borrowed(text)));
            }
            Value::Integer(number) | Value::Time(number) => i128::from(*number),
            Value::Unsigned(number) => i128::from(*number),
            Value::Float(number) if number.is_finite() && number.fract() == 0.0 => *number as i128,
            Value::Float(_) => return Err(range),
            _ => {
                return Err(ValueError::Type {
                    expected: data_type,
                });
            }
        };
        match data_type {
            DataType::Integer => i64::try_from(whole).map(Value::Integer).map_err(|_| range),
            DataType::Time => i64::try_from(whole).map(Value::Time).map_err(|_| range),
            DataType::Unsigned => u64::try_from(whole).map(Value::Unsigned).map_err(|_| range),
            DataType::Float if whole as f64 as i128 == whole => Ok(Value::Float(whole as f64)),
            DataType::Float => Err(range),
            _ => Err(ValueError::Type {
                expected: data_type,
            }),
        }
    }

    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::Integer(number) => Value::Integer(number),
            Value::Unsigned(number) => Value::Unsigned(number),
            Value::Float(number) => Value::Float(number),
            Value::Boolean(truth) => Value::Boolean(truth),
            Value::Opaque(bytes) => Value::Opaque(Cow::Owned(bytes.into_owned())),
            Value::Time(seconds) => Value::Time(seconds),
            Value::ObjectLink(link) => Value::ObjectLink(link),
            Value::CoreLink(text) => Value::CoreLink(Cow::Owned(text.into_owned())),
            Value::Null => Value::Null,
        }
    }
}

macro_rules! from_value {
    ($($source:ty => $value:ident => $make:expr;)*) => {
        $(impl<'a> From<$source> for Value<'a> {
            fn from($value: $source) -> Value<'a> {
                $make
            }
        })*
    };
}

from_value! {
    &'a str => v => Value::String(Cow::Borrowed(v));
    String => v => Value::String(Cow::Owned(v));
    i32 => v => Value::Integer(i64::from(v));
    i64 => v => Value::Integer(v);
    u64 => v => Value::Unsigned(v);
    f64 => v => Value::Float(v);
    bool => v => Value::Boolean(v);
    &'a [u8] => v => Value::Opaque(Cow::Borrowed(v));
    Vec<u8> => v => Value::Opaque(Cow::Owned(v));
    ObjectLink => v => Value::ObjectLink(v);
}

/// A reference to an object instance: `object:instance`.
///
/// Both 65535 mean "no link" (Core 1.2.2 Appendix C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLink {
    /// The object id, 65535 for none.
    pub object: u16,
    /// The object instance id, 65535 for none.
    pub instance: u16,
}

impl ObjectLink {
    /// The link to nothing, `65535:65535`.
    pub const NULL: ObjectLink = ObjectLink {
        object: u16::MAX,
        instance: u16::MAX,
    };
}

impl fmt::Display for ObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

impl FromStr for ObjectLink {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<ObjectLink, ValueError> {
        let id = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits
                .then(|| part.parse().ok())
                .flatten()
                .ok_or(ValueError::ObjectLink)
        };
        let (object, instance) = text.split_once(':').ok_or(ValueError::ObjectLink)?;
        Ok(ObjectLink {
            object: id(object)?,
            instance: id(instance)?,
        })
    }
}

/// Why bytes or text are no value of the type that the model gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value has another type than the model gives.
    #[error("the value is no {expected}")]
    Type {
        /// What the model gives.
        expected: DataType,
    },
    /// A number of a length that its type does not have.
    #[error("{length} bytes are no {expected}")]
    Length {
        /// What the model gives.
        expected: DataType,
        /// The bytes found.
        length: usize,
    },
    /// A number outside the range of its type.
    #[error("the number does not fit {expected}")]
    Range {
        /// What the model gives.
        expected: DataType,
    },
    /// A record without a value.
    #[error("the record has no value")]
    Missing,
    /// A record with more than one value.
    #[error("the record has more than one value")]
    Several,
    /// A string that is not UTF-8.
    #[error("the string is not UTF-8")]
    Utf8,
    /// Not of the form `object:instance`.
    #[error("an object link has the form object:instance, each 0 to 65535")]
    ObjectLink,
    /// Text that is not base64.
    #[error("the opaque value is not base64")]
    Base64,
    /// A time that is neither seconds nor an RFC 3339 date.
    #[error("the time is neither seconds since 1970 nor an RFC 3339 date")]
    Time,
}
