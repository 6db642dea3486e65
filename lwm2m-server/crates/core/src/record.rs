//! A value at a path.

use crate::{Path, Value};

/// One value with its place and, where the format carries one, its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// A resource, or a resource instance of a multiple-instance resource.
    pub path: Path,
    /// When the value was taken, in seconds; none when the payload gives no time.
    ///
    /// From 2^28 on it is Unix time; below, it is relative to the reception and usually negative
    /// (RFC 8428 §4.5.3).
    pub time: Option<f64>,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> Record<'a> {
    /// A record without a time.
    pub fn new(path: Path, value: impl Into<Value<'a>>) -> Record<'a> {
        Record {
            path,
            time: None,
            value: value.into(),
        }
    }

    /// The same record, owning its value.
    pub fn into_owned(self) -> Record<'static> {
        Record {
            path: self.path,
            time: self.time,
            value: self.value.into_owned(),
        }
    }
}
