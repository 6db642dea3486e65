//! Connection IDs: a peer that changes its address, and those who pretend that it did.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    CidOffer, ClientConfig, Config, Endpoint, Event, Limits, SendError, ServerConfig, SessionId,
};

use crate::pair::{Pair, client_config};

fn elsewhere() -> SocketAddr {
    "203.0.113.9:12345".parse().expect("an address")
}

fn moved(pair: &Pair) -> Vec<(SocketAddr, SocketAddr)> {
    let events = pair.server.events.iter();
    events
        .filter_map(|event| match event {
            Event::PathChanged { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect()
}

fn with(cid: CidOffer) -> ClientConfig {
    ClientConfig {
        cid,
        ..client_config()
    }
}

/// A datagram of the client that has not been sent.
fn kept_back(pair: &mut Pair, session: SessionId, data: &[u8]) -> Vec<u8> {
    pair.send_from_client(session, data);
    let transmit = pair.client.endpoint.poll_transmit();
    transmit.expect("a datagram").datagram.to_vec()
}

#[test]
fn a_session_follows_its_peer() {
    for offer in [CidOffer::Empty, CidOffer::Both] {
        let mut pair = Pair::new();
        let (client, server) = pair.establish(with(offer));
        let before = std::mem::replace(&mut pair.client.address, elsewhere());
        pair.send_from_client(client, b"from elsewhere");
        pair.run();
        assert_eq!(pair.server.data, [(server, b"from elsewhere".to_vec())]);
        assert_eq!(moved(&pair), [(before, elsewhere())]);
        pair.send_from_server(server, b"found you");
        pair.run();
        assert_eq!(pair.client.texts(), [b"found you"]);
        assert_eq!(pair.server.endpoint.path(server), Some(elsewhere()));
    }
}

#[test]
fn without_a_connection_id_a_new_address_is_a_stranger() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(with(CidOffer::None));
    pair.client.address = elsewhere();
    pair.send_from_client(client, b"lost");
    pair.run();
    assert_eq!(pair.server.data, []);
    assert_eq!(pair.server.endpoint.statistics().discarded, 1);
}

#[test]
fn a_server_may_refuse_connection_ids() {
    let mut pair = Pair::with_server(Config {
        server: Some(Arc::new(ServerConfig {
            cid: false,
            ..ServerConfig::default()
        })),
        ..Config::default()
    });
    pair.establish(with(CidOffer::Both));
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(!peer.cid);
}

#[test]
fn a_replayed_record_moves_nobody() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(with(CidOffer::Empty));
    pair.send_from_client(client, b"once");
    pair.run();
    let (home, record) = pair.captured.last().expect("a datagram").clone();
    pair.inject(elsewhere(), &record);
    assert_eq!(pair.server.texts(), [b"once"]);
    assert_eq!(pair.server.endpoint.path(server), Some(home));
}

#[test]
fn a_late_record_from_elsewhere_is_taken_and_moves_nobody() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(with(CidOffer::Empty));
    let late = kept_back(&mut pair, client, b"late");
    pair.send_from_client(client, b"newest");
    pair.run();
    let home = pair.client.address;
    pair.inject(elsewhere(), &late);
    assert_eq!(pair.server.texts(), [&b"newest"[..], b"late"]);
    assert_eq!(pair.server.endpoint.path(server), Some(home));
}

#[test]
fn a_changed_record_with_a_known_connection_id_moves_nobody() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(with(CidOffer::Empty));
    let record = kept_back(&mut pair, client, b"content");
    for at in 0..record.len() {
        let mut forged = record.clone();
        forged[at] ^= 1;
        pair.inject(elsewhere(), &forged);
    }
    assert_eq!(pair.server.data, []);
    assert_eq!(moved(&pair), []);
    // The record itself is still good.
    let home = pair.client.address;
    pair.inject(home, &record);
    assert_eq!(pair.server.data, [(server, b"content".to_vec())]);
}

#[test]
fn little_goes_to_a_new_address_until_it_has_answered() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(with(CidOffer::Empty));
    pair.client.address = elsewhere();
    pair.send_from_client(client, b"moved");
    pair.run();
    let received = pair.captured.last().expect("a datagram").1.len();
    let allowed = Limits::default().unconfirmed_path_bytes + 3 * received;
    let now = pair.now;
    let mut sent = 0;
    let refused = loop {
        match pair.server.endpoint.send(now, server, &[0; 100]) {
            Ok(()) => {
                let transmit = pair.server.endpoint.poll_transmit();
                sent += transmit.expect("a datagram").datagram.len();
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SendError::PathNotConfirmed);
    assert!(
        sent <= allowed && sent + 200 > allowed,
        "{sent} of {allowed}"
    );
    pair.server.endpoint.confirm_path(server);
    for _ in 0..100 {
        pair.send_from_server(server, &[0; 1000]);
    }
}

#[test]
fn a_datagram_names_the_shard_of_its_session() {
    let mut pair = Pair::with_server(Config {
        shard: 7,
        ..Config::default()
    });
    let (client, _) = pair.establish(with(CidOffer::Empty));
    let record = kept_back(&mut pair, client, b"to shard seven");
    assert_eq!(Endpoint::<SocketAddr>::shard_of(&record), Some(7));
    let hello = pair.client.sent[0].clone();
    assert_eq!(Endpoint::<SocketAddr>::shard_of(&hello), None);
}

#[test]
fn another_device_at_a_forsaken_address_does_not_end_the_session_that_moved() {
    let mut pair = Pair::new();
    let (client, first) = pair.establish(with(CidOffer::Empty));
    let home = std::mem::replace(&mut pair.client.address, elsewhere());
    pair.send_from_client(client, b"moved");
    pair.run();
    pair.client.address = home;
    let (_, second) = pair.establish(with(CidOffer::Empty));
    assert_ne!(first, second);
    assert_eq!(pair.server.endpoint.sessions(), 2);
    assert_eq!(pair.server.endpoint.path(first), Some(elsewhere()));
    pair.pass(Duration::from_secs(1));
}
