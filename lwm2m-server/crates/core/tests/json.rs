//! OMA JSON: the forms that devices of LwM2M 1.0 send, and the limits.

#![allow(clippy::unwrap_used)] // test code outside of #[test] functions

use lwm2m_core::codec::{self, DecodeError, NESTING_MAX, RECORDS_MAX};
use lwm2m_core::{
    ContentFormat, DataType, Path, Record, ResourceType, ResourceTypes, Untyped, Value, ValueError,
};
use proptest::prelude::*;

const FORMAT: ContentFormat = ContentFormat::Json;

struct Device;

impl ResourceTypes for Device {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        let data_type = match (object, resource) {
            (3, 0) => DataType::String,
            (3, 6) | (3, 9) => DataType::Integer,
            (3, 13) => DataType::Time,
            (3, 21) => DataType::Unsigned,
            (19, 0) => DataType::Opaque,
            (0, 17) => DataType::ObjectLink,
            (1, 6) => DataType::Boolean,
            (3303, 5700) => DataType::Float,
            _ => return None,
        };
        Some(ResourceType {
            data_type,
            multiple: resource == 6 && object == 3,
        })
    }
}

fn strict(path: &str, text: &str) -> Result<Vec<Record<'static>>, DecodeError> {
    let path: Path = path.parse().unwrap();
    codec::decode(FORMAT, path.into(), text.as_bytes(), &Device)?
        .into_owned()
        .strict()
}

