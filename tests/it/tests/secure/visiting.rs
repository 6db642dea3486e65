//! Devices that come back with another session, from another port, on whichever shard.

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_dtls::{CidOffer, ClientConfig, Psk};
use lwm2m_server::credentials::{CredentialId, CredentialStore};
use lwm2m_server::{EventKind, Server};

use super::peer::SecurePeer;
use super::{KEY, psk, server_with};
use crate::peer::event;

const SHARDS: usize = 4;
/// Ports enough to meet every shard.
const PORTS: usize = 16;

/// A device at a port of its own, with a new session and without a Connection ID.
async fn device(server: &Server, identity: &[u8]) -> SecurePeer {
    let mut config = ClientConfig::psk(identity, Psk::new(KEY).expect("a key"));
    config.cid = CidOffer::None;
    let mut device = SecurePeer::new(server).await;
    device.connect_with(config).await.expect("a session");
    device
}

async fn is_read(server: &Server, device: &mut SecurePeer) {
    let reading = server.device("urn:a");
    let read = tokio::spawn(async move { reading.read_path(Path::resource(3, 0, 0)).await });
    let request = device.receive().await;
    let answer = device.plain.answer(&request, Code::CONTENT);
    device.send(&answer.format(0).payload("x").encode()).await;
    read.await.expect("no panic").expect("an answer");
}

async fn sends(device: &mut SecurePeer) -> Code {
    let send = device.plain.request(Code::POST, "dp").format(112);
    device.exchange(send.payload([0x80])).await.code
}

#[tokio::test]
async fn a_registration_follows_its_device_into_another_session_on_another_shard() {
    let (server, _store) = server_with(
        |config| config.shards = SHARDS,
        vec![psk("a", b"urn:a", KEY)],
    )
    .await;
    let mut first = device(&server, b"urn:a").await;
    let location = first.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    let registered = server.registration("urn:a").await.expect("registered");
    for _ in 0..PORTS {
        let mut device = device(&server, b"urn:a").await;
        assert_eq!(device.post(&location).await, Code::CHANGED);
        let now = server.registration("urn:a").await.expect("registered");
        let address = device.plain.socket.local_addr().expect("bound");
        assert_eq!((now.id, now.peer), (registered.id, address));
        is_read(&server, &mut device).await;
        assert_eq!(sends(&mut device).await, Code::CHANGED);
        // What follows from there belongs to the registration, too.
        assert_eq!(device.post(&location).await, Code::CHANGED);
        is_read(&server, &mut device).await;
    }
    let statistics = server.statistics();
    assert!(statistics.relayed > 0, "some ports were not the owner's");
    assert_eq!((statistics.registrations, statistics.registered), (1, 1));

    // A handshake at the same port takes the registration along, without a word of the device.
    let mut last = device(&server, b"urn:a").await;
    assert_eq!(last.post(&location).await, Code::CHANGED);
    last.connect(b"urn:a", KEY).await.expect("connected");
    is_read(&server, &mut last).await;

    // One that registers is at home where its session is.
    for _ in 0..PORTS {
        let mut device = device(&server, b"urn:a").await;
        assert_eq!(device.post(&location).await, Code::CHANGED);
    }
    let mut device = device(&server, b"urn:a").await;
    let younger = device.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    is_read(&server, &mut device).await;
    assert_ne!(younger, location);
    assert_eq!(device.post(&younger).await, Code::CHANGED);
    assert_eq!(server.statistics().registrations, 1);
}

