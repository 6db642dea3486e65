//! A server whose DTLS is that of webrtc-dtls: what it can do, and what it says of the rest.

#![allow(clippy::unwrap_used)] // tests

use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{Path, Version};
use lwm2m_device::{Device, DeviceBuilder, DtlsAccount};
use lwm2m_server::credentials::{
    Credential, CredentialId, CredentialStore, MemoryCredentials, Proof, SecretKey,
};
use lwm2m_server::{DtlsBackend, EventKind, Events, Listener, Server, ServerConfig};

const KEY: &[u8] = b"sixteen bytes ok";
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn server(shards: usize) -> (Server, Arc<MemoryCredentials>) {
    let store = Arc::new(MemoryCredentials::default());
    let proof = Proof::Psk {
        identity: b"a".as_slice().into(),
        key: SecretKey::new(KEY).unwrap(),
    };
    let credential = Credential::new(CredentialId::new("a").unwrap(), proof);
    store.add(vec![credential]).await.unwrap();
    let mut config = ServerConfig::default();
    config.shards = shards;
    config.dtls.backend = DtlsBackend::WebRtcDtls;
    let server = Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store.clone())
        .start()
        .await
        .unwrap();
    (server, store)
}

fn device(server: &Server, identity: &[u8], key: &[u8]) -> DeviceBuilder {
    Device::builder("a")
        .server(server.local_addresses()[0])
        .version(Version::V1_1)
        .lifetime_s(86400)
        .dtls(DtlsAccount::psk(identity, key).unwrap())
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn until<T>(events: &mut Events, pick: impl Fn(&EventKind) -> Option<T>) -> T {
    in_time(async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if let Some(picked) = pick(&event.kind) {
                return picked;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_device_registers_is_read_and_updates_on_whichever_shard() {
    let (server, _store) = server(2).await;
    for _ in 0..4 {
        let device = device(&server, b"a", KEY).start().await.unwrap();
        in_time(device.wait_registered()).await.unwrap();
        let registration = server.registration("a").await.unwrap();
        assert_eq!(registration.identity.to_string(), "psk a");
        // Asked for while nothing comes in: the loop is woken by the backend alone.
        let at_server = server.device("a");
        in_time(at_server.read_path(Path::object(3))).await.unwrap();
        let mut events = server.events();
        device.update().await.unwrap();
        until(&mut events, |kind| {
            matches!(kind, EventKind::Updated { .. }).then_some(())
        })
        .await;
        device.stop().await;
    }
}

#[tokio::test]
async fn who_is_not_known_is_refused_and_told_of() {
    let (server, _store) = server(1).await;
    let mut events = server.events();
    let device = device(&server, b"nobody", KEY).start().await.unwrap();
    let refused = until(&mut events, |kind| match kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some((reason.code, reason.hint.is_some())),
        _ => None,
    });
    assert_eq!(refused.await, ("psk-identity-unknown", true));
    device.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_credential() {
    let (server, store) = server(1).await;
    let device = device(&server, b"a", KEY).start().await.unwrap();
    in_time(device.wait_registered()).await.unwrap();
    let mut events = server.events();
    store.remove(CredentialId::new("a").unwrap()).await.unwrap();
    until(&mut events, |kind| {
        matches!(kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert!(server.registration("a").await.is_none());
    device.stop().await;
}

#[tokio::test]
async fn its_limits_are_told() {
    let (server, _store) = server(1).await;
    let capabilities = server.capabilities();
    assert!(capabilities.features.contains(&"webrtc-dtls"));
    let dtls = capabilities.dtls.unwrap();
    assert_eq!(dtls.backend.backend, "webrtc-dtls");
    assert_eq!(dtls.modes, ["psk"]);
    assert_eq!(dtls.suites.len(), 3);
    assert_eq!((dtls.connection_id_bytes, dtls.resumption), (None, false));
    assert_eq!((dtls.sessions_max, dtls.handshakes_max), (10_000, 256));
}
