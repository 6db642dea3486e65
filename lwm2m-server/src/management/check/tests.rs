use lwm2m_core::{ExecuteArguments, ObjectList};

use super::*;
use crate::management::fixture::{Models, device, objects};

use Version::{V1_0, V1_1, V1_2};

fn checked_with(
    request: &Request,
    version: Version,
    objects: &ObjectList,
) -> Result<(), RequestError> {
    check(request, &device(version, objects, &Models))
}

fn checked(request: &Request, version: Version) -> Result<(), RequestError> {
    checked_with(request, version, &objects(&[]))
}

fn read(path: &str) -> Request {
    Request::Read {
        path: path.parse().unwrap(),
        accept: None,
    }
}

fn write(path: &str, value: impl Into<Value<'static>>) -> Request {
    let path = path.parse().unwrap();
    Request::Write {
        path,
        mode: WriteMode::Replace,
        records: vec![Record::new(path, value)],
        format: None,
    }
}

fn execute(path: &str) -> Request {
    Request::Execute {
        path: path.parse().unwrap(),
        arguments: ExecuteArguments::default(),
    }
}

fn create(object: u16, instance: Option<u16>) -> Request {
    Request::Create {
        object,
        instance,
        records: Vec::new(),
        format: None,
    }
}

fn delete(path: &str) -> Request {
    Request::Delete {
        path: path.parse().unwrap(),
    }
}

fn attributes(path: &str, query: &[&str]) -> Request {
    Request::WriteAttributes {
        path: path.parse().unwrap(),
        attributes: Attributes::from_query(query.iter().copied()).unwrap(),
    }
}

fn observe_composite(query: &[&str]) -> Request {
    Request::ObserveComposite {
        paths: vec![Path::object(3)],
        attributes: Attributes::from_query(query.iter().copied()).unwrap(),
        format: None,
        accept: None,
    }
}

