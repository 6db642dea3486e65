//! Whether a chain holds.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithms;

use super::diagnosis::{diagnose, lacks};
use super::revocation::options;
use super::{
    CertificateChain, CertificateError, CertificateFault, TrustStore, X509Identity, key_usage,
};

/// What certificates may be signed with: ECDSA on P-256 and P-384, and RSA of 2048 bits or more.
pub(super) static SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// What a certificate is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    ClientAuthentication,
    ServerAuthentication,
}

impl Purpose {
    /// The name of the purpose in extendedKeyUsage.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Purpose::ClientAuthentication => "clientAuth",
            Purpose::ServerAuthentication => "serverAuth",
        }
    }
}

/// Checks the chain of a client, and says whom it shows the client to be.
///
/// The chain must lead to an authority of the store, or its first certificate be in the store
/// itself. Beyond RFC 5280: the key is P-256, keyUsage has digitalSignature and extendedKeyUsage
/// has clientAuth, where these extensions are there. `now_unix_s` is the time, in seconds since
/// 1970. The names are not checked: which of them may be which endpoint is for the registration
/// to say.
///
/// # Errors
/// [`CertificateError`] names the certificate at fault.
pub fn verify_client(
    chain: &CertificateChain,
    store: &TrustStore,
    now_unix_s: u64,
) -> Result<X509Identity, CertificateError> {
    let purpose = Purpose::ClientAuthentication;
    let identity = X509Identity::of(chain.leaf()).map_err(|fault| chain.blame(0, fault))?;
    if store.has(chain.leaf()) {
        check_pinned(chain, purpose, now_unix_s)?;
    } else {
        check_path(chain, store, purpose, now_unix_s, None)?;
    }
    check_key_usage(chain)?;
    Ok(identity)
}

/// What a path must have beside.
pub(super) type Accept<'a> = dyn Fn(&webpki::VerifiedPath<'_>) -> Result<(), webpki::Error> + 'a;

/// A path from the chain's first certificate to an authority of the store, which `accept` may
/// refuse.
pub(super) fn check_path(
    chain: &CertificateChain,
    store: &TrustStore,
    purpose: Purpose,
    now_unix_s: u64,
    accept: Option<&Accept<'_>>,
) -> Result<(), CertificateError> {
    let [leaf, others @ ..] = chain.certificates() else {
        return Err(CertificateFault::Missing.of_chain());
    };
    let leaf = leaf.as_pki();
    let others: Vec<CertificateDer<'_>> = others.iter().map(|other| other.as_pki()).collect();
    let usage = match purpose {
        Purpose::ClientAuthentication => webpki::KeyUsage::client_auth(),
        Purpose::ServerAuthentication => webpki::KeyUsage::server_auth(),
    };
    let lists = store.revocations().borrowed();
    let path = |error| diagnose(chain, store, purpose, now_unix_s, &error);
    webpki::EndEntityCert::try_from(&leaf)
        .map_err(path)?
        .verify_for_usage(
            SIGNATURES,
            store.anchors(),
            &others,
            UnixTime::since_unix_epoch(Duration::from_secs(now_unix_s)),
            usage,
            options(&lists),
            accept,
        )
        .map_err(path)?;
    Ok(())
}

/// What a certificate still has to be when it is trusted as it is.
pub(super) fn check_pinned(
    chain: &CertificateChain,
    purpose: Purpose,
    now_unix_s: u64,
) -> Result<(), CertificateError> {
    let leaf = chain.leaf();
    let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
    let fault = if now > leaf.not_after_unix_s() {
        CertificateFault::Expired {
            not_after_unix_s: leaf.not_after_unix_s(),
        }
    } else if now < leaf.not_before_unix_s() {
        CertificateFault::NotYetValid {
            not_before_unix_s: leaf.not_before_unix_s(),
        }
    } else if lacks(&leaf.parsed(), purpose) {
        CertificateFault::ExtendedKeyUsage {
            required: purpose.as_str(),
        }
    } else {
        return Ok(());
    };
    Err(chain.blame(0, fault))
}

/// RFC 5246 §7.4.6: a key that signs in the handshake may sign.
pub(super) fn check_key_usage(chain: &CertificateChain) -> Result<(), CertificateError> {
    match key_usage(&chain.leaf().parsed()) {
        Some(usage) if !usage.digital_signature() => {
            Err(chain.blame(0, CertificateFault::KeyUsage))
        }
        _ => Ok(()),
    }
}
