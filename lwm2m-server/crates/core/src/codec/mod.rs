//! Payload codecs: bytes to [`Record`]s and back, for every content format of LwM2M.
//!
//! Each format has a module with `decode` and `encode`; this one chooses among them.
//!
//! Decoding is lenient: a record that cannot be decoded becomes a [`Fault`] beside the records that
//! can ([`Decoded`]). A payload that is broken as a whole (truncated, wrong nesting, a path outside
//! the request) is a [`DecodeError`]. [`Decoded::strict`] turns the first fault into an error, for
//! callers that answer 4.00.

mod cbor;
mod cbor_reader;
mod cbor_tagged;
mod cbor_writer;
mod error;
mod json;
mod lwm2m_cbor;
mod opaque;
mod rfc3339;
mod scalar;
mod senml;
mod senml_cbor;
mod senml_fields;
mod senml_json;
mod senml_json_reader;
mod sink;
mod source;
mod text;
mod tlv;

pub use error::{DecodeError, EncodeError};

pub(crate) use rfc3339::parse as parse_rfc3339;

use std::borrow::Cow;

use crate::{ContentFormat, Path, Record, ResourceTypes, ValueError};
use senml::Pack;

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
    /// The records of devices behind a gateway (OMA LwM2M Gateway enabler); LwM2M CBOR only.
    pub gateway: Vec<GatewayRecord<'a>>,
}

impl<'a> Decoded<'a> {
    /// The records when there is no fault, else the first fault. Records of devices behind a
    /// gateway are refused too: they lie nowhere below the path of a request.
    pub fn strict(self) -> Result<Vec<Record<'a>>, DecodeError> {
        if let Some(behind) = self.gateway.into_iter().next() {
            return Err(DecodeError::Gateway {
                prefix: behind.prefix.into_owned(),
            });
        }
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
            gateway: self
                .gateway
                .into_iter()
                .map(GatewayRecord::into_owned)
                .collect(),
        }
    }
}

/// A record of a device behind a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayRecord<'a> {
    /// The prefix that the gateway gave the device, as in `d01`.
    pub prefix: Cow<'a, str>,
    /// The record, with its path on that device.
    pub record: Record<'a>,
}

impl GatewayRecord<'_> {
    /// The same record, owning its text and value.
    pub fn into_owned(self) -> GatewayRecord<'static> {
        GatewayRecord {
            prefix: Cow::Owned(self.prefix.into_owned()),
            record: self.record.into_owned(),
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
/// An empty payload holds no records in TLV, and an empty value in text and opaque.
///
/// # Errors
/// The payload is broken as a whole, or `format` carries no values (link format).
pub fn decode<'a>(
    format: ContentFormat,
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    match format {
        ContentFormat::Text => text::decode(scope, payload, types),
        ContentFormat::Link => Err(DecodeError::Format(format)),
        ContentFormat::Opaque => opaque::decode(scope, payload, types),
        ContentFormat::Cbor => cbor::decode(scope, payload, types),
        ContentFormat::SenmlJson => senml_json::decode(scope, payload, types, Pack::Plain),
        ContentFormat::SenmlCbor => senml_cbor::decode(scope, payload, types, Pack::Plain),
        ContentFormat::SenmlEtchJson => senml_json::decode(scope, payload, types, Pack::Etch),
        ContentFormat::SenmlEtchCbor => senml_cbor::decode(scope, payload, types, Pack::Etch),
        ContentFormat::Tlv => tlv::decode(scope, payload, types),
        ContentFormat::Json => json::decode(scope, payload, types),
        ContentFormat::Lwm2mCbor => lwm2m_cbor::decode(scope, payload, types),
    }
}

/// Writes records that lie at or below the path of `scope`, appending to `out`.
///
/// Values are brought to the type that `types` gives, where that loses nothing. SenML comes in the
/// form that every known device reads: a base name for each object instance, a relative name in
/// every record.
///
/// # Errors
/// The format cannot carry these records: several values in a format for one, a value type that
/// the format does not have, a path outside the scope. `out` is then as it was.
pub fn encode(
    format: ContentFormat,
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let result = match format {
        ContentFormat::Text => text::encode(scope, records, types, out),
        ContentFormat::Link => Err(EncodeError::Format(format)),
        ContentFormat::Opaque => opaque::encode(scope, records, types, out),
        ContentFormat::Cbor => cbor::encode(scope, records, types, out),
        ContentFormat::SenmlJson => senml_json::encode(scope, records, types, Pack::Plain, out),
        ContentFormat::SenmlCbor => senml_cbor::encode(scope, records, types, Pack::Plain, out),
        ContentFormat::SenmlEtchJson => senml_json::encode(scope, records, types, Pack::Etch, out),
        ContentFormat::SenmlEtchCbor => senml_cbor::encode(scope, records, types, Pack::Etch, out),
        ContentFormat::Tlv => tlv::encode(scope, records, types, out),
        ContentFormat::Json => json::encode(scope, records, types, out),
        ContentFormat::Lwm2mCbor => lwm2m_cbor::encode(scope, records, types, out),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Reads the body of a Read-Composite or Observe-Composite: names without values.
/// `prefix` is the alternate path, empty for none.
///
/// # Errors
/// `format` is no form of SenML, or the payload is no list of names.
pub fn decode_paths(
    format: ContentFormat,
    prefix: &str,
    payload: &[u8],
) -> Result<Vec<Path>, DecodeError> {
    match format {
        ContentFormat::SenmlJson => senml_json::decode_paths(prefix, payload, Pack::Plain),
        ContentFormat::SenmlCbor => senml_cbor::decode_paths(prefix, payload, Pack::Plain),
        ContentFormat::SenmlEtchJson => senml_json::decode_paths(prefix, payload, Pack::Etch),
        ContentFormat::SenmlEtchCbor => senml_cbor::decode_paths(prefix, payload, Pack::Etch),
        _ => Err(DecodeError::Format(format)),
    }
}

/// Writes the body of a Read-Composite or Observe-Composite: absolute names, one record each.
/// `prefix` is the alternate path, empty for none.
///
/// # Errors
/// `format` is no form of SenML.
pub fn encode_paths(
    format: ContentFormat,
    prefix: &str,
    paths: &[Path],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match format {
        ContentFormat::SenmlJson | ContentFormat::SenmlEtchJson => {
            senml_json::encode_paths(prefix, paths, out);
        }
        ContentFormat::SenmlCbor | ContentFormat::SenmlEtchCbor => {
            senml_cbor::encode_paths(prefix, paths, out);
        }
        _ => return Err(EncodeError::Format(format)),
    }
    Ok(())
}
