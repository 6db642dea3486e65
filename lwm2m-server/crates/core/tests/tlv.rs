//! TLV, text and opaque: what devices get wrong, and what comes back.

#![allow(clippy::unwrap_used)] // test code outside of #[test] functions

use std::borrow::Cow;

use lwm2m_core::codec::{self, DecodeError, Decoded, EncodeError, RECORDS_MAX};
use lwm2m_core::{
    ContentFormat, DataType, ObjectLink, Path, Record, ResourceType, ResourceTypes, Untyped, Value,
    ValueError,
};
use proptest::prelude::*;

const FORMAT: ContentFormat = ContentFormat::Tlv;

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

/// Gives each resource the type that its id names; those from 1000 on are multiple.
struct ById;

impl ResourceTypes for ById {
    fn resource_type(&self, _object: u16, resource: u16) -> Option<ResourceType> {
        let data_type = *TYPES.get(usize::from(resource % 1000))?;
        Some(ResourceType {
            data_type,
            multiple: resource >= 1000,
        })
    }
}

const STRING: u16 = 0;
const INTEGER: u16 = 1;
const INTEGERS: u16 = 1001;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn decode<'a>(at: &str, payload: &'a [u8]) -> Result<Decoded<'a>, DecodeError> {
    codec::decode(FORMAT, path(at).into(), payload, &ById)
}

fn read(at: &str, payload: &[u8]) -> Vec<(String, Value<'static>)> {
    let records = decode(at, payload).and_then(Decoded::strict);
    let records = records.unwrap_or_else(|e| panic!("{at} {payload:02x?}: {e}"));
    records
        .into_iter()
        .map(|record| (record.path.to_string(), record.value.into_owned()))
        .collect()
}

#[test]
fn takes_every_wrapping_that_devices_use() {
    let bare = [0xc1, 0x01, 0x05];
    let wrapped = [0x03, 0x00, 0xc1, 0x01, 0x05];
    for (at, payload) in [
        ("/3", &wrapped[..]),
        ("/3/0", &bare),
        ("/3/0", &wrapped),
        ("/3/0/1", &bare),
        ("/3/0/1", &wrapped),
    ] {
        let expected = ("/3/0/1".to_owned(), Value::Integer(5));
        assert_eq!(read(at, payload), [expected], "{at} {payload:02x?}");
    }
    assert_eq!(
        read("/3", &bare),
        [("/3/65535/1".to_owned(), Value::Integer(5))]
    );
}

#[test]
fn takes_every_form_of_a_resource_instance() {
    let instance = [0x41, 0x07, 0x05];
    let resource = [0xe1, 0x03, 0xe9, 0x05];
    let multiple = [0xa3, 0x03, 0xe9, 0x41, 0x07, 0x05];
    for (at, payload) in [
        ("/3/0/1001/7", &instance[..]),
        ("/3/0/1001/7", &resource),
        ("/3/0/1001/7", &multiple),
        ("/3/0/1001", &instance),
        ("/3/0/1001", &multiple),
        ("/3/0", &multiple),
    ] {
        let expected = ("/3/0/1001/7".to_owned(), Value::Integer(5));
        assert_eq!(read(at, payload), [expected], "{at} {payload:02x?}");
    }
    assert!(matches!(
        decode("/3/0/1001/8", &multiple),
        Err(DecodeError::OutsideScope { .. })
    ));
}

#[test]
fn refuses_items_out_of_place() {
    for (at, payload) in [
        ("/3/0", &[0x41, 0x07, 0x05][..]),
        ("/3", &[0x41, 0x07, 0x05]),
        ("/3/0", &[0x83, 0x06, 0xc1, 0x00, 0x01]),
        ("/3/0", &[0x82, 0x06, 0x80, 0x00]),
        ("/3/0", &[0x03, 0x00, 0x41, 0x00, 0x01]),
    ] {
        let result = decode(at, payload);
        assert!(
            matches!(result, Err(DecodeError::Malformed { .. })),
            "{at} {payload:02x?}: {result:?}"
        );
    }
    assert!(matches!(
        decode("/", &[0xc1, 0x01, 0x05]),
        Err(DecodeError::Target { .. })
    ));
}

