//! One socket of a storm, with the devices behind it.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use super::super::wire::{self, Observer};
use super::super::{FleetCounters, FleetStatus};
use super::{Job, StormConfig, StormOutcome};

/// How often a paced round goes on, and lost messages are looked for.
const TICK: Duration = Duration::from_millis(10);

/// How often a message is sent again.
const RETRIES_MAX: u8 = 4;

/// Observers of one device, on average; a server that observes more is not told.
const OBSERVERS_PER_DEVICE: usize = 8;

/// A round to run.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) job: Job,
    pub(super) per_second: Option<f64>,
    pub(super) done: oneshot::Sender<StormOutcome>,
}

pub(super) struct Lane {
    socket: UdpSocket,
    config: Arc<StormConfig>,
    counters: Arc<FleetCounters>,
    first: u32,
    /// By device: the location while it is registered.
    locations: Vec<Option<Box<[u8]>>>,
    observers: Vec<Observer>,
    in_flight: Vec<InFlight>,
    message_id: u16,
    sequence: u32,
    round: Option<Round>,
    out: Vec<u8>,
}

/// A message that waits for its answer.
#[derive(Debug)]
struct InFlight {
    message_id: u16,
    /// The place of the device, or of the observer.
    at: u32,
    again_at: Instant,
    tries: u8,
    /// Acknowledged; the answer comes apart.
    acknowledged: bool,
}

struct Round {
    order: Order,
    next: u32,
    end: u32,
    began: Instant,
    outcome: StormOutcome,
}

/// Why sending has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// Only to let others have their turn.
    More,
    /// The socket takes no more now.
    Blocked,
    /// Until an answer comes, or the pace allows.
    Wait,
}

