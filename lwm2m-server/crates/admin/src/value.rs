//! Values as JSON, and JSON as values of the type that the model gives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lwm2m_core::{DataType, Path, PathError, PathLevel, Record, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::naming::Naming;
use crate::problem::Problem;

/// The body of a Write: one value at the path itself, or several below it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteBody {
    // Present and null is a value, namely none; absent is another matter.
    #[serde(default, deserialize_with = "present")]
    value: Option<Json>,
    #[serde(rename = "type")]
    data_type: Option<String>,
    values: Option<Map<String, Json>>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl WriteBody {
    /// The records of a write at `base`.
    pub(crate) fn records(
        self,
        base: Path,
        naming: &Naming<'_>,
    ) -> Result<Vec<Record<'static>>, Problem> {
        match (self.value, self.values) {
            (Some(value), None) => {
                if !matches!(
                    base.level(),
                    PathLevel::Resource | PathLevel::ResourceInstance
                ) {
                    return Err(Problem::body(format!(
                        "{base} is no resource: write {{\"values\": {{…}}}} below it"
                    )));
                }
                let typed = Typed {
                    value,
                    data_type: self.data_type,
                };
                Ok(vec![typed.record(base, naming)?])
            }
            (None, Some(values)) if self.data_type.is_none() => below(base, values, naming),
            (None, Some(_)) => Err(Problem::body(
                "\"type\" goes with \"value\"; among \"values\" write {\"value\": …, \"type\": …}",
            )),
            (Some(_), Some(_)) => Err(Problem::body("give \"value\" or \"values\", not both")),
            (None, None) => Err(Problem::body(
                "nothing to write: give {\"value\": …} or {\"values\": {…}}",
            )),
        }
    }

    /// The records below `base`; none at all is allowed, for a Create.
    pub(crate) fn records_or_none(
        self,
        base: Path,
        naming: &Naming<'_>,
    ) -> Result<Vec<Record<'static>>, Problem> {
        if self.value.is_none() && self.values.is_none() {
            return Ok(Vec::new());
        }
        self.records(base, naming)
    }
}

/// Values by path, absolute or relative to `base`, in the order of their paths.
fn below(
    base: Path,
    values: Map<String, Json>,
    naming: &Naming<'_>,
) -> Result<Vec<Record<'static>>, Problem> {
    let mut records = Vec::with_capacity(values.len());
    for (key, value) in values {
        let path = match key.strip_prefix('/') {
            Some(_) => key.parse(),
            None if key.is_empty() => Err(PathError::EmptySegment),
            None => format!("/{key}")
                .parse()
                .and_then(|key: Path| join(base, key)),
        };
        let path: Path = path.map_err(|error| Problem::path(format!("{key:?}: {error}")))?;
        records.push(Typed::from(value).record(path, naming)?);
    }
    records.sort_by_key(|record| record.path);
    Ok(records)
}

/// `tail` below `base`, whose instance may be 65535, which the text form does not have.
fn join(base: Path, tail: Path) -> Result<Path, PathError> {
    tail.ids().iter().try_fold(base, |path, id| path.child(*id))
}

/// A value, and the type that the caller gives it.
struct Typed {
    value: Json,
    data_type: Option<String>,
}

impl From<Json> for Typed {
    /// `{"value": …, "type": …}`, or the bare value.
    fn from(json: Json) -> Typed {
        match json {
            Json::Object(mut object)
                if object.contains_key("value")
                    && object.keys().all(|key| key == "value" || key == "type") =>
            {
                Typed {
                    data_type: object.remove("type").map(|text| match text {
                        Json::String(text) => text,
                        other => other.to_string(),
                    }),
                    value: object.remove("value").unwrap_or(Json::Null),
                }
            }
            value => Typed {
                value,
                data_type: None,
            },
        }
    }
}

