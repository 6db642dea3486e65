//! A DTLS client, a DTLS server and the network between them, in the hands of the fuzzer.
//!
//! Beyond not panicking: each session begins and ends once, what arrives was sent by the other end
//! of the session and arrives once, limits hold, and time comes to an end.

mod material;
mod mutation;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_dtls::{
    Config, Endpoint, Event, Limits, Lookup, Path, Psk, SeededRandom, SessionId, Verdict,
};

pub use material::{INTERMEDIATE, LEAF, Mode, ROOT, chain, store};
pub use mutation::{fragmented, mutate, with_body};

pub(crate) use material::{client_config, psk, server_config};

use crate::steps::Steps;

/// Within the validity of the certificates, in seconds since 1970.
pub const UNIX_S: u64 = 2_000_000_000;

/// Handshakes at once, so few that the limit is reached.
const HANDSHAKES_MAX: usize = 3;
const SESSIONS_MAX: usize = 5;

/// The longest queue of datagrams on their way; later ones are lost.
const FLYING_MAX: usize = 64;

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u8);

impl Path for Address {
    fn octets(&self) -> [u8; 24] {
        [self.0; 24]
    }
}

pub const SERVER: Address = Address(0);
pub const CLIENT: Address = Address(1);
/// Where nobody is; datagrams from there are made up.
pub const STRANGER: Address = Address(9);

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Handshake,
    Up,
    Over,
}

/// One end.
struct Side {
    endpoint: Endpoint<Address>,
    sessions: BTreeMap<SessionId, State>,
    /// What it has sent, by its mark: true when it has arrived.
    said: BTreeMap<u32, bool>,
}

impl Side {
    fn new(config: Config, seed: u64, now: Instant) -> Side {
        let mut endpoint = Endpoint::new(config, SeededRandom::new(seed));
        endpoint.set_unix_time(now, UNIX_S);
        Side {
            endpoint,
            sessions: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    fn first_up(&self) -> Option<SessionId> {
        let mut sessions = self.sessions.iter();
        sessions.find_map(|(id, state)| (*state == State::Up).then_some(*id))
    }
}

/// A datagram on its way.
#[derive(Debug, Clone)]
struct Flying {
    from: Address,
    to: Address,
    datagram: Vec<u8>,
}

/// Both ends.
pub struct World {
    now: Instant,
    mode: Mode,
    client: Side,
    server: Side,
    flying: VecDeque<Flying>,
    /// The last datagrams, to be sent again.
    remembered: VecDeque<Flying>,
    asked: VecDeque<(SessionId, Lookup)>,
    /// Lookups are answered at once.
    pub answers: bool,
    marks: u32,
}

impl World {
    pub fn new(mode: Mode, seed: u64) -> World {
        let limits = Limits {
            handshakes_max: HANDSHAKES_MAX,
            sessions_max: SESSIONS_MAX,
            handshake_message_max: 4096,
            reassembly_bytes_max: 6000,
            transcript_bytes_max: 12_000,
            mtu: 512,
            ..Limits::default()
        };
        let now = Instant::now();
        let server = Config {
            server: Some(Arc::new(server_config())),
            limits,
            ..Config::default()
        };
        let client = Config {
            server: None,
            limits,
            ..Config::default()
        };
        World {
            now,
            mode,
            client: Side::new(client, seed, now),
            server: Side::new(server, seed ^ 0xff, now),
            flying: VecDeque::new(),
            remembered: VecDeque::new(),
            asked: VecDeque::new(),
            answers: true,
            marks: 0,
        }
    }

    /// A client with a session that is up.
    pub fn established(mode: Mode) -> World {
        let mut world = World::new(mode, 1);
        world.connect();
        world.settle();
        assert!(world.is_up(), "{mode:?}");
        world
    }

    pub fn connect(&mut self) {
        let config = Arc::new(client_config(self.mode));
        if let Ok(session) = self.client.endpoint.connect(self.now, SERVER, config) {
            let before = self.client.sessions.insert(session, State::Handshake);
            assert_eq!(before, None, "an id of its own");
        }
        self.drain();
    }

    pub fn is_up(&self) -> bool {
        self.client.first_up().is_some() && self.server.first_up().is_some()
    }

    /// Sessions and handshakes at the server.
    pub fn server_load(&self) -> (usize, usize) {
        let endpoint = &self.server.endpoint;
        (endpoint.sessions(), endpoint.handshakes())
    }

    /// Takes the next datagram from the network.
    pub fn intercept(&mut self) -> Option<Vec<u8>> {
        self.flying.front().map(|flying| flying.datagram.clone())
    }

    /// Lets the next datagram arrive as these, in its place.
    pub fn deliver_as(&mut self, datagrams: &[Vec<u8>]) {
        if let Some(flying) = self.flying.pop_front() {
            for datagram in datagrams {
                self.arrive(Flying {
                    datagram: datagram.clone(),
                    ..flying.clone()
                });
            }
        }
    }

    /// Lets everything arrive, and time pass until both sides wait for nothing of a handshake.
    pub fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            while let Some(flying) = self.flying.pop_front() {
                self.arrive(flying);
                rounds += 1;
                assert!(rounds < 10_000, "datagrams without an end");
            }
            let busy = self.client.endpoint.handshakes() + self.server.endpoint.handshakes();
            let next = [
                self.client.endpoint.next_timeout(),
                self.server.endpoint.next_timeout(),
            ];
            match next.into_iter().flatten().min() {
                Some(next) if busy > 0 => self.wait_until(next),
                _ => break,
            }
            rounds += 1;
            assert!(rounds < 10_000, "time does not end");
        }
    }

