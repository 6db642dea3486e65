//! One credential: what proves a device, and which endpoint names it may then use.

use std::fmt;
use std::sync::Arc;

use super::{NamePattern, SecretKey};
use crate::identity::{PeerIdentity, RpkIdentity, X509Identity, hex};
use crate::{EndpointName, Reason};

/// What proves a device, and which endpoint names it may then use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// What the credential is called by.
    pub id: CredentialId,
    /// What proves a device.
    pub proof: Proof,
    /// The endpoint names that the device may use.
    pub endpoints: Vec<NamePattern>,
    /// The server name (SNI) that the credential is for; none for every one.
    ///
    /// With it, two tenants behind one port may have devices of the same identity.
    pub server_name: Option<String>,
    /// True for one that an interceptor has granted: it is in no store.
    pub(crate) granted: bool,
    /// True when nobody has used the key before, see [`Credential::never_used`].
    pub(crate) never_used: bool,
}

/// What proves a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// A pre-shared key.
    Psk {
        /// The identity; 1 to [`Credential::IDENTITY_MAX`] bytes.
        identity: Box<[u8]>,
        /// The key.
        key: SecretKey,
    },
    /// A raw public key.
    Rpk {
        /// The SHA-256 of its SubjectPublicKeyInfo.
        spki_sha256: [u8; 32],
    },
    /// A certificate of the trust store that fits a rule.
    X509(CertificateRule),
    /// An OSCORE context.
    Oscore(OscoreCredential),
}

/// What a certificate has to say; everything that is given has to fit, and nothing given fits
/// every certificate that the trust store stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateRule {
    /// The common name of the subject.
    pub common_name: Option<NamePattern>,
    /// One of the subject alternative names.
    pub alternative_name: Option<NamePattern>,
    /// The serial number, big-endian, without leading zeros.
    pub serial: Option<Vec<u8>>,
    /// The SHA-256 of the certificate.
    pub fingerprint: Option<[u8; 32]>,
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Option<[u8; 32]>,
}

/// An OSCORE context before its keys are derived (RFC 8613 §3.2), from the side of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OscoreCredential {
    /// Master Secret.
    pub master_secret: SecretKey,
    /// Master Salt; empty by default.
    pub master_salt: Vec<u8>,
    /// Our Sender ID, the device's Recipient ID (/21/x/2).
    pub sender_id: Vec<u8>,
    /// Our Recipient ID, the device's Sender ID (/21/x/1), the kid of its requests.
    pub recipient_id: Vec<u8>,
    /// ID Context (/21/x/6).
    pub id_context: Option<Vec<u8>>,
    /// The COSE number of the AEAD; 10 is AES-CCM-16-64-128.
    pub aead: i32,
    /// The COSE number of the HMAC of the HKDF; 5 is HMAC 256/256.
    pub hmac: i32,
}

impl Credential {
    /// The longest identity, in bytes (LwM2M Core 1.2.2 §E.1).
    pub const IDENTITY_MAX: usize = 128;

    /// Endpoint names and patterns of one credential.
    pub const ENDPOINTS_MAX: usize = 16;

    /// The longest Sender ID, Recipient ID, in bytes: what a nonce has room for (RFC 8613 §3.3).
    pub const OSCORE_ID_MAX: usize = 7;

    /// The longest ID Context and Master Salt, in bytes.
    pub const OSCORE_CONTEXT_MAX: usize = 64;

    /// A credential whose device uses its identity as its endpoint name.
    pub fn new(id: CredentialId, proof: Proof) -> Credential {
        Credential {
            id,
            proof,
            endpoints: vec![NamePattern::identity()],
            server_name: None,
            granted: false,
            never_used: false,
        }
    }

    /// The same, and the word of who adds it that nobody has ever protected a message with its OSCORE
    /// context, on this server or another.
    ///
    /// A server that it is added to then takes the first request of its device as it is. Without this
    /// word the first request has to be proven fresh by an Echo (RFC 8613 Appendix B.1.2), unless the
    /// server has kept what it received, and the server's own numbers start where the clock says. It
    /// counts when the credential is added, and is not kept.
    pub fn never_used(mut self) -> Credential {
        self.never_used = true;
        self
    }

    /// The same, as granted by an interceptor.
    pub(crate) fn as_granted(&self) -> Credential {
        Credential {
            granted: true,
            ..self.clone()
        }
    }

