//! TLS 1.2 over a stream: our client against our server, in pieces of any size, and what must fail.

use std::sync::Arc;

use lwm2m_dtls::{
    Alert, CipherSuite, ClientAuthentication, ClientConfig, ClientCredentials, Failure, Identity,
    Limits, Lookup, Peer, PrivateKey, Psk, ServerConfig, SystemRandom, TlsEvent, TlsSession,
    Verdict,
};
use proptest::prelude::*;

const NOW_S: u64 = 1_800_000_000;

fn key() -> PrivateKey {
    PrivateKey::generate().expect("a key")
}

fn psk(text: &str) -> Psk {
    Psk::new(text.as_bytes()).expect("a key")
}

fn client(config: ClientConfig) -> TlsSession {
    TlsSession::client(Arc::new(config), Limits::default(), SystemRandom).expect("a client")
}

fn server(config: ServerConfig) -> TlsSession {
    TlsSession::server(Arc::new(config), Limits::default(), SystemRandom)
}

/// What a run came to.
#[derive(Default)]
struct Ran {
    client: Option<Arc<Peer>>,
    server: Option<Arc<Peer>>,
    client_failure: Option<Failure>,
    server_failure: Option<Failure>,
    /// What went to the server, and to the client.
    said: [Vec<u8>; 2],
}

/// Carries bytes to and fro, in pieces, until nothing more is said.
fn run(
    client: &mut TlsSession,
    server: &mut TlsSession,
    piece: usize,
    mut judge: impl FnMut(&Lookup) -> Verdict,
    mut tamper: impl FnMut(usize, &mut Vec<u8>),
) -> Ran {
    let mut ran = Ran::default();
    for turn in 0.. {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.take_output(&mut up);
        server.take_output(&mut down);
        if up.is_empty() && down.is_empty() {
            return ran;
        }
        tamper(2 * turn, &mut up);
        tamper(2 * turn + 1, &mut down);
        ran.said[0].extend_from_slice(&up);
        ran.said[1].extend_from_slice(&down);
        for bytes in up.chunks(piece.max(1)) {
            ran.server_failure = server.receive(bytes, NOW_S).err().or(ran.server_failure);
            while let Some(event) = server.poll_event() {
                match event {
                    TlsEvent::Lookup(lookup) => {
                        let outcome = server.answer(judge(&lookup), NOW_S);
                        ran.server_failure = outcome.err().or(ran.server_failure);
                    }
                    TlsEvent::Up(peer) => ran.server = Some(peer),
                    _ => {}
                }
            }
        }
        for bytes in down.chunks(piece.max(1)) {
            ran.client_failure = client.receive(bytes, NOW_S).err().or(ran.client_failure);
            while let Some(event) = client.poll_event() {
                if let TlsEvent::Up(peer) = event {
                    ran.client = Some(peer);
                }
            }
        }
    }
    ran
}

fn read(session: &mut TlsSession) -> Vec<u8> {
    let mut data = vec![0; session.readable()];
    let count = session.read(&mut data);
    data.truncate(count);
    data
}

/// A client and a server that know each other's raw public keys.
fn raw_public_keys(suite: CipherSuite) -> (ClientConfig, ServerConfig, PrivateKey) {
    let (own, peer) = (key(), key());
    let credentials = ClientCredentials::RawPublicKey {
        key: peer.clone(),
        server: own.public_key().clone(),
    };
    let client = ClientConfig {
        suites: vec![suite],
        application_protocol: Some(b"coap"[..].into()),
        ..ClientConfig::new(credentials)
    };
    let server = ServerConfig {
        raw_public_key: Some(own),
        application_protocol: Some(b"coap"[..].into()),
        ..ServerConfig::default()
    };
    (client, server, peer)
}

#[test]
fn raw_public_keys_with_each_suite_and_in_pieces_of_any_size() {
    let suites = [
        CipherSuite::EcdheEcdsaCcm8,
        CipherSuite::EcdheEcdsaCcm,
        CipherSuite::EcdheEcdsaGcm,
    ];
    for (suite, piece) in suites.into_iter().zip([1, 7, 1 << 14]) {
        let (config, answers, device) = raw_public_keys(suite);
        let (mut client, mut server) = (client(config), server(answers));
        let ran = run(
            &mut client,
            &mut server,
            piece,
            |_| Verdict::Accept,
            |_, _| {},
        );
        assert_eq!((ran.client_failure, ran.server_failure), (None, None));
        let peer = ran.server.expect("up");
        assert_eq!(peer.suite, suite);
        assert!(peer.extended_master_secret && !peer.cid && !peer.resumed);
        let proven = Identity::RawPublicKey(device.public_key().clone());
        assert_eq!(peer.identity, proven);
        assert!(ran.client.is_some());
        // More than a record, both ways.
        let data: Vec<u8> = (0..40_000_u32).map(|at| at as u8).collect();
        assert!(client.write(&data) && server.write(b"2.01"));
        let said = run(
            &mut client,
            &mut server,
            piece * 100,
            |_| Verdict::Refuse,
            |_, _| {},
        );
        assert_eq!(read(&mut server), data);
        assert_eq!(read(&mut client), b"2.01");
        assert!(
            !said.said[0]
                .windows(64)
                .any(|bytes| data.starts_with(bytes))
        );
        client.close();
        let mut last = Vec::new();
        client.take_output(&mut last);
        assert_eq!(server.receive(&last, NOW_S), Ok(()));
        assert!(matches!(server.poll_event(), Some(TlsEvent::Closed)));
        assert!(!client.write(b"more") && !server.write(b"more"));
    }
}

