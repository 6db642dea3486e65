//! Devices with DTLS, over real sockets.

mod credentials;
mod device;
mod ends;
pub(crate) mod keys;
pub(crate) mod peer;
mod visiting;
mod waiting;

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_dtls::Failure;
use lwm2m_server::credentials::{
    Credential, CredentialId, CredentialStore, MemoryCredentials, NamePattern, Proof, SecretKey,
};
use lwm2m_server::{EventKind, Listener, RequestError, Server, ServerConfig, StartError};

use crate::peer::{event, refusal};
use crate::site::in_time;
use peer::SecurePeer;

pub(crate) const KEY: &[u8] = b"sixteen bytes ok";

/// A server with DTLS and credentials for `urn:a` and, by the identity `b`, for `urn:b`.
async fn server() -> (Server, Arc<MemoryCredentials>) {
    let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
    let credentials = vec![
        psk("a", b"urn:a", KEY),
        psk("b", b"b", KEY).endpoints([pattern("urn:b")]),
    ];
    server_with(|_| {}, credentials).await
}

/// A server with DTLS and these credentials; its second port is without DTLS.
pub(crate) async fn server_with(
    configure: impl FnOnce(&mut ServerConfig),
    credentials: Vec<Credential>,
) -> (Server, Arc<MemoryCredentials>) {
    server_at(0, configure, credentials).await
}

/// The same at a port of its own.
async fn server_at(
    port: u16,
    configure: impl FnOnce(&mut ServerConfig),
    credentials: Vec<Credential>,
) -> (Server, Arc<MemoryCredentials>) {
    let store = Arc::new(MemoryCredentials::default());
    store.add(credentials).await.expect("taken");
    let mut config = ServerConfig::default();
    config.shards = 2;
    configure(&mut config);
    let starting = async {
        loop {
            let started = Server::builder()
                .config(config.clone())
                .listen(Listener::coaps(([127, 0, 0, 1], port).into()))
                .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
                .credentials(store.clone())
                .start();
            match started.await {
                // A port that was ours before may be that of another test for a while.
                Err(StartError::Bind { .. }) if port != 0 => tokio::task::yield_now().await,
                started => return started.expect("the server starts"),
            }
        }
    };
    (in_time(starting).await, store)
}

pub(crate) fn psk(id: &str, identity: &[u8], key: &[u8]) -> Credential {
    let proof = Proof::Psk {
        identity: identity.into(),
        key: SecretKey::new(key).expect("a key"),
    };
    Credential::new(CredentialId::new(id).expect("an id"), proof)
}

#[tokio::test]
async fn a_device_registers_is_read_and_updates() {
    let (server, _store) = server().await;
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    let location = device.register("ep=urn:a&lwm2m=1.1&lt=60").await;
    let reading = server.device("urn:a");
    let read = tokio::spawn(async move { reading.read_path(Path::resource(3, 0, 0)).await });
    let request = device.receive().await;
    assert_eq!(request.path(), "3/0/0");
    let answer = device.plain.answer(&request, Code::CONTENT);
    device
        .send(&answer.format(0).payload("ACME").encode())
        .await;
    let read = read.await.expect("no panic").expect("an answer");
    assert!(format!("{read:?}").contains("ACME"), "{read:?}");
    assert_eq!(device.post(&location).await, Code::CHANGED);
    let registration = server.registration("urn:a").await.expect("registered");
    assert_eq!(registration.identity.to_string(), "psk urn:a");
}

#[tokio::test]
async fn an_endpoint_name_of_another_device_is_refused() {
    let (server, _store) = server().await;
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    assert_eq!(
        device.try_register("ep=urn:b&lwm2m=1.1").await,
        Code::BAD_REQUEST
    );
    refusal(&mut events).await;
    let mut mapped = SecurePeer::connected(&server, b"b", KEY).await;
    assert_eq!(
        mapped.try_register("ep=urn:b&lwm2m=1.1").await,
        Code::CREATED
    );
    // The name may be left out where the credential says it.
    let mut named = SecurePeer::connected(&server, b"urn:a", KEY).await;
    assert_eq!(named.try_register("lwm2m=1.1").await, Code::CREATED);
    assert!(server.registration("urn:a").await.is_some());
}

#[tokio::test]
async fn nobody_registers_such_a_device_without_security() {
    let (server, _store) = server().await;
    let mut events = server.events();
    let mut device = crate::peer::Peer::new(&server).await;
    device.server = server.local_addresses()[1];
    let request = device
        .request(Code::POST, "rd?ep=urn:a&lwm2m=1.1")
        .payload(crate::peer::OBJECTS);
    assert_ne!(device.exchange(request).await.code, Code::CREATED);
    refusal(&mut events).await;
}

