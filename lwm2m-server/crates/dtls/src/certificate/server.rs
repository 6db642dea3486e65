//! The client's side: whether a server is the one that was configured.

use std::net::IpAddr;

use aws_lc_rs::digest;
use rustls_pki_types::ServerName;

use super::chain::CertificateChain;
use super::name::{common_name, host_matches, printable};
use super::verify::{Purpose, check_key_usage, check_path, check_pinned};
use super::{Certificate, CertificateError, CertificateFault, TrustStore, X509Identity};

/// What the server's certificate of /0/x/4 stands for (/0/x/15; RFC 6698 §2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CertificateUsage {
    /// 0: the path is one of the trust store, and this authority is in it.
    CaConstraint,
    /// 1: the path is one of the trust store, and this is the server's certificate.
    ServiceCertificateConstraint,
    /// 2: this is the authority; the trust store does not matter.
    TrustAnchorAssertion,
    /// 3, the default: this is the server's certificate; nothing else matters.
    #[default]
    DomainIssued,
}

/// How the certificate of /0/x/4 is given (/0/x/13; RFC 6698 §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MatchingType {
    /// 0, the default: the certificate itself, as DER.
    #[default]
    Exact,
    /// 1: its SHA-256.
    Sha256,
    /// 2: its SHA-384.
    Sha384,
    /// 3: its SHA-512.
    Sha512,
}

/// What a client was told about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerReference<'a> {
    /// /0/x/15.
    pub usage: CertificateUsage,
    /// /0/x/13.
    pub matching: MatchingType,
    /// /0/x/4: a certificate or a hash of it.
    pub certificate: &'a [u8],
    /// The host of the server URI, or the server name of /0/x/14: a DNS name or an IP address.
    /// None leaves the names of the certificate unchecked, which is for servers that have an
    /// authority of their own. [`CertificateUsage::DomainIssued`] never looks at names.
    pub name: Option<&'a str>,
}

impl CertificateUsage {
    /// Reads /0/x/15.
    pub fn from_value(value: u64) -> Option<CertificateUsage> {
        match value {
            0 => Some(CertificateUsage::CaConstraint),
            1 => Some(CertificateUsage::ServiceCertificateConstraint),
            2 => Some(CertificateUsage::TrustAnchorAssertion),
            3 => Some(CertificateUsage::DomainIssued),
            _ => None,
        }
    }
}

impl MatchingType {
    /// Reads /0/x/13.
    pub fn from_value(value: u64) -> Option<MatchingType> {
        match value {
            0 => Some(MatchingType::Exact),
            1 => Some(MatchingType::Sha256),
            2 => Some(MatchingType::Sha384),
            3 => Some(MatchingType::Sha512),
            _ => None,
        }
    }

    fn matches(self, certificate: &[u8], reference: &[u8]) -> bool {
        let algorithm = match self {
            MatchingType::Exact => return certificate == reference,
            MatchingType::Sha256 => &digest::SHA256,
            MatchingType::Sha384 => &digest::SHA384,
            MatchingType::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, certificate).as_ref() == reference
    }
}

impl ServerReference<'_> {
    fn matches(&self, certificate: &[u8]) -> bool {
        self.matching.matches(certificate, self.certificate)
    }
}

