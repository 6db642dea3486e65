//! X.509 certificates: what a peer shows, whom it shows to be, and why it is not believed.
//!
//! `rustls-webpki` decides whether a path holds (RFC 5280). This module reads the identity, holds
//! the chain to its limits, adds what LwM2M asks for beyond a path, and finds out which certificate
//! of the chain is at fault, since "bad certificate" helps nobody mend a device.

mod chain;
mod diagnosis;
mod error;
mod identity;
mod name;
mod revocation;
mod selection;
mod server;
mod trust;
mod verify;

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, KeyUsage};
use x509_parser::prelude::FromDer;

pub use chain::{CertificateChain, ChainLimits};
pub use error::{CertificateError, CertificateFault, Culprit};
pub use identity::X509Identity;
pub use revocation::{RevocationListError, RevocationLists};
pub use selection::{Selection, ServerCertificate, ServerCertificateError, ServerCertificates};
pub use server::{CertificateUsage, MatchingType, ServerReference, verify_server};
pub use trust::TrustStore;
pub use verify::verify_client;

use crate::key::{PublicKey, sha256};

/// One certificate, as DER that parses as X.509 v1 or v3.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate(Arc<[u8]>);

impl Certificate {
    /// Reads one certificate.
    ///
    /// # Errors
    /// [`CertificateFault::Malformed`] when this is no certificate, or more than one.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertificateFault> {
        match X509Certificate::from_der(der) {
            Ok(([], _)) => Ok(Certificate(der.into())),
            Ok(_) => Err(CertificateFault::Malformed("bytes follow the certificate")),
            Err(_) => Err(CertificateFault::Malformed("it is no X.509 certificate")),
        }
    }

    /// The bytes.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the bytes.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// The subject for people, as in `CN=water meter 7, O=Example`; at most 256 bytes.
    pub fn subject(&self) -> String {
        name::printable(&self.parsed().subject().to_string())
    }

    /// The issuer for people; at most 256 bytes.
    pub fn issuer(&self) -> String {
        name::printable(&self.parsed().issuer().to_string())
    }

    /// The last second at which it is valid, in seconds since 1970.
    pub fn not_after_unix_s(&self) -> i64 {
        self.parsed().validity().not_after.timestamp()
    }

    /// The first second at which it is valid, in seconds since 1970.
    pub fn not_before_unix_s(&self) -> i64 {
        self.parsed().validity().not_before.timestamp()
    }

    /// The key that it certifies.
    ///
    /// # Errors
    /// [`CertificateFault::KeyNotP256`] when it is of another kind.
    pub fn public_key(&self) -> Result<PublicKey, CertificateFault> {
        let parsed = self.parsed();
        PublicKey::from_spki(parsed.public_key().raw).map_err(|_| CertificateFault::KeyNotP256)
    }

    fn parsed(&self) -> X509Certificate<'_> {
        let (_, parsed) =
            X509Certificate::from_der(&self.0).expect("invariant: parsed when it was made");
        parsed
    }

    fn as_pki(&self) -> CertificateDer<'_> {
        CertificateDer::from(self.as_der())
    }

    /// True when it may certify others (RFC 5280 §4.2.1.9 and §4.2.1.3). A version 1 certificate
    /// has no word for it; one that certifies itself can be nothing else.
    fn is_authority(&self) -> bool {
        let parsed = self.parsed();
        if parsed.version() == x509_parser::x509::X509Version::V1 {
            return parsed.subject() == parsed.issuer();
        }
        parsed.is_ca() && key_usage(&parsed).is_none_or(|usage| usage.key_cert_sign())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.subject()).finish()
    }
}

/// The keyUsage extension, when there is one that can be read.
fn key_usage(parsed: &X509Certificate<'_>) -> Option<KeyUsage> {
    let extension = parsed.key_usage().ok().flatten()?;
    Some(*extension.value)
}

/// The extendedKeyUsage extension, when there is one that can be read.
fn extended_key_usage<'a>(parsed: &'a X509Certificate<'_>) -> Option<&'a ExtendedKeyUsage<'a>> {
    let extension = parsed.extended_key_usage().ok().flatten()?;
    Some(extension.value)
}
