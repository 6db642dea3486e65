//! Handshakes that the network, or someone on it, takes to pieces.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    CipherSuite, ClientConfig, Config, DownReason, Event, ExtendedMasterSecret, Failure, Limits,
    ServerConfig, Timing,
};

use crate::pair::{Pair, client_config};

fn mtu(mtu: usize) -> Config {
    Config {
        limits: Limits {
            mtu,
            ..Limits::default()
        },
        timing: Timing {
            retransmission_initial: Duration::from_secs(1),
            retransmission_max: Duration::from_secs(4),
            ..Timing::default()
        },
        ..Config::default()
    }
}

fn long_hello() -> ClientConfig {
    ClientConfig {
        server_name: Some("a-rather-long-name-of-a-tenant.of-a-server.example".into()),
        ..client_config()
    }
}

#[test]
fn a_client_hello_in_pieces_leaves_no_state_before_the_cookie() {
    let mut pair = Pair::with(1, Config::default(), mtu(128));
    pair.connect(long_hello());
    pair.pass(Duration::from_millis(15));
    assert!(pair.client.sent.len() > 1, "it is in pieces");
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    pair.run();
    assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1));
}

#[test]
fn the_transcript_is_the_same_over_fragments_and_retransmissions() {
    // Each side sends with another MTU, and every third datagram is lost at first, so that the
    // same message comes in several ways.
    let server = Config {
        server: Some(Arc::new(ServerConfig {
            psk_identity_hint: Some(vec![b'h'; 500].into()),
            ..ServerConfig::default()
        })),
        ..mtu(130)
    };
    let mut pair = Pair::with(1, server, mtu(140));
    let mut count = 0;
    pair.meddler = Some(Box::new(move |_, datagram| {
        count += 1;
        match count < 40 && count % 3 == 0 {
            true => Vec::new(),
            false => vec![datagram],
        }
    }));
    pair.connect(long_hello());
    pair.pass(Duration::from_secs(119));
    assert_eq!(pair.client.failures(), []);
    assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1));
    assert!(pair.client.endpoint.statistics().retransmitted > 0);
}

#[test]
fn reordered_and_duplicated_flights_are_put_in_order() {
    let server = Config {
        server: Some(Arc::new(ServerConfig {
            psk_identity_hint: Some(vec![b'h'; 500].into()),
            ..ServerConfig::default()
        })),
        ..mtu(128)
    };
    for hold in 2..8 {
        let mut pair = Pair::with(1, server.clone(), mtu(128));
        // Datagrams are held back, and given out last first, twice.
        let mut both: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        let mut count = 0;
        pair.meddler = Some(Box::new(move |to_server, datagram| {
            let held = &mut both[usize::from(to_server)];
            held.push(datagram);
            count += 1;
            if count % hold != 0 && count < 30 {
                return Vec::new();
            }
            let mut all: Vec<Vec<u8>> = held.drain(..).rev().collect();
            all.extend(all.clone());
            all
        }));
        pair.connect(long_hello());
        pair.pass(Duration::from_secs(119));
        assert_eq!(pair.client.failures(), [], "{hold}");
        assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1), "{hold}");
    }
}

#[test]
fn a_path_that_carries_less_than_was_believed_gets_smaller_datagrams() {
    let server = Config {
        server: Some(Arc::new(ServerConfig {
            psk_identity_hint: Some(vec![b'h'; 700].into()),
            ..ServerConfig::default()
        })),
        ..mtu(1200)
    };
    let mut pair = Pair::with(1, server, mtu(1200));
    pair.meddler = Some(Box::new(|_, datagram| match datagram.len() {
        ..=576 => vec![datagram],
        _ => Vec::new(),
    }));
    pair.connect(client_config());
    pair.run();
    assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1));
}

#[test]
fn our_own_records_sent_back_to_us_do_no_harm() {
    let mut pair = Pair::new();
    // The client's records go to the server and back to the client, which waits for Finished.
    let mut said: Vec<Vec<u8>> = Vec::new();
    pair.meddler = Some(Box::new(move |to_server, datagram| {
        if to_server {
            said.push(datagram.clone());
            return vec![datagram];
        }
        let mut all = std::mem::take(&mut said);
        all.push(datagram);
        all
    }));
    pair.lookup_takes = Duration::from_secs(5);
    let (client, _) = pair.establish(client_config());
    pair.send_from_client(client, b"unharmed");
    pair.run();
    assert_eq!(pair.server.texts(), [b"unharmed"]);
    assert_eq!(pair.client.failures(), []);
}

#[test]
fn records_that_come_before_their_keys_wait_for_them() {
    let mut pair = Pair::new();
    // Finished overtakes ClientKeyExchange: each record travels alone, the last one first.
    pair.meddler = Some(Box::new(|to_server, datagram| {
        let mut records = Vec::new();
        let mut rest = &datagram[..];
        while rest.len() > 13 {
            let cid = if rest[0] == 25 { 8 } else { 0 };
            let at = 11 + cid;
            let length = usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
            let (record, next) = rest.split_at(at + 2 + length);
            records.push(record.to_vec());
            rest = next;
        }
        if to_server {
            records.reverse();
        }
        records
    }));
    pair.connect(client_config());
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.client.ups(), pair.server.ups()), (1, 1));
}

