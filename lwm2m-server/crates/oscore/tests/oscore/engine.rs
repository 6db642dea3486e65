//! Two CoAP engines that speak under a security context.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lwm2m_coap::{
    Code, Config, Endpoint, Event, Failure, Message, OptionNumber, OutgoingRequest, Response,
    ResponseHandle, SecurityContextId,
};
use lwm2m_oscore::{ContextName, Contexts, ReplayState, SequenceStore};

use crate::common::{message, parameters, parse, side};

/// Numbers that start anew: there is no restart here.
#[derive(Debug)]
struct Fresh {
    /// How many may be used.
    granted: Mutex<u64>,
}

impl Default for Fresh {
    fn default() -> Fresh {
        Fresh {
            granted: Mutex::new(u64::MAX),
        }
    }
}

impl Fresh {
    fn grant(&self, numbers: u64) {
        *self.granted.lock().expect("no panic") = numbers;
    }
}

impl SequenceStore for Fresh {
    fn start(&self, _: &ContextName) -> u64 {
        0
    }

    fn reserve(&self, _: &ContextName, limit: u64) -> u64 {
        limit.min(*self.granted.lock().expect("no panic"))
    }
}

/// One side; each side calls the other by 0.
struct Side {
    engine: Endpoint<u8>,
    context: SecurityContextId,
    numbers: Arc<Fresh>,
    plain: Vec<u8>,
    heard: Vec<Heard>,
}

/// An event, and what it said.
#[derive(Debug)]
enum Heard {
    Request(ResponseHandle<u8>, Code, String, Vec<u8>),
    Response(Code, Vec<u8>, bool),
    Notification(Vec<u8>),
    Failed(Failure),
    Refused(&'static str),
}

struct Pair {
    device: Side,
    server: Side,
    now: Instant,
}

impl Side {
    fn new(sender: &[u8], recipient: &[u8], secret: &str, replay: ReplayState) -> Side {
        let shared = parameters(secret, "", None);
        let numbers = Arc::new(Fresh::default());
        let contexts = Contexts::new(4, numbers.clone());
        let context = contexts.add(&side(&shared, sender, recipient), replay);
        Side {
            engine: Endpoint::new(Config::default(), 7).with_security(Arc::new(contexts)),
            context: context.expect("room"),
            numbers,
            plain: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn take(&mut self, now: Instant, datagram: &[u8]) {
        let event = self.engine.receive_with(now, 0, datagram, &mut self.plain);
        self.heard.extend(event.and_then(heard));
        self.drain();
    }

    /// Lets time pass to the next timer; gives how late it is then.
    fn wait(&mut self, now: Instant) -> Instant {
        let due = self.engine.poll_timeout().expect("something waits");
        assert!(due > now);
        self.engine.handle_timeout(due);
        self.drain();
        due
    }

    fn drain(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            self.heard.extend(heard(event));
        }
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.engine.poll_transmit())
            .map(|transmit| transmit.datagram.to_vec())
            .collect()
    }

    fn ask(&mut self, now: Instant, request: OutgoingRequest) {
        let request = OutgoingRequest {
            security: Some(self.context),
            ..request
        };
        self.engine.request(now, 0, request).expect("room");
    }

    fn requested(&mut self) -> (ResponseHandle<u8>, Code, String, Vec<u8>) {
        match self.heard.remove(0) {
            Heard::Request(handle, code, path, body) => (handle, code, path, body),
            other => panic!("no request: {other:?}"),
        }
    }
}

fn heard(event: Event<'_, u8>) -> Option<Heard> {
    Some(match event {
        Event::Request(request) => Heard::Request(
            request.handle,
            request.message.code(),
            request.message.uri_path_str().flatten().collect(),
            request.body.into_owned(),
        ),
        Event::Response(response) => Heard::Response(
            response.message.code(),
            response.body.into_owned(),
            response.observing,
        ),
        Event::Notification(notification) => Heard::Notification(notification.body.into_owned()),
        Event::Failed { failure, .. } => Heard::Failed(failure),
        Event::Refused { reason, .. } => Heard::Refused(reason),
        _ => return None,
    })
}

impl Pair {
    fn new() -> Pair {
        Pair::with(ReplayState::Unused, "0102")
    }