    /// What a stranger sends to both sides.
    pub fn inject(&mut self, from: Address, to: Address, datagram: &[u8]) {
        let datagram = datagram.to_vec();
        self.arrive(Flying { from, to, datagram });
    }

    /// A message each way over the sessions that are up, and whether both arrived.
    pub fn echoes(&mut self) -> bool {
        let marks = self.marks;
        self.say(true);
        self.say(false);
        self.settle();
        let arrived = |side: &Side| {
            let mut said = side.said.range(marks..);
            said.any(|(_, arrived)| *arrived)
        };
        arrived(&self.client) && arrived(&self.server)
    }

    /// One step of the fuzzer.
    pub fn step(&mut self, steps: &mut Steps<'_>) {
        match steps.below(16) {
            0..=5 => self.deliver_as_is(),
            6 => {
                if let Some(datagram) = self.intercept() {
                    let instead = mutate(&datagram, steps);
                    self.deliver_as(&instead);
                }
            }
            7 => {
                self.flying.pop_front();
            }
            8 => {
                if let Some(flying) = self.flying.pop_front() {
                    self.flying.push_back(flying);
                }
            }
            9 => self.again(steps),
            10 => self.wait_until(self.now + Duration::from_millis(u64::from(steps.byte()) * 97)),
            11 => self.connect(),
            12 => self.say(steps.below(2) == 0),
            13 => self.answer(steps),
            14 => self.close(steps),
            _ => {
                let from = [CLIENT, STRANGER, Address(2)][steps.below(3)];
                let to = [SERVER, CLIENT][steps.below(2)];
                let datagram = steps.bytes().to_vec();
                self.inject(from, to, &datagram);
            }
        }
    }

    /// Lets what is open come to its end.
    pub fn finish(mut self) {
        self.answers = true;
        while let Some((session, lookup)) = self.asked.pop_front() {
            self.reply(session, &lookup);
        }
        self.settle();
        let busy = self.client.endpoint.handshakes() + self.server.endpoint.handshakes();
        assert_eq!(busy, 0, "handshakes without an end");
        for side in [&self.client, &self.server] {
            let open = side
                .sessions
                .values()
                .filter(|state| **state == State::Handshake);
            assert_eq!(open.count(), 0, "a handshake without a last word");
            let up = side.sessions.values().filter(|state| **state == State::Up);
            assert_eq!(
                up.count(),
                side.endpoint.sessions(),
                "a session without a last word"
            );
        }
    }

    fn deliver_as_is(&mut self) {
        if let Some(flying) = self.flying.pop_front() {
            self.arrive(flying);
        }
    }

    /// One of the last datagrams once more, perhaps from another address.
    fn again(&mut self, steps: &mut Steps<'_>) {
        let index = steps.below(self.remembered.len());
        if let Some(flying) = self.remembered.get(index).cloned() {
            let moved = steps.below(4) == 1;
            let from = if moved { Address(3) } else { flying.from };
            let instead = match steps.below(2) {
                0 => vec![flying.datagram.clone()],
                _ => mutate(&flying.datagram, steps),
            };
            for datagram in instead {
                self.arrive(Flying {
                    from,
                    to: flying.to,
                    datagram,
                });
            }
        }
    }

    fn say(&mut self, by_client: bool) {
        let side = match by_client {
            true => &mut self.client,
            false => &mut self.server,
        };
        if let Some(session) = side.first_up() {
            self.marks += 1;
            let mark = self.marks;
            if side
                .endpoint
                .send(self.now, session, &mark.to_be_bytes())
                .is_ok()
            {
                side.said.insert(mark, false);
            }
        }
        self.drain();
    }

