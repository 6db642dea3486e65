//! Rust types of single values.

use std::borrow::Cow;

use crate::{DataType, ObjectLink, Value, ValueError};

/// A Rust type for one value of a resource.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value of a LwM2M resource",
    note = "values are String, i64, u64, f64, bool, Vec<u8>, Time, ObjectLink and CoreLink"
)]
pub trait Scalar: Sized {
    /// Takes a value of this type, or one that loses nothing when it is brought to it.
    ///
    /// # Errors
    /// Another kind of value, a number that this type does not hold, or no value at all.
    fn from_value(value: &Value<'_>) -> Result<Self, ValueError>;

    /// The value.
    fn to_value(&self) -> Value<'_>;
}

/// Seconds since 1970-01-01 UTC, negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

/// CoRE links as text (RFC 6690).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CoreLink(pub String);

macro_rules! scalars {
    ($($rust:ty, $variant:ident, $read:ident => $from:expr, $own:ident => $to:expr;)*) => {
        $(impl Scalar for $rust {
            fn from_value(value: &Value<'_>) -> Result<$rust, ValueError> {
                match value.cast(DataType::$variant)? {
                    Value::$variant($read) => Ok($from),
                    _ => Err(ValueError::Missing),
                }
            }

            fn to_value(&self) -> Value<'_> {
                let $own = self;
                Value::$variant($to)
            }
        })*
    };
}

scalars! {
    String, String, text => text.into_owned(), own => Cow::Borrowed(own);
    i64, Integer, number => number, own => *own;
    u64, Unsigned, number => number, own => *own;
    f64, Float, number => number, own => *own;
    bool, Boolean, truth => truth, own => *own;
    Vec<u8>, Opaque, bytes => bytes.into_owned(), own => Cow::Borrowed(own);
    Time, Time, seconds => Time(seconds), own => own.0;
    ObjectLink, ObjectLink, link => link, own => *own;
    CoreLink, CoreLink, text => CoreLink(text.into_owned()), own => Cow::Borrowed(&own.0);
}

/// What a resource holds whose definition gives no type.
impl Scalar for Value<'static> {
    fn from_value(value: &Value<'_>) -> Result<Value<'static>, ValueError> {
        match value {
            Value::Null => Err(ValueError::Missing),
            value => Ok(value.borrowed().into_owned()),
        }
    }

    fn to_value(&self) -> Value<'_> {
        self.borrowed()
    }
}
