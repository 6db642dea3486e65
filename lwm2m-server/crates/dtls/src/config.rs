//! What an endpoint goes by: policies, times, limits.

use std::sync::Arc;
use std::time::Duration;

use crate::certificate::{
    CertificateChain, CertificateUsage, ChainLimits, MatchingType, ServerCertificates,
    ServerReference, TrustStore,
};
use crate::key::{PrivateKey, PublicKey};
use crate::psk::Psk;
use crate::resumption::{Resumption, ServerResumption};
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
    /// Pre-shared keys are taken; true.
    pub psk: bool,
    /// Our raw public key (RFC 7250), for clients that ask for one; none.
    pub raw_public_key: Option<PrivateKey>,
    /// Our certificates; none.
    pub certificates: Option<Arc<ServerCertificates>>,
    /// Whether clients must prove who they are, where no pre-shared key does;
    /// [`ClientAuthentication::Required`].
    pub client_authentication: ClientAuthentication,
    /// Raw public keys of clients are taken, when the application knows them; true.
    pub client_raw_public_keys: bool,
    /// What certificates of clients must lead to; none: they are not taken.
    pub trust: Option<Arc<TrustStore>>,
    /// How much a client may show.
    pub chain_limits: ChainLimits,
    /// What happens to clients that ask for a name that no certificate has;
    /// [`UnknownServerName::Default`].
    pub unknown_server_name: UnknownServerName,
    /// How clients may continue their sessions; none: not at all.
    pub resumption: Option<ServerResumption>,
    /// What clients must name who name protocols (RFC 7301), as in `coap`; none: it is all the same.
    pub application_protocol: Option<Box<[u8]>>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            suites: CipherSuite::ALL.to_vec(),
            extended_master_secret: ExtendedMasterSecret::Preferred,
            cid: true,
            psk_identity_hint: None,
            unknown_psk_identity: UnknownPskIdentity::Alert,
            psk: true,
            raw_public_key: None,
            certificates: None,
            client_authentication: ClientAuthentication::Required,
            client_raw_public_keys: true,
            trust: None,
            chain_limits: ChainLimits::default(),
            unknown_server_name: UnknownServerName::Default,
            resumption: Some(ServerResumption::default()),
            application_protocol: None,
        }
    }
}

/// Whether clients must prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// A client without a certificate or raw public key is refused.
    Required,
    /// It is asked, and may come in as [`Identity::Anonymous`](crate::Identity::Anonymous).
    Optional,
    /// It is not asked.
    None,
}

/// What happens to clients that ask for a name that no certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownServerName {
    /// They get the default certificate.
    Default,
    /// They get the alert unrecognized_name (112).
    Alert,
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
    /// Who we are, and whom we expect.
    pub credentials: ClientCredentials,
    /// How much the server may show.
    pub chain_limits: ChainLimits,
    /// The longest plaintext of a record that we take, in bytes, 64 to 16 384 (RFC 8449); none: no
    /// limit of our own.
    pub record_size_limit: Option<u16>,
    /// The session to continue, when the server still knows it; none.
    pub resume: Option<Resumption>,
    /// The protocol that the server is to speak (RFC 7301), as in `coap`; none.
    pub application_protocol: Option<Box<[u8]>>,
}

impl ClientConfig {
    /// A client with a pre-shared key.
    pub fn psk(identity: &[u8], key: Psk) -> ClientConfig {
        ClientConfig::new(ClientCredentials::Psk {
            identity: identity.into(),
            key,
        })
    }

    /// A client with these credentials, and the defaults otherwise.
    pub fn new(credentials: ClientCredentials) -> ClientConfig {
        ClientConfig {
            suites: CipherSuite::ALL.to_vec(),
            extended_master_secret: ExtendedMasterSecret::Preferred,
            cid: CidOffer::Empty,
            server_name: None,
            credentials,
            chain_limits: ChainLimits::default(),
            record_size_limit: None,
            resume: None,
            application_protocol: None,
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
    /// Raw public keys on both sides (RFC 7250).
    RawPublicKey {
        /// Ours.
        key: PrivateKey,
        /// The server's, as in /0/x/4.
        server: PublicKey,
    },
    /// Certificates.
    X509 {
        /// Ours; none for a client that does not prove who it is.
        own: Option<(CertificateChain, PrivateKey)>,
        /// What the server's must be.
        server: ServerExpectation,
    },
}

/// What a client was told about the certificate of its server.
#[derive(Debug, Clone)]
pub struct ServerExpectation {
    /// /0/x/15.
    pub usage: CertificateUsage,
    /// /0/x/13.
    pub matching: MatchingType,
    /// /0/x/4: a certificate or a hash of it.
    pub certificate: Box<[u8]>,
    /// The host of the server URI, or the name of /0/x/14; none leaves names unchecked.
    pub name: Option<Box<str>>,
    /// Authorities, for the certificate usages 0 and 1.
    pub store: Arc<TrustStore>,
}

impl ServerExpectation {
    /// A server that shows exactly this certificate: what LwM2M devices know (usage 3).
    pub fn exactly(certificate: &[u8]) -> ServerExpectation {
        ServerExpectation {
            usage: CertificateUsage::DomainIssued,
            matching: MatchingType::Exact,
            certificate: certificate.into(),
            name: None,
            store: Arc::new(TrustStore::new()),
        }
    }

    pub(crate) fn reference(&self) -> ServerReference<'_> {
        ServerReference {
            usage: self.usage,
            matching: self.matching,
            certificate: &self.certificate,
            name: self.name.as_deref(),
        }
    }
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
    /// Bytes of a datagram of ours in a handshake; 1200, at least [`Limits::MTU_MIN`]. A flight
    /// that goes unanswered twice is cut to 548.
    pub mtu: usize,
    /// Handshakes in flight; 4096. ClientHellos above are dropped in silence.
    pub handshakes_max: usize,
    /// Handshakes that one address, or one IPv6 network of 64 bits, begins in a second; 0: no limit.
    /// ClientHellos above are dropped, see [`Event::Dropped`](crate::Event::Dropped).
    pub handshakes_per_address_per_second_max: u32,
    /// Sessions that are up or on their way; 1 048 576, at most 16 777 216.
    pub sessions_max: usize,
    /// Bytes of one handshake message; 16 384.
    pub handshake_message_max: usize,
    /// Pieces of one handshake message that came apart from each other; 64. Further ones are
    /// dropped, and come again.
    pub handshake_fragments_max: usize,
    /// Bytes of messages in reception at once in one handshake; 32 768.
    pub reassembly_bytes_max: usize,
    /// Bytes of all messages of a handshake; 65 536.
    pub transcript_bytes_max: usize,
    /// Bytes of protected records that wait until their keys are there; 1024.
    pub early_bytes_max: usize,
    /// Bytes of application data in a record that we take, 64 to 16 384; 16 384. Clients that ask
    /// are told (RFC 8449); longer records are dropped.
    pub record_size_max: u16,
    /// Bytes of a psk identity; 1024.
    pub psk_identity_max: usize,
    /// Sessions that are remembered by their id, to be continued; 65 536. 0: none.
    pub resumable_sessions_max: usize,
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
            handshakes_per_address_per_second_max: 0,
            sessions_max: 1 << 20,
            handshake_message_max: 16 << 10,
            handshake_fragments_max: 64,
            reassembly_bytes_max: 32 << 10,
            transcript_bytes_max: 64 << 10,
            early_bytes_max: 1024,
            record_size_max: 1 << 14,
            psk_identity_max: 1024,
            resumable_sessions_max: 1 << 16,
            session_idle: None,
            unconfirmed_path_bytes: 1280,
        }
    }
}
