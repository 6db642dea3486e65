//! Why a handshake fails and why a session ends, for programs and for people.

use std::fmt;

use crate::alert::Alert;
use crate::certificate::CertificateError;

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The peer speaks another version.
    #[error("the peer offers version {offered:#06x}, and DTLS 1.2 (0xfefd) is needed")]
    Version {
        /// As on the wire: 0xfeff is DTLS 1.0.
        offered: u16,
    },
    /// The suites of the two sides have nothing in common.
    #[error(
        "no common cipher suite: the peer has {}, we have {}",
        Codes(peer),
        Codes(ours)
    )]
    NoCommonSuite {
        /// Code points of the peer.
        peer: Vec<u16>,
        /// Our code points, those that our configuration and credentials allow.
        ours: Vec<u16>,
    },
    /// The suites agree, but not what they need.
    #[error("no common {0}")]
    NoCommonParameter(&'static str),
    /// The client names application protocols (RFC 7301), and ours is not among them.
    #[error("the peer does not name our application protocol")]
    NoCommonProtocol,
    /// Our policy asks for RFC 7627 and the peer does not have it.
    #[error("the peer does not have the extended master secret (RFC 7627)")]
    NoExtendedMasterSecret,
    /// Nobody knows the identity.
    #[error("the psk identity {} is not known", identity.escape_ascii())]
    UnknownPskIdentity {
        /// As the peer sent it.
        identity: Box<[u8]>,
    },
    /// Nobody knows the identity, and the peer was told the same as for a wrong key.
    #[error("the psk identity {} is not known, which the peer was not told", identity.escape_ascii())]
    ConcealedPskIdentity {
        /// As the peer sent it.
        identity: Box<[u8]>,
    },
    /// The peer's Finished message cannot be decrypted: its key is another one.
    #[error("the peer holds another key for the psk identity {}", identity.escape_ascii())]
    WrongKey {
        /// As the peer sent it.
        identity: Box<[u8]>,
    },
    /// A Finished message, or a protected record before it, is not what it must be.
    #[error("the peer's Finished message does not verify")]
    BadFinished,
    /// A record of a stream is not authentic, which ends a session over TLS.
    #[error("a record of the peer is not authentic")]
    BadRecord,
    /// A certificate is missing or not believed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A raw public key is not P-256.
    #[error("the peer's raw public key is no P-256 key")]
    UnsupportedPublicKey,
    /// Nobody knows the raw public key.
    #[error("the raw public key with sha256 {} is not known", Hex(sha256))]
    UnknownPublicKey {
        /// SHA-256 of the SubjectPublicKeyInfo.
        sha256: [u8; 32],
    },
    /// The certificate is good, and nobody knows its holder.
    #[error("the holder of the certificate is not known")]
    UnknownCertificate,
    /// The server shows another raw public key than the one that was configured.
    #[error(
        "the server's raw public key has sha256 {}, which is not the one that was configured",
        Hex(sha256)
    )]
    WrongPublicKey {
        /// SHA-256 of the SubjectPublicKeyInfo.
        sha256: [u8; 32],
    },
    /// The peer does not hold the key of its certificate.
    #[error("the peer's signature does not match its certificate")]
    BadSignature,
    /// No certificate of ours has the name that the client asks for.
    #[error("there is no certificate for {name}")]
    UnrecognizedName {
        /// As the client sent it.
        name: Box<str>,
    },
    /// The application refused the peer.
    #[error("the peer is known and refused")]
    Refused,
    /// The application could not tell; nothing was said to the peer.
    #[error("the credential could not be looked up in time")]
    Overloaded,
    /// A message that does not belong here.
    #[error("{found} came where {expected} is due")]
    UnexpectedMessage {
        /// What came.
        found: &'static str,
        /// What was due.
        expected: &'static str,
    },
    /// A message that cannot be read.
    #[error("a malformed {0}")]
    Malformed(&'static str),
    /// A field that may not have this value.
    #[error("an illegal {0}")]
    IllegalParameter(&'static str),
    /// The server answers to an extension that was not offered.
    #[error("the server answers to an extension that was not offered")]
    UnofferedExtension,
    /// A message, or all of them together, exceed a limit.
    #[error("{what} of {found} bytes, and {max} are allowed")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// Bytes that it has.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The peer ended the handshake.
    #[error("the peer ended the handshake: {0}")]
    PeerAlert(Alert),
    /// The peer did not answer in time.
    #[error("no answer while waiting for {expected}")]
    Timeout {
        /// What was due.
        expected: &'static str,
    },
    /// We ended the handshake, or another one took its place.
    #[error("the handshake was given up")]
    GivenUp,
    /// The crypto library failed.
    #[error("{0} failed")]
    Crypto(&'static str),
}

impl Failure {
    /// A stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Version { .. } => "dtls-version",
            Failure::NoCommonSuite { .. } => "dtls-no-common-suite",
            Failure::NoCommonParameter(_) => "dtls-no-common-parameter",
            Failure::NoCommonProtocol => "tls-no-coap",
            Failure::NoExtendedMasterSecret => "dtls-no-extended-master-secret",
            Failure::UnknownPskIdentity { .. } | Failure::ConcealedPskIdentity { .. } => {
                "psk-identity-unknown"
            }
            Failure::WrongKey { .. } => "psk-wrong-key",
            Failure::BadFinished => "dtls-bad-finished",
            Failure::BadRecord => "tls-bad-record",
            Failure::Certificate(error) => error.fault.reason(),
            Failure::UnsupportedPublicKey => "rpk-unsupported",
            Failure::UnknownPublicKey { .. } => "rpk-unknown",
            Failure::UnknownCertificate => "certificate-unknown",
            Failure::WrongPublicKey { .. } => "rpk-not-configured",
            Failure::BadSignature => "dtls-bad-signature",
            Failure::UnrecognizedName { .. } => "server-name-unknown",
            Failure::Refused => "credential-refused",
            Failure::Overloaded => "overloaded",
            Failure::UnexpectedMessage { .. } => "dtls-unexpected-message",
            Failure::Malformed(_) => "dtls-malformed",
            Failure::IllegalParameter(_) => "dtls-illegal-parameter",
            Failure::UnofferedExtension => "dtls-unoffered-extension",
            Failure::TooLarge { .. } => "dtls-too-large",
            Failure::PeerAlert(_) => "dtls-peer-alert",
            Failure::Timeout { .. } => "dtls-timeout",
            Failure::GivenUp => "dtls-given-up",
            Failure::Crypto(_) => "internal",
        }
    }

    /// How to mend it, where we know.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Failure::Version { .. } => "build the device's DTLS stack with DTLS 1.2",
            Failure::NoCommonSuite { .. } => {
                "build the device with TLS_PSK_WITH_AES_128_CCM_8 (psk) or \
                 TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 (rpk, certificates), and give the server the \
                 credentials that the suites need"
            }
            Failure::NoCommonParameter(_) => {
                "the device needs secp256r1, ecdsa_secp256r1_sha256 and a kind of certificate that \
                 the server has"
            }
            Failure::NoCommonProtocol => {
                "CoAP over TLS is called \"coap\" in ALPN (RFC 8323 section 8.2)"
            }
            Failure::NoExtendedMasterSecret => {
                "allow sessions without the extended master secret, or build the device with it"
            }
            Failure::UnknownPskIdentity { .. } | Failure::ConcealedPskIdentity { .. } => {
                "add a credential with exactly this identity (/0/x/3 of the device)"
            }
            Failure::WrongKey { .. } => {
                "the key of the credential and /0/x/5 of the device differ; mind hexadecimal and \
                 text"
            }
            Failure::Certificate(error) => error.fault.hint(),
            Failure::UnsupportedPublicKey => "make the device's key with curve secp256r1",
            Failure::UnknownPublicKey { .. } => {
                "add a credential with this hash, or with the public key of the device (/0/x/3)"
            }
            Failure::UnknownCertificate => {
                "add a credential with a rule that this certificate meets"
            }
            Failure::WrongPublicKey { .. } => "write the server's public key of today into /0/x/4",
            Failure::UnrecognizedName { .. } => {
                "add a certificate for this name, or mend the server URI of the device (/0/x/0)"
            }
            Failure::PeerAlert(Alert::UNKNOWN_PSK_IDENTITY) => {
                "the other side does not know our psk identity"
            }
            Failure::PeerAlert(Alert::BAD_RECORD_MAC | Alert::DECRYPT_ERROR) => {
                "the keys of the two sides differ"
            }
            Failure::PeerAlert(Alert::UNKNOWN_CA | Alert::BAD_CERTIFICATE) => {
                "the other side does not trust our certificate: see /0/x/4 of the device"
            }
            Failure::Overloaded => {
                "the store of credentials does not answer, or is slower than the time that a \
                 handshake has"
            }
            Failure::Timeout { .. } => {
                "datagrams are lost, or a firewall lets only the first ones through"
            }
            _ => return None,
        })
    }

    /// What the peer is told; none says nothing.
    pub fn alert(&self) -> Option<Alert> {
        Some(match self {
            Failure::Version { .. } => Alert::PROTOCOL_VERSION,
            Failure::NoCommonSuite { .. }
            | Failure::NoCommonParameter(_)
            | Failure::NoExtendedMasterSecret => Alert::HANDSHAKE_FAILURE,
            Failure::NoCommonProtocol => Alert::NO_APPLICATION_PROTOCOL,
            Failure::UnknownPskIdentity { .. } => Alert::UNKNOWN_PSK_IDENTITY,
            Failure::WrongKey { .. }
            | Failure::ConcealedPskIdentity { .. }
            | Failure::BadRecord => Alert::BAD_RECORD_MAC,
            Failure::BadFinished | Failure::BadSignature => Alert::DECRYPT_ERROR,
            Failure::Certificate(error) => Alert(error.fault.alert()),
            Failure::UnsupportedPublicKey => Alert::UNSUPPORTED_CERTIFICATE,
            Failure::UnknownPublicKey { .. } | Failure::WrongPublicKey { .. } => {
                Alert::CERTIFICATE_UNKNOWN
            }
            Failure::UnknownCertificate => Alert::ACCESS_DENIED,
            Failure::UnrecognizedName { .. } => Alert::UNRECOGNIZED_NAME,
            Failure::Refused => Alert::ACCESS_DENIED,
            Failure::UnexpectedMessage { .. } => Alert::UNEXPECTED_MESSAGE,
            Failure::Malformed(_) => Alert::DECODE_ERROR,
            Failure::IllegalParameter(_) | Failure::TooLarge { .. } => Alert::ILLEGAL_PARAMETER,
            Failure::UnofferedExtension => Alert::UNSUPPORTED_EXTENSION,
            Failure::Crypto(_) => Alert::INTERNAL_ERROR,
            Failure::GivenUp => Alert::CLOSE_NOTIFY,
            Failure::Overloaded | Failure::PeerAlert(_) | Failure::Timeout { .. } => return None,
        })
    }
}

