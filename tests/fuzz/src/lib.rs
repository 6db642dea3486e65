//! What the fuzz targets share: types for every resource, and the checks of the payload codecs.
//!
//! A target fails when a decoder panics, and when what it read cannot be written and read again as
//! the same.

pub mod dtls;
pub mod steps;
pub mod tls;

use lwm2m_core::codec::{self, Decoded, EncodeError, Scope};
use lwm2m_core::{
    ContentFormat, DataType, Path, Record, ResourceType, ResourceTypes, Untyped, Value,
};

const DATA_TYPES: [DataType; 9] = [
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

/// Knows every resource of every object: its type is that of the id modulo 9, and the even ones
/// have several instances.
pub struct ByResource;

impl ResourceTypes for ByResource {
    fn resource_type(&self, _object: u16, resource: u16) -> Option<ResourceType> {
        Some(ResourceType {
            data_type: DATA_TYPES[usize::from(resource) % DATA_TYPES.len()],
            multiple: resource.is_multiple_of(2),
        })
    }
}

/// Takes the path of a request from the first byte, the payload being the rest: a resource of
/// every type, a resource instance, an instance, an object, all.
pub fn split_request(data: &[u8]) -> Option<(Path, &[u8])> {
    let (&selector, payload) = data.split_first()?;
    let path = match selector % 32 {
        resource @ 0..=17 => Path::resource(3, 0, u16::from(resource)),
        resource @ 18..=27 => Path::resource_instance(3, 0, u16::from(resource - 18), 1),
        28 | 29 => Path::instance(3, 0),
        30 => Path::object(3),
        _ => Path::ROOT,
    };
    Some((path, payload))
}

/// Reads a payload with and without a model and an alternate path; what can be read is written and
/// read again.
pub fn reads_and_writes(format: ContentFormat, path: Path, payload: &[u8]) {
    for prefix in ["", "/lwm2m"] {
        let scope = Scope { path, prefix };
        check(format, scope, payload, &ByResource);
        check(format, scope, payload, &Untyped);
    }
}

/// The body of a FETCH: names that read the same when written.
pub fn reads_and_writes_paths(format: ContentFormat, payload: &[u8]) {
    for prefix in ["", "/lwm2m"] {
        let Ok(paths) = codec::decode_paths(format, prefix, payload) else {
            continue;
        };
        let mut out = Vec::new();
        codec::encode_paths(format, prefix, &paths, &mut out).expect("SenML carries paths");
        let again = codec::decode_paths(format, prefix, &out);
        assert_eq!(again.as_ref(), Ok(&paths), "{prefix:?}");
    }
}

fn check(format: ContentFormat, scope: Scope<'_>, payload: &[u8], types: &dyn ResourceTypes) {
    let Ok(decoded) = codec::decode(format, scope, payload, types) else {
        return;
    };
    for record in &decoded.records {
        assert!(scope.path.contains(&record.path), "{record:?}");
    }
    let mut first = Vec::new();
    match codec::encode(format, scope, &decoded.records, types, &mut first) {
        Ok(()) => {}
        Err(error) => {
            assert!(first.is_empty(), "a refusal leaves nothing behind");
            assert!(is_excused(format, &decoded, &error), "{error}: {decoded:?}");
            return;
        }
    }
    let again = read_back(format, scope, &first, types);
    // Without a model, a value may come back as its nearest kin: a time as an integer.
    if types.resource_type(0, 0).is_some() {
        assert_eq!(sorted(&again), sorted(&decoded), "{format}");
    }
    let mut second = Vec::new();
    codec::encode(format, scope, &again.records, types, &mut second).expect("written before");
    let third = read_back(format, scope, &second, types);
    assert_eq!(sorted(&third), sorted(&again), "{format}");
}

fn read_back<'a>(
    format: ContentFormat,
    scope: Scope<'_>,
    written: &'a [u8],
    types: &dyn ResourceTypes,
) -> Decoded<'a> {
    let again = codec::decode(format, scope, written, types);
    let again = again.unwrap_or_else(|error| panic!("{error}: {written:x?}"));
    assert_eq!(again.faults, [], "{written:x?}");
    again
}

/// What a format reads and need not be able to write.
fn is_excused(format: ContentFormat, decoded: &Decoded<'_>, error: &EncodeError) -> bool {
    match error {
        // Every record was at fault, and the format has no form for none.
        EncodeError::Single { records: 0, .. } | EncodeError::Format(_) => {
            decoded.records.is_empty()
        }
        EncodeError::Unsupported { path, .. } => {
            format == ContentFormat::Text && at(decoded, path).any(is_not_finite)
        }
        _ => false,
    }
}

fn at<'d, 'a>(decoded: &'d Decoded<'a>, path: &Path) -> impl Iterator<Item = &'d Record<'a>> {
    let path = *path;
    decoded
        .records
        .iter()
        .filter(move |record| record.path == path)
}

fn is_not_finite(record: &Record<'_>) -> bool {
    matches!(record.value, Value::Float(number) if !number.is_finite())
}

/// In an order of its own, since formats may group records; as text, in which NaN equals itself.
fn sorted(decoded: &Decoded<'_>) -> Vec<String> {
    let records = decoded.records.iter();
    let mut records: Vec<String> = records.map(|record| format!("{record:?}")).collect();
    records.sort_unstable();
    records
}
