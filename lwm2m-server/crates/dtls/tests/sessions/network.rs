//! Handshakes and data over bad networks, many seeds of them.
//!
//! `DTLS_SEEDS` sets how many seeds run, `DTLS_SEED` runs one.

use std::time::Duration;

use lwm2m_dtls::{CidOffer, CipherSuite, ClientConfig, Config, Limits, Timing};

use crate::pair::{Network, Pair, client_config};

/// How many seeds run when nobody says: what a debug build does in some seconds.
const SEEDS: u64 = 1000;

fn seeds() -> impl Iterator<Item = u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let one = number("DTLS_SEED");
    let count = number("DTLS_SEEDS").unwrap_or(SEEDS);
    one.map_or(1..count + 1, |seed| seed..seed + 1)
}

fn patient() -> Timing {
    Timing {
        retransmission_initial: Duration::from_secs(1),
        retransmission_max: Duration::from_secs(8),
        handshake_timeout: Duration::from_secs(900),
        ..Timing::default()
    }
}

/// A world by seed.
fn world(seed: u64) -> (Pair, ClientConfig) {
    let config = |mtu| Config {
        timing: patient(),
        limits: Limits {
            mtu,
            ..Limits::default()
        },
        ..Config::default()
    };
    let mtu = [1200, 256, 128][(seed % 3) as usize];
    let mut pair = Pair::with(seed, config(mtu), config(mtu));
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
    let suites = [
        CipherSuite::PskCcm8,
        CipherSuite::PskCcm,
        CipherSuite::PskGcm,
    ];
    let client = ClientConfig {
        cid,
        suites: vec![suites[pair.draw(3) as usize]],
        ..client_config()
    };
    (pair, client)
}

#[test]
fn every_handshake_succeeds_over_a_bad_network() {
    for seed in seeds() {
        let (mut pair, config) = world(seed);
        let network = pair.network;
        let said = format!("DTLS_SEED={seed}: {network:?}");
        pair.connect(config);
        for _ in 0..120 {
            pair.pass(Duration::from_secs(10));
            if pair.client.ups() == 1 && pair.server.ups() == 1 {
                break;
            }
        }
        assert_eq!(pair.client.failures(), [], "{said}");
        assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1), "{said}");
        let (client, _) = pair.client.last_up().expect("up");
        let (server, _) = pair.server.last_up().expect("up");
        for index in 0..20_u8 {
            pair.send_from_client(client, &[b'c', index]);
            pair.send_from_server(server, &[b's', index]);
        }
        pair.pass(Duration::from_secs(10));
        for (side, name) in [(&pair.server, b'c'), (&pair.client, b's')] {
            let mut seen = [false; 20];
            for text in side.texts() {
                let [from, index] = text else {
                    panic!("{said}: {text:?}");
                };
                assert_eq!(*from, name, "{said}");
                let again = std::mem::replace(&mut seen[usize::from(*index)], true);
                assert!(!again, "{said}: a record came twice");
            }
            let came = seen.iter().filter(|seen| **seen).count();
            if network.loss == 0 {
                assert_eq!(came, 20, "{said}");
            }
        }
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
