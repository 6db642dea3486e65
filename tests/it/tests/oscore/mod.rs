//! Devices under OSCORE: registration, requests, observation and Send, and who is kept out.

mod restart;
pub(crate) mod streams;

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_core::{Path, Record, WriteMode};
use lwm2m_device::{Device, DeviceBuilder, DeviceEvent, OscoreAccount, RegistrationError};
use lwm2m_oscore::{IdContext, KeyId, Parameters};
use lwm2m_server::credentials::{
    Credential, CredentialId, CredentialStore, MemoryCredentials, NamePattern, OscoreCredential,
    Proof, SecretKey,
};
use lwm2m_server::{
    CancelMode, Content, EventKind, Events, Listener, PeerIdentity, RequestError, Server,
    ServerConfig,
};

use crate::hooks::credentials::Lender;
use crate::peer::{Peer, event};
use crate::site::in_time;

const SECRET: &[u8] = b"a master secret";

/// The credential of the device `a`, whose Sender ID is `dev`.
fn credential() -> Credential {
    let oscore = OscoreCredential {
        master_secret: SecretKey::new(SECRET).expect("a key"),
        master_salt: b"salt".to_vec(),
        sender_id: b"srv".to_vec(),
        recipient_id: b"dev".to_vec(),
        id_context: Some(b"fleet".to_vec()),
        aead: 10,
        hmac: 5,
    };
    let id = CredentialId::new("oscore-a").expect("an id");
    let name: NamePattern = "a".parse().expect("a pattern");
    Credential::new(id, Proof::Oscore(oscore)).endpoints([name])
}

/// The same from the side of the device.
fn parameters(secret: &[u8]) -> Parameters {
    Parameters {
        master_secret: secret.to_vec().into(),
        master_salt: b"salt".to_vec(),
        id_context: IdContext::new(b"fleet"),
        sender_id: KeyId::new(b"dev").expect("an id"),
        recipient_id: KeyId::new(b"srv").expect("an id"),
    }
}

fn account(secret: &[u8]) -> OscoreAccount {
    OscoreAccount::new(&parameters(secret), 0).expect("parameters of a context")
}

struct Guarded {
    server: Server,
    store: Arc<MemoryCredentials>,
    events: Events,
}

async fn guarded(shards: usize) -> Guarded {
    guarded_at(shards, Listener::coap(([127, 0, 0, 1], 0).into())).await
}

async fn guarded_at(shards: usize, listener: Listener) -> Guarded {
    let store = Arc::new(MemoryCredentials::default());
    let taken = store.add(vec![credential()]).await;
    taken.expect("a good credential");
    let mut config = ServerConfig::default();
    config.shards = shards;
    let server = Server::builder()
        .config(config)
        .listen(listener)
        .credentials(Arc::clone(&store) as _)
        .start()
        .await
        .expect("the server starts");
    let events = server.events();
    Guarded {
        server,
        store,
        events,
    }
}

fn device(server: &Server, account: Option<OscoreAccount>) -> DeviceBuilder {
    let builder = Device::builder("a").server(server.local_addresses()[0]);
    match account {
        Some(account) => builder.oscore(account),
        None => builder,
    }
}

