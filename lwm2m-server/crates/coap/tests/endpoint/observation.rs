//! Observing, from both ends (RFC 7641, coap.md §4).

use bytes::Bytes;
use lwm2m_coap::{
    Block, BlockSize, Code, Config, Message, MessageType, OptionNumber, RequestId, Response,
    ResponseHandle, Token,
};

use crate::pair::{Network, Pair, Seen, Side, built, get};

use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

/// The server observes `/3303`; the device holds the observer's handle.
fn observing(pair: &mut Pair) -> (RequestId, ResponseHandle<Side>) {
    let mut request = get("3303");
    request.observe = Some(true);
    let request = pair.request(request);
    pair.drive_s(1);
    let asked = pair.take_requests(Side::Device).remove(0);
    assert_eq!(asked.observe, Some(0));
    let response = Response::new(Code::CONTENT)
        .uint(OptionNumber::OBSERVE, 0)
        .payload(&b"first"[..]);
    let now = pair.now;
    pair.device.endpoint.respond(now, asked.handle, response);
    pair.drive_s(1);
    let first = Seen::Response {
        request,
        code: Code::CONTENT,
        body: b"first".to_vec(),
        observing: true,
    };
    assert_eq!(std::mem::take(&mut pair.server.seen), [first]);
    assert_eq!(status(pair), (0, 1));
    (request, asked.handle)
}

/// Outstanding requests and observations of the server.
fn status(pair: &Pair) -> (usize, usize) {
    let status = pair.server.endpoint.peer_status(Side::Device);
    (status.outstanding, status.observations)
}

fn notify(pair: &mut Pair, handle: ResponseHandle<Side>, confirmable: bool, body: &[u8]) {
    let response = Response::new(Code::CONTENT).payload(Bytes::copy_from_slice(body));
    let now = pair.now;
    let endpoint = &mut pair.device.endpoint;
    endpoint
        .notify(now, handle, confirmable, response)
        .expect("sent");
    pair.drive_s(1);
}

fn notification(request: RequestId, body: &[u8], observing: bool) -> Seen {
    Seen::Notification {
        request,
        code: Code::CONTENT,
        body: body.to_vec(),
        observing,
    }
}

/// A notification written by hand.
fn by_hand(message_type: MessageType, id: u16, token: Token, sequence: u32) -> Vec<u8> {
    built(message_type, Code::CONTENT, id, token.as_bytes(), |b| {
        b.uint(OptionNumber::OBSERVE, sequence)
            .payload_of(&sequence.to_be_bytes())
    })
}

#[test]
fn values_arrive_and_confirmable_ones_are_acknowledged_at_once() {
    let mut pair = Pair::new(1, Network::CALM);
    let (request, handle) = observing(&mut pair);
    let sent = pair.server.sent.len();
    for (body, confirmable) in [(b"a", true), (b"b", false), (b"c", true)] {
        notify(&mut pair, handle, confirmable, body);
    }
    let bodies = [b"a", b"b", b"c"].map(|body| notification(request, body, true));
    assert_eq!(pair.server.seen, bodies);
    let acks = [(Acknowledgement, Code::EMPTY); 2];
    assert_eq!(pair.headers(Side::Server)[sent..], acks);
    pair.drive();
    assert_eq!((status(&pair), pair.device.seen.len()), ((0, 1), 0));
}

#[test]
fn older_values_are_acknowledged_and_dropped() {
    let mut pair = Pair::new(1, Network::CALM);
    let (request, handle) = observing(&mut pair);
    let token = handle.token();
    let sent = pair.server.sent.len();
    for (id, sequence) in [(1, 10), (2, 9), (3, 10), (4, 11)] {
        pair.inject(Side::Server, &by_hand(Confirmable, id, token, sequence));
    }
    pair.flush();
    assert_eq!(pair.server.sent.len(), sent + 4);
    let fresh = [10_u32, 11].map(|n| notification(request, &n.to_be_bytes(), true));
    assert_eq!(std::mem::take(&mut pair.server.seen), fresh);
    // 128 seconds later any number is newer.
    pair.drive_s(129);
    pair.inject(Side::Server, &by_hand(Confirmable, 5, token, 3));
    assert_eq!(
        pair.server.seen,
        [notification(request, &3_u32.to_be_bytes(), true)]
    );
}

