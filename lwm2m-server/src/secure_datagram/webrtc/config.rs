//! What the backend goes by.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{CipherSuite, ServerCertificate, TrustStore};

use crate::ClientAuthentication;
use crate::credentials::SecretKey;

/// The key of an identity.
type KeyOf = dyn Fn(&[u8]) -> Option<SecretKey> + Send + Sync;

/// How the server proves itself, and clients to it: one way for all peers.
#[derive(Clone)]
pub enum WebRtcDtlsProof {
    /// Pre-shared keys; the function knows the key of an identity at once, or there is none.
    Psk(Arc<KeyOf>),
    /// Certificates.
    X509 {
        /// Ours.
        server: ServerCertificate,
        /// What those of clients must lead to.
        trust: Arc<TrustStore>,
        /// Whether clients must show theirs.
        client_authentication: ClientAuthentication,
    },
}

/// What the backend goes by.
#[derive(Clone)]
pub struct WebRtcDtlsConfig {
    /// How both sides prove who they are.
    pub proof: WebRtcDtlsProof,
    /// Sessions, handshakes included; 10 000. Each costs about 30 KB and two tasks of the library.
    pub sessions_max: usize,
    /// Handshakes in flight; 256.
    pub handshakes_max: usize,
    /// From the first datagram to giving up; 60 s.
    pub handshake_timeout: Duration,
    /// When a flight is sent again; 1 s.
    pub retransmission: Duration,
    /// Sessions end after this long without a record; a day. A device that starts again from the
    /// same address is not heard before.
    pub session_idle: Duration,
    /// What may be agreed on; all. Those that do not fit the proof are left out.
    pub suites: Vec<CipherSuite>,
}

impl WebRtcDtlsConfig {
    /// The defaults.
    pub fn new(proof: WebRtcDtlsProof) -> WebRtcDtlsConfig {
        WebRtcDtlsConfig {
            proof,
            sessions_max: 10_000,
            handshakes_max: 256,
            handshake_timeout: Duration::from_secs(60),
            retransmission: Duration::from_secs(1),
            session_idle: Duration::from_secs(86_400),
            suites: CipherSuite::ALL.to_vec(),
        }
    }
}

/// Why the backend cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebRtcDtlsError {
    /// The library does not take the certificate or its key.
    #[error("webrtc-dtls does not take the certificate: {0}")]
    Certificate(String),
}