    /// The same for these endpoint names.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = NamePattern>) -> Credential {
        self.endpoints = endpoints.into_iter().collect();
        self
    }

    /// `psk`, `rpk`, `x509` or `oscore`.
    pub fn mode(&self) -> &'static str {
        match &self.proof {
            Proof::Psk { .. } => "psk",
            Proof::Rpk { .. } => "rpk",
            Proof::X509(_) => "x509",
            Proof::Oscore(_) => "oscore",
        }
    }

    /// The identity of a session that this credential has proven; none when the credential is not
    /// that of the peer.
    ///
    /// `presented` is what the peer says, with the server name of its ClientHello, or the kid and
    /// kid context of its message. What the credential does not go by is left out, so that the same
    /// device has the same identity in every session.
    pub fn identify(&self, presented: &PeerIdentity) -> Option<PeerIdentity> {
        match (&self.proof, presented) {
            (Proof::Psk { identity, .. }, PeerIdentity::Psk(psk)) => {
                let named = self.server_name.is_none()
                    || self.server_name.as_deref() == psk.server_name.as_deref();
                (*identity == psk.identity && named)
                    .then(|| PeerIdentity::psk(identity, self.server_name.as_deref()))
            }
            (Proof::Rpk { spki_sha256 }, PeerIdentity::Rpk(rpk)) => {
                (*spki_sha256 == rpk.sha256).then(|| presented.clone())
            }
            (Proof::X509(rule), PeerIdentity::X509(x509)) => {
                rule.fits(x509).then(|| presented.clone())
            }
            (Proof::Oscore(oscore), PeerIdentity::Oscore(peer)) => {
                let context = oscore.id_context.as_deref();
                let fits = oscore.recipient_id == *peer.sender_id
                    && (peer.id_context.is_none() || peer.id_context.as_deref() == context);
                fits.then(|| PeerIdentity::oscore(&oscore.recipient_id, context))
            }
            _ => None,
        }
    }

    /// True when a peer of this identity, proven by this credential, may use an endpoint name.
    pub fn may_use(&self, endpoint: &EndpointName, identity: &PeerIdentity) -> bool {
        let fits = |pattern: &NamePattern| pattern.matches(endpoint.as_str(), identity);
        self.endpoints.iter().any(fits)
    }

    /// True when some peer that this credential proves may use an endpoint name.
    pub fn covers(&self, endpoint: &EndpointName) -> bool {
        match self.own_identity() {
            Some(identity) => self.may_use(endpoint, &identity),
            None => {
                let fits = |pattern: &NamePattern| pattern.may_match(endpoint.as_str());
                self.endpoints.iter().any(fits)
            }
        }
    }

    /// The endpoint name of a peer that gives none; none when there are several to choose from.
    ///
    /// Of a certificate that is the common name, when the credential leaves the choice.
    pub fn endpoint_name(&self, identity: &PeerIdentity) -> Option<EndpointName> {
        let first = |pattern: &NamePattern| pattern.names(identity).into_iter().next();
        let mut names = self.endpoints.iter().filter_map(first);
        let name = names.next()?;
        let only = !self.endpoints.iter().any(NamePattern::is_open) && names.all(|n| n == name);
        only.then(|| EndpointName::new(&name)).flatten()
    }

    /// Says what is wrong with the credential, if anything.
    ///
    /// # Errors
    /// A part that is too long, too short, missing, or not understood.
    pub fn check(&self) -> Result<(), CredentialError> {
        let error = |field, message: String| Err(CredentialError { field, message });
        match &self.proof {
            Proof::Psk { identity, .. } => {
                if !(1..=Credential::IDENTITY_MAX).contains(&identity.len()) {
                    let max = Credential::IDENTITY_MAX;
                    return error("identity", format!("use 1 to {max} bytes"));
                }
            }
            Proof::Rpk { .. } => {}
            Proof::X509(rule) => rule.check()?,
            Proof::Oscore(oscore) => oscore.check()?,
        }
        if !(1..=Credential::ENDPOINTS_MAX).contains(&self.endpoints.len()) {
            let max = Credential::ENDPOINTS_MAX;
            return error("endpoints", format!("name 1 to {max} of them"));
        }
        let identity = self.own_identity();
        for endpoint in &self.endpoints {
            let nobody = identity
                .as_ref()
                .is_some_and(|identity| !endpoint.is_open() && endpoint.names(identity).is_empty());
            if nobody {
                let message =
                    format!("{endpoint} stands for no name: the identity has no such part");
                return error("endpoints", message);
            }
        }
        match &self.server_name {
            Some(name) if name.is_empty() || name.len() > 255 => {
                error("server_name", "use 1 to 255 bytes".to_owned())
            }
            Some(_) if !matches!(self.proof, Proof::Psk { .. }) => error(
                "server_name",
                format!("only psk goes by it: {} is unique without", self.mode()),
            ),
            _ => Ok(()),
        }
    }

    /// What an operator should know of a credential that is taken.
    pub fn warnings(&self) -> Vec<Reason> {
        let mut warnings = Vec::new();
        if let Proof::Psk { key, .. } = &self.proof
            && key.expose().len() < SecretKey::STRONG
        {
            warnings.push(
                Reason::new("short-key", "the key has fewer than 16 bytes")
                    .hint("generate one: `lwm2m-server credentials generate ENDPOINT`"),
            );
        }
        let shared = !matches!(self.proof, Proof::X509(_))
            && self.endpoints.iter().any(NamePattern::is_open);
        if shared {
            warnings.push(
                Reason::new("shared-key", "one key stands for many endpoint names")
                    .hint("give each device a key of its own"),
            );
        }
        warnings
    }

    /// The identity that the credential proves, where it is only one.
    pub(crate) fn own_identity(&self) -> Option<PeerIdentity> {
        match &self.proof {
            Proof::Psk { identity, .. } => {
                Some(PeerIdentity::psk(identity, self.server_name.as_deref()))
            }
            Proof::Rpk { spki_sha256 } => Some(PeerIdentity::Rpk(Arc::new(RpkIdentity {
                spki: Box::default(),
                sha256: *spki_sha256,
            }))),
            Proof::Oscore(oscore) => Some(PeerIdentity::oscore(
                &oscore.recipient_id,
                oscore.id_context.as_deref(),
            )),
            Proof::X509(_) => None,
        }
    }
}

