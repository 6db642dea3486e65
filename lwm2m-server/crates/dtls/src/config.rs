//! What an endpoint goes by: policies, times, limits.

use std::sync::Arc;
use std::time::Duration;

use crate::psk::Psk;
use crate::suite::CipherSuite;

/// What an [`Endpoint`](crate::Endpoint) goes by.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stands in our Connection IDs, so that a datagram finds its shard; 0.
    pub shard: u8,
    /// How clients are answered; none for an endpoint that is only a client.
    pub server: Option<Arc<ServerConfig>>,
    /// Times.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            shard: 0,
            server: Some(Arc::new(ServerConfig::default())),
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

/// How clients are answered.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What may be agreed on; of what is in common, the client's order decides. All.
    pub suites: Vec<CipherSuite>,
    /// Whether clients must have RFC 7627; [`ExtendedMasterSecret::Preferred`].
    pub extended_master_secret: ExtendedMasterSecret,
    /// Connection IDs for clients that ask for them; true.
    pub cid: bool,
    /// Sent to clients before they name their identity; none.
    pub psk_identity_hint: Option<Box<[u8]>>,
    /// What a client hears whose identity nobody knows; [`UnknownPskIdentity::Alert`].
    pub unknown_psk_identity: UnknownPskIdentity,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            suites: CipherSuite::ALL.to_vec(),
            extended_master_secret: ExtendedMasterSecret::Preferred,
            cid: true,
            psk_identity_hint: None,
            unknown_psk_identity: UnknownPskIdentity::Alert,
        }
    }
}

/// Whether a session needs the extended master secret (RFC 7627).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedMasterSecret {
    /// Used when the peer has it. Old tinydtls clients do not.
    Preferred,
    /// Sessions without it are refused.
    Required,
}

/// What a client hears whose identity nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownPskIdentity {
    /// The alert unknown_psk_identity (115): plain words for whoever mends the device, which gives
    /// up until then (class Fail of LwM2M 1.1).
    Alert,
    /// The same as for a wrong key, so that identities cannot be found out by trying.
    Conceal,
}

/// How a handshake with a server is begun.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// What we offer, best first. The ones that the credentials do not fit are left out.
    pub suites: Vec<CipherSuite>,
    /// Whether the server must have RFC 7627; [`ExtendedMasterSecret::Preferred`].
    pub extended_master_secret: ExtendedMasterSecret,
    /// What we ask for in the way of Connection IDs; [`CidOffer::Empty`].
    pub cid: CidOffer,
    /// The name of the server (RFC 6066 §3).
    pub server_name: Option<Box<str>>,
    /// Who we are.
    pub credentials: ClientCredentials,
}

impl ClientConfig {
    /// A client with a pre-shared key.
    pub fn psk(identity: &[u8], key: Psk) -> ClientConfig {
        ClientConfig {
            suites: CipherSuite::ALL.to_vec(),
            extended_master_secret: ExtendedMasterSecret::Preferred,
            cid: CidOffer::Empty,
            server_name: None,
            credentials: ClientCredentials::Psk {
                identity: identity.into(),
                key,
            },
        }
    }
}

/// Who a client is, and whom it expects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientCredentials {
    /// A pre-shared key.
    Psk {
        /// The identity, at most 65535 bytes; 128 in LwM2M.
        identity: Box<[u8]>,
        /// The key.
        key: Psk,
    },
}

/// What a client asks for in the way of Connection IDs (RFC 9146).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidOffer {
    /// No Connection IDs.
    None,
    /// The server assigns one for our records and uses none for its own: for a device that moves.
    Empty,
    /// Connection IDs in both directions.
    Both,
}

/// Times of handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When a flight is sent again for the first time; 9 s (RFC 7925 §11). Doubled each time.
    pub retransmission_initial: Duration,
    /// The longest wait between two retransmissions; 60 s.
    pub retransmission_max: Duration,
    /// From the first message with a good cookie to giving up; 120 s.
    pub handshake_timeout: Duration,
    /// How long a Finished message that cannot be decrypted may be followed by a good one, before
    /// the handshake fails; 1 s. Until then, it may have been forged.
    pub bad_finished_grace: Duration,
    /// How long the last flight is kept for a peer that did not get it; 120 s.
    pub last_flight: Duration,
    /// How long a cookie is good, at least; 60 s.
    pub cookie_lifetime: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            retransmission_initial: Duration::from_secs(9),
            retransmission_max: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(120),
            bad_finished_grace: Duration::from_secs(1),
            last_flight: Duration::from_secs(120),
            cookie_lifetime: Duration::from_secs(60),
        }
    }
}

/// Limits, so that no peer can take more than its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a datagram of ours in a handshake; 1200, at least [`Limits::MTU_MIN`].
    pub mtu: usize,
    /// Handshakes in flight; 4096. ClientHellos above are dropped in silence.
    pub handshakes_max: usize,
    /// Sessions that are up or on their way; 1 048 576, at most 16 777 216.
    pub sessions_max: usize,
    /// Bytes of one handshake message; 16 384.
    pub handshake_message_max: usize,
    /// Bytes of messages in reception at once in one handshake; 32 768.
    pub reassembly_bytes_max: usize,
    /// Bytes of all messages of a handshake; 65 536.
    pub transcript_bytes_max: usize,
    /// Bytes of protected records that wait until their keys are there; 1024.
    pub early_bytes_max: usize,
    /// Bytes of a psk identity; 1024.
    pub psk_identity_max: usize,
    /// Sessions end after this long without a record; none: never.
    pub session_idle: Option<Duration>,
    /// Bytes that may go to a new address beyond three times of what came from there, until
    /// [`Endpoint::confirm_path`](crate::Endpoint::confirm_path); 1280.
    pub unconfirmed_path_bytes: usize,
}

impl Limits {
    /// The smallest MTU that handshakes work with, in bytes.
    pub const MTU_MIN: usize = 128;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            mtu: 1200,
            handshakes_max: 4096,
            sessions_max: 1 << 20,
            handshake_message_max: 16 << 10,
            reassembly_bytes_max: 32 << 10,
            transcript_bytes_max: 64 << 10,
            early_bytes_max: 1024,
            psk_identity_max: 1024,
            session_idle: None,
            unconfirmed_path_bytes: 1280,
        }
    }
}
