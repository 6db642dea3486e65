//! SenML JSON (110) and SenML-ETCH JSON (320) (RFC 8428 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::senml::{Namer, Names, Pack, Values, absolute_name, value_to_write};
use super::senml_fields::Label;
use super::senml_json_reader::read;
use super::{DecodeError, Decoded, EncodeError, Scope, source};
use crate::{ContentFormat, Path, Record, ResourceTypes, Value};

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
    pack: Pack,
) -> Result<Decoded<'a>, DecodeError> {
    let format = format(pack);
    let mut values = Values::new(format, scope, types, pack);
    read(format, payload, &mut |fields| values.record(fields))?;
    Ok(values.finish())
}

pub(super) fn decode_paths(
    prefix: &str,
    payload: &[u8],
    pack: Pack,
) -> Result<Vec<Path>, DecodeError> {
    let format = format(pack);
    let mut names = Names::new(format, prefix);
    read(format, payload, &mut |fields| names.record(fields))?;
    Ok(names.finish())
}

pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    pack: Pack,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    source::check(scope, records)?;
    let mut namer = Namer::new(scope.prefix);
    let mut separator = b'[';
    for record in records {
        let value = value_to_write(format(pack), pack, record, types)?;
        out.push(separator);
        separator = b',';
        let (base_name, name) = namer.next(&record.path);
        out.push(b'{');
        if let Some(base_name) = base_name {
            write_label(Label::BaseName, out);
            write_json(&base_name, out);
            out.push(b',');
        }
        write_label(Label::Name, out);
        write_json(&name, out);
        out.push(b',');
        if let Some(time) = record.time.filter(|&time| time != 0.0) {
            write_label(Label::Time, out);
            write_time(time, out);
            out.push(b',');
        }
        write_label(Label::of(&value), out);
        write_value(&value, out).ok_or(EncodeError::Unsupported {
            format: format(pack),
            path: record.path,
        })?;
        out.push(b'}');
    }
    if records.is_empty() {
        out.push(b'[');
    }
    out.push(b']');
    Ok(())
}

pub(super) fn encode_paths(prefix: &str, paths: &[Path], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, path) in paths.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        write_label(Label::Name, out);
        write_json(&absolute_name(prefix, path), out);
        out.push(b'}');
    }
    out.push(b']');
}

fn format(pack: Pack) -> ContentFormat {
    match pack {
        Pack::Plain => ContentFormat::SenmlJson,
        Pack::Etch => ContentFormat::SenmlEtchJson,
    }
}

fn write_label(label: Label, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(label.name().as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a value; none when JSON has no form for it.
fn write_value(value: &Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::String(text) | Value::CoreLink(text) => write_json(text, out),
        Value::Integer(number) | Value::Time(number) => write_json(number, out),
        Value::Unsigned(number) => write_json(number, out),
        // NaN and the infinities.
        Value::Float(number) if !number.is_finite() => return None,
        Value::Float(number) => write_json(number, out),
        Value::Boolean(truth) => write_json(truth, out),
        Value::Opaque(bytes) => write_json(&URL_SAFE_NO_PAD.encode(bytes), out),
        Value::ObjectLink(link) => write_json(&link.to_string(), out),
        Value::Null => out.extend_from_slice(b"null"),
    }
    Some(())
}

/// Whole seconds without a fraction.
pub(super) fn write_time(time: f64, out: &mut Vec<u8>) {
    // Saturates outside the range, and then differs.
    let whole = time as i64;
    if whole as f64 == time && whole != i64::MAX {
        write_json(&whole, out);
    } else {
        write_json(&time, out);
    }
}

pub(super) fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(out, value) {
        unreachable!("a vector takes all text and all numbers: {error}");
    }
}
