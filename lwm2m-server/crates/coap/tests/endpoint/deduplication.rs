//! Duplicates and odd answers (RFC 7252 §4.5, coap.md §2.3).

use lwm2m_coap::{Code, Failure, Message, MessageType, OptionNumber, Response};

use crate::pair::{Draft, Network, Pair, Seen, Side, built, content, get};

use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

fn plain(draft: Draft) -> Draft {
    draft.option(OptionNumber::URI_PATH, b"rd")
}

fn empty(message_type: MessageType, message_id: u16) -> Vec<u8> {
    built(message_type, Code::EMPTY, message_id, b"", |draft| draft)
}

#[test]
fn a_duplicate_gets_the_same_answer_and_is_not_carried_out() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(&b"value"[..]));
    let request = built(Confirmable, Code::POST, 7, b"t", plain);
    for _ in 0..3 {
        pair.inject(Side::Device, &request);
        pair.flush();
    }
    assert_eq!(pair.take_requests(Side::Device).len(), 1);
    assert_eq!(pair.device.sent.len(), 3);
    assert!(
        pair.device
            .sent
            .iter()
            .all(|sent| sent.1 == pair.device.sent[0].1)
    );
    assert_eq!(pair.device.endpoint.statistics().duplicates, 2);
    pair.drive_s(246);
    pair.inject(Side::Device, &request);
    assert_eq!(pair.take_requests(Side::Device).len(), 0);
    pair.drive_s(2);
    pair.inject(Side::Device, &request);
    assert_eq!(pair.take_requests(Side::Device).len(), 1);
}

#[test]
fn a_duplicate_of_a_non_confirmable_request_is_dropped_for_145_seconds() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(&b"value"[..]));
    let request = built(NonConfirmable, Code::POST, 7, b"t", plain);
    pair.inject(Side::Device, &request);
    pair.inject(Side::Device, &request);
    pair.drive_s(144);
    pair.inject(Side::Device, &request);
    pair.flush();
    assert_eq!(
        pair.headers(Side::Device),
        [(NonConfirmable, Code::CONTENT)]
    );
    pair.drive_s(2);
    pair.inject(Side::Device, &request);
    assert_eq!(pair.take_requests(Side::Device).len(), 2);
}

#[test]
fn a_duplicate_of_what_is_being_carried_out_gets_an_empty_ack() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = built(Confirmable, Code::POST, 7, b"t", plain);
    pair.inject(Side::Device, &request);
    pair.inject(Side::Device, &request);
    pair.flush();
    assert_eq!(pair.headers(Side::Device), [(Acknowledgement, Code::EMPTY)]);
    // The piggyback window has nothing to send any more.
    pair.drive_s(5);
    assert_eq!(pair.device.sent.len(), 1);
    let asked = pair.take_requests(Side::Device).remove(0);
    let (now, response) = (pair.now, Response::new(Code::CHANGED));
    pair.device.endpoint.respond(now, asked.handle, response);
    pair.flush();
    assert_eq!(pair.headers(Side::Device)[1], (Confirmable, Code::CHANGED));
    let answer = pair.device.sent[1].1.clone();
    let answer = Message::parse(&answer).expect("ours");
    assert_eq!(answer.token(), b"t");
    assert_ne!(answer.message_id(), 7);
}

#[test]
fn the_same_id_with_another_content_is_another_message() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(&b"value"[..]));
    for token in [b"a", b"b"] {
        pair.inject(
            Side::Device,
            &built(Confirmable, Code::POST, 7, token, plain),
        );
    }
    let code = built(Confirmable, Code::PUT, 7, b"b", plain);
    pair.inject(Side::Device, &code);
    let payload = built(Confirmable, Code::PUT, 7, b"b", |b| {
        plain(b).payload_of(b"x")
    });
    pair.inject(Side::Device, &payload);
    pair.inject(Side::Device, &payload);
    assert_eq!(pair.take_requests(Side::Device).len(), 4);
}

