//! Sans-IO DTLS 1.2 (RFC 6347) for LwM2M.

mod certificate;
mod key;

pub use certificate::{
    Certificate, CertificateChain, CertificateError, CertificateFault, CertificateUsage,
    ChainLimits, Culprit, MatchingType, Selection, ServerCertificate, ServerCertificateError,
    ServerCertificates, ServerReference, TrustStore, X509Identity, verify_client, verify_server,
};
pub use key::{KeyError, PrivateKey, PublicKey};
