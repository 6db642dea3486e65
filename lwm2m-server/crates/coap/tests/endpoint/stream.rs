//! Two endpoints over a stream that cuts the bytes as it likes.

use std::time::{Duration, Instant};

use lwm2m_coap::tcp::{Capabilities, Connection, ConnectionLimits, Incoming};
use lwm2m_coap::{
    BlockSize, Code, Config, Endpoint, Failure, OptionNumber, OutgoingRequest, RequestError,
    Response,
};

use crate::pair::{Seen, SeenRequest, Side};

/// One end: the connection, the engine above, and what its application sees.
struct End {
    connection: Connection,
    endpoint: Endpoint<Side>,
    seen: Vec<Seen>,
    /// Messages that left, signals left out.
    sent: Vec<Vec<u8>>,
    /// Answers requests at once.
    service: fn(&SeenRequest) -> Option<Response>,
}

struct Stream {
    now: Instant,
    server: End,
    device: End,
    /// Bytes that arrive at once.
    cut: usize,
}

fn limits(message_max: usize) -> ConnectionLimits {
    let mut limits = ConnectionLimits::default();
    limits.message_max = message_max;
    limits
}

impl Stream {
    /// A connection where each side takes messages of 8192 bytes.
    fn new(service: fn(&SeenRequest) -> Option<Response>) -> Stream {
        Stream::with(8192, 8192, service)
    }

    fn with(
        server_max: usize,
        device_max: usize,
        service: fn(&SeenRequest) -> Option<Response>,
    ) -> Stream {
        let now = Instant::now();
        let end = |message_max, seed| End {
            connection: Connection::new(now, limits(message_max)),
            endpoint: Endpoint::new(Config::default(), seed),
            seen: Vec::new(),
            sent: Vec::new(),
            service,
        };
        let mut stream = Stream {
            now,
            server: end(server_max, 1),
            device: end(device_max, 2),
            cut: 7,
        };
        stream.settle();
        stream
    }

    fn request(&mut self, request: OutgoingRequest) -> Result<lwm2m_coap::RequestId, RequestError> {
        self.server
            .endpoint
            .request(self.now, Side::Device, request)
    }

    /// Carries bytes to and fro until nobody has any.
    fn settle(&mut self) {
        loop {
            let to_device = self.server.take_out(Side::Device);
            let to_server = self.device.take_out(Side::Server);
            if to_device.is_empty() && to_server.is_empty() {
                return;
            }
            self.device
                .take_in(self.now, Side::Server, &to_device, self.cut);
            self.server
                .take_in(self.now, Side::Device, &to_server, self.cut);
        }
    }

    fn server_saw(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.server.seen)
    }

    fn device_requests(&mut self) -> Vec<SeenRequest> {
        let seen = std::mem::take(&mut self.device.seen);
        seen.iter()
            .filter_map(|seen| seen.request().cloned())
            .collect()
    }
}

impl End {
    fn take_out(&mut self, to: Side) -> Vec<u8> {
        let mut bytes = self.connection.poll_transmit().unwrap_or_default();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            assert_eq!(transmit.peer, to);
            self.sent.push(transmit.datagram.to_vec());
            bytes.extend_from_slice(&transmit.datagram);
        }
        bytes
    }

    fn take_in(&mut self, now: Instant, from: Side, bytes: &[u8], cut: usize) {
        for mut part in bytes.chunks(cut) {
            loop {
                match self.connection.receive(now, &mut part).expect("it stands") {
                    Incoming::More => break,
                    Incoming::Signal => {}
                    Incoming::Capabilities(capabilities) => {
                        self.endpoint.connect(now, from, capabilities);
                    }
                    Incoming::Message(frame) => {
                        let event = self.endpoint.receive_frame(now, from, frame);
                        let Some(seen) = event.map(Seen::of) else {
                            continue;
                        };
                        let answer = seen
                            .request()
                            .and_then(|request| Some((request.handle, (self.service)(request)?)));
                        self.seen.push(seen);
                        if let Some((handle, answer)) = answer {
                            self.endpoint.respond(now, handle, answer);
                        }
                    }
                }
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.seen.push(Seen::of(event));
        }
    }
}

fn content(payload: impl Into<bytes::Bytes>) -> Response {
    Response::new(Code::CONTENT).payload(payload)
}

fn get(path: &'static str) -> OutgoingRequest {
    OutgoingRequest::new(Code::GET).option(OptionNumber::URI_PATH, path)
}

fn response(request: lwm2m_coap::RequestId, body: &[u8], observing: bool) -> Seen {
    Seen::Response {
        request,
        code: Code::CONTENT,
        body: body.to_vec(),
        observing,
    }
}

