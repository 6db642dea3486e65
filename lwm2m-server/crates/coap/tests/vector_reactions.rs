//! The malformed and restricted messages of the vectors, and what a receiver does with them.

use std::time::Instant;

use lwm2m_coap::{Code, Config, Endpoint, Event, Message, MessageType};
use serde_json::Value;

/// What an endpoint does with a datagram.
#[derive(Debug, PartialEq)]
enum Reaction {
    /// Nothing is sent, and the application is asked nothing.
    Drop,
    /// RST with the same message id.
    Reset,
    /// A response of the engine.
    Refuse(Code),
    /// The application gets the request.
    Deliver,
}

#[test]
fn reactions_are_those_of_the_vectors() {
    let vectors: Value =
        serde_json::from_str(include_str!("coap_vectors.json")).expect("the vectors are json");
    let mut count = 0;
    for vector in vectors["vectors"].as_array().expect("a list") {
        let (Some(stated), Some("udp")) =
            (vector["reaction"].as_str(), vector["transport"].as_str())
        else {
            continue;
        };
        let name = vector["name"].as_str().expect("a name");
        let datagram = bytes(vector["hex"].as_str().expect("hex"));
        assert_eq!(react(&datagram), expected(name, stated), "{name}: {stated}");
        // The same as NON: never a reset.
        if datagram.first().is_some_and(|first| first & 0x30 == 0) {
            let mut other = datagram.clone();
            other[0] |= 0x10;
            assert_ne!(react(&other), Reaction::Reset, "{name} as non");
        }
        // The same as ACK or RST: never anything.
        for message_type in [0x20, 0x30] {
            let mut other = datagram.clone();
            if let Some(first) = other.first_mut() {
                *first = (*first & !0x30) | message_type;
                assert_eq!(react(&other), Reaction::Drop, "{name} as ack or reset");
            }
        }
        count += 1;
    }
    assert_eq!(count, 22, "vectors with a reaction on datagrams");
}

#[test]
fn restricted_requests_without_reaction_in_the_vectors() {
    // Unknown critical option 2051, and the elective 2050.
    let critical = bytes("4101101badb133e206eb7a7a");
    assert_eq!(react(&critical), Reaction::Refuse(Code::BAD_OPTION));
    let mut non = critical.clone();
    non[0] |= 0x10;
    assert_eq!(react(&non), Reaction::Drop);
    assert_eq!(react(&bytes("4101101aacb133e206ea7a7a")), Reaction::Deliver);
    // Proxy-Uri and Proxy-Scheme.
    for proxy in ["40010001d41674657374", "40010001d41a636f6170"] {
        let reaction = react(&bytes(proxy));
        assert_eq!(reaction, Reaction::Refuse(Code::PROXYING_NOT_SUPPORTED));
    }
    // A path that is no text, an unknown method, a token of 300 bytes.
    assert_eq!(
        react(&bytes("40010001b1ff")),
        Reaction::Refuse(Code::BAD_REQUEST)
    );
    assert_eq!(
        react(&bytes("401f0001")),
        Reaction::Refuse(Code::METHOD_NOT_ALLOWED)
    );
    let long = [&bytes("4e011017001f")[..], &[7; 300]].concat();
    assert_eq!(react(&long), Reaction::Reset);
    // Block1 with SZX 7.
    assert_eq!(
        react(&bytes("40030001d10e0f")),
        Reaction::Refuse(Code::BAD_REQUEST)
    );
}

/// The reaction that the words of a vector state.
fn expected(name: &str, stated: &str) -> Reaction {
    match name {
        // RFC 8974 is implemented; Observe is elective.
        "tkl-9-without-rfc8974" | "bad-observe-4-bytes" => return Reaction::Deliver,
        _ => {}
    }
    if stated.starts_with("CON: RST") {
        Reaction::Reset
    } else if stated.contains("4.02") {
        Reaction::Refuse(Code::BAD_OPTION)
    } else if stated.contains("4.00") {
        Reaction::Refuse(Code::BAD_REQUEST)
    } else if stated.contains("drop") {
        Reaction::Drop
    } else {
        panic!("{name}: what is {stated}?")
    }
}

fn react(datagram: &[u8]) -> Reaction {
    let mut endpoint = Endpoint::<u8>::new(Config::default(), 1);
    let delivered = match endpoint.receive(Instant::now(), 1, datagram) {
        Some(Event::Request(_)) => true,
        Some(Event::Refused { reason, .. }) => {
            assert!(!reason.is_empty());
            false
        }
        None => false,
        Some(other) => panic!("{other:?}"),
    };
    let sent = endpoint.poll_transmit().map(|transmit| transmit.datagram);
    assert_eq!(endpoint.poll_transmit(), None);
    match sent {
        None if delivered => Reaction::Deliver,
        None => Reaction::Drop,
        Some(sent) => {
            let message = Message::parse(&sent).expect("ours");
            if message.message_type() != MessageType::NonConfirmable {
                assert_eq!(sent[2..4], datagram[2..4]);
            }
            match message.message_type() {
                MessageType::Reset => Reaction::Reset,
                _ => Reaction::Refuse(message.code()),
            }
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ascii");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect()
}
