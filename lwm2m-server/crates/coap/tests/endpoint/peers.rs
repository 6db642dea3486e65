//! Peers that move and go, and requests that wait for their turn.

use lwm2m_coap::{Code, Config, Endpoint, Event, Failure, OutgoingRequest, RequestError, Response};
use std::time::{Duration, Instant};

use crate::pair::{Network, Pair, Seen, Side, content, get};

/// An endpoint for itself; peers are numbers.
fn endpoint(config: Config) -> (Endpoint<u32>, Instant) {
    (Endpoint::new(config, 7), Instant::now())
}

fn sent(endpoint: &mut Endpoint<u32>) -> Vec<(u32, Vec<u8>)> {
    std::iter::from_fn(|| endpoint.poll_transmit())
        .map(|transmit| (transmit.peer, transmit.datagram.to_vec()))
        .collect()
}

/// A piggybacked 2.05 to a request of ours.
fn answer(request: &[u8], observe: bool) -> Vec<u8> {
    let token = &request[4..4 + usize::from(request[0] & 0xf)];
    let mut answer = vec![0x60 | token.len() as u8, 0x45, request[2], request[3]];
    answer.extend_from_slice(token);
    if observe {
        answer.extend_from_slice(&[0x61, 5]);
    }
    answer
}

#[test]
fn requests_of_a_peer_go_one_after_the_other() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(&b"x"[..]));
    let requests = ["1", "2", "3"].map(|path| pair.request(get(path)));
    let status = pair.server.endpoint.peer_status(Side::Device);
    assert_eq!((status.outstanding, status.queued), (1, 2));
    assert_eq!(pair.server.sent.len(), 1);
    pair.drive_s(1);
    let ended = pair.server.seen.iter().map(|seen| match seen {
        Seen::Response { request, .. } => *request,
        other => panic!("{other:?}"),
    });
    assert_eq!(ended.collect::<Vec<_>>(), requests);
    let paths = pair.take_requests(Side::Device);
    let paths = paths.iter().map(|request| &request.path[..]);
    assert_eq!(paths.collect::<Vec<_>>(), ["/1", "/2", "/3"]);
}

#[test]
fn one_more_than_the_queue_takes_is_refused() {
    let config = Config {
        peer_queue_max: 3,
        ..Config::default()
    };
    let (mut endpoint, now) = endpoint(config);
    for _ in 0..4 {
        endpoint.request(now, 1, get("3")).expect("taken");
    }
    assert_eq!(
        endpoint.request(now, 1, get("3")),
        Err(RequestError::QueueFull)
    );
    endpoint.request(now, 2, get("3")).expect("another peer");
    assert_eq!(endpoint.peer_status(1).queued, 3);
}

#[test]
fn a_cancelled_request_gives_its_turn_away() {
    let (mut endpoint, now) = endpoint(Config::default());
    let first = endpoint.request(now, 1, get("1")).expect("taken");
    let second = endpoint.request(now, 1, get("2")).expect("taken");
    let third = endpoint.request(now, 1, get("3")).expect("taken");
    endpoint.cancel(second);
    endpoint.cancel(first);
    endpoint.cancel(first);
    let sent = sent(&mut endpoint);
    assert_eq!(sent.len(), 2);
    // The answer to what was cancelled is nobody's.
    assert!(
        endpoint
            .receive(now, 1, &answer(&sent[0].1, false))
            .is_none()
    );
    match endpoint.receive(now, 1, &answer(&sent[1].1, false)) {
        Some(Event::Response(response)) => assert_eq!(response.request, third),
        other => panic!("{other:?}"),
    }
    assert_eq!(endpoint.peer_status(1), Default::default());
}

#[test]
fn a_forgotten_peer_fails_its_requests() {
    let (mut endpoint, now) = endpoint(Config::default());
    let requests = ["1", "2"].map(|path| endpoint.request(now, 1, get(path)).expect("taken"));
    endpoint.forget_peer(1);
    let mut failed: Vec<_> = std::iter::from_fn(|| endpoint.poll_event())
        .map(|event| match event {
            Event::Failed {
                request,
                failure: Failure::PeerGone,
                ..
            } => request,
            other => panic!("{other:?}"),
        })
        .collect();
    failed.sort();
    assert_eq!(failed, requests);
    assert_eq!(endpoint.poll_timeout(), None);
    endpoint.forget_peer(1);
    assert!(endpoint.poll_event().is_none());
}