    fn close(&mut self, steps: &mut Steps<'_>) {
        let side = match steps.below(2) {
            0 => &mut self.client,
            _ => &mut self.server,
        };
        let index = steps.below(side.sessions.len());
        if let Some(session) = side.sessions.keys().nth(index).copied() {
            side.endpoint.close(self.now, session);
        }
        self.drain();
    }

    fn answer(&mut self, steps: &mut Steps<'_>) {
        match steps.below(8) {
            6 => self.answers = !self.answers,
            choice => {
                let Some((session, lookup)) = self.asked.pop_front() else {
                    return;
                };
                let verdict = match choice {
                    0 => Verdict::Unknown,
                    1 => Verdict::Refuse,
                    2 => Verdict::Overloaded,
                    3 => Verdict::Accept,
                    4 => Verdict::Psk {
                        key: Psk::new(b"another key").expect("11 bytes"),
                        alternate: Some(psk()),
                    },
                    _ => return self.reply(session, &lookup),
                };
                self.server.endpoint.answer(self.now, session, verdict);
                self.drain();
            }
        }
    }

    fn reply(&mut self, session: SessionId, lookup: &Lookup) {
        let verdict = match lookup {
            Lookup::Psk { identity, .. } if **identity == *b"device" => Verdict::Psk {
                key: psk(),
                alternate: None,
            },
            Lookup::Psk { .. } => Verdict::Unknown,
            _ => Verdict::Accept,
        };
        self.server.endpoint.answer(self.now, session, verdict);
        self.drain();
    }

    fn wait_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
        for side in [&mut self.client, &mut self.server] {
            side.endpoint.on_timeout(self.now);
            let next = side.endpoint.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer moves on");
        }
        self.drain();
    }

    fn arrive(&mut self, flying: Flying) {
        let Flying {
            from,
            to,
            mut datagram,
        } = flying.clone();
        self.remembered.push_front(flying);
        self.remembered.truncate(8);
        let is_server = to == SERVER;
        let side = match is_server {
            true => &mut self.server,
            false => &mut self.client,
        };
        side.endpoint.handle(self.now, from, &mut datagram);
        self.events(is_server, &datagram);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            self.events(false, &[]);
            self.events(true, &[]);
            let mut sent = 0;
            for is_server in [false, true] {
                let side = match is_server {
                    true => &mut self.server,
                    false => &mut self.client,
                };
                while let Some(transmit) = side.endpoint.poll_transmit() {
                    sent += 1;
                    let from = if is_server { SERVER } else { CLIENT };
                    if self.flying.len() < FLYING_MAX && transmit.path != STRANGER {
                        // A client that moved hears what is sent to where it was.
                        let to = if is_server { CLIENT } else { SERVER };
                        let datagram = transmit.datagram.to_vec();
                        self.flying.push_back(Flying { from, to, datagram });
                    }
                }
                let endpoint = &side.endpoint;
                assert!(endpoint.handshakes() <= HANDSHAKES_MAX);
                assert!(endpoint.sessions() <= SESSIONS_MAX);
            }
            if sent == 0 {
                return;
            }
        }
    }

    fn events(&mut self, is_server: bool, datagram: &[u8]) {
        loop {
            let (side, other) = match is_server {
                true => (&mut self.server, &mut self.client),
                false => (&mut self.client, &mut self.server),
            };
            let Some(event) = side.endpoint.poll_event() else {
                return;
            };
            match event {
                Event::Lookup {
                    session, lookup, ..
                } => {
                    let before = side.sessions.insert(session, State::Handshake);
                    assert_ne!(before, Some(State::Over), "a question of the dead");
                    match self.answers {
                        true => self.reply(session, &lookup),
                        false => self.asked.push_back((session, lookup)),
                    }
                }
                Event::Up { session, .. } => {
                    let before = side.sessions.insert(session, State::Up);
                    assert!(
                        matches!(before, None | Some(State::Handshake)),
                        "{before:?}"
                    );
                }
                Event::Data { session, range } => {
                    assert_eq!(side.sessions.get(&session), Some(&State::Up));
                    let mark = datagram[range].try_into().expect("a mark of ours");
                    let arrived = other.said.get_mut(&u32::from_be_bytes(mark));
                    let arrived = arrived.expect("said by the other side");
                    assert!(!*arrived, "the same data twice");
                    *arrived = true;
                }
                Event::PathChanged { session, .. } => {
                    assert_eq!(side.sessions.get(&session), Some(&State::Up));
                }
                Event::Down { session, .. } => {
                    let before = side.sessions.insert(session, State::Over);
                    assert_eq!(before, Some(State::Up));
                }
                Event::Failed { session, .. } => {
                    let before = side.sessions.insert(session, State::Over);
                    assert!(
                        matches!(before, None | Some(State::Handshake)),
                        "{before:?}"
                    );
                }
                _ => {}
            }
        }
    }
}
