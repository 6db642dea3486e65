//! What a device answered, as JSON.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response as HttpResponse};
use lwm2m_core::codec::Decoded;
use lwm2m_core::link::DiscoveredLink;
use lwm2m_core::{Attributes, Path};
use lwm2m_server::{Content, Response};
use serde::Serialize;
use serde_json::{Map, Value as JsonValue};

use crate::naming::Naming;
use crate::value;

/// The answer to an operation.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    elapsed_ms: f64,
    #[serde(flatten)]
    values: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Vec<Link>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observation: Option<u64>,
    #[serde(skip)]
    location: Option<String>,
}

/// Values and the faults beside them.
#[derive(Debug, Serialize)]
pub(crate) struct Values {
    values: Vec<NamedValue>,
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
struct NamedValue {
    path: String,
    value: JsonValue,
    #[serde(rename = "type")]
    data_type: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<JsonValue>,
}

#[derive(Debug, Serialize)]
struct Fault {
    path: String,
    error: String,
    raw: String,
}

#[derive(Debug, Serialize)]
struct Link {
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dim: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    attributes: Map<String, JsonValue>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    other: Map<String, JsonValue>,
}

impl Answer {
    pub(crate) fn new(
        response: &Response,
        naming: &Naming<'_>,
        elapsed: Duration,
        now: SystemTime,
    ) -> Answer {
        let mut answer = Answer {
            code: format!("{:?}", response.code),
            format: response.format.map(|format| format.name()),
            elapsed_ms: (elapsed.as_secs_f64() * 1e4).round() / 10.0,
            values: None,
            links: None,
            created: None,
            observation: response.observation.map(|id| id.0),
            location: None,
        };
        match &response.content {
            Content::Values(decoded) => answer.values = Some(Values::new(decoded, naming, now)),
            Content::Links(links) => {
                answer.links = Some(links.iter().map(|link| Link::new(link, naming)).collect());
            }
            Content::Created(path) => answer.created = Some(path.to_string()),
            _ => {}
        }
        answer
    }

    /// Makes it a 201 with this Location.
    pub(crate) fn at(mut self, location: String) -> Answer {
        self.location = Some(location);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> HttpResponse {
        let location = self
            .location
            .as_ref()
            .and_then(|location| HeaderValue::from_str(location).ok());
        match location {
            Some(location) => {
                (StatusCode::CREATED, [(LOCATION, location)], Json(self)).into_response()
            }
            None => Json(self).into_response(),
        }
    }
}

impl Values {
    pub(crate) fn new(decoded: &Decoded<'_>, naming: &Naming<'_>, now: SystemTime) -> Values {
        let value = |record: &lwm2m_core::Record<'_>| {
            let (name, unit) = naming
                .resource(&record.path, |model| {
                    (model.name.to_string(), model.units.to_string())
                })
                .unwrap_or_default();
            NamedValue {
                path: record.path.to_string(),
                value: value::to_json(&record.value),
                data_type: record.value.data_type().map(value::type_name),
                name,
                unit,
                time: record.time.map(|time| crate::time::of_record(time, now)),
            }
        };
        let fault = |fault: &lwm2m_core::codec::Fault| Fault {
            path: fault.path.to_string(),
            error: fault.error.to_string(),
            raw: value::base64(&fault.raw),
        };
        // Devices behind a gateway have its prefix before their paths.
        let behind = decoded.gateway.iter().map(|behind| NamedValue {
            path: format!("/{}{}", behind.prefix, behind.record.path),
            ..value(&behind.record)
        });
        Values {
            values: decoded.records.iter().map(value).chain(behind).collect(),
            faults: decoded.faults.iter().map(fault).collect(),
        }
    }
}

impl Link {
    fn new(link: &DiscoveredLink, naming: &Naming<'_>) -> Link {
        let other = link.other.iter().map(|(key, text)| {
            let value = text.clone().map_or(JsonValue::Null, JsonValue::String);
            (key.clone(), value)
        });
        Link {
            path: link.path.to_string(),
            name: naming.name(&link.path),
            dim: link.dim,
            version: link.version.map(|version| version.to_string()),
            attributes: attributes(&link.attributes),
            other: other.collect(),
        }
    }
}

/// Attributes by name; null for one that is unset.
fn attributes(attributes: &Attributes) -> Map<String, JsonValue> {
    let items = attributes.query_items();
    items
        .iter()
        .map(|item| match item.split_once('=') {
            Some((key, text)) => (
                key.to_owned(),
                serde_json::from_str(text).unwrap_or_else(|_| JsonValue::from(text)),
            ),
            None => (item.clone(), JsonValue::Null),
        })
        .collect()
}

/// Paths as JSON has them.
pub(crate) fn texts(paths: &[Path]) -> Vec<String> {
    paths.iter().map(Path::to_string).collect()
}
