//! Whom a certificate shows a peer to be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::{Certificate, CertificateFault, name};
use crate::key::PublicKey;

/// What a certificate says about its holder. Texts are as they were certified; compare them
/// exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Identity {
    /// The common name of the subject; none when there is none, several, or no text.
    pub common_name: Option<String>,
    /// DNS names of subjectAltName.
    pub dns_names: Vec<String>,
    /// URIs of subjectAltName, as in `urn:dev:ops:...`.
    pub uris: Vec<String>,
    /// IP addresses of subjectAltName.
    pub ip_addresses: Vec<IpAddr>,
    /// Mail addresses of subjectAltName.
    pub emails: Vec<String>,
    /// The serial number, big-endian, without leading zeros.
    pub serial: Vec<u8>,
    /// The issuer, for people.
    pub issuer: String,
    /// The name of the issuer, in DER.
    pub issuer_name: Vec<u8>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The key.
    pub public_key: PublicKey,
    /// The last second at which the certificate is valid, since 1970.
    pub not_after_unix_s: i64,
}

impl X509Identity {
    /// Reads what a certificate says, whether or not it is to be believed.
    ///
    /// # Errors
    /// [`CertificateFault::KeyNotP256`] when its key is of another kind.
    pub fn of(certificate: &Certificate) -> Result<X509Identity, CertificateFault> {
        let parsed = certificate.parsed();
        let mut identity = X509Identity {
            common_name: name::common_name(parsed.subject()),
            dns_names: Vec::new(),
            uris: Vec::new(),
            ip_addresses: Vec::new(),
            emails: Vec::new(),
            serial: serial(&parsed),
            issuer: certificate.issuer(),
            issuer_name: parsed.issuer().as_raw().to_vec(),
            fingerprint: certificate.fingerprint(),
            public_key: certificate.public_key()?,
            not_after_unix_s: certificate.not_after_unix_s(),
        };
        identity.read_alternative_names(&parsed);
        Ok(identity)
    }

    /// SHA-256 of the SubjectPublicKeyInfo, which stays the same when a certificate is renewed for
    /// the same key.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.public_key.spki_sha256()
    }

    fn read_alternative_names(&mut self, parsed: &X509Certificate<'_>) {
        let Ok(Some(extension)) = parsed.subject_alternative_name() else {
            return;
        };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
                GeneralName::RFC822Name(email) => self.emails.push((*email).to_owned()),
                GeneralName::IPAddress(bytes) => self.ip_addresses.extend(ip_address(bytes)),
                _ => {}
            }
        }
    }
}

fn serial(parsed: &X509Certificate<'_>) -> Vec<u8> {
    let raw = parsed.raw_serial();
    let zeros = raw.iter().take_while(|byte| **byte == 0).count();
    raw[zeros.min(raw.len().saturating_sub(1))..].to_vec()
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(octets).into())
}