fn refusal(event: &EventKind) -> Option<&'static str> {
    match event {
        EventKind::Refused { reason, .. } => {
            assert!(reason.hint.is_some(), "{reason:?}");
            Some(reason.code)
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_device_lives_its_life_under_oscore() {
    let Guarded {
        server, mut events, ..
    } = guarded(2).await;
    let device = device(&server, Some(account(SECRET)));
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    let registration = server.registration("a").await.expect("registered");
    let identity = PeerIdentity::oscore(b"dev", Some(b"fleet"));
    assert_eq!(registration.identity, identity);

    let at_server = server.device("a");
    let read = in_time(at_server.read_path(Path::object(3))).await;
    let content = read.expect("the device answers").content;
    assert!(matches!(content, Content::Values(values) if !values.records.is_empty()));
    let lifetime = Path::resource(1, 0, 1);
    let write = in_time(at_server.write_path(
        lifetime,
        WriteMode::Replace,
        vec![Record::new(lifetime, 120)],
    ))
    .await;
    write.expect("the device takes it");
    let updated = event(&mut events, |event| match &event.kind {
        EventKind::Updated { registration, .. } => Some(registration.lifetime_s),
        _ => None,
    });
    assert_eq!(updated.await, 120);

    let utc_offset = Path::resource(3, 0, 14);
    let observed = in_time(at_server.observe_path(utc_offset)).await;
    let observation = observed.expect("the device observes").observation;
    // The first value comes like those that follow.
    for offset in ["+00:00", "+01:00", "+02:00"] {
        device.set(&utc_offset, offset).await.expect("a resource");
        let notified = event(&mut events, |event| match &event.kind {
            EventKind::Notification { values, .. } => Some(values.records[0].clone()),
            _ => None,
        });
        assert_eq!(notified.await, Record::new(utc_offset, offset));
    }
    let observation = observation.expect("an observation stands");
    let cancel = in_time(at_server.cancel(observation, CancelMode::Active)).await;
    cancel.expect("the device forgets it");

    device
        .send(&[utc_offset])
        .await
        .expect("the server takes it");
    event(&mut events, |event| {
        matches!(event.kind, EventKind::Send { .. }).then_some(())
    })
    .await;
    in_time(device.deregister()).await.expect("it leaves");
    assert!(server.registration("a").await.is_none());
}

#[tokio::test]
async fn a_context_that_an_interceptor_grants_is_as_good() {
    let held = MemoryCredentials::default();
    held.add(vec![credential()]).await.expect("taken");
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .intercept(Lender(Arc::new(held)))
        .start()
        .await
        .expect("the server starts");
    let device = device(&server, Some(account(SECRET)));
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    let registration = server.registration("a").await.expect("registered");
    assert_eq!(registration.identity.mode(), "oscore");
}

#[tokio::test]
async fn a_name_with_an_oscore_credential_is_not_registered_without() {
    let Guarded {
        server, mut events, ..
    } = guarded(1).await;
    let stranger = device(&server, None).start().await.expect("a port");
    let refused = event(&mut events, |event| refusal(&event.kind)).await;
    assert_eq!(refused, "nosec-refused");
    stranger.stop().await;

    // And once it has registered, nobody reaches its registration in plain.
    let device = device(&server, Some(account(SECRET)));
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    let id = server.registration("a").await.expect("registered").id;
    let mut stranger = Peer::new(&server).await;
    let update = stranger.post(&format!("rd/{id}")).await;
    assert_eq!(update, Code::NOT_FOUND);
    let refused = event(&mut events, |event| refusal(&event.kind)).await;
    assert_eq!(refused, "identity-changed");
}

#[tokio::test]
async fn another_secret_is_refused_and_the_operator_is_told() {
    let Guarded {
        server, mut events, ..
    } = guarded(1).await;
    let device = device(&server, Some(account(b"another secret")));
    let device = device.start().await.expect("a port");
    let mut doings = device.events();
    let refused = event(&mut events, |event| refusal(&event.kind)).await;
    assert_eq!(refused, "oscore-decryption-failed");
    let failed = in_time(async {
        loop {
            match doings.recv().await.expect("the device runs") {
                DeviceEvent::RegistrationFailed(error) => return error,
                _ => continue,
            }
        }
    });
    let failure = lwm2m_coap::Failure::Unprotected(Code::BAD_REQUEST);
    assert!(matches!(failed.await, RegistrationError::NoAnswer(heard) if heard == failure));
    assert!(server.registration("a").await.is_none());
}

#[tokio::test]
async fn a_registration_ends_with_its_credential() {
    let Guarded {
        server,
        store,
        mut events,
    } = guarded(2).await;
    let device = device(&server, Some(account(SECRET)));
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    let id = CredentialId::new("oscore-a").expect("an id");
    store.remove(id).await.expect("it is there");
    event(&mut events, |event| {
        matches!(event.kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    device.update().await.expect("it tries");
    let refused = event(&mut events, |event| refusal(&event.kind)).await;
    assert_eq!(refused, "oscore-context-unknown");
    let read = server.device("a").read_path(Path::object(3)).await;
    assert!(matches!(read, Err(RequestError::NotRegistered)), "{read:?}");
}

/// The kernel gives each port to one of the shards; the context leads to the owner.
#[tokio::test]
async fn a_device_that_moves_is_heard_by_its_owner() {
    let Guarded { server, .. } = guarded(4).await;
    let device = device(&server, Some(account(SECRET)));
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    let mut doings = device.events();
    for _ in 0..16 {
        in_time(device.rebind()).await.expect("another port");
        device.update().await.expect("it runs");
        in_time(async { while doings.recv().await != Ok(DeviceEvent::Updated) {} }).await;
        let at_server = server.device("a");
        let read = in_time(at_server.read_path(Path::resource(3, 0, 0))).await;
        read.expect("the device answers");
    }
    assert!(server.statistics().relayed > 0);
    assert_eq!(server.statistics().registrations, 1);
}

#[tokio::test]
async fn a_device_that_registers_anew_replaces_itself() {
    let Guarded { server, .. } = guarded(4).await;
    let account = account(SECRET);
    for _ in 0..6 {
        let device = device(&server, Some(account.clone()));
        let device = device.start().await.expect("a port");
        in_time(device.wait_registered()).await.expect("registered");
        let at_server = server.device("a");
        let read = in_time(at_server.read_path(Path::resource(3, 0, 0))).await;
        read.expect("the device answers");
        device.stop().await;
    }
    assert_eq!(server.statistics().registrations, 1);
}
