//! Whom a session is with, and what is asked of the application about it.

use std::fmt;
use std::sync::Arc;

use crate::certificate::{Certificate, CertificateChain, X509Identity};
use crate::key::PublicKey;
use crate::psk::Psk;
use crate::suite::CipherSuite;

/// The other side of a session, as the handshake proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Who it is.
    pub identity: Identity,
    /// The certificate that it showed.
    pub certificate: Option<Certificate>,
    /// How records are protected.
    pub suite: CipherSuite,
    /// The name that the client asked for (RFC 6066 §3).
    pub server_name: Option<Box<str>>,
    /// The master secret is bound to the handshake (RFC 7627).
    pub extended_master_secret: bool,
    /// The peer's records carry a Connection ID, so that it may change its address.
    pub cid: bool,
    /// The session continues an earlier one, which proved the identity.
    pub resumed: bool,
    /// The label of the pre-shared key that proved the identity, see [`Psk::labelled`]; 0 when
    /// there is none, or the implementation does not tell.
    pub key_label: u64,
}

impl Peer {
    /// A peer that another DTLS implementation has authenticated: without Connection ID, not
    /// resumed.
    pub fn new(identity: Identity, suite: CipherSuite) -> Peer {
        Peer {
            identity,
            certificate: None,
            suite,
            server_name: None,
            extended_master_secret: false,
            cid: false,
            resumed: false,
            key_label: 0,
        }
    }
}

/// Who a peer is. This layer authenticates; what an identity may do is for others to say.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// It holds the key of this identity; for a client, that the server holds it too.
    Psk(Box<[u8]>),
    /// It holds the private key of this one.
    RawPublicKey(PublicKey),
    /// It holds the private key of this certificate, whose chain is good.
    X509(Box<X509Identity>),
    /// A client that did not authenticate, where that is allowed.
    Anonymous,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Psk(identity) => write!(formatter, "Psk({})", identity.escape_ascii()),
            Identity::RawPublicKey(key) => write!(formatter, "RawPublicKey({key:?})"),
            Identity::X509(identity) => write!(formatter, "X509({identity:?})"),
            Identity::Anonymous => formatter.write_str("Anonymous"),
        }
    }
}

/// A question of a parked handshake, for [`Endpoint::answer`](crate::Endpoint::answer).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// Which key has this identity? Answer [`Verdict::Psk`].
    Psk {
        /// As the client sent it; usually UTF-8.
        identity: Box<[u8]>,
        /// The name that the client asked for.
        server_name: Option<Box<str>>,
    },
    /// May the holder of this key come in? It has proved to be that. Answer [`Verdict::Accept`].
    RawPublicKey {
        /// The key.
        public_key: PublicKey,
        /// The name that the client asked for.
        server_name: Option<Box<str>>,
    },
    /// May the holder of this certificate come in? It has proved to be that, and the chain leads
    /// to the trust store. Answer [`Verdict::Accept`].
    X509 {
        /// What the certificate says.
        identity: Box<X509Identity>,
        /// As the client sent it.
        chain: CertificateChain,
        /// The name that the client asked for.
        server_name: Option<Box<str>>,
    },
    /// May this peer still come in? It continues an earlier session, in which it has proved who it
    /// is. [`Verdict::Accept`] lets it; any other answer makes it prove itself anew, and
    /// [`Verdict::Overloaded`] drops it in silence.
    Resume {
        /// The peer of the earlier session.
        peer: Arc<Peer>,
    },
}

/// The answer to a [`Lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The key of the identity, and, while keys are exchanged, the other one that is good as well.
    Psk {
        /// The key.
        key: Psk,
        /// The key that it follows or that will follow it.
        alternate: Option<Psk>,
    },
    /// The peer may come in.
    Accept,
    /// There is no such identity, key or certificate.
    Unknown,
    /// The identity is known and not let in.
    Refuse,
    /// Nobody can tell now. The handshake is dropped in silence, since an alert about a credential
    /// would make the device give up for good (LwM2M 1.1 class Fail).
    Overloaded,
}
