//! Properties of CBOR, SenML and LwM2M CBOR: what is written reads the same, and no payload makes
//! a decoder fall over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{ByResource, DATA_TYPES};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, DataType, ObjectLink, Path, Record, Untyped, Value};
use proptest::collection::vec;
use proptest::prelude::*;

const SENML: [ContentFormat; 4] = [
    ContentFormat::SenmlJson,
    ContentFormat::SenmlCbor,
    ContentFormat::SenmlEtchJson,
    ContentFormat::SenmlEtchCbor,
];

const FORMATS: [ContentFormat; 6] = [
    ContentFormat::Cbor,
    ContentFormat::SenmlJson,
    ContentFormat::SenmlCbor,
    ContentFormat::SenmlEtchJson,
    ContentFormat::SenmlEtchCbor,
    ContentFormat::Lwm2mCbor,
];

proptest! {
    #[test]
    fn senml_reads_what_it_wrote(
        records in vec((record(), time()).prop_map(timed), 0..20),
        prefix in prop_oneof![Just(""), Just("/lwm2m")],
    ) {
        let scope = Scope { path: Path::ROOT, prefix };
        for format in SENML {
            let mut out = Vec::new();
            codec::encode(format, scope, &records, &ByResource, &mut out).unwrap();
            let read = codec::decode(format, scope, &out, &ByResource).unwrap();
            prop_assert_eq!(read.strict().unwrap(), &records[..], "{}", format);
        }
    }

    #[test]
    fn etch_packs_read_what_they_wrote(removed in vec((any_id(), any_id(), any_id(), any_id()), 1..5)) {
        let records: Vec<_> = removed
            .into_iter()
            .map(|(a, b, c, d)| Record::new(Path::resource_instance(a, b, c, d), Value::Null))
            .collect();
        for format in [ContentFormat::SenmlEtchJson, ContentFormat::SenmlEtchCbor] {
            let mut out = Vec::new();
            codec::encode(format, Path::ROOT.into(), &records, &ByResource, &mut out).unwrap();
            let read = codec::decode(format, Path::ROOT.into(), &out, &ByResource).unwrap();
            prop_assert_eq!(read.strict().unwrap(), &records[..]);
        }
    }

    #[test]
    fn names_read_as_written(paths in vec(path(), 0..20), prefix in prop_oneof![Just(""), Just("/x")]) {
        for format in SENML {
            let mut out = Vec::new();
            codec::encode_paths(format, prefix, &paths, &mut out).unwrap();
            prop_assert_eq!(codec::decode_paths(format, prefix, &out).unwrap(), &paths[..]);
        }
    }

    #[test]
    fn lwm2m_cbor_reads_what_it_wrote(records in vec(record(), 1..40)) {
        let records = without_conflicts(records);
        let mut out = Vec::new();
        let format = ContentFormat::Lwm2mCbor;
        codec::encode(format, Path::ROOT.into(), &records, &ByResource, &mut out).unwrap();
        let mut read = codec::decode(format, Path::ROOT.into(), &out, &ByResource)
            .unwrap()
            .strict()
            .unwrap();
        let mut records = records;
        records.sort_by_key(|record| record.path);
        read.sort_by_key(|record| record.path);
        prop_assert_eq!(read, records);
    }

    #[test]
    fn cbor_reads_what_it_wrote(record in record()) {
        let scope = Scope::from(record.path);
        let records = [record];
        let mut out = Vec::new();
        codec::encode(ContentFormat::Cbor, scope, &records, &ByResource, &mut out).unwrap();
        let read = codec::decode(ContentFormat::Cbor, scope, &out, &ByResource).unwrap();
        prop_assert_eq!(read.strict().unwrap(), &records[..]);
    }

    /// Without a model a value comes back as itself or as its nearest kin, and from then on stays.
    #[test]
    fn values_without_a_model_settle(records in vec(record(), 1..10)) {
        let root = Scope::from(Path::ROOT);
        let records = without_conflicts(records);
        for format in FORMATS.into_iter().skip(1) {
            let mut first = Vec::new();
            codec::encode(format, root, &records, &Untyped, &mut first).unwrap();
            let read = codec::decode(format, root, &first, &Untyped).unwrap().strict().unwrap();
            let mut second = Vec::new();
            codec::encode(format, root, &read, &Untyped, &mut second).unwrap();
            prop_assert_eq!(first, second, "{}", format);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        read_everywhere(&bytes);
    }

    /// Payloads that are nearly right reach further than noise does.
    #[test]
    fn damaged_payloads_are_read_or_refused(
        records in vec((record(), time()).prop_map(timed), 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let root = Scope::from(Path::ROOT);
        let untimed: Vec<_> = records.iter().cloned().map(|record| timed((record, None))).collect();
        for format in FORMATS.into_iter().skip(1) {
            let mut bytes = Vec::new();
            let records = match format {
                ContentFormat::Lwm2mCbor => &without_conflicts(untimed.clone()),
                _ => &records,
            };
            codec::encode(format, root, records, &ByResource, &mut bytes).unwrap();
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            read_everywhere(&bytes);
            bytes.truncate(end.index(bytes.len()));
            read_everywhere(&bytes);
        }
    }
}

/// What decodes can be written in the same format, and reads the same again.
fn read_everywhere(bytes: &[u8]) {
    for format in FORMATS {
        let scope = match format {
            ContentFormat::Cbor => Scope::from(Path::resource(1, 0, 3)),
            _ => Scope::from(Path::ROOT),
        };
        let _ = codec::decode_paths(format, "/lwm2m", bytes);
        let _ = codec::decode(format, scope, bytes, &Untyped);
        let Ok(decoded) = codec::decode(format, scope, bytes, &ByResource) else {
            continue;
        };
        if decoded.records.is_empty() || decoded.records.iter().any(is_nan) {
            continue;
        }
        let mut out = Vec::new();
        codec::encode(format, scope, &decoded.records, &ByResource, &mut out).unwrap();
        let again = codec::decode(format, scope, &out, &ByResource).unwrap();
        let by_path = |records: &[Record<'_>]| {
            let mut texts: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
            texts.sort();
            texts
        };
        assert_eq!(by_path(&again.records), by_path(&decoded.records));
    }
}

fn is_nan(record: &Record<'_>) -> bool {
    matches!(record.value, Value::Float(number) if number.is_nan())
}

fn any_id() -> impl Strategy<Value = u16> {
    prop_oneof![0..4_u16, 0..=Path::MAX_ID]
}

fn path() -> impl Strategy<Value = Path> {
    vec(any_id(), 0..=4).prop_map(|ids| Path::from_ids(&ids).unwrap())
}

fn record() -> impl Strategy<Value = Record<'static>> {
    let ids = (any_id(), any_id(), any_id(), prop::option::of(any_id()));
    ids.prop_flat_map(|(object, instance, resource, below)| {
        let path = match below {
            None => Path::resource(object, instance, resource),
            Some(id) => Path::resource_instance(object, instance, resource, id),
        };
        let data_type = DATA_TYPES[usize::from(resource) % DATA_TYPES.len()];
        value(data_type).prop_map(move |value| Record {
            path,
            time: None,
            value,
        })
    })
}

fn value(data_type: DataType) -> BoxedStrategy<Value<'static>> {
    // A NUL at the end does not come back: devices that send one do not mean it.
    let text = any::<String>().prop_map(|text| text.trim_end_matches('\0').to_owned());
    match data_type {
        DataType::String => text.prop_map(Value::from).boxed(),
        DataType::CoreLink => text.prop_map(|text| Value::CoreLink(text.into())).boxed(),
        DataType::Integer => any::<i64>().prop_map(Value::Integer).boxed(),
        DataType::Unsigned => any::<u64>().prop_map(Value::Unsigned).boxed(),
        DataType::Float => finite().prop_map(Value::Float).boxed(),
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::Opaque => vec(any::<u8>(), 0..40).prop_map(Value::from).boxed(),
        DataType::Time => any::<i64>().prop_map(Value::Time).boxed(),
        DataType::ObjectLink => any::<(u16, u16)>()
            .prop_map(|(object, instance)| Value::ObjectLink(ObjectLink { object, instance }))
            .boxed(),
    }
}

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO
}

/// A time; zero means now, as none does.
fn time() -> impl Strategy<Value = Option<f64>> {
    let time = prop_oneof![
        finite(),
        (-1_000_000_000_i64..4_000_000_000).prop_map(|seconds| seconds as f64),
    ];
    prop::option::of(time.prop_filter("zero is now", |time| *time != 0.0))
}

fn timed((mut record, time): (Record<'static>, Option<f64>)) -> Record<'static> {
    record.time = time;
    record
}

/// Each path once, and no resource both as a value and as instances.
fn without_conflicts(records: Vec<Record<'static>>) -> Vec<Record<'static>> {
    let mut kept: BTreeMap<Path, ()> = BTreeMap::new();
    let mut out = Vec::new();
    for record in records {
        let clash = |path: &Path| path.contains(&record.path) || record.path.contains(path);
        if !kept.keys().any(clash) {
            kept.insert(record.path, ());
            out.push(record);
        }
    }
    out
}
