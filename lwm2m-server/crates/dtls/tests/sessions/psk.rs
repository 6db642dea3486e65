//! Pre-shared keys: who gets in, who does not, and what each side learns.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    Alert, CipherSuite, ClientConfig, Config, DownReason, Event, ExtendedMasterSecret, Failure,
    Identity, Limits, Lookup, Psk, SendError, ServerConfig, UnknownPskIdentity, Verdict,
};

use crate::pair::{IDENTITY, Pair, client_config, key, known};

fn server(change: impl FnOnce(&mut ServerConfig)) -> Config {
    let mut server = ServerConfig::default();
    change(&mut server);
    Config {
        server: Some(Arc::new(server)),
        ..Config::default()
    }
}

#[test]
fn a_session_carries_data_both_ways() {
    for suite in [
        CipherSuite::PskCcm8,
        CipherSuite::PskCcm,
        CipherSuite::PskGcm,
    ] {
        let mut pair = Pair::new();
        let (client, server) = pair.establish(ClientConfig {
            suites: vec![suite],
            ..client_config()
        });
        let (_, peer) = pair.server.last_up().expect("up");
        assert_eq!(peer.identity, Identity::Psk(IDENTITY.into()));
        assert_eq!(peer.suite, suite);
        assert!(peer.extended_master_secret && peer.cid && !peer.resumed);
        for index in 0..100_u8 {
            pair.send_from_client(client, &[index; 33]);
            pair.send_from_server(server, &[index; 200]);
        }
        pair.send_from_client(client, b"");
        pair.run();
        assert_eq!(pair.server.data.len(), 101);
        assert_eq!(pair.server.data[7], (server, vec![7; 33]));
        assert_eq!(pair.client.data[99], (client, vec![99; 200]));
    }
}

#[test]
fn a_handshake_takes_three_datagrams_of_the_client() {
    let mut pair = Pair::new();
    pair.establish(client_config());
    assert_eq!(pair.client.sent.len(), 3);
    assert_eq!(pair.server.sent.len(), 3);
}

#[test]
fn the_server_name_and_the_identity_are_in_the_lookup() {
    let mut pair = Pair::new();
    pair.establish(ClientConfig {
        server_name: Some("lwm2m.example".into()),
        ..client_config()
    });
    let expected = Lookup::Psk {
        identity: IDENTITY.into(),
        server_name: Some("lwm2m.example".into()),
    };
    assert_eq!(pair.lookups, [expected]);
}

#[test]
fn a_lookup_parks_one_handshake_and_others_go_on() {
    let mut pair = Pair::new();
    pair.lookup_takes = Duration::from_secs(3);
    pair.connect(client_config());
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.server.endpoint.handshakes(), 1);
    assert_eq!(pair.server.ups(), 0);
    // Another client, from another address, whose answer comes at once.
    let parked_at = std::mem::replace(
        &mut pair.client.address,
        "198.51.100.8:40000".parse().expect("an address"),
    );
    pair.lookup_takes = Duration::ZERO;
    pair.connect(client_config());
    pair.pass(Duration::from_millis(200));
    assert_eq!(pair.server.ups(), 1);
    assert_eq!(pair.server.endpoint.handshakes(), 1);
    pair.client.address = parked_at;
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.server.ups(), 2);
}

#[test]
fn a_slow_lookup_costs_no_retransmission() {
    let mut pair = Pair::new();
    pair.lookup_takes = Duration::from_secs(5);
    pair.establish(client_config());
    assert_eq!(pair.server.endpoint.statistics().retransmitted, 0);
    assert_eq!(pair.client.endpoint.statistics().retransmitted, 0);
}

#[test]
fn an_answer_that_never_comes_ends_in_silence() {
    let mut pair = Pair::new();
    pair.lookup_takes = Duration::from_secs(100_000);
    pair.connect(client_config());
    pair.pass(Duration::from_secs(200));
    assert_eq!(pair.server.failures(), [Failure::Overloaded]);
    let expected = Failure::Timeout {
        expected: "Finished",
    };
    assert_eq!(pair.client.failures(), [expected], "and no alert");
}

#[test]
fn a_late_answer_is_for_nobody() {
    let mut pair = Pair::new();
    let (_, server) = pair.establish(client_config());
    let now = pair.now;
    assert!(!pair.server.endpoint.answer(now, server, known(key())));
}

#[test]
fn an_unknown_identity_is_told_by_alert() {
    let mut pair = Pair::new();
    pair.keys.clear();
    pair.connect(client_config());
    pair.run();
    let expected = Failure::UnknownPskIdentity {
        identity: IDENTITY.into(),
    };
    assert_eq!(pair.server.failures(), [expected]);
    assert_eq!(
        pair.client.failures(),
        [Failure::PeerAlert(Alert::UNKNOWN_PSK_IDENTITY)]
    );
    assert_eq!(pair.server.endpoint.handshakes(), 0);
}

