//! What goes in and out of an [`Endpoint`](super::Endpoint).

use std::fmt::Debug;
use std::hash::Hash;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::failure::{DownReason, Failure, Overload};
use crate::peer::{Lookup, Peer};

/// How a peer is reached: its address, and whatever else tells one way from another.
pub trait Path: Copy + Eq + Hash + Debug {
    /// What cookies are bound to: equal for equal paths, different for others, as far as it can
    /// be said in 24 bytes.
    fn octets(&self) -> [u8; 24];

    /// What limits for each address go by, whatever the port: an IPv6 address, or an IPv4 one in
    /// its mapped form. The beginning of [`Path::octets`] unless said otherwise.
    fn host(&self) -> [u8; 16] {
        let mut host = [0; 16];
        host.copy_from_slice(&self.octets()[..16]);
        host
    }
}

impl Path for SocketAddr {
    fn octets(&self) -> [u8; 24] {
        let mut octets = [0; 24];
        let (ip, scope) = match self {
            SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
        };
        octets[..16].copy_from_slice(&ip.octets());
        octets[16..18].copy_from_slice(&self.port().to_be_bytes());
        octets[18..22].copy_from_slice(&scope.to_be_bytes());
        octets
    }
}

/// Names a session, from its handshake on. An id is never used for another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl SessionId {
    /// The id as one number.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The id of a number.
    pub fn from_u64(id: u64) -> SessionId {
        SessionId {
            slot: id as u32,
            generation: (id >> 32) as u32,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<P> {
    /// A handshake waits for [`Endpoint::answer`](super::Endpoint::answer).
    Lookup {
        /// Its session to be.
        session: SessionId,
        /// Where it comes from.
        path: P,
        /// The question.
        lookup: Lookup,
    },
    /// A session is up.
    ///
    /// A peer that comes back from another address, having lost its session, leaves the old one
    /// behind: whoever knows that both are of one device closes it, or
    /// [`Limits::session_idle`](crate::Limits::session_idle) does.
    Up {
        /// The session.
        session: SessionId,
        /// Where its peer is.
        path: P,
        /// Who its peer is.
        peer: Arc<Peer>,
        /// The session that it takes the place of; [`Event::Down`] of that one follows.
        replaces: Option<SessionId>,
    },
    /// Application data came; it stands, decrypted, in the datagram that was handled last.
    Data {
        /// The session.
        session: SessionId,
        /// Where in the datagram.
        range: Range<usize>,
    },
    /// The peer has another address now. Until [`Endpoint::confirm_path`](super::Endpoint::confirm_path)
    /// little is sent there.
    PathChanged {
        /// The session.
        session: SessionId,
        /// Where the peer was.
        from: P,
        /// Where it is.
        to: P,
    },
    /// A session that was up has ended.
    Down {
        /// The session.
        session: SessionId,
        /// Where its peer was.
        path: P,
        /// Why.
        reason: DownReason,
    },
    /// A handshake ended without a session.
    Failed {
        /// What would have been its session.
        session: SessionId,
        /// Where its peer is.
        path: P,
        /// Why.
        failure: Failure,
    },
    /// A ClientHello with a good cookie was dropped in silence: the peer tries again.
    Dropped {
        /// Where its peer is.
        path: P,
        /// Why.
        overload: Overload,
    },
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit<P> {
    /// Where to.
    pub path: P,
    /// The bytes.
    pub datagram: Bytes,
}

/// Why data was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such session, or it is not up.
    #[error("the session is not up")]
    NotUp,
    /// The peer takes no record of this size.
    #[error("the peer takes at most {max} bytes in a record")]
    TooLarge {
        /// What it takes.
        max: usize,
    },
    /// The peer has a new address that has not answered yet, and has had its share.
    #[error("the new address of the peer is not confirmed")]
    PathNotConfirmed,
    /// All sequence numbers are used.
    #[error("the session has used all its sequence numbers")]
    Exhausted,
}

/// Why a handshake was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// [`Limits::handshakes_max`](crate::Limits::handshakes_max) or
    /// [`Limits::sessions_max`](crate::Limits::sessions_max) is reached.
    #[error("too many handshakes or sessions")]
    Full,
    /// The configuration leaves nothing to offer.
    #[error(transparent)]
    Configuration(#[from] Failure),
}

/// Why a session was not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are no session, or not a whole one.
    #[error("these bytes are no exported session")]
    Malformed,
    /// Another version of this crate wrote them.
    #[error("the session was exported in form {found}, which is not known")]
    Version {
        /// The form.
        found: u8,
    },
    /// The session belongs to another shard.
    #[error("the session belongs to shard {found}")]
    Shard {
        /// That shard.
        found: u8,
    },
    /// Another session has its place.
    #[error("another session has the place of this one")]
    Occupied,
    /// [`Limits::sessions_max`](crate::Limits::sessions_max) is reached.
    #[error("too many sessions")]
    Full,
    /// All sequence numbers are used.
    #[error("the session has used all its sequence numbers")]
    Exhausted,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Datagrams taken.
    pub received: u64,
    /// Datagrams given out.
    pub sent: u64,
    /// Datagrams, or their ends, that are no DTLS.
    pub malformed: u64,
    /// HelloVerifyRequests, each an answer to a ClientHello that left no state.
    pub cookies: u64,
    /// Flights sent again.
    pub retransmitted: u64,
    /// Records that belong to no session, are replays or not authentic.
    pub discarded: u64,
    /// ClientHellos dropped since a limit was reached.
    pub overloaded: u64,
    /// Handshakes that led to a session.
    pub handshakes: u64,
    /// Handshakes that did not.
    pub failures: u64,
}

/// What an endpoint can do, for the documentation of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Pre-shared keys.
    pub psk: bool,
    /// Raw public keys (RFC 7250).
    pub raw_public_key: bool,
    /// X.509 certificates.
    pub x509: bool,
    /// Connection IDs (RFC 9146).
    pub cid: bool,
    /// Abbreviated handshakes.
    pub resumption: bool,
    /// [`Endpoint::export`](super::Endpoint::export) and [`Endpoint::import`](super::Endpoint::import).
    pub export: bool,
}
