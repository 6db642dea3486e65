//! The protocol engine, for datagrams and for the messages of streams.
//!
//! ```text
//!   datagram, now ──> receive ──> Event (at most one, borrowing from the datagram)
//!                       │
//!   timer ──> handle_timeout ──> poll_event ──> Event (timeouts, failures)
//!   application ──> request / respond / cancel
//!                       │
//!                       └──> poll_transmit ──> Transmit (peer, bytes)
//! ```
//!
//! The caller drains [`Endpoint::poll_transmit`] and [`Endpoint::poll_event`] after every call, and
//! calls [`Endpoint::handle_timeout`] at the time that [`Endpoint::poll_timeout`] gives.
//!
//! A peer on a stream is one that [`Endpoint::connect`] was told of; its messages go to
//! [`Endpoint::receive_frame`], see [`tcp`](crate::tcp) for the connection below.
//!
//! With [`Endpoint::with_security`], requests may name a security context, and what is protected is
//! taken by [`Endpoint::receive_with`], see [`ObjectSecurity`].
//!
//! `P` names a peer: a socket address, a session id. It is what messages are matched by; when a
//! peer moves, [`Endpoint::move_peer`] takes its exchanges and observations along. Datagrams that
//! were sent to a multicast address are the transport's to drop: the engine answers what it gets.

mod answering;
mod assembly;
mod deduplication;
mod download;
mod exchange;
mod incoming;
mod movement;
mod observation;
mod outbox;
mod outgoing;
mod peer;
mod protection;
mod rejection;
mod reliability;
mod responses;
mod retransmission;
mod short;
mod stored;
mod stream;
mod timers;
mod types;
mod upload;

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::DefaultHashBuilder;
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::assembly::Assemblies;
use self::deduplication::Deduplication;
use self::exchange::Exchanges;
use self::observation::Templates;
use self::outbox::Outbox;
use self::peer::Peers;
use self::rejection::Rejections;
use self::reliability::Transmissions;
use self::stored::StoredResponses;
use self::timers::{Clock, Millis, NEVER, Timer, Timers, millis};
pub use self::types::{
    Event, Failure, IncomingRequest, IncomingResponse, Notification, OutgoingRequest, Payload,
    PeerStatus, RequestError, RequestId, Response, ResponseHandle, Statistics, Transmit,
};
use crate::{Code, Config, Message, MessageType, ObjectSecurity, Token};

/// The engine for all peers of one socket (or shard).
#[derive(Debug)]
pub struct Endpoint<P> {
    config: Config,
    lifetimes: Lifetimes,
    random: StdRng,
    clock: Clock,
    timers: Timers,
    peers: Peers<P>,
    exchanges: Exchanges,
    templates: Templates,
    transmissions: Transmissions,
    deduplication: Deduplication<P>,
    assemblies: Assemblies<P>,
    stored: StoredResponses<P>,
    /// Fingerprints of what requests ask for.
    resources: DefaultHashBuilder,
    rejections: Rejections,
    security: Option<Arc<dyn ObjectSecurity>>,
    outbox: Outbox<P>,
    events: VecDeque<Event<'static, P>>,
    statistics: Statistics,
}