#[tokio::test]
async fn a_send_out_of_a_new_session_needs_no_update_before() {
    let credentials = vec![psk("a", b"urn:a", KEY), psk("b", b"urn:b", KEY)];
    let (server, _store) = server_with(|config| config.shards = SHARDS, credentials).await;
    let mut first = device(&server, b"urn:a").await;
    let location = first.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    let registered = server.registration("urn:a").await.expect("registered");
    let mut events = server.events();
    for _ in 0..PORTS {
        let mut device = device(&server, b"urn:a").await;
        assert_eq!(sends(&mut device).await, Code::CHANGED);
        let sent = event(&mut events, |event| match event.kind {
            EventKind::Send { .. } => event.endpoint.clone(),
            _ => None,
        });
        assert_eq!(sent.await.as_str(), "urn:a");
        // From now on the device is there.
        is_read(&server, &mut device).await;
        let now = server.registration("urn:a").await.expect("registered");
        let address = device.plain.socket.local_addr().expect("bound");
        assert_eq!((now.id, now.peer), (registered.id, address));
    }
    assert!(
        server.statistics().relayed > 0,
        "some ports were not the owner's"
    );
    let mut other = device(&server, b"urn:b").await;
    assert_eq!(sends(&mut other).await, Code::NOT_FOUND, "not registered");
    assert_eq!(first.post(&location).await, Code::CHANGED);
}

#[tokio::test]
async fn a_continued_session_finds_the_registration_wherever_it_is() {
    let (server, _store) = server_with(
        |config| config.shards = SHARDS,
        vec![psk("a", b"urn:a", KEY)],
    )
    .await;
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    let location = device.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    for _ in 0..PORTS {
        assert_eq!(device.resume(b"urn:a", KEY).await, Ok(true));
        assert_eq!(device.post(&location).await, Code::CHANGED);
        is_read(&server, &mut device).await;
        // And from there in the same session: its Connection ID names its shard.
        device.move_to_another_port().await;
        assert_eq!(device.post(&location).await, Code::CHANGED);
        is_read(&server, &mut device).await;
        let now = server.registration("urn:a").await.expect("registered");
        let address = device.plain.socket.local_addr().expect("bound");
        assert_eq!(now.peer, address);
    }
    assert!(server.statistics().relayed > 0);
    assert_eq!(server.statistics().registered, 1);
}

#[tokio::test]
async fn a_registration_does_not_follow_another_identity_whichever_shard_it_is_on() {
    let credentials = vec![psk("a", b"urn:a", KEY), psk("b", b"urn:b", KEY)];
    let (server, _store) = server_with(|config| config.shards = SHARDS, credentials).await;
    let mut owner = device(&server, b"urn:a").await;
    let location = owner.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    let mut events = server.events();
    for _ in 0..PORTS {
        let mut other = device(&server, b"urn:b").await;
        assert_eq!(other.post(&location).await, Code::NOT_FOUND);
        let refused = event(&mut events, |event| match &event.kind {
            EventKind::Refused {
                operation: "update",
                identity,
                reason,
                ..
            } => Some((identity.to_string(), reason.code)),
            _ => None,
        });
        assert_eq!(refused.await, ("psk urn:b".to_owned(), "identity-changed"));
        assert_eq!(sends(&mut other).await, Code::NOT_FOUND);
    }
    assert_eq!(owner.post(&location).await, Code::CHANGED);
    is_read(&server, &mut owner).await;
}

#[tokio::test]
async fn what_ends_with_its_credential_ends_on_both_shards() {
    let (server, store) = server_with(
        |config| config.shards = SHARDS,
        vec![psk("a", b"urn:a", KEY)],
    )
    .await;
    let mut first = device(&server, b"urn:a").await;
    let location = first.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    let mut devices = Vec::new();
    for _ in 0..PORTS {
        let mut device = device(&server, b"urn:a").await;
        assert_eq!(device.post(&location).await, Code::CHANGED);
        devices.push(device);
    }
    let mut events = server.events();
    let id = CredentialId::new("a").expect("an id");
    store.remove(id).await.expect("removed");
    for device in &mut devices {
        device.until_closed().await;
    }
    first.until_closed().await;
    // Each session is told of once.
    let mut told = 0;
    let mut left = false;
    while told < PORTS + 1 || !left {
        let kind = event(&mut events, |event| Some(event.kind.clone())).await;
        match kind {
            EventKind::Refused {
                operation: "session",
                ..
            } => told += 1,
            EventKind::Deregistered { .. } => left = true,
            other => panic!("nothing else, and not {other:?}"),
        }
    }
    assert_eq!(told, PORTS + 1);
    assert!(server.registration("urn:a").await.is_none());
}