/// Replaces bytes in what goes to the server.
fn replacing(from: &'static [u8], to: &'static [u8]) -> crate::pair::Meddler {
    Box::new(move |to_server, mut datagram| {
        let found = datagram
            .windows(from.len())
            .position(|window| window == from);
        if let (true, Some(at)) = (to_server, found) {
            datagram[at..at + to.len()].copy_from_slice(to);
        }
        vec![datagram]
    })
}

#[test]
fn a_downgrade_on_the_way_does_not_finish() {
    let both = ClientConfig {
        suites: vec![CipherSuite::PskGcm, CipherSuite::PskCcm8],
        ..client_config()
    };
    // The stronger suite is taken out; the extended master secret is taken out.
    let meddlers = [
        replacing(&[0x00, 0xa8, 0xc0, 0xa8], &[0xff, 0xa8, 0xc0, 0xa8]),
        replacing(&[0, 23, 0, 0], &[0x7f, 23, 0, 0]),
    ];
    for meddler in meddlers {
        let mut pair = Pair::new();
        pair.meddler = Some(meddler);
        pair.connect(both.clone());
        pair.pass(Duration::from_secs(300));
        assert_eq!((pair.client.ups(), pair.server.ups()), (0, 0));
        assert_eq!(pair.server.failures().len(), 1);
        assert_eq!(pair.client.failures().len(), 1);
    }
}

#[test]
fn the_extended_master_secret_is_demanded_of_the_server_too() {
    let mut pair = Pair::new();
    pair.meddler = Some(replacing(&[0, 23, 0, 0], &[0x7f, 23, 0, 0]));
    pair.connect(ClientConfig {
        extended_master_secret: ExtendedMasterSecret::Required,
        ..client_config()
    });
    pair.run();
    assert_eq!(pair.client.failures(), [Failure::NoExtendedMasterSecret]);

    let mut pair = Pair::with_server(Config {
        server: Some(Arc::new(ServerConfig {
            extended_master_secret: ExtendedMasterSecret::Required,
            ..ServerConfig::default()
        })),
        ..Config::default()
    });
    pair.meddler = Some(replacing(&[0, 23, 0, 0], &[0x7f, 23, 0, 0]));
    pair.connect(client_config());
    pair.run();
    assert_eq!(pair.server.failures(), [Failure::NoExtendedMasterSecret]);
}

#[test]
fn a_client_with_use_srtp_is_taken() {
    // The extension that browsers send, in place of one of the same length that we know.
    let mut pair = Pair::new();
    pair.meddler = Some(replacing(&[0, 35, 0, 0], &[0, 14, 0, 0]));
    pair.connect(client_config());
    pair.pass(Duration::from_millis(45));
    // It gets as far as the check of what was changed on the way.
    assert_eq!(pair.server.failures(), []);
    assert_eq!(pair.server.endpoint.handshakes(), 1);
}

#[test]
fn sessions_end_when_they_are_idle_for_too_long() {
    let idle = Duration::from_secs(3600);
    let mut pair = Pair::with_server(Config {
        limits: Limits {
            session_idle: Some(idle),
            ..Limits::default()
        },
        ..Config::default()
    });
    let (client, server) = pair.establish(client_config());
    for _ in 0..3 {
        pair.pass(idle - Duration::from_secs(10));
        pair.send_from_client(client, b"still here");
        pair.pass(Duration::from_secs(1));
    }
    assert_eq!(pair.server.endpoint.sessions(), 1);
    pair.pass(idle + Duration::from_secs(1));
    assert!(matches!(
        pair.server.events.last(),
        Some(Event::Down { session, reason: DownReason::Idle, .. }) if *session == server
    ));
    pair.run();
    assert_eq!(pair.client.endpoint.sessions(), 0, "it was told");
}

#[test]
fn the_last_flight_is_not_kept_for_ever() {
    let mut pair = Pair::new();
    let client = pair.connect(client_config());
    pair.pass(Duration::from_millis(45));
    pair.network.loss = 100;
    pair.pass(Duration::from_millis(10));
    assert_eq!((pair.server.ups(), pair.client.ups()), (1, 0));
    pair.pass(Timing::default().last_flight);
    // The client asks for it again, too late.
    pair.network.loss = 0;
    pair.pass(Duration::from_secs(100));
    assert_eq!(pair.server.endpoint.statistics().retransmitted, 0);
    let failed =
        |event: &Event<_>| matches!(event, Event::Failed { session, .. } if *session == client);
    assert!(pair.client.events.iter().any(failed));
}

#[test]
fn closing_a_handshake_ends_it() {
    let mut pair = Pair::new();
    let client = pair.connect(client_config());
    pair.pass(Duration::from_millis(35));
    let now = pair.now;
    pair.client.endpoint.close(now, client);
    pair.run();
    assert_eq!(pair.client.failures(), [Failure::GivenUp]);
    assert_eq!(pair.client.endpoint.handshakes(), 0);
    assert_eq!(pair.server.endpoint.handshakes(), 0, "it was told");
}