impl CertificateRule {
    /// True when a certificate fits.
    pub fn fits(&self, certificate: &X509Identity) -> bool {
        let name = |pattern: &NamePattern, name: &String| pattern.may_match(name);
        let common_name = self.common_name.as_ref().is_none_or(|pattern| {
            let of_subject = certificate.common_name.as_ref();
            of_subject.is_some_and(|of_subject| name(pattern, of_subject))
        });
        let alternative_name = self.alternative_name.as_ref().is_none_or(|pattern| {
            let names = &certificate.alternative_names;
            names.iter().any(|of_subject| name(pattern, of_subject))
        });
        let serial = self.serial.as_ref();
        let fingerprint = self.fingerprint.as_ref();
        let spki = self.spki_sha256.as_ref();
        common_name
            && alternative_name
            && serial.is_none_or(|serial| *serial == certificate.serial)
            && fingerprint.is_none_or(|hash| *hash == certificate.fingerprint)
            && spki.is_none_or(|hash| *hash == certificate.spki_sha256)
    }

    fn check(&self) -> Result<(), CredentialError> {
        /// The longest serial number of a certificate, in bytes (RFC 5280 §4.1.2.2).
        const SERIAL_MAX: usize = 20;
        let error = |field, message: String| Err(CredentialError { field, message });
        for (field, pattern) in [
            ("common_name", &self.common_name),
            ("alternative_name", &self.alternative_name),
        ] {
            if pattern.as_ref().is_some_and(NamePattern::has_fields) {
                let message = "a rule compares with the certificate: it has no {…} of its own";
                return error(field, message.to_owned());
            }
        }
        match &self.serial {
            Some(serial) if !(1..=SERIAL_MAX).contains(&serial.len()) => {
                error("serial", format!("use 1 to {SERIAL_MAX} bytes"))
            }
            _ => Ok(()),
        }
    }
}

impl OscoreCredential {
    fn check(&self) -> Result<(), CredentialError> {
        let error = |field, message: String| Err(CredentialError { field, message });
        for (field, id) in [
            ("sender_id", &self.sender_id),
            ("recipient_id", &self.recipient_id),
        ] {
            if id.len() > Credential::OSCORE_ID_MAX {
                let max = Credential::OSCORE_ID_MAX;
                return error(field, format!("use at most {max} bytes"));
            }
        }
        if self.sender_id == self.recipient_id {
            let message = "the two ids have to differ, as they tell the two keys apart";
            return error("recipient_id", message.to_owned());
        }
        let context = self.id_context.as_deref().unwrap_or_default();
        for (field, bytes) in [("master_salt", &*self.master_salt), ("id_context", context)] {
            if bytes.len() > Credential::OSCORE_CONTEXT_MAX {
                let max = Credential::OSCORE_CONTEXT_MAX;
                return error(field, format!("use at most {max} bytes"));
            }
        }
        match (self.aead, self.hmac) {
            (10, 5) => Ok(()),
            (10, _) => error("hmac", "only 5 (HMAC 256/256) is known".to_owned()),
            _ => error("aead", "only 10 (AES-CCM-16-64-128) is known".to_owned()),
        }
    }
}

/// What a credential is called by: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(Arc<str>);

impl CredentialId {
    /// The longest id, in bytes.
    pub const MAX: usize = 64;

    /// Takes an id; none when it is empty, too long, or has other characters.
    pub fn new(id: &str) -> Option<CredentialId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        let fits = (1..=CredentialId::MAX).contains(&id.len()) && id.bytes().all(plain);
        fits.then(|| CredentialId(id.into()))
    }

    /// An id that nobody has.
    pub fn random() -> CredentialId {
        CredentialId(hex(&rand::random::<[u8; 12]>()).into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct CredentialError {
    /// The field, as files and the HTTP API call it.
    pub field: &'static str,
    /// What is wrong with it; never holds a key.
    pub message: String,
}

#[cfg(test)]
mod tests;
