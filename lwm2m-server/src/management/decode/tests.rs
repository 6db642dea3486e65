use lwm2m_coap::{Message, MessageBuilder, MessageType, Token};
use lwm2m_core::{Attributes, ExecuteArguments, ObjectList, Record, Value, Version, WriteMode};
use proptest::prelude::*;

use super::*;
use crate::management::fixture::{Models, device, hex, objects};

/// A response with these segments of Location-Path. Its code does not matter: the engine hands
/// the code of the whole exchange over beside it.
fn response(location: &[&str]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let mut builder = MessageBuilder::new(
        &mut datagram,
        MessageType::Acknowledgement,
        Code::CONTENT,
        1,
        &Token::EMPTY,
    );
    for segment in location {
        builder = builder.option(OptionNumber::LOCATION_PATH, segment.as_bytes());
    }
    builder.finish();
    datagram
}

struct Answered<'b> {
    code: Code,
    format: Option<u16>,
    body: &'b [u8],
    location: &'b [&'b str],
}

impl<'b> Answered<'b> {
    fn with(code: Code, format: impl Into<Option<u16>>, body: &'b [u8]) -> Answered<'b> {
        Answered {
            code,
            format: format.into(),
            body,
            location: &[],
        }
    }

    fn to(
        &self,
        request: &Request,
        version: Version,
        objects: &ObjectList,
    ) -> Result<Response, RequestError> {
        let datagram = response(self.location);
        let message = Message::parse(&datagram).unwrap();
        let answer = CoapAnswer {
            code: self.code,
            content_format: self.format,
            message: &message,
            body: self.body,
        };
        decode(request, &device(version, objects, &Models), &answer)
    }
}

fn answered(
    request: &Request,
    code: Code,
    format: impl Into<Option<u16>>,
    body: &[u8],
) -> Result<Response, RequestError> {
    Answered::with(code, format, body).to(request, Version::V1_1, &objects(&[]))
}

fn values_of(response: Result<Response, RequestError>) -> Vec<(String, Value<'static>)> {
    let response = response.unwrap();
    let Content::Values(decoded) = response.content else {
        panic!("{response:?}");
    };
    assert_eq!(decoded.faults, []);
    decoded
        .records
        .into_iter()
        .map(|record| (record.path.to_string(), record.value))
        .collect()
}

fn read(path: &str) -> Request {
    read_accepting(path, None)
}

fn read_accepting(path: &str, accept: Option<ContentFormat>) -> Request {
    Request::Read {
        path: path.parse().unwrap(),
        accept,
    }
}

fn create(instance: Option<u16>) -> Request {
    Request::Create {
        object: 16,
        instance,
        records: Vec::new(),
        format: None,
    }
}

fn discover() -> Request {
    Request::Discover {
        path: Path::object(3),
        depth: None,
    }
}

fn fetch(paths: &[&str]) -> Request {
    Request::ReadComposite {
        paths: paths.iter().map(|path| path.parse().unwrap()).collect(),
        format: None,
        accept: None,
    }
}

fn write() -> Request {
    let path = Path::resource(1, 0, 1);
    Request::Write {
        path,
        mode: WriteMode::Replace,
        records: vec![Record::new(path, 1)],
        format: None,
    }
}

/// One of each operation.
fn operations() -> Vec<Request> {
    vec![
        read("/3/0/9"),
        read("/3/0"),
        read("/3"),
        read("/3/0/7"),
        read("/5/0/0"),
        read("/4242/0/1"),
        discover(),
        write(),
        Request::WriteAttributes {
            path: Path::object(3),
            attributes: Attributes::default(),
        },
        Request::Execute {
            path: Path::resource(3, 0, 4),
            arguments: ExecuteArguments::default(),
        },
        create(None),
        create(Some(1)),
        Request::Delete {
            path: Path::instance(16, 0),
        },
        fetch(&["/3/0", "/1/0/1"]),
        fetch(&["/"]),
        Request::WriteComposite {
            records: Vec::new(),
            format: None,
        },
        Request::Observe {
            path: Path::resource(3303, 0, 5700),
            attributes: Attributes::default(),
            accept: None,
        },
        Request::ObserveComposite {
            paths: vec![Path::object(3)],
            attributes: Attributes::default(),
            format: None,
            accept: None,
        },
    ]
}

#[test]
fn the_format_that_came_counts() {
    let acme = [("/3/0/0".to_owned(), Value::from("Acme"))];
    for (accept, format, body) in [
        (None, 0, &b"Acme"[..]),
        (Some(ContentFormat::SenmlCbor), 0, b"Acme"),
        (Some(ContentFormat::SenmlCbor), 1541, b"Acme"),
        (Some(ContentFormat::Text), 11542, &hex("c40041636d65")),
        (None, 1542, &hex("c40041636d65")),
        (None, 60, &hex("6441636d65")),
        (
            Some(ContentFormat::SenmlJson),
            11543,
            br#"{"bn":"/3/0/","e":[{"n":"0","sv":"Acme"}]}"#,
        ),
        (None, 110, br#"[{"bn":"/3/0/0","vs":"Acme"}]"#),
        (None, 11544, &hex("a1830300006441636d65")),
    ] {
        let request = read_accepting("/3/0/0", accept);
        let response = answered(&request, Code::CONTENT, format, body);
        let expected = ContentFormat::from_number(format);
        assert_eq!(response.as_ref().unwrap().format, expected);
        assert_eq!(response.as_ref().unwrap().raw, body);
        assert_eq!(values_of(response), acme, "{format}");
    }
}

#[test]
fn a_missing_format_is_guessed() {
    for (path, accept, body, format, value) in [
        (
            "/3/0/9",
            None,
            &b"95"[..],
            ContentFormat::Text,
            ("/3/0/9", Value::Integer(95)),
        ),
        (
            "/3/0/9",
            None,
            &hex("c1095f"),
            ContentFormat::Tlv,
            ("/3/0/9", Value::Integer(95)),
        ),
        (
            "/3/0/9",
            Some(ContentFormat::Cbor),
            &hex("185f"),
            ContentFormat::Cbor,
            ("/3/0/9", Value::Integer(95)),
        ),
        (
            "/3/0/0",
            None,
            b"",
            ContentFormat::Text,
            ("/3/0/0", Value::from("")),
        ),
        (
            "/4242/0/1",
            None,
            b"x",
            ContentFormat::Text,
            ("/4242/0/1", Value::from("x")),
        ),
        (
            "/5/0/0",
            None,
            b"abcd",
            ContentFormat::Opaque,
            ("/5/0/0", Value::from(&b"abcd"[..])),
        ),
        (
            "/3/0",
            None,
            &hex("c1095f"),
            ContentFormat::Tlv,
            ("/3/0/9", Value::Integer(95)),
        ),
        (
            "/3/0",
            None,
            br#"[{"n":"/3/0/9","v":95}]"#,
            ContentFormat::SenmlJson,
            ("/3/0/9", Value::Integer(95)),
        ),
        (
            "/3/0/7",
            None,
            &hex("8307410001"),
            ContentFormat::Tlv,
            ("/3/0/7/0", Value::Integer(1)),
        ),
    ] {
        let request = read_accepting(path, accept);
        for number in [None, Some(NO_FORMAT)] {
            let response = answered(&request, Code::CONTENT, number, body);
            assert_eq!(response.as_ref().unwrap().format, Some(format), "{path}");
            let (path, value) = value.clone();
            assert_eq!(values_of(response), [(path.to_owned(), value)]);
        }
    }
    let nothing = answered(&read("/16"), Code::CONTENT, None, b"");
    assert_eq!(values_of(nothing), []);
}

#[test]
fn a_fault_stays_beside_the_values() {
    let body = hex("c4004163ff65c1095f");
    let response = answered(&read("/3/0"), Code::CONTENT, 11542, &body).unwrap();
    let Content::Values(decoded) = response.content else {
        panic!("{response:?}");
    };
    assert_eq!(decoded.records, [Record::new(Path::resource(3, 0, 9), 95)]);
    assert_eq!(decoded.faults[0].path, Path::resource(3, 0, 0));
    // The same without a format: values with a fault are better than none at all.
    let guessed = answered(&read("/3/0"), Code::CONTENT, None, &body).unwrap();
    assert!(matches!(guessed.content, Content::Values(decoded) if decoded.records.len() == 1));
}

#[test]
fn a_broken_payload_is_an_error() {
    for (format, body) in [
        (11542, &b"\xc8\x00\xff"[..]),
        (112, b"\x81"),
        (110, b"[{"),
        (112, &hex("81a200662f312f302f310201")),
    ] {
        assert!(
            matches!(
                answered(&read("/3/0"), Code::CONTENT, format, body),
                Err(RequestError::Undecodable(_))
            ),
            "{format}"
        );
    }
    for format in [50, 41, 999] {
        assert!(matches!(
            answered(&read("/3/0"), Code::CONTENT, format, b"{}"),
            Err(RequestError::Protocol(_))
        ));
    }
}

#[test]
fn every_operation_has_its_own_success_code() {
    let all = [
        Code::new(2, 0),
        Code::CREATED,
        Code::DELETED,
        Code::VALID,
        Code::CHANGED,
        Code::CONTENT,
        Code::CONTINUE,
    ];
    for request in operations() {
        let good: &[Code] = match &request {
            Request::Create { .. } => &[Code::CREATED, Code::CHANGED, Code::CONTENT],
            Request::Delete { .. } => &[Code::DELETED],
            Request::Write { .. }
            | Request::WriteAttributes { .. }
            | Request::WriteComposite { .. }
            | Request::Execute { .. } => &[Code::CHANGED, Code::CONTENT],
            _ => &[Code::CONTENT],
        };
        for code in all {
            // A body that every reading operation understands, save for a Discover.
            let format = match request {
                Request::Discover { .. } => 40,
                _ => 110,
            };
            let body: &[u8] = if format == 40 { b"" } else { b"[]" };
            match answered(&request, code, format, body) {
                Ok(response) => {
                    assert!(good.contains(&code), "{request:?} {code}");
                    assert_eq!(response.code, code);
                }
                Err(RequestError::Protocol(_)) => {
                    assert!(!good.contains(&code), "{request:?} {code}");
                }
                Err(other) => panic!("{request:?} {code}: {other:?}"),
            }
        }
        for code in [Code::EMPTY, Code::GET, Code::new(3, 3), Code::CSM] {
            assert!(matches!(
                answered(&request, code, None, b""),
                Err(RequestError::Protocol(_))
            ));
        }
    }
}

#[test]
fn a_refusal_keeps_its_diagnostic_when_it_is_text() {
    let long = "é".repeat(DIAGNOSTIC_MAX);
    for (format, body, diagnostic) in [
        (None, &b"no such resource"[..], Some("no such resource")),
        (Some(0), b"no", Some("no")),
        (Some(NO_FORMAT), b"no", Some("no")),
        (None, b"", None),
        (None, b"\xff\xfe", None),
        (None, b"a\x1b[31m\r\nb", Some("a [31m  b")),
        (Some(60), b"no", None),
        (None, long.as_bytes(), Some(&long[..DIAGNOSTIC_MAX])),
    ] {
        for code in [
            Code::NOT_FOUND,
            Code::INTERNAL_SERVER_ERROR,
            Code::new(4, 31),
        ] {
            assert_eq!(
                answered(&read("/3/0/9"), code, format, body),
                Err(RequestError::Refused {
                    code,
                    diagnostic: diagnostic.map(str::to_owned)
                })
            );
        }
    }
}

#[test]
fn links_are_read_leniently_and_nothing_else_is() {
    let links = |format: Option<u16>, body: &[u8]| {
        let response = answered(&discover(), Code::CONTENT, format, body)?;
        match response.content {
            Content::Links(links) => Ok(links
                .iter()
                .map(|link| link.path.to_string())
                .collect::<Vec<_>>()),
            other => panic!("{other:?}"),
        }
    };
    let body = b"</3>;pmin=10,</3/0>;pmax=60,</3/0/1>,</3/0/7>;dim=2;gt=50;lt=42.2";
    let expected = ["/3", "/3/0", "/3/0/1", "/3/0/7"];
    for format in [Some(40), None, Some(0), Some(NO_FORMAT), Some(11542)] {
        assert_eq!(links(format, body).unwrap(), expected, "{format:?}");
    }
    assert_eq!(links(None, b"").unwrap(), [""; 0]);
    assert_eq!(links(Some(40), b"</16/0/0/>").unwrap(), ["/16/0/0"]);
    let refusal = |format, body| match links(format, body) {
        Err(RequestError::Protocol(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refusal(Some(11542), b"\xc1\x09\x5f"),
        "the device answered a Discover with tlv (11542) instead of links"
    );
    assert!(refusal(Some(50), b"{}").contains("Content-Format 50"));
    assert!(refusal(None, b"95").contains("without Content-Format"));
    assert!(refusal(Some(40), b"</3").contains("cannot be read"));
}

#[test]
fn a_create_says_where() {
    let created = |instance, location: &[&str], prefix: &str| {
        let objects = ObjectList {
            alternate_path: prefix.to_owned(),
            ..objects(&[])
        };
        let answered = Answered {
            location,
            ..Answered::with(Code::CREATED, None, b"")
        };
        answered
            .to(&create(instance), Version::V1_1, &objects)
            .unwrap()
            .content
    };
    let at = |instance| Content::Created(Path::instance(16, instance));
    assert_eq!(created(None, &["16", "3"], ""), at(3));
    assert_eq!(created(Some(1), &[], ""), at(1));
    assert_eq!(created(None, &[], ""), Content::None);
    assert_eq!(created(None, &["lwm2m", "16", "3"], "/lwm2m"), at(3));
    assert_eq!(created(None, &["16", "3"], "/lwm2m"), at(3));
    for nonsense in [
        &["17", "3"][..],
        &["rd", "x"],
        &["16"],
        &["16", "03"],
        &["16", "3", "1"],
    ] {
        assert_eq!(created(None, nonsense, ""), Content::None);
        assert_eq!(created(Some(1), nonsense, ""), at(1));
    }
}

#[test]
fn a_composite_answer_holds_what_was_asked_for() {
    let body = br#"[{"n":"/3/0/9","v":95},{"n":"/1/0/1","v":300}]"#;
    let both = [
        ("/3/0/9".to_owned(), Value::Integer(95)),
        ("/1/0/1".to_owned(), Value::Integer(300)),
    ];
    for format in [Some(110), None] {
        let asked = fetch(&["/3/0", "/1/0/1"]);
        assert_eq!(
            values_of(answered(&asked, Code::CONTENT, format, body)),
            both
        );
        let everything = fetch(&["/"]);
        assert_eq!(
            values_of(answered(&everything, Code::CONTENT, format, body)),
            both
        );
    }
    let narrow = answered(&fetch(&["/3/0"]), Code::CONTENT, 110, body);
    assert!(matches!(narrow, Err(RequestError::Protocol(message)) if message.contains("/1/0/1")));
    assert_eq!(
        values_of(answered(&fetch(&["/3"]), Code::CONTENT, 112, &[0x80])),
        []
    );
}

#[test]
fn names_may_carry_the_alternate_path() {
    let objects = ObjectList {
        alternate_path: "/lwm2m".to_owned(),
        ..objects(&[])
    };
    for name in ["/lwm2m/3/0/9", "/3/0/9"] {
        let body = format!(r#"[{{"n":"{name}","v":95}}]"#);
        let answered = Answered::with(Code::CONTENT, 110, body.as_bytes());
        let values = values_of(answered.to(&fetch(&["/3/0"]), Version::V1_1, &objects));
        assert_eq!(values, [("/3/0/9".to_owned(), Value::Integer(95))]);
    }
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        operation in 0..operations().len(),
        code in any::<u8>(),
        format in prop_oneof![
            Just(None),
            prop::sample::select(ContentFormat::ALL.to_vec())
                .prop_map(|format| Some(format.number())),
            any::<Option<u16>>(),
        ],
        body in prop::collection::vec(any::<u8>(), 0..64),
        links in "[<>/;=,\"0-9a-z ]{0,40}",
        location in prop::collection::vec("[0-9a-z/]{0,6}", 0..5),
        as_text in any::<bool>(),
    ) {
        let location: Vec<&str> = location.iter().map(String::as_str).collect();
        let request = operations().swap_remove(operation);
        let objects = objects(&[]);
        for version in [Version::V1_0, Version::V1_2] {
            let answered = Answered {
                location: &location,
                ..Answered::with(
                    Code(code),
                    format,
                    if as_text { links.as_bytes() } else { &body },
                )
            };
            if let Ok(response) = answered.to(&request, version, &objects) {
                prop_assert!(Code(code).is_success());
                prop_assert_eq!(response.code, Code(code));
            }
        }
    }
}