#[test]
fn a_second_answer_is_dropped() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.inject(Side::Device, &built(Confirmable, Code::GET, 7, b"t", plain));
    let handle = pair.take_requests(Side::Device).remove(0).handle;
    for code in [Code::CONTENT, Code::NOT_FOUND] {
        let now = pair.now;
        pair.device
            .endpoint
            .respond(now, handle, Response::new(code));
    }
    pair.flush();
    assert_eq!(
        pair.headers(Side::Device),
        [(Acknowledgement, Code::CONTENT)]
    );
}

#[test]
fn a_separate_response_may_come_before_the_ack() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = pair.request(get("3"));
    let sent = pair.server.sent[0].1.clone();
    let asked = Message::parse(&sent).expect("ours");
    let response = built(Confirmable, Code::CONTENT, 99, asked.token(), |b| b);
    for _ in 0..3 {
        pair.inject(Side::Server, &response);
        pair.flush();
    }
    // Delivered once, acknowledged every time.
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Response { request: of, .. }] if of == request
    ));
    let acks = [(Acknowledgement, Code::EMPTY); 3];
    assert_eq!(pair.headers(Side::Server)[1..], acks);
    // No retransmission, and the late ACK does no harm.
    pair.inject(Side::Server, &empty(Acknowledgement, asked.message_id()));
    pair.drive_s(60);
    assert_eq!((pair.server.sent.len(), pair.server.seen.len()), (4, 1));
}

#[test]
fn an_ack_without_response_is_waited_for_247_seconds() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = pair.request(get("3"));
    let sent = pair.server.sent[0].1.clone();
    let message_id = Message::parse(&sent).expect("ours").message_id();
    pair.inject(Side::Server, &empty(Acknowledgement, message_id));
    pair.drive_s(246);
    assert_eq!(pair.server.seen, []);
    pair.drive_s(1);
    assert_eq!(
        pair.server.seen,
        [Seen::Failed(request, Failure::NoResponse)]
    );
    assert_eq!(pair.server.sent.len(), 1);
}

#[test]
fn a_wrong_token_in_an_ack_is_an_ack_alone() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = pair.request(get("3"));
    let sent = pair.server.sent[0].1.clone();
    let asked = Message::parse(&sent).expect("ours");
    let wrong = built(
        Acknowledgement,
        Code::CONTENT,
        asked.message_id(),
        b"no",
        |b| b,
    );
    pair.inject(Side::Server, &wrong);
    assert!(matches!(pair.server.seen[..], [Seen::Refused(_)]));
    pair.server.seen.clear();
    // No retransmission; the right token is still welcome.
    pair.drive_s(60);
    assert_eq!(pair.server.sent.len(), 1);
    let right = built(NonConfirmable, Code::CONTENT, 5, asked.token(), |b| b);
    pair.inject(Side::Server, &right);
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Response { request: of, .. }] if of == request
    ));
}

#[test]
fn responses_to_nothing_are_reset_or_dropped() {
    let mut pair = Pair::new(1, Network::CALM);
    for (message_type, observe, reaction) in [
        (Confirmable, false, true),
        (Confirmable, true, true),
        (NonConfirmable, false, false),
        (NonConfirmable, true, true),
        (Acknowledgement, false, false),
    ] {
        let response = built(message_type, Code::CONTENT, 5, b"gone", |builder| {
            if observe {
                builder.uint(OptionNumber::OBSERVE, 7)
            } else {
                builder
            }
        });
        pair.server.sent.clear();
        pair.inject(Side::Server, &response);
        pair.flush();
        let expected = [(Reset, Code::EMPTY)];
        let expected = if reaction { &expected[..] } else { &[] };
        assert_eq!(pair.headers(Side::Server), expected);
    }
    assert!(
        pair.server
            .seen
            .iter()
            .all(|seen| matches!(seen, Seen::Refused(_)))
    );
    assert_eq!(
        pair.server.endpoint.peer_status(Side::Device),
        Default::default()
    );
}