/// Code points, as in `c0a8 c0ae`.
struct Codes<'a>(&'a [u16]);

impl fmt::Display for Codes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("none");
        }
        for (index, code) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{code:04x}")?;
        }
        Ok(())
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Which limit kept a handshake from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overload {
    /// [`Limits::handshakes_per_address_per_second_max`](crate::Limits::handshakes_per_address_per_second_max)
    #[error("more than {max} handshakes in a second from one address")]
    HandshakesOfAddress {
        /// The limit.
        max: u32,
    },
    /// [`Limits::handshakes_max`](crate::Limits::handshakes_max)
    #[error("more than {max} handshakes in flight")]
    Handshakes {
        /// The limit.
        max: usize,
    },
    /// [`Limits::sessions_max`](crate::Limits::sessions_max)
    #[error("more than {max} sessions")]
    Sessions {
        /// The limit.
        max: usize,
    },
}

impl Overload {
    /// A stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Overload::HandshakesOfAddress { .. } => "dtls-handshakes-per-address",
            Overload::Handshakes { .. } => "dtls-handshakes",
            Overload::Sessions { .. } => "dtls-sessions",
        }
    }

    /// How to mend it.
    pub fn hint(&self) -> &'static str {
        match self {
            Overload::HandshakesOfAddress { .. } => {
                "raise handshakes_per_address_per_second_max where many devices share an address; \
                 otherwise somebody there begins handshakes for their own sake"
            }
            Overload::Handshakes { .. } => {
                "raise handshakes_max, or find out why handshakes are begun and not ended: a \
                 store of credentials that is slow, or somebody who floods the server"
            }
            Overload::Sessions { .. } => {
                "raise sessions_max, or let sessions that nobody uses end (session_idle)"
            }
        }
    }
}

