//! Values, bytes and paths.

use std::fmt::Write;

use lwm2m_core::{Path, Record, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A value of a resource: a number, a text, true or false as they are; the other types as a table
/// with one key, as in `{ hex = "00ff" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "serde_json::Value")]
pub(crate) struct ValueForm(pub(crate) Value<'static>);

/// Bytes: a text, or `{ hex = "00ff" }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "serde_json::Value")]
pub(crate) struct BytesForm(pub(crate) Vec<u8>);

/// A path, as in `/3303/0/5700`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PathForm(pub(crate) Path);

/// A value with its path, and its time in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasurementForm {
    pub(crate) path: PathForm,
    pub(crate) value: ValueForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
}

impl MeasurementForm {
    pub(crate) fn of(record: &Record<'_>) -> MeasurementForm {
        MeasurementForm {
            path: PathForm(record.path),
            value: ValueForm(record.value.clone().into_owned()),
            time: record.time,
        }
    }

    pub(crate) fn record(&self) -> Record<'static> {
        Record {
            path: self.path.0,
            time: self.time,
            value: self.value.0.clone(),
        }
    }
}

/// How values are written that are no number, text or truth value.
const TYPES: &str = "{ hex = \"00ff\" }, { unsigned = 5 }, { time = 1700000000 }, \
    { link = \"3:0\" }, { core_link = \"</3/0>\" } or { none = true }";

impl TryFrom<toml::Value> for ValueForm {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<ValueForm, String> {
        use toml::Value as Toml;
        Ok(ValueForm(match value {
            Toml::Integer(number) => Value::Integer(number),
            Toml::Float(number) => Value::Float(number),
            Toml::Boolean(value) => Value::Boolean(value),
            Toml::String(text) => Value::String(text.into()),
            Toml::Table(table) => typed(&table).ok_or_else(|| format!("a value is {TYPES}"))?,
            Toml::Array(_) | Toml::Datetime(_) => {
                return Err(format!(
                    "a value is a number, a text, a truth value, {TYPES}"
                ));
            }
        }))
    }
}

/// A value of a table with one key.
fn typed(table: &toml::Table) -> Option<Value<'static>> {
    let mut entries = table.iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return None;
    };
    Some(match kind.as_str() {
        "hex" => Value::Opaque(from_hex(value.as_str()?)?.into()),
        "unsigned" => Value::Unsigned(match value.as_integer() {
            Some(number) => u64::try_from(number).ok()?,
            // Those above the integers of the language.
            None => value.as_str()?.parse().ok()?,
        }),
        "time" => Value::Time(value.as_integer()?),
        "link" => Value::ObjectLink(value.as_str()?.parse().ok()?),
        "core_link" => Value::CoreLink(value.as_str()?.to_owned().into()),
        "none" => Value::Null,
        _ => return None,
    })
}

impl From<ValueForm> for serde_json::Value {
    fn from(ValueForm(value): ValueForm) -> serde_json::Value {
        match value {
            Value::String(text) => json!(text),
            Value::Integer(number) => json!(number),
            Value::Unsigned(number) => match i64::try_from(number) {
                Ok(number) => json!({ "unsigned": number }),
                Err(_) => json!({ "unsigned": number.to_string() }),
            },
            Value::Float(number) if number.is_finite() => json!(number),
            Value::Float(number) => json!(number.to_string()),
            Value::Boolean(value) => json!(value),
            Value::Opaque(bytes) => json!({ "hex": to_hex(&bytes) }),
            Value::Time(seconds) => json!({ "time": seconds }),
            Value::ObjectLink(link) => json!({ "link": link.to_string() }),
            Value::CoreLink(text) => json!({ "core_link": text }),
            _ => json!({ "none": true }),
        }
    }
}

impl TryFrom<toml::Value> for BytesForm {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<BytesForm, &'static str> {
        let refused = "bytes are a text or { hex = \"00ff\" }";
        match value {
            toml::Value::String(text) => Ok(BytesForm(text.into_bytes())),
            toml::Value::Table(table) if table.len() == 1 => {
                let hex = table.get("hex").and_then(toml::Value::as_str);
                hex.and_then(from_hex).map(BytesForm).ok_or(refused)
            }
            _ => Err(refused),
        }
    }
}

impl From<BytesForm> for serde_json::Value {
    fn from(BytesForm(bytes): BytesForm) -> serde_json::Value {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => json!(text),
            Ok(text) => json!({ "hex": to_hex(text.as_bytes()) }),
            Err(error) => json!({ "hex": to_hex(error.as_bytes()) }),
        }
    }
}

impl TryFrom<String> for PathForm {
    type Error = String;

    fn try_from(text: String) -> Result<PathForm, String> {
        let path = text.parse();
        path.map(PathForm)
            .map_err(|error| format!("{text:?} is no path: {error}"))
    }
}

impl From<PathForm> for String {
    fn from(PathForm(path): PathForm) -> String {
        path.to_string()
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Bytes of hexadecimal digits, two for each.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte * 16 + *digit as u8);
    Some(digits.chunks(2).map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        v: ValueForm,
    }

    #[test]
    fn values_are_written_as_they_are_read() {
        for text in [
            "5",
            "-5.5",
            "\"text\"",
            "true",
            "{ hex = \"00ff\" }",
            "{ unsigned = 7 }",
            "{ unsigned = \"18446744073709551615\" }",
            "{ time = 1700000000 }",
            "{ link = \"3:0\" }",
            "{ core_link = \"</3/0>\" }",
            "{ none = true }",
        ] {
            let read = |text: &str| toml::from_str::<Holder>(&format!("v = {text}"));
            let value = read(text).expect(text).v;
            let json = serde_json::Value::from(value.clone());
            let again: ValueForm = serde_json::from_value(json).expect(text);
            assert_eq!(again, value, "{text}");
        }
        for text in [
            "[1]",
            "{ hexa = \"00\" }",
            "{ hex = \"0\" }",
            "{ hex = \"00\", time = 1 }",
        ] {
            let error = toml::from_str::<Holder>(&format!("v = {text}"));
            let error = error.err().expect(text).to_string();
            assert!(error.contains("a value is"), "{error}");
        }
    }
}
