//! The payload vectors: 220 payloads with what they mean, 62 of them to be refused.
//!
//! `vectors.json` was computed with an independent implementation. Each vector has `format`,
//! `content_format`, the `path` of the request, the payload in `hex`, and one of:
//!
//! - `nodes`: the values it holds (opaque in hex, object links as `object:instance`, times in
//!   seconds, `time` the resolved timestamp of a record); `types` are hints where the registry would
//!   not give the type of a resource, keyed by path;
//! - `links`: the links or the list of paths it holds;
//! - `error`: why it is refused.
//!
//! `direction` is `both` (decodes to this, and encoding this gives these bytes), `decode` (input
//! only) or `encode` (a request body that the server writes). `tree` repeats `nodes`, nested.

#![allow(clippy::unwrap_used)] // test code outside of #[test] functions

use std::collections::BTreeMap;

use lwm2m_core::codec::{self, Scope};
use lwm2m_core::link::{self, Link};
use lwm2m_core::{
    ContentFormat, DataType, Path, Record, ResourceType, ResourceTypes, Untyped, Value,
};
use serde_json::{Map, Value as Json};

/// Vectors whose bytes differ from what we emit, each with the reason. What we emit is decoded
/// again instead.
const OTHER_BYTES: [(&str, &str); 17] = [
    ("senml-json-single-resource-bn-only", BASE_NAMES),
    ("senml-cbor-single-resource-bn-only", BASE_NAMES),
    ("senml-json-single-resource-full-name", BASE_NAMES),
    ("senml-cbor-single-resource-full-name", BASE_NAMES),
    ("senml-json-all-types", BASE_NAMES),
    ("senml-cbor-all-types", BASE_NAMES),
    ("senml-json-objlnk-null", BASE_NAMES),
    ("senml-cbor-objlnk-null", BASE_NAMES),
    ("senml-json-opaque-empty", BASE_NAMES),
    ("senml-cbor-opaque-empty", BASE_NAMES),
    ("senml-json-write-composite", BASE_NAMES),
    ("senml-cbor-write-composite", BASE_NAMES),
    ("senml-etch-json-delete-instance", BASE_NAMES),
    ("senml-etch-cbor-delete-instance", BASE_NAMES),
    ("senml-json-history", EVERY_RECORD),
    ("senml-cbor-history", EVERY_RECORD),
    (
        "lwm2m-cbor-instance-device",
        "we write a resource with a single instance as one key, [11, 0]",
    ),
];

const BASE_NAMES: &str = "we write a base name for each instance and relative names";
const EVERY_RECORD: &str = "we write a relative name and the time itself in every record";

/// The one vector about a device behind a gateway, whose path has a prefix.
const GATEWAY: &str = "lwm2m-cbor-gateway-prefix";

/// The resources that vectors without values of their own need, and those with several instances.
const REGISTRY: [(u16, u16, DataType, bool); 12] = [
    (0, 17, DataType::ObjectLink, false),
    (1, 6, DataType::Boolean, false),
    (2, 2, DataType::Integer, true),
    (3, 0, DataType::String, false),
    (3, 6, DataType::Integer, true),
    (3, 7, DataType::Integer, true),
    (3, 8, DataType::Integer, true),
    (3, 9, DataType::Integer, false),
    (3, 11, DataType::Integer, true),
    (16, 0, DataType::String, true),
    (19, 0, DataType::Opaque, true),
    (3303, 5700, DataType::Float, false),
];

#[test]
fn there_are_220_vectors_of_known_formats() {
    let all = vectors();
    assert_eq!(all.len(), 220);
    let mut counts = BTreeMap::new();
    for vector in &all {
        *counts.entry(vector.format()).or_insert(0) += 1;
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [
            (ContentFormat::Text, 23),
            (ContentFormat::Link, 16),
            (ContentFormat::Opaque, 2),
            (ContentFormat::Cbor, 23),
            (ContentFormat::SenmlJson, 31),
            (ContentFormat::SenmlCbor, 24),
            (ContentFormat::SenmlEtchJson, 1),
            (ContentFormat::SenmlEtchCbor, 2),
            (ContentFormat::Tlv, 74),
            (ContentFormat::Json, 5),
            (ContentFormat::Lwm2mCbor, 19),
        ]
    );
    assert_eq!(all.iter().filter(|v| v.is_error()).count(), 62);
    for (name, _) in &OTHER_BYTES {
        assert!(all.iter().any(|v| v.name() == *name), "no vector {name}");
    }
}

#[test]
fn text() {
    run(ContentFormat::Text, 23);
}

#[test]
fn opaque() {
    run(ContentFormat::Opaque, 2);
}

#[test]
fn tlv() {
    run(ContentFormat::Tlv, 74);
}

#[test]
fn json() {
    run(ContentFormat::Json, 5);
}

#[test]
fn cbor() {
    run(ContentFormat::Cbor, 23);
}

#[test]
fn senml_json() {
    run(ContentFormat::SenmlJson, 31);
}

#[test]
fn senml_cbor() {
    run(ContentFormat::SenmlCbor, 24);
}

#[test]
fn senml_etch_json() {
    run(ContentFormat::SenmlEtchJson, 1);
}

