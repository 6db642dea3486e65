//! What is wrong with values of typed objects.

use super::ValueRange;
use crate::codec::{DecodeError, EncodeError};
use crate::{Path, ValueError};

/// Why values and types do not come together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError {
    /// There is no value at this path.
    #[error("there is no value at {path}")]
    Absent {
        /// The resource.
        path: Path,
    },
    /// The value has another type than the definition gives.
    #[error("{path}: {error}")]
    Value {
        /// Where it lies.
        path: Path,
        /// What is wrong with it.
        error: ValueError,
    },
    /// A value that the definition does not allow.
    #[error("{path}: the value is outside {range}")]
    OutOfRange {
        /// Where it would lie.
        path: Path,
        /// What is allowed.
        range: ValueRange,
    },
    /// The payload is broken as a whole.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The format cannot carry these values.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Something unusual among values that were read; the others are good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// The definition does not allow this value; it was taken nevertheless.
    #[error("{path}: the value is outside {range}")]
    OutOfRange {
        /// Where it lies.
        path: Path,
        /// What is allowed.
        range: ValueRange,
    },
    /// A value that could not be taken.
    #[error("{path}: {error}")]
    Value {
        /// Where it lies.
        path: Path,
        /// What is wrong with it.
        error: ValueError,
    },
    /// The definition does not know this resource.
    #[error("{path}: the definition does not know this resource")]
    Unknown {
        /// Where it lies.
        path: Path,
    },
}