/// How long messages are remembered, derived from the configuration once.
#[derive(Debug, Clone, Copy)]
struct Lifetimes {
    /// EXCHANGE_LIFETIME
    exchange: Millis,
    /// NON_LIFETIME
    non: Millis,
}

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// An engine; `seed` feeds message ids, tokens and timers, and comes from the operating
    /// system outside tests.
    pub fn new(config: Config, seed: u64) -> Endpoint<P> {
        let mut random = StdRng::seed_from_u64(seed);
        Endpoint {
            lifetimes: Lifetimes {
                exchange: millis(config.transmission.exchange_lifetime()),
                non: millis(config.transmission.non_lifetime()),
            },
            clock: Clock::default(),
            timers: Timers::default(),
            peers: Peers::new(),
            exchanges: Exchanges::new(&mut random),
            templates: Templates::default(),
            transmissions: Transmissions::default(),
            deduplication: Deduplication::new(config.deduplication_max),
            assemblies: Assemblies::default(),
            stored: StoredResponses::default(),
            resources: DefaultHashBuilder::default(),
            rejections: Rejections::default(),
            security: None,
            outbox: Outbox::new(config.chunk_bytes),
            events: VecDeque::new(),
            statistics: Statistics::default(),
            random,
            config,
        }
    }

    /// The engine with object security: it protects requests that name a security context, and
    /// takes protected messages in [`Endpoint::receive_with`].
    pub fn with_security(self, security: Arc<dyn ObjectSecurity>) -> Endpoint<P> {
        Endpoint {
            security: Some(security),
            ..self
        }
    }

    /// Takes one datagram. At most one event comes of it; replies that need no application
    /// (ACK, RST, 2.31, 4.02, 4.08, 4.13, duplicates) go to [`Endpoint::poll_transmit`].
    ///
    /// Protected messages are not understood here: the OSCORE option is critical.
    pub fn receive<'d>(
        &mut self,
        now: Instant,
        peer: P,
        datagram: &'d [u8],
    ) -> Option<Event<'d, P>> {
        self.take(now, peer, datagram, None)
    }

    /// As [`Endpoint::receive`], protected messages included: `plain` holds what such a message
    /// stands for, in place of what it held before.
    pub fn receive_with<'d>(
        &mut self,
        now: Instant,
        peer: P,
        datagram: &'d [u8],
        plain: &'d mut Vec<u8>,
    ) -> Option<Event<'d, P>> {
        plain.clear();
        let plain = self.security.is_some().then_some(plain);
        self.take(now, peer, datagram, plain)
    }

    fn take<'d>(
        &mut self,
        now: Instant,
        peer: P,
        datagram: &'d [u8],
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        self.clock.advance(now);
        self.statistics.received += 1;
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(error) => {
                self.statistics.malformed += 1;
                if let Some(message_id) = error.reset_id() {
                    self.send_reset(peer, message_id);
                }
                let reason = error.reason();
                return Some(Event::Refused { peer, reason });
            }
        };
        let message_id = message.message_id();
        match (message.message_type(), message.code()) {
            (MessageType::Confirmable, Code::EMPTY) => {
                self.send_reset(peer, message_id);
                Some(Event::Ping { peer })
            }
            (MessageType::Acknowledgement, Code::EMPTY) => self.take_ack(peer, message_id),
            (MessageType::Acknowledgement, _) => self.take_piggybacked(peer, message, plain),
            (MessageType::Reset, _) => self.take_reset(peer, message_id),
            (_, code) if code.is_request() => self.take_request(peer, message, datagram, plain),
            _ => self.take_separate(peer, message, datagram, plain),
        }
    }

    /// Sends a request, or lines it up behind the peer's others (NSTART).
    ///
    /// Bodies above [`Config::body_inline_max`] go block-wise; bodies of the response are put
    /// together before the event.
    ///
    /// With [`OutgoingRequest::token`] of a standing observation, the request takes the
    /// observation's place: its former id is void and no event comes under it. That is how an
    /// observation is refreshed (`observe` true) or cancelled (`observe` false).
    ///
    /// # Errors
    /// Says that nothing was sent and why.
    pub fn request(
        &mut self,
        now: Instant,
        peer: P,
        request: OutgoingRequest,
    ) -> Result<RequestId, RequestError> {
        self.clock.advance(now);
        self.begin(peer, request)
    }

    /// Answers a request; piggybacked when still possible, block-wise when large.
    ///
    /// Honours No-Response (RFC 7967). A second answer to the same request is dropped while the
    /// first is remembered. An Observe option of any value marks the answer to an observe
    /// request as its first notification; the engine puts the sequence number in.
    pub fn respond(&mut self, now: Instant, handle: ResponseHandle<P>, response: Response) {
        self.clock.advance(now);
        self.respond_as_application(&handle, response);
    }

    /// Forgets a request or an observation: no event will come of it. A notification that
    /// arrives later is answered by RST, which is the passive cancel of RFC 7641 §3.6; on a stream
    /// the peer is told at once.
    pub fn cancel(&mut self, request: RequestId) {
        if let Some(slot) = self.exchanges.find_id(request) {
            self.cancel_on_stream(slot);
            self.discard(slot);
        }
    }

    /// As [`Endpoint::cancel`], but says nothing to a peer on a stream: for what the peer has
    /// forgotten itself.
    pub fn forget(&mut self, request: RequestId) {
        if let Some(slot) = self.exchanges.find_id(request) {
            self.discard(slot);
        }
    }

    /// The token of a request or an observation, none when it has ended.
    ///
    /// It is what a refresh or an active cancel puts into [`OutgoingRequest::token`].
    pub fn request_token(&self, request: RequestId) -> Option<Token> {
        let slot = self.exchanges.find_id(request)?;
        Token::new(self.exchanges.at(slot).token.as_bytes())
    }

    /// As a device: sends a notification to an observer, `handle` being that of the observe
    /// request, which stays valid for it.
    ///
    /// A response of class 4 or 5 ends the observation and carries no sequence number. No event
    /// comes under the id: an acknowledged notification is silent, another one ends in
    /// [`Event::ObserverGone`].
    ///
    /// # Errors
    /// [`RequestError::QueueFull`] when [`Config::peer_queue_max`] confirmable messages to this
    /// peer are unacknowledged.
    pub fn notify(
        &mut self,
        now: Instant,
        handle: ResponseHandle<P>,
        confirmable: bool,
        response: Response,
    ) -> Result<RequestId, RequestError> {
        self.clock.advance(now);
        self.send_notification(&handle, confirmable, response)
    }

    /// As a device or a tester: sends a CoAP ping. The RST comes as [`Event::Pong`].
    pub fn ping(&mut self, now: Instant, peer: P) {
        self.clock.advance(now);
        self.send_ping(peer);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<P>> {
        let transmit = self.outbox.pop()?;
        self.statistics.sent += 1;
        Some(transmit)
    }

    /// The next event that no datagram brought.
    pub fn poll_event(&mut self) -> Option<Event<'static, P>> {
        self.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is due; none when nothing waits.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        while let Some((at, timer)) = self.timers.peek()
            && !self.is_current(at, timer)
        {
            self.timers.pop();
        }
        let timer = self.timers.peek().map(|(at, _)| at);
        let acknowledgement = self.deduplication.next_acknowledgement();
        let expiry = self.deduplication.next_expiry_s();
        [timer, acknowledgement, expiry.map(|s| u64::from(s) * 1000)]
            .into_iter()
            .flatten()
            .min()
            .and_then(|at| self.clock.instant(at))
    }

    /// Runs the timers: retransmission, give-up, expiry of remembered messages and of bodies
    /// that were never finished.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some((at, timer)) = self.timers.peek()
            && at <= now
        {
            self.timers.pop();
            if self.is_current(at, timer) {
                self.run_timer(timer);
            }
        }
        while let Some((peer, message_id)) = self.deduplication.acknowledge_due(now) {
            self.send_empty(MessageType::Acknowledgement, peer, message_id);
        }
        self.deduplication.expire(self.clock.seconds());
    }

    /// A peer has a new name: its outstanding requests and observations go along, remembered
    /// messages do not.
    pub fn move_peer(&mut self, from: P, to: P) {
        self.rename_peer(from, to);
    }

    /// Forgets a peer. Its outstanding requests fail with [`Failure::PeerGone`] through
    /// [`Endpoint::poll_event`]; so do its observations when it was connected, while others end in
    /// silence.
    pub fn forget_peer(&mut self, peer: P) {
        self.remove_peer(peer);
    }

    /// What is outstanding with a peer.
    pub fn peer_status(&self, peer: P) -> PeerStatus {
        let Some(slot) = self.peers.find(peer) else {
            return PeerStatus::default();
        };
        let peer = self.peers.at(slot);
        PeerStatus {
            outstanding: peer.in_flight as usize,
            queued: peer.queued(),
            observations: peer.observations as usize,
        }
    }

    /// Counters since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn run_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Transmission(slot) => self.retransmit(slot),
            Timer::Exchange(slot) => self.time_out(slot),
            Timer::Peer(slot) => self.review_peer(slot),
            Timer::Assembly(slot) => {
                self.assemblies.remove(slot);
            }
            Timer::Stored(slot) => self.stored.remove(slot),
        }
    }

    /// True when the owner of a timer still waits for it.
    fn is_current(&self, at: timers::Millis, timer: Timer) -> bool {
        let deadline = match timer {
            Timer::Transmission(slot) => self.transmissions.get(slot).map(|owner| owner.deadline),
            Timer::Exchange(slot) => self.exchanges.deadline(slot),
            Timer::Peer(slot) => self
                .peers
                .contains(slot)
                .then(|| self.peers.at(slot).deadline),
            Timer::Assembly(slot) => self.assemblies.deadline(slot),
            Timer::Stored(slot) => self.stored.deadline(slot),
        };
        deadline == Some(at)
    }

    /// Arms a timer whose owner holds the deadline.
    fn arm(&mut self, at: timers::Millis, timer: Timer) {
        if at == NEVER {
            return;
        }
        self.timers.arm(at, timer);
        let owners = self.transmissions.len()
            + self.exchanges.len()
            + self.peers.len()
            + self.assemblies.len()
            + self.stored.len();
        if self.timers.is_crowded(owners) {
            let mut timers = std::mem::take(&mut self.timers);
            timers.sweep(|at, timer| self.is_current(at, timer));
            self.timers = timers;
        }
    }

    /// Sends an empty ACK or RST.
    fn send_empty(&mut self, message_type: MessageType, peer: P, message_id: u16) {
        let datagram = self.outbox.encode_empty(message_type, message_id);
        self.outbox.push(peer, datagram);
    }

    /// Sends a RST, unless the peer has had too many.
    fn send_reset(&mut self, peer: P, message_id: u16) {
        if self.may_reject(peer) {
            self.send_empty(MessageType::Reset, peer, message_id);
        }
    }

    /// Counts a reset or refusal to be sent; false when it must not.
    fn may_reject(&mut self, peer: P) -> bool {
        let max = self.config.rejections_per_second_max;
        self.rejections.allow(self.clock.seconds(), peer, max)
    }

    /// Counts a datagram that is refused.
    fn refuse<'d>(&mut self, peer: P, reason: &'static str) -> Option<Event<'d, P>> {
        self.statistics.refused += 1;
        Some(Event::Refused { peer, reason })
    }
}
