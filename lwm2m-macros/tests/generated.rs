//! What the macros make of definitions: names that are hard, values, findings.

#![deny(warnings)]
#![allow(clippy::unwrap_used)] // tests

#[allow(deprecated)] // the definition is odd, and the macro says so
mod objects {
    lwm2m_macros::lwm2m_objects!("tests/objects/odd-object.xml");
}

mod meters {
    lwm2m_macros::lwm2m_objects!("tests/objects/water-meter.xml");
}

#[lwm2m_macros::lwm2m_object(xml = "tests/objects/water-meter.xml", id = 26241, version = "1.0")]
#[derive(PartialOrd)]
struct OwnMeter;

use lwm2m_core::typed::{
    CoreLink, Executable, Finding, Readable, Resource, Time, TypedError, TypedObject, ValueRange,
    Writable,
};
use lwm2m_core::{ContentFormat, Path, Record, Value};
use meters::water_meter::{self, TariffLimit, Valve, Volume, WaterMeter};
use objects::odd_object::{self, OddObject};

fn is_executable<T: Executable>() -> u16 {
    T::ID
}

fn odd() -> OddObject {
    OddObject {
        r#type: Some("a type".to_owned()),
        self_: Some(-1),
        _5qi: Some(5),
        cell_id: Some(7),
        enabled_5: Some(true),
        enabled_6: Some(false),
        odd_object_7: Some("odd".to_owned()),
        string: Some("text".to_owned()),
        option: [(0, 0.5), (3, 1.0)].into(),
        time: Some(Time(1_700_000_000)),
        resource_12: Some(vec![0, 255]),
        no_type: Some(Value::Integer(5)),
        both: Some("both".to_owned()),
        level: Some(odd_object::values::Level::Some_2),
        integer: Some(CoreLink("</3/0>".to_owned())),
        resource_definition: Some(lwm2m_core::ObjectLink::NULL),
        values: Some(odd_object::values::Values::Self_),
    }
}

#[test]
fn names_that_are_hard_are_names() {
    assert_eq!(odd_object::Type::ID, 1);
    assert_eq!(odd_object::Self_::ID, 2);
    assert_eq!(odd_object::_5qi::ID, 3);
    assert_eq!(odd_object::Enabled_6::ID, 6);
    assert_eq!(odd_object::v1_0::OddObject_7::ID, 7);
    assert_eq!(is_executable::<odd_object::None>(), 11);
    assert_eq!(is_executable::<odd_object::Both>(), 14);
    assert_eq!(i64::from(odd_object::values::Level::Some_1), 1);
    assert_eq!(i64::from(odd_object::values::Level::Other_0), 0);
    let other = odd_object::values::Level::from(9);
    assert_eq!(other, odd_object::values::Level::Other(9));
    assert_eq!(objects::odd_object_26242::OddObject::DEFINITION.id, 26242);
}

#[test]
fn an_instance_comes_back_in_every_format() {
    use ContentFormat::{Json, Lwm2mCbor, SenmlCbor, SenmlJson, Tlv};
    for format in [Tlv, Json, SenmlJson, SenmlCbor, Lwm2mCbor] {
        let mut sent = odd();
        // Nobody says what TLV and the old JSON would mean by a value without a type.
        if matches!(format, Tlv | Json) {
            sent.no_type = None;
        }
        let payload = sent.encode(format, 0).unwrap();
        let read = OddObject::decode(format, 0, &payload).unwrap();
        assert_eq!((read.value, read.findings), (sent, vec![]), "{format:?}");
    }
}

#[test]
fn ranges_are_checked_on_the_way_out() {
    let limits = [(0, 1), (1, 1001)].into();
    let path = Path::resource_instance(26241, 2, 3, 1);
    let range = ValueRange::Integers(&[(1, 1000)]);
    let expected = Err(TypedError::OutOfRange { path, range });
    assert_eq!(TariffLimit::write_records(2, limits), expected);
    let meter = WaterMeter {
        pass_code: Some("123456789".to_owned()),
        ..WaterMeter::default()
    };
    assert!(meter.encode(ContentFormat::SenmlCbor, 0).is_err());
}

#[test]
fn what_is_unusual_is_reported_on_the_way_in() {
    let at = |resource| Path::resource(26241, 0, resource);
    let limit = Path::resource_instance(26241, 0, 3, 0);
    let records = [
        Record::new(at(1), "much"),
        Record::new(at(2), 7),
        Record::new(limit, 5000),
        Record::new(at(99), true),
        Record::new(Path::resource(26241, 1, 1), 1.0),
    ];
    let read = WaterMeter::from_records(0, &records);
    assert_eq!(read.value.valve, Some(water_meter::values::Valve::Other(7)));
    assert_eq!(read.value.tariff_limit, [(0, 5000)].into());
    assert_eq!(read.value.missing_mandatory(), [1]);
    let [value, range, unknown] = read.findings.as_slice() else {
        unreachable!("three findings: {:?}", read.findings)
    };
    assert!(matches!(value, Finding::Value { path, .. } if *path == at(1)));
    assert!(matches!(range, Finding::OutOfRange { path, .. } if *path == limit));
    assert_eq!(*unknown, Finding::Unknown { path: at(99) });
}

#[test]
fn a_resource_alone_is_read_or_absent() {
    let volume = Record::new(Volume::path(1), 3);
    let read = Volume::read_records(1, std::slice::from_ref(&volume));
    assert_eq!(read.unwrap().value, 3.0);
    let absent = Valve::read_records(1, &[volume]);
    let path = Path::resource(26241, 1, 2);
    assert_eq!(absent, Err(TypedError::Absent { path }));
}

#[test]
fn a_struct_of_ones_own_is_an_object() {
    let meter = OwnMeter {
        volume: Some(1.0),
        valve: Some(own_meter::values::Valve::Closed),
        ..OwnMeter::default()
    };
    assert!(meter > OwnMeter::default());
    assert_eq!(OwnMeter::DEFINITION, WaterMeter::DEFINITION);
    assert_eq!(own_meter::Volume::path(0), Volume::path(0));
}