impl Lane {
    pub(super) async fn open(
        local: SocketAddr,
        config: Arc<StormConfig>,
        counters: Arc<FleetCounters>,
        devices: Range<u32>,
    ) -> io::Result<Lane> {
        let socket = UdpSocket::bind(local).await?;
        socket.connect(config.server).await?;
        Ok(Lane {
            socket,
            config,
            counters,
            first: devices.start,
            locations: devices.map(|_| None).collect(),
            observers: Vec::new(),
            in_flight: Vec::new(),
            message_id: rand::random(),
            sequence: 1,
            round: None,
            out: Vec::new(),
        })
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            let fill = self.fill();
            self.finish_round();
            let (busy, blocked) = (self.round.is_some(), fill == Fill::Blocked);
            if fill == Fill::More && busy {
                self.drain();
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                ready = self.socket.readable() => {
                    if ready.is_ok() {
                        self.drain();
                    }
                }
                _ = self.socket.writable(), if blocked => {}
                () = tokio::time::sleep(TICK), if busy => self.repeat_lost(),
                order = orders.recv(), if !busy => match order {
                    Some(order) => self.begin(order),
                    None => return,
                },
            }
        }
    }

    fn begin(&mut self, order: Order) {
        let end = match order.job {
            Job::Notify { .. } => self.observers.len(),
            _ => self.locations.len(),
        };
        self.round = Some(Round {
            order,
            next: 0,
            end: end as u32,
            began: Instant::now(),
            outcome: StormOutcome::default(),
        });
    }

    /// Ends the round when all is answered, or when nobody waits for its outcome any more.
    fn finish_round(&mut self) {
        let Some(mut round) = self.round.take() else {
            return;
        };
        if round.order.done.is_closed() {
            self.in_flight.clear();
        } else if round.next < round.end || !self.in_flight.is_empty() {
            self.round = Some(round);
        } else {
            round.outcome.elapsed = round.began.elapsed();
            // The storm may have been given up.
            let _ = round.order.done.send(round.outcome);
        }
    }

    /// Sends what the window and the pace allow.
    fn fill(&mut self) -> Fill {
        let now = Instant::now();
        for _ in 0..self.config.window.max(1) {
            let Some(round) = &mut self.round else {
                return Fill::Wait;
            };
            let allowed = round.order.per_second.is_none_or(|rate| {
                f64::from(round.next) < now.duration_since(round.began).as_secs_f64() * rate + 1.0
            });
            if round.next >= round.end || !allowed || self.in_flight.len() >= self.config.window {
                return Fill::Wait;
            }
            let (job, at) = (round.order.job, round.next);
            let skip = match (&job, self.locations.get(at as usize)) {
                (Job::Notify { .. }, _) => false,
                (Job::Register, Some(location)) => location.is_some(),
                (_, Some(location)) => location.is_none(),
                (_, None) => true,
            };
            if skip {
                round.next += 1;
                continue;
            }
            let message_id = self.message_id;
            if !self.send(&job, at, message_id) {
                return Fill::Blocked;
            }
            self.message_id = self.message_id.wrapping_add(1);
            self.sequence = self.sequence.wrapping_add(1);
            if let Some(round) = &mut self.round {
                round.next += 1;
            }
            if job == (Job::Notify { confirmable: false }) {
                self.complete(&job, at, Ok(()), None);
            } else {
                self.in_flight.push(InFlight {
                    message_id,
                    at,
                    again_at: now + self.config.ack_timeout,
                    tries: 0,
                    acknowledged: false,
                });
            }
        }
        Fill::More
    }

    /// False when the socket takes no more now.
    fn send(&mut self, job: &Job, at: u32, message_id: u16) -> bool {
        self.out.clear();
        match job {
            Job::Notify { confirmable } => {
                let Some(observer) = self.observers.get(at as usize) else {
                    return true;
                };
                let sequence = self.sequence;
                let out = &mut self.out;
                wire::notification(out, observer, *confirmable, message_id, sequence);
            }
            _ => {
                let location = self.locations.get(at as usize).and_then(Option::as_deref);
                let (device, location) = (self.first + at, location.unwrap_or(b""));
                let out = &mut self.out;
                wire::request(out, &self.config, job, device, message_id, location);
            }
        }
        self.transmit()
    }

    fn transmit(&mut self) -> bool {
        match self.socket.try_send(&self.out) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    fn repeat_lost(&mut self) {
        let now = Instant::now();
        let Some(job) = self.round.as_ref().map(|round| round.order.job) else {
            return;
        };
        let mut at = 0;
        while at < self.in_flight.len() {
            let waiting = &mut self.in_flight[at];
            if waiting.again_at > now {
                at += 1;
                continue;
            }
            if waiting.tries >= RETRIES_MAX {
                let given_up = self.in_flight.swap_remove(at);
                self.complete(&job, given_up.at, Err(None), None);
                continue;
            }
            waiting.tries += 1;
            waiting.again_at = now + self.config.ack_timeout * (1 << waiting.tries);
            let (subject, message_id) = (waiting.at, waiting.message_id);
            let acknowledged = waiting.acknowledged;
            if !acknowledged {
                if let Some(round) = &mut self.round {
                    round.outcome.retransmitted += 1;
                }
                self.send(&job, subject, message_id);
            }
            at += 1;
        }
    }

    fn drain(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.try_recv(&mut buffer) {
            if let Ok(message) = Message::parse(&buffer[..length]) {
                self.take(&message);
            }
        }
    }

    fn take(&mut self, message: &Message<'_>) {
        match (message.message_type(), message.code()) {
            (_, code) if code.is_request() => self.serve(message),
            (MessageType::Acknowledgement, Code::EMPTY) => self.acknowledged(message.message_id()),
            (MessageType::Acknowledgement, code) => {
                self.answered(message.message_id(), code, message);
            }
            (MessageType::Reset, _) => self.reset(message.message_id()),
            (message_type, code) if code.is_response() => {
                if message_type == MessageType::Confirmable {
                    self.acknowledge(message.message_id());
                }
                if let [a, b, ..] = *message.token() {
                    self.answered(u16::from_be_bytes([a, b]), code, message);
                }
            }
            _ => {}
        }
    }

    fn serve(&mut self, message: &Message<'_>) {
        self.out.clear();
        let observer = wire::answer(&mut self.out, message);
        let max = OBSERVERS_PER_DEVICE * self.locations.len();
        if let Some(observer) = observer.filter(|_| self.observers.len() < max) {
            self.observers.retain(|other| other.token != observer.token);
            self.observers.push(observer);
        }
        self.counters.add(&FleetStatus {
            requests: 1,
            ..FleetStatus::default()
        });
        self.transmit();
    }

    fn acknowledge(&mut self, message_id: u16) {
        self.out.clear();
        let acknowledgement = MessageType::Acknowledgement;
        let out = &mut self.out;
        MessageBuilder::new(out, acknowledgement, Code::EMPTY, message_id, &Token::EMPTY).finish();
        self.transmit();
    }

    /// An empty acknowledgement: the end of a notification, and half the way of a request.
    fn acknowledged(&mut self, message_id: u16) {
        let job = self.round.as_ref().map(|round| round.order.job);
        if let Some(Job::Notify { .. }) = job {
            self.answered_by(message_id, Ok(()), None);
        } else if let Some(waiting) = self.waiting(message_id) {
            self.in_flight[waiting].acknowledged = true;
        }
    }

    fn answered(&mut self, message_id: u16, code: Code, message: &Message<'_>) {
        let job = self.round.as_ref().map(|round| round.order.job);
        let accepted = match job {
            Some(Job::Register) => code == Code::CREATED,
            _ => code.is_success(),
        };
        let outcome = if accepted { Ok(()) } else { Err(Some(code)) };
        let location = (job == Some(Job::Register)).then(|| {
            let segments: Vec<&[u8]> = message.values(OptionNumber::LOCATION_PATH).collect();
            segments.join(&b'/').into_boxed_slice()
        });
        self.answered_by(message_id, outcome, location);
    }

    fn reset(&mut self, message_id: u16) {
        self.answered_by(message_id, Err(None), None);
    }

    fn answered_by(
        &mut self,
        message_id: u16,
        outcome: Result<(), Option<Code>>,
        location: Option<Box<[u8]>>,
    ) {
        let Some(job) = self.round.as_ref().map(|round| round.order.job) else {
            return;
        };
        if let Some(at) = self.waiting(message_id) {
            let waiting = self.in_flight.swap_remove(at);
            self.complete(&job, waiting.at, outcome, location);
        }
    }

    fn waiting(&self, message_id: u16) -> Option<usize> {
        let waits = |waiting: &InFlight| waiting.message_id == message_id;
        self.in_flight.iter().position(waits)
    }

    fn complete(
        &mut self,
        job: &Job,
        at: u32,
        outcome: Result<(), Option<Code>>,
        location: Option<Box<[u8]>>,
    ) {
        let Some(round) = &mut self.round else {
            return;
        };
        let mut counted = FleetStatus::default();
        let place = self.locations.get_mut(at as usize);
        match (outcome, job, place) {
            (Err(code), _, place) => {
                round.outcome.failed += 1;
                round.outcome.refused = code.or(round.outcome.refused);
                counted.errors = 1;
                // A location that the server does not know is of no use.
                let forgotten = code == Some(Code::NOT_FOUND);
                if let Some(place) = place.filter(|place| forgotten && place.is_some()) {
                    *place = None;
                    self.counters.device(false);
                }
            }
            (Ok(()), Job::Register, Some(place)) => {
                *place = Some(location.unwrap_or_default());
                self.counters.device(true);
                counted.registrations = 1;
            }
            (Ok(()), Job::Deregister, Some(place)) => {
                *place = None;
                self.counters.device(false);
            }
            (Ok(()), Job::Update, _) => counted.updates = 1,
            (Ok(()), ..) => counted.notifications = 1,
        }
        round.outcome.done += u64::from(outcome.is_ok());
        self.counters.add(&counted);
    }
}
