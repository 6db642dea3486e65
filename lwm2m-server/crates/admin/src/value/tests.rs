use std::sync::Arc;

use lwm2m_core::{ObjectModel, ObjectModels, ObjectVersion, ResourceModel};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Object 1: resource 0 to 8, one for each type, 9 without one.
struct Models;

const TYPES: [DataType; 9] = [
    DataType::String,
    DataType::Integer,
    DataType::Unsigned,
    DataType::Float,
    DataType::Boolean,
    DataType::Opaque,
    DataType::Time,
    DataType::ObjectLink,
    DataType::CoreLink,
];

impl ObjectModels for Models {
    fn object(&self, id: u16, _: Option<ObjectVersion>) -> Option<Arc<ObjectModel>> {
        let resource = |id: u16| ResourceModel {
            id,
            name: "".into(),
            description: "".into(),
            operations: Default::default(),
            multiple: false,
            mandatory: false,
            data_type: TYPES.get(usize::from(id)).copied(),
            range: "".into(),
            units: "".into(),
        };
        (id == 1).then(|| {
            Arc::new(ObjectModel {
                id,
                version: ObjectVersion::V1_0,
                name: "".into(),
                description: "".into(),
                multiple: false,
                mandatory: false,
                resources: (0..10).map(resource).collect(),
            })
        })
    }
}

fn records(base: &str, body: Json) -> Result<Vec<Record<'static>>, Problem> {
    let body: WriteBody = serde_json::from_value(body).unwrap();
    body.records(base.parse().unwrap(), &Naming::new(&Models, None))
}

fn value(path: &str, body: Json) -> Value<'static> {
    let mut records = records(path, body).unwrap();
    assert_eq!(records.len(), 1);
    let record = records.remove(0);
    assert_eq!(record.path.to_string(), path);
    record.value
}

#[test]
fn the_model_gives_the_type() {
    for (path, json, expected) in [
        ("/1/0/0", json!("5"), Value::from("5")),
        ("/1/0/1", json!(5), Value::Integer(5)),
        ("/1/0/1", json!("-5"), Value::Integer(-5)),
        ("/1/0/1", json!(5.0), Value::Integer(5)),
        ("/1/0/1", json!(i64::MIN), Value::Integer(i64::MIN)),
        ("/1/0/2", json!(5), Value::Unsigned(5)),
        ("/1/0/2", json!(u64::MAX), Value::Unsigned(u64::MAX)),
        (
            "/1/0/2",
            json!(u64::MAX.to_string()),
            Value::Unsigned(u64::MAX),
        ),
        ("/1/0/3", json!(22), Value::Float(22.0)),
        ("/1/0/3", json!(22.5), Value::Float(22.5)),
        ("/1/0/3", json!("-22.5"), Value::Float(-22.5)),
        ("/1/0/4", json!(true), Value::Boolean(true)),
        ("/1/0/4", json!("0"), Value::Boolean(false)),
        ("/1/0/5", json!("AP8="), Value::from(vec![0u8, 255])),
        (
            "/1/0/5",
            json!({ "hex": "00fF" }),
            Value::from(vec![0u8, 255]),
        ),
        (
            "/1/0/5",
            json!({ "base64": "AP8" }),
            Value::from(vec![0u8, 255]),
        ),
        ("/1/0/5", json!({ "hex": "" }), Value::from(Vec::new())),
        ("/1/0/6", json!(1_700_000_000), Value::Time(1_700_000_000)),
        (
            "/1/0/6",
            json!("2023-11-14T22:13:20Z"),
            Value::Time(1_700_000_000),
        ),
        (
            "/1/0/7",
            json!("21:3"),
            Value::ObjectLink("21:3".parse().unwrap()),
        ),
        ("/1/0/8", json!("</3>"), Value::CoreLink("</3>".into())),
        ("/1/0/0/7", json!("x"), Value::from("x")),
    ] {
        assert_eq!(value(path, json!({ "value": json })), expected, "{json}");
    }
}

#[test]
fn without_a_model_the_json_or_the_caller_gives_it() {
    for (body, expected) in [
        (json!({ "value": 5 }), Value::Integer(5)),
        (json!({ "value": u64::MAX }), Value::Unsigned(u64::MAX)),
        (json!({ "value": 5.5 }), Value::Float(5.5)),
        (json!({ "value": "5" }), Value::from("5")),
        (json!({ "value": true }), Value::Boolean(true)),
        (
            json!({ "value": { "hex": "ab" } }),
            Value::from(vec![0xab_u8]),
        ),
        (json!({ "value": null }), Value::Null),
        (
            json!({ "value": "5", "type": "integer" }),
            Value::Integer(5),
        ),
        (
            json!({ "value": 5, "type": "Unsigned Integer" }),
            Value::Unsigned(5),
        ),
        (json!({ "value": 5, "type": "FLOAT" }), Value::Float(5.0)),
        (
            json!({ "value": "21:3", "type": "objlnk" }),
            Value::ObjectLink("21:3".parse().unwrap()),
        ),
    ] {
        assert_eq!(value("/9/0/0", body.clone()), expected, "{body}");
    }
    // The caller knows better than the model.
    let typed = json!({ "value": "x", "type": "string" });
    assert_eq!(value("/1/0/1", typed), Value::from("x"));
}