    fn with(replay: ReplayState, secret_of_device: &str) -> Pair {
        Pair {
            device: Side::new(b"dev", b"srv", secret_of_device, ReplayState::Unused),
            server: Side::new(b"srv", b"dev", "0102", replay),
            now: Instant::now(),
        }
    }

    /// Carries datagrams until there are none; gives what was on the wire.
    fn settle(&mut self) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        loop {
            let (from_device, from_server) = (self.device.sent(), self.server.sent());
            if from_device.is_empty() && from_server.is_empty() {
                return wire;
            }
            for datagram in from_device {
                self.server.take(self.now, &datagram);
                wire.push(datagram);
            }
            for datagram in from_server {
                self.device.take(self.now, &datagram);
                wire.push(datagram);
            }
        }
    }

    fn respond(&mut self, handle: ResponseHandle<u8>, response: Response) {
        self.server.engine.respond(self.now, handle, response);
    }
}

fn post(path: &str) -> OutgoingRequest {
    OutgoingRequest::new(Code::POST).option(OptionNumber::URI_PATH, path.as_bytes().to_vec())
}

fn content(payload: &[u8]) -> Response {
    Response::new(Code::CONTENT).payload(payload.to_vec())
}

/// Nothing but what the message layer needs is to be read on the wire.
fn is_protected(datagram: &[u8]) -> bool {
    let message = parse(datagram);
    let outside = [OptionNumber::OSCORE, OptionNumber::OBSERVE];
    message.code() == Code::EMPTY
        || message.value(OptionNumber::OSCORE).is_some()
            && message
                .options()
                .all(|option| outside.contains(&option.number))
}

#[test]
fn a_request_and_its_response() {
    let mut pair = Pair::new();
    pair.device
        .ask(pair.now, post("rd").payload(&b"</3/0>"[..]));
    let mut wire = pair.settle();
    let (handle, code, path, body) = pair.server.requested();
    assert_eq!(
        (code, &path[..], &body[..]),
        (Code::POST, "rd", &b"</3/0>"[..])
    );
    assert_eq!(handle.security(), Some(pair.server.context));
    let created = Response::new(Code::CREATED).option(OptionNumber::LOCATION_PATH, &b"rd"[..]);
    pair.respond(handle, created);
    wire.extend(pair.settle());
    assert_eq!(wire.len(), 2);
    assert!(wire.iter().all(|datagram| is_protected(datagram)));
    let codes: Vec<Code> = wire.iter().map(|datagram| parse(datagram).code()).collect();
    assert_eq!(codes, [Code::POST, Code::CHANGED]);
    assert!(matches!(
        pair.device.heard[..],
        [Heard::Response(Code::CREATED, ..)]
    ));
}

/// The replay window must not see what the message layer repeats.
#[test]
fn a_duplicate_gets_the_same_answer_and_is_no_replay() {
    let mut pair = Pair::new();
    pair.device.ask(pair.now, post("rd"));
    let request = pair.device.sent().remove(0);
    pair.server.take(pair.now, &request);
    let (handle, ..) = pair.server.requested();
    pair.respond(handle, content(b"1"));
    let first = pair.server.sent();
    pair.server.take(pair.now, &request);
    assert_eq!(pair.server.sent(), first);
    assert!(pair.server.heard.is_empty());
}

#[test]
fn a_message_is_retransmitted_byte_for_byte() {
    let mut pair = Pair::new();
    pair.device.ask(pair.now, post("rd"));
    let first = pair.device.sent();
    let due = pair.device.engine.poll_timeout().expect("a retransmission");
    pair.device.engine.handle_timeout(due);
    assert_eq!(pair.device.sent(), first);
}

