//! The server's keys and certificates, for DTLS and TLS alike: out of files, or out of memory, and
//! exchanged while sessions go on.

mod files;
mod follow;
mod material;
mod revoking;
mod shared;

pub use lwm2m_dtls::{
    Certificate, CertificateChain, KeyError, PrivateKey, PublicKey, RevocationListError,
    RevocationLists, ServerCertificate, ServerCertificates, TrustStore,
};

pub(crate) use files::read_key_file;
pub use files::{CertificateFiles, KeyFileError, KeyFileFault, KeyFiles};
pub(crate) use follow::{KeysWatch, follow};
pub use material::{KeyMaterial, KeyWarning};
pub(crate) use revoking::watch_revocations;
pub use shared::{Keys, Reloaded};

#[cfg(test)]
mod tests;
