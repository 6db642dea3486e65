//! The certificates that a peer shows, its own first.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{Certificate, CertificateError, CertificateFault};
use crate::key::is_pem;

/// How much a peer may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainLimits {
    /// Certificates of a chain; 6.
    pub certificates_max: usize,
    /// Bytes of a chain, all certificates together; 16 KiB.
    pub chain_bytes_max: usize,
}

impl Default for ChainLimits {
    fn default() -> ChainLimits {
        ChainLimits {
            certificates_max: 6,
            chain_bytes_max: 16 * 1024,
        }
    }
}

/// A chain that is not empty: the peer's own certificate, then those that certify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateChain(Vec<Certificate>);

impl CertificateChain {
    /// A chain of certificates that are known to be small and few, as our own.
    ///
    /// # Errors
    /// [`CertificateFault::Missing`] when there is none.
    pub fn new(certificates: Vec<Certificate>) -> Result<CertificateChain, CertificateError> {
        if certificates.is_empty() {
            return Err(CertificateFault::Missing.of_chain());
        }
        Ok(CertificateChain(certificates))
    }

    /// Reads the certificates of a file: PEM, in order, or one as DER. Keys beside them are passed
    /// over.
    ///
    /// # Errors
    /// [`CertificateError`] names the certificate that cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<CertificateChain, CertificateError> {
        CertificateChain::new(certificates_of_file(bytes)?)
    }

    /// Reads the body of a Certificate message (RFC 5246 §7.4.2): a list of certificates, each
    /// behind its length of 24 bits, behind the length of all. None when the list is empty.
    ///
    /// # Errors
    /// [`CertificateError`] when a length does not fit, a limit is passed or a certificate cannot
    /// be read.
    pub fn decode(
        body: &[u8],
        limits: ChainLimits,
    ) -> Result<Option<CertificateChain>, CertificateError> {
        let lengths = || CertificateFault::Malformed("its length does not fit").of_chain();
        let (mut list, rest) = length_prefixed(body).ok_or_else(lengths)?;
        if !rest.is_empty() {
            return Err(lengths());
        }
        if list.len() > limits.chain_bytes_max {
            let (bytes, max) = (list.len(), limits.chain_bytes_max);
            return Err(CertificateFault::TooLong { bytes, max }.of_chain());
        }
        let mut certificates = Vec::new();
        while !list.is_empty() {
            if certificates.len() == limits.certificates_max {
                let (count, max) = (certificates.len() + 1, limits.certificates_max);
                return Err(CertificateFault::TooManyCertificates { count, max }.of_chain());
            }
            let (der, rest) = length_prefixed(list).ok_or_else(lengths)?;
            list = rest;
            let position = certificates.len();
            let certificate = Certificate::from_der(der);
            certificates.push(certificate.map_err(|fault| fault.at(position, String::new()))?);
        }
        Ok((!certificates.is_empty()).then_some(CertificateChain(certificates)))
    }

    /// Writes the body of a Certificate message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.0.iter().map(|certificate| 3 + certificate.0.len());
        put_u24(out, length.sum());
        for certificate in &self.0 {
            put_u24(out, certificate.0.len());
            out.extend_from_slice(certificate.as_der());
        }
    }

    /// The peer's own certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// All of them, the peer's own first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// This fault, of the certificate at a place.
    pub(super) fn blame(&self, position: usize, fault: CertificateFault) -> CertificateError {
        let subject = self.0.get(position).map(Certificate::subject);
        fault.at(position, subject.unwrap_or_default())
    }
}

/// The certificates of a PEM file, or the one of a DER file.
pub(super) fn certificates_of_file(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    if !is_pem(bytes) {
        let certificate = Certificate::from_der(bytes);
        return Ok(vec![
            certificate.map_err(|fault| fault.at(0, String::new()))?,
        ]);
    }
    let sections = CertificateDer::pem_slice_iter(bytes).enumerate();
    let certificates = sections.map(|(position, section)| {
        section
            .map_err(|_| CertificateFault::Malformed("it is no PEM"))
            .and_then(|der| Certificate::from_der(&der))
            .map_err(|fault| fault.at(position, String::new()))
    });
    certificates.collect()
}

fn length_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<3>()?;
    let length =
        usize::from(length[0]) << 16 | usize::from(length[1]) << 8 | usize::from(length[2]);
    rest.split_at_checked(length)
}

fn put_u24(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&[(value >> 16) as u8, (value >> 8) as u8, value as u8]);
}