#[test]
fn says_where_a_payload_is_cut_off() {
    let payload = [0x08, 0x00, 0x06, 0xc1, 0x01, 0x05, 0xc8, 0x00, 0x09];
    assert_eq!(
        decode("/3", &payload),
        Err(DecodeError::Truncated {
            format: FORMAT,
            at: 6
        })
    );
}

#[test]
fn unknown_resources_keep_their_bytes_borrowed() {
    let payload = [0xc2, 0x63, 0xff, 0x00, 0xc2, 0x00, b'o', b'k'];
    let decoded = decode("/3/0", &payload).unwrap();
    let values: Vec<&Value<'_>> = decoded.records.iter().map(|r| &r.value).collect();
    assert!(matches!(values[0], Value::Opaque(Cow::Borrowed([0xff, 0]))));
    assert!(matches!(values[1], Value::String(Cow::Borrowed("ok"))));
}

#[test]
fn a_bad_value_leaves_the_others_and_keeps_its_bytes() {
    let payload = [0xc3, 0x01, 0, 0, 9, 0xc2, 0x00, b'o', b'k', 0xc1, 0x04, 2];
    let decoded = decode("/3/0", &payload).unwrap();
    assert_eq!(decoded.records.len(), 1);
    assert_eq!(decoded.faults[0].path, path("/3/0/1"));
    assert_eq!(decoded.faults[0].raw, [0, 0, 9]);
    assert_eq!(
        decoded.faults[0].error,
        ValueError::Length {
            expected: DataType::Integer,
            length: 3
        }
    );
    assert_eq!(
        decoded.faults[1].error,
        ValueError::Range {
            expected: DataType::Boolean
        }
    );
}

#[test]
fn refuses_one_record_too_many() {
    // Instances 0 to 65534 of one resource, and one more of another.
    let mut payload = Vec::new();
    for id in 0..=Path::MAX_ID {
        payload.push(0x60);
        payload.extend_from_slice(&id.to_be_bytes());
    }
    let mut multiple = vec![0x98, 0x63];
    multiple.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    multiple.extend_from_slice(&payload);
    multiple.extend_from_slice(&[0xc0, 0x62]);
    let count = |payload: &[u8]| {
        codec::decode(FORMAT, path("/3/0").into(), payload, &Untyped)
            .map(|decoded| decoded.records.len())
    };
    assert_eq!(count(&multiple), Ok(RECORDS_MAX));
    multiple.extend_from_slice(&[0xc0, 0x61]);
    assert_eq!(
        count(&multiple),
        Err(DecodeError::TooManyRecords { format: FORMAT })
    );
}

