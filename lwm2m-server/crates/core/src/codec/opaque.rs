//! Opaque (42): the bytes of one value (Core 1.2.2 §7.4.2).

use std::borrow::Cow;

use super::sink::{Sink, data_type};
use super::source;
use super::text::check_target;
use super::{DecodeError, Decoded, EncodeError, Scope};
use crate::{ContentFormat, DataType, Record, ResourceTypes, Value, ValueError};

const FORMAT: ContentFormat = ContentFormat::Opaque;

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    check_target(FORMAT, &scope.path)?;
    let value = match data_type(types, &scope.path) {
        None | Some(DataType::Opaque) => Ok(Value::Opaque(Cow::Borrowed(payload))),
        Some(expected) => Err(ValueError::Type { expected }),
    };
    let mut sink = Sink::new(FORMAT, scope, types);
    sink.push_value(scope.path, None, value, payload)?;
    Ok(sink.finish())
}

pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let record = source::single(FORMAT, scope, records)?;
    match source::typed(record, types)? {
        Value::Opaque(bytes) => out.extend_from_slice(&bytes),
        _ => {
            return Err(EncodeError::Unsupported {
                format: FORMAT,
                path: record.path,
            });
        }
    }
    Ok(())
}
