//! OMA JSON (11543), the JSON of LwM2M 1.0 (Core 1.0.2 §6.4.4).

mod reader;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::reader::{Element, Label, Pack, read};
use super::scalar::Scalar;
use super::senml_json::{write_json, write_time};
use super::sink::Sink;
use super::{DecodeError, Decoded, EncodeError, Scope, source};
use crate::value_text::base64_lenient;
use crate::{ContentFormat, DataType, Path, PathError, Record, ResourceTypes, Value, ValueError};

const FORMAT: ContentFormat = ContentFormat::Json;

/// From here on a float no longer tells neighbouring integers apart: 2^53.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// Reads one pack, or an array of them.
///
/// A base name holds until the next one; without any, names are relative to the path of the request.
/// The slash between base name and name may be missing. A pack may also be its own only element.
pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    let mut sink = Sink::new(FORMAT, scope, types);
    let mut base = Base::new(&scope.path);
    for pack in read(payload)? {
        base.take(&pack);
        for element in pack.elements {
            let path = base
                .path(element.name.as_deref())
                .map_err(|error| DecodeError::Path {
                    format: FORMAT,
                    at: offset_of(element.name.as_deref(), payload),
                    error,
                })?;
            let value = value(&element, sink.data_type(&path));
            sink.push_value(path, base.time(element.time), value, &[])?;
        }
    }
    Ok(sink.finish())
}

/// Writes one pack whose base name is the path of the request.
pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    source::check(scope, records)?;
    let single = records.iter().all(|record| record.path == scope.path);
    let mut base_name = scope.path.to_string();
    if !single && !scope.path.is_root() {
        base_name.push('/');
    }
    out.extend_from_slice(b"{\"bn\":");
    write_json(&base_name, out);
    out.extend_from_slice(b",\"e\":[");
    for (index, record) in records.iter().enumerate() {
        // The reserved instance has no name (Create that leaves the instance to the device).
        if record.path.instance_id() == Some(u16::MAX) {
            return Err(EncodeError::Format(FORMAT));
        }
        let value = source::typed(record, types)?;
        out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        if !single {
            let path = record.path.to_string();
            out.extend_from_slice(b"\"n\":");
            write_json(path.get(base_name.len()..).unwrap_or_default(), out);
            out.push(b',');
        }
        write_value(&value, out).ok_or(EncodeError::Unsupported {
            format: FORMAT,
            path: record.path,
        })?;
        if let Some(time) = record.time.filter(|time| *time != 0.0) {
            out.extend_from_slice(b",\"t\":");
            write_time(time, out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// The base name and base time that hold for the elements to come.
struct Base {
    /// Begins with a slash and ends with one.
    name: String,
    /// Names that are absolute need no base name.
    given: bool,
    time: f64,
}

impl Base {
    fn new(scope: &Path) -> Base {
        let mut base = Base {
            name: String::new(),
            given: false,
            time: 0.0,
        };
        base.set_name(&scope.to_string());
        base
    }

    fn take(&mut self, pack: &Pack<'_>) {
        if let Some(name) = pack.base_name.as_deref().filter(|name| !name.is_empty()) {
            self.set_name(name);
            self.given = true;
        }
        if let Some(time) = pack.base_time {
            self.time = time;
        }
    }

    fn set_name(&mut self, name: &str) {
        self.name.clear();
        self.name.push('/');
        self.name.push_str(name.trim_matches('/'));
        if self.name.len() > 1 {
            self.name.push('/');
        }
    }

    fn path(&mut self, name: Option<&str>) -> Result<Path, PathError> {
        let name = name.unwrap_or_default();
        if !self.given && name.starts_with('/') {
            return name.parse();
        }
        let base = self.name.len();
        self.name.push_str(name.trim_matches('/'));
        let path = match self.name.as_str() {
            "/" => Ok(Path::ROOT),
            name => name.trim_end_matches('/').parse(),
        };
        self.name.truncate(base);
        path
    }

    /// Zero means now, as no time does.
    fn time(&self, time: Option<f64>) -> Option<f64> {
        Some(self.time + time.unwrap_or_default()).filter(|time| *time != 0.0)
    }
}

fn value<'a>(element: &Element<'a>, expected: Option<DataType>) -> Result<Value<'a>, ValueError> {
    if element.values > 1 {
        return Err(ValueError::Several);
    }
    let Some((label, scalar)) = element.value.clone() else {
        return Err(ValueError::Missing);
    };
    let mismatch = |data_type| {
        Err(ValueError::Type {
            expected: expected.unwrap_or(data_type),
        })
    };
    match (label, scalar) {
        (_, Scalar::Null) => Err(ValueError::Missing),
        // Read from decimal text, so a large one may have been rounded.
        (Label::Number, Scalar::Float(number))
            if expected.is_some_and(is_whole) && number.abs() >= EXACT_BELOW =>
        {
            Err(ValueError::Range {
                expected: expected.unwrap_or(DataType::Integer),
            })
        }
        (Label::Number, scalar @ (Scalar::Int(_) | Scalar::Float(_))) => {
            scalar.into_value(expected)
        }
        (Label::Number, _) => mismatch(DataType::Float),
        (Label::Text, Scalar::Text(text)) if expected == Some(DataType::Opaque) => {
            Ok(Value::Opaque(Cow::Owned(base64_lenient(&text)?)))
        }
        (Label::Text, scalar @ Scalar::Text(_)) => scalar.into_value(expected),
        (Label::Text, _) => mismatch(DataType::String),
        (Label::Boolean, scalar @ Scalar::Bool(_)) => scalar.into_value(expected),
        (Label::Boolean, _) => mismatch(DataType::Boolean),
        (Label::Link, Scalar::Text(text)) => {
            Scalar::Link(text.trim_end_matches('\0').parse()?).into_value(expected)
        }
        (Label::Link, _) => mismatch(DataType::ObjectLink),
    }
}

fn is_whole(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Integer | DataType::Unsigned | DataType::Time
    )
}

/// Writes the label and the value; none when the format has no form for it.
fn write_value(value: &Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    let label = |label: Label, out: &mut Vec<u8>| {
        write_json(label.name(), out);
        out.push(b':');
    };
    match value {
        Value::String(text) | Value::CoreLink(text) => {
            label(Label::Text, out);
            write_json(text, out);
        }
        Value::Opaque(bytes) => {
            label(Label::Text, out);
            write_json(&STANDARD.encode(bytes), out);
        }
        Value::Integer(number) | Value::Time(number) => {
            label(Label::Number, out);
            write_json(number, out);
        }
        Value::Unsigned(number) => {
            label(Label::Number, out);
            write_json(number, out);
        }
        Value::Float(number) if number.is_finite() => {
            label(Label::Number, out);
            write_json(number, out);
        }
        Value::Boolean(truth) => {
            label(Label::Boolean, out);
            write_json(truth, out);
        }
        Value::ObjectLink(link) => {
            label(Label::Link, out);
            write_json(&link.to_string(), out);
        }
        Value::Float(_) | Value::Null => return None,
    }
    Some(())
}

/// Where a text that borrows from the payload stands in it; 0 for one that does not.
fn offset_of(text: Option<&str>, payload: &[u8]) -> usize {
    let start = text.map_or(0, |text| text.as_ptr().addr());
    start
        .checked_sub(payload.as_ptr().addr())
        .filter(|offset| *offset < payload.len())
        .unwrap_or(0)
}
