//! Payload codecs: bytes to [`Record`]s and back, for every content format of LwM2M.
//!
//! Each format has a module with `decode` and `encode`; this one chooses among them.
//!
//! Decoding is lenient: a record that cannot be decoded becomes a [`Fault`] beside the records that
//! can ([`Decoded`]). A payload that is broken as a whole (truncated, wrong nesting, a path outside
//! the request) is a [`DecodeError`]. [`Decoded::strict`] turns the first fault into an error, for
//! callers that answer 4.00.

use crate::{ContentFormat, Path, Record, ResourceTypes, ValueError};

/// The deepest nesting of CBOR and JSON that is read.
pub const NESTING_MAX: usize = 8;

/// The most records that one payload may hold.
pub const RECORDS_MAX: usize = 65_536;

/// What a payload is about: the path of the request, and the alternate path that SenML names carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope<'p> {
    /// The path of the request, `/` for composite operations and Send. Every record lies at or
    /// below it.
    pub path: Path,
    /// The alternate path of the device without trailing slash (`/lwm2m`), empty for none. Only
    /// SenML names carry it (Core 1.2.1 §6.4); a name without it is accepted too.
    pub prefix: &'p str,
}

impl From<Path> for Scope<'static> {
    fn from(path: Path) -> Scope<'static> {
        Scope { path, prefix: "" }
    }
}

/// What a payload held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded<'a> {
    /// The records that could be decoded, in the order of the payload.
    pub records: Vec<Record<'a>>,
    /// The records that could not.
    pub faults: Vec<Fault>,
}

impl<'a> Decoded<'a> {
    /// The records when there is no fault, else the first fault.
    pub fn strict(self) -> Result<Vec<Record<'a>>, DecodeError> {
        match self.faults.into_iter().next() {
            None => Ok(self.records),
            Some(fault) => Err(DecodeError::Fault(fault)),
        }
    }

    /// The same, owning everything.
    pub fn into_owned(self) -> Decoded<'static> {
        Decoded {
            records: self.records.into_iter().map(Record::into_owned).collect(),
            faults: self.faults,
        }
    }
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {error}")]
pub struct Fault {
    /// Where the record lies.
    pub path: Path,
    /// What is wrong with its value.
    pub error: ValueError,
    /// The bytes of the value where the format has them apart (TLV, text, opaque), else empty.
    pub raw: Vec<u8>,
}

/// Reads the payload of an answer to, or a write at, the path of `scope`.
///
/// An empty payload holds no records in the formats where that is legal.
///
/// # Errors
/// The payload is broken as a whole, or `format` carries no values (link format).
pub fn decode<'a>(
    _format: ContentFormat,
    _scope: Scope<'_>,
    _payload: &'a [u8],
    _types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    todo!()
}

/// Writes records that lie at or below the path of `scope`, appending to `out`.
///
/// SenML comes in the form that every known device reads: a base name for each object instance,
/// a relative name in every record.
///
/// # Errors
/// The format cannot carry these records: several values in a format for one, a value type that
/// the format does not have, a path outside the scope. `out` is then as it was.
pub fn encode(
    _format: ContentFormat,
    _scope: Scope<'_>,
    _records: &[Record<'_>],
    _types: &dyn ResourceTypes,
    _out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    todo!()
}

/// Reads the body of a Read-Composite or Observe-Composite: names without values.
pub fn decode_paths(_format: ContentFormat, _payload: &[u8]) -> Result<Vec<Path>, DecodeError> {
    todo!()
}

/// Writes the body of a Read-Composite or Observe-Composite: absolute names, one record each.
/// `prefix` is the alternate path, empty for none.
pub fn encode_paths(
    _format: ContentFormat,
    _prefix: &str,
    _paths: &[Path],
    _out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    todo!()
}

/// Why a payload is refused as a whole.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A record is at fault and the caller wants all or nothing.
    #[error(transparent)]
    Fault(Fault),
    /// The format carries no values.
    #[error("{0} carries no resource values")]
    Format(ContentFormat),
}

/// Why records cannot be written in a format.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The format cannot carry this request.
    #[error("{0} cannot carry this")]
    Format(ContentFormat),
}