#[test]
fn an_error_or_a_value_without_sequence_ends_it() {
    for code in [Code::NOT_FOUND, Code::CONTENT] {
        let mut pair = Pair::new(1, Network::CALM);
        let (request, handle) = observing(&mut pair);
        let token = handle.token();
        let last = built(Confirmable, code, 9, token.as_bytes(), |b| b);
        pair.inject(Side::Server, &last);
        pair.inject(Side::Server, &by_hand(Confirmable, 10, token, 30));
        pair.flush();
        assert!(matches!(
            pair.server.seen[..],
            [
                Seen::Notification { request: of, observing: false, .. },
                Seen::Refused(_)
            ] if of == request
        ));
        assert_eq!(status(&pair), (0, 0));
        assert!(!format!("{:?}", pair.server.endpoint).contains("Template {"));
        let reactions = pair.headers(Side::Server);
        let reactions = &reactions[reactions.len() - 2..];
        assert_eq!(
            reactions,
            [(Acknowledgement, Code::EMPTY), (Reset, Code::EMPTY)]
        );
    }
}

#[test]
fn forgetting_is_the_passive_cancel() {
    for confirmable in [true, false] {
        let mut pair = Pair::new(1, Network::CALM);
        let (request, handle) = observing(&mut pair);
        assert!(format!("{:?}", pair.server.endpoint).contains("Template {"));
        pair.server.endpoint.cancel(request);
        assert!(!format!("{:?}", pair.server.endpoint).contains("Template {"));
        assert_eq!(status(&pair), (0, 0));
        notify(&mut pair, handle, confirmable, b"late");
        assert_eq!(
            pair.headers(Side::Server).last(),
            Some(&(Reset, Code::EMPTY))
        );
        assert_eq!(pair.device.seen, [Seen::ObserverGone(handle.token())]);
        assert!(matches!(pair.server.seen[..], [Seen::Refused(_)]));
    }
}

#[test]
fn an_observer_that_does_not_acknowledge_is_gone() {
    let mut pair = Pair::new(1, Network::CALM);
    let (_, handle) = observing(&mut pair);
    pair.network.loss = 1.0;
    notify(&mut pair, handle, true, b"unheard");
    pair.drive_s(100);
    assert_eq!(pair.device.seen, [Seen::ObserverGone(handle.token())]);
    // Non-confirmable ones are not waited for.
    pair.device.seen.clear();
    notify(&mut pair, handle, false, b"unheard");
    pair.drive();
    assert_eq!(pair.device.seen, []);
}

#[test]
fn an_active_cancel_takes_the_place_of_the_observation() {
    let mut pair = Pair::new(1, Network::CALM);
    let (observation, handle) = observing(&mut pair);
    let token = pair.server.endpoint.request_token(observation);
    assert_eq!(token, Some(handle.token()));
    let mut request = get("3303");
    request.observe = Some(false);
    request.token = token;
    let cancel = pair.request(request);
    assert_ne!(cancel, observation);
    assert_eq!(pair.server.endpoint.request_token(observation), None);
    pair.drive_s(1);
    let asked = pair.take_requests(Side::Device).remove(0);
    assert_eq!(
        (asked.observe, asked.handle.token()),
        (Some(1), handle.token())
    );
    let (now, response) = (pair.now, Response::new(Code::CONTENT));
    pair.device.endpoint.respond(now, asked.handle, response);
    pair.drive_s(1);
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Response { request, observing: false, .. }] if request == cancel
    ));
    assert_eq!(status(&pair), (0, 0));
}

#[test]
fn a_refresh_with_the_same_token_starts_the_numbers_anew() {
    let mut pair = Pair::new(1, Network::CALM);
    let (observation, handle) = observing(&mut pair);
    pair.inject(
        Side::Server,
        &by_hand(NonConfirmable, 1, handle.token(), 5000),
    );
    pair.server.seen.clear();
    let mut request = get("3303");
    request.observe = Some(true);
    request.token = pair.server.endpoint.request_token(observation);
    let again = pair.request(request);
    pair.answer_latest(Code::CONTENT, |b| b.uint(OptionNumber::OBSERVE, 2));
    pair.inject(Side::Server, &by_hand(NonConfirmable, 2, handle.token(), 3));
    assert!(matches!(
        pair.server.seen[..],
        [
            Seen::Response { request: first, observing: true, .. },
            Seen::Notification { request: second, observing: true, .. }
        ] if first == again && second == again
    ));
    assert_eq!(status(&pair), (0, 1));
}