/// The replayed request comes under another message id, as a replay does.
#[test]
fn a_replay_is_refused_without_protection() {
    let mut pair = Pair::new();
    pair.device.ask(pair.now, post("rd"));
    let mut request = pair.device.sent().remove(0);
    pair.server.take(pair.now, &request);
    pair.server.heard.clear();
    request[3] ^= 1;
    pair.server.take(pair.now, &request);
    assert!(matches!(
        pair.server.heard[..],
        [Heard::Refused("replay detected")]
    ));
    let answer = pair.server.sent().remove(0);
    let answer = parse(&answer);
    assert_eq!(
        (answer.code(), answer.payload()),
        (Code::UNAUTHORIZED, &b"Replay detected"[..])
    );
    assert_eq!(answer.uint(OptionNumber::MAX_AGE), Some(0));
    assert_eq!(answer.value(OptionNumber::OSCORE), None);
}

#[test]
fn bodies_go_in_blocks_inside() {
    let mut pair = Pair::new();
    let body: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
    pair.device.ask(pair.now, post("rd").payload(body.clone()));
    let mut wire = pair.settle();
    let (handle, _, _, received) = pair.server.requested();
    assert!(received == body);
    pair.respond(handle, content(&body));
    wire.extend(pair.settle());
    assert!(wire.iter().all(|datagram| is_protected(datagram)));
    assert!(wire.len() >= 18, "{}", wire.len());
    match &pair.device.heard[..] {
        [Heard::Response(Code::CONTENT, received, false)] => assert!(*received == body),
        other => panic!("{other:?}"),
    }
}

/// Else a stranger with the device's address would read what was protected.
#[test]
fn a_plain_request_gets_no_block_of_a_protected_response() {
    let mut pair = Pair::new();
    let get = OutgoingRequest::new(Code::GET).option(OptionNumber::URI_PATH, &b"3"[..]);
    pair.device.ask(pair.now, get);
    let request = pair.device.sent().remove(0);
    pair.server.take(pair.now, &request);
    let (handle, ..) = pair.server.requested();
    pair.respond(handle, content(&[7; 3000]));
    pair.server.sent();
    // GET /3 with Block2 1/0/1024.
    pair.server
        .take(pair.now, &[0x40, 1, 9, 9, 0xb1, b'3', 0xc1, 0x16]);
    let (handle, ..) = pair.server.requested();
    assert_eq!(handle.security(), None);
    assert!(pair.server.sent().is_empty());
}

#[test]
fn an_observation_with_large_and_repeated_notifications() {
    let mut pair = Pair::new();
    let observe = OutgoingRequest {
        observe: Some(true),
        ..OutgoingRequest::new(Code::GET).option(OptionNumber::URI_PATH, &b"3"[..])
    };
    let (now, context) = (pair.now, pair.server.context);
    let observe = OutgoingRequest {
        security: Some(context),
        ..observe
    };
    pair.server.engine.request(now, 0, observe).expect("room");
    let mut wire = pair.settle();
    assert_eq!(parse(&wire[0]).code(), Code::FETCH);
    let (handle, code, ..) = pair.device.requested();
    assert_eq!(code, Code::GET);
    let first = content(b"0").uint(OptionNumber::OBSERVE, 0);
    pair.device.engine.respond(now, handle, first);
    wire.extend(pair.settle());
    assert!(matches!(
        pair.server.heard[..],
        [Heard::Response(_, _, true)]
    ));
    pair.server.heard.clear();

    let notify = |pair: &mut Pair, payload: &[u8]| {
        pair.device
            .engine
            .notify(now, handle, true, content(payload))
            .expect("room");
        pair.device.sent().remove(0)
    };
    let one = notify(&mut pair, b"1");
    pair.server.take(now, &one);
    let ack = pair.server.sent();
    pair.device.take(now, &ack[0]);
    let two = notify(&mut pair, b"2");
    pair.server.take(now, &two);
    // Both come again, the older one last.
    pair.server.take(now, &two);
    pair.server.take(now, &one);
    for ack in pair.server.sent() {
        assert_eq!(parse(&ack).code(), Code::EMPTY);
        pair.device.take(now, &ack);
    }
    let values: Vec<&Heard> = pair.server.heard.iter().collect();
    assert!(
        matches!(&values[..], [Heard::Notification(a), Heard::Notification(b)] if a == b"1" && b == b"2"),
        "{values:?}"
    );
    pair.server.heard.clear();

    let large = vec![9; 2500];
    let first = notify(&mut pair, &large);
    pair.server.take(now, &first);
    wire.extend(pair.settle());
    while !pair.device.heard.is_empty() {
        let (handle, ..) = pair.device.requested();
        assert_eq!(handle.security(), Some(pair.device.context));
        pair.device.engine.respond(now, handle, content(&large));
        wire.extend(pair.settle());
    }
    assert!(
        matches!(&pair.server.heard[..], [Heard::Notification(body)] if *body == large),
        "{:?}",
        pair.server.heard.len()
    );
    assert!(wire.iter().all(|datagram| is_protected(datagram)));
}

