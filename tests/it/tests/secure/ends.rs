//! How sessions end, and that the operator is told.

use std::time::Duration;

use lwm2m_server::credentials::{CredentialId, CredentialStore};
use lwm2m_server::{EventKind, Events};

use super::peer::SecurePeer;
use super::{KEY, psk, server, server_with};
use crate::peer::event;

/// The next session that ended: of which device, of whom, and why.
async fn ended(events: &mut Events) -> (Option<String>, String, &'static str) {
    event(events, |event| match &event.kind {
        EventKind::SessionEnded {
            identity, reason, ..
        } => {
            let endpoint = event.endpoint.as_ref().map(ToString::to_string);
            Some((endpoint, identity.to_string(), reason.code))
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_device_that_closes_its_session_is_told_of_and_stays_registered() {
    let (server, _store) = server().await;
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    device.register("ep=urn:a&lwm2m=1.1&lt=86400").await;
    device.close().await;
    let told = (
        Some("urn:a".to_owned()),
        "psk urn:a".to_owned(),
        "peer-closed",
    );
    assert_eq!(ended(&mut events).await, told);
    assert!(server.registration("urn:a").await.is_some());
}

#[tokio::test]
async fn a_session_that_was_idle_for_too_long_is_told_of() {
    let idle = Some(Duration::from_millis(50));
    let (server, _store) = server_with(
        |config| config.dtls.limits.session_idle = idle,
        vec![psk("a", b"urn:a", KEY)],
    )
    .await;
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    device.until_closed().await;
    let told = (None, "psk urn:a".to_owned(), "idle");
    assert_eq!(ended(&mut events).await, told);
}

#[tokio::test]
async fn a_handshake_too_many_of_one_address_is_told_of() {
    let (server, _store) = server_with(
        |config| {
            config.shards = 1;
            config.dtls.limits.handshakes_per_address_per_second_max = 1;
        },
        vec![psk("a", b"urn:a", KEY)],
    )
    .await;
    let mut events = server.events();
    let mut refused = None;
    // Under load, a second may pass between two of them.
    while refused.is_none() {
        SecurePeer::connected(&server, b"urn:a", KEY).await;
        let mut knocking = SecurePeer::new(&server).await;
        let knock = knocking.connect(b"urn:a", KEY);
        refused = tokio::select! {
            _ = knock => None,
            reason = event(&mut events, |event| match &event.kind {
                EventKind::Refused { operation: "handshake", reason, .. } => {
                    Some((reason.code, reason.hint.is_some()))
                }
                _ => None,
            }) => Some(reason),
        };
    }
    assert_eq!(refused, Some(("dtls-handshakes-per-address", true)));
}

#[tokio::test]
async fn a_session_whose_credential_goes_while_it_comes_up_is_refused_with_a_reason() {
    let one_shard = |config: &mut lwm2m_server::ServerConfig| config.shards = 1;
    let (server, store) = server_with(one_shard, vec![psk("a", b"urn:a", KEY)]).await;
    let mut late = SecurePeer::connected(&server, b"urn:a", KEY).await;
    let mut witness = SecurePeer::connected(&server, b"urn:a", KEY).await;
    late.hold = true;
    assert_eq!(late.resume(b"urn:a", KEY).await, Ok(true));
    let id = CredentialId::new("a").expect("an id");
    store.remove(id).await.expect("removed");
    // The shard has heard of it when it has closed the other session.
    witness.until_closed().await;
    let mut events = server.events();
    late.flush().await;
    late.until_closed().await;
    let refused = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "session",
            identity,
            reason,
            ..
        } => Some((identity.to_string(), reason.code, reason.hint.is_some())),
        _ => None,
    });
    let told = ("psk urn:a".to_owned(), "credential-removed", true);
    assert_eq!(refused.await, told);
}
