//! Retransmission, acknowledgement and deduplication (RFC 7252 §4).

use std::time::Duration;

use lwm2m_coap::{Code, Config, Failure, MessageType, Response, TransmissionParameters};

use crate::pair::{Network, Pair, Seen, Side, content, get};

const DEAF: Network = Network {
    loss: 1.0,
    ..Network::CALM
};

#[test]
fn a_request_is_answered_piggybacked() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(&b"21.5"[..]));
    let request = pair
        .server
        .endpoint
        .request(pair.now, Side::Device, get("3303"))
        .expect("taken");
    pair.drive();
    assert_eq!(
        pair.server.seen,
        [Seen::Response {
            request,
            code: Code::CONTENT,
            body: b"21.5".to_vec(),
            observing: false
        }]
    );
    assert_eq!(pair.device.sent.len(), 1);
    assert_eq!(pair.server.sent.len(), 1);
}

#[test]
fn retransmits_at_2_6_14_30_and_gives_up_at_62() {
    let mut config = Config::default();
    config.transmission = TransmissionParameters {
        ack_random_factor: 1.0,
        ..config.transmission
    };
    let mut pair = Pair::with(1, DEAF, config, Config::default());
    let request = pair
        .server
        .endpoint
        .request(pair.now, Side::Device, get("3"))
        .expect("taken");
    pair.drive_s(61);
    assert_eq!(pair.server.seen, []);
    assert_eq!(
        pair.sent_ms(Side::Server),
        [0, 2_000, 6_000, 14_000, 30_000]
    );
    pair.drive_s(1);
    assert_eq!(
        pair.server.seen,
        [Seen::Failed(request, Failure::NotAcknowledged)]
    );
    let first = pair.server.sent[0].1.clone();
    assert!(pair.server.sent.iter().all(|(_, bytes)| *bytes == first));
}

#[test]
fn the_first_timeout_is_random_between_2_and_3_seconds() {
    let mut first = Vec::new();
    for seed in 0..200 {
        let mut pair = Pair::new(seed, DEAF);
        pair.server
            .endpoint
            .request(pair.now, Side::Device, get("3"))
            .expect("taken");
        pair.drive();
        let times = pair.sent_ms(Side::Server);
        let initial = times[1];
        assert!((2_000..=3_000).contains(&initial), "seed {seed}");
        let multiples = times.iter().map(|at| at / initial).collect::<Vec<_>>();
        assert_eq!(multiples, [0, 1, 3, 7, 15], "seed {seed}");
        first.push(initial);
    }
    assert!(first.iter().any(|initial| *initial < 2_200));
    assert!(first.iter().any(|initial| *initial > 2_800));
}

#[test]
fn a_late_answer_comes_apart() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = pair
        .server
        .endpoint
        .request(pair.now, Side::Device, get("3"))
        .expect("taken");
    pair.drive_s(20);
    // One empty ACK after the piggyback window, no retransmission after it.
    assert_eq!(pair.sent_ms(Side::Device), [1_010]);
    assert_eq!(pair.sent_ms(Side::Server), [0]);
    let asked = pair.take_requests(Side::Device).remove(0);
    pair.device
        .endpoint
        .respond(pair.now, asked.handle, Response::new(Code::CONTENT));
    pair.drive_for(Duration::from_secs(5));
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Response { request: of, code: Code::CONTENT, .. }] if of == request
    ));
    assert_eq!(
        pair.headers(Side::Server),
        [
            (MessageType::Confirmable, Code::GET),
            (MessageType::Acknowledgement, Code::EMPTY)
        ]
    );
    assert_eq!(
        pair.headers(Side::Device),
        [
            (MessageType::Acknowledgement, Code::EMPTY),
            (MessageType::Confirmable, Code::CONTENT)
        ]
    );
}
