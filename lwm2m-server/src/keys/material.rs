//! What the server proves itself with, and whom it believes.

use std::path::PathBuf;

use lwm2m_dtls::{Certificate, PrivateKey, ServerCertificates, TrustStore};

use crate::identity::{PeerIdentity, X509Identity};

/// A warning comes when a certificate has less than this left, in seconds; 30 days.
const EXPIRES_SOON_S: i64 = 30 * 86_400;

/// Keys and certificates, ready for use.
#[derive(Debug, Clone, Default)]
pub struct KeyMaterial {
    /// The server's certificates with their keys; none when it has no certificate.
    pub certificates: Option<ServerCertificates>,
    /// The key of the server as a raw public key (RFC 7250); none when it has no key.
    pub raw_public_key: Option<PrivateKey>,
    /// Who may certify devices.
    pub trust_store: TrustStore,
    /// Files with keys that everybody on this machine can read.
    pub readable_by_others: Vec<PathBuf>,
}

/// Something that works now and should be looked after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWarning {
    /// A certificate is no longer valid.
    #[error("the certificate {subject} has expired; {}", what(*is_ours))]
    Expired {
        /// Its subject.
        subject: String,
        /// True for one of the server, false for one of the trust store.
        is_ours: bool,
    },
    /// A certificate of the server is not yet valid.
    #[error("the certificate {subject} is not yet valid; check the clock")]
    NotYetValid {
        /// Its subject.
        subject: String,
    },
    /// A certificate will soon not be valid any more.
    #[error("the certificate {subject} expires in {days} days")]
    ExpiresSoon {
        /// Its subject.
        subject: String,
        /// Whole days that are left.
        days: i64,
    },
    /// Everybody on this machine can read a private key.
    #[error("everybody on this machine can read the private key {}; chmod 600", path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
}

impl KeyMaterial {
    /// True when the server cannot prove itself by a key of its own: pre-shared keys only.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_none() && self.raw_public_key.is_none()
    }

    /// True for a peer whose certificate was taken back.
    pub fn has_revoked(&self, identity: &PeerIdentity) -> bool {
        let PeerIdentity::X509(certificate) = identity else {
            return false;
        };
        let X509Identity {
            issuer_name,
            serial,
            fingerprint,
            ..
        } = &**certificate;
        (self.trust_store).has_revoked(issuer_name, serial, fingerprint)
    }

    /// True when a handshake cannot tell the two apart.
    pub(super) fn is_same_as(&self, other: &KeyMaterial) -> bool {
        let chains = |material: &KeyMaterial| {
            let all = material.certificates.iter().flat_map(|ours| ours.all());
            all.map(|one| one.chain().clone()).collect::<Vec<_>>()
        };
        let raw = |material: &KeyMaterial| {
            let key = material.raw_public_key.as_ref();
            key.map(|key| key.public_key().clone())
        };
        chains(self) == chains(other)
            && raw(self) == raw(other)
            && self.trust_store.certificates() == other.trust_store.certificates()
            && self.trust_store.revocations() == other.trust_store.revocations()
    }

    /// What should be looked after at a time, in seconds since 1970.
    pub fn warnings(&self, now_unix_s: u64) -> Vec<KeyWarning> {
        let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
        let paths = self.readable_by_others.iter().cloned();
        let paths = paths.map(|path| KeyWarning::ReadableByOthers { path });
        let ours = self.certificates.iter().flat_map(|ours| ours.all());
        let ours = ours.flat_map(|one| one.chain().certificates());
        let ours = ours.filter_map(|certificate| validity(certificate, now, true));
        let trusted = self.trust_store.certificates().iter();
        let trusted = trusted.filter_map(|certificate| validity(certificate, now, false));
        paths.chain(ours).chain(trusted).collect()
    }
}

fn validity(certificate: &Certificate, now: i64, is_ours: bool) -> Option<KeyWarning> {
    let left_s = certificate.not_after_unix_s().saturating_sub(now);
    let subject = certificate.subject();
    if left_s < 0 {
        Some(KeyWarning::Expired { subject, is_ours })
    } else if is_ours && certificate.not_before_unix_s() > now {
        Some(KeyWarning::NotYetValid { subject })
    } else if left_s < EXPIRES_SOON_S {
        let days = left_s / 86_400;
        Some(KeyWarning::ExpiresSoon { subject, days })
    } else {
        None
    }
}

fn what(is_ours: bool) -> &'static str {
    match is_ours {
        true => "devices will refuse the server",
        false => "a CA is believed all the same, a single device is not",
    }
}
