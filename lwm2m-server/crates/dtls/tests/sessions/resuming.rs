//! Sessions that are continued by an abbreviated handshake, and limits of records.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    ClientConfig, ClientCredentials, Config, Failure, Limits, Lookup, PrivateKey, Psk, Resumption,
    SendError, ServerConfig, ServerResumption, TicketKey, Verdict,
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

fn without_tickets() -> Config {
    server(|server| {
        server.resumption = Some(ServerResumption {
            ticket_key: None,
            ..ServerResumption::default()
        });
    })
}

/// What the client may continue its session with, which is closed.
fn earlier(pair: &mut Pair, config: ClientConfig) -> Resumption {
    let (client, _) = pair.establish(config);
    let resumption = pair.client.endpoint.resumption(client);
    let now = pair.now;
    pair.client.endpoint.close(now, client);
    pair.run();
    resumption.expect("something to continue with")
}

fn continuing(resumption: Resumption) -> ClientConfig {
    ClientConfig {
        resume: Some(resumption),
        ..client_config()
    }
}

#[test]
fn sessions_are_continued_by_ticket_and_by_id() {
    for config in [Config::default(), without_tickets()] {
        let mut pair = Pair::with_server(config);
        let resumption = earlier(&mut pair, client_config());
        let (_, before) = pair.server.last_up().expect("up");
        pair.lookups.clear();
        let (client, server) = pair.establish(continuing(resumption));
        let [Lookup::Resume { peer }] = &pair.lookups[..] else {
            panic!("{:?}", pair.lookups);
        };
        assert_eq!(peer.identity, before.identity);
        for side in [&pair.client, &pair.server] {
            let (_, peer) = side.last_up().expect("up");
            assert!(peer.resumed && peer.extended_master_secret);
            assert_eq!(peer.identity, before.identity);
            assert_eq!(peer.suite, before.suite);
        }
        pair.send_from_client(client, b"up");
        pair.send_from_server(server, b"down");
        pair.run();
        assert_eq!(pair.server.texts(), [b"up"]);
        assert_eq!(pair.client.texts(), [b"down"]);
        // And once more from there.
        let again = pair.client.endpoint.resumption(client).expect("still good");
        pair.establish(continuing(again));
        assert!(pair.server.last_up().expect("up").1.resumed);
    }
}

#[test]
fn a_raw_public_key_is_remembered() {
    let (ours, theirs) = (
        PrivateKey::generate().expect("a key"),
        PrivateKey::generate().expect("a key"),
    );
    let mut pair = Pair::with_server(server(|server| {
        server.raw_public_key = Some(theirs.clone());
    }));
    let config = ClientConfig::new(ClientCredentials::RawPublicKey {
        key: ours,
        server: theirs.public_key().clone(),
    });
    let resumption = earlier(&mut pair, config.clone());
    let (_, before) = pair.server.last_up().expect("up");
    pair.establish(ClientConfig {
        resume: Some(resumption),
        ..config
    });
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(peer.resumed);
    assert_eq!(peer.identity, before.identity);
}

#[test]
fn whoever_is_not_let_in_again_proves_itself_anew() {
    let mut pair = Pair::new();
    let resumption = earlier(&mut pair, client_config());
    pair.verdict = Verdict::Unknown;
    pair.establish(continuing(resumption.clone()));
    assert!(!pair.server.last_up().expect("up").1.resumed);
    // The key has been taken back: the session is of no use.
    pair.keys.clear();
    pair.connect(continuing(resumption));
    pair.run();
    let expected = Failure::UnknownPskIdentity {
        identity: IDENTITY.into(),
    };
    assert_eq!(pair.server.failures(), [expected]);
}

#[test]
fn a_server_that_has_forgotten_asks_for_the_whole_handshake() {
    for config in [Config::default(), without_tickets()] {
        let mut first = Pair::with_server(config.clone());
        let resumption = earlier(&mut first, client_config());
        // Another process: no cache, another ticket key.
        let mut other = Pair::with(2, without_tickets(), Config::default());
        other.establish(continuing(resumption));
        assert!(!other.server.last_up().expect("up").1.resumed);
    }
}

#[test]
fn servers_with_one_ticket_key_take_each_others_tickets() {
    let shared = |previous: Option<TicketKey>, current: TicketKey| {
        server(|server| {
            server.resumption = Some(ServerResumption {
                ticket_key: Some(current),
                previous_ticket_key: previous,
                ..ServerResumption::default()
            });
        })
    };
    let (old, new) = (TicketKey::new(&[1; 32]), TicketKey::new(&[2; 32]));
    let mut first = Pair::with_server(shared(None, old.clone()));
    let resumption = earlier(&mut first, client_config());
    let mut second = Pair::with_server(shared(Some(old), new));
    second.establish(continuing(resumption));
    assert!(second.server.last_up().expect("up").1.resumed);
}

