//! A client, a server and a network between them, on a clock of their own.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_dtls::{
    ClientConfig, Config, Endpoint, Event, Failure, Lookup, Peer, Psk, SeededRandom, SessionId,
    Verdict,
};

use crate::make::NOW;

/// All hardship that a network has to offer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// The shortest time on the way.
    pub(crate) latency: Duration,
    /// What may come on top; datagrams overtake each other within it.
    pub(crate) jitter: Duration,
    /// Of a hundred datagrams, those that are lost.
    pub(crate) loss: u64,
    /// Of a hundred datagrams, those that come twice.
    pub(crate) duplication: u64,
}

impl Network {
    pub(crate) const PERFECT: Network = Network {
        latency: Duration::from_millis(10),
        jitter: Duration::ZERO,
        loss: 0,
        duplication: 0,
    };
}

/// One end.
pub(crate) struct Side {
    pub(crate) endpoint: Endpoint<SocketAddr>,
    pub(crate) address: SocketAddr,
    /// All events except Lookup and Data.
    pub(crate) events: Vec<Event<SocketAddr>>,
    pub(crate) data: Vec<(SessionId, Vec<u8>)>,
    /// Every datagram that it sent.
    pub(crate) sent: Vec<Vec<u8>>,
}

/// Both ends.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: Side,
    pub(crate) server: Side,
    pub(crate) network: Network,
    /// What the server answers to lookups, by identity.
    pub(crate) keys: HashMap<Vec<u8>, Verdict>,
    /// What it answers when asked about raw public keys and certificates.
    pub(crate) verdict: Verdict,
    /// How long a lookup takes.
    pub(crate) lookup_takes: Duration,
    pub(crate) lookups: Vec<Lookup>,
    /// Every datagram that came to the server, with its source.
    pub(crate) captured: Vec<(SocketAddr, Vec<u8>)>,
    /// Someone on the way: what it answers goes on in place of the datagram; true for one that
    /// goes to the server.
    pub(crate) meddler: Option<Meddler>,
    /// What is on its way, by time of arrival; destination and source.
    flying: BTreeMap<(Instant, u64), Flying>,
    answers: BTreeMap<(Instant, u64), (SessionId, Verdict)>,
    order: u64,
    state: u64,
}

pub(crate) type Meddler = Box<dyn FnMut(bool, Vec<u8>) -> Vec<Vec<u8>>>;

struct Flying {
    from: SocketAddr,
    to: SocketAddr,
    datagram: Vec<u8>,
}

pub(crate) const IDENTITY: &[u8] = b"urn:imei:350000000000001";

pub(crate) fn key() -> Psk {
    Psk::new(b"0123456789abcdef").expect("16 bytes")
}

pub(crate) fn known(key: Psk) -> Verdict {
    Verdict::Psk {
        key,
        alternate: None,
    }
}

