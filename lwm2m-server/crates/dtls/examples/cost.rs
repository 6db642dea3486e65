//! What handshakes, records and idle sessions cost a server, in time on this machine.
//!
//! ```text
//! cargo run --release -p lwm2m-dtls --example cost
//! ```
//!
//! Client and server run in this process, without sockets; only what the server does is counted.
//! Each figure is the median, which other work on the machine does not move.

#![allow(clippy::print_stdout, reason = "this is what the example is for")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_dtls::{
    ClientConfig, ClientCredentials, Config, Endpoint, Event, Lookup, PrivateKey, Psk, Resumption,
    ServerConfig, SessionId, SystemRandom, Verdict,
};

fn main() {
    let (ours, theirs) = (key(), key());
    let server = ServerConfig {
        raw_public_key: Some(ours.clone()),
        ..ServerConfig::default()
    };
    let mut ends = Ends::new(server);
    let psk = ClientConfig::psk(b"urn:imei:350000000000001", secret());
    let rpk = ClientConfig::new(ClientCredentials::RawPublicKey {
        key: theirs,
        server: ours.public_key().clone(),
    });
    let resumption = ends.handshake(&psk).1.resumption;
    let resumed = ClientConfig {
        resume: resumption,
        ..psk.clone()
    };
    for (name, config, count) in [
        ("psk handshake", &psk, 10_000),
        ("continued psk session", &resumed, 10_000),
        ("mutual raw public key handshake", &rpk, 2_000),
    ] {
        let spent = (0..count).map(|_| ends.handshake(config).0);
        println!("{name}: {:?}", median(spent));
    }
    let established = ends.handshake(&psk).1;
    let spent = (0..100_000).map(|_| ends.echo(&established));
    println!("echo of 100 bytes: {:?}", median(spent));
}

fn median(spent: impl Iterator<Item = Duration>) -> Duration {
    let mut spent: Vec<Duration> = spent.collect();
    spent.sort_unstable();
    spent[spent.len() / 2]
}

fn key() -> PrivateKey {
    PrivateKey::generate().expect("the system has randomness")
}

fn secret() -> Psk {
    Psk::new(b"0123456789abcdef").expect("16 bytes")
}

/// A client and a server.
struct Ends {
    now: Instant,
    client: Endpoint<SocketAddr>,
    server: Endpoint<SocketAddr>,
    client_at: SocketAddr,
    server_at: SocketAddr,
}

struct Established {
    client: SessionId,
    server: SessionId,
    resumption: Option<Resumption>,
}

impl Ends {
    fn new(server: ServerConfig) -> Ends {
        let config = Config {
            server: Some(Arc::new(server)),
            ..Config::default()
        };
        Ends {
            now: Instant::now(),
            client: Endpoint::new(Config::default(), SystemRandom),
            server: Endpoint::new(config, SystemRandom),
            client_at: SocketAddr::from(([198, 51, 100, 7], 40_000)),
            server_at: SocketAddr::from(([192, 0, 2, 1], 5684)),
        }
    }

    /// A handshake, which takes the place of the one before; how long the server worked on it.
    fn handshake(&mut self, config: &ClientConfig) -> (Duration, Established) {
        let config = Arc::new(config.clone());
        let begun = self.client.connect(self.now, self.server_at, config);
        let client = begun.expect("nothing is full");
        let mut spent = Duration::ZERO;
        let mut up = None;
        while let Some(transmit) = self.client.poll_transmit() {
            let mut datagram = transmit.datagram.to_vec();
            let before = Instant::now();
            self.server.handle(self.now, self.client_at, &mut datagram);
            while let Some(event) = self.server.poll_event() {
                match event {
                    Event::Lookup {
                        session, lookup, ..
                    } => {
                        let verdict = match lookup {
                            Lookup::Psk { .. } => Verdict::Psk {
                                key: secret(),
                                alternate: None,
                            },
                            _ => Verdict::Accept,
                        };
                        self.server.answer(self.now, session, verdict);
                    }
                    Event::Up { session, .. } => up = Some(session),
                    _ => {}
                }
            }
            spent += before.elapsed();
            while let Some(transmit) = self.server.poll_transmit() {
                let mut datagram = transmit.datagram.to_vec();
                self.client.handle(self.now, self.server_at, &mut datagram);
            }
            while self.client.poll_event().is_some() {}
        }
        let established = Established {
            client,
            server: up.expect("the handshake succeeds"),
            resumption: self.client.resumption(client),
        };
        (spent, established)
    }

    /// How long the server takes to open a record and to seal the answer.
    fn echo(&mut self, session: &Established) -> Duration {
        let sent = self.client.send(self.now, session.client, &[7; 100]);
        sent.expect("the session is up");
        let transmit = self.client.poll_transmit().expect("a datagram");
        let mut datagram = transmit.datagram.to_vec();
        let before = Instant::now();
        self.server.handle(self.now, self.client_at, &mut datagram);
        if let Some(Event::Data { range, .. }) = self.server.poll_event() {
            let echoed = self.server.send(self.now, session.server, &datagram[range]);
            echoed.expect("the session is up");
        }
        let answer = self.server.poll_transmit();
        let spent = before.elapsed();
        assert!(answer.is_some());
        spent
    }
}
