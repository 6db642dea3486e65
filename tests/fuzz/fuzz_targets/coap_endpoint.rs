//! The CoAP engine under arbitrary datagrams, times and calls of the application.
//!
//! Beyond not panicking: what it sends is CoAP, its limits hold, its timers move on, and every
//! request of ours that was not withdrawn ends exactly once.

#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use lwm2m_coap::{
    BlockSize, Code, Config, Endpoint, Event, Message, MessageBuilder, MessageType, OptionNumber,
    OutgoingRequest, RequestId, Response, ResponseHandle, Token,
};
use lwm2m_fuzz::steps::Steps;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = Steps::new(data);
    let mut world = World::new(u64::from(steps.byte()));
    while !steps.is_empty() {
        world.step(&mut steps);
    }
    world.finish();
});

/// A peer; 0 to 3.
type Peer = u8;

const PEERS: usize = 4;

/// How many requests and datagrams the fuzzer can refer back to.
const REMEMBERED: usize = 8;

/// The engine sends at most this much for one datagram: an answer, and requests that waited.
const TRANSMITS_MAX: usize = 8;

/// Limits so small that they are reached.
fn config() -> Config {
    Config {
        block_size: BlockSize::at_most(32),
        body_inline_max: 48,
        body_max: 512,
        transfers_max: 3,
        transfers_per_peer_max: 2,
        transfer_bytes_max: 1024,
        peer_queue_max: 3,
        deduplication_max: 16,
        options_max: 8,
        token_max: 12,
        ..Config::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ours {
    /// Sent, or waiting for its turn: one response or failure will come.
    Open,
    /// An observation stands under it.
    Observed,
    /// A notification that the application sent; it fails or nothing comes.
    Notified,
}

/// Our requests, each with its peer.
type Requests = BTreeMap<RequestId, (Peer, Ours)>;

struct World {
    endpoint: Endpoint<Peer>,
    now: Instant,
    ours: Requests,
    asked: VecDeque<ResponseHandle<Peer>>,
    sent: VecDeque<(Peer, Vec<u8>)>,
    /// How often a peer became another, which joins their queues.
    moves: usize,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            endpoint: Endpoint::new(config(), seed),
            now: Instant::now(),
            ours: BTreeMap::new(),
            asked: VecDeque::new(),
            sent: VecDeque::new(),
            moves: 0,
        }
    }

    fn step(&mut self, steps: &mut Steps<'_>) {
        let peer = steps.below(PEERS) as Peer;
        match steps.below(13) {
            0 | 1 => self.receive(peer, steps.bytes()),
            2..=4 => {
                if let Some((peer, datagram)) = self.reply(steps) {
                    self.receive(peer, &datagram);
                }
            }
            5 => self.wait(Duration::from_millis(u64::from(steps.byte()) * 37)),
            6 => self.wait(Duration::from_secs(u64::from(steps.byte()))),
            7 => self.request(peer, steps),
            8 => self.respond(steps),
            9 => self.notify(steps),
            10 => {
                let known = self.known_request(steps);
                if let Some(request) = known {
                    self.endpoint.cancel(request);
                    self.ours.remove(&request);
                }
            }
            11 => {
                let to = steps.below(PEERS) as Peer;
                self.endpoint.move_peer(peer, to);
                self.moves += 1;
                for (of, _) in self.ours.values_mut().filter(|(of, _)| *of == peer) {
                    *of = to;
                }
            }
            _ => match steps.below(2) {
                0 => self.endpoint.ping(self.now, peer),
                _ => {
                    self.endpoint.forget_peer(peer);
                    // Its observations end in silence, its requests with a failure.
                    self.ours.retain(|_, ours| *ours != (peer, Ours::Observed));
                }
            },
        }
        self.drain();
    }

    fn receive(&mut self, peer: Peer, datagram: &[u8]) {
        if let Some(event) = self.endpoint.receive(self.now, peer, datagram) {
            note(event, &mut self.ours, &mut self.asked);
        }
        let transmits = self.drain();
        assert!(transmits <= TRANSMITS_MAX, "{transmits} datagrams for one");
    }

    /// A datagram that answers one that was sent: its token and id, anything else.
    fn reply(&mut self, steps: &mut Steps<'_>) -> Option<(Peer, Vec<u8>)> {
        let index = steps.below(self.sent.len());
        let (peer, sent) = self.sent.get(index)?;
        let sent = Message::parse(sent).expect("checked when it was sent");
        let message_type = MessageType::from_bits(steps.byte());
        let code = [
            Code::EMPTY,
            Code::CONTENT,
            Code::CHANGED,
            Code::CONTINUE,
            Code::NOT_FOUND,
        ][steps.below(5)];
        let token = match code {
            Code::EMPTY => Token::EMPTY,
            _ => Token::new(sent.token()).expect("ours are short"),
        };
        let message_id = match steps.below(3) {
            0 | 1 => sent.message_id(),
            _ => u16::from(steps.byte()),
        };
        let mut out = Vec::new();
        let mut builder = MessageBuilder::new(&mut out, message_type, code, message_id, &token);
        let options = [
            OptionNumber::ETAG,
            OptionNumber::OBSERVE,
            OptionNumber::BLOCK2,
            OptionNumber::BLOCK1,
            OptionNumber::SIZE2,
        ];
        let present = steps.byte();
        for (index, option) in options.into_iter().enumerate() {
            if code != Code::EMPTY && present >> index & 1 == 1 {
                let value = u32::from(steps.byte());
                builder = builder.uint(option, value);
            }
        }
        match code {
            Code::EMPTY => builder.finish(),
            _ => builder.payload(steps.bytes()),
        }
        Some((*peer, out))
    }

    fn request(&mut self, peer: Peer, steps: &mut Steps<'_>) {
        let code = [Code::GET, Code::PUT, Code::POST, Code::FETCH][steps.below(4)];
        let flags = steps.byte();
        let mut request = OutgoingRequest::new(code)
            .option(OptionNumber::URI_PATH, &b"3"[..])
            .payload(vec![7; usize::from(steps.byte()) * 3]);
        request.confirmable = flags & 1 == 0;
        request.observe = [None, Some(true), Some(false), None][usize::from(flags >> 1 & 3)];
        request.timeout = (flags & 8 != 0).then_some(Duration::from_secs(5));
        let refreshed = match flags & 16 {
            0 => None,
            _ => self.known_request(steps),
        };
        request.token = refreshed.and_then(|request| self.endpoint.request_token(request));
        // The token of another peer's observation is as good as any.
        let replaces = refreshed.filter(|request| self.ours[request] == (peer, Ours::Observed));
        if let Ok(id) = self.endpoint.request(self.now, peer, request) {
            if let Some(replaced) = replaces {
                self.ours.remove(&replaced);
            }
            let before = self.ours.insert(id, (peer, Ours::Open));
            assert_eq!(before, None, "an id of its own");
        }
    }

    fn respond(&mut self, steps: &mut Steps<'_>) {
        let index = steps.below(self.asked.len());
        if let Some(handle) = self.asked.get(index).copied() {
            self.endpoint.respond(self.now, handle, response(steps));
        }
    }

    fn notify(&mut self, steps: &mut Steps<'_>) {
        let index = steps.below(self.asked.len());
        let confirmable = steps.byte() & 1 == 0;
        if let Some(handle) = self.asked.get(index).copied() {
            let response = response(steps);
            let sent = self
                .endpoint
                .notify(self.now, handle, confirmable, response);
            if let Ok(id) = sent {
                self.ours.insert(id, (handle.peer(), Ours::Notified));
            }
        }
    }

    fn known_request(&mut self, steps: &mut Steps<'_>) -> Option<RequestId> {
        let index = steps.below(self.ours.len());
        self.ours.keys().nth(index).copied()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.endpoint.handle_timeout(self.now);
        let next = self.endpoint.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "a timer moves on");
    }

    /// Takes what the engine has to give and says how many datagrams there were.
    fn drain(&mut self) -> usize {
        let mut transmits = 0;
        while let Some(transmit) = self.endpoint.poll_transmit() {
            Message::parse(&transmit.datagram).expect("what we send is CoAP");
            self.sent
                .push_front((transmit.peer, transmit.datagram.to_vec()));
            transmits += 1;
        }
        while let Some(event) = self.endpoint.poll_event() {
            note(event, &mut self.ours, &mut self.asked);
        }
        self.sent.truncate(REMEMBERED);
        self.asked.truncate(REMEMBERED);
        // A peer that moves brings its line along, and each observation may line up one request for
        // the rest of a large notification.
        let queued_max = config().peer_queue_max * (1 + self.moves) + self.ours.len();
        for peer in 0..PEERS as Peer {
            let status = self.endpoint.peer_status(peer);
            assert!(status.queued <= queued_max, "{status:?}");
        }
        transmits
    }

    /// Lets time pass until nothing waits: then every request has ended.
    fn finish(mut self) {
        let mut rounds = 0;
        while let Some(at) = self.endpoint.poll_timeout() {
            self.now = self.now.max(at);
            self.wait(Duration::ZERO);
            self.drain();
            rounds += 1;
            assert!(rounds < 100_000, "time does not end");
        }
        let open = self.ours.values().filter(|(_, ours)| *ours == Ours::Open);
        assert_eq!(open.count(), 0, "requests without an end: {:?}", self.ours);
    }
}