/// RFC 8613 Appendix B.1.2, and the engine repeats the request by itself.
#[test]
fn a_first_request_is_repeated_with_its_echo() {
    let mut pair = Pair::with(ReplayState::Unknown, "0102");
    pair.device
        .ask(pair.now, post("rd").payload(&b"</3/0>"[..]));
    let wire = pair.settle();
    assert_eq!(wire.len(), 3, "request, challenge, request");
    assert!(wire.iter().all(|datagram| is_protected(datagram)));
    assert!(matches!(pair.server.heard.remove(0), Heard::Refused(_)));
    let (handle, _, path, body) = pair.server.requested();
    assert_eq!((&path[..], &body[..]), ("rd", &b"</3/0>"[..]));
    pair.respond(handle, content(b"1"));
    pair.settle();
    assert!(matches!(
        pair.device.heard[..],
        [Heard::Response(Code::CONTENT, ..)]
    ));
    // From now on without.
    pair.device.ask(pair.now, post("rd"));
    assert_eq!(pair.settle().len(), 1);
}

#[test]
fn a_stranger_is_told_and_the_asker_hears_it() {
    let mut pair = Pair::with(ReplayState::Unused, "0103");
    pair.device.ask(pair.now, post("rd"));
    pair.settle();
    assert!(matches!(
        pair.server.heard[..],
        [Heard::Refused("decryption failed")]
    ));
    let failure = Failure::Unprotected(Code::BAD_REQUEST);
    assert!(matches!(pair.device.heard[..], [Heard::Failed(heard)] if heard == failure));
}

#[test]
fn what_is_not_authentic_does_not_answer() {
    let mut pair = Pair::new();
    pair.device.ask(pair.now, post("rd"));
    let request = pair.device.sent().remove(0);
    pair.server.take(pair.now, &request);
    let (handle, ..) = pair.server.requested();
    pair.respond(handle, content(b"1"));
    let good = pair.server.sent().remove(0);
    let mut forged = good.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    pair.device.take(pair.now, &forged);
    assert!(matches!(
        pair.device.heard[..],
        [Heard::Refused("decryption failed")]
    ));
    // A success that is not protected is none. It comes apart: the ACK has been.
    let mut plain = good[..4 + parse(&good).token().len()].to_vec();
    plain[0] = plain[0] & 0xcf | 0x10;
    plain[1] = Code::CHANGED.0;
    pair.device.take(pair.now, &plain);
    assert!(matches!(
        pair.device.heard[1],
        Heard::Refused("the response is not protected")
    ));
    let mut apart = good.clone();
    apart[0] = apart[0] & 0xcf | 0x10;
    pair.device.take(pair.now, &apart);
    assert!(matches!(
        pair.device.heard[2],
        Heard::Response(Code::CONTENT, ..)
    ));
}

