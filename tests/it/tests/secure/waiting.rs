//! A store whose answers take their time: the handshake waits, and others go on.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_server::credentials::{
    Credential, CredentialChanges, CredentialFilter, CredentialId, CredentialStore,
    CredentialStoreError, CredentialUpdate, LookUp, MemoryCredentials,
};
use lwm2m_server::{EndpointName, EventKind, Listener, PeerIdentity, Server, ServerConfig};
use tokio::sync::Semaphore;

use super::peer::SecurePeer;
use super::{KEY, psk};
use crate::peer::event;

/// Never answers at once; about `urn:slow` only when the gate is open.
struct Remote {
    credentials: Arc<MemoryCredentials>,
    gate: Arc<Semaphore>,
}

impl CredentialStore for Remote {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        let (credentials, gate) = (Arc::clone(&self.credentials), Arc::clone(&self.gate));
        let identity = identity.clone();
        LookUp::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            if identity == PeerIdentity::psk(b"urn:slow", None) {
                let _open = gate.acquire().await;
            }
            credentials.look_up(&identity).await
        }))
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.credentials.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        self.credentials.find(id)
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.credentials.list(filter)
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        self.credentials.apply(update)
    }

    fn changes(&self) -> CredentialChanges {
        self.credentials.changes()
    }
}

/// A server of one shard, and the gate of its store, which is closed.
async fn server(configure: impl FnOnce(&mut ServerConfig)) -> (Server, Arc<Semaphore>) {
    let credentials = Arc::new(MemoryCredentials::default());
    let known = vec![psk("s", b"urn:slow", KEY), psk("q", b"urn:quick", KEY)];
    credentials.add(known).await.expect("taken");
    let gate = Arc::new(Semaphore::new(0));
    let store = Remote {
        credentials,
        gate: Arc::clone(&gate),
    };
    let mut config = ServerConfig::default();
    config.shards = 1;
    configure(&mut config);
    let server = Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(Arc::new(store))
        .start()
        .await
        .expect("the server starts");
    (server, gate)
}

#[tokio::test]
async fn one_handshake_waits_for_the_store_and_others_go_on() {
    let (server, gate) = server(|_| {}).await;
    let done = Cell::new(false);
    let waiting = async {
        let mut slow = SecurePeer::connected(&server, b"urn:slow", KEY).await;
        done.set(true);
        slow.register("ep=urn:slow&lwm2m=1.1&lt=86400").await;
    };
    let others = async {
        // Each of them asks the same store, on the same shard.
        for _ in 0..5 {
            let mut quick = SecurePeer::connected(&server, b"urn:quick", KEY).await;
            let location = quick.register("ep=urn:quick&lwm2m=1.1&lt=86400").await;
            assert_eq!(quick.post(&location).await, Code::CHANGED);
        }
        assert!(!done.get(), "nobody has answered");
        gate.add_permits(1);
    };
    tokio::join!(waiting, others);
    assert!(server.registration("urn:slow").await.is_some());
}

#[tokio::test]
async fn a_store_that_never_answers_ends_the_handshake_without_blaming_the_device() {
    let timeout = Duration::from_secs(1);
    let (server, _gate) = server(|config| config.dtls.timing.handshake_timeout = timeout).await;
    let mut events = server.events();
    let mut slow = SecurePeer::new(&server).await;
    // An alert would make a device give its credential up: it hears nothing.
    let alert = slow.connect(b"urn:slow", KEY);
    let refused = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some((reason.code, reason.hint.is_some())),
        _ => None,
    });
    tokio::select! {
        heard = alert => panic!("{heard:?}"),
        refused = refused => assert_eq!(refused, ("overloaded", true)),
    }
}

#[tokio::test]
async fn a_session_that_the_store_says_nothing_about_ends_and_is_told_of() {
    let patience = Duration::from_secs(4);
    let (server, gate) = server(|config| config.dtls.timing.handshake_timeout = patience).await;
    gate.add_permits(1);
    let mut late = SecurePeer::connected(&server, b"urn:slow", KEY).await;
    let mut witness = SecurePeer::connected(&server, b"urn:quick", KEY).await;
    let mut events = server.events();
    // What the store has said of it is asked anew, since credentials have changed meanwhile.
    late.hold = true;
    assert_eq!(late.resume(b"urn:slow", KEY).await, Ok(true));
    gate.forget_permits(1);
    let id = CredentialId::new("q").expect("an id");
    server
        .credentials()
        .expect("a store")
        .remove(id)
        .await
        .expect("removed");
    witness.until_closed().await;
    late.flush().await;
    late.until_closed().await;
    let refused = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "session",
            identity,
            reason,
            ..
        } if reason.code != "credential-removed" => {
            Some((identity.to_string(), reason.code, reason.hint.is_some()))
        }
        _ => None,
    });
    let told = ("psk urn:slow".to_owned(), "credential-store-silent", true);
    assert_eq!(refused.await, told);
}
