//! Simulated devices with DTLS: their sessions and how they end.

use std::time::Duration;

use lwm2m_core::Version;
use lwm2m_device::{
    Device, DeviceBuilder, DeviceError, DeviceEvent, DeviceHandle, DtlsAccount, RegistrationError,
    Retry,
};
use lwm2m_dtls::{CidOffer, Failure};
use lwm2m_server::{EventKind, Events, Server};
use tokio::sync::broadcast;

use super::{KEY, psk, server_at, server_with};
use crate::peer::event;
use crate::site::in_time;

fn account() -> DtlsAccount {
    DtlsAccount::psk(b"a", KEY).expect("a key")
}

/// A device that soon finds that nobody answers.
fn device(server: &Server, account: DtlsAccount) -> DeviceBuilder {
    Device::builder("a")
        .server(server.local_addresses()[0])
        .version(Version::V1_1)
        .lifetime_s(86400)
        .dtls(account)
        .retry(Retry {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(100),
        })
        .configure(|config| {
            config.coap.transmission.ack_timeout = Duration::from_millis(300);
            config.coap.transmission.max_retransmit = 2;
        })
}

async fn registered(builder: DeviceBuilder) -> DeviceHandle {
    let device = builder.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    device
}

async fn server() -> Server {
    server_with(|_| {}, vec![psk("a", b"a", KEY)]).await.0
}

/// What the device does until it does the one thing, that one included.
async fn until(
    doings: &mut broadcast::Receiver<DeviceEvent>,
    last: impl Fn(&DeviceEvent) -> bool,
) -> Vec<DeviceEvent> {
    let search = async {
        let mut done = Vec::new();
        loop {
            done.push(doings.recv().await.expect("the device runs"));
            if done.last().is_some_and(&last) {
                return done;
            }
        }
    };
    in_time(search).await
}

fn is_update(event: &DeviceEvent) -> bool {
    *event == DeviceEvent::Updated
}

fn is_register(event: &DeviceEvent) -> bool {
    matches!(event, DeviceEvent::Registered { .. })
}

/// Whether the sessions that came up were resumed.
fn sessions(doings: &[DeviceEvent]) -> Vec<bool> {
    let resumed = |event: &DeviceEvent| match event {
        DeviceEvent::SessionUp { resumed, .. } => Some(*resumed),
        _ => None,
    };
    doings.iter().filter_map(resumed).collect()
}