#[test]
fn a_moved_peer_keeps_requests_and_observations() {
    let (mut endpoint, now) = endpoint(Config::default());
    let mut observe = get("3303");
    observe.observe = Some(true);
    let observation = endpoint.request(now, 1, observe).expect("taken");
    let asked = sent(&mut endpoint).remove(0).1;
    endpoint
        .receive(now, 1, &answer(&asked, true))
        .expect("established");
    let request = endpoint.request(now, 1, get("3")).expect("taken");
    let waiting = endpoint.request(now, 1, get("4")).expect("taken");
    let asked = sent(&mut endpoint).remove(0).1;
    // The new address has business of its own already.
    let other = endpoint.request(now, 2, get("5")).expect("taken");
    let asked_other = sent(&mut endpoint).remove(0).1;
    endpoint.move_peer(1, 2);
    assert_eq!(endpoint.peer_status(1), Default::default());
    let status = endpoint.peer_status(2);
    assert_eq!(
        (status.outstanding, status.queued, status.observations),
        (2, 1, 1)
    );
    let mut ended = Vec::new();
    for datagram in [answer(&asked, false), answer(&asked_other, false)] {
        match endpoint.receive(now, 2, &datagram) {
            Some(Event::Response(response)) => ended.push(response.request),
            other => panic!("{other:?}"),
        }
    }
    let asked = sent(&mut endpoint);
    assert_eq!((asked.len(), asked[0].0), (1, 2));
    match endpoint.receive(now, 2, &answer(&asked[0].1, false)) {
        Some(Event::Response(response)) => ended.push(response.request),
        other => panic!("{other:?}"),
    }
    assert_eq!(ended, [request, other, waiting]);
    let token = endpoint.request_token(observation).expect("it stands");
    let mut value = vec![0x58, 0x45, 0, 1];
    value.extend_from_slice(token.as_bytes());
    value.extend_from_slice(&[0x61, 6]);
    assert!(matches!(
        endpoint.receive(now, 2, &value),
        Some(Event::Notification(value)) if value.request == observation
    ));
    // Messages of the old name are nobody's.
    assert!(matches!(
        endpoint.receive(now, 1, &value),
        Some(Event::Refused { .. })
    ));
}

#[test]
fn an_idle_peer_is_forgotten_after_the_exchange_lifetime() {
    let (mut endpoint, now) = endpoint(Config::default());
    endpoint.request(now, 1, get("1")).expect("taken");
    let asked = sent(&mut endpoint).remove(0).1;
    endpoint.receive(now, 1, &answer(&asked, false));
    // Its message ids go on for 247 seconds.
    let later = now + Duration::from_secs(200);
    endpoint.handle_timeout(later);
    endpoint.request(later, 1, get("1")).expect("taken");
    let again = sent(&mut endpoint).remove(0).1;
    let id = |datagram: &[u8]| u16::from_be_bytes([datagram[2], datagram[3]]);
    assert_eq!(id(&again), id(&asked).wrapping_add(1));
    endpoint.receive(later, 1, &answer(&again, false));
    let mut last = later;
    while let Some(at) = endpoint.poll_timeout() {
        last = at;
        endpoint.handle_timeout(at);
    }
    assert_eq!(last, later + Duration::from_secs(247));
}

#[test]
fn a_non_confirmable_request_waits_for_its_time_out() {
    let (mut endpoint, now) = endpoint(Config::default());
    let mut request = OutgoingRequest::new(Code::GET);
    request.confirmable = false;
    request.timeout = Some(Duration::from_secs(9));
    let request = endpoint.request(now, 1, request).expect("taken");
    assert_eq!(sent(&mut endpoint).len(), 1);
    assert_eq!(endpoint.poll_timeout(), Some(now + Duration::from_secs(9)));
    endpoint.handle_timeout(now + Duration::from_secs(9));
    assert!(matches!(
        endpoint.poll_event(),
        Some(Event::Failed { request: of, failure: Failure::NoResponse, .. }) if of == request
    ));
    assert!(sent(&mut endpoint).is_empty());
}

#[test]
fn an_answer_to_a_forgotten_peer_does_no_harm() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.request(get("3"));
    pair.drive_s(5);
    let handle = pair.take_requests(Side::Device).remove(0).handle;
    pair.device.endpoint.forget_peer(Side::Server);
    let (now, response) = (pair.now, Response::new(Code::CONTENT));
    pair.device.endpoint.respond(now, handle, response);
    pair.drive();
    assert!(matches!(pair.server.seen[..], [Seen::Response { .. }]));
}

#[test]
fn an_engine_can_move_to_its_thread() {
    fn moves<T: Send + 'static>(_: &T) {}
    moves(&endpoint(Config::default()).0);
}