fn response(steps: &mut Steps<'_>) -> Response {
    let code = [Code::CONTENT, Code::CHANGED, Code::NOT_FOUND][steps.below(3)];
    let response = Response::new(code).payload(vec![8; usize::from(steps.byte()) * 3]);
    match steps.byte() & 1 {
        0 => response,
        _ => response.uint(OptionNumber::OBSERVE, 0),
    }
}

/// Checks that an event speaks of something that is open, and closes it.
fn note(event: Event<'_, Peer>, ours: &mut Requests, asked: &mut VecDeque<ResponseHandle<Peer>>) {
    let mut end = |peer: Peer, request: RequestId, observing: bool, from: &[Ours]| {
        let state = ours.get(&request).copied();
        assert!(
            state.is_some_and(|(of, state)| of == peer && from.contains(&state)),
            "{request:?} of {peer} was {state:?}"
        );
        match observing {
            true => ours.insert(request, (peer, Ours::Observed)),
            false => ours.remove(&request),
        };
    };
    match event {
        Event::Request(request) => asked.push_front(request.handle),
        Event::Response(response) => {
            assert!(response.body.len() <= config().body_max.max(response.message.payload().len()));
            end(
                response.peer,
                response.request,
                response.observing,
                &[Ours::Open],
            );
        }
        Event::Notification(notification) => end(
            notification.peer,
            notification.request,
            notification.observing,
            &[Ours::Observed],
        ),
        Event::Failed { peer, request, .. } => end(
            peer,
            request,
            false,
            &[Ours::Open, Ours::Observed, Ours::Notified],
        ),
        _ => {}
    }
}