#[test]
fn a_concealed_identity_looks_like_a_wrong_key() {
    let mut concealed = Pair::with_server(server(|server| {
        server.unknown_psk_identity = UnknownPskIdentity::Conceal;
    }));
    concealed.keys.clear();
    concealed.connect(client_config());
    concealed.run();
    let expected = Failure::ConcealedPskIdentity {
        identity: IDENTITY.into(),
    };
    assert_eq!(concealed.server.failures(), [expected]);

    let mut wrong = Pair::new();
    let other = Psk::new(b"another key").expect("a key");
    wrong.keys.insert(IDENTITY.to_vec(), known(other));
    wrong.connect(client_config());
    wrong.run();
    let expected = Failure::WrongKey {
        identity: IDENTITY.into(),
    };
    assert_eq!(wrong.server.failures(), [expected]);

    assert_eq!(concealed.client.failures(), wrong.client.failures());
    assert_eq!(
        wrong.client.failures(),
        [Failure::PeerAlert(Alert::BAD_RECORD_MAC)]
    );
    let sizes = |pair: &Pair| pair.server.sent.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&concealed), sizes(&wrong));
}

#[test]
fn refused_and_overloaded_are_told_apart() {
    let mut pair = Pair::new();
    pair.keys.insert(IDENTITY.to_vec(), Verdict::Refuse);
    pair.connect(client_config());
    pair.run();
    assert_eq!(pair.server.failures(), [Failure::Refused]);
    assert_eq!(
        pair.client.failures(),
        [Failure::PeerAlert(Alert::ACCESS_DENIED)]
    );

    let mut pair = Pair::new();
    pair.keys.insert(IDENTITY.to_vec(), Verdict::Overloaded);
    pair.connect(client_config());
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.server.failures(), [Failure::Overloaded]);
    assert_eq!(pair.client.failures(), [], "no word to the client");
}

#[test]
fn while_keys_are_exchanged_both_are_good() {
    let new = Psk::new(b"fedcba9876543210").expect("a key");
    for held in [key(), new.clone()] {
        let mut pair = Pair::new();
        let verdict = Verdict::Psk {
            key: new.clone(),
            alternate: Some(key()),
        };
        pair.keys.insert(IDENTITY.to_vec(), verdict);
        let (client, _) = pair.establish(ClientConfig::psk(IDENTITY, held));
        pair.send_from_client(client, b"in");
        pair.run();
        assert_eq!(pair.server.texts(), [b"in"]);
    }
}

#[test]
fn no_common_suite_names_both_lists() {
    let mut pair = Pair::with_server(server(|server| {
        server.suites = vec![CipherSuite::PskGcm];
    }));
    pair.connect(ClientConfig {
        suites: vec![CipherSuite::PskCcm8],
        ..client_config()
    });
    pair.run();
    let expected = Failure::NoCommonSuite {
        peer: vec![0xc0a8, 0x00ff],
        ours: vec![0x00a8],
    };
    assert_eq!(pair.server.failures(), [expected]);
    assert_eq!(
        pair.client.failures(),
        [Failure::PeerAlert(Alert::HANDSHAKE_FAILURE)]
    );
}

#[test]
fn a_hint_is_sent_when_there_is_one() {
    let mut pair = Pair::with_server(server(|server| {
        server.psk_identity_hint = Some(b"hint".as_slice().into());
    }));
    pair.establish(client_config());
    let flight = &pair.server.sent[1];
    assert!(flight.windows(6).any(|window| window == b"\0\x04hint"));
}

#[test]
fn an_identity_above_the_limit_is_refused() {
    let limits = Limits::default();
    for (length, fits) in [
        (limits.psk_identity_max, true),
        (limits.psk_identity_max + 1, false),
    ] {
        let mut pair = Pair::new();
        let identity = vec![b'i'; length];
        pair.keys.insert(identity.clone(), known(key()));
        pair.connect(ClientConfig::psk(&identity, key()));
        pair.run();
        assert_eq!(pair.server.ups() == 1, fits);
        assert_eq!(
            matches!(pair.server.failures()[..], [Failure::TooLarge { .. }]),
            !fits
        );
    }
}

#[test]
fn close_notify_ends_both_ends() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(client_config());
    let now = pair.now;
    pair.client.endpoint.close(now, client);
    pair.run();
    assert!(matches!(
        pair.client.events.last(),
        Some(Event::Down { session, reason: DownReason::Closed, .. }) if *session == client
    ));
    assert!(matches!(
        pair.server.events.last(),
        Some(Event::Down { session, reason: DownReason::PeerClosed, .. }) if *session == server
    ));
    assert_eq!(pair.server.endpoint.sessions(), 0);
    assert_eq!(
        pair.server.endpoint.send(now, server, b"late"),
        Err(SendError::NotUp)
    );
}

#[test]
fn an_id_is_not_used_again_for_another_session() {
    let mut pair = Pair::new();
    let (client, first) = pair.establish(client_config());
    let now = pair.now;
    pair.client.endpoint.close(now, client);
    pair.run();
    let (_, second) = pair.establish(client_config());
    assert_ne!(first, second);
    assert_eq!(
        pair.server.endpoint.send(now, first, b"to the first"),
        Err(SendError::NotUp)
    );
}

#[test]
fn the_extended_master_secret_can_be_demanded() {
    let mut pair = Pair::with_server(server(|server| {
        server.extended_master_secret = ExtendedMasterSecret::Required;
    }));
    pair.establish(client_config());
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(peer.extended_master_secret);
}