#[test]
fn what_cannot_be_protected_fails_and_does_not_leave() {
    let mut pair = Pair::new();
    let request = OutgoingRequest {
        security: Some(SecurityContextId(99)),
        ..post("rd")
    };
    let engine = &mut pair.device.engine;
    engine.request(pair.now, 0, request).expect("room");
    assert!(engine.poll_transmit().is_none());
    let event = engine.poll_event().and_then(heard);
    assert!(
        matches!(event, Some(Heard::Failed(Failure::Protection(_)))),
        "{event:?}"
    );
    // The next one has its turn.
    pair.device.ask(pair.now, post("rd"));
    assert_eq!(pair.settle().len(), 1);
}

/// Numbers may come with time: a request that finds none is sent when there is one.
#[test]
fn a_request_waits_for_a_number() {
    let mut pair = Pair::new();
    pair.device.numbers.grant(0);
    pair.device.ask(pair.now, post("rd"));
    pair.device.ask(pair.now, post("dp"));
    assert_eq!(pair.settle().len(), 0);
    let now = pair.device.wait(pair.now);
    assert_eq!(pair.settle().len(), 0);
    pair.device.numbers.grant(1);
    pair.now = pair.device.wait(now);
    let wire = pair.settle();
    assert!(wire.len() == 1 && is_protected(&wire[0]));
    let (handle, _, path, _) = pair.server.requested();
    assert_eq!(path, "rd");
    pair.respond(handle, content(b"1"));
    pair.settle();
    assert!(matches!(pair.device.heard[..], [Heard::Response(..)]));
    pair.device.numbers.grant(2);
    pair.now = pair.device.wait(pair.now);
    assert_eq!(pair.settle().len(), 1);
    assert_eq!(pair.server.requested().2, "dp");
}

#[test]
fn a_request_that_gets_no_number_fails() {
    let mut pair = Pair::new();
    pair.device.numbers.grant(0);
    pair.device.ask(pair.now, post("rd"));
    let mut now = pair.now;
    while pair.device.heard.is_empty() {
        assert!(now < pair.now + Duration::from_secs(2));
        now = pair.device.wait(now);
    }
    let reason = "no sequence number is reserved";
    let failure = Failure::Protection(reason);
    assert!(matches!(pair.device.heard[..], [Heard::Failed(heard)] if heard == failure));
    assert_eq!(pair.settle().len(), 0);
    // The next one has its turn, and all the time that there is.
    pair.device.ask(now, post("dp"));
    now = pair.device.wait(now);
    pair.device.numbers.grant(1);
    pair.now = pair.device.wait(now);
    assert_eq!(pair.settle().len(), 1);
}

/// The token of the message before is known on the wire.
#[test]
fn what_waits_for_a_number_takes_no_answer_in_plain() {
    let mut pair = Pair::with(ReplayState::Unknown, "0102");
    pair.device.numbers.grant(1);
    pair.device.ask(pair.now, post("rd"));
    let request = pair.device.sent().remove(0);
    pair.server.take(pair.now, &request);
    let challenge = pair.server.sent().remove(0);
    pair.device.take(pair.now, &challenge);
    assert!(pair.device.sent().is_empty());
    let mut forged = challenge[..4 + parse(&challenge).token().len()].to_vec();
    forged[0] = forged[0] & 0xcf | 0x10;
    forged[1] = Code::CREATED.0;
    pair.device.take(pair.now, &forged);
    let reason = "a response to a request that waits to be protected";
    assert!(matches!(pair.device.heard[..], [Heard::Refused(heard)] if heard == reason));
    pair.device.numbers.grant(2);
    pair.now = pair.device.wait(pair.now);
    pair.settle();
    assert_eq!(pair.server.heard.len(), 2, "challenged, and taken");
}

