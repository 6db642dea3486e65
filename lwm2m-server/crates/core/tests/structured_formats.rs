//! The rules of CBOR, SenML and LwM2M CBOR that no vector shows: limits, leniency, exactness.

#![allow(clippy::unwrap_used)] // test code outside of #[test] functions

mod common;

use common::ByResource;
use lwm2m_core::ContentFormat::SenmlJson;
use lwm2m_core::ContentFormat::{self, Cbor, Lwm2mCbor, SenmlCbor, SenmlEtchCbor, SenmlEtchJson};
use lwm2m_core::codec::{self, DecodeError, Decoded, EncodeError, NESTING_MAX, RECORDS_MAX, Scope};
use lwm2m_core::{DataType, Path, PathError, Record, Untyped, Value, ValueError};

fn decode(format: ContentFormat, payload: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    codec::decode(format, Path::ROOT.into(), payload, &ByResource)
}

fn json(text: &str) -> Result<Decoded<'_>, DecodeError> {
    decode(SenmlJson, text.as_bytes())
}

/// The only record's value.
fn value<'a>(decoded: Result<Decoded<'a>, DecodeError>) -> Result<Value<'a>, DecodeError> {
    let mut records = decoded?.strict()?;
    assert_eq!(records.len(), 1);
    Ok(records.remove(0).value)
}

fn times(decoded: Result<Decoded<'_>, DecodeError>) -> Vec<Option<f64>> {
    let records = decoded.unwrap().strict().unwrap();
    records.iter().map(|record| record.time).collect()
}

fn is_malformed<T: std::fmt::Debug>(result: Result<T, DecodeError>, expected: &str) -> bool {
    matches!(result, Err(DecodeError::Malformed { reason, .. }) if reason == expected)
}

fn integer(text: &str) -> Result<Value<'static>, DecodeError> {
    let payload = format!(r#"[{{"n":"/1/0/1","v":{text}}}]"#);
    let decoded = json(&payload).map(Decoded::into_owned);
    value(decoded)
}

#[test]
fn json_integers_never_pass_through_a_float() {
    assert_eq!(
        integer("9007199254740993"),
        Ok(9_007_199_254_740_993_i64.into())
    );
    assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN.into()));
    assert_eq!(integer("1e2"), Ok(100_i64.into()));
    assert_eq!(
        integer("9007199254740991.0"),
        Ok(9_007_199_254_740_991_i64.into())
    );
    // Beyond the integers that a float can tell apart, a float may be a neighbour of what was
    // written.
    let expected = DataType::Integer;
    for text in ["9007199254740993.0", "9223372036854775808", "1e18"] {
        let Err(DecodeError::Fault(fault)) = integer(text) else {
            panic!("{text} taken");
        };
        assert_eq!(fault.error, ValueError::Range { expected }, "{text}");
    }
    assert!(matches!(
        integer("1e400"),
        Err(DecodeError::Malformed { .. })
    ));
}

