//! A datum as a payload gives it, and what the model makes of it.

use std::borrow::Cow;

use crate::{DataType, ObjectLink, Value, ValueError};

/// A datum as the payload says it, before the model has its say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    /// Text, also an object link in formats without a form of its own.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A whole number; wider than 64 bits so that both ends of the range fit.
    Int(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// An object link that the format marks as one.
    Link(ObjectLink),
    /// A time that the format marks as one, in seconds.
    Time(i64),
    /// SenML-ETCH `null`.
    Null,
}

impl<'a> Scalar<'a> {
    /// The value of type `expected`, or of the type that the payload suggests.
    pub(super) fn into_value(self, expected: Option<DataType>) -> Result<Value<'a>, ValueError> {
        let Some(expected) = expected else {
            return self.into_untyped();
        };
        match (expected, self) {
            (_, Scalar::Null) => Ok(Value::Null),
            (DataType::String, Scalar::Text(text)) => Ok(Value::String(without_nul(text))),
            (DataType::CoreLink, Scalar::Text(text)) => Ok(Value::CoreLink(without_nul(text))),
            (DataType::Integer, scalar) => scalar.integer(expected).map(Value::Integer),
            (DataType::Unsigned, scalar) => scalar.unsigned(expected).map(Value::Unsigned),
            (DataType::Float, Scalar::Float(number)) => Ok(Value::Float(number)),
            (DataType::Float, Scalar::Int(number)) => Ok(Value::Float(number as f64)),
            (DataType::Boolean, Scalar::Bool(truth)) => Ok(Value::Boolean(truth)),
            (DataType::Opaque, Scalar::Bytes(bytes)) => Ok(Value::Opaque(bytes)),
            (DataType::Time, Scalar::Time(seconds)) => Ok(Value::Time(seconds)),
            // A time with a fraction of a second is the second it lies in.
            (DataType::Time, Scalar::Float(number)) => Scalar::Float(number.floor())
                .integer(expected)
                .map(Value::Time),
            (DataType::Time, scalar) => scalar.integer(expected).map(Value::Time),
            (DataType::ObjectLink, scalar) => scalar.object_link().map(Value::ObjectLink),
            (expected, _) => Err(ValueError::Type { expected }),
        }
    }

    fn into_untyped(self) -> Result<Value<'a>, ValueError> {
        Ok(match self {
            Scalar::Text(text) => Value::String(text),
            Scalar::Bytes(bytes) => Value::Opaque(bytes),
            Scalar::Int(number) => match i64::try_from(number) {
                Ok(number) => Value::Integer(number),
                Err(_) => Scalar::Int(number)
                    .unsigned(DataType::Unsigned)
                    .map(Value::Unsigned)?,
            },
            Scalar::Float(number) => Value::Float(number),
            Scalar::Bool(truth) => Value::Boolean(truth),
            Scalar::Link(link) => Value::ObjectLink(link),
            Scalar::Time(seconds) => Value::Time(seconds),
            Scalar::Null => Value::Null,
        })
    }

    fn integer(self, expected: DataType) -> Result<i64, ValueError> {
        let number = self.whole(expected)?;
        i64::try_from(number).map_err(|_| ValueError::Range { expected })
    }

    fn unsigned(self, expected: DataType) -> Result<u64, ValueError> {
        let number = self.whole(expected)?;
        u64::try_from(number).map_err(|_| ValueError::Range { expected })
    }

    /// The whole number; `100.0` is one, `100.5` is none.
    fn whole(self, expected: DataType) -> Result<i128, ValueError> {
        match self {
            Scalar::Int(number) => Ok(number),
            Scalar::Time(seconds) => Ok(i128::from(seconds)),
            Scalar::Float(number) if number.is_finite() && number.fract() == 0.0 => {
                // Saturates far outside the 64 bits that are checked next.
                Ok(number as i128)
            }
            _ => Err(ValueError::Type { expected }),
        }
    }

    /// Zephyr ends the text with a NUL, or before it knew `vlo` sent both halves in one number.
    fn object_link(self) -> Result<ObjectLink, ValueError> {
        match self {
            Scalar::Link(link) => Ok(link),
            Scalar::Text(text) => text.trim_end_matches('\0').parse(),
            Scalar::Int(number) => {
                let range = i128::from(i32::MIN)..=i128::from(u32::MAX);
                if !range.contains(&number) {
                    return Err(ValueError::Range {
                        expected: DataType::ObjectLink,
                    });
                }
                let halves = number as u32;
                Ok(ObjectLink {
                    object: (halves >> 16) as u16,
                    instance: halves as u16,
                })
            }
            _ => Err(ValueError::Type {
                expected: DataType::ObjectLink,
            }),
        }
    }
}

/// C programs send the NUL that ends their strings.
pub(super) fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('\0')),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches('\0').len());
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value_or_are_refused() {
        let value = |scalar: Scalar<'static>, expected| scalar.into_value(Some(expected));
        let big = i128::from(u64::MAX);
        assert_eq!(
            value(Scalar::Int(big), DataType::Unsigned),
            Ok(Value::Unsigned(u64::MAX))
        );
        assert!(value(Scalar::Int(big), DataType::Integer).is_err());
        assert!(value(Scalar::Int(big + 1), DataType::Unsigned).is_err());
        assert!(value(Scalar::Int(-1), DataType::Unsigned).is_err());
        assert_eq!(
            value(Scalar::Float(100.0), DataType::Integer),
            Ok(Value::Integer(100))
        );
        for float in [100.5, 1e19, f64::NAN, f64::INFINITY] {
            assert!(value(Scalar::Float(float), DataType::Integer).is_err());
        }
        assert_eq!(
            value(Scalar::Float(-0.5), DataType::Time),
            Ok(Value::Time(-1))
        );
        assert!(Scalar::Int(big + 1).into_value(None).is_err());
        assert_eq!(
            Scalar::Int(big).into_value(None),
            Ok(Value::Unsigned(u64::MAX))
        );
    }

    #[test]
    fn a_boolean_is_no_number() {
        assert!(Scalar::Int(1).into_value(Some(DataType::Boolean)).is_err());
        assert!(
            Scalar::Bool(true)
                .into_value(Some(DataType::Integer))
                .is_err()
        );
    }

    #[test]
    fn old_object_links_come_as_one_number() {
        let link = |number| Scalar::Int(number).into_value(Some(DataType::ObjectLink));
        let three = ObjectLink {
            object: 21,
            instance: 3,
        };
        assert_eq!(link(0x0015_0003), Ok(Value::ObjectLink(three)));
        assert_eq!(link(-1), Ok(Value::ObjectLink(ObjectLink::NULL)));
        assert_eq!(link(0xffff_ffff), Ok(Value::ObjectLink(ObjectLink::NULL)));
        assert!(link(0x1_0000_0000).is_err());
    }
}
