//! Handshakes, data, new addresses and continued sessions over bad networks, many seeds of them.
//!
//! `DTLS_SEEDS` sets how many seeds run in each mode, `DTLS_SEED` runs one.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    CidOffer, CipherSuite, ClientConfig, Config, Identity, Limits, ServerConfig, ServerResumption,
    SessionId, Timing,
};

use crate::certificates::World;
use crate::pair::{Network, Pair, client_config};

/// Records that each side sends in a round.
const RECORDS: u8 = 20;

/// These seeds unless somebody says otherwise: 10 000 in all modes together.
fn seeds(range: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let start = *range.start();
    match (number("DTLS_SEED"), number("DTLS_SEEDS")) {
        (Some(seed), _) => seed..=seed,
        (None, Some(count)) => start..=start + count - 1,
        (None, None) => range,
    }
}

fn patient() -> Timing {
    Timing {
        retransmission_initial: Duration::from_secs(1),
        retransmission_max: Duration::from_secs(8),
        handshake_timeout: Duration::from_secs(900),
        ..Timing::default()
    }
}

/// A client and its server by seed, and what the client offers.
fn world(seed: u64, server: ServerConfig, client: ClientConfig) -> (Pair, ClientConfig) {
    let mtu = [1200, 256, 128][(seed % 3) as usize];
    let config = |server: ServerConfig| Config {
        server: Some(Arc::new(server)),
        timing: patient(),
        limits: Limits {
            mtu,
            ..Limits::default()
        },
        ..Config::default()
    };
    let mut server = server;
    if seed.is_multiple_of(2) {
        // Sessions are continued by their ids.
        server.resumption = Some(ServerResumption {
            ticket_key: None,
            ..ServerResumption::default()
        });
    }
    let mut pair = Pair::with(seed, config(server), config(ServerConfig::default()));
    let loss = pair.draw(35);
    let duplication = pair.draw(30);
    let jitter = pair.draw(1500);
    pair.network = Network {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(jitter),
        loss,
        duplication,
    };
    pair.lookup_takes = Duration::from_millis(pair.draw(3) * 400);
    let cid = [CidOffer::None, CidOffer::Empty, CidOffer::Both][pair.draw(3) as usize];
    let suite = client.suites[pair.draw(client.suites.len() as u64) as usize];
    let suites = vec![suite];
    (
        pair,
        ClientConfig {
            cid,
            suites,
            ..client
        },
    )
}

/// Begins a handshake and waits for both sides; the session as each of them names it.
fn up(pair: &mut Pair, config: ClientConfig, said: &str) -> (SessionId, SessionId) {
    let ups = (pair.client.ups() + 1, pair.server.ups() + 1);
    pair.connect(config);
    for _ in 0..120 {
        pair.pass(Duration::from_secs(10));
        if (pair.client.ups(), pair.server.ups()) == ups {
            break;
        }
    }
    assert_eq!(pair.client.failures(), [], "{said}");
    assert_eq!((pair.client.ups(), pair.server.ups()), ups, "{said}");
    let (client, _) = pair.client.last_up().expect("up");
    let (server, _) = pair.server.last_up().expect("up");
    (client, server)
}

/// Both sides send; what comes was sent, and comes once.
fn carry(pair: &mut Pair, (client, server): (SessionId, SessionId), round: u8, said: &str) {
    for index in 0..RECORDS {
        pair.send_from_client(client, &[b'c', round, index]);
    }
    pair.pass(Duration::from_secs(10));
    for index in 0..RECORDS {
        pair.send_from_server(server, &[b's', round, index]);
    }
    pair.pass(Duration::from_secs(10));
    for (side, name) in [(&pair.server, b'c'), (&pair.client, b's')] {
        let mut seen = [false; RECORDS as usize];
        for text in side.texts() {
            let [from, of, index] = text else {
                panic!("{said}: {text:?}");
            };
            assert_eq!(*from, name, "{said}");
            if *of == round {
                let again = std::mem::replace(&mut seen[usize::from(*index)], true);
                assert!(!again, "{said}: a record came twice");
            }
        }
        let came = seen.iter().filter(|seen| **seen).count();
        match pair.network.loss {
            0 => assert_eq!(came, RECORDS.into(), "{said}"),
            _ => assert!(came > 0, "{said}"),
        }
    }
}

/// The life of a session: handshake, data, a new address where there is a Connection ID, and a
/// session that continues it from yet another one.
fn live(seed: u64, server: ServerConfig, client: ClientConfig, is_it: impl Fn(&Identity) -> bool) {
    let (mut pair, config) = world(seed, server, client);
    let said = format!("DTLS_SEED={seed}: {:?}", pair.network);
    let session = up(&mut pair, config.clone(), &said);
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(is_it(&peer.identity) && !peer.resumed, "{said}");
    carry(&mut pair, session, 0, &said);
    if peer.cid {
        pair.client.address = SocketAddr::from(([203, 0, 113, 1], 1000));
        carry(&mut pair, session, 1, &said);
        let now_at = pair.server.endpoint.path(session.1);
        assert_eq!(now_at, Some(pair.client.address), "{said}");
    }
    let resume = pair.client.endpoint.resumption(session.0);
    assert!(resume.is_some(), "{said}");
    pair.client.address = SocketAddr::from(([203, 0, 113, 2], 2000));
    let continued = up(&mut pair, ClientConfig { resume, ..config }, &said);
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(is_it(&peer.identity) && peer.resumed, "{said}");
    carry(&mut pair, continued, 2, &said);
}

const PSK: [CipherSuite; 3] = [
    CipherSuite::PskCcm8,
    CipherSuite::PskCcm,
    CipherSuite::PskGcm,
];
const ECDHE: [CipherSuite; 3] = [
    CipherSuite::EcdheEcdsaCcm8,
    CipherSuite::EcdheEcdsaCcm,
    CipherSuite::EcdheEcdsaGcm,
];

#[test]
fn sessions_with_pre_shared_keys_live_over_bad_networks() {
    for seed in seeds(1..=5000) {
        let client = ClientConfig {
            suites: PSK.to_vec(),
            ..client_config()
        };
        live(seed, ServerConfig::default(), client, |identity| {
            matches!(identity, Identity::Psk(_))
        });
    }
}

#[test]
fn sessions_with_raw_public_keys_live_over_bad_networks() {
    let world = World::new();
    for seed in seeds(5001..=7500) {
        let client = ClientConfig {
            suites: ECDHE.to_vec(),
            ..world.raw_public_key()
        };
        live(seed, world.server(), client, |identity| {
            matches!(identity, Identity::RawPublicKey(_))
        });
    }
}

#[test]
fn sessions_with_certificates_live_over_bad_networks() {
    let world = World::new();
    for seed in seeds(7501..=10_000) {
        let client = ClientConfig {
            suites: ECDHE.to_vec(),
            ..world.x509()
        };
        live(seed, world.server(), client, |identity| {
            matches!(identity, Identity::X509(_))
        });
    }
}

#[test]
fn a_network_that_carries_nothing_ends_in_failures_and_no_state() {
    let mut pair = Pair::new();
    pair.network.loss = 100;
    pair.connect(client_config());
    pair.pass(Duration::from_secs(200));
    assert_eq!(pair.client.failures().len(), 1);
    assert_eq!(pair.client.endpoint.handshakes(), 0);
    // At 0, 9, 27 and 63 s; the next one would be at 123 s (RFC 7925 §11).
    assert_eq!(pair.client.sent.len(), 4);
}
