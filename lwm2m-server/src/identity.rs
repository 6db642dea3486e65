//! Who a peer is, as its security layer has proven it.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::EndpointName;
use crate::credentials::Credential;

/// Who the transport says the peer is; never a key.
///
/// Cheap to clone: a session, its registration and what is asked about them share one copy. Two
/// identities that are equal are the same peer. [`Display`](fmt::Display) is for people: text
/// where it is text, else hexadecimal, at most [`PeerIdentity::SHOWN_MAX`] characters of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PeerIdentity {
    /// NoSec: only an address.
    #[default]
    Anonymous,
    /// A pre-shared key.
    Psk(Arc<PskIdentity>),
    /// A raw public key (RFC 7250).
    Rpk(Arc<RpkIdentity>),
    /// A certificate whose chain has been validated.
    X509(Arc<X509Identity>),
    /// An OSCORE context (RFC 8613).
    Oscore(Arc<OscoreIdentity>),
}

/// Which pre-shared key a peer has proven to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PskIdentity {
    /// The identity: any bytes, mostly UTF-8.
    pub identity: Box<[u8]>,
    /// The server name of the ClientHello, where identities are unique for each name only.
    pub server_name: Option<Box<str>>,
}

/// Which raw public key a peer has proven to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RpkIdentity {
    /// The key as SubjectPublicKeyInfo in DER.
    pub spki: Box<[u8]>,
    /// The SHA-256 of it.
    pub sha256: [u8; 32],
}

/// What the validated certificate of a peer says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct X509Identity {
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// The subject alternative names of the kinds URI and DNS, as text.
    pub alternative_names: Vec<String>,
    /// The name of the issuer, in DER.
    pub issuer_name: Vec<u8>,
    /// The serial number, big-endian, without the zero that only says it is positive.
    pub serial: Vec<u8>,
    /// The SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// Which OSCORE context a peer has proven to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OscoreIdentity {
    /// The Sender ID of the peer, which is the kid of its requests and our Recipient ID.
    pub sender_id: Box<[u8]>,
    /// The ID Context, which is the kid context of its requests.
    pub id_context: Option<Box<[u8]>>,
}

/// A session's identity, and what proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who the peer is.
    pub identity: PeerIdentity,
    /// The credentials: of a pre-shared key, the one whose key it was; of a certificate, every one
    /// whose rule it fits. When they are removed, the session ends.
    pub credentials: Vec<Arc<Credential>>,
}

impl Authenticated {
    /// What a handshake makes of what the peer presents and the credential whose key it holds; none
    /// when that is another peer's.
    pub fn by(credential: &Arc<Credential>, presented: &PeerIdentity) -> Option<Authenticated> {
        let identity = credential.identify(presented)?;
        let credentials = vec![Arc::clone(credential)];
        Some(Authenticated {
            identity,
            credentials,
        })
    }

    /// True when one of the credentials lets the peer use an endpoint name.
    pub fn may_use(&self, endpoint: &EndpointName) -> bool {
        let allows = |c: &Arc<Credential>| c.may_use(endpoint, &self.identity);
        self.credentials.iter().any(allows)
    }
}

impl PeerIdentity {
    /// The most characters of a name or of bytes that are shown.
    pub const SHOWN_MAX: usize = 64;

    /// The holder of a pre-shared key; `server_name` is that of the ClientHello, when it has one.
    pub fn psk(identity: &[u8], server_name: Option<&str>) -> PeerIdentity {
        PeerIdentity::Psk(Arc::new(PskIdentity {
            identity: identity.into(),
            server_name: server_name.map(Box::from),
        }))
    }

    /// The holder of a raw public key, a SubjectPublicKeyInfo in DER.
    pub fn rpk(spki: &[u8]) -> PeerIdentity {
        PeerIdentity::Rpk(Arc::new(RpkIdentity {
            spki: spki.into(),
            sha256: sha256(spki),
        }))
    }

