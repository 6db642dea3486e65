//! Whom a registration belongs to, and what becomes of it when credentials change.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;

use super::world::{World, notification, reply};
use crate::credentials::{
    CertificateRule, Credential, CredentialChange, CredentialId, CredentialStore, LookUp,
    MemoryCredentials, NamePattern, Proof, SecretKey,
};
use crate::{Authenticated, EventKind, PeerIdentity, RequestError, X509Identity};

const LIST: &[u8] = b"</1/0>,</3/0>";
const SEND: &[u8] = br#"[{"n":"/3/0/9","v":90}]"#;

fn psk(id: &str, identity: &str, endpoints: &[&str]) -> Credential {
    let proof = Proof::Psk {
        identity: identity.as_bytes().into(),
        key: SecretKey::new(id.as_bytes()).expect("a key"),
    };
    let pattern = |text: &&str| text.parse::<NamePattern>().expect("a pattern");
    let id = CredentialId::new(id).expect("an id");
    Credential::new(id, proof).endpoints(endpoints.iter().map(pattern))
}

fn store(credentials: &[Credential]) -> Arc<MemoryCredentials> {
    let store = Arc::new(MemoryCredentials::default());
    now(store.add(credentials.to_vec())).expect("taken");
    store
}

fn now<T>(look_up: LookUp<T>) -> T {
    match look_up {
        LookUp::Now(answer) => answer,
        LookUp::Later(_) => panic!("memory answers at once"),
    }
}

/// What a handshake with this credential proves.
fn session(store: &MemoryCredentials, id: &str) -> Authenticated {
    let id = CredentialId::new(id).expect("an id");
    let credential = now(store.find(&id)).expect("it is there");
    let identity = credential.own_identity().expect("one identity");
    Authenticated::by(&credential, &identity).expect("its own")
}

fn register(world: &mut World, port: u16, query: &str) -> Code {
    let path = format!("rd?{query}");
    world.ask_with(0, port, Code::POST, &path, LIST).code
}

