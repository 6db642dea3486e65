//! Keys and certificates of `plugin run`: made anew each time, and never written to a disk.

use anyhow::Context;
use lwm2m_device::DtlsAccount;
use lwm2m_dtls::{ClientCredentials, ServerExpectation};
use lwm2m_server::keys::{
    Certificate, CertificateChain, KeyMaterial, Keys, PrivateKey, PublicKey, ServerCertificate,
    ServerCertificates, TrustStore,
};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::cli::keygen::{new_key, parameters};

/// What the server and the device of one run prove themselves with.
pub(super) struct RunKeys {
    server: KeyMaterial,
    server_key: PublicKey,
    server_certificate: Certificate,
    device_key: PrivateKey,
    device_chain: CertificateChain,
}

/// How long the certificates are valid.
const DAYS: u32 = 30;

impl RunKeys {
    /// Makes them for a device with this name, which its certificate has as common name.
    pub(super) fn new(endpoint: &str) -> anyhow::Result<RunKeys> {
        let authority_key = new_key()?;
        let mut authority = parameters("plugin run CA", &[], DAYS)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = authority.self_signed(&authority_key)?;
        let mut trust_store = TrustStore::new();
        trust_store
            .add(Certificate::from_der(certificate.der())?)
            .context("the CA is not taken")?;
        let issuer = Issuer::from_params(&authority, &authority_key);

        let (server_key, server_chain) =
            certified("localhost", ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
        let (device_key, device_chain) =
            certified(endpoint, ExtendedKeyUsagePurpose::ClientAuth, &issuer)?;
        let server_certificate = server_chain.leaf().clone();
        let pair = ServerCertificate::new(server_chain, server_key.clone())?;
        let server = KeyMaterial {
            certificates: Some(ServerCertificates::new(pair)),
            raw_public_key: Some(server_key),
            trust_store,
            ..KeyMaterial::default()
        };
        Ok(RunKeys {
            server,
            server_key: server_certificate.public_key()?,
            server_certificate,
            device_key,
            device_chain,
        })
    }

    /// Those of the server.
    pub(super) fn of_server(&self) -> Keys {
        Keys::new(self.server.clone())
    }

    /// The account of a device with a raw public key.
    pub(super) fn rpk(&self) -> DtlsAccount {
        DtlsAccount::new(ClientCredentials::RawPublicKey {
            key: self.device_key.clone(),
            server: self.server_key.clone(),
        })
    }

    /// The account of a device with a certificate.
    pub(super) fn x509(&self) -> DtlsAccount {
        DtlsAccount::new(ClientCredentials::X509 {
            own: Some((self.device_chain.clone(), self.device_key.clone())),
            server: ServerExpectation::exactly(self.server_certificate.as_der()),
        })
    }
}

/// A key and a certificate for it.
fn certified(
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, &KeyPair>,
) -> anyhow::Result<(PrivateKey, CertificateChain)> {
    let mut params = parameters(name, &[], DAYS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = new_key()?;
    let certificate = params.signed_by(&key, issuer)?;
    let chain = CertificateChain::new(vec![Certificate::from_der(certificate.der())?])?;
    Ok((PrivateKey::from_der(&key.serialize_der())?, chain))
}
