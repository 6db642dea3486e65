//! What a record and a session cost in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_dtls::{ClientConfig, Config, Endpoint, Event, Psk, SeededRandom, SessionId, Verdict};

struct Ends {
    now: Instant,
    client: Endpoint<SocketAddr>,
    server: Endpoint<SocketAddr>,
    /// Of the client that is being worked with.
    at: SocketAddr,
    to: SocketAddr,
}

impl Ends {
    fn new() -> Ends {
        Ends {
            now: Instant::now(),
            client: Endpoint::new(Config::default(), SeededRandom::new(1)),
            server: Endpoint::new(Config::default(), SeededRandom::new(2)),
            at: "198.51.100.7:1".parse().expect("an address"),
            to: "192.0.2.1:5684".parse().expect("an address"),
        }
    }

    fn key() -> Psk {
        Psk::new(b"0123456789abcdef").expect("16 bytes")
    }

    fn establish(&mut self) -> (SessionId, SessionId) {
        let config = ClientConfig::psk(b"urn:imei:350000000000001", Ends::key());
        let client = self.client.connect(self.now, self.to, Arc::new(config));
        let client = client.expect("begun");
        let mut up = None;
        loop {
            let mut quiet = true;
            while let Some(transmit) = self.client.poll_transmit() {
                let mut datagram = transmit.datagram.to_vec();
                self.server.handle(self.now, self.at, &mut datagram);
                quiet = false;
            }
            while let Some(event) = self.server.poll_event() {
                match event {
                    Event::Lookup { session, .. } => {
                        let verdict = Verdict::Psk {
                            key: Ends::key(),
                            alternate: None,
                        };
                        self.server.answer(self.now, session, verdict);
                    }
                    Event::Up { session, .. } => up = Some(session),
                    _ => {}
                }
            }
            while let Some(transmit) = self.server.poll_transmit() {
                let mut datagram = transmit.datagram.to_vec();
                self.client.handle(self.now, self.to, &mut datagram);
                quiet = false;
            }
            while self.client.poll_event().is_some() {}
            if quiet {
                break;
            }
        }
        (client, up.expect("up"))
    }
}

/// Sends a record from a session to an endpoint that knows the sender by a path.
fn carry(
    now: Instant,
    buffer: &mut [u8],
    (from, session): (&mut Endpoint<SocketAddr>, SessionId),
    (to, path): (&mut Endpoint<SocketAddr>, SocketAddr),
) {
    from.send(now, session, &[7; 100]).expect("up");
    let transmit = from.poll_transmit().expect("a datagram");
    let length = transmit.datagram.len();
    buffer[..length].copy_from_slice(&transmit.datagram);
    drop(transmit);
    to.handle(now, path, &mut buffer[..length]);
    let Some(Event::Data { range, .. }) = to.poll_event() else {
        panic!("no data");
    };
    assert_eq!(buffer[range], [7; 100]);
}

#[test]
fn a_record_costs_no_allocation() {
    let mut ends = Ends::new();
    let (client, server) = ends.establish();
    let mut buffer = [0; 1500];
    let mut exchange = |ends: &mut Ends| {
        let Ends {
            now,
            client: ours,
            server: theirs,
            at,
            to,
        } = ends;
        carry(*now, &mut buffer, (ours, client), (theirs, *at));
        carry(*now, &mut buffer, (theirs, server), (ours, *to));
    };
    for _ in 0..500 {
        exchange(&mut ends);
    }
    let info = allocation_counter::measure(|| {
        for _ in 0..5000 {
            exchange(&mut ends);
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_idle_session_keeps_at_most_a_kilobyte() {
    const SESSIONS: usize = 4000;
    let mut ends = Ends::new();
    for n in 0..SESSIONS {
        ends.at = ([10, 0, (n >> 8) as u8, n as u8], 5683).into();
        ends.establish();
    }
    // After a while, the last flights are gone.
    let later = ends.now + Duration::from_secs(200);
    ends.server.on_timeout(later);
    assert_eq!(ends.server.sessions(), SESSIONS);
    let Ends { server, .. } = ends;
    let freed = allocation_counter::measure(|| drop(server));
    let each = -freed.bytes_current / SESSIONS as i64;
    assert!((100..=1024).contains(&each), "{each} bytes");
}