    /// The holder of a certificate.
    pub fn x509(certificate: X509Identity) -> PeerIdentity {
        PeerIdentity::X509(Arc::new(certificate))
    }

    /// The holder of an OSCORE context; `sender_id` is the peer's.
    pub fn oscore(sender_id: &[u8], id_context: Option<&[u8]>) -> PeerIdentity {
        PeerIdentity::Oscore(Arc::new(OscoreIdentity {
            sender_id: sender_id.into(),
            id_context: id_context.map(Box::from),
        }))
    }

    /// True when nothing is proven.
    pub fn is_anonymous(&self) -> bool {
        *self == PeerIdentity::Anonymous
    }

    /// The name for people: text where it is text, else hexadecimal, at most
    /// [`PeerIdentity::SHOWN_MAX`] characters of each part; none when nothing is proven.
    pub fn name(&self) -> Option<String> {
        Some(match self {
            PeerIdentity::Anonymous => return None,
            PeerIdentity::Psk(psk) => match &psk.server_name {
                Some(server) => format!("{} at {}", Shown(&psk.identity), Shown(server.as_bytes())),
                None => Shown(&psk.identity).to_string(),
            },
            PeerIdentity::Rpk(rpk) => format!("sha256:{}", Shown(&rpk.sha256)),
            PeerIdentity::X509(x509) => match &x509.common_name {
                Some(name) => format!("CN={}", Shown(name.as_bytes())),
                None => format!("sha256:{}", Shown(&x509.fingerprint)),
            },
            PeerIdentity::Oscore(oscore) => match &oscore.id_context {
                Some(context) => format!("{} in {}", Shown(&oscore.sender_id), Shown(context)),
                None => Shown(&oscore.sender_id).to_string(),
            },
        })
    }

    /// `nosec`, `psk`, `rpk`, `x509` or `oscore`.
    pub fn mode(&self) -> &'static str {
        match self {
            PeerIdentity::Anonymous => "nosec",
            PeerIdentity::Psk(_) => "psk",
            PeerIdentity::Rpk(_) => "rpk",
            PeerIdentity::X509(_) => "x509",
            PeerIdentity::Oscore(_) => "oscore",
        }
    }
}

impl fmt::Display for PeerIdentity {
    /// Writes the mode and the name, as in `psk meter-7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.mode()),
            None => f.write_str(self.mode()),
        }
    }
}

/// Bytes for people: text where they are text without control characters, else hexadecimal.
pub(crate) struct Shown<'b>(pub(crate) &'b [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = bytes_as_text(self.0);
        if let Some((end, _)) = shown.char_indices().nth(PeerIdentity::SHOWN_MAX) {
            let mut cut = shown[..end].to_owned();
            cut.push('…');
            shown = Cow::Owned(cut);
        }
        f.write_str(&shown)
    }
}

/// The bytes as text where they are text without control characters, else hexadecimal.
pub(crate) fn bytes_as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => Cow::Borrowed(text),
        _ => Cow::Owned(hex(bytes)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_text_or_hexadecimal_and_has_an_end() {
        let shown = |identity: &[u8]| PeerIdentity::psk(identity, None).to_string();
        assert_eq!(shown("urn:dev:é".as_bytes()), "psk urn:dev:é");
        assert_eq!(shown(b"\xff\x00"), "psk ff00");
        assert_eq!(shown(b"a\nb"), "psk 610a62");
        assert_eq!(shown(&[b'x'; 64]), format!("psk {}", "x".repeat(64)));
        assert_eq!(shown(&[b'x'; 65]), format!("psk {}…", "x".repeat(64)));
        assert_eq!(PeerIdentity::oscore(b"", None).to_string(), "oscore ");
    }

    #[test]
    fn a_raw_public_key_is_known_by_its_hash() {
        let PeerIdentity::Rpk(rpk) = PeerIdentity::rpk(b"abc") else {
            panic!("a raw public key");
        };
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            hex(&rpk.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_identity_costs_a_registration_little() {
        assert!(size_of::<PeerIdentity>() <= 16);
    }
}