#[test]
fn a_token_of_ones_own_choice_works_too() {
    let mut pair = Pair::new(1, Network::CALM);
    let mut request = get("3303");
    request.observe = Some(true);
    request.token = Token::new(b"mine");
    let now = pair.now;
    let id = pair.request(request.clone());
    let twice = pair.server.endpoint.request(now, Side::Device, request);
    assert_eq!(twice, Err(lwm2m_coap::RequestError::Token));
    pair.answer_latest(Code::CONTENT, |b| b.uint(OptionNumber::OBSERVE, 2));
    let token = Token::new(b"mine").expect("short");
    pair.inject(Side::Server, &by_hand(NonConfirmable, 2, token, 3));
    assert_eq!(pair.server.seen.len(), 2);
    assert_eq!(pair.server.endpoint.request_token(id), Some(token));
}

#[test]
fn a_value_without_observation_says_so() {
    let mut pair = Pair::new(1, Network::CALM);
    let mut request = get("3303");
    request.observe = Some(true);
    pair.request(request);
    pair.answer_latest(Code::CONTENT, |builder| builder);
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Response {
            observing: false,
            ..
        }]
    ));
    assert_eq!(status(&pair), (0, 0));
}

#[test]
fn the_rest_of_a_large_value_is_fetched_without_observe() {
    let device = Config {
        block_size: BlockSize::at_most(64),
        body_inline_max: 64,
        ..Config::default()
    };
    let mut pair = Pair::with(1, Network::CALM, Config::default(), device);
    let (request, handle) = observing(&mut pair);
    let large: Vec<u8> = (0..200).collect();
    let sent = pair.server.sent.len();
    notify(&mut pair, handle, true, &large);
    assert_eq!(pair.server.seen, [notification(request, &large, true)]);
    assert_eq!(pair.take_requests(Side::Device), []);
    let asked = pair.server.sent[sent + 1].1.clone();
    let asked = Message::parse(&asked).expect("ours");
    assert_eq!((asked.code(), asked.observe()), (Code::GET, None));
    assert_ne!(asked.token(), handle.token().as_bytes());
    assert_eq!(asked.uri_path().collect::<Vec<_>>(), [b"3303"]);
    assert_eq!(asked.block2().expect("asks").expect("valid").number, 1);
    assert_eq!(status(&pair), (0, 1));
}

#[test]
fn a_newer_value_makes_the_rest_of_an_older_one_void() {
    let mut pair = Pair::new(1, Network::CALM);
    let (request, handle) = observing(&mut pair);
    let token = handle.token();
    let block = Block {
        number: 0,
        more: true,
        size: BlockSize::at_most(16),
    };
    let large = |id, sequence, fill| {
        built(Confirmable, Code::CONTENT, id, token.as_bytes(), |b| {
            b.uint(OptionNumber::OBSERVE, sequence)
                .uint(OptionNumber::BLOCK2, block.encode())
                .payload_of(&[fill; 16])
        })
    };
    pair.inject(Side::Server, &large(1, 100, 1));
    assert_eq!(status(&pair), (1, 1));
    // A newer large one restarts, a newer small one ends it.
    pair.inject(Side::Server, &large(2, 101, 2));
    assert_eq!(status(&pair), (1, 1));
    let last = Block {
        number: 1,
        more: false,
        ..block
    };
    pair.answer_latest(Code::CONTENT, |b| {
        b.uint(OptionNumber::BLOCK2, last.encode())
            .payload_of(&[3; 4])
    });
    let whole = [[2; 16].as_slice(), &[3; 4]].concat();
    assert_eq!(
        std::mem::take(&mut pair.server.seen),
        [notification(request, &whole, true)]
    );
    pair.inject(Side::Server, &large(3, 102, 4));
    pair.inject(Side::Server, &by_hand(NonConfirmable, 4, token, 103));
    assert_eq!(status(&pair), (0, 1));
    assert_eq!(
        pair.server.seen,
        [notification(request, &103_u32.to_be_bytes(), true)]
    );
}
