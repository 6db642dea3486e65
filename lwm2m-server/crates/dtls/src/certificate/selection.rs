//! The server's own certificates, and which of them a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Certificate, CertificateChain, CertificateFault, X509Identity};
use crate::key::PrivateKey;

/// A chain with the key of its first certificate.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    chain: CertificateChain,
    key: PrivateKey,
    names: Vec<String>,
}

/// Why a chain and a key are no certificate of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerCertificateError {
    /// The certificate cannot be used.
    #[error("the server's certificate: {0}")]
    Certificate(#[from] CertificateFault),
    /// The key is of another certificate.
    #[error("the private key is not the key of the certificate {subject}")]
    AnotherKey {
        /// Its subject.
        subject: String,
    },
}

impl ServerCertificate {
    /// Puts a chain and its key together.
    ///
    /// # Errors
    /// [`ServerCertificateError`] when they do not belong together, or the key is not P-256.
    pub fn new(
        chain: CertificateChain,
        key: PrivateKey,
    ) -> Result<ServerCertificate, ServerCertificateError> {
        let identity = X509Identity::of(chain.leaf())?;
        if identity.public_key != *key.public_key() {
            let subject = chain.leaf().subject();
            return Err(ServerCertificateError::AnotherKey { subject });
        }
        let mut names = identity.dns_names;
        if names.is_empty() {
            names.extend(identity.common_name);
        }
        Ok(ServerCertificate { chain, key, names })
    }

    /// The chain to show.
    pub fn chain(&self) -> &CertificateChain {
        &self.chain
    }

    /// The first certificate of the chain.
    pub fn leaf(&self) -> &Certificate {
        self.chain.leaf()
    }

    /// The key to sign with.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The DNS names that it is for; the common name where it has none.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// All certificates of a server, by the name that a client asks for (RFC 6066 §3).
#[derive(Debug, Clone)]
pub struct ServerCertificates {
    /// In the order in which they came; the first is the default.
    all: Vec<Arc<ServerCertificate>>,
    /// In lower case.
    by_name: HashMap<String, Arc<ServerCertificate>>,
    /// By what stands behind `*.`, in lower case.
    by_parent: HashMap<String, Arc<ServerCertificate>>,
}

/// The certificate for a client.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The certificate.
    pub certificate: Arc<ServerCertificate>,
    /// False when the client asked for a name that no certificate has, and this is the default.
    pub is_for_name: bool,
}

impl ServerCertificates {
    /// A server with one certificate, shown to those who ask for nothing or for another name.
    pub fn new(default: ServerCertificate) -> ServerCertificates {
        let mut certificates = ServerCertificates {
            all: Vec::new(),
            by_name: HashMap::new(),
            by_parent: HashMap::new(),
        };
        certificates.add(default);
        certificates
    }

    /// One more certificate, for its names. The first one that has a name keeps it.
    pub fn add(&mut self, certificate: ServerCertificate) {
        let certificate = Arc::new(certificate);
        for name in certificate.names() {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            let (table, key) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.by_parent, parent.to_owned()),
                None => (&mut self.by_name, name),
            };
            table.entry(key).or_insert_with(|| Arc::clone(&certificate));
        }
        self.all.push(certificate);
    }

    /// The certificate for the server name of a ClientHello: the one that has this very name, then
    /// one with a wildcard in place of its first label, then the default.
    pub fn select(&self, server_name: Option<&str>) -> Selection {
        let Some(name) = server_name else {
            return Selection {
                certificate: Arc::clone(self.default_certificate()),
                is_for_name: true,
            };
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let found = self.by_name.get(&name);
        let found = found.or_else(|| self.by_parent.get(parent?));
        Selection {
            certificate: Arc::clone(found.unwrap_or(self.default_certificate())),
            is_for_name: found.is_some(),
        }
    }

    /// The certificate of those who ask for no name.
    pub fn default_certificate(&self) -> &Arc<ServerCertificate> {
        &self.all[0]
    }

    /// All of them, the default first.
    pub fn all(&self) -> impl Iterator<Item = &ServerCertificate> {
        self.all.iter().map(Arc::as_ref)
    }
}
