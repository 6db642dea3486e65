//! What a server may demand of a client, and what it may send.

use std::time::Duration;

use lwm2m_coap::{Code, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_core::codec;
use lwm2m_core::{ContentFormat, Path, Record, Version};
use lwm2m_device::objects::{DeviceObject, Firmware, Temperature, portfolio, test_object};
use lwm2m_device::{Device, DeviceBuilder, Quirks, Store};
use proptest::prelude::*;

use crate::pair::{Pair, SERVER, to, with_body};

fn builder() -> DeviceBuilder {
    Device::builder("dev")
        .version(Version::V1_2)
        .lifetime_s(0)
        .object(DeviceObject::new(Version::V1_2, "model", "serial"))
        .object(Firmware::new("1.0.0"))
        .object(portfolio())
        .object(Temperature::new(2))
        .object(test_object())
}

#[test]
fn large_answers_come_in_blocks() {
    let mut pair = Pair::registered(Device::builder("dev").object(Temperature::new(200)));
    let reply = pair.get("/3303", Some(ContentFormat::SenmlCbor));
    assert!(reply.body.len() > 8 * 1024, "{}", reply.body.len());
    let scope = Path::object(3303).into();
    let objects = pair.client.objects();
    let decoded = codec::decode(ContentFormat::SenmlCbor, scope, &reply.body, objects).unwrap();
    assert_eq!((decoded.records.len(), decoded.faults.len()), (200 * 6, 0));
}

#[test]
fn object_instances_are_bounded() {
    let count = Store::INSTANCES_MAX as u16 - 1;
    let mut pair = Pair::registered(Device::builder("dev").object(Temperature::new(count)));
    assert_eq!(
        pair.post("/3303", ContentFormat::Tlv, []).code,
        Code::CREATED
    );
    assert_eq!(
        pair.post("/3303", ContentFormat::Tlv, []).code,
        Code::BAD_REQUEST
    );
}

#[test]
fn resource_instances_are_bounded() {
    let mut pair = Pair::registered(builder());
    let mut write = |count: u16| {
        let records: Vec<Record<'_>> = (0..count)
            .map(|id| Record::new(Path::resource_instance(3442, 0, 1120, id), 1))
            .collect();
        let (format, scope) = (ContentFormat::Tlv, Path::resource(3442, 0, 1120).into());
        let mut body = Vec::new();
        codec::encode(format, scope, &records, pair.client.objects(), &mut body).unwrap();
        pair.put("/3442/0/1120", format, body)
    };
    assert_eq!(write(1024), Code::CHANGED);
    assert_eq!(write(1025), Code::BAD_REQUEST);
}

#[test]
fn paths_of_a_composite_request_are_bounded() {
    let mut pair = Pair::registered(builder());
    let mut fetch = |count: u16| {
        let paths: Vec<Path> = (0..count).map(|id| Path::resource(3, 0, id)).collect();
        let mut body = Vec::new();
        codec::encode_paths(ContentFormat::SenmlCbor, "", &paths, &mut body).unwrap();
        pair.ask(with_body(
            to(Code::FETCH, "/"),
            ContentFormat::SenmlCbor,
            body,
        ))
        .code
    };
    assert_eq!(fetch(256), Code::CONTENT);
    assert_eq!(fetch(257), Code::BAD_REQUEST);
}

#[test]
fn delayed_answers_are_bounded() {
    let quirks = {
        let mut quirks = Quirks::default();
        quirks.answer_delay = Duration::from_secs(30);
        quirks
    };
    let builder = builder()
        .quirks(quirks)
        .configure(|config| config.delayed_max = 2);
    let mut pair = Pair::registered(builder);
    let server = SERVER.parse().unwrap();
    for message_id in 0..3 {
        let mut ask = Vec::new();
        MessageBuilder::new(
            &mut ask,
            MessageType::NonConfirmable,
            Code::GET,
            message_id,
            &Token::EMPTY,
        )
        .option(OptionNumber::URI_PATH, b"3")
        .finish();
        pair.client.receive(pair.now, server, &ask);
        let answered = pair.client.poll_transmit().is_some();
        assert_eq!(answered, message_id == 2, "the third goes out at once");
    }
}

#[test]
fn events_that_nobody_reads_are_bounded() {
    let builder = builder().configure(|config| config.events_max = 3);
    let mut client = builder.server(SERVER.parse().unwrap()).into_client(1);
    let now = std::time::Instant::now();
    for _ in 0..4 {
        client.reboot(now);
    }
    assert_eq!(std::iter::from_fn(|| client.poll_event()).count(), 3);
}

#[test]
fn strangers_are_not_heard() {
    let mut pair = Pair::registered(builder());
    let mut ask = Vec::new();
    let message_type = MessageType::Confirmable;
    MessageBuilder::new(&mut ask, message_type, Code::GET, 1, &Token::EMPTY)
        .option(OptionNumber::URI_PATH, b"3")
        .finish();
    let stranger = "192.0.2.99:5683".parse().unwrap();
    pair.client.receive(pair.now, stranger, &ask);
    assert_eq!(pair.client.poll_transmit(), None);
}

/// A request with any path, query, formats and body.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let segment = prop_oneof![
        prop::sample::select(vec![
            "1", "3", "5", "16", "3303", "3442", "0", "8", "1120", ""
        ]),
        prop::sample::select(vec!["65535", "99999", "-1", "rd", "00"]),
    ];
    let item = prop::sample::select(vec![
        "pmin=1", "pmax", "gt=5", "lt=3", "st=-1", "depth=2", "edge=1", "con=1", "hqmax=1", "x",
    ]);
    let format = prop::sample::select(vec![
        0u32, 40, 42, 60, 110, 112, 320, 11542, 11543, 11544, 9,
    ]);
    (
        1u8..8,
        prop::collection::vec(segment, 0..6),
        prop::collection::vec(item, 0..3),
        prop::option::of(format.clone()),
        prop::option::of(format),
        prop::option::of(0u32..3),
        prop::collection::vec(any::<u8>(), 0..40),
        any::<u16>(),
    )
        .prop_map(
            |(code, path, query, content_format, accept, observe, body, id)| {
                let mut out = Vec::new();
                let token = Token::new(&id.to_be_bytes()).unwrap();
                let message_type = MessageType::Confirmable;
                let mut builder =
                    MessageBuilder::new(&mut out, message_type, Code(code), id, &token);
                if let Some(observe) = observe {
                    builder = builder.uint(OptionNumber::OBSERVE, observe);
                }
                for segment in path {
                    builder = builder.option(OptionNumber::URI_PATH, segment.as_bytes());
                }
                if let Some(format) = content_format {
                    builder = builder.uint(OptionNumber::CONTENT_FORMAT, format);
                }
                for item in query {
                    builder = builder.option(OptionNumber::URI_QUERY, item.as_bytes());
                }
                if let Some(accept) = accept {
                    builder = builder.uint(OptionNumber::ACCEPT, accept);
                }
                builder.payload(&body);
                out
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_request_gets_one_answer(requests in prop::collection::vec(any_request(), 1..60)) {
        let mut pair = Pair::registered(builder());
        let server = SERVER.parse().unwrap();
        let mut ids = std::collections::HashSet::new();
        for request in requests {
            let id = u16::from_be_bytes([request[2], request[3]]);
            if !ids.insert(id) {
                continue;
            }
            pair.client.receive(pair.now, server, &request);
            let answers = std::iter::from_fn(|| pair.client.poll_transmit())
                .filter(|transmit| transmit.datagram[2..4] == request[2..4])
                .count();
            prop_assert_eq!(answers, 1, "{:?}", request);
        }
        pair.advance(100);
    }

    #[test]
    fn any_bytes_are_survived(datagrams in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..60), 1..30)) {
        let mut pair = Pair::registered(builder());
        let server = SERVER.parse().unwrap();
        for datagram in datagrams {
            pair.client.receive(pair.now, server, &datagram);
            while pair.client.poll_transmit().is_some() {}
        }
        prop_assert!(pair.client.is_registered());
    }
}