#[test]
fn shards_of_one_process_take_each_others_tickets() {
    let mut first = Pair::new();
    let resumption = earlier(&mut first, client_config());
    let mut second = Pair::with(2, Config::default(), Config::default());
    second.establish(continuing(resumption));
    assert!(second.server.last_up().expect("up").1.resumed);
}

#[test]
fn a_session_is_not_continued_for_ever() {
    for config in [Config::default(), without_tickets()] {
        let mut pair = Pair::with_server(config);
        let resumption = earlier(&mut pair, client_config());
        pair.pass(ServerResumption::default().lifetime + Duration::from_secs(2));
        pair.establish(continuing(resumption));
        assert!(!pair.server.last_up().expect("up").1.resumed);
    }
}

#[test]
fn another_server_name_is_another_session() {
    let mut pair = Pair::new();
    let resumption = earlier(&mut pair, client_config());
    pair.establish(ClientConfig {
        server_name: Some("tenant.example".into()),
        ..continuing(resumption)
    });
    assert!(!pair.server.last_up().expect("up").1.resumed);
}

#[test]
fn remembered_sessions_have_a_limit() {
    let mut pair = Pair::with_server(Config {
        limits: Limits {
            resumable_sessions_max: 1,
            ..Limits::default()
        },
        ..without_tickets()
    });
    let first = earlier(&mut pair, client_config());
    let second = earlier(&mut pair, client_config());
    pair.establish(continuing(first));
    assert!(!pair.server.last_up().expect("up").1.resumed);
    // That handshake took the one place.
    pair.establish(continuing(second));
    assert!(!pair.server.last_up().expect("up").1.resumed);
}

#[test]
fn the_secret_of_another_session_does_not_finish() {
    let mut pair = Pair::new();
    let good = earlier(&mut pair, client_config());
    let other = Psk::new(b"another key").expect("a key");
    pair.keys.insert(b"other".to_vec(), known(other.clone()));
    let _ = earlier(&mut pair, ClientConfig::psk(b"other", other));
    pair.establish(continuing(good));
    let (_, peer) = pair.server.last_up().expect("up");
    assert_eq!(peer.identity, lwm2m_dtls::Identity::Psk(IDENTITY.into()));
}

#[test]
fn abbreviated_handshakes_survive_a_bad_network() {
    let mut resumed = 0;
    for seed in 1..200 {
        let timing = lwm2m_dtls::Timing {
            retransmission_initial: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(900),
            ..lwm2m_dtls::Timing::default()
        };
        let config = |config: Config| Config { timing, ..config };
        let mut pair = Pair::with(seed, config(Config::default()), config(Config::default()));
        let resumption = earlier(&mut pair, client_config());
        pair.network.loss = pair.draw(30);
        pair.network.duplication = pair.draw(30);
        pair.network.jitter = Duration::from_millis(pair.draw(1500));
        pair.lookup_takes = Duration::from_millis(pair.draw(3) * 400);
        pair.connect(continuing(resumption));
        pair.pass(Duration::from_secs(800));
        let said = format!("seed {seed}: {:?}", pair.network);
        assert_eq!((pair.client.ups(), pair.server.ups()), (2, 2), "{said}");
        resumed += usize::from(pair.server.last_up().expect("up").1.resumed);
    }
    assert_eq!(resumed, 199);
}

#[test]
fn records_keep_to_the_limit_of_the_client() {
    let mut pair = Pair::with_server(server(|server| {
        server.psk_identity_hint = Some(vec![b'h'; 300].into());
    }));
    let (_, session) = pair.establish(ClientConfig {
        record_size_limit: Some(64),
        ..client_config()
    });
    for datagram in &pair.server.sent[1..2] {
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[11], rest[12]]));
            assert!(length <= 64);
            rest = &rest[13 + length..];
        }
    }
    let now = pair.now;
    // The type inside of a record with a Connection ID counts.
    let sent = |pair: &mut Pair, bytes| pair.server.endpoint.send(now, session, &vec![7; bytes]);
    assert_eq!(sent(&mut pair, 63), Ok(()));
    assert_eq!(sent(&mut pair, 64), Err(SendError::TooLarge { max: 63 }));
    let (_, peer) = pair.server.last_up().expect("up");
    assert_eq!(peer.identity, lwm2m_dtls::Identity::Psk(IDENTITY.into()));
    assert_eq!(pair.keys.get(IDENTITY), Some(&known(key())));
}