fn read(path: &str, text: &str) -> Vec<(String, Value<'static>)> {
    let records = strict(path, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    records
        .into_iter()
        .map(|record| (record.path.to_string(), record.value))
        .collect()
}

#[test]
fn reads_names_in_every_form() {
    for (path, text) in [
        ("/3/0", r#"{"bn":"/3/0/","e":[{"n":"9","v":95}]}"#),
        ("/3/0", r#"{"e":[{"n":"9","v":95}],"bn":"/3/0/"}"#),
        ("/3/0", r#"{"bn":"/3/0","e":[{"n":"9","v":95}]}"#),
        ("/3/0", r#"{"bn":"3/0/","e":[{"n":"/9","v":95}]}"#),
        ("/3/0", r#"{"e":[{"n":"9","v":95}]}"#),
        ("/3/0", r#"{"bn":"","e":[{"n":"/3/0/9","v":95}]}"#),
        ("/3/0/9", r#"{"bn":"/3/0/9","e":[{"v":95}]}"#),
        ("/3/0/9", r#"{"bn":"/3/0/9/","e":[{"n":"","v":95}]}"#),
        ("/3/0/9", r#"{"bn":"/3/0/","e":[{"n":"9","v":95.0}]}"#),
        ("/3/0/9", r#"{"e":[{"v":95}]}"#),
        ("/3/0/9", r#"[{"bn":"/3/0/","e":[{"n":"9","v":95}]}]"#),
        ("/3/0/9", r#"[{"bn":"/3/0/","n":"9","v":95}]"#),
        ("/3/0/9", r#"[{"bn":"/3/0/"},{"n":"9","v":95}]"#),
        (
            "/3/0/9",
            r#" { "bn" : "\/3\/0\/9", "x":{"y":[1]}, "e":[{"v":9.5e1}] } "#,
        ),
        ("/", r#"{"bn":"/","e":[{"n":"3/0/9","v":95}]}"#),
    ] {
        assert_eq!(
            read(path, text),
            [("/3/0/9".to_owned(), Value::Integer(95))],
            "{text}"
        );
    }
    assert!(read("/3/0", r#"{"e":[]}"#).is_empty());
    assert!(read("/3/0", "[]").is_empty());
}

#[test]
fn a_base_name_holds_until_the_next() {
    let text =
        r#"[{"bn":"/3/0/","n":"0","sv":"A"},{"n":"9","v":1},{"bn":"/1/0/","n":"6","bv":true}]"#;
    assert_eq!(
        read("/", text),
        [
            ("/3/0/0".to_owned(), Value::from("A")),
            ("/3/0/9".to_owned(), Value::Integer(1)),
            ("/1/0/6".to_owned(), Value::Boolean(true)),
        ]
    );
}

#[test]
fn integers_keep_all_their_bits() {
    let text = r#"{"bn":"/3/0/","e":[{"n":"9","v":-9223372036854775808},{"n":"21","v":18446744073709551615}]}"#;
    assert_eq!(
        read("/3/0", text),
        [
            ("/3/0/9".to_owned(), Value::Integer(i64::MIN)),
            ("/3/0/21".to_owned(), Value::Unsigned(u64::MAX)),
        ]
    );
}

#[test]
fn one_bad_value_leaves_the_others() {
    let text = r#"{"bn":"/","e":[
        {"n":"3/0/9","v":9.5},{"n":"3/0/9","v":-9223372036854775809},{"n":"3/0/9","sv":"1"},
        {"n":"3/0/9"},{"n":"3/0/9","v":null},{"n":"3/0/9","v":1,"sv":"x"},
        {"n":"1/0/6","v":1},{"n":"19/0/0","sv":"?"},{"n":"0/0/17","ov":"3"},{"n":"0/0/17","sv":"3:4"},
        {"n":"3/0/0","sv":"fine"}]}"#;
    let decoded = codec::decode(FORMAT, Path::ROOT.into(), text.as_bytes(), &Device).unwrap();
    let paths: Vec<String> = decoded.records.iter().map(|r| r.path.to_string()).collect();
    assert_eq!(paths, ["/0/0/17", "/3/0/0"]);
    let expected = DataType::Integer;
    let errors: Vec<ValueError> = decoded.faults.iter().map(|fault| fault.error).collect();
    assert_eq!(
        errors,
        [
            ValueError::Type { expected },
            ValueError::Range { expected },
            ValueError::Type { expected },
            ValueError::Missing,
            ValueError::Missing,
            ValueError::Several,
            ValueError::Type {
                expected: DataType::Boolean
            },
            ValueError::Base64,
            ValueError::ObjectLink,
        ]
    );
}

#[test]
fn refuses_what_is_no_pack() {
    let refused = |path, text| strict(path, text).unwrap_err().to_string();
    for (text, message) in [
        ("", "the json payload ends too early (at byte 0)"),
        ("{\"e\":[", "the json payload ends too early"),
        (
            "{\"e\":[]}x",
            "the json payload goes on after its end (at byte 8)",
        ),
        ("7", "no pack with a list of elements"),
        ("[[]]", "an array of arrays"),
        ("{\"e\":3}", "no pack with a list of elements"),
        ("{\"e\":[{\"n\":1}]}", "no pack with a list of elements"),
        ("{\"e\":[{\"v\":[1]}]}", "no pack with a list of elements"),
        ("{\"e\":[{\"v\":NaN}]}", "no JSON"),
        ("{\"bn\":\"/3\",\"bn\":\"/3\"}", "a label is given twice"),
        ("{\"e\":[],\"e\":[]}", "a label is given twice"),
        (
            "{\"e\":[{\"n\":\"9\",\"n\":\"9\"}]}",
            "a label is given twice",
        ),
        (
            "{\"e\":[{\"n\":\"x\",\"v\":1}]}",
            "a name in the json payload is no path: a path segment is a decimal number (at byte 12)",
        ),
        (
            "{\"bn\":\"/5/0/\",\"e\":[{\"n\":\"3\",\"v\":1}]}",
            "/5/0/3 lies outside /3/0",
        ),
    ] {
        let refusal = refused("/3/0", text);
        assert!(refusal.contains(message), "{text}: {refusal}");
    }
    assert!(matches!(
        strict("/3", "{\"bn\":\"/3/0\",\"e\":[{\"v\":1}]}"),
        Err(DecodeError::Level { .. })
    ));
}

#[test]
fn refuses_one_record_too_many() {
    let payload = |count: usize| format!("{{\"e\":[{}]}}", vec!["{\"v\":1}"; count].join(","));
    let path = Path::resource(3, 0, 9);
    let decode = |count| {
        codec::decode(FORMAT, path.into(), payload(count).as_bytes(), &Untyped)
            .map(|decoded| decoded.records.len())
    };
    let too_many = DecodeError::TooManyRecords { format: FORMAT };
    assert_eq!(decode(RECORDS_MAX), Ok(RECORDS_MAX));
    assert_eq!(decode(RECORDS_MAX + 1), Err(too_many.clone()));
    let empty = format!("[{}]", vec!["{}"; RECORDS_MAX + 1].join(","));
    let decoded = codec::decode(FORMAT, path.into(), empty.as_bytes(), &Untyped);
    assert_eq!(decoded, Err(too_many));
}

#[test]
fn refuses_one_level_too_deep() {
    let payload = |depth: usize| {
        let inner = depth - 1;
        format!("{{\"x\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    let decode = |depth| strict("/3/0", &payload(depth));
    assert_eq!(decode(NESTING_MAX), Ok(Vec::new()));
    let nesting = |depth| matches!(decode(depth), Err(DecodeError::Nesting { .. }));
    assert!(nesting(NESTING_MAX + 1));
    assert!(nesting(100_000));
}

#[test]
fn refuses_to_write_what_json_cannot_say() {
    let encode = |path: &str, value: Value<'static>| {
        let record = Record::new(path.parse().unwrap_or(Path::resource(3, 65535, 9)), value);
        let mut out = b"kept".to_vec();
        let result = codec::encode(FORMAT, Path::ROOT.into(), &[record], &Untyped, &mut out);
        (result.is_ok(), out)
    };
    for (path, value) in [
        ("/3303/0/5700", Value::Float(f64::NAN)),
        ("/3303/0/5700", Value::Float(f64::INFINITY)),
        ("/3/0/6/1", Value::Null),
        ("/3/65535/9", Value::Integer(1)),
    ] {
        assert_eq!(encode(path, value), (false, b"kept".to_vec()), "{path}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, ids in proptest::collection::vec(0u16..9, 0..5)) {
        let path = Path::from_ids(&ids).unwrap();
        let _ = codec::decode(FORMAT, path.into(), &bytes, &Device);
    }

    #[test]
    fn any_json_is_read_or_refused(
        text in r#"(\{|\}|\[|\]|:|,|"bn"|"e"|"n"|"v"|"sv"|"bv"|"ov"|"t"|"bt"|"/3/0/"|"9"|1|-5.5e3|true|null){0,24}"#,
    ) {
        if let Ok(decoded) = codec::decode(FORMAT, Path::ROOT.into(), text.as_bytes(), &Device) {
            for record in decoded.records {
                prop_assert!(record.path.resource_id().is_some());
            }
        }
    }
}