/// The next refusal: its operation, its reason, and whether a hint comes with it.
async fn refusal(events: &mut Events) -> (&'static str, &'static str, bool) {
    event(events, |event| match &event.kind {
        EventKind::Refused {
            operation, reason, ..
        } => Some((*operation, reason.code, reason.hint.is_some())),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn credentials_that_do_not_fit_are_refused_on_both_sides() {
    let credentials = vec![psk("a", b"a", KEY), psk("b", b"b", KEY)];
    let (server, _store) = server_with(|_| {}, credentials).await;
    let mut events = server.events();
    for (identity, key, operation, reason, alert) in [
        (
            &b"a"[..],
            &b"another key here"[..],
            "handshake",
            "psk-wrong-key",
            Some(20),
        ),
        (
            b"nobody",
            KEY,
            "handshake",
            "psk-identity-unknown",
            Some(115),
        ),
        (b"b", KEY, "register", "endpoint-not-allowed", None),
    ] {
        let account = DtlsAccount::psk(identity, key).expect("a key");
        let device = device(&server, account).start().await.expect("a port");
        let refused = in_time(device.wait_registered()).await;
        assert_eq!(refusal(&mut events).await, (operation, reason, true));
        let told = match refused {
            Err(DeviceError::Registration(RegistrationError::Handshake(Failure::PeerAlert(
                alert,
            )))) => Some(alert.0),
            Err(DeviceError::Registration(RegistrationError::Refused { .. })) => None,
            other => panic!("refused, and not {other:?}"),
        };
        assert_eq!(told, alert);
        device.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_forgets_its_session_resumes_it_and_stays_registered() {
    let server = server().await;
    let device = registered(device(&server, account())).await;
    let before = server.registration("a").await.expect("registered");
    let mut doings = device.events();
    device
        .with(|client, _| client.forget_session())
        .await
        .expect("it runs");
    device.update().await.expect("it runs");
    let done = until(&mut doings, is_update).await;
    assert_eq!(sessions(&done), [true]);
    let after = server.registration("a").await.expect("registered");
    assert_eq!(before.id, after.id);

    // And one that cannot resume begins anew.
    let plain = account().resumes(false);
    let other = registered(self::device(&server, plain)).await;
    let mut doings = other.events();
    other
        .with(|client, _| client.forget_session())
        .await
        .expect("it runs");
    other.update().await.expect("it runs");
    let done = until(&mut doings, is_update).await;
    assert_eq!(sessions(&done), [false]);
}

#[tokio::test]
async fn a_server_that_lost_the_session_gets_a_handshake_and_a_register() {
    let first = server().await;
    let address = first.local_addresses()[0];
    let device = registered(device(&first, account())).await;
    let mut doings = device.events();
    // The server falls over while nobody can tell the device.
    device.set_offline(true).await.expect("it runs");
    first.shutdown().await;
    let credentials = vec![psk("a", b"a", KEY)];
    let (second, _store) = server_at(address.port(), |_| {}, credentials).await;
    device.set_offline(false).await.expect("it runs");
    let done = until(&mut doings, is_register).await;
    let lost = done.iter().any(|event| {
        matches!(
            event,
            DeviceEvent::UpdateFailed(RegistrationError::NoAnswer(_))
        )
    });
    assert!(lost, "{done:?}");
    assert_eq!(sessions(&done).len(), 1, "{done:?}");
    assert!(second.registration("a").await.is_some());
    device.update().await.expect("it runs");
    until(&mut doings, is_update).await;
}

#[tokio::test]
async fn a_sleeping_device_comes_back_from_another_port_in_its_session() {
    let server = server().await;
    let sleepy = device(&server, account())
        .queue_mode(true)
        .awake_for(Duration::from_millis(500));
    let device = sleepy.start().await.expect("a port");
    let mut doings = device.events();
    in_time(device.wait_registered()).await.expect("registered");
    let before = server.registration("a").await.expect("registered");
    for _ in 0..3 {
        until(&mut doings, |event| *event == DeviceEvent::Asleep).await;
        device.rebind().await.expect("it runs");
        device.update().await.expect("it runs");
        let done = until(&mut doings, is_update).await;
        assert!(sessions(&done).is_empty(), "{done:?}");
    }
    let after = server.registration("a").await.expect("registered");
    assert_eq!(before.id, after.id);
    assert_ne!(before.peer, after.peer);
}

#[tokio::test]
async fn a_device_without_connection_id_needs_a_handshake_at_a_new_port() {
    let server = server().await;
    let account = account().cid(CidOffer::None);
    let device = registered(device(&server, account)).await;
    let mut doings = device.events();
    device.rebind().await.expect("it runs");
    device.update().await.expect("it runs");
    let done = until(&mut doings, is_register).await;
    assert_eq!(sessions(&done), [true]);
    assert!(!done.contains(&DeviceEvent::Updated), "{done:?}");
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_followed_by_another() {
    let (server, store) = server_with(|_| {}, vec![psk("a", b"a", KEY)]).await;
    let device = registered(device(&server, account())).await;
    let mut doings = device.events();
    let id = lwm2m_server::credentials::CredentialId::new("a").expect("an id");
    use lwm2m_server::credentials::CredentialStore;
    store.remove(id).await.expect("removed");
    until(&mut doings, |event| {
        matches!(event, DeviceEvent::SessionDown { .. })
    })
    .await;
    store.add(vec![psk("a", b"a", KEY)]).await.expect("taken");
    device.update().await.expect("it runs");
    let done = until(&mut doings, is_register).await;
    assert_eq!(sessions(&done).len(), 1);
    assert!(server.registration("a").await.is_some());
}

#[tokio::test]
async fn a_device_that_leaves_closes_its_session() {
    let server = server().await;
    let device = registered(device(&server, account())).await;
    in_time(device.deregister()).await.expect("it runs");
    assert!(server.registration("a").await.is_none());
}