#[tokio::test]
async fn a_handshake_that_fails_says_why_and_how_to_mend_it() {
    let (server, _store) = server().await;
    let mut events = server.events();
    for (identity, key, word) in [
        (&b"urn:a"[..], &b"another key here"[..], "psk-wrong-key"),
        (b"urn:unknown", KEY, "psk-identity-unknown"),
    ] {
        let mut device = SecurePeer::new(&server).await;
        let failure = device.connect(identity, key).await.expect_err("refused");
        assert!(matches!(failure, Failure::PeerAlert(_)), "{failure:?}");
        let (found, hint) = event(&mut events, |event| match &event.kind {
            EventKind::Refused {
                operation: "handshake",
                reason,
                ..
            } => Some((reason.code, reason.hint.is_some())),
            _ => None,
        })
        .await;
        assert_eq!((found, hint), (word, true));
    }
}

#[tokio::test]
async fn a_device_keeps_its_session_when_its_address_changes() {
    let (server, _store) = server().await;
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    let location = device.register("ep=urn:a&lwm2m=1.1&lt=60").await;
    // Some of the new ports belong to the other shard.
    for _ in 0..8 {
        let before = server.registration("urn:a").await.expect("registered").peer;
        device.move_to_another_port().await;
        assert_eq!(device.post(&location).await, Code::CHANGED);
        let after = server.registration("urn:a").await.expect("registered").peer;
        assert_ne!(after, before, "where it is now");
        let reading = server.device("urn:a");
        let read = tokio::spawn(async move { reading.read_path(Path::resource(3, 0, 0)).await });
        let request = device.receive().await;
        let answer = device.plain.answer(&request, Code::CONTENT);
        device.send(&answer.format(0).payload("x").encode()).await;
        read.await.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
async fn a_credential_that_is_removed_ends_session_and_registration() {
    let (server, store) = server().await;
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    device.register("ep=urn:a&lwm2m=1.1").await;
    store
        .remove(CredentialId::new("a").expect("an id"))
        .await
        .expect("removed");
    device.until_closed().await;
    event(&mut events, |event| {
        matches!(
            event.kind,
            EventKind::Deregistered { .. } | EventKind::Expired { .. }
        )
        .then_some(())
    })
    .await;
    assert!(server.registration("urn:a").await.is_none());
    let read = server.device("urn:a").read_path(Path::object(3)).await;
    assert!(matches!(read, Err(RequestError::NotRegistered)), "{read:?}");
    let again = device.connect(b"urn:a", KEY).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a_new_handshake_takes_the_registration_along() {
    let (server, _store) = server().await;
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    device.register("ep=urn:a&lwm2m=1.1").await;
    // The device has lost its session, not its address.
    device.connect(b"urn:a", KEY).await.expect("connected");
    let reading = server.device("urn:a");
    let read = tokio::spawn(async move { reading.read_path(Path::resource(3, 0, 0)).await });
    let request = device.receive().await;
    let answer = device.plain.answer(&request, Code::CONTENT);
    device.send(&answer.format(0).payload("x").encode()).await;
    read.await.expect("no panic").expect("an answer");
}

#[tokio::test]
async fn a_session_is_continued_on_whichever_shard() {
    let (server, store) = server().await;
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    for _ in 0..8 {
        assert_eq!(device.resume(b"urn:a", KEY).await, Ok(true));
        device.register("ep=urn:a&lwm2m=1.1").await;
    }
    let registration = server.registration("urn:a").await.expect("registered");
    assert_eq!(registration.identity.to_string(), "psk urn:a");
    // Without its credential, what was proven before is worth nothing.
    let id = CredentialId::new("a").expect("an id");
    store.remove(id).await.expect("removed");
    match device.resume(b"urn:a", KEY).await {
        Ok(_) => device.until_closed().await,
        Err(failure) => assert!(matches!(failure, Failure::PeerAlert(_)), "{failure:?}"),
    }
}

#[tokio::test]
async fn what_is_no_dtls_is_not_answered_on_a_secure_port() {
    let (server, _store) = server().await;
    let mut plain = crate::peer::Peer::new(&server).await;
    let ping = [0x40, 0, 0, 1];
    plain.send(&ping).await;
    let request = plain.request(Code::POST, "rd?ep=urn:c&lwm2m=1.1").encode();
    plain.send(&request).await;
    // What comes next is the answer to the handshake, so nothing was sent before it.
    let mut device = SecurePeer::over(plain);
    device.connect(b"urn:a", KEY).await.expect("connected");
    assert_eq!(device.strangers, 0);
}
