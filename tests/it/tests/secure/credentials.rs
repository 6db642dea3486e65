//! Credentials that change under the feet of sessions, over real sockets.

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_server::credentials::{
    Credential, CredentialId, CredentialLimits, CredentialStore, CredentialUpdate, FileCredentials,
    MemoryCredentials,
};
use lwm2m_server::{EventKind, Listener, Server, ServerConfig};

use super::peer::SecurePeer;
use super::psk;
use crate::peer::event;

const OLD: &[u8] = b"the old key 0000";
const NEW: &[u8] = b"the new key 1111";

async fn server(store: Arc<dyn CredentialStore>) -> Server {
    let mut config = ServerConfig::default();
    config.shards = 2;
    Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store)
        .start()
        .await
        .expect("the server starts")
}

async fn with_two_keys() -> (Server, Arc<MemoryCredentials>) {
    let store = Arc::new(MemoryCredentials::default());
    let keys = vec![psk("old", b"urn:a", OLD), psk("new", b"urn:a", NEW)];
    store.add(keys).await.expect("taken");
    (server(store.clone()).await, store)
}

fn id(text: &str) -> CredentialId {
    CredentialId::new(text).expect("an id")
}

async fn gone(server: &Server, endpoint: &str, events: &mut lwm2m_server::Events) {
    let ended = event(events, |event| {
        let ended = matches!(event.kind, EventKind::Deregistered { .. });
        let named = event
            .endpoint
            .as_ref()
            .is_some_and(|name| name.as_str() == endpoint);
        (ended && named).then_some(())
    });
    ended.await;
    assert!(server.registration(endpoint).await.is_none());
}

#[tokio::test]
async fn both_keys_are_good_while_they_change_and_no_other() {
    let (server, _store) = with_two_keys().await;
    for key in [OLD, NEW] {
        let mut device = SecurePeer::connected(&server, b"urn:a", key).await;
        device.register("ep=urn:a&lwm2m=1.1").await;
    }
    let mut events = server.events();
    let mut device = SecurePeer::new(&server).await;
    assert!(device.connect(b"urn:a", b"some other key 2").await.is_err());
    let word = event(&mut events, |event| match &event.kind {
        EventKind::Refused { reason, .. } => Some(reason.code),
        _ => None,
    });
    assert_eq!(word.await, "psk-wrong-key");
}

#[tokio::test]
async fn removing_the_old_key_ends_its_session_and_leaves_that_of_the_new_one() {
    let (server, store) = with_two_keys().await;
    let mut before = SecurePeer::connected(&server, b"urn:a", OLD).await;
    let location = before.register("ep=urn:a&lwm2m=1.1").await;
    // The device has its new key, and goes on with its registration.
    let mut after = SecurePeer::connected(&server, b"urn:a", NEW).await;
    assert_eq!(after.post(&location).await, Code::CHANGED);
    store.remove(id("old")).await.expect("removed");
    before.until_closed().await;
    assert_eq!(after.post(&location).await, Code::CHANGED);
    assert!(before.connect(b"urn:a", OLD).await.is_err());
    assert!(before.connect(b"urn:a", NEW).await.is_ok());
}

#[tokio::test]
async fn removing_the_key_in_use_ends_session_and_registration_although_another_is_good() {
    let (server, store) = with_two_keys().await;
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", NEW).await;
    device.register("ep=urn:a&lwm2m=1.1").await;
    store.remove(id("new")).await.expect("removed");
    device.until_closed().await;
    gone(&server, "urn:a", &mut events).await;
    assert!(device.connect(b"urn:a", NEW).await.is_err());
    assert!(device.connect(b"urn:a", OLD).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_replaced_at_once_ends_its_session() {
    let store = Arc::new(MemoryCredentials::default());
    store
        .add(vec![psk("a", b"urn:a", OLD)])
        .await
        .expect("taken");
    let server = server(store.clone()).await;
    let mut device = SecurePeer::connected(&server, b"urn:a", OLD).await;
    device.register("ep=urn:a&lwm2m=1.1").await;
    let update = CredentialUpdate {
        remove: vec![id("a")],
        add: vec![psk("a", b"urn:a", NEW)],
    };
    store.apply(update).await.expect("taken");
    device.until_closed().await;
    device.connect(b"urn:a", NEW).await.expect("the new key");
    device.register("ep=urn:a&lwm2m=1.1").await;
}

#[tokio::test]
async fn a_file_that_changes_leaves_the_sessions_of_what_has_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = FileCredentials::open(&path, CredentialLimits::default()).expect("no file yet");
    let add = |credentials: Vec<Credential>| store.add(credentials);
    add(vec![psk("a", b"urn:a", OLD), psk("b", b"urn:b", OLD)])
        .await
        .expect("written");
    let server = server(Arc::new(store.clone())).await;
    let mut events = server.events();
    let mut kept = SecurePeer::connected(&server, b"urn:a", OLD).await;
    let location = kept.register("ep=urn:a&lwm2m=1.1").await;
    let mut lost = SecurePeer::connected(&server, b"urn:b", OLD).await;
    lost.register("ep=urn:b&lwm2m=1.1").await;

    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("urn:b", "urn:c")).expect("written");
    assert!(store.reload().expect("sound"));
    lost.until_closed().await;
    gone(&server, "urn:b", &mut events).await;
    assert_eq!(kept.post(&location).await, Code::CHANGED);
    let mut new = SecurePeer::connected(&server, b"urn:c", OLD).await;
    new.register("ep=urn:c&lwm2m=1.1").await;
}
