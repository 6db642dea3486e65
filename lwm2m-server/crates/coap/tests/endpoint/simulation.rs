//! Many small worlds, each made from a seed: whatever the network does, every request ends in
//! exactly one event, is carried out at most once, and bodies arrive as they were sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lwm2m_coap::{
    BlockSize, Code, Config, Failure, OptionNumber, OutgoingRequest, RequestId, Response,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::pair::{Network, Pair, Seen, SeenRequest, Side};

const SEEDS: u64 = 2_000;

/// A request, and what must come of it.
struct Asked {
    side: Side,
    number: usize,
    upload: Bytes,
    observes: bool,
}

/// What the other side does with a request.
struct Deferred {
    due: Instant,
    side: Side,
    request: SeenRequest,
}

struct World {
    seed: u64,
    random: StdRng,
    pair: Pair,
    asked: HashMap<RequestId, Asked>,
    ended: HashMap<(Side, RequestId), Seen>,
    carried_out: HashMap<usize, usize>,
    deferred: Vec<Deferred>,
    observers: Vec<SeenRequest>,
    /// The latest value of what is observed.
    current: HashMap<usize, usize>,
    latest: HashMap<RequestId, usize>,
}

#[test]
fn every_request_ends_once_and_bodies_arrive_whole() {
    let (mut answered, mut failed, mut notified) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.run();
        world.check();
        notified += world.latest.len();
        for end in world.ended.values() {
            match end {
                Seen::Response { .. } => answered += 1,
                _ => failed += 1,
            }
        }
    }
    // The worlds are neither too kind nor too harsh to tell anything.
    assert!(answered > SEEDS * 3, "{answered}");
    assert!(failed > SEEDS / 10, "{failed}");
    assert!(notified > SEEDS as usize / 10, "{notified}");
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
        let hurt = random.random_range(0..4);
        let network = Network {
            loss: [0.0, 0.05, 0.2, 0.45][hurt],
            duplication: [0.0, 0.1, 0.3, 0.3][hurt],
            delay: (
                Duration::from_millis(random.random_range(0..50)),
                Duration::from_millis(random.random_range(50..[60, 500, 3_000, 9_000][hurt])),
            ),
        };
        let mut config = || Config {
            block_size: BlockSize::at_most([64, 256, 1024][random.random_range(0..3)]),
            body_inline_max: random.random_range(64..1024),
            response_timeout: Duration::from_secs(random.random_range(30..300)),
            nstart: random.random_range(1..3),
            ..Config::default()
        };
        let (server, device) = (config(), config());
        World {
            seed,
            pair: Pair::with(seed, network, server, device),
            random,
            asked: HashMap::new(),
            ended: HashMap::new(),
            carried_out: HashMap::new(),
            deferred: Vec::new(),
            observers: Vec::new(),
            current: HashMap::new(),
            latest: HashMap::new(),
        }
    }

    fn run(&mut self) {
        for number in 0..self.random.random_range(3..10) {
            self.ask(number);
            for _ in 0..self.random.random_range(0..6) {
                self.turn();
            }
        }
        // Everything ends, timers included.
        for _ in 0..100_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("seed {}: it does not come to rest", self.seed);
    }

    fn ask(&mut self, number: usize) {
        let random = &mut self.random;
        let side = if random.random_bool(0.7) {
            Side::Server
        } else {
            Side::Device
        };
        let observes = side == Side::Server && random.random_bool(0.25);
        let code = [Code::GET, Code::FETCH, Code::PUT, Code::POST][random.random_range(0..4)];
        let code = if observes && code != Code::FETCH {
            Code::GET
        } else {
            code
        };
        let length = match code {
            Code::GET => 0,
            _ if random.random_bool(0.5) => random.random_range(0..64),
            _ => random.random_range(0..5_000),
        };
        let upload = body(number, length);
        let mut request = OutgoingRequest::new(code)
            .option(OptionNumber::URI_PATH, number.to_string())
            .payload(upload.clone());
        request.confirmable = random.random_bool(0.85);
        request.observe = observes.then_some(true);
        if random.random_bool(0.2) {
            request.block_size = Some(BlockSize::at_most(32));
        }
        let now = self.pair.now;
        let endpoint = &mut self.pair.node(side).endpoint;
        let id = endpoint
            .request(now, side.other(), request)
            .expect("the queue is long enough");
        let asked = Asked {
            side,
            number,
            upload,
            observes,
        };
        // Ids of the two sides may be equal: they are told apart by a bit of the key.
        let replaced = self.asked.insert(key(side, id), asked);
        assert!(replaced.is_none(), "seed {}: an id came twice", self.seed);
    }

    /// One step of the network, and what the applications do; false when all is at rest.
    fn turn(&mut self) -> bool {
        let stepped = self.pair.step();
        if !stepped && let Some(next) = self.deferred.iter().map(|deferred| deferred.due).min() {
            self.pair.now = self.pair.now.max(next);
        } else if !stepped {
            return false;
        }
        for side in [Side::Server, Side::Device] {
            for seen in std::mem::take(&mut self.pair.node(side).seen) {
                self.note(side, seen);
            }
        }
        let now = self.pair.now;
        let (due, later) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|deferred| deferred.due <= now);
        self.deferred = later;
        for Deferred { side, request, .. } in due {
            self.respond(side, request);
        }
        if self.random.random_bool(0.1) {
            self.notify();
        }
        true
    }

    fn note(&mut self, side: Side, seen: Seen) {
        let seed = self.seed;
        match &seen {
            Seen::Request(request) => {
                let number = number_of(request);
                let asked = self.asked.values().find(|asked| asked.number == number);
                let asked = asked.expect("what was asked");
                assert_eq!(asked.side, side.other(), "seed {seed}");
                assert_eq!(asked.upload, request.body, "seed {seed}");
                // Safe methods may be asked again, for a block of a body that changed.
                if matches!(request.code, Code::PUT | Code::POST) {
                    *self.carried_out.entry(number).or_default() += 1;
                }
                let delay = match self.random.random_range(0..10) {
                    0..6 => Some(0),
                    6..8 => Some(self.random.random_range(0..3_000)),
                    8 => Some(self.random.random_range(0..60_000)),
                    _ => None,
                };
                self.deferred.extend(delay.map(|delay| Deferred {
                    due: self.pair.now + Duration::from_millis(delay),
                    side,
                    request: request.clone(),
                }));
            }
            Seen::Response {
                request,
                code,
                body: got,
                observing,
            } => {
                let asked = &self.asked[&key(side, *request)];
                assert_eq!(*code, Code::CONTENT, "seed {seed}");
                let value = value_of(asked.number, got).unwrap_or_else(|| panic!("seed {seed}"));
                assert!(asked.observes || !observing, "seed {seed}");
                assert!(observing | (value == 0), "seed {seed}");
                self.end(side, *request, seen);
            }
            Seen::Failed(request, failure) => {
                // A duplicate of a request that the peer has ended is answered by nothing else.
                assert_ne!(*failure, Failure::PeerGone, "seed {seed}");
                self.end(side, *request, seen);
            }
            Seen::Notification {
                request, body: got, ..
            } => {
                let number = self.asked[&key(side, *request)].number;
                let value = value_of(number, got).unwrap_or_else(|| panic!("seed {seed}"));
                let latest = self.latest.entry(*request).or_default();
                assert!(
                    value >= *latest,
                    "seed {seed}: an older value after a newer"
                );
                *latest = value;
            }
            Seen::ObserverGone(token) => {
                let same = |request: &SeenRequest| request.handle.token() == *token;
                self.observers.retain(|request| !same(request));
            }
            Seen::Ping | Seen::Pong | Seen::Refused(_) => {}
        }
    }

    fn end(&mut self, side: Side, request: RequestId, seen: Seen) {
        let earlier = self.ended.insert((side, request), seen);
        assert_eq!(earlier, None, "seed {}: it ended twice", self.seed);
    }

    fn respond(&mut self, side: Side, request: SeenRequest) {
        let number = number_of(&request);
        let current = self.current.get(&number).copied().unwrap_or(0);
        let mut response = Response::new(Code::CONTENT).payload(value(number, current));
        if request.observe == Some(0) {
            response = response.uint(OptionNumber::OBSERVE, 0);
            self.observers.push(request.clone());
        }
        let now = self.pair.now;
        let endpoint = &mut self.pair.node(side).endpoint;
        endpoint.respond(now, request.handle, response);
    }

    fn notify(&mut self) {
        let now = self.pair.now;
        let Some(request) = self.observers.last() else {
            return;
        };
        let number = number_of(request);
        let current = self.current.entry(number).or_default();
        if *current == 5 {
            self.observers.pop();
            return;
        }
        *current += 1;
        let confirmable = self.random.random_bool(0.5);
        let response = Response::new(Code::CONTENT).payload(value(number, *current));
        // A refusal because too many are unacknowledged is as good as a loss.
        let _ = self
            .pair
            .device
            .endpoint
            .notify(now, request.handle, confirmable, response);
    }

    fn check(&self) {
        let seed = self.seed;
        assert_eq!(self.ended.len(), self.asked.len(), "seed {seed}");
        for (number, times) in &self.carried_out {
            assert_eq!(*times, 1, "seed {seed}: {number} was carried out twice");
        }
        for (node, peer) in [
            (&self.pair.server, Side::Device),
            (&self.pair.device, Side::Server),
        ] {
            let status = node.endpoint.peer_status(peer);
            assert_eq!((status.outstanding, status.queued), (0, 0), "seed {seed}");
        }
    }
}

/// The same id on the two sides makes two keys: slots stay far below this bit.
fn key(side: Side, id: RequestId) -> RequestId {
    RequestId(id.0 | (u64::from(side == Side::Device) << 31))
}

fn number_of(request: &SeenRequest) -> usize {
    request.path[1..].parse().expect("a number")
}

fn body(number: usize, length: usize) -> Bytes {
    (0..length)
        .map(|at| (number * 31 + at * 7 + at / 256) as u8)
        .collect()
}

/// The answer to a request, small or large, and what later notifications carry.
fn value(number: usize, count: usize) -> Bytes {
    let length = [5, 40, 300, 3_000][(number + count) % 4];
    [&[count as u8][..], &body(number + count, length)]
        .concat()
        .into()
}

/// Which of them it is; none when it has been damaged.
fn value_of(number: usize, got: &[u8]) -> Option<usize> {
    let count = usize::from(*got.first()?);
    (value(number, count) == got).then_some(count)
}