/// The refusals since the last look: operation, reason, identity, and that there is a hint.
fn refused(world: &mut World) -> Vec<String> {
    let events = std::iter::from_fn(|| world.event());
    events
        .filter_map(|event| match &event.kind {
            EventKind::Refused {
                operation,
                identity,
                reason,
                ..
            } => {
                assert!(reason.hint.is_some(), "{reason:?}");
                Some(format!("{operation} {} by {identity}", reason.code))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn an_identity_registers_under_the_names_of_its_credential_and_no_other() {
    let store = store(&[
        psk("same", "a", &["{identity}"]),
        psk("mapped", "x", &["meter-7", "m-*"]),
    ]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "same"));
    world.open_session(0, 2, session(&store, "mapped"));
    for (port, name, code) in [
        (1, "a", Code::CREATED),
        (1, "A", Code::BAD_REQUEST),
        (1, "meter-7", Code::BAD_REQUEST),
        (2, "meter-7", Code::CREATED),
        (2, "m-1", Code::CREATED),
        (2, "x", Code::BAD_REQUEST),
        (2, "a", Code::BAD_REQUEST),
    ] {
        assert_eq!(
            register(&mut world, port, &format!("ep={name}")),
            code,
            "{name}"
        );
    }
    let not_allowed = |identity| format!("register endpoint-not-allowed by psk {identity}");
    assert_eq!(refused(&mut world), ["a", "a", "x", "x"].map(not_allowed));
    let registration = world.registration("a").expect("registered");
    assert_eq!(registration.identity, PeerIdentity::psk(b"a", None));
}

#[test]
fn nobody_without_security_takes_a_name_that_has_credentials() {
    let store = store(&[psk("p", "a", &["{identity}"]), psk("q", "b", &["m-*"])]);
    let mut world = World::guarded(1, &store);
    assert_eq!(register(&mut world, 9, "ep=other"), Code::CREATED);
    world.happened();
    for name in ["a", "m-7"] {
        let refused = register(&mut world, 9, &format!("ep={name}"));
        assert_eq!(refused, Code::BAD_REQUEST, "{name}");
    }
    assert_eq!(refused(&mut world), ["register nosec-refused by nosec"; 2]);
    assert!(world.find("a").is_none());
}

#[test]
fn a_refused_name_looks_the_same_whether_it_exists_or_not() {
    let store = store(&[
        psk("p", "a", &["{identity}"]),
        psk("q", "b", &["{identity}"]),
    ]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "p"));
    world.open_session(0, 2, session(&store, "q"));
    assert_eq!(register(&mut world, 2, "ep=b"), Code::CREATED);
    let mut answer = |name: &str| {
        let message = super::world::request(7, Code::POST, &format!("rd?ep={name}"), LIST);
        world.shards[0].endpoint.forget_peer(super::world::peer(1));
        world.sent.clear();
        world.deliver(0, 1, &message);
        world.sent.pop_front().expect("an answer").1
    };
    assert_eq!(answer("b"), answer("nobody"));
}

#[test]
fn a_missing_name_comes_from_the_identity() {
    let store = store(&[psk("one", "x", &["meter-7"]), psk("two", "y", &["a", "b"])]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "one"));
    world.open_session(0, 2, session(&store, "two"));
    assert_eq!(register(&mut world, 1, "lt=60"), Code::CREATED);
    assert!(world.find("meter-7").is_some());
    world.happened();
    assert_eq!(register(&mut world, 2, "lt=60"), Code::BAD_REQUEST);
    assert_eq!(register(&mut world, 3, "lt=60"), Code::BAD_REQUEST);
    let missing = |identity| format!("register endpoint-missing by {identity}");
    assert_eq!(refused(&mut world), ["psk y", "nosec"].map(missing));
}

#[test]
fn certificates_register_by_common_name_alternative_name_and_template() {
    let rule = CertificateRule {
        alternative_name: Some("*.meters.example".parse().expect("a pattern")),
        ..CertificateRule::default()
    };
    let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
    let id = CredentialId::new("fleet").expect("an id");
    let fleet = Credential::new(id, Proof::X509(rule))
        .endpoints([pattern("{identity}"), pattern("urn:dev:{cn}")]);
    let store = store(&[fleet]);
    let mut world = World::guarded(1, &store);
    let certificate = PeerIdentity::x509(X509Identity {
        common_name: Some("7".to_owned()),
        alternative_names: vec!["7.meters.example".to_owned()],
        ..X509Identity::default()
    });
    let credentials = now(store.look_up(&certificate));
    assert_eq!(credentials.len(), 1);
    let identity = certificate;
    world.open_session(
        0,
        1,
        Authenticated {
            identity,
            credentials,
        },
    );
    for (name, code) in [
        ("7", Code::CREATED),
        ("7.meters.example", Code::CREATED),
        ("urn:dev:7", Code::CREATED),
        ("urn:dev:8", Code::BAD_REQUEST),
        ("8.meters.example", Code::BAD_REQUEST),
    ] {
        assert_eq!(
            register(&mut world, 1, &format!("ep={name}")),
            code,
            "{name}"
        );
    }
}

#[test]
fn a_registration_does_not_exist_for_another_identity() {
    let store = store(&[
        psk("p", "a", &["{identity}"]),
        psk("q", "b", &["{identity}"]),
    ]);
    let mut world = World::guarded(2, &store);
    world.open_session(0, 1, session(&store, "p"));
    world.open_session(0, 2, session(&store, "q"));
    let location = world.register(0, 1, "ep=a");
    world.happened();
    // Another identity, nobody at all, and somebody on another shard.
    for (shard, port) in [(0, 2), (0, 3), (1, 4)] {
        for method in [Code::POST, Code::DELETE] {
            let answer = world.ask(shard, port, method, &location);
            assert_eq!(answer.code, Code::NOT_FOUND, "{port}");
        }
    }
    let reasons = refused(&mut world);
    let by = |who| {
        let operation = |operation| format!("{operation} identity-changed by {who}");
        ["update", "deregister"].map(operation)
    };
    assert_eq!(reasons, [by("psk b"), by("nosec"), by("nosec")].concat());
    // It answers like a registration that has never been.
    let mut wrong = location.clone();
    wrong.replace_range(
        3..4,
        if location.as_bytes()[3] == b'0' {
            "1"
        } else {
            "0"
        },
    );
    let bytes = |world: &mut World, path: &str| {
        let message = super::world::request(7, Code::POST, path, b"");
        world.shards[0].endpoint.forget_peer(super::world::peer(2));
        world.sent.clear();
        world.deliver(0, 2, &message);
        world.sent.pop_front().expect("an answer").1
    };
    assert_eq!(bytes(&mut world, &location), bytes(&mut world, &wrong));
    // Its own device goes on, from a new session as well.
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    world.open_session(0, 5, session(&store, "p"));
    assert_eq!(world.ask(0, 5, Code::POST, &location).code, Code::CHANGED);
    assert_eq!(world.ask(0, 5, Code::DELETE, &location).code, Code::DELETED);
}

#[test]
fn a_session_that_becomes_somebody_else_gets_nothing_of_the_one_before() {
    let store = store(&[
        psk("p", "a", &["{identity}"]),
        psk("q", "b", &["{identity}"]),
    ]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "p"));
    let location = world.register(0, 1, "ep=a");
    let mut on_its_way = world.read("a", 0);
    let asked = world.expect(1);

    world.open_session(0, 1, session(&store, "q"));
    world.pass(Duration::from_secs(1));
    let failed = on_its_way.try_recv().expect("answered");
    assert_eq!(failed, Err(RequestError::NotConnected));
    world.answer(0, 1, &asked, "forged");
    let mut waiting = world.read("a", 0);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.take(1), None, "nothing is sent to the other");
    world.happened();
    assert_eq!(
        world.ask_with(0, 1, Code::POST, "dp", SEND).code,
        Code::NOT_FOUND
    );
    assert_eq!(refused(&mut world), ["send not-registered by psk b"]);

    // The device comes back elsewhere, and gets what has waited for it.
    world.open_session(0, 2, session(&store, "p"));
    assert_eq!(world.ask(0, 2, Code::POST, &location).code, Code::CHANGED);
    let asked = world.expect(2);
    assert_eq!(asked.path, "3/0/0");
    world.answer(0, 2, &asked, "real");
    assert!(waiting.try_recv().expect("answered").is_ok());
}

