//! Certificates that their issuers have taken back (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use webpki::{
    CertRevocationList, OwnedCertRevocationList, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::Certificate;
use crate::key::{is_pem, sha256};

/// Lists of certificates that their issuers have taken back.
///
/// A list counts for the certificates of its issuer, which has signed it; where an issuer has no list
/// here, none of its certificates is taken for revoked. A list counts beyond its next update, too:
/// what was taken back stays so.
#[derive(Clone, Default)]
pub struct RevocationLists {
    lists: Vec<Arc<CertRevocationList<'static>>>,
    /// The SHA-256 of each.
    hashes: Vec<[u8; 32]>,
}

/// Why lists cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revocation list {}: {message}", position + 1)]
pub struct RevocationListError {
    /// Which list of the file, from 0.
    pub position: usize,
    /// What is wrong with it.
    pub message: String,
}

impl RevocationLists {
    /// Reads the lists of a file: PEM (`X509 CRL`), any number of them, or one as DER.
    ///
    /// # Errors
    /// What is no list, or a list of a kind that is not supported: delta and indirect lists, and
    /// those before version 2.
    pub fn parse(bytes: &[u8]) -> Result<RevocationLists, RevocationListError> {
        let error = |position, message: String| RevocationListError { position, message };
        let mut lists = RevocationLists::default();
        if !is_pem(bytes) {
            lists.add(bytes).map_err(|message| error(0, message))?;
            return Ok(lists);
        }
        let sections = CertificateRevocationListDer::pem_slice_iter(bytes).enumerate();
        for (position, section) in sections {
            let der = section.map_err(|_| error(position, "it is no PEM".to_owned()))?;
            let added = lists.add(&der);
            added.map_err(|message| error(position, message))?;
        }
        match lists.is_empty() {
            true => Err(error(0, "the file has no X509 CRL".to_owned())),
            false => Ok(lists),
        }
    }

    /// Counts the lists of another one, too.
    pub fn extend(&mut self, other: RevocationLists) {
        self.lists.extend(other.lists);
        self.hashes.extend(other.hashes);
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    fn add(&mut self, der: &[u8]) -> Result<(), String> {
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string())?;
        self.lists.push(Arc::new(CertRevocationList::Owned(list)));
        self.hashes.push(sha256(der));
        Ok(())
    }

    /// Whether a list of the issuer's name has a certificate.
    pub(super) fn have(&self, certificate: &Certificate) -> bool {
        let parsed = certificate.parsed();
        self.have_number(parsed.issuer().as_raw(), parsed.raw_serial())
    }

    /// Whether a list of an issuer, whose name is in DER, has a serial number: big-endian, with or
    /// without the zero that only says it is positive.
    pub(super) fn have_number(&self, issuer: &[u8], serial: &[u8]) -> bool {
        let signed = [&[0], serial].concat();
        let of_issuer = |list: &&Arc<_>| issuer.ends_with(CertRevocationList::issuer(list));
        let has = |list: &Arc<CertRevocationList<'_>>, serial: &[u8]| {
            matches!(list.find_serial(serial), Ok(Some(_)))
        };
        let mut lists = self.lists.iter().filter(of_issuer);
        lists.any(|list| has(list, serial) || has(list, &signed))
    }

    /// The lists as path building takes them.
    pub(super) fn borrowed(&self) -> Vec<&CertRevocationList<'static>> {
        self.lists.iter().map(Arc::as_ref).collect()
    }
}

/// What path building goes by; none without a list.
pub(super) fn options<'l>(
    lists: &'l [&'l CertRevocationList<'l>],
) -> Option<RevocationOptions<'l>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    let options = options.with_status_policy(UnknownStatusPolicy::Allow);
    Some(options.build())
}

/// The same lists in the same order.
impl PartialEq for RevocationLists {
    fn eq(&self, other: &RevocationLists) -> bool {
        self.hashes == other.hashes
    }
}

impl Eq for RevocationLists {}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLists")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