#[test]
fn pre_shared_keys_and_one_that_is_being_exchanged() {
    let (old, new) = (
        psk("the key of yesterday"),
        psk("the key of tomorrow").labelled(7),
    );
    for (held, label) in [(old.clone(), 0), (new.clone(), 7)] {
        let mut client = client(ClientConfig::psk(b"meter", held));
        let mut server = server(ServerConfig::default());
        let judge = |lookup: &Lookup| {
            assert!(matches!(lookup, Lookup::Psk { identity, .. } if **identity == *b"meter"));
            Verdict::Psk {
                key: old.clone(),
                alternate: Some(new.clone()),
            }
        };
        let ran = run(&mut client, &mut server, 3, judge, |_, _| {});
        assert_eq!((ran.client_failure, ran.server_failure), (None, None));
        let peer = ran.server.expect("up");
        assert_eq!(peer.identity, Identity::Psk(b"meter"[..].into()));
        assert_eq!(peer.key_label, label);
    }
}

#[test]
fn a_wrong_key_and_an_unknown_identity_are_told_apart() {
    let refused = |verdict: Verdict| {
        let mut client = client(ClientConfig::psk(b"meter", psk("what the device has")));
        let mut server = server(ServerConfig::default());
        let ran = run(&mut client, &mut server, 99, |_| verdict.clone(), |_, _| {});
        assert!(ran.client.is_none() && ran.server.is_none());
        (ran.client_failure, ran.server_failure)
    };
    let identity: Box<[u8]> = b"meter"[..].into();
    let other = Verdict::Psk {
        key: psk("what the server has"),
        alternate: None,
    };
    assert_eq!(
        refused(other),
        (
            Some(Failure::PeerAlert(Alert::BAD_RECORD_MAC)),
            Some(Failure::WrongKey {
                identity: identity.clone()
            })
        )
    );
    assert_eq!(
        refused(Verdict::Unknown),
        (
            Some(Failure::PeerAlert(Alert::UNKNOWN_PSK_IDENTITY)),
            Some(Failure::UnknownPskIdentity { identity })
        )
    );
}

#[test]
fn a_client_without_proof_comes_in_only_where_that_is_allowed() {
    let server_key = key();
    let with = |client_authentication| {
        // A client that shows a key which the server does not ask for is none: it shows nothing.
        let credentials = ClientCredentials::RawPublicKey {
            key: key(),
            server: server_key.public_key().clone(),
        };
        let mut client = client(ClientConfig::new(credentials));
        let mut server = server(ServerConfig {
            raw_public_key: Some(server_key.clone()),
            client_raw_public_keys: false,
            client_authentication,
            ..ServerConfig::default()
        });
        run(&mut client, &mut server, 50, |_| Verdict::Accept, |_, _| {})
    };
    let ran = with(ClientAuthentication::Required);
    let missing = Failure::NoCommonParameter("kind of client certificate");
    assert_eq!(ran.server_failure, Some(missing));
    let ran = with(ClientAuthentication::None);
    let peer = ran.server.expect("up");
    assert_eq!(peer.identity, Identity::Anonymous);
}

#[test]
fn another_protocol_above_is_refused() {
    let (mut config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
    config.application_protocol = Some(b"h2"[..].into());
    let (mut client, mut server) = (client(config), server(answers));
    let ran = run(&mut client, &mut server, 99, |_| Verdict::Accept, |_, _| {});
    assert_eq!(ran.server_failure, Some(Failure::NoCommonProtocol));
    let alert = Failure::PeerAlert(Alert::NO_APPLICATION_PROTOCOL);
    assert_eq!(ran.client_failure, Some(alert));
}

#[test]
fn a_client_of_1_2_learns_that_the_server_has_1_3() {
    let (config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
    let (mut client, mut server) = (client(config), server(answers));
    let ran = run(&mut client, &mut server, 99, |_| Verdict::Accept, |_, _| {});
    // Record, message, version, then the random.
    let random = &ran.said[1][5 + 4 + 2..][..32];
    assert_eq!(random[24..], *b"DOWNGRD\x01");
}

/// Records of a stream.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let [_, _, _, a, b, ..] = bytes {
        let (record, rest) = bytes.split_at(5 + usize::from(u16::from_be_bytes([*a, *b])));
        records.push(record);
        bytes = rest;
    }
    records
}

