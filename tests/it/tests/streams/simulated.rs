//! Simulated devices that connect: what becomes of them when connections end, or none is made. What
//! they do over one that stands is in `conformance`.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_core::Path;
use lwm2m_device::{Device, DeviceBuilder, DeviceEvent, DeviceHandle, Retry};
use lwm2m_server::{Server, StartError};
use tokio::sync::broadcast;

use super::peer;
use crate::site::in_time;

/// A device that tries again soon.
fn device(server: SocketAddr) -> DeviceBuilder {
    Device::builder("a")
        .server(server)
        .lifetime_s(86400)
        .retry(Retry {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(100),
        })
        .tcp()
}

async fn registered(builder: DeviceBuilder) -> DeviceHandle {
    let device = builder.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    device
}

/// Waits until the device does this; whatever it does before.
async fn until<T>(
    doings: &mut broadcast::Receiver<DeviceEvent>,
    wanted: impl Fn(DeviceEvent) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = doings.recv().await.expect("the device runs");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    in_time(search).await
}

#[tokio::test]
async fn a_registration_goes_on_over_the_next_connection() {
    let server = peer::server(|_| {}).await;
    let device = registered(device(server.local_addresses()[0])).await;
    let before = server.registration("a").await.expect("registered");
    let mut doings = device.events();
    device.rebind().await.expect("the device runs");
    until(&mut doings, |event| {
        (event == DeviceEvent::Updated).then_some(())
    })
    .await;
    let after = server.registration("a").await.expect("registered");
    assert_eq!(before.id, after.id);
    assert_ne!(before.peer, after.peer);
    let response = server.device("a").read_path(Path::resource(3, 0, 0)).await;
    response.expect("read");
    // After a restart nothing is known of it.
    device.reboot().await.expect("the device runs");
    until(&mut doings, |event| {
        matches!(event, DeviceEvent::Registered { .. }).then_some(())
    })
    .await;
    let last = server.registration("a").await.expect("registered");
    assert_ne!(after.id, last.id);
    device.deregister().await.expect("the device runs");
    assert!(server.registration("a").await.is_none());
}

#[tokio::test]
async fn a_device_waits_for_a_server_that_is_not_there() {
    // A port that is taken, and where nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = taken.local_addr().expect("an address");
    let device = device(address).start().await.expect("a port");
    let mut doings = device.events();
    let reason = until(&mut doings, |event| match event {
        DeviceEvent::RegistrationFailed(error) => Some(error.to_string()),
        _ => None,
    })
    .await;
    assert!(reason.starts_with("no connection"), "{reason}");
    drop(taken);
    let starting = async {
        loop {
            let listener = lwm2m_server::Listener::coap_tcp(address);
            match Server::builder().listen(listener).start().await {
                // Another test may have the port for a moment.
                Err(StartError::Bind { .. }) => tokio::task::yield_now().await,
                started => return started.expect("the server starts"),
            }
        }
    };
    let _server = in_time(starting).await;
    until(&mut doings, |event| {
        matches!(event, DeviceEvent::Registered { .. }).then_some(())
    })
    .await;
}

#[cfg(feature = "tls-psk")]
mod tls_psk {
    use lwm2m_device::{TlsAccount, TlsVersion};
    use lwm2m_server::EventKind;
    use lwm2m_server::credentials::{CredentialId, CredentialStore};

    use super::*;
    use crate::peer::event;
    use crate::secure::{KEY, psk};
    use crate::streams::tls_psk::{server, store_of};

    const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

    #[tokio::test]
    async fn a_device_that_is_refused_is_told_why() {
        let server = server(store_of(vec![psk("a", b"a", KEY)]).await, |_| {}).await;
        for version in VERSIONS {
            for (identity, key, word) in [
                (&b"a"[..], &b"another key here"[..], "psk-wrong-key"),
                (b"z", KEY, "psk-identity-unknown"),
            ] {
                let mut events = server.events();
                let account = TlsAccount::psk(identity, key).expect("a key");
                let device = device(server.local_addresses()[0])
                    .tls(account.newest(version))
                    .start()
                    .await;
                let device = device.expect("a port");
                let mut doings = device.events();
                let reason = until(&mut doings, |event| match event {
                    DeviceEvent::RegistrationFailed(error) => Some(error.to_string()),
                    _ => None,
                })
                .await;
                assert!(reason.contains("alert"), "{reason}");
                let found = event(&mut events, |event| match &event.kind {
                    EventKind::Refused { reason, .. } => Some(reason.code),
                    _ => None,
                })
                .await;
                assert_eq!(found, word);
                device.stop().await;
            }
        }
    }

    #[tokio::test]
    async fn a_credential_that_is_removed_ends_connection_and_registration() {
        for version in VERSIONS {
            let store = store_of(vec![psk("a", b"a", KEY)]).await;
            let server = server(store.clone(), |_| {}).await;
            let account = TlsAccount::psk(b"a", KEY).expect("a key").newest(version);
            let device = registered(device(server.local_addresses()[0]).tls(account)).await;
            let mut doings = device.events();
            let id = CredentialId::new("a").expect("an id");
            store.remove(id).await.expect("removed");
            until(&mut doings, |event| {
                matches!(event, DeviceEvent::Disconnected { .. }).then_some(())
            })
            .await;
            let gone = async { while server.registration("a").await.is_some() {} };
            in_time(gone).await;
            // It tries in vain, until it has its credential again.
            store.add(vec![psk("a", b"a", KEY)]).await.expect("taken");
            until(&mut doings, |event| {
                matches!(event, DeviceEvent::Registered { .. }).then_some(())
            })
            .await;
        }
    }
}