#[test]
fn senml_etch_cbor() {
    run(ContentFormat::SenmlEtchCbor, 2);
}

#[test]
fn lwm2m_cbor() {
    run(ContentFormat::Lwm2mCbor, 19);
}

#[test]
fn links() {
    run(ContentFormat::Link, 16);
}

/// Runs every vector of a format and says which fail.
fn run(format: ContentFormat, count: usize) {
    let all = vectors();
    let of_format: Vec<_> = all.iter().filter(|v| v.format() == format).collect();
    assert_eq!(of_format.len(), count);
    let failures: Vec<String> = of_format
        .iter()
        .filter_map(|vector| {
            let failure = match format {
                ContentFormat::Link => vector.check_links(),
                _ => vector.check(),
            };
            failure.err().map(|e| format!("{}: {e}", vector.name()))
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn vectors() -> Vec<Vector> {
    let file: Json = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().map(|v| Vector(v.clone())).collect()
}

struct Vector(Json);

impl Vector {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    fn format(&self) -> ContentFormat {
        let number = self.0["content_format"].as_u64().unwrap();
        ContentFormat::from_number(number as u16).unwrap()
    }

    fn payload(&self) -> Vec<u8> {
        bytes(self.0["hex"].as_str().unwrap())
    }

    fn is_error(&self) -> bool {
        self.0.get("error").is_some()
    }

    fn direction(&self) -> &str {
        self.0["direction"].as_str().unwrap()
    }

    /// The pack of a bootstrap has no path of its own.
    fn path(&self) -> Path {
        match self.0["path"].as_str().unwrap() {
            "/bspack" => Path::ROOT,
            path => path.parse().unwrap(),
        }
    }

    /// The alternate path that the names of this vector carry.
    fn prefix(&self) -> &'static str {
        match self.name() {
            "senml-json-alternate-path" => "/lwm2m",
            _ => "",
        }
    }

    fn nodes(&self) -> Vec<Record<'static>> {
        let nodes = self.0.get("nodes").and_then(Json::as_array);
        let nodes = nodes.map(Vec::as_slice).unwrap_or_default();
        nodes
            .iter()
            .map(|node| {
                let path = node["path"].as_str().unwrap();
                Record {
                    path: node_path(path.strip_prefix(self.prefix()).unwrap()),
                    time: node.get("time").and_then(Json::as_f64),
                    value: value(node["type"].as_str().unwrap(), &node["value"]),
                }
            })
            .collect()
    }

    fn types(&self) -> Types {
        let mut types: Types = Types::default();
        for (object, resource, data_type, multiple) in REGISTRY {
            types.0.insert(
                (object, resource),
                ResourceType {
                    data_type,
                    multiple,
                },
            );
        }
        let mut add = |path: Path, data_type: DataType| {
            let key = (path.object_id().unwrap(), path.resource_id().unwrap());
            let multiple = path.resource_instance_id().is_some();
            types.0.insert(
                key,
                ResourceType {
                    data_type,
                    multiple,
                },
            );
        };
        if self.name() != GATEWAY {
            for node in self.nodes() {
                if let Some(data_type) = node.value.data_type() {
                    add(node.path, data_type);
                }
            }
        }
        let none = Map::new();
        let hints = self.0.get("types").and_then(Json::as_object);
        for (path, name) in hints.unwrap_or(&none) {
            add(path.parse().unwrap(), data_type(name.as_str().unwrap()));
        }
        types
    }

    fn check_gateway(&self, payload: &[u8]) -> Result<(), String> {
        let decoded = codec::decode(self.format(), self.path().into(), payload, &Untyped)
            .map_err(|e| format!("refused: {e}"))?;
        let [behind] = decoded.gateway.as_slice() else {
            return Err(format!("read as {decoded:?}"));
        };
        let path = format!("/{}{}", behind.prefix, behind.record.path);
        let node = self.0.pointer("/nodes/0").unwrap();
        assert_eq!(node.get("path").and_then(Json::as_str), Some(path.as_str()));
        assert_eq!(behind.record.value, Value::from("Company A"));
        assert_eq!(node.get("value").and_then(Json::as_str), Some("Company A"));
        assert!(decoded.records.is_empty());
        assert!(
            decoded.strict().is_err(),
            "all or nothing leaves devices behind out"
        );
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.0.get("links").is_some() {
            return self.check_paths();
        }
        let scope = Scope {
            path: self.path(),
            prefix: self.prefix(),
        };
        let (payload, types) = (self.payload(), self.types());
        let decode = |payload| {
            codec::decode(self.format(), scope, payload, &types).and_then(codec::Decoded::strict)
        };
        if self.name() == GATEWAY {
            return self.check_gateway(&payload);
        }
        if self.is_error() {
            return match decode(&payload) {
                Err(_) => Ok(()),
                Ok(records) => Err(format!("must be refused, not read as {records:?}")),
            };
        }
        let nodes = self.nodes();
        if self.direction() != "encode" {
            let records = decode(&payload).map_err(|e| format!("refused: {e}"))?;
            if records != nodes {
                return Err(format!("read as {records:?}, is {nodes:?}"));
            }
        }
        if self.direction() == "decode" {
            return Ok(());
        }
        let mut out = vec![0xaa];
        codec::encode(self.format(), scope, &nodes, &types, &mut out)
            .map_err(|e| format!("cannot be written: {e}"))?;
        assert_eq!(out.remove(0), 0xaa, "what was in the buffer stays");
        if OTHER_BYTES.iter().any(|(name, _)| *name == self.name()) {
            if out == payload {
                return Err("written as in the vector, so it belongs off the list".into());
            }
            let records = decode(&out).map_err(|e| format!("refused what we wrote: {e}"))?;
            return match records == nodes {
                true => Ok(()),
                false => Err(format!("what we wrote reads as {records:?}, is {nodes:?}")),
            };
        }
        match out == payload {
            true => Ok(()),
            false => Err(format!(
                "written as {}, is {}",
                readable(&out),
                readable(&payload)
            )),
        }
    }

    /// Bodies of composite requests: names only.
    fn check_paths(&self) -> Result<(), String> {
        let paths: Vec<Path> = self.0["links"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| path.as_str().unwrap().parse().unwrap())
            .collect();
        let payload = self.payload();
        let read = codec::decode_paths(self.format(), self.prefix(), &payload)
            .map_err(|e| format!("refused: {e}"))?;
        if read != paths {
            return Err(format!("read as {read:?}, is {paths:?}"));
        }
        let mut out = Vec::new();
        codec::encode_paths(self.format(), self.prefix(), &paths, &mut out)
            .map_err(|e| format!("cannot be written: {e}"))?;
        match out == payload {
            true => Ok(()),
            false => Err(format!("written as {}", readable(&out))),
        }
    }

    fn check_links(&self) -> Result<(), String> {
        let payload = self.payload();
        let read = link::parse(&payload);
        if self.is_error() {
            return match read {
                Err(_) => Ok(()),
                Ok(links) => Err(format!("must be refused, not read as {links:?}")),
            };
        }
        let read = read.map_err(|e| format!("refused: {e}"))?;
        let given = self.0["links"].as_array().unwrap();
        let same = read.len() == given.len() && read.iter().zip(given).all(|(a, b)| is_link(a, b));
        if !same {
            return Err(format!("read as {read:?}, is {given:?}"));
        }
        if self.direction() == "both" {
            let mut out = String::new();
            link::write(&read, &mut out);
            if out.as_bytes() != payload {
                return Err(format!("written as {out}"));
            }
        }
        Ok(())
    }
}

fn is_link(link: &Link<'_>, given: &Json) -> bool {
    // The Bootstrap-Discover of LwM2M 1.0 starts with a parameter that belongs to no link.
    if let Some(version) = given.get("legacy_lwm2m") {
        return link.target.is_empty() && link.param("lwm2m") == version.as_str();
    }
    let none = Map::new();
    let attributes = given.get("attrs").and_then(Json::as_object);
    let attributes = attributes.unwrap_or(&none);
    given["uri"].as_str() == Some(&*link.target)
        && attributes.len() == link.params.len()
        && link.params.iter().all(|(key, value)| {
            attributes
                .get(&**key)
                .is_some_and(|given| given.as_str() == value.as_deref())
        })
}

#[derive(Default)]
struct Types(BTreeMap<(u16, u16), ResourceType>);

impl ResourceTypes for Types {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        self.0.get(&(object, resource)).copied()
    }
}