#[test]
fn what_comes_at_the_wrong_time_ends_it() {
    let cipher_change = [20, 3, 3, 0, 1, 1];
    let data = [23, 3, 3, 0, 4, 1, 2, 3, 4];
    let hello_request = [22, 3, 3, 0, 4, 0, 0, 0, 0];
    let empty = [22, 3, 3, 0, 0];
    for intruder in [&cipher_change[..], &data, &hello_request, &empty] {
        for turn in [0, 2] {
            let (config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
            let (mut client, mut server) = (client(config), server(answers));
            let intrude = |at: usize, bytes: &mut Vec<u8>| {
                if at == turn {
                    bytes.splice(0..0, intruder.iter().copied());
                }
            };
            let ran = run(&mut client, &mut server, 4096, |_| Verdict::Accept, intrude);
            assert!(ran.server.is_none() && ran.client.is_none());
            let failure = ran.server_failure.expect("it is refused");
            assert!(
                matches!(failure, Failure::UnexpectedMessage { .. }),
                "{failure:?} for {intruder:?} in turn {turn}"
            );
        }
    }
}

#[test]
fn a_finished_that_is_not_protected_is_none() {
    let (config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
    let (mut client, mut server) = (client(config), server(answers));
    let forge = |at: usize, bytes: &mut Vec<u8>| {
        if at == 4 {
            let parts = records(bytes);
            let (_, before) = parts.split_last().expect("a flight");
            // Without ChangeCipherSpec and the protected record.
            let mut forged = before[..before.len() - 1].concat();
            forged.extend([22, 3, 3, 0, 16, 20, 0, 0, 12]);
            forged.extend([0; 12]);
            *bytes = forged;
        }
    };
    let ran = run(&mut client, &mut server, 4096, |_| Verdict::Accept, forge);
    assert!(ran.server.is_none());
    let expected = "ChangeCipherSpec";
    let found = "Finished";
    assert_eq!(
        ran.server_failure,
        Some(Failure::UnexpectedMessage { found, expected })
    );
}

#[test]
fn a_record_that_was_changed_repeated_or_left_out_ends_the_session() {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| *bytes.last_mut().expect("a record") ^= 1,
        |bytes| bytes[5] ^= 1,
        |bytes| bytes.extend_from_within(..),
        |bytes| {
            let first = records(bytes)[0].len();
            bytes.drain(..first);
        },
    ];
    for change in changes {
        let (config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
        let (mut client, mut server) = (client(config), server(answers));
        run(
            &mut client,
            &mut server,
            4096,
            |_| Verdict::Accept,
            |_, _| {},
        );
        assert!(client.write(b"first") && client.write(b"second"));
        let ran = run(
            &mut client,
            &mut server,
            4096,
            |_| Verdict::Refuse,
            |at, bytes| {
                if at == 0 {
                    change(bytes);
                }
            },
        );
        assert_eq!(ran.server_failure, Some(Failure::BadRecord));
        let alert = Failure::PeerAlert(Alert::BAD_RECORD_MAC);
        assert_eq!(ran.client_failure, Some(alert));
    }
}

#[test]
fn messages_and_what_waits_have_limits() {
    let limits = Limits {
        handshake_message_max: 400,
        ..Limits::default()
    };
    let declared = |length: u16| {
        let mut server = TlsSession::server(Arc::default(), limits, SystemRandom);
        let [a, b] = length.to_be_bytes();
        server.receive(&[22, 3, 1, 0, 4, 1, 0, a, b], NOW_S)
    };
    assert_eq!(declared(400), Ok(()));
    assert!(matches!(
        declared(401),
        Err(Failure::TooLarge { max: 400, .. })
    ));

    let mut client = client(ClientConfig::psk(b"meter", psk("0123456789abcdef")));
    let mut server = server(ServerConfig::default());
    let mut waiting = false;
    while !waiting {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.take_output(&mut up);
        server.receive(&up, NOW_S).expect("good messages");
        server.take_output(&mut down);
        client.receive(&down, NOW_S).expect("good messages");
        waiting = matches!(server.poll_event(), Some(TlsEvent::Lookup(_)));
    }
    // The client's last flight waits behind its first message.
    let rest = vec![0; TlsSession::WAITING_MAX - 200];
    assert_eq!(server.receive(&rest, NOW_S), Ok(()));
    let outcome = server.receive(&[0; 400], NOW_S);
    assert!(
        matches!(outcome, Err(Failure::TooLarge { .. })),
        "{outcome:?}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let client = client(ClientConfig::psk(b"meter", psk("0123456789abcdef")));
    assert_eq!(
        format!("{client:?}"),
        "TlsSession { state: \"handshake\", .. }"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_lead_to_an_end_and_no_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        at in 0_usize..4000,
        turn in 0_usize..4,
        replace: bool,
    ) {
        let mut nobody = server(ServerConfig::default());
        let _ = nobody.receive(&bytes, NOW_S);
        let (config, answers, _) = raw_public_keys(CipherSuite::EcdheEcdsaCcm8);
        let (mut one, mut other) = (client(config), server(answers));
        run(&mut one, &mut other, 4096, |_| Verdict::Accept, |now, said| {
            if now == turn && !said.is_empty() {
                let at = at % said.len();
                let end = if replace { (at + bytes.len()).min(said.len()) } else { at };
                said.splice(at..end, bytes.iter().copied());
            }
        });
    }
}