#[test]
fn a_request_is_answered_without_message_ids() {
    let mut stream = Stream::new(|_| Some(content("21.5")));
    let id = stream.request(get("3303")).expect("taken");
    stream.settle();
    assert_eq!(stream.server_saw(), [response(id, b"21.5", false)]);
    let [request] = stream.device_requests().try_into().expect("one request");
    assert_eq!(
        (request.path.as_str(), request.confirmable),
        ("/3303", false)
    );
    // Length and token length, code, token, one option of five bytes.
    let [sent] = stream.server.sent.as_slice() else {
        panic!("one message");
    };
    assert_eq!((sent[0], sent[1], sent.len()), (0x58, 0x01, 2 + 8 + 5));
    // Nothing is sent again, and nothing waits but the time for the answer.
    assert_eq!(stream.server.endpoint.statistics().retransmitted, 0);
}

#[test]
fn no_answer_fails_in_time() {
    let mut stream = Stream::new(|_| None);
    let mut request = get("1");
    request.timeout = Some(Duration::from_secs(5));
    let id = stream.request(request).expect("taken");
    stream.settle();
    assert_eq!(stream.server.sent.len(), 1);
    let due = stream.server.endpoint.poll_timeout().expect("a deadline");
    assert_eq!(due, stream.now + Duration::from_secs(5));
    stream.server.endpoint.handle_timeout(due);
    let event = stream.server.endpoint.poll_event().map(Seen::of);
    assert_eq!(event, Some(Seen::Failed(id, Failure::NoResponse)));
    assert!(stream.server.endpoint.poll_transmit().is_none());
}

#[test]
fn notifications_need_no_sequence_and_a_cancel_is_told() {
    let mut stream = Stream::new(|_| Some(content("1").uint(OptionNumber::OBSERVE, 0)));
    let mut request = get("3303");
    request.observe = Some(true);
    let id = stream.request(request).expect("taken");
    stream.settle();
    assert_eq!(stream.server_saw(), [response(id, b"1", true)]);
    let [request] = stream.device_requests().try_into().expect("one request");
    assert_eq!(request.observe, Some(0));
    for value in ["2", "3"] {
        let notified =
            stream
                .device
                .endpoint
                .notify(stream.now, request.handle, true, content(value));
        notified.expect("sent");
    }
    // Even the same sequence number again: the stream keeps the order.
    let first = stream.device.endpoint.poll_transmit().expect("a value");
    let second = stream.device.endpoint.poll_transmit().expect("a value");
    for frame in [&first.datagram, &first.datagram, &second.datagram] {
        stream
            .server
            .take_in(Instant::now(), Side::Device, frame, 3);
    }
    let values: Vec<Vec<u8>> = stream
        .server_saw()
        .into_iter()
        .map(|seen| match seen {
            Seen::Notification {
                request,
                body,
                observing: true,
                ..
            } if request == id => body,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values, [b"2", b"2", b"3"]);

    stream.server.endpoint.cancel(id);
    stream.settle();
    let [cancel] = stream.device_requests().try_into().expect("one request");
    assert_eq!((cancel.path.as_str(), cancel.observe), ("/3303", Some(1)));
    assert_eq!(cancel.handle.token(), request.handle.token());
    // The answer to that, and what was on its way, is of no interest.
    assert_eq!(stream.server_saw(), []);
    assert_eq!(
        stream
            .server
            .endpoint
            .peer_status(Side::Device)
            .observations,
        0
    );
}

#[test]
fn an_active_cancel_ends_an_observation() {
    let mut stream = Stream::new(|_| Some(content("1").uint(OptionNumber::OBSERVE, 0)));
    let mut request = get("3303");
    request.observe = Some(true);
    let id = stream.request(request.clone()).expect("taken");
    stream.settle();
    request.token = stream.server.endpoint.request_token(id);
    request.observe = Some(false);
    let cancelled = stream.request(request).expect("taken");
    stream.server_saw();
    stream.settle();
    assert_eq!(stream.server_saw(), [response(cancelled, b"1", false)]);
}

fn echo(request: &SeenRequest) -> Option<Response> {
    Some(content(request.body.clone()))
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7) as u8).collect()
}

#[test]
fn large_bodies_go_in_several_blocks_at_once() {
    for (length, messages) in [(1, 1), (8000, 1), (8192, 2), (40_000, 6), (7168 * 3, 3)] {
        let mut stream = Stream::new(echo);
        let id = stream
            .request(OutgoingRequest::new(Code::PUT).payload(body(length)))
            .expect("taken");
        stream.settle();
        let mut seen = stream.server_saw();
        assert_eq!(
            seen.pop(),
            Some(response(id, &body(length), false)),
            "{length}"
        );
        // The body there, and the requests for the rest of the body back.
        let most = 2 * messages;
        let sent = stream.server.sent.len();
        assert!((messages..=most).contains(&sent), "{sent} for {length}");
        assert!(stream.server.sent.iter().all(|frame| frame.len() <= 8192));
        assert!(stream.device.sent.iter().all(|frame| frame.len() <= 8192));
    }
}