pub(crate) fn client_config() -> ClientConfig {
    ClientConfig::psk(IDENTITY, key())
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::with(1, Config::default(), Config::default())
    }

    pub(crate) fn with_server(server: Config) -> Pair {
        Pair::with(1, server, Config::default())
    }

    pub(crate) fn with(seed: u64, server: Config, client: Config) -> Pair {
        let client = Config {
            server: None,
            ..client
        };
        let side = |config, seed, address: &str| Side {
            endpoint: Endpoint::new(config, SeededRandom::new(seed)),
            address: address.parse().expect("an address"),
            events: Vec::new(),
            data: Vec::new(),
            sent: Vec::new(),
        };
        let now = Instant::now();
        let mut pair = Pair {
            now,
            server: side(server, 2 * seed, "192.0.2.1:5684"),
            client: side(client, 2 * seed + 1, "198.51.100.7:40000"),
            network: Network::PERFECT,
            keys: HashMap::from([(IDENTITY.to_vec(), known(key()))]),
            verdict: Verdict::Accept,
            lookup_takes: Duration::ZERO,
            lookups: Vec::new(),
            captured: Vec::new(),
            meddler: None,
            flying: BTreeMap::new(),
            answers: BTreeMap::new(),
            order: 0,
            state: seed,
        };
        pair.server.endpoint.set_unix_time(now, NOW);
        pair.client.endpoint.set_unix_time(now, NOW);
        pair
    }

    /// Begins a handshake of the client.
    pub(crate) fn connect(&mut self, config: ClientConfig) -> SessionId {
        let to = self.server.address;
        let begun = self.client.endpoint.connect(self.now, to, Arc::new(config));
        begun.expect("the client may begin")
    }

    /// A session that is up, as its ends name it: the client's id and the server's.
    pub(crate) fn establish(&mut self, config: ClientConfig) -> (SessionId, SessionId) {
        let client = self.connect(config);
        self.run();
        let failed = [self.client.failures(), self.server.failures()];
        let up = self.client.last_up();
        let (id, _) = up.unwrap_or_else(|| panic!("not up at the client: {failed:?}"));
        assert_eq!(id, client);
        let (server, _) = self.server.last_up().expect("up at the server");
        (client, server)
    }

    pub(crate) fn send_from_client(&mut self, session: SessionId, data: &[u8]) {
        let sent = self.client.endpoint.send(self.now, session, data);
        sent.expect("the client may send");
    }

    pub(crate) fn send_from_server(&mut self, session: SessionId, data: &[u8]) {
        let sent = self.server.endpoint.send(self.now, session, data);
        sent.expect("the server may send");
    }

    /// Gives a datagram to the server, as from an address.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        self.captured.push((from, datagram.clone()));
        self.server.endpoint.handle(self.now, from, &mut datagram);
        self.drain(&datagram, true);
    }

    /// Runs until nothing is on its way and no answer is due, without waiting for timers that
    /// are further away than ten minutes.
    pub(crate) fn run(&mut self) {
        self.run_for(Duration::from_secs(600), true);
    }

    /// Runs for a time.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.run_for(time, false);
    }

    fn run_for(&mut self, time: Duration, stop_when_quiet: bool) {
        let end = self.now + time;
        self.drain(&[], true);
        self.drain(&[], false);
        loop {
            let waits = !self.flying.is_empty() || !self.answers.is_empty() || self.is_busy();
            if stop_when_quiet && !waits {
                return;
            }
            let next = [
                self.flying.keys().next().map(|key| key.0),
                self.answers.keys().next().map(|key| key.0),
                self.client.endpoint.next_timeout(),
                self.server.endpoint.next_timeout(),
            ];
            let Some(next) = next.into_iter().flatten().min().filter(|next| *next <= end) else {
                self.now = if stop_when_quiet { self.now } else { end };
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn is_busy(&self) -> bool {
        self.client.endpoint.handshakes() + self.server.endpoint.handshakes() > 0
    }

    fn step(&mut self) {
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let Flying {
                from,
                to,
                mut datagram,
            } = entry.remove();
            if to == self.server.address {
                self.captured.push((from, datagram.clone()));
                self.server.endpoint.handle(self.now, from, &mut datagram);
                self.drain(&datagram, true);
            } else if to == self.client.address {
                self.client.endpoint.handle(self.now, from, &mut datagram);
                self.drain(&datagram, false);
            }
        }
        while let Some(entry) = self.answers.first_entry()
            && entry.key().0 <= self.now
        {
            let (session, verdict) = entry.remove();
            self.server.endpoint.answer(self.now, session, verdict);
            self.drain(&[], true);
        }
        self.client.endpoint.on_timeout(self.now);
        self.drain(&[], false);
        self.server.endpoint.on_timeout(self.now);
        self.drain(&[], true);
    }

    fn drain(&mut self, datagram: &[u8], is_server: bool) {
        loop {
            let side = match is_server {
                true => &mut self.server,
                false => &mut self.client,
            };
            match side.endpoint.poll_event() {
                Some(Event::Data { session, range }) => {
                    side.data.push((session, datagram[range].to_vec()));
                }
                Some(Event::Lookup {
                    session, lookup, ..
                }) => self.look_up(session, lookup),
                Some(event) => side.events.push(event),
                None => break,
            }
        }
        loop {
            let side = match is_server {
                true => &mut self.server,
                false => &mut self.client,
            };
            let from = side.address;
            let Some(transmit) = side.endpoint.poll_transmit() else {
                break;
            };
            side.sent.push(transmit.datagram.to_vec());
            let datagram = transmit.datagram.to_vec();
            let datagrams = match &mut self.meddler {
                Some(meddler) => meddler(!is_server, datagram),
                None => vec![datagram],
            };
            for datagram in datagrams {
                self.fly(from, transmit.path, &datagram);
            }
        }
    }

    fn look_up(&mut self, session: SessionId, lookup: Lookup) {
        let verdict = match &lookup {
            Lookup::Psk { identity, .. } => {
                let known = self.keys.get(&identity[..]);
                known.cloned().unwrap_or(Verdict::Unknown)
            }
            _ => self.verdict.clone(),
        };
        self.lookups.push(lookup);
        self.order += 1;
        let at = (self.now + self.lookup_takes, self.order);
        self.answers.insert(at, (session, verdict));
    }

    fn fly(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        if self.draw(100) < self.network.loss {
            return;
        }
        let copies = 1 + usize::from(self.draw(100) < self.network.duplication);
        for _ in 0..copies {
            let jitter = self.network.jitter.as_micros() as u64;
            let jitter = Duration::from_micros(self.draw(jitter + 1));
            self.order += 1;
            let at = (self.now + self.network.latency + jitter, self.order);
            let datagram = datagram.to_vec();
            self.flying.insert(at, Flying { from, to, datagram });
        }
    }

    /// A number below `bound`, by the seed.
    pub(crate) fn draw(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl Side {
    pub(crate) fn last_up(&self) -> Option<(SessionId, Arc<Peer>)> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Up { session, peer, .. } => Some((*session, peer.clone())),
            _ => None,
        })
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        let failures = self.events.iter().filter_map(|event| match event {
            Event::Failed { failure, .. } => Some(failure.clone()),
            _ => None,
        });
        failures.collect()
    }

    pub(crate) fn ups(&self) -> usize {
        let ups = self
            .events
            .iter()
            .filter(|event| matches!(event, Event::Up { .. }));
        ups.count()
    }

    pub(crate) fn texts(&self) -> Vec<&[u8]> {
        self.data.iter().map(|(_, data)| &data[..]).collect()
    }
}
