//! Two endpoints, a network between them that can hurt, and a clock that only moves when told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lwm2m_coap::{
    Code, Config, Endpoint, Event, Failure, Message, MessageBuilder, MessageType, OptionNumber,
    OutgoingRequest, RequestId, Response, ResponseHandle, Token, Uint,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Server,
    Device,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Server => Side::Device,
            Side::Device => Side::Server,
        }
    }
}

/// All hardship of the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// Probability of losing a datagram.
    pub(crate) loss: f64,
    /// Probability of delivering it twice.
    pub(crate) duplication: f64,
    /// Delay, at least and at most: datagrams overtake each other when they differ.
    pub(crate) delay: (Duration, Duration),
}

impl Network {
    pub(crate) const CALM: Network = Network {
        loss: 0.0,
        duplication: 0.0,
        delay: (Duration::from_millis(10), Duration::from_millis(10)),
    };
}

/// An event without borrows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Request(SeenRequest),
    Response {
        request: RequestId,
        code: Code,
        body: Vec<u8>,
        observing: bool,
    },
    Notification {
        request: RequestId,
        code: Code,
        body: Vec<u8>,
        observing: bool,
    },
    Failed(RequestId, Failure),
    ObserverGone(Token),
    Ping,
    Pong,
    Refused(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenRequest {
    pub(crate) handle: ResponseHandle<Side>,
    pub(crate) code: Code,
    pub(crate) path: String,
    pub(crate) observe: Option<u32>,
    pub(crate) body: Vec<u8>,
    pub(crate) confirmable: bool,
}

impl Seen {
    pub(crate) fn of(event: Event<'_, Side>) -> Seen {
        match event {
            Event::Request(request) => Seen::Request(SeenRequest {
                handle: request.handle,
                code: request.message.code(),
                path: request
                    .message
                    .uri_path_str()
                    .map(|segment| format!("/{}", segment.expect("the engine checks")))
                    .collect(),
                observe: request.message.observe(),
                body: request.body.into_owned(),
                confirmable: request.confirmable,
            }),
            Event::Response(response) => Seen::Response {
                request: response.request,
                code: response.message.code(),
                body: response.body.into_owned(),
                observing: response.observing,
            },
            Event::Notification(notification) => Seen::Notification {
                request: notification.request,
                code: notification.message.code(),
                body: notification.body.into_owned(),
                observing: notification.observing,
            },
            Event::Failed {
                request, failure, ..
            } => Seen::Failed(request, failure),
            Event::ObserverGone { token, .. } => Seen::ObserverGone(token),
            Event::Ping { .. } => Seen::Ping,
            Event::Pong { .. } => Seen::Pong,
            Event::Refused { reason, .. } => Seen::Refused(reason),
            other => panic!("an event that the tests do not know: {other:?}"),
        }
    }

    pub(crate) fn request(&self) -> Option<&SeenRequest> {
        match self {
            Seen::Request(request) => Some(request),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Flight {
    arrives: Instant,
    sequence: u64,
    to: Side,
    datagram: Bytes,
}

type Service = Box<dyn FnMut(&SeenRequest) -> Option<Response>>;

/// One endpoint and what its application sees.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint<Side>,
    pub(crate) seen: Vec<Seen>,
    /// Every datagram that left, with its time since the start.
    pub(crate) sent: Vec<(Duration, Bytes)>,
    /// Answers requests at once; without, requests wait in `seen`.
    pub(crate) service: Option<Service>,
}

pub(crate) struct Pair {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) network: Network,
    pub(crate) server: Node,
    pub(crate) device: Node,
    flights: VecDeque<Flight>,
    random: StdRng,
    sequence: u64,
}

impl Pair {
    pub(crate) fn new(seed: u64, network: Network) -> Pair {
        Pair::with(seed, network, Config::default(), Config::default())
    }

    pub(crate) fn with(seed: u64, network: Network, server: Config, device: Config) -> Pair {
        let node = |config, seed| Node {
            endpoint: Endpoint::new(config, seed),
            seen: Vec::new(),
            sent: Vec::new(),
            service: None,
        };
        let start = Instant::now();
        Pair {
            start,
            now: start,
            network,
            server: node(server, seed.wrapping_mul(2)),
            device: node(device, seed.wrapping_mul(2) + 1),
            flights: VecDeque::new(),
            random: StdRng::seed_from_u64(seed),
            sequence: 0,
        }
    }

    pub(crate) fn node(&mut self, side: Side) -> &mut Node {
        match side {
            Side::Server => &mut self.server,
            Side::Device => &mut self.device,
        }
    }

    /// Seconds since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Puts a datagram straight into an endpoint, as from the other side.
    pub(crate) fn inject(&mut self, to: Side, datagram: &[u8]) {
        let now = self.now;
        self.deliver(now, to, datagram);
    }

    /// Takes what both have to send.
    pub(crate) fn flush(&mut self) {
        for side in [Side::Server, Side::Device] {
            let elapsed = self.elapsed();
            let node = self.node(side);
            let mut out = Vec::new();
            while let Some(transmit) = node.endpoint.poll_transmit() {
                assert_eq!(transmit.peer, side.other());
                node.sent.push((elapsed, transmit.datagram.clone()));
                out.push(transmit.datagram);
            }
            while let Some(event) = node.endpoint.poll_event() {
                node.seen.push(Seen::of(event));
            }
            for datagram in out {
                self.post(side.other(), datagram);
            }
        }
    }

    /// Goes to the next time at which something happens; false when nothing will.
    pub(crate) fn step(&mut self) -> bool {
        self.flush();
        let arrival = self.flights.front().map(|flight| flight.arrives);
        let timers = [
            self.server.endpoint.poll_timeout(),
            self.device.endpoint.poll_timeout(),
        ];
        let Some(next) = timers.into_iter().flatten().chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(flight) = self.flights.front()
            && flight.arrives <= now
        {
            let flight = self.flights.pop_front().expect("there is one");
            self.deliver(now, flight.to, &flight.datagram);
        }
        for side in [Side::Server, Side::Device] {
            let node = self.node(side);
            if node.endpoint.poll_timeout().is_some_and(|at| at <= now) {
                node.endpoint.handle_timeout(now);
            }
        }
        self.flush();
        true
    }

    /// Steps until nothing happens any more.
    pub(crate) fn drive(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Steps for a time.
    pub(crate) fn drive_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.flush();
        loop {
            let timers = [
                self.server.endpoint.poll_timeout(),
                self.device.endpoint.poll_timeout(),
            ];
            let arrival = self.flights.front().map(|flight| flight.arrives);
            match timers.into_iter().flatten().chain(arrival).min() {
                Some(next) if next <= until => self.step(),
                _ => break,
            };
        }
        self.now = until;
    }

    pub(crate) fn drive_s(&mut self, seconds: u64) {
        self.drive_for(Duration::from_secs(seconds));
    }

    /// The requests that an application saw, taken out of its events.
    pub(crate) fn take_requests(&mut self, side: Side) -> Vec<SeenRequest> {
        let seen = &mut self.node(side).seen;
        let requests = seen.iter().filter_map(Seen::request).cloned().collect();
        seen.retain(|seen| seen.request().is_none());
        requests
    }

    /// Times of a side's datagrams since the start, in milliseconds.
    pub(crate) fn sent_ms(&mut self, side: Side) -> Vec<u128> {
        let sent = &self.node(side).sent;
        sent.iter().map(|(at, _)| at.as_millis()).collect()
    }

    fn deliver(&mut self, now: Instant, to: Side, datagram: &[u8]) {
        let node = self.node(to);
        let Some(event) = node.endpoint.receive(now, to.other(), datagram) else {
            return;
        };
        let seen = Seen::of(event);
        if let (Seen::Request(request), Some(service)) = (&seen, &mut node.service)
            && let Some(response) = service(request)
        {
            node.endpoint.respond(now, request.handle, response);
        }
        node.seen.push(seen);
    }

    fn post(&mut self, to: Side, datagram: Bytes) {
        if self.random.random_bool(self.network.loss) {
            return;
        }
        let copies = 1 + usize::from(self.random.random_bool(self.network.duplication));
        for _ in 0..copies {
            let (least, most) = self.network.delay;
            let delay = self
                .random
                .random_range(least.as_micros()..=most.as_micros());
            self.sequence += 1;
            let flight = Flight {
                arrives: self.now + Duration::from_micros(delay as u64),
                sequence: self.sequence,
                to,
                datagram: datagram.clone(),
            };
            let place = self.flights.partition_point(|other| {
                (other.arrives, other.sequence) <= (flight.arrives, flight.sequence)
            });
            self.flights.insert(place, flight);
        }
    }
}

/// A GET of `/path`.
pub(crate) fn get(path: &'static str) -> OutgoingRequest {
    OutgoingRequest::new(Code::GET)
        .option(OptionNumber::URI_PATH, Bytes::from_static(path.as_bytes()))
}

/// A service that answers 2.05 with these bytes.
pub(crate) fn content(body: impl Into<Bytes>) -> Service {
    let body = body.into();
    Box::new(move |_| Some(Response::new(Code::CONTENT).payload(body.clone())))
}

/// A message as a stack that is not ours would write it.
pub(crate) fn built(
    message_type: MessageType,
    code: Code,
    message_id: u16,
    token: &[u8],
    write: impl FnOnce(Draft) -> Draft,
) -> Vec<u8> {
    let draft = write(Draft::default());
    let mut out = Vec::new();
    let token = Token::new(token).expect("short");
    let mut builder = MessageBuilder::new(&mut out, message_type, code, message_id, &token);
    for (number, value) in &draft.options {
        builder = builder.option(*number, value);
    }
    builder.payload(&draft.payload);
    out
}

/// Options in ascending order, and the payload.
#[derive(Default)]
pub(crate) struct Draft {
    options: Vec<(OptionNumber, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Draft {
    pub(crate) fn option(mut self, number: OptionNumber, value: &[u8]) -> Draft {
        self.options.push((number, value.to_vec()));
        self
    }

    pub(crate) fn uint(self, number: OptionNumber, value: u32) -> Draft {
        self.option(number, Uint::new(value).as_bytes())
    }

    pub(crate) fn payload_of(mut self, payload: &[u8]) -> Draft {
        self.payload = payload.to_vec();
        self
    }
}

impl Pair {
    /// The server asks the device.
    pub(crate) fn request(&mut self, request: OutgoingRequest) -> RequestId {
        let (now, peer) = (self.now, Side::Device);
        let id = self.server.endpoint.request(now, peer, request);
        self.flush();
        id.expect("taken")
    }

    /// The latest message of the server is answered by hand, piggybacked.
    pub(crate) fn answer_latest(&mut self, code: Code, write: impl FnOnce(Draft) -> Draft) {
        self.flush();
        let latest = self.server.sent.last().expect("a request").1.clone();
        let latest = Message::parse(&latest).expect("ours");
        let (message_id, token) = (latest.message_id(), latest.token());
        let answer = built(MessageType::Acknowledgement, code, message_id, token, write);
        self.inject(Side::Server, &answer);
        self.flush();
    }

    /// Types, codes and ids of a side's datagrams.
    pub(crate) fn headers(&self, side: Side) -> Vec<(MessageType, Code)> {
        let node = match side {
            Side::Server => &self.server,
            Side::Device => &self.device,
        };
        node.sent
            .iter()
            .map(|(_, datagram)| {
                let message = Message::parse(datagram).expect("ours");
                (message.message_type(), message.code())
            })
            .collect()
    }
}