fn data_type(name: &str) -> DataType {
    match name {
        "string" => DataType::String,
        "integer" => DataType::Integer,
        "unsigned" => DataType::Unsigned,
        "float" => DataType::Float,
        "boolean" => DataType::Boolean,
        "opaque" => DataType::Opaque,
        "time" => DataType::Time,
        "objlnk" => DataType::ObjectLink,
        "corelnk" => DataType::CoreLink,
        _ => panic!("no type {name}"),
    }
}

fn value(name: &str, json: &Json) -> Value<'static> {
    let text = || json.as_str().unwrap().to_owned();
    if name == "delete" {
        return Value::Null;
    }
    match data_type(name) {
        DataType::String => Value::String(text().into()),
        DataType::CoreLink => Value::CoreLink(text().into()),
        DataType::Integer => Value::Integer(json.as_i64().unwrap()),
        DataType::Time => Value::Time(json.as_i64().unwrap()),
        DataType::Unsigned => Value::Unsigned(json.as_u64().unwrap()),
        DataType::Float => Value::Float(json.as_f64().unwrap()),
        DataType::Boolean => Value::Boolean(json.as_bool().unwrap()),
        DataType::Opaque => Value::Opaque(bytes(&text()).into()),
        DataType::ObjectLink => Value::ObjectLink(text().parse().unwrap()),
    }
}

/// Reads a path, 65535 for an instance that the device chooses included.
fn node_path(text: &str) -> Path {
    let ids = text.trim_start_matches('/').split('/');
    let ids: Vec<u16> = ids.map(|id| id.parse().unwrap()).collect();
    Path::from_ids(&ids).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn readable(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.iter().map(|b| format!("{b:02x}")).collect(),
    }
}