/// Why a session ended that was up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer said close_notify.
    #[error("the peer closed the session")]
    PeerClosed,
    /// The peer sent a fatal alert, which was authentic.
    #[error("the peer ended the session: {0}")]
    PeerAlert(Alert),
    /// We closed it.
    #[error("the session was closed")]
    Closed,
    /// The same peer has a newer session.
    #[error("a newer session of the peer took its place")]
    Replaced,
    /// Nothing was sent or received for [`Limits::session_idle`](crate::Limits::session_idle).
    #[error("the session was idle for too long")]
    Idle,
}

impl DownReason {
    /// A stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            DownReason::PeerClosed => "peer-closed",
            DownReason::PeerAlert(_) => "peer-alert",
            DownReason::Closed => "closed",
            DownReason::Replaced => "replaced",
            DownReason::Idle => "idle",
        }
    }

    /// How to mend it, where there is something to mend.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            DownReason::PeerAlert(_) => Some(
                "the device could not go on with the session, and has to begin another one: its \
                 log says why",
            ),
            DownReason::Idle => Some(
                "the device begins another session when it has something to say; sessions that \
                 outlive the lifetime of registrations spare it that",
            ),
            DownReason::PeerClosed | DownReason::Closed | DownReason::Replaced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_suites_are_in_the_sentence() {
        let failure = Failure::NoCommonSuite {
            peer: vec![0xc02c, 0x00ff],
            ours: Vec::new(),
        };
        assert_eq!(
            failure.to_string(),
            "no common cipher suite: the peer has c02c 00ff, we have none"
        );
        assert_eq!(failure.alert(), Some(Alert::HANDSHAKE_FAILURE));
    }

    #[test]
    fn an_overload_is_never_told_as_a_fault_of_the_credential() {
        assert_eq!(Failure::Overloaded.alert(), None);
    }
}