#[test]
fn acks_and_resets_of_nothing_change_nothing() {
    let mut pair = Pair::new(1, Network::CALM);
    let request = pair.request(get("3"));
    let sent = pair.server.sent[0].1.clone();
    let other = Message::parse(&sent).expect("ours").message_id() ^ 1;
    for message_type in [Acknowledgement, Reset] {
        pair.inject(Side::Server, &empty(message_type, other));
    }
    assert_eq!(pair.server.seen, []);
    assert_eq!(
        pair.server.endpoint.peer_status(Side::Device).outstanding,
        1
    );
    pair.inject(Side::Server, &empty(Reset, other ^ 1));
    assert_eq!(pair.server.seen, [Seen::Failed(request, Failure::Reset)]);
}

#[test]
fn pings_are_answered() {
    let mut pair = Pair::new(1, Network::CALM);
    let now = pair.now;
    pair.server.endpoint.ping(now, Side::Device);
    pair.drive_s(1);
    assert_eq!(pair.server.seen, [Seen::Pong]);
    assert_eq!(pair.device.seen, [Seen::Ping]);
    assert_eq!(pair.headers(Side::Device), [(Reset, Code::EMPTY)]);
    pair.drive();
    assert_eq!(pair.server.sent.len(), 1);
}

#[test]
fn a_response_with_an_unknown_critical_option_fails() {
    let unknown = |draft: Draft| draft.option(OptionNumber(2051), b"zz");
    for message_type in [Confirmable, NonConfirmable, Acknowledgement] {
        let mut pair = Pair::new(1, Network::CALM);
        let request = pair.request(get("3"));
        let sent = pair.server.sent[0].1.clone();
        let asked = Message::parse(&sent).expect("ours");
        let (id, token) = (asked.message_id(), asked.token());
        let response = built(message_type, Code::CONTENT, id, token, unknown);
        pair.inject(Side::Server, &response);
        pair.flush();
        let failed = Seen::Failed(request, Failure::BadOption);
        assert_eq!(pair.server.seen, [failed]);
        let reset = (message_type == Confirmable).then_some((Reset, Code::EMPTY));
        assert_eq!(pair.headers(Side::Server).get(1).copied(), reset);
    }
}

#[test]
fn no_response_is_honoured() {
    for (message_type, bits, code, expected) in [
        (
            Confirmable,
            26,
            Code::CONTENT,
            Some((Acknowledgement, Code::EMPTY)),
        ),
        (
            Confirmable,
            2,
            Code::CONTENT,
            Some((Acknowledgement, Code::EMPTY)),
        ),
        (
            Confirmable,
            2,
            Code::NOT_FOUND,
            Some((Acknowledgement, Code::NOT_FOUND)),
        ),
        (NonConfirmable, 2, Code::CONTENT, None),
        (
            NonConfirmable,
            8,
            Code::CONTENT,
            Some((NonConfirmable, Code::CONTENT)),
        ),
        (NonConfirmable, 16, Code::INTERNAL_SERVER_ERROR, None),
        (
            NonConfirmable,
            0,
            Code::CONTENT,
            Some((NonConfirmable, Code::CONTENT)),
        ),
    ] {
        let mut pair = Pair::new(1, Network::CALM);
        pair.device.service = Some(Box::new(move |_| Some(Response::new(code))));
        let request = built(message_type, Code::POST, 7, b"t", |builder| {
            plain(builder).uint(OptionNumber::NO_RESPONSE, bits)
        });
        pair.inject(Side::Device, &request);
        pair.drive_s(10);
        let sent = pair.headers(Side::Device);
        assert_eq!(
            sent,
            expected.into_iter().collect::<Vec<_>>(),
            "{bits} {code}"
        );
    }
}