#[test]
fn requests_wait_while_a_device_has_no_session() {
    let store = store(&[psk("p", "a", &["{identity}"])]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "p"));
    let location = world.register(0, 1, "ep=a");
    world.close_session(0, 1);
    let mut waiting = world.read("a", 0);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.take(1), None, "nothing leaves without a session");
    world.open_session(0, 1, session(&store, "p"));
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    let asked = world.expect(1);
    world.answer(0, 1, &asked, "x");
    assert!(waiting.try_recv().expect("answered").is_ok());
}

#[test]
fn a_notification_counts_only_from_the_device_itself() {
    let store = store(&[psk("p", "a", &["{identity}"])]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "p"));
    world.register(0, 1, "ep=a");
    let request = lwm2m_core::Request::Observe {
        path: lwm2m_core::Path::resource(3, 0, 9),
        attributes: lwm2m_core::Attributes::default(),
        accept: None,
    };
    let mut observing = world.send("a", request);
    let asked = world.expect(1);
    world.deliver(0, 1, &reply(&asked, Code::CONTENT, Some(1), b"90"));
    assert!(observing.try_recv().expect("answered").is_ok());
    world.happened();
    world.close_session(0, 1);
    world.deliver(
        0,
        1,
        &notification(&asked, 900, Code::CONTENT, Some(2), b"1"),
    );
    assert_eq!(world.happened(), [""; 0]);
    world.open_session(0, 1, session(&store, "p"));
    world.deliver(
        0,
        1,
        &notification(&asked, 901, Code::CONTENT, Some(3), b"89"),
    );
    assert_eq!(world.happened(), ["notification"]);
}

#[test]
fn removing_a_credential_ends_its_sessions_and_registrations() {
    let store = store(&[
        psk("p", "a", &["{identity}"]),
        psk("q", "b", &["{identity}"]),
    ]);
    let mut world = World::guarded(2, &store);
    for (shard, port, id, name) in [(0, 1, "p", "a"), (1, 2, "q", "b")] {
        world.open_session(shard, port, session(&store, id));
        world.register(shard, port, &format!("ep={name}"));
    }
    // A session of its own without a registration, and a registration without a session.
    world.open_session(1, 3, session(&store, "p"));
    let mut waiting = world.read("a", 0);
    world.happened();

    let removed = session(&store, "p").credentials;
    world.revise(&CredentialChange {
        added: Vec::new(),
        removed,
    });
    assert_eq!(world.closing(), [1, 3]);
    assert!(world.find("a").is_none() && world.find("b").is_some());
    let ended = waiting.try_recv().expect("answered");
    assert_eq!(ended, Err(RequestError::RegistrationEnded));
    let happened = world.happened();
    assert_eq!(
        happened
            .iter()
            .filter(|name| **name == "credential-removed")
            .count(),
        2
    );
    assert!(happened.contains(&"deregistered"), "{happened:?}");
    // The security layer has not yet closed it, and still nothing works.
    world.sent.clear();
    assert_eq!(register(&mut world, 1, "ep=a"), Code::BAD_REQUEST);
}

#[test]
fn while_keys_change_only_sessions_of_the_removed_key_end() {
    let store = store(&[
        psk("old", "a", &["{identity}"]),
        psk("new", "a", &["{identity}"]),
    ]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "old"));
    let location = world.register(0, 1, "ep=a");
    // The device comes back with the new key: the same identity, so the same registration.
    world.open_session(0, 2, session(&store, "new"));
    assert_eq!(world.ask(0, 2, Code::POST, &location).code, Code::CHANGED);
    world.revise(&CredentialChange {
        added: Vec::new(),
        removed: session(&store, "old").credentials,
    });
    assert_eq!(world.closing(), [1]);
    assert_eq!(world.ask(0, 2, Code::POST, &location).code, Code::CHANGED);
}

#[test]
fn a_credential_that_loses_a_name_ends_that_registration_and_keeps_the_session() {
    let store = store(&[psk("p", "x", &["a", "b"])]);
    let mut world = World::guarded(1, &store);
    world.open_session(0, 1, session(&store, "p"));
    let kept = world.register(0, 1, "ep=a");
    world.register(0, 1, "ep=b");
    let before = session(&store, "p").credentials;
    world.revise(&CredentialChange {
        added: vec![Arc::new(psk("p", "x", &["a", "c"]))],
        removed: before,
    });
    assert_eq!(world.closing(), [0; 0]);
    assert!(world.find("b").is_none());
    assert_eq!(world.ask(0, 1, Code::POST, &kept).code, Code::CHANGED);
    assert_eq!(register(&mut world, 1, "ep=b"), Code::BAD_REQUEST);
    assert_eq!(register(&mut world, 1, "ep=c"), Code::CREATED);
}