fn encode(at: &str, records: &[Record<'_>]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    codec::encode(FORMAT, path(at).into(), records, &ById, &mut out).map(|()| out)
}

#[test]
fn the_model_decides_the_type_that_is_written() {
    let record = Record::new(path("/3/0/2"), 200);
    assert_eq!(encode("/3/0/2", &[record]), Ok(vec![0xc1, 2, 200]));
    let record = Record::new(path("/3/0/1"), 200.0);
    assert_eq!(encode("/3/0/1", &[record]), Ok(vec![0xc2, 1, 0, 200]));
    let record = Record::new(path("/3/0/1"), 0.5);
    assert!(matches!(
        encode("/3/0/1", &[record]),
        Err(EncodeError::Value { .. })
    ));
}

#[test]
fn records_are_grouped_whatever_their_order() {
    let records = [
        Record::new(path("/3/1/1001/1"), 4),
        Record::new(path("/3/0/1"), 1),
        Record::new(path("/3/1/1"), 2),
        Record::new(path("/3/1/1001/0"), 3),
    ];
    let written = encode("/3", &records).unwrap();
    let paths: Vec<String> = read("/3", &written).into_iter().map(|(p, _)| p).collect();
    assert_eq!(paths, ["/3/0/1", "/3/1/1", "/3/1/1001/0", "/3/1/1001/1"]);
}

#[test]
fn refuses_to_write_what_tlv_cannot_say() {
    let integer = |at: &str| Record::new(path(at), 1);
    let twice = [integer("/3/0/1"), integer("/3/0/1")];
    let both = [integer("/3/0/1001"), integer("/3/0/1001/0")];
    for records in [twice, both] {
        assert!(matches!(
            encode("/3/0", &records),
            Err(EncodeError::Duplicate { .. })
        ));
    }
    assert!(matches!(
        encode("/3/1", &[integer("/3/0/1")]),
        Err(EncodeError::OutsideScope { .. })
    ));
    assert!(matches!(
        encode("/3/0", &[Record::new(path("/3/0"), 1)]),
        Err(EncodeError::Level { .. })
    ));
    assert_eq!(
        encode("/", &[integer("/3/0/1")]),
        Err(EncodeError::Format(FORMAT))
    );
    assert!(matches!(
        encode("/3/0", &[Record::new(path("/3/0/1001/1"), Value::Null)]),
        Err(EncodeError::Unsupported { .. })
    ));
    let timed = Record {
        time: Some(5.0),
        ..integer("/3/0/1")
    };
    assert!(matches!(
        encode("/3/0", &[timed]),
        Err(EncodeError::Time { .. })
    ));
    let chosen = Path::from_ids(&[3, 65535, 1]).unwrap();
    let mixed = [Record::new(chosen, 1), integer("/3/0/1")];
    assert_eq!(encode("/3", &mixed), Err(EncodeError::Format(FORMAT)));
}

#[test]
fn lengths_reach_24_bits_and_no_further() {
    let write = |length: usize| {
        let record = Record::new(path("/3/0/5"), vec![7u8; length]);
        encode("/3/0", &[record])
    };
    let longest = write(0xff_ffff).unwrap();
    assert_eq!(longest[..5], [0xd8, 5, 0xff, 0xff, 0xff]);
    let too_long = |result| matches!(result, Err(EncodeError::TooLong { .. }));
    assert!(too_long(write(0x100_0000)));
    let record = Record::new(path("/3/0/5"), vec![7u8; 0xff_ffff]);
    assert!(too_long(encode("/3", &[record])));
}

fn any_value(data_type: DataType) -> BoxedStrategy<Value<'static>> {
    // A NUL at the end of text is taken for the end of a C string.
    let text = "[^\0]{0,10}";
    match data_type {
        DataType::String => text.prop_map(|text| Value::String(text.into())).boxed(),
        DataType::CoreLink => text.prop_map(|text| Value::CoreLink(text.into())).boxed(),
        DataType::Integer => (any::<i64>(), 0u32..64)
            .prop_map(|(number, shift)| Value::Integer(number >> shift))
            .boxed(),
        DataType::Time => (any::<i64>(), 0u32..64)
            .prop_map(|(number, shift)| Value::Time(number >> shift))
            .boxed(),
        DataType::Unsigned => (any::<u64>(), 0u32..64)
            .prop_map(|(number, shift)| Value::Unsigned(number >> shift))
            .boxed(),
        DataType::Float => {
            use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
            (NEGATIVE | NORMAL | POSITIVE | SUBNORMAL | ZERO)
                .prop_map(Value::Float)
                .boxed()
        }
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::Opaque => proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| Value::Opaque(bytes.into()))
            .boxed(),
        DataType::ObjectLink => any::<(u16, u16)>()
            .prop_map(|(object, instance)| Value::ObjectLink(ObjectLink { object, instance }))
            .boxed(),
    }
}

/// Records of object 3 with distinct paths, sorted.
fn any_records() -> impl Strategy<Value = Vec<Record<'static>>> {
    let place = (0u16..3, 0u16..9, proptest::option::of(0..=Path::MAX_ID));
    let places = proptest::collection::btree_set(place, 0..12);
    places.prop_flat_map(|places| {
        let records: Vec<_> = places
            .into_iter()
            .map(|(instance, kind, below)| {
                let path = match below {
                    None => Path::resource(3, instance, kind),
                    Some(below) => Path::resource_instance(3, instance, 1000 + kind, below),
                };
                any_value(TYPES[usize::from(kind)]).prop_map(move |value| Record::new(path, value))
            })
            .collect();
        records.prop_map(|mut records: Vec<Record<'static>>| {
            records.sort_by_key(|record| record.path);
            records
        })
    })
}

