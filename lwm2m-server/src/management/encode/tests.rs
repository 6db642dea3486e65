use lwm2m_coap::Message;
use lwm2m_core::{ExecuteArguments, ObjectList, Value, Version};

use super::*;
use crate::management::fixture::{Models, device, hex, objects};

/// An outgoing request as a message has it: code, options by number, payload.
#[derive(Debug, PartialEq)]
struct OnTheWire {
    code: Code,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl OnTheWire {
    fn of(outgoing: &OutgoingRequest) -> OnTheWire {
        assert!(outgoing.confirmable);
        let mut options: Vec<(u16, Vec<u8>)> = outgoing
            .options
            .iter()
            .map(|(number, value)| (number.0, value.to_vec()))
            .collect();
        if outgoing.observe == Some(true) {
            options.push((OptionNumber::OBSERVE.0, Vec::new()));
        }
        options.sort_by_key(|(number, _)| *number);
        OnTheWire {
            code: outgoing.code,
            options,
            payload: outgoing.payload.to_vec(),
        }
    }

    fn parse(message: &[u8]) -> OnTheWire {
        let message = Message::parse(message).unwrap();
        OnTheWire {
            code: message.code(),
            options: message
                .options()
                .map(|option| (option.number.0, option.value.to_vec()))
                .collect(),
            payload: message.payload().to_vec(),
        }
    }
}

fn encoded_for(
    request: &Request,
    version: Version,
    objects: &ObjectList,
) -> Result<OnTheWire, RequestError> {
    let device = device(version, objects, &Models);
    encode(request, &device).map(|outgoing| OnTheWire::of(&outgoing))
}

fn encoded(request: &Request, version: Version) -> Result<OnTheWire, RequestError> {
    encoded_for(request, version, &objects(&[]))
}

fn write(path: &str, mode: WriteMode, records: &[(&str, Value<'static>)]) -> Request {
    Request::Write {
        path: path.parse().unwrap(),
        mode,
        records: records
            .iter()
            .map(|(path, value)| Record::new(path.parse().unwrap(), value.clone()))
            .collect(),
        format: None,
    }
}

fn observe(path: &str, query: &[&str], accept: Option<ContentFormat>) -> Request {
    Request::Observe {
        path: path.parse().unwrap(),
        attributes: Attributes::from_query(query.iter().copied()).unwrap(),
        accept,
    }
}

fn composite() -> Vec<Path> {
    vec!["/3/0/0".parse().unwrap(), "/1/0/1".parse().unwrap()]
}

fn instance_two() -> Vec<Record<'static>> {
    vec![Record::new(
        Path::resource_instance(16, 1, 0, 0),
        Value::from("Host #2"),
    )]
}

#[test]
fn each_operation_is_the_message_that_the_vectors_have() {
    let read = Request::Read {
        path: Path::resource(3, 0, 0),
        accept: Some(ContentFormat::Text),
    };
    let lifetime = write("/1/0/1", WriteMode::Replace, &[("/1/0/1", 120.into())]);
    let partial = write(
        "/1/0",
        WriteMode::Update,
        &[("/1/0/2", 101.into()), ("/1/0/3", 1010.into())],
    );
    let attributes = Request::WriteAttributes {
        path: Path::resource(3, 0, 7),
        attributes: Attributes::from_query(["pmin=5", "pmax=15", "st"]).unwrap(),
    };
    let with_arguments = Request::Execute {
        path: Path::resource(1, 0, 8),
        arguments: ExecuteArguments::parse("0='U'").unwrap(),
    };
    let reboot = Request::Execute {
        path: Path::resource(3, 0, 4),
        arguments: ExecuteArguments::default(),
    };
    let discover = Request::Discover {
        path: Path::object(3),
        depth: Some(1),
    };
    let fetch = Request::ReadComposite {
        paths: composite(),
        format: None,
        accept: None,
    };
    let watch = observe("/3303/0/5700", &[], Some(ContentFormat::SenmlCbor));
    let watch_with = observe("/3/0/7", &["pmin=5", "pmax=10"], None);
    let watch_all = Request::ObserveComposite {
        paths: composite(),
        attributes: Attributes::default(),
        format: None,
        accept: None,
    };
    for (name, request, version, message) in [
        (
            "read-resource-text",
            read,
            Version::V1_1,
            "44011001c0ffee01b1330130013060",
        ),
        (
            "write-lifetime",
            lifetime,
            Version::V1_1,
            "44031003c0ffee03b1310130013110ff313230",
        ),
        (
            "write-partial-tlv",
            partial,
            Version::V1_0,
            "44021004c0ffee04b1310130122d16ffc10265c20303f2",
        ),
        (
            "write-attributes",
            attributes,
            Version::V1_0,
            "44031005c0ffee05b1330130013746706d696e3d3507706d61783d3135027374",
        ),
        (
            "execute-args",
            with_arguments,
            Version::V1_2,
            "44021006c0ffee06b1310130013810ff303d275527",
        ),
        (
            "execute-plain",
            reboot,
            Version::V1_0,
            "44021007c0ffee07b13301300134",
        ),
        (
            "discover-depth",
            discover,
            Version::V1_2,
            "44011009c0ffee09b1334764657074683d312128",
        ),
        (
            "read-composite",
            fetch,
            Version::V1_1,
            "4405100ac0ffee0ac1705170ff82a100662f332f302f30a100662f312f302f31",
        ),
        (
            "observe",
            watch,
            Version::V1_1,
            "4401100cc0ffee0c605433333033013004353730306170",
        ),
        (
            "observe-with-params-1.2",
            watch_with,
            Version::V1_2,
            "4401100dc0ffee0d6051330130013746706d696e3d3507706d61783d3130",
        ),
        (
            "observe-composite",
            watch_all,
            Version::V1_1,
            "4405100fc0ffee0f6061705170ff82a100662f332f302f30a100662f312f302f31",
        ),
    ] {
        let expected = OnTheWire::parse(&hex(message));
        assert_eq!(encoded(&request, version), Ok(expected), "{name}");
    }
}

#[test]
fn a_create_names_its_instance() {
    // The vector has the single resource form, which the model of this test makes an array.
    let create = |instance| Request::Create {
        object: 16,
        instance,
        records: match instance {
            Some(_) => instance_two(),
            None => vec![Record::new(
                Path::resource_instance(16, u16::MAX, 0, 0),
                Value::from("Host #2"),
            )],
        },
        format: None,
    };
    let named = encoded(&create(Some(1)), Version::V1_0).unwrap();
    let vector = OnTheWire::parse(&hex(
        "44021008c0ffee08b23136122d16ff08010c8800094700486f7374202332",
    ));
    assert_eq!(named, vector);
    let unnamed = encoded(&create(None), Version::V1_0).unwrap();
    assert_eq!(unnamed.options, vector.options);
    assert_eq!(unnamed.payload, hex("8800094700486f7374202332"));
    let stranger = Request::Create {
        object: 16,
        instance: Some(2),
        records: instance_two(),
        format: None,
    };
    assert!(matches!(
        encoded(&stranger, Version::V1_0),
        Err(RequestError::Unencodable(EncodeError::OutsideScope { .. }))
    ));
}

#[test]
fn an_instance_without_values_is_created_in_tlv() {
    for (instance, payload) in [
        (Some(1), "0001"),
        (Some(300), "20012c"),
        (Some(65534), "20fffe"),
        (None, ""),
    ] {
        let create = |format| Request::Create {
            object: 16,
            instance,
            records: Vec::new(),
            format,
        };
        let message = encoded(&create(None), Version::V1_1).unwrap();
        assert_eq!(message.payload, hex(payload));
        assert!(message.options.contains(&(12, vec![0x2d, 0x16])));
        let other = encoded(&create(Some(ContentFormat::SenmlCbor)), Version::V1_1);
        assert!(matches!(other, Err(RequestError::Invalid(_))));
    }
}

#[test]
fn a_composite_write_goes_to_the_root() {
    let request = Request::WriteComposite {
        records: vec![
            Record::new(Path::resource(1, 0, 1), 61),
            Record::new(Path::resource(1, 0, 6), true),
        ],
        format: None,
    };
    let message = encoded(&request, Version::V1_1).unwrap();
    // The vector has whole names; ours are relative, which more devices read.
    let vector = OnTheWire::parse(&hex(
        "4407100bc0ffee0bc170ff82a200662f312f302f3102183da200662f312f302f3604f5",
    ));
    assert_eq!(message.code, vector.code);
    assert_eq!(message.options, vector.options);
    let records = |payload: &[u8]| {
        codec::decode(
            ContentFormat::SenmlCbor,
            Path::ROOT.into(),
            payload,
            &Untyped,
        )
        .unwrap()
        .into_owned()
    };
    assert_eq!(records(&message.payload), records(&vector.payload));
}

#[test]
fn the_alternate_path_leads_every_path_and_every_name() {
    let objects = ObjectList {
        alternate_path: "/lwm2m".to_owned(),
        ..objects(&[])
    };
    let delete = Request::Delete {
        path: Path::instance(16, 0),
    };
    let message = encoded_for(&delete, Version::V1_1, &objects).unwrap();
    let segments = |segments: &[&str]| -> Vec<(u16, Vec<u8>)> {
        segments
            .iter()
            .map(|segment| (11, segment.as_bytes().to_vec()))
            .collect()
    };
    assert_eq!(message.code, Code::DELETE);
    assert_eq!(message.options, segments(&["lwm2m", "16", "0"]));

    let fetch = Request::ReadComposite {
        paths: composite(),
        format: None,
        accept: None,
    };
    let message = encoded_for(&fetch, Version::V1_1, &objects).unwrap();
    assert_eq!(message.options[..1], segments(&["lwm2m"]));
    assert_eq!(
        codec::decode_paths(ContentFormat::SenmlCbor, "/lwm2m", &message.payload),
        Ok(composite())
    );
    assert!(message.payload.windows(7).any(|bytes| bytes == b"/lwm2m/"));

    let objects = ObjectList {
        alternate_path: format!("/{}", "x".repeat(SEGMENT_MAX + 1)),
        ..objects
    };
    assert!(matches!(
        encoded_for(&delete, Version::V1_1, &objects),
        Err(RequestError::Invalid(_))
    ));
}

#[test]
fn an_empty_write_says_that_it_is_one() {
    for (version, format, payload) in [
        (Version::V1_0, &[0x2d, 0x16][..], "c001"),
        (Version::V1_1, &[], ""),
    ] {
        let request = write("/5/0/1", WriteMode::Replace, &[("/5/0/1", "".into())]);
        let message = encoded(&request, version).unwrap();
        assert_eq!(message.payload, hex(payload));
        assert_eq!(message.options.last(), Some(&(12, format.to_vec())));
    }
}

#[test]
fn paths_stand_at_a_level_that_the_operation_has() {
    let arguments = ExecuteArguments::default();
    let attributes = Attributes::from_query(["pmin=1"]).unwrap();
    let paths = ["/", "/3", "/3/0", "/3/0/6", "/3/0/6/0"];
    let request = |kind: usize, path: Path| match kind {
        0 => Request::Read { path, accept: None },
        1 => Request::Discover { path, depth: None },
        2 => write(
            &path.to_string(),
            WriteMode::Replace,
            &[("/3/0/6/0", 1.into())],
        ),
        3 => write(
            &path.to_string(),
            WriteMode::Update,
            &[("/3/0/6/0", 1.into())],
        ),
        4 => Request::WriteAttributes {
            path,
            attributes: attributes.clone(),
        },
        5 => Request::Execute {
            path,
            arguments: arguments.clone(),
        },
        6 => Request::Delete { path },
        _ => Request::Observe {
            path,
            attributes: Attributes::default(),
            accept: None,
        },
    };
    for (kind, fits) in [
        [false, true, true, true, true],
        [false, true, true, true, false],
        [false, false, true, true, true],
        [false, false, true, true, false],
        [false, true, true, true, true],
        [false, false, false, true, false],
        [false, false, true, false, true],
        [false, true, true, true, true],
    ]
    .into_iter()
    .enumerate()
    {
        for (path, fits) in paths.iter().zip(fits) {
            let request = request(kind, path.parse().unwrap());
            match encoded(&request, Version::V1_2) {
                Ok(_) => assert!(fits, "{request:?}"),
                Err(RequestError::Invalid(_)) => assert!(!fits, "{request:?}"),
                Err(other) => panic!("{request:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_cannot_be_expressed_is_refused() {
    let invalid = |request: &Request| match encoded(request, Version::V1_2) {
        Err(RequestError::Invalid(message)) => message,
        other => panic!("{request:?}: {other:?}"),
    };
    let nothing = write("/1/0", WriteMode::Replace, &[]);
    assert!(invalid(&nothing).contains("at least one value"));
    let nothing = Request::WriteAttributes {
        path: Path::object(3),
        attributes: Attributes::default(),
    };
    assert!(invalid(&nothing).contains("at least one attribute"));
    let deep = Request::Discover {
        path: Path::object(3),
        depth: Some(4),
    };
    assert!(invalid(&deep).contains("0 to 3"));
    let reserved = Request::Read {
        path: Path::instance(3, u16::MAX),
        accept: None,
    };
    assert!(invalid(&reserved).contains("65535"));
    let reserved = Request::Create {
        object: 3,
        instance: Some(u16::MAX),
        records: Vec::new(),
        format: None,
    };
    assert!(invalid(&reserved).contains("65534"));
    let nowhere = Request::ReadComposite {
        paths: Vec::new(),
        format: None,
        accept: None,
    };
    assert!(invalid(&nowhere).contains("at least one path"));
    let timed = Request::WriteComposite {
        records: vec![Record {
            time: Some(1.0),
            ..Record::new(Path::resource(1, 0, 1), 1)
        }],
        format: None,
    };
    assert!(invalid(&timed).contains("time"));
    let several = Request::Write {
        path: Path::instance(1, 0),
        mode: WriteMode::Update,
        records: vec![Record::new(Path::resource(1, 0, 1), 1)],
        format: Some(ContentFormat::Text),
    };
    assert!(invalid(&several).contains("text cannot carry several values"));
}

#[test]
fn a_value_of_the_wrong_type_can_be_sent_to_test_a_device() {
    let request = write("/1/0/1", WriteMode::Replace, &[("/1/0/1", "never".into())]);
    let message = encoded(&request, Version::V1_1).unwrap();
    assert_eq!(message.payload, b"never");
}
