//! Sessions that outlive the process.

use std::time::Duration;

use lwm2m_dtls::{
    CidOffer, ClientConfig, Config, Endpoint, Event, ImportError, Limits, SeededRandom,
};

use crate::pair::{Pair, client_config};

/// A server that has just started.
fn restarted(config: Config) -> Endpoint<std::net::SocketAddr> {
    Endpoint::new(config, SeededRandom::new(99))
}

#[test]
fn a_session_goes_on_after_a_restart() {
    for cid in [CidOffer::None, CidOffer::Empty, CidOffer::Both] {
        let mut pair = Pair::new();
        let (client, server) = pair.establish(ClientConfig {
            cid,
            ..client_config()
        });
        let peer = pair.server.endpoint.peer(server).cloned();
        let exported = pair.server.endpoint.export(server).expect("it is up");
        // After the export, the old process still sends.
        pair.send_from_server(server, b"before the end");
        pair.run();
        let last = sequence(pair.server.sent.last().expect("a record"));
        pair.server.endpoint = restarted(Config::default());
        let (now, at) = (pair.now, pair.client.address);
        let imported = pair.server.endpoint.import(now, at, &exported);
        assert_eq!(imported, Ok(server), "under its id");
        assert_eq!(pair.server.endpoint.peer(server).cloned(), peer);
        pair.send_from_client(client, b"up");
        pair.send_from_server(server, b"down");
        pair.run();
        assert_eq!(pair.server.texts(), [b"up"]);
        assert_eq!(pair.client.texts(), [&b"before the end"[..], b"down"]);
        let next = sequence(pair.server.sent.last().expect("a record"));
        assert!(next > last + 1_000_000, "no number is used twice");
    }
}

/// The sequence number of a record.
fn sequence(record: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&record[5..11]);
    u64::from_be_bytes(bytes)
}

#[test]
fn what_came_before_the_export_is_a_replay_after_it() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(client_config());
    pair.send_from_client(client, b"once");
    pair.run();
    let exported = pair.server.endpoint.export(server).expect("it is up");
    pair.server.endpoint = restarted(Config::default());
    let (now, at) = (pair.now, pair.client.address);
    assert!(pair.server.endpoint.import(now, at, &exported).is_ok());
    let (from, record) = pair.captured.last().expect("a record").clone();
    pair.inject(from, &record);
    assert_eq!(pair.server.texts(), [b"once"]);
}

#[test]
fn a_session_has_one_place() {
    let mut pair = Pair::new();
    let (_, server) = pair.establish(client_config());
    let exported = pair.server.endpoint.export(server).expect("it is up");
    let (now, at) = (pair.now, pair.client.address);
    let again = pair.server.endpoint.import(now, at, &exported);
    assert_eq!(again, Err(ImportError::Occupied));
    let mut other = restarted(Config {
        shard: 1,
        ..Config::default()
    });
    let elsewhere = other.import(now, at, &exported);
    assert_eq!(elsewhere, Err(ImportError::Shard { found: 0 }));
    let mut full = restarted(Config {
        limits: Limits {
            sessions_max: 0,
            ..Limits::default()
        },
        ..Config::default()
    });
    assert_eq!(full.import(now, at, &exported), Err(ImportError::Full));
}

#[test]
fn new_sessions_find_their_place_beside_imported_ones() {
    let mut pair = Pair::new();
    let mut exported = Vec::new();
    for port in 0..10_u16 {
        pair.client.address = ([203, 0, 113, 1], 1000 + port).into();
        let (_, server) = pair.establish(client_config());
        exported.push((
            pair.client.address,
            pair.server.endpoint.export(server).expect("it is up"),
        ));
    }
    pair.server.endpoint = restarted(Config::default());
    let now = pair.now;
    for (at, exported) in exported.iter().skip(5).rev() {
        let imported = pair.server.endpoint.import(now, *at, exported);
        assert!(imported.is_ok());
    }
    for port in 0..20_u16 {
        pair.client.address = ([203, 0, 113, 2], 1000 + port).into();
        pair.establish(client_config());
    }
    assert_eq!(pair.server.endpoint.sessions(), 25);
    let down = |event: &Event<_>| matches!(event, Event::Down { .. });
    assert!(!pair.server.events.iter().any(down));
    pair.pass(Duration::from_secs(1));
}

#[test]
fn bytes_that_are_no_session_are_refused() {
    let mut pair = Pair::new();
    let (_, server) = pair.establish(client_config());
    let exported = pair.server.endpoint.export(server).expect("it is up");
    let (now, at) = (pair.now, pair.client.address);
    for end in 0..exported.len() {
        let cut = restarted(Config::default()).import(now, at, &exported[..end]);
        assert_eq!(cut, Err(ImportError::Malformed), "{end}");
    }
    let mut newer = exported.to_vec();
    newer[0] = 2;
    let refused = restarted(Config::default()).import(now, at, &newer);
    assert_eq!(refused, Err(ImportError::Version { found: 2 }));
}