impl Typed {
    fn record(self, path: Path, naming: &Naming<'_>) -> Result<Record<'static>, Problem> {
        let data_type = match self.data_type {
            Some(name) => Some(type_of_name(&name).ok_or_else(|| {
                Problem::value(format!("{path}: {name:?} is no type; use one of {NAMES}"))
            })?),
            None => naming.data_type(&path),
        };
        let value = from_json(&self.value, data_type)
            .map_err(|error| Problem::value(format!("{path}: {error}")))?;
        Ok(Record {
            path,
            time: None,
            value,
        })
    }
}

/// A value of `data_type`; without one, of the type that the JSON suggests.
fn from_json(json: &Json, data_type: Option<DataType>) -> Result<Value<'static>, String> {
    let value = match json {
        Json::Null => return Ok(Value::Null),
        Json::String(text) => {
            let data_type = data_type.unwrap_or(DataType::String);
            return Value::from_text(data_type, text)
                .map(Value::into_owned)
                .map_err(|error| error.to_string());
        }
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::Integer(number),
            (None, Some(number), _) => Value::Unsigned(number),
            (None, None, Some(number)) => Value::Float(number),
            (None, None, None) => return Err(format!("{number} is no 64-bit number")),
        },
        Json::Object(object) => Value::from(bytes(object)?),
        Json::Array(_) => {
            return Err(
                "the instances of a resource are written as {\"0\": …, \"1\": …} in \
                        \"values\", by their paths"
                    .to_owned(),
            );
        }
    };
    match data_type {
        Some(data_type) => value.cast(data_type).map(Value::into_owned),
        None => Ok(value),
    }
    .map_err(|error| error.to_string())
}

/// `{"hex": …}` or `{"base64": …}`.
fn bytes(object: &Map<String, Json>) -> Result<Vec<u8>, String> {
    let mut fields = object.iter();
    let (Some((key, Json::String(text))), None) = (fields.next(), fields.next()) else {
        return Err("an object is {\"hex\": …}, {\"base64\": …} or {\"value\": …}".to_owned());
    };
    match key.as_str() {
        "hex" => from_hex(text).ok_or_else(|| "the hex digits are broken".to_owned()),
        "base64" => match Value::from_text(DataType::Opaque, text) {
            Ok(Value::Opaque(bytes)) => Ok(bytes.into_owned()),
            _ => Err("the base64 is broken".to_owned()),
        },
        _ => Err(format!("{key:?} is no form of bytes; use hex or base64")),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| {
        digits
            .chunks_exact(2)
            .map(|pair| (pair[0] << 4) | pair[1])
            .collect()
    })
}

/// A value as JSON: numbers and booleans as such, all else as text.
pub(crate) fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Integer(number) | Value::Time(number) => Json::from(*number),
        Value::Unsigned(number) => Json::from(*number),
        Value::Float(number) if number.is_finite() => Json::from(*number),
        Value::Boolean(truth) => Json::from(*truth),
        Value::Null => Json::Null,
        _ => Json::from(value.to_text()),
    }
}

/// Bytes as JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

const NAMES: &str = "string, integer, unsigned, float, boolean, opaque, time, objlnk, corelnk";

/// The name of a type in this API.
pub(crate) const fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::String => "string",
        DataType::Integer => "integer",
        DataType::Unsigned => "unsigned",
        DataType::Float => "float",
        DataType::Boolean => "boolean",
        DataType::Opaque => "opaque",
        DataType::Time => "time",
        DataType::ObjectLink => "objlnk",
        DataType::CoreLink => "corelnk",
    }
}

fn type_of_name(name: &str) -> Option<DataType> {
    [
        DataType::String,
        DataType::Integer,
        DataType::Unsigned,
        DataType::Float,
        DataType::Boolean,
        DataType::Opaque,
        DataType::Time,
        DataType::ObjectLink,
        DataType::CoreLink,
    ]
    .into_iter()
    .find(|known| {
        type_name(*known).eq_ignore_ascii_case(name) || known.as_str().eq_ignore_ascii_case(name)
    })
}

#[cfg(test)]
mod tests;
