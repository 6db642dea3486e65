//! [`SecureDatagram`], the boundary to what protects datagrams.
//!
//! | | `lwm2m-dtls`, the default | `webrtc-dtls`, a feature |
//! | --- | --- | --- |
//! | pre-shared keys | yes | yes, on a listener without certificates |
//! | raw public keys | yes | no |
//! | certificates | yes, by server name | yes, one |
//! | Connection ID, a session that moves | yes | no: a device with a new address starts again |
//! | resumption, export | yes | no |
//! | questions to the store that take their time | yes | no: the key must be known at once |
//! | what an unanswered ClientHello costs | nothing | a task, until the handshake times out |
//! | a forged record | is passed over | can end a session |
//!
//! [`Capabilities`] says the same to programs.

mod own;
#[cfg(feature = "webrtc-dtls")]
mod webrtc;

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
pub use lwm2m_dtls::{
    CipherSuite, Identity, Lookup, Path, Peer, Psk, SendError, ServerConfig, SessionId, Transmit,
    Verdict,
};

use crate::Reason;

#[cfg(feature = "webrtc-dtls")]
pub use webrtc::{WebRtcDtls, WebRtcDtlsConfig, WebRtcDtlsError, WebRtcDtlsProof};

/// Protects the datagrams of one shard: all its sessions, one object, no socket.
///
/// After every call, drain [`poll_event`](SecureDatagram::poll_event) and
/// [`poll_transmit`](SecureDatagram::poll_transmit). `P` is how a peer is reached.
pub trait SecureDatagram<P: Path>: Send {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Answers clients in another way from now on; handshakes in flight go on as they began.
    fn set_server(&mut self, server: Arc<ServerConfig>);

    /// Tells which second since 1970 `now` is. Certificates are checked by it: none is valid
    /// before.
    fn set_unix_time(&mut self, now: Instant, unix_s: u64);

    /// Takes a datagram; may decrypt it in place.
    fn handle(&mut self, now: Instant, path: P, datagram: &mut [u8]);

    /// Sends application data over a session that is up.
    ///
    /// # Errors
    /// Says why nothing was sent.
    fn send(&mut self, now: Instant, session: SessionId, data: &[u8]) -> Result<(), SendError>;

    /// Answers [`SecureEvent::Lookup`]. False when the handshake is over or has been answered.
    fn answer(&mut self, now: Instant, session: SessionId, verdict: Verdict) -> bool;

    /// Ends a session or a handshake.
    fn close(&mut self, now: Instant, session: SessionId);

    /// The peer has answered from its new address, see [`SecureEvent::PathChanged`].
    fn confirm_path(&mut self, session: SessionId);

    /// Where the peer of a session is; none when it is not up.
    fn path(&self, session: SessionId) -> Option<P>;

    /// Who the peer of a session is; none when it is not up.
    fn peer(&self, session: SessionId) -> Option<Arc<Peer>>;

    /// When [`on_timeout`](SecureDatagram::on_timeout) is due; none when nothing waits.
    fn next_timeout(&self) -> Option<Instant>;

    /// Runs what is due.
    fn on_timeout(&mut self, now: Instant);

    /// The next event.
    fn poll_event(&mut self) -> Option<SecureEvent<P>>;

    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Transmit<P>>;

    /// Ready when there are events or datagrams that no call has led to. A backend that works in
    /// the calls alone never is.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = context;
        Poll::Pending
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SecureEvent<P> {
    /// A handshake waits for [`SecureDatagram::answer`].
    Lookup {
        /// Its session to be.
        session: SessionId,
        /// Where it comes from.
        path: P,
        /// The question.
        lookup: Lookup,
    },
    /// A session is up.
    Up {
        /// The session.
        session: SessionId,
        /// Where its peer is.
        path: P,
        /// Who its peer is.
        peer: Arc<Peer>,
        /// The session that it takes the place of; [`SecureEvent::Down`] of that one follows.
        replaces: Option<SessionId>,
    },
    /// Application data came.
    Data {
        /// The session.
        session: SessionId,
        /// Where it is.
        data: Plaintext,
    },
    /// The peer has another address now. Until [`SecureDatagram::confirm_path`] little is sent
    /// there.
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
        reason: Reason,
    },
    /// A handshake ended without a session.
    Failed {
        /// What would have been its session.
        session: SessionId,
        /// Where its peer is.
        path: P,
        /// Why.
        reason: Reason,
    },
    /// A handshake was not begun since a limit is reached.
    Dropped {
        /// Where its peer is.
        path: P,
        /// Which limit.
        reason: Reason,
    },
}

/// Where decrypted data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plaintext {
    /// In the datagram that was handled last.
    InPlace(Range<usize>),
    /// Here.
    Owned(Bytes),
}

impl Plaintext {
    /// The bytes; `datagram` is the one that was handled last.
    pub fn within<'d>(&'d self, datagram: &'d [u8]) -> Option<&'d [u8]> {
        match self {
            Plaintext::InPlace(range) => datagram.get(range.clone()),
            Plaintext::Owned(bytes) => Some(bytes),
        }
    }
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Its name.
    pub backend: &'static str,
    /// Pre-shared keys.
    pub psk: bool,
    /// Raw public keys (RFC 7250).
    pub raw_public_key: bool,
    /// X.509 certificates.
    pub x509: bool,
    /// Pre-shared keys and certificates on the same listener.
    pub psk_beside_x509: bool,
    /// Connection IDs (RFC 9146), by which a session outlives a new address.
    pub cid: bool,
    /// Abbreviated handshakes.
    pub resumption: bool,
    /// Sessions that can be carried to another process.
    pub export: bool,
    /// A ClientHello from an address that does not answer costs nothing.
    pub stateless_cookie: bool,
    /// Handshakes wait for answers to [`SecureEvent::Lookup`]; if not, none is asked.
    pub parked_lookup: bool,
    /// Sessions of one shard, when the backend has a limit of its own.
    pub sessions_max: Option<usize>,
    /// Handshakes in flight on one shard, when the backend has a limit of its own.
    pub handshakes_max: Option<usize>,
}