#[test]
fn several_values_stand_below_the_path() {
    let body = json!({ "values": {
        "3": 1.5,
        "/1/0/1": 7,
        "0/12": "b",
        "0/2": { "value": "5", "type": "integer" },
    }});
    let records = records("/1/0", body).unwrap();
    let expected = [
        Record::new("/1/0/0/2".parse().unwrap(), Value::Integer(5)),
        Record::new("/1/0/0/12".parse().unwrap(), Value::from("b")),
        Record::new("/1/0/1".parse().unwrap(), Value::Integer(7)),
        Record::new("/1/0/3".parse().unwrap(), Value::Float(1.5)),
    ];
    assert_eq!(records, expected);
    let root = super::tests::records("/", json!({ "values": { "/1/0/1": 7, "1/0/2": 7 } }));
    assert_eq!(root.unwrap().len(), 2);
}

#[test]
fn says_what_is_wrong_with_a_body() {
    for (base, body, word) in [
        ("/1/0/1", json!({}), "invalid-body"),
        ("/1/0", json!({ "value": 1 }), "invalid-body"),
        (
            "/1/0/1",
            json!({ "value": 1, "values": {} }),
            "invalid-body",
        ),
        (
            "/1/0",
            json!({ "values": { "1": 1 }, "type": "integer" }),
            "invalid-body",
        ),
        (
            "/1/0/1",
            json!({ "value": 1, "type": "number" }),
            "invalid-value",
        ),
        ("/1/0/1", json!({ "value": "x" }), "invalid-value"),
        ("/1/0/1", json!({ "value": 1.5 }), "invalid-value"),
        ("/1/0/1", json!({ "value": u64::MAX }), "invalid-value"),
        ("/1/0/2", json!({ "value": -1 }), "invalid-value"),
        ("/1/0/0", json!({ "value": 1 }), "invalid-value"),
        ("/1/0/4", json!({ "value": 1 }), "invalid-value"),
        ("/1/0/5", json!({ "value": "?" }), "invalid-value"),
        (
            "/1/0/5",
            json!({ "value": { "hex": "abc" } }),
            "invalid-value",
        ),
        (
            "/1/0/5",
            json!({ "value": { "hex": "+1" } }),
            "invalid-value",
        ),
        ("/1/0/5", json!({ "value": { "hex": 1 } }), "invalid-value"),
        (
            "/1/0/5",
            json!({ "value": { "octal": "1" } }),
            "invalid-value",
        ),
        ("/1/0/5", json!({ "value": {} }), "invalid-value"),
        ("/1/0/6", json!({ "value": "tomorrow" }), "invalid-value"),
        ("/1/0/7", json!({ "value": "21" }), "invalid-value"),
        ("/1/0/1", json!({ "value": [1, 2] }), "invalid-value"),
        ("/1/0", json!({ "values": { "x": 1 } }), "invalid-path"),
        ("/1/0", json!({ "values": { "": 1 } }), "invalid-path"),
        ("/1/0", json!({ "values": { "1/2/3": 1 } }), "invalid-path"),
        ("/1/0", json!({ "values": { "/65535": 1 } }), "invalid-path"),
    ] {
        let problem = records(base, body.clone()).unwrap_err();
        let text = format!("{problem:?}");
        assert!(text.contains(&format!("{word:?}")), "{body}: {text}");
    }
    let unknown = serde_json::from_value::<WriteBody>(json!({ "valeu": 1 }));
    assert!(unknown.is_err());
}

#[test]
fn values_go_out_as_json() {
    for (value, json) in [
        (Value::from("x"), json!("x")),
        (Value::Integer(i64::MIN), json!(i64::MIN)),
        (Value::Unsigned(u64::MAX), json!(u64::MAX)),
        (Value::Float(22.5), json!(22.5)),
        (Value::Float(f64::NAN), json!("NaN")),
        (Value::Boolean(true), json!(true)),
        (Value::from(vec![0u8, 255]), json!("AP8=")),
        (Value::Time(1_700_000_000), json!(1_700_000_000)),
        (Value::ObjectLink("21:3".parse().unwrap()), json!("21:3")),
        (Value::Null, Json::Null),
    ] {
        assert_eq!(to_json(&value), json);
    }
}

proptest! {
    #[test]
    fn what_went_out_comes_back(
        resource in 0..TYPES.len(),
        integer: i64, unsigned: u64, float in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
        truth: bool, bytes: Vec<u8>, text: String, object: u16, instance: u16,
    ) {
        let value = match TYPES[resource] {
            DataType::String => Value::from(text),
            DataType::Integer => Value::Integer(integer),
            DataType::Unsigned => Value::Unsigned(unsigned),
            DataType::Float => Value::Float(float),
            DataType::Boolean => Value::Boolean(truth),
            DataType::Opaque => Value::from(bytes),
            DataType::Time => Value::Time(integer),
            DataType::ObjectLink => {
                Value::ObjectLink(lwm2m_core::ObjectLink { object, instance })
            }
            DataType::CoreLink => Value::CoreLink(text.into()),
        };
        let path = Path::resource(1, 0, resource as u16);
        let written = serde_json::to_string(&json!({ "value": to_json(&value) })).unwrap();
        let body = serde_json::from_str(&written).unwrap();
        let record = Record { path, time: None, value };
        prop_assert_eq!(records(&path.to_string(), body), Ok(vec![record]));
    }
}
