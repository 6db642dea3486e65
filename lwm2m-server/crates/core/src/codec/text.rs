//! Text (0): one value, as characters (Core 1.2.2 §7.4.1).

use std::borrow::Cow;

use super::scalar::without_nul;
use super::sink::{Sink, data_type};
use super::source;
use super::{DecodeError, Decoded, EncodeError, Scope};
use crate::value_text::from_plain;
use crate::{ContentFormat, DataType, Path, PathLevel, Record, ResourceTypes, Value, ValueError};

const FORMAT: ContentFormat = ContentFormat::Text;

/// Reads one value; without a model it is a String.
pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    check_target(FORMAT, &scope.path)?;
    let expected = data_type(types, &scope.path).unwrap_or(DataType::String);
    let value = str::from_utf8(payload)
        .map_err(|_| ValueError::Utf8)
        .and_then(|text| from_plain(expected, text))
        .map(|value| match value {
            Value::String(text) => Value::String(without_nul(text)),
            value => value,
        });
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
    let value = source::typed(record, types)?;
    let text = match &value {
        Value::Boolean(true) => Cow::Borrowed("1"),
        Value::Boolean(false) => Cow::Borrowed("0"),
        Value::Float(number) if !number.is_finite() => return Err(no_form(record)),
        Value::Null => return Err(no_form(record)),
        value => value.to_text(),
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Refuses a request for something else than one value.
pub(super) fn check_target(format: ContentFormat, path: &Path) -> Result<(), DecodeError> {
    match path.level() {
        PathLevel::Resource | PathLevel::ResourceInstance => Ok(()),
        _ => Err(DecodeError::Target {
            format,
            path: *path,
        }),
    }
}

fn no_form(record: &Record<'_>) -> EncodeError {
    EncodeError::Unsupported {
        format: FORMAT,
        path: record.path,
    }
}
