//! The certificates that are believed without proof.

use std::collections::HashSet;

use rustls_pki_types::TrustAnchor;

use super::chain::certificates_of_file;
use super::{Certificate, CertificateError, CertificateFault, RevocationLists};

/// Authorities, and single certificates that are trusted as they are.
///
/// A certificate of the store that is no CA is believed when a peer shows exactly it, and never
/// certifies another: a device whose certificate was pinned is no authority over its neighbours.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    certificates: Vec<Certificate>,
    fingerprints: HashSet<[u8; 32]>,
    authorities: Vec<Certificate>,
    anchors: Vec<TrustAnchor<'static>>,
    revocations: RevocationLists,
}

impl TrustStore {
    /// A store that trusts nobody.
    pub fn new() -> TrustStore {
        TrustStore::default()
    }

    /// Reads the certificates of a file: PEM, any number of them, or one as DER.
    ///
    /// # Errors
    /// [`CertificateError`] names the certificate that cannot be read, by its place in the file.
    pub fn parse(bytes: &[u8]) -> Result<TrustStore, CertificateError> {
        let mut store = TrustStore::new();
        for (position, certificate) in certificates_of_file(bytes)?.into_iter().enumerate() {
            let subject = certificate.subject();
            let added = store.add(certificate);
            added.map_err(|fault| fault.at(position, subject))?;
        }
        Ok(store)
    }

    /// Trusts one more certificate. What is there already stays as it is.
    ///
    /// # Errors
    /// [`CertificateFault::Malformed`] for an authority that no path can be built on.
    pub fn add(&mut self, certificate: Certificate) -> Result<(), CertificateFault> {
        if self.has(&certificate) {
            return Ok(());
        }
        if certificate.is_authority() {
            let anchor = webpki::anchor_from_trusted_cert(&certificate.as_pki())
                .map_err(|_| CertificateFault::Malformed("it cannot stand as an authority"))?
                .to_owned();
            self.anchors.push(anchor);
            self.authorities.push(certificate.clone());
        }
        self.fingerprints.insert(certificate.fingerprint());
        self.certificates.push(certificate);
        Ok(())
    }

    /// Trusts all that another store trusts.
    pub fn extend(&mut self, other: TrustStore) {
        for certificate in other.certificates {
            // It stood in the other store, so it can stand here.
            let _ = self.add(certificate);
        }
        self.revocations.extend(other.revocations);
    }

    /// Believes no certificate any more that one of these lists has, wherever in a chain. One that
    /// is itself in the store is believed all the same: remove it.
    pub fn revoke(&mut self, lists: RevocationLists) {
        self.revocations.extend(lists);
    }

    /// What has been taken back.
    pub fn revocations(&self) -> &RevocationLists {
        &self.revocations
    }

    /// True when the lists have taken back a certificate: that of this issuer, whose name is in DER,
    /// with this serial number and SHA-256. One that is itself in the store never is.
    ///
    /// Only the certificate itself is looked for, not the intermediate ones above it.
    pub fn has_revoked(&self, issuer_name: &[u8], serial: &[u8], fingerprint: &[u8; 32]) -> bool {
        !self.revocations.is_empty()
            && !self.fingerprints.contains(fingerprint)
            && self.revocations.have_number(issuer_name, serial)
    }

    /// True when exactly this certificate is in the store.
    pub fn has(&self, certificate: &Certificate) -> bool {
        self.fingerprints.contains(&certificate.fingerprint())
    }

    /// All certificates, in the order in which they came.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Those that may certify others.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// True when nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}
