//! CBOR (60): one value as one item (RFC 8949).

use super::cbor_reader::Reader;
use super::cbor_writer::Writer;
use super::scalar::Scalar;
use super::sink::Sink;
use super::{DecodeError, Decoded, EncodeError, Scope, source};
use crate::{ContentFormat, PathLevel, Record, ResourceTypes, Value};

const FORMAT: ContentFormat = ContentFormat::Cbor;

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    let path = scope.path;
    if path.level() < PathLevel::Resource {
        return Err(DecodeError::Target {
            format: FORMAT,
            path,
        });
    }
    let mut reader = Reader::new(FORMAT, payload);
    let datum = reader.scalar()?;
    if datum == Ok(Scalar::Null) {
        return Err(reader.malformed(0, "null is no value"));
    }
    reader.finish()?;
    let mut sink = Sink::new(FORMAT, scope, types);
    let value = datum.and_then(|scalar| scalar.into_value(sink.data_type(&path)));
    sink.push_value(path, None, value, payload)?;
    Ok(sink.finish())
}

pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let record = source::single(FORMAT, scope, records)?;
    let mut writer = Writer::new(out);
    match source::typed(record, types)? {
        Value::Null => {
            return Err(EncodeError::Unsupported {
                format: FORMAT,
                path: record.path,
            });
        }
        // The tag tells a time from a number; every known device reads it.
        Value::Time(seconds) => writer.tagged_time(seconds),
        value => writer.value(&value),
    }
    Ok(())
}
