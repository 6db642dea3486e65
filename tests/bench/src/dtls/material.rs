//! Keys and certificates for both ends, and what they agree on.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lwm2m_dtls::{
    Certificate, CertificateChain, CipherSuite, ClientConfig, ClientCredentials, PrivateKey, Psk,
    ServerExpectation,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};

/// Who the devices are.
pub(super) const IDENTITY: &[u8] = b"urn:imei:350000000000001";
/// What they share with the server.
pub(super) const KEY: &[u8] = b"0123456789abcdef";

/// How the ends prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Pre-shared keys, `TLS_PSK_WITH_AES_128_CCM_8`.
    Psk,
    /// Raw public keys on both sides, `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`.
    RawPublicKey,
    /// Certificates on both sides, `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`; that of the device is
    /// issued by an authority, that of the server stands for itself.
    X509,
}

/// Keys and certificates.
pub(super) struct Material {
    /// What devices are issued by.
    pub(super) authority: Certificate,
    /// Of a device.
    device: (Certificate, PrivateKey),
    /// A certificate of the server; webrtc-dtls makes its own.
    pub(super) server: (Certificate, PrivateKey),
}

impl Material {
    pub(super) fn new() -> anyhow::Result<Material> {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        let authority_key = key()?;
        let mut params = named("Authority")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);

        let device_key = key()?;
        let mut params = named("device.example")?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let device = params.signed_by(&device_key, &issuer)?;

        let server_key = key()?;
        let server = named("server.example")?.self_signed(&server_key)?;
        let holder = |certificate: &rcgen::Certificate, key: &KeyPair| {
            anyhow::Ok((
                Certificate::from_der(certificate.der())?,
                PrivateKey::from_der(key.serialized_der())?,
            ))
        };
        Ok(Material {
            authority: Certificate::from_der(authority.der())?,
            device: holder(&device, &device_key)?,
            server: holder(&server, &server_key)?,
        })
    }

    /// How a device comes to a server, which shows a certificate or has a raw public key.
    pub(super) fn device(&self, mode: Mode, server: &[u8]) -> anyhow::Result<ClientConfig> {
        let (certificate, key) = &self.device;
        let credentials = match mode {
            Mode::Psk => {
                return Ok(ClientConfig {
                    suites: vec![CipherSuite::PskCcm8],
                    ..ClientConfig::psk(IDENTITY, Psk::new(KEY)?)
                });
            }
            Mode::RawPublicKey => ClientCredentials::RawPublicKey {
                key: key.clone(),
                server: self.server.1.public_key().clone(),
            },
            Mode::X509 => ClientCredentials::X509 {
                own: Some((
                    CertificateChain::new(vec![certificate.clone()])?,
                    key.clone(),
                )),
                server: ServerExpectation::exactly(server),
            },
        };
        Ok(ClientConfig {
            suites: vec![CipherSuite::EcdheEcdsaCcm8],
            ..ClientConfig::new(credentials)
        })
    }
}

/// A certificate of this name, for which it is also an alternative one.
fn named(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// The second since 1970.
pub(super) fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A configuration that asks for the same session again.
pub(super) fn resuming(
    config: &ClientConfig,
    resumption: lwm2m_dtls::Resumption,
) -> Arc<ClientConfig> {
    Arc::new(ClientConfig {
        resume: Some(resumption),
        ..config.clone()
    })
}