/// Checks the chain of a server against what the client was told (Core 1.2 §5.2.8.7).
///
/// `store` matters for the certificate usages 0 and 1. `now_unix_s` is the time, in seconds since
/// 1970; usage 3 does without (RFC 7671 §5.1), as a device without a clock must.
///
/// # Errors
/// [`CertificateError`] names the certificate at fault.
pub fn verify_server(
    chain: &CertificateChain,
    reference: &ServerReference<'_>,
    store: &TrustStore,
    now_unix_s: u64,
) -> Result<X509Identity, CertificateError> {
    let identity = X509Identity::of(chain.leaf()).map_err(|fault| chain.blame(0, fault))?;
    let purpose = Purpose::ServerAuthentication;
    match reference.usage {
        CertificateUsage::CaConstraint => {
            let has_authority = |path: &webpki::VerifiedPath<'_>| {
                constrains(path, reference, store)
                    .then_some(())
                    .ok_or(webpki::Error::CertDistrusted)
            };
            check_path(chain, store, purpose, now_unix_s, Some(&has_authority))?;
        }
        CertificateUsage::ServiceCertificateConstraint => {
            check_is_configured(chain, reference)?;
            check_path(chain, store, purpose, now_unix_s, None)?;
        }
        CertificateUsage::TrustAnchorAssertion => {
            let own = authority(chain, reference, store)?;
            if own.has(chain.leaf()) {
                check_pinned(chain, purpose, now_unix_s)?;
            } else {
                check_path(chain, &own, purpose, now_unix_s, None)?;
            }
        }
        CertificateUsage::DomainIssued => {
            check_is_configured(chain, reference)?;
            return Ok(identity);
        }
    }
    check_key_usage(chain)?;
    if let Some(name) = reference.name {
        check_name(chain, &identity, name)?;
    }
    Ok(identity)
}

fn check_is_configured(
    chain: &CertificateChain,
    reference: &ServerReference<'_>,
) -> Result<(), CertificateError> {
    if reference.matches(chain.leaf().as_der()) {
        return Ok(());
    }
    Err(chain.blame(0, CertificateFault::NotTheConfigured))
}

/// True when the authority that the client was told of is in the path.
fn constrains(
    path: &webpki::VerifiedPath<'_>,
    reference: &ServerReference<'_>,
    store: &TrustStore,
) -> bool {
    let mut between = path.intermediate_certificates();
    if between.any(|certificate| reference.matches(certificate.der().as_ref())) {
        return true;
    }
    let anchors = store.anchors().iter().zip(store.authorities());
    let mut used = anchors.filter(|(anchor, _)| {
        anchor.subject == path.anchor().subject
            && anchor.subject_public_key_info == path.anchor().subject_public_key_info
    });
    used.any(|(_, authority)| reference.matches(authority.as_der()))
}

/// The authority that the client was told of. Only its hash may be known; then the server shows
/// it, or the trust store has it.
fn authority(
    chain: &CertificateChain,
    reference: &ServerReference<'_>,
    store: &TrustStore,
) -> Result<TrustStore, CertificateError> {
    let found = match reference.matching {
        MatchingType::Exact => {
            let configured = Certificate::from_der(reference.certificate);
            Some(configured.map_err(CertificateFault::of_chain)?)
        }
        _ => {
            let candidates = chain.certificates().iter().chain(store.certificates());
            let mut candidates = candidates.filter(|one| reference.matches(one.as_der()));
            candidates.next().cloned()
        }
    };
    let mut own = TrustStore::new();
    match found {
        Some(certificate) => own.add(certificate).map_err(CertificateFault::of_chain)?,
        None => return Err(CertificateFault::NotTheConfigured.of_chain()),
    }
    Ok(own)
}

/// A DNS name or an address must be one of subjectAltName; the common name stands in where there
/// is neither (RFC 6125 §6.4.4, RFC 7925 §4.4.1).
fn check_name(
    chain: &CertificateChain,
    identity: &X509Identity,
    name: &str,
) -> Result<(), CertificateError> {
    let leaf = chain.leaf().as_pki();
    let certified = webpki::EndEntityCert::try_from(&leaf).is_ok_and(|leaf| {
        ServerName::try_from(name)
            .is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
    });
    let has_names = !identity.dns_names.is_empty() || !identity.ip_addresses.is_empty();
    let common = common_name(chain.leaf().parsed().subject());
    let is_common = common.as_deref().is_some_and(|common| {
        let is_address = name.parse::<IpAddr>().is_ok();
        common == name || !is_address && host_matches(common, name)
    });
    if certified || !has_names && is_common {
        return Ok(());
    }
    let mut presented = identity.dns_names.clone();
    presented.extend(identity.ip_addresses.iter().map(ToString::to_string));
    if !has_names {
        presented.extend(common);
    }
    let fault = CertificateFault::WrongName {
        expected: printable(name),
        presented: printable(&presented.join(", ")),
    };
    Err(chain.blame(0, fault))
}
