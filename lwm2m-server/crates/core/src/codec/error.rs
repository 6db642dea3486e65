//! Why a payload is refused, and why records cannot be written.

use super::{Fault, NESTING_MAX, RECORDS_MAX};
use crate::{ContentFormat, Path, PathError, ValueError};

/// Why a payload is refused as a whole; `at` is a byte offset into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Values of a device behind a gateway, where only the gateway itself was asked.
    #[error("the payload holds values of the device '{prefix}' behind the gateway")]
    Gateway {
        /// The prefix that the gateway gave the device.
        prefix: String,
    },
    /// A record is at fault and the caller wants all or nothing.
    #[error(transparent)]
    Fault(Fault),
    /// The format does not carry what is asked of it.
    #[error("{0} carries no resource values")]
    Format(ContentFormat),
    /// The format cannot answer a request for this path: one value where the path names several.
    #[error("{format} cannot carry what {path} names")]
    Target {
        /// The format of the payload.
        format: ContentFormat,
        /// The path of the request.
        path: Path,
    },
    /// The payload ends inside an item.
    #[error("the {format} payload ends too early (at byte {at})")]
    Truncated {
        /// The format of the payload.
        format: ContentFormat,
        /// Where the item starts that is cut off.
        at: usize,
    },
    /// Bytes follow the end of the content.
    #[error("the {format} payload goes on after its end (at byte {at})")]
    TrailingBytes {
        /// The format of the payload.
        format: ContentFormat,
        /// Where they start.
        at: usize,
    },
    /// Items lie deeper inside each other than [`NESTING_MAX`].
    #[error("the {format} payload nests deeper than {NESTING_MAX} levels (at byte {at})")]
    Nesting {
        /// The format of the payload.
        format: ContentFormat,
        /// Where the limit is passed.
        at: usize,
    },
    /// More records than [`RECORDS_MAX`].
    #[error("the {format} payload holds more than {RECORDS_MAX} records")]
    TooManyRecords {
        /// The format of the payload.
        format: ContentFormat,
    },
    /// The payload breaks the grammar of its format.
    #[error("the {format} payload is malformed: {reason} (at byte {at})")]
    Malformed {
        /// The format of the payload.
        format: ContentFormat,
        /// Where.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A name that is no path.
    #[error("a name in the {format} payload is no path: {error} (at byte {at})")]
    Path {
        /// The format of the payload.
        format: ContentFormat,
        /// Where the record with this name starts.
        at: usize,
        /// What is wrong with it.
        error: PathError,
    },
    /// A value at a path that is neither a resource nor a resource instance.
    #[error("a value stands at {path}, which is no resource")]
    Level {
        /// The path of the value.
        path: Path,
    },
    /// A record that the request did not ask for.
    #[error("{path} lies outside {scope}")]
    OutsideScope {
        /// The path of the record.
        path: Path,
        /// The path of the request.
        scope: Path,
    },
    /// A path given twice, or a resource given both as a value and as instances, in a format
    /// without timestamps.
    #[error("{path} is given twice")]
    Duplicate {
        /// The path.
        path: Path,
    },
}

/// Why records cannot be written in a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The format cannot carry this request.
    #[error("{0} cannot carry this")]
    Format(ContentFormat),
    /// The format carries exactly one value.
    #[error("{format} carries one value, not {records}")]
    Single {
        /// The format asked for.
        format: ContentFormat,
        /// How many there are.
        records: usize,
    },
    /// A record that does not lie at or below the path of the request.
    #[error("{path} lies outside {scope}")]
    OutsideScope {
        /// The path of the record.
        path: Path,
        /// The path of the request.
        scope: Path,
    },
    /// A value at a path that is neither a resource nor a resource instance.
    #[error("a value stands at {path}, which is no resource")]
    Level {
        /// The path of the value.
        path: Path,
    },
    /// A path given twice, or a resource given both as one value and as instances.
    #[error("{path} is given twice")]
    Duplicate {
        /// The path.
        path: Path,
    },
    /// A value that is not, and cannot become without loss, what the model says.
    #[error("{path}: {error}")]
    Value {
        /// The path of the value.
        path: Path,
        /// What is wrong with it.
        error: ValueError,
    },
    /// The format has no form for this value: `NaN` in JSON, a number in opaque.
    #[error("{format} has no form for the value of {path}")]
    Unsupported {
        /// The format asked for.
        format: ContentFormat,
        /// The path of the value.
        path: Path,
    },
    /// The format has no timestamps.
    #[error("{format} carries no time, and {path} has one")]
    Time {
        /// The format asked for.
        format: ContentFormat,
        /// The path of the record.
        path: Path,
    },
    /// A value longer than the length field of the format can say.
    #[error("the value of {path} is too long for {format}")]
    TooLong {
        /// The format asked for.
        format: ContentFormat,
        /// The path of the value.
        path: Path,
    },
}
