//! Credentials that an interceptor grants: DTLS here; TLS and OSCORE with the tests of those.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_server::credentials::{CredentialStore, LookUp, MemoryCredentials};
use lwm2m_server::hooks::{CredentialAnswer, CredentialRequest};
use lwm2m_server::{Answer, EventKind, Hook, HookSet, Interceptor, Listener, Server};

use crate::peer::event;
use crate::secure::peer::SecurePeer;
use crate::secure::{KEY, psk};

/// Lends what it holds, later.
pub(crate) struct Lender(pub(crate) Arc<MemoryCredentials>);

impl Interceptor for Lender {
    fn name(&self) -> &str {
        "lender"
    }

    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::Credentials)
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        if request.presented.name().as_deref() == Some("urn:stolen") {
            assert_eq!(request.scheme, Some("coaps"));
            assert!(request.peer.is_some_and(|peer| peer.ip().is_loopback()));
            return Answer::Now(CredentialAnswer::Deny {
                why: "reported stolen".to_owned(),
            });
        }
        let LookUp::Now(found) = self.0.look_up(&request.presented) else {
            panic!("memory answers at once");
        };
        Answer::later(async move {
            tokio::task::yield_now().await;
            match found.into_iter().next() {
                None => CredentialAnswer::Unknown,
                Some(credential) => CredentialAnswer::Grant {
                    credential,
                    cache: Duration::ZERO,
                },
            }
        })
    }
}

#[tokio::test]
async fn a_server_without_a_store_takes_the_credentials_of_an_interceptor() {
    let held = MemoryCredentials::default();
    let pattern = "urn:b".parse().expect("a pattern");
    let lent = vec![
        psk("a", b"urn:a", KEY),
        psk("b", b"b", KEY).endpoints([pattern]),
    ];
    held.add(lent).await.expect("taken");
    let server = Server::builder()
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .intercept(Lender(Arc::new(held)))
        .start()
        .await
        .expect("the server starts");
    assert!(server.credentials().is_none());
    let mut events = server.events();
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    let location = device.register("ep=urn:a&lwm2m=1.1").await;
    assert_eq!(device.post(&location).await, Code::CHANGED);

    // The identity counts for its names and no other.
    let mut other = SecurePeer::connected(&server, b"b", KEY).await;
    let refused = other.try_register("ep=urn:a&lwm2m=1.1").await;
    assert_eq!(refused, Code::BAD_REQUEST);
    other.register("ep=urn:b&lwm2m=1.1").await;

    let mut wrong = SecurePeer::new(&server).await;
    assert!(wrong.connect(b"urn:a", b"some other key 2").await.is_err());
    let mut unknown = SecurePeer::new(&server).await;
    assert!(unknown.connect(b"urn:c", KEY).await.is_err());
    let mut stolen = SecurePeer::new(&server).await;
    assert!(stolen.connect(b"urn:stolen", KEY).await.is_err());
    let denied = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "credentials",
            identity,
            reason,
            ..
        } => Some((
            identity.to_string(),
            reason.code,
            reason.message.to_string(),
        )),
        _ => None,
    });
    let (identity, word, text) = denied.await;
    assert_eq!(
        (identity.as_str(), word),
        ("psk urn:stolen", "credential-denied")
    );
    assert!(text.contains("reported stolen"), "{text}");
}