#[test]
fn messages_are_no_longer_than_the_peer_takes() {
    for (server_max, device_max) in [(1152, 1152), (8192, 1152), (1152, 8192), (600, 2500)] {
        let mut stream = Stream::with(server_max, device_max, echo);
        let id = stream
            .request(OutgoingRequest::new(Code::PUT).payload(body(9000)))
            .expect("taken");
        stream.settle();
        assert_eq!(stream.server_saw(), [response(id, &body(9000), false)]);
        let longest = |end: &End| end.sent.iter().map(Vec::len).max();
        assert!(longest(&stream.server) <= Some(device_max));
        assert!(longest(&stream.device) <= Some(server_max));
    }
}

#[test]
fn a_body_for_a_peer_without_blocks_fits_or_is_refused() {
    let mut endpoint = Endpoint::<u8>::new(Config::default(), 1);
    let now = Instant::now();
    endpoint.connect(now, 1, Capabilities::default());
    let put = |length| OutgoingRequest::new(Code::PUT).payload(body(length));
    assert!(endpoint.request(now, 1, put(900)).is_ok());
    let refused = endpoint.request(now, 1, put(1152));
    assert_eq!(refused, Err(RequestError::TooLarge));
    let mut divided = put(100);
    divided.block_size = Some(BlockSize::at_most(64));
    assert_eq!(
        endpoint.request(now, 1, divided),
        Err(RequestError::TooLarge)
    );
}

#[test]
fn a_connection_takes_all_with_it() {
    let mut stream = Stream::new(|request| {
        (request.path != "/slow").then(|| content("1").uint(OptionNumber::OBSERVE, 0))
    });
    let mut observe = get("3303");
    observe.observe = Some(true);
    let observation = stream.request(observe).expect("taken");
    let slow = stream.request(get("slow")).expect("taken");
    stream.settle();
    stream.server_saw();
    let [_, request] = stream.device_requests().try_into().expect("two requests");
    let peer = Side::Device;
    assert!(stream.server.endpoint.is_connected(peer));
    stream.server.endpoint.forget_peer(peer);
    for request in [slow, observation] {
        let event = stream.server.endpoint.poll_event().map(Seen::of);
        assert_eq!(event, Some(Seen::Failed(request, Failure::PeerGone)));
    }
    assert!(!stream.server.endpoint.is_connected(peer));
    // What comes late is for nobody, and an answer has no way any more.
    let late = stream
        .server
        .endpoint
        .receive_frame(stream.now, peer, &[0, 1]);
    assert!(late.is_none());
    stream.device.endpoint.forget_peer(Side::Server);
    stream
        .device
        .endpoint
        .respond(stream.now, request.handle, content("late"));
    let notified = stream
        .device
        .endpoint
        .notify(stream.now, request.handle, true, content("x"));
    assert_eq!(notified, Err(RequestError::NotConnected));
    assert!(stream.device.endpoint.poll_transmit().is_none());
    assert!(stream.server.endpoint.poll_transmit().is_none());
}

#[test]
fn a_peer_that_comes_over_a_connection_leaves_its_datagrams_behind() {
    let mut endpoint = Endpoint::<u8>::new(Config::default(), 1);
    let now = Instant::now();
    let id = endpoint.request(now, 1, get("3")).expect("taken");
    endpoint.poll_transmit();
    endpoint.connect(now, 2, Capabilities::default());
    endpoint.move_peer(1, 2);
    assert!(matches!(
        endpoint.poll_event(),
        Some(lwm2m_coap::Event::Failed { request, failure: Failure::PeerGone, .. }) if request == id
    ));
    assert!(endpoint.is_connected(2) && !endpoint.is_connected(1));
    let frame = endpoint
        .request(now, 2, get("3"))
        .map(|_| endpoint.poll_transmit());
    let transmit = frame.expect("taken").expect("a message");
    assert_eq!((transmit.peer, transmit.datagram[1]), (2, Code::GET.0));
}

#[test]
fn bad_requests_are_answered_and_strangers_are_not_heard() {
    let mut endpoint = Endpoint::<u8>::new(Config::default(), 1);
    let now = Instant::now();
    // Option 9 is critical and unknown.
    let frame = [0x11, 0x01, 0xaa, 0x90];
    assert!(endpoint.receive_frame(now, 1, &frame).is_none());
    assert!(endpoint.poll_transmit().is_none());
    endpoint.connect(now, 1, Capabilities::default());
    assert!(endpoint.receive_frame(now, 1, &frame).is_some());
    let answer = endpoint.poll_transmit().expect("an answer");
    assert_eq!(answer.datagram[..], [0x01, Code::BAD_OPTION.0, 0xaa]);
    for nothing in [&[0x00, 0x00][..], &[0x00, 0xe2], &[0x01, 0x45, 0xaa]] {
        assert!(endpoint.receive_frame(now, 1, nothing).is_none());
    }
    assert!(endpoint.poll_transmit().is_none());
}