#[test]
fn an_operation_needs_the_version_it_came_with() {
    let null = Request::WriteComposite {
        records: vec![Record {
            path: Path::resource_instance(16, 0, 0, 1),
            time: None,
            value: Value::Null,
        }],
        format: None,
    };
    let observe = Request::Observe {
        path: Path::resource(3, 0, 9),
        attributes: Attributes::from_query(["pmin=1"]).unwrap(),
        accept: None,
    };
    let partial = Request::Write {
        path: Path::resource(16, 0, 0),
        mode: WriteMode::Update,
        records: vec![Record::new(
            Path::resource_instance(16, 0, 0, 1),
            Value::from("x"),
        )],
        format: None,
    };
    let fetch = Request::ReadComposite {
        paths: vec![Path::object(3)],
        format: None,
        accept: None,
    };
    let patch = Request::WriteComposite {
        records: vec![Record::new(Path::resource(1, 0, 1), 1)],
        format: None,
    };
    let depth = Request::Discover {
        path: Path::object(3),
        depth: Some(0),
    };
    for (request, since) in [
        (read("/3/0"), V1_0),
        (write("/1/0/1", 1), V1_0),
        (read("/3/0/6/0"), V1_1),
        (write("/16/0/0/1", "x"), V1_1),
        (attributes("/3/0/6/0", &["pmin=1"]), V1_1),
        (fetch, V1_1),
        (patch, V1_1),
        (observe_composite(&[]), V1_1),
        (delete("/16/0"), V1_0),
        (delete("/16/0/0/1"), V1_2),
        (depth, V1_2),
        (observe, V1_2),
        (observe_composite(&["pmin=1"]), V1_2),
        (partial, V1_2),
        (null, V1_2),
    ] {
        for version in [V1_0, V1_1, V1_2] {
            match checked(&request, version) {
                Ok(()) => assert!(version >= since, "{version} {request:?}"),
                Err(RequestError::NotInVersion { .. }) => {
                    assert!(version < since, "{version} {request:?}");
                }
                Err(other) => panic!("{version} {request:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_version_is_named_with_what_it_lacks() {
    let error = checked(&delete("/16/0/0/1"), V1_1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "LwM2M 1.1 has no Delete of a resource instance"
    );
}

#[test]
fn the_model_says_what_may_be_done() {
    for (request, refusal) in [
        (read("/3/0/9"), None),
        (read("/3"), None),
        (read("/3/0/4"), Some("/3/0/4 (Reboot) can only be executed")),
        (read("/5/0/0"), Some("/5/0/0 (Package) can only be written")),
        (
            read("/1/0/13"),
            Some("/1/0/13 (Registration Priority Order) is for the bootstrap server only"),
        ),
        (
            read("/3/0/9/0"),
            Some("/3/0/9/0 (Battery Level) has no instances"),
        ),
        (write("/5/0/0", vec![0u8]), None),
        (
            write("/1/0/0", 123),
            Some("/1/0/0 (Short Server ID) is read-only"),
        ),
        (
            write("/3/0/4", 1),
            Some("/3/0/4 (Reboot) can only be executed"),
        ),
        (
            write("/16/0/0", "x"),
            Some("/16/0/0 has instances: write /16/0/0/0, for example"),
        ),
        (execute("/3/0/4"), None),
        (
            execute("/3/0/9"),
            Some("/3/0/9 (Battery Level) cannot be executed"),
        ),
        (create(16, Some(7)), None),
        (
            create(3, Some(0)),
            Some("object 3 has one instance only, 0"),
        ),
        (
            create(5, Some(1)),
            Some("object 5 has one instance only, 0"),
        ),
        (create(5, Some(0)), None),
        (create(5, None), None),
        (delete("/16/0"), None),
        (
            delete("/3/0"),
            Some("/3/0 is an instance that every device has, it cannot be deleted"),
        ),
        (
            read("/0/0"),
            Some("object 0 is closed to servers, only a bootstrap server reaches it"),
        ),
        (
            create(21, None),
            Some("object 21 is closed to servers, only a bootstrap server reaches it"),
        ),
    ] {
        let expected = match refusal {
            None => Ok(()),
            Some(text) => Err(RequestError::AgainstModel(text.to_owned())),
        };
        assert_eq!(checked(&request, V1_2), expected, "{request:?}");
    }
}

#[test]
fn what_no_model_knows_passes() {
    for request in [
        read("/3/0/999"),
        read("/4242/0/1"),
        write("/3/0/999", 1),
        write("/4242/0/1/5", "x"),
        execute("/4242/0/1"),
        create(4242, None),
        delete("/4242/0"),
    ] {
        assert_eq!(checked(&request, V1_1), Ok(()), "{request:?}");
    }
}

#[test]
fn a_value_has_the_type_of_its_resource() {
    assert_eq!(checked(&write("/3/0/13", 1_700_000_000), V1_1), Ok(()));
    assert_eq!(checked(&write("/1/0/1", 60u64), V1_1), Ok(()));
    for request in [
        write("/1/0/1", "60"),
        write("/1/0/1", 1.5),
        write("/1/0/6", 1),
        write("/5/0/0", "text"),
    ] {
        assert!(
            matches!(
                checked(&request, V1_1),
                Err(RequestError::Unencodable(EncodeError::Value { .. }))
            ),
            "{request:?}"
        );
    }
}

#[test]
fn attributes_fit_their_target() {
    let good = [
        attributes("/3", &["pmin=1", "pmax=10"]),
        attributes("/3303/0/5700", &["gt=30.5", "lt=-10", "st=0.5"]),
        attributes("/3/0/9", &["gt"]),
        observe_composite(&["pmin=1", "pmax=10", "con=1"]),
    ];
    for request in good {
        assert_eq!(checked(&request, V1_2), Ok(()), "{request:?}");
    }
    let bad = [
        (attributes("/3", &["gt=1"]), V1_2),
        (attributes("/3/0/0", &["gt=1"]), V1_2),
        (attributes("/3/0/9", &["lt=9", "gt=1"]), V1_2),
        (attributes("/3/0/9", &["epmin=1"]), V1_0),
        (observe_composite(&["gt=1"]), V1_2),
        (observe_composite(&["hqmax=1"]), V1_2),
    ];
    for (request, version) in bad {
        assert!(
            matches!(checked(&request, version), Err(RequestError::Invalid(_))),
            "{request:?}"
        );
    }
}

#[test]
fn an_accept_can_carry_the_answer() {
    let read = |path: &str, accept| Request::Read {
        path: path.parse().unwrap(),
        accept: Some(accept),
    };
    for (request, fits) in [
        (read("/3/0/9", ContentFormat::Text), true),
        (read("/3/0/9", ContentFormat::Tlv), true),
        (read("/3/0", ContentFormat::Text), false),
        (read("/3/0/6", ContentFormat::Cbor), false),
        (read("/3/0/6/1", ContentFormat::Cbor), true),
        (read("/3/0", ContentFormat::Link), false),
        (read("/3/0", ContentFormat::Json), true),
        (read("/3/0", ContentFormat::SenmlEtchCbor), false),
    ] {
        match checked(&request, V1_1) {
            Ok(()) => assert!(fits, "{request:?}"),
            Err(RequestError::Invalid(_)) => assert!(!fits, "{request:?}"),
            Err(other) => panic!("{request:?}: {other:?}"),
        }
    }
}
