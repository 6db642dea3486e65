//! Credentials that interceptors look up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::PeerIdentity;
use crate::credentials::Credential;

/// A peer presents itself in a handshake, or with an OSCORE key id.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CredentialRequest {
    /// As whom. A certificate has a valid chain; a raw public key has proven nothing yet but that
    /// the peer holds it; a pre-shared key and an OSCORE context are only names.
    pub presented: PeerIdentity,
    /// The scheme of the listener, as in `coaps` or `coaps+tcp`; none where it is not known.
    pub scheme: Option<&'static str>,
    /// From where, when it is known.
    pub peer: Option<SocketAddr>,
}

impl CredentialRequest {
    /// Of a peer of which nothing else is known: for tests of interceptors and of plugins.
    pub fn new(presented: PeerIdentity) -> CredentialRequest {
        CredentialRequest {
            presented,
            scheme: None,
            peer: None,
        }
    }
}

/// What an interceptor says of a peer that presents itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CredentialAnswer {
    /// Not one of mine: the next one is asked, in the end the store.
    Unknown,
    /// The credential: the handshake must prove it, and the endpoint names that it allows are those
    /// that may be registered.
    Grant {
        /// What proves the peer. It has the same id each time: a session that is continued goes by
        /// it.
        credential: Arc<Credential>,
        /// How long the answer may be used for the same peer without asking again; zero for never.
        cache: Duration,
    },
    /// Final: the handshake fails.
    Deny {
        /// For the event.
        why: String,
    },
}