#[test]
fn one_bad_value_leaves_the_others() {
    let decoded = json(r#"[{"bn":"/1/0/","n":"1","v":7},{"n":"10","vs":"x"},{"n":"0","vs":"a"}]"#);
    let decoded = decoded.unwrap();
    assert_eq!(decoded.records.len(), 2);
    assert_eq!(decoded.faults.len(), 1);
    assert_eq!(decoded.faults[0].path, Path::resource(1, 0, 10));

    // Text that is not UTF-8, in an otherwise good pack.
    let payload = b"\x82\xa2\x00\x66/1/0/0\x03\x61\xff\xa2\x00\x66/1/0/1\x02\x07";
    let decoded = decode(SenmlCbor, payload).unwrap();
    assert_eq!(decoded.records, [Record::new(Path::resource(1, 0, 1), 7)]);
    assert_eq!(decoded.faults[0].error, ValueError::Utf8);
}

#[test]
fn base_values_are_added() {
    let decoded = json(r#"[{"bn":"/1/0/","bv":100,"n":"1","v":-1},{"n":"10","v":2},{"n":"19"}]"#);
    let values: Vec<_> = decoded.unwrap().strict().unwrap();
    let values: Vec<_> = values.into_iter().map(|record| record.value).collect();
    assert_eq!(values, [99.into(), 102.into(), Value::Integer(100)]);
    let float = json(r#"[{"n":"/1/0/3","bv":0.5,"v":1}]"#);
    assert_eq!(value(float), Ok(1.5.into()));
    // Past 64 bits, nothing wraps.
    assert!(value(json(r#"[{"n":"/1/0/1","bv":9223372036854775807,"v":1}]"#)).is_err());
}

#[test]
fn times_are_base_time_and_time() {
    let text = r#"[{"n":"/1/0/1","bt":1.7e9,"v":1},{"n":"/1/0/1","t":-0.5,"v":1},
        {"n":"/1/0/1","bt":0,"v":1},{"n":"/1/0/1","t":-5,"v":1}]"#;
    assert_eq!(
        times(json(text)),
        [Some(1.7e9), Some(1_699_999_999.5), None, Some(-5.0)]
    );
    // A base time of infinity.
    let payload = b"\x81\xa3\x00\x66/1/0/1\x22\xf9\x7c\x00\x02\x01";
    let decoded = decode(SenmlCbor, payload);
    assert!(is_malformed(decoded, "a time is a finite number"));
}

#[test]
fn names_carry_the_alternate_path_or_not() {
    let scope = Scope {
        path: Path::instance(1, 0),
        prefix: "/lwm2m",
    };
    let payload = br#"[{"n":"/lwm2m/1/0/1","v":1},{"n":"/1/0/10","v":2}]"#;
    let decoded = codec::decode(SenmlJson, scope, payload, &ByResource).unwrap();
    assert_eq!(decoded.records.len(), 2);
    let other = br#"[{"n":"/lwm2mx/1/0/1","v":1}]"#;
    assert!(codec::decode(SenmlJson, scope, other, &ByResource).is_err());

    let mut out = Vec::new();
    codec::encode(SenmlJson, scope, &decoded.records, &ByResource, &mut out).unwrap();
    assert_eq!(
        out,
        br#"[{"bn":"/lwm2m/1/0/","n":"1","v":1},{"n":"10","v":2}]"#
    );

    let paths = [Path::ROOT, Path::object(3)];
    for format in [SenmlJson, SenmlCbor, SenmlEtchJson, SenmlEtchCbor] {
        for prefix in ["", "/lwm2m"] {
            let mut out = Vec::new();
            codec::encode_paths(format, prefix, &paths, &mut out).unwrap();
            assert_eq!(codec::decode_paths(format, prefix, &out).unwrap(), paths);
        }
    }
}

#[test]
fn a_fetch_names_and_says_no_more() {
    let read = |text: &str| codec::decode_paths(SenmlEtchJson, "", text.as_bytes());
    assert_eq!(
        read(r#"[{"bn":"/3/0/","n":"9","t":-1,"bt":5,"u":"%","bu":"V"},{"n":"0"}]"#),
        Ok(vec![Path::resource(3, 0, 9), Path::resource(3, 0, 0)])
    );
    for label in [
        r#""v":1"#,
        r#""vs":"x""#,
        r#""v":null"#,
        r#""bv":1"#,
        r#""s":1"#,
    ] {
        let text = format!(r#"[{{"n":"/3/0/9",{label}}}]"#);
        assert!(is_malformed(read(&text), "a record with more than a name"));
    }
    assert!(matches!(
        read("[{}]"),
        Err(DecodeError::Path {
            error: PathError::NoLeadingSlash,
            ..
        })
    ));
}

#[test]
fn null_removes_resource_instances_only() {
    let etch = |text: &str| {
        let decoded = decode(SenmlEtchJson, text.as_bytes());
        decoded.map(Decoded::into_owned)
    };
    assert_eq!(
        value(etch(r#"[{"n":"/1/0/0/3","v":null}]"#)),
        Ok(Value::Null)
    );
    assert!(etch(r#"[{"n":"/1/0/0","v":null}]"#).is_err());
    assert!(etch(r#"[{"n":"/1/0/0/3","vs":null}]"#).is_err());

    let null = [Record::new(
        Path::resource_instance(1, 0, 0, 3),
        Value::Null,
    )];
    let single = [Record::new(Path::resource(1, 0, 0), Value::Null)];
    let mut out = Vec::new();
    let root = Scope::from(Path::ROOT);
    for (format, records) in [
        (SenmlJson, &null),
        (SenmlCbor, &null),
        (Lwm2mCbor, &null),
        (SenmlEtchJson, &single),
    ] {
        assert!(matches!(
            codec::encode(format, root, records, &ByResource, &mut out),
            Err(EncodeError::Unsupported { .. })
        ));
        assert!(out.is_empty(), "{format}");
    }
    let at_null = Scope::from(null[0].path);
    assert!(codec::encode(Cbor, at_null, &null, &ByResource, &mut out).is_err());
    for payload in [&b"\xf6"[..], b"\xa1\x84\x01\x00\x00\x03\xf6"] {
        let format = if payload.len() == 1 { Cbor } else { Lwm2mCbor };
        let decoded = codec::decode(format, at_null, payload, &ByResource);
        assert!(is_malformed(decoded, "null is no value"));
    }
}

#[test]
fn what_devices_are_known_to_send() {
    // Text that ends with a NUL, an object link as text, text labels in CBOR, tagged times.
    assert_eq!(
        value(json(r#"[{"n":"/1/0/0","vs":"U\u0000"}]"#)),
        Ok("U".into())
    );
    let payload = b"\x81\xa2\x61n\x66/1/0/1\x61v\x07";
    assert_eq!(value(decode(SenmlCbor, payload)), Ok(7.into()));
    let payload = b"\x81\xa2\x00\x66/1/0/6\x02\xc1\x07";
    assert_eq!(value(decode(SenmlCbor, payload)), Ok(Value::Time(7)));
    let payload = br#"[{"n":"/1/0/7","vs":"21:3"}]"#;
    assert!(value(decode(SenmlJson, payload)).is_ok());
}

#[test]
fn base64_comes_in_both_alphabets() {
    let data = |text: &str| {
        let payload = format!(r#"[{{"n":"/1/0/5","vd":"{text}"}}]"#);
        value(json(&payload).map(Decoded::into_owned))
    };
    let bytes = Value::from(vec![0xfb, 0xff, 0x00, 0xfe]);
    for text in ["-_8A_g", "-_8A_g==", "+/8A/g", "+/8A/g=="] {
        assert_eq!(data(text), Ok(bytes.clone()), "{text}");
    }
    for text in ["-_8A/g", "a", "a b=", "-_8A_h"] {
        let Err(DecodeError::Fault(fault)) = data(text) else {
            panic!("{text} taken");
        };
        assert_eq!(fault.error, ValueError::Base64);
    }
}

#[test]
fn labels_are_refused_twice_unknown_ones_too() {
    for text in [
        r#"[{"n":"/1/0/1","n":"/1/0/1","v":1}]"#,
        r#"[{"n":"/1/0/1","u":"V","u":"V","v":1}]"#,
        r#"[{"n":"/1/0/1","x":1,"x":1,"v":1}]"#,
    ] {
        assert!(is_malformed(json(text), "a label is given twice"), "{text}");
    }
    assert!(json(r#"[{"n":"/1/0/1","x":{"y":[1,"a",null,true,-1,0.5]},"v":1}]"#).is_ok());
    // The number and the text of a CBOR label are the same label.
    let payload = b"\x81\xa3\x00\x66/1/0/1\x02\x07\x61v\x07";
    assert!(is_malformed(
        decode(SenmlCbor, payload),
        "a label is given twice"
    ));
}

#[test]
fn unknown_values_nest_up_to_the_limit() {
    // The value of a label is the third level.
    for (levels, fits) in [(NESTING_MAX - 3, true), (NESTING_MAX - 2, false)] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let text = format!(r#"[{{"n":"/1/0/1","v":1,"x":{open}0{close}}}]"#);
        let nested = json(&text);
        assert_eq!(nested.is_ok(), fits, "{levels}");
        assert!(fits || matches!(nested, Err(DecodeError::Nesting { .. })));

        let mut payload = b"\x81\xa3\x00\x66/1/0/1\x02\x07\x61x".to_vec();
        payload.extend([0x81].repeat(levels));
        payload.push(0);
        let nested = decode(SenmlCbor, &payload);
        assert_eq!(nested.is_ok(), fits, "{levels}");
        assert!(fits || matches!(nested, Err(DecodeError::Nesting { .. })));
    }
}

#[test]
fn records_are_limited() {
    let too_many = |result: Result<usize, DecodeError>| {
        matches!(result, Err(DecodeError::TooManyRecords { .. }))
    };
    for (count, fits) in [(RECORDS_MAX, true), (RECORDS_MAX + 1, false)] {
        let payload = json_records(count, r#"{"n":"/1/0/1","v":1}"#);
        let read = decode(SenmlJson, &payload).map(|decoded| decoded.records.len());
        assert_eq!((read == Ok(count), too_many(read)), (fits, !fits));

        let payload = json_records(count, r#"{"n":"/1/0/1"}"#);
        let read = codec::decode_paths(SenmlJson, "", &payload).map(|paths| paths.len());
        assert_eq!((read == Ok(count), too_many(read)), (fits, !fits));

        let payload = cbor_records(count, b"\xa2\x00\x66/1/0/1\x02\x01");
        let read = decode(SenmlCbor, &payload).map(|decoded| decoded.records.len());
        assert_eq!((read == Ok(count), too_many(read)), (fits, !fits));
    }
    // {1: {0: {1: {0: 1, 1: 1, …}, 10: {0: 1}}}}: with 65535 instances of one resource.
    for (others, fits) in [(1_u16, true), (2, false)] {
        let mut payload = b"\xa1\x01\xa1\x00\xa2\x01\xbf".to_vec();
        for instance in 0..=Path::MAX_ID {
            payload.extend([0x19, (instance >> 8) as u8, instance as u8, 1]);
        }
        payload.extend(b"\xff\x0a\xbf");
        for instance in 0..others {
            payload.extend([instance as u8, 1]);
        }
        payload.push(0xff);
        let read = decode(Lwm2mCbor, &payload).map(|decoded| decoded.records.len());
        assert_eq!((read == Ok(RECORDS_MAX), too_many(read)), (fits, !fits));
    }
}

fn json_records(count: usize, record: &str) -> Vec<u8> {
    format!("[{}]", vec![record; count].join(",")).into_bytes()
}

fn cbor_records(count: usize, record: &[u8]) -> Vec<u8> {
    [b"\x9f", &record.repeat(count)[..], b"\xff"].concat()
}

#[test]
fn a_long_base_name_is_not_copied_for_every_record() {
    let payload = format!(r#"[{{"bn":"/1/0/{}","n":"1","v":1}}]"#, "0".repeat(1000));
    let decoded = json(&payload);
    assert!(is_malformed(decoded, "a name is longer than any path"));
}

#[test]
fn errors_say_where() {
    let at = |text: &str| match json(text) {
        Err(
            DecodeError::Malformed { at, .. }
            | DecodeError::Truncated { at, .. }
            | DecodeError::TrailingBytes { at, .. },
        ) => at,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(at("[]\n\n x"), 5);
    assert_eq!(at("[\n{\"n\":?}]"), 7);
    assert!(matches!(
        json(""),
        Err(DecodeError::Truncated { at: 0, .. })
    ));
    assert!(matches!(json("[{"), Err(DecodeError::Truncated { .. })));
    assert!(json("[[]]").is_err());
    assert!(json(r#"[{"n":"/1/0/0","vs":["x"]}]"#).is_err());
}

#[test]
fn json_has_no_form_for_infinity() {
    let records = [Record::new(Path::resource(1, 0, 3), f64::INFINITY)];
    let root = Scope::from(Path::ROOT);
    let mut out = Vec::new();
    let refused = codec::encode(SenmlJson, root, &records, &ByResource, &mut out);
    assert!(matches!(refused, Err(EncodeError::Unsupported { .. })));
    codec::encode(SenmlCbor, root, &records, &ByResource, &mut out).unwrap();
    let read = value(decode(SenmlCbor, &out));
    assert_eq!(read, Ok(f64::INFINITY.into()));
}

#[test]
fn floats_are_written_as_floats_whatever_was_given() {
    let records = [Record::new(Path::resource(1, 0, 3), 22)];
    let root = Scope::from(Path::ROOT);
    let write = |format| {
        let mut out = Vec::new();
        codec::encode(format, root, &records, &ByResource, &mut out).unwrap();
        out
    };
    assert_eq!(write(SenmlJson), br#"[{"bn":"/1/0/","n":"3","v":22.0}]"#);
    let float = b"\xfb\x40\x36\0\0\0\0\0\0";
    assert!(write(SenmlCbor).ends_with(float));
    assert!(write(Lwm2mCbor).ends_with(float));
}

#[test]
fn cbor_needs_a_resource() {
    let instance = codec::decode(Cbor, Path::instance(1, 0).into(), b"\x01", &ByResource);
    assert!(matches!(instance, Err(DecodeError::Target { .. })));
}

#[test]
fn lwm2m_cbor_groups_what_stands_apart() {
    let record = |ids: &[u16], number: i64| Record::new(Path::from_ids(ids).unwrap(), number);
    let records = [
        record(&[2, 5, 0], 1),
        record(&[1, 0, 0], 2),
        record(&[2, 4, 0], 3),
        record(&[2, 5, 1, 7], 4),
        record(&[2, 5, 1, 8], 5),
    ];
    let mut out = Vec::new();
    codec::encode(Lwm2mCbor, Path::ROOT.into(), &records, &Untyped, &mut out).unwrap();
    // {2: {5: {0: 1, 1: {7: 4, 8: 5}}, [4, 0]: 3}, [1, 0, 0]: 2}
    assert_eq!(
        out,
        b"\xa2\x02\xa2\x05\xa2\x00\x01\x01\xa2\x07\x04\x08\x05\x82\x04\x00\x03\x83\x01\x00\x00\x02"
    );
}

#[test]
fn lwm2m_cbor_refuses_contradictions() {
    let conflict = Path::resource(1, 0, 1);
    // {[1,0,1]: 1, [1,0,1,0]: 1}
    let payload = b"\xa2\x83\x01\x00\x01\x01\x84\x01\x00\x01\x00\x01";
    assert_eq!(
        decode(Lwm2mCbor, payload),
        Err(DecodeError::Duplicate { path: conflict })
    );
    let records = [
        Record::new(conflict, 1),
        Record::new(Path::resource_instance(1, 0, 1, 0), 1),
    ];
    let root = Scope::from(Path::ROOT);
    let mut out = Vec::new();
    assert_eq!(
        codec::encode(Lwm2mCbor, root, &records, &ByResource, &mut out),
        Err(EncodeError::Duplicate { path: conflict })
    );
    let twice = [records[0].clone(), records[0].clone()];
    assert_eq!(
        codec::encode(Lwm2mCbor, root, &twice, &ByResource, &mut out),
        Err(EncodeError::Duplicate { path: conflict })
    );
    assert!(codec::encode(Lwm2mCbor, root, &[], &ByResource, &mut out).is_err());
    for empty in [&b"\xa0"[..], b"\xa1\x01\xa0", b"\xbf\xff"] {
        assert!(is_malformed(decode(Lwm2mCbor, empty), "an empty map"));
    }
}

#[test]
fn only_lwm2m_cbor_names_the_instance_that_the_device_chooses() {
    let created = Path::from_ids(&[1, 65535, 1]).unwrap();
    let records = [Record::new(created, 1)];
    let scope = Scope::from(Path::object(1));
    let mut out = Vec::new();
    codec::encode(Lwm2mCbor, scope, &records, &ByResource, &mut out).unwrap();
    let decoded = codec::decode(Lwm2mCbor, scope, &out, &ByResource).unwrap();
    assert_eq!(decoded.records, records);
    for format in [SenmlCbor, SenmlJson] {
        let refused = codec::encode(format, scope, &records, &ByResource, &mut out);
        assert!(matches!(refused, Err(EncodeError::Unsupported { .. })));
    }
    // Not as an object, a resource, or a resource instance.
    for payload in [
        &b"\xa1\x83\x19\xff\xff\x00\x01\x01"[..],
        b"\xa1\x83\x01\x00\x19\xff\xff\x01",
        b"\xa1\x84\x01\x00\x01\x19\xff\xff\x01",
        b"\xa1\x83\x01\x1a\x00\x01\x00\x00\x01\x01",
    ] {
        assert!(matches!(
            decode(Lwm2mCbor, payload),
            Err(DecodeError::Path {
                error: PathError::IdOutOfRange,
                ..
            })
        ));
    }
}