#[test]
fn contradictions_are_refused() {
    // Resource 1 as a value and as instances.
    let payload = b"\xc1\x01\x07\x83\x01\x41\x00\x07";
    let duplicate = Err(DecodeError::Duplicate {
        path: path("/3/0/1"),
    });
    assert_eq!(decode("/3/0", payload), duplicate);
    // A resource for an instance that the device chooses, and instance 1 around another.
    let payload = b"\xc1\x01\x07\x03\x01\xc1\x01\x07";
    let mixed = decode("/3", payload);
    assert!(matches!(mixed, Err(DecodeError::Malformed { at: 3, .. })));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(records in any_records()) {
        for format in [ContentFormat::Tlv, ContentFormat::Json] {
            let mut out = Vec::new();
            codec::encode(format, Path::object(3).into(), &records, &ById, &mut out).unwrap();
            let decoded = codec::decode(format, Path::object(3).into(), &out, &ById);
            prop_assert_eq!(decoded.and_then(Decoded::strict), Ok(records.clone()));
        }
    }

    #[test]
    fn one_value_comes_back_in_formats_for_one(
        (kind, value) in (0u16..9).prop_flat_map(|kind| {
            (Just(kind), any_value(TYPES[usize::from(kind)]))
        }),
    ) {
        let record = Record::new(Path::resource(3, 0, kind), value);
        let records = std::slice::from_ref(&record);
        for format in [ContentFormat::Text, ContentFormat::Opaque, ContentFormat::Tlv] {
            let mut out = Vec::new();
            let written = codec::encode(format, record.path.into(), records, &ById, &mut out);
            if format == ContentFormat::Opaque && record.value.data_type() != Some(DataType::Opaque) {
                prop_assert!(written.is_err() && out.is_empty());
                continue;
            }
            prop_assert_eq!(written, Ok(()));
            let decoded = codec::decode(format, record.path.into(), &out, &ById);
            prop_assert_eq!(decoded.and_then(Decoded::strict), Ok(vec![record.clone()]));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0xc1), Just(0x86), Just(0x08), Just(0x41), 0u8..8], 0..40),
        ids in proptest::collection::vec(0u16..4, 0..5),
    ) {
        let path = Path::from_ids(&ids).unwrap();
        for format in [ContentFormat::Tlv, ContentFormat::Text, ContentFormat::Opaque] {
            let Ok(decoded) = codec::decode(format, path.into(), &bytes, &ById) else { continue };
            for record in &decoded.records {
                prop_assert!(path.contains(&record.path) && record.path.ids().len() >= 3);
            }
        }
    }
}

#[test]
fn text_and_opaque_carry_one_resource() {
    for format in [ContentFormat::Text, ContentFormat::Opaque] {
        for at in ["/", "/3", "/3/0"] {
            let result = codec::decode(format, path(at).into(), b"1", &ById);
            assert!(matches!(result, Err(DecodeError::Target { .. })), "{at}");
        }
        let one = Record::new(path("/3/0/5"), vec![1u8]);
        let two = [one.clone(), one.clone()];
        let mut out = b"kept".to_vec();
        for (at, records) in [("/3/0/5", &two[..]), ("/3/0", &two[..1]), ("/3/0/5", &[])] {
            let result = codec::encode(format, path(at).into(), records, &ById, &mut out);
            assert!(result.is_err(), "{format} {at}");
        }
        assert_eq!(out, b"kept");
    }
    let integer = Path::resource(3, 0, INTEGER);
    let decoded = codec::decode(ContentFormat::Opaque, integer.into(), b"ab", &ById).unwrap();
    assert_eq!(decoded.faults[0].raw, b"ab");
}

#[test]
fn text_without_a_model_is_a_string() {
    let decode = |at: Path, payload| {
        let decoded = codec::decode(ContentFormat::Text, at.into(), payload, &ById);
        decoded
            .and_then(Decoded::strict)
            .map(|mut r| r.remove(0).value.into_owned())
    };
    assert_eq!(decode(Path::resource(3, 0, 99), b"5"), Ok(Value::from("5")));
    assert_eq!(
        decode(Path::resource(3, 0, STRING), b"a\0"),
        Ok(Value::from("a"))
    );
    let instance = Path::resource_instance(3, 0, INTEGERS, 2);
    assert_eq!(decode(instance, b"5"), Ok(Value::Integer(5)));
    assert!(decode(Path::resource(3, 0, STRING), b"\xff").is_err());
}