#[test]
fn a_challenge_without_a_number_puts_the_device_off() {
    let mut pair = Pair::with(ReplayState::Unknown, "0102");
    pair.server.numbers.grant(0);
    pair.device.ask(pair.now, post("rd"));
    pair.settle();
    let failure = Failure::Unprotected(Code::SERVICE_UNAVAILABLE);
    assert!(matches!(pair.device.heard[..], [Heard::Failed(heard)] if heard == failure));
}

#[test]
fn an_engine_without_security_does_not_understand_protected_messages() {
    let mut pair = Pair::new();
    pair.device.ask(pair.now, post("rd"));
    let request = pair.device.sent().remove(0);
    let mut engine: Endpoint<u8> = Endpoint::new(Config::default(), 1);
    let event = engine.receive(pair.now + Duration::from_secs(1), 0, &request);
    assert!(matches!(event, Some(Event::Refused { .. })));
    let answer = engine.poll_transmit().expect("an answer").datagram;
    let answer = Message::parse(&answer).expect("a message");
    assert_eq!(answer.code(), Code::BAD_OPTION);
}

/// A proxy may cut a protected message into blocks (RFC 8613 §4.1.3.4.2).
#[test]
fn a_request_in_outer_blocks_is_put_together_and_then_unprotected() {
    let mut pair = Pair::new();
    let body = vec![7; 500];
    pair.device.ask(pair.now, post("rd").payload(body.clone()));
    let whole = pair.device.sent().remove(0);
    let whole = parse(&whole);
    let option = whole.value(OptionNumber::OSCORE).expect("protected");
    let blocks: Vec<&[u8]> = whole.payload().chunks(256).collect();
    let last = blocks.len() - 1;
    for (number, block) in blocks.iter().enumerate() {
        let value = (number << 4 | usize::from(number < last) << 3 | 4) as u8;
        let options = [
            (OptionNumber::OSCORE, option),
            (OptionNumber::BLOCK1, &[value]),
        ];
        let mut datagram = message(Code::POST, &options, block);
        datagram[3] = number as u8;
        pair.server.take(pair.now, &datagram);
        if number < last {
            let answer = pair.server.sent().remove(0);
            assert_eq!(parse(&answer).code(), Code::CONTINUE);
            assert!(pair.server.heard.is_empty());
        }
    }
    let (handle, _, path, received) = pair.server.requested();
    assert_eq!(
        (path.as_str(), handle.security()),
        ("rd", Some(pair.server.context))
    );
    assert!(received == body);
    pair.respond(handle, content(b"1"));
    let answer = pair.server.sent().remove(0);
    let answer = parse(&answer);
    assert_eq!(answer.code(), Code::CHANGED);
    assert!(answer.value(OptionNumber::OSCORE).is_some());
    let echoed = answer.block1().and_then(Result::ok).expect("its block");
    assert_eq!((echoed.number as usize, echoed.more), (last, false));
}

/// What is put together is bounded as without security, and nobody has proven anything yet.
#[test]
fn outer_blocks_are_bounded() {
    let mut pair = Pair::new();
    let config = Config {
        body_max: 512,
        ..Config::default()
    };
    let contexts = Contexts::new(1, Arc::new(Fresh::default()));
    pair.server.engine = Endpoint::new(config, 7).with_security(Arc::new(contexts));
    for number in 0..3u8 {
        let value = [number << 4 | 8 | 4];
        let options = [
            (OptionNumber::OSCORE, &b"\x09\x00dev"[..]),
            (OptionNumber::BLOCK1, &value),
        ];
        let mut datagram = message(Code::POST, &options, &[0; 256]);
        datagram[3] = number;
        pair.server.take(pair.now, &datagram);
    }
    let codes: Vec<Code> = pair.server.sent().iter().map(|d| parse(d).code()).collect();
    let too_large = Code::REQUEST_ENTITY_TOO_LARGE;
    assert_eq!(codes, [Code::CONTINUE, Code::CONTINUE, too_large]);
}
