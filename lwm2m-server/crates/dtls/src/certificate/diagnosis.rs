//! Which certificate of a chain is at fault.
//!
//! The path building of `rustls-webpki` says what went wrong, not where. Here the chain is walked
//! again, from the peer's own certificate upwards, in search of the one that the verdict is about.
//! The verdict itself is never changed.

use rustls_pki_types::CertificateDer;
use webpki::Error;
use x509_parser::certificate::X509Certificate;

use super::verify::{Purpose, SIGNATURES};
use super::{
    Certificate, CertificateChain, CertificateError, CertificateFault, TrustStore,
    extended_key_usage,
};

/// The verdict in our words, and the certificate it is about.
pub(super) fn diagnose(
    chain: &CertificateChain,
    store: &TrustStore,
    purpose: Purpose,
    now_unix_s: u64,
    error: &Error,
) -> CertificateError {
    let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
    let certificates = chain.certificates();
    let first = |is_at_fault: &dyn Fn(usize) -> bool| {
        let position = (0..certificates.len()).find(|position| is_at_fault(*position));
        position.unwrap_or(0)
    };
    match error {
        Error::CertExpired { .. } => {
            let position = first(&|at| certificates[at].not_after_unix_s() < now);
            let not_after_unix_s = certificates[position].not_after_unix_s();
            chain.blame(position, CertificateFault::Expired { not_after_unix_s })
        }
        Error::CertNotValidYet { .. } => {
            let position = first(&|at| certificates[at].not_before_unix_s() > now);
            let not_before_unix_s = certificates[position].not_before_unix_s();
            chain.blame(
                position,
                CertificateFault::NotYetValid { not_before_unix_s },
            )
        }
        Error::CertRevoked => {
            let position = first(&|at| store.revocations().have(&certificates[at]));
            chain.blame(position, CertificateFault::Revoked)
        }
        Error::IssuerNotCrlSigner
        | Error::InvalidCrlSignatureForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateFault::RevocationList.of_chain()
        }
        Error::UnknownIssuer => last_known(chain, store),
        Error::InvalidSignatureForPublicKey => {
            let position = first(&|at| !signature_holds(&certificates[at], chain, store));
            chain.blame(position, CertificateFault::BadSignature)
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            let position = first(&|at| lacks(&certificates[at].parsed(), purpose));
            let required = purpose.as_str();
            chain.blame(position, CertificateFault::ExtendedKeyUsage { required })
        }
        Error::EndEntityUsedAsCa => {
            let position = first(&|at| at > 0 && !certificates[at].parsed().is_ca());
            chain.blame(position, CertificateFault::NotAnAuthority)
        }
        Error::CaUsedAsEndEntity => chain.blame(0, CertificateFault::IsAuthority),
        Error::PathLenConstraintViolated => {
            let position = first(&|at| certificates[at].allows_fewer_than(at.saturating_sub(1)));
            chain.blame(position, CertificateFault::PathLength)
        }
        Error::NameConstraintViolation => chain.blame(0, CertificateFault::NameConstraint),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::SignatureAlgorithmMismatch => {
            let position = first(&|at| !signature_holds(&certificates[at], chain, store));
            chain.blame(position, CertificateFault::UnsupportedAlgorithm)
        }
        Error::UnsupportedCriticalExtension | Error::UnsupportedCertVersion => {
            let position = first(&|at| !is_readable(&certificates[at]));
            chain.blame(position, CertificateFault::Unsupported)
        }
        Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => {
            CertificateFault::TooComplex.of_chain()
        }
        Error::CertDistrusted => chain.blame(0, CertificateFault::NotTheConfigured),
        _ => {
            let position = first(&|at| !is_readable(&certificates[at]));
            chain.blame(
                position,
                CertificateFault::Malformed("its DER breaks RFC 5280"),
            )
        }
    }
}

/// Follows the issuers from the peer's own certificate as far as they are known.
fn last_known(chain: &CertificateChain, store: &TrustStore) -> CertificateError {
    let certificates = chain.certificates();
    let mut position = 0;
    // No longer than the chain, should it go in a circle.
    for _ in 0..certificates.len() {
        let issuers = issuers_of(&certificates[position], chain, store);
        let next = issuers.into_iter().find_map(|issuer| match issuer {
            Issuer::OfChain(at) if at != position => Some(at),
            _ => None,
        });
        match next {
            Some(next) => position = next,
            None => break,
        }
    }
    let issuer = certificates[position].issuer();
    chain.blame(position, CertificateFault::UnknownIssuer { issuer })
}

enum Issuer<'a> {
    OfChain(usize),
    OfStore(&'a Certificate),
}

/// Those whose name stands as the issuer of a certificate.
fn issuers_of<'a>(
    certificate: &Certificate,
    chain: &CertificateChain,
    store: &'a TrustStore,
) -> Vec<Issuer<'a>> {
    let parsed = certificate.parsed();
    let is_issuer =
        |other: &Certificate| other.parsed().subject().as_raw() == parsed.issuer().as_raw();
    let of_store = store.authorities().iter();
    let of_store = of_store
        .filter(|other| is_issuer(other))
        .map(Issuer::OfStore);
    let of_chain = chain.certificates().iter().enumerate();
    let of_chain = of_chain.filter(|(_, other)| is_issuer(other));
    let of_chain = of_chain.map(|(position, _)| Issuer::OfChain(position));
    of_store.chain(of_chain).collect()
}

/// True when one of those that bear the issuer's name signed the certificate; also when nobody
/// bears it, since then the signature is not what is wrong.
fn signature_holds(
    certificate: &Certificate,
    chain: &CertificateChain,
    store: &TrustStore,
) -> bool {
    let issuers = issuers_of(certificate, chain, store);
    issuers.is_empty()
        || issuers.iter().any(|issuer| match issuer {
            Issuer::OfChain(position) => {
                is_signed_by(certificate, &chain.certificates()[*position])
            }
            Issuer::OfStore(issuer) => is_signed_by(certificate, issuer),
        })
}

fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let parsed = certificate.parsed();
    let issuer: CertificateDer<'_> = issuer.as_pki();
    let Ok(issuer) = webpki::EndEntityCert::try_from(&issuer) else {
        return false;
    };
    let message: &[u8] = parsed.tbs_certificate.as_ref();
    let signature: &[u8] = &parsed.signature_value.data;
    SIGNATURES.iter().any(|algorithm| {
        issuer
            .verify_signature(*algorithm, message, signature)
            .is_ok()
    })
}

fn is_readable(certificate: &Certificate) -> bool {
    webpki::EndEntityCert::try_from(&certificate.as_pki()).is_ok()
}

/// True when there is an extendedKeyUsage without the purpose; `anyExtendedKeyUsage` does not stand
/// for it.
pub(super) fn lacks(parsed: &X509Certificate<'_>, purpose: Purpose) -> bool {
    extended_key_usage(parsed).is_some_and(|usage| match purpose {
        Purpose::ClientAuthentication => !usage.client_auth,
        Purpose::ServerAuthentication => !usage.server_auth,
    })
}

impl Certificate {
    /// True when its pathLenConstraint is below the number of intermediate certificates under it.
    fn allows_fewer_than(&self, below: usize) -> bool {
        let parsed = self.parsed();
        let Ok(Some(constraints)) = parsed.basic_constraints() else {
            return false;
        };
        let allowed = constraints.value.path_len_constraint;
        allowed.is_some_and(|allowed| usize::try_from(allowed).is_ok_and(|most| most < below))
    }
}
