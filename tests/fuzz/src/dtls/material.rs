//! Keys, certificates and configurations of both sides.

use std::sync::{Arc, LazyLock};

use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateUsage, ChainLimits, CidOffer, ClientAuthentication,
    ClientConfig, ClientCredentials, MatchingType, PrivateKey, Psk, ServerCertificate,
    ServerCertificates, ServerConfig, ServerExpectation, TrustStore,
};

pub const ROOT: &[u8] = include_bytes!("../../certificates/root.der");
pub const INTERMEDIATE: &[u8] = include_bytes!("../../certificates/intermediate.der");
pub const LEAF: &[u8] = include_bytes!("../../certificates/leaf.der");
const LEAF_KEY: &[u8] = include_bytes!("../../certificates/leaf-key.der");

/// How both sides prove who they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    Psk,
    RawPublicKey,
    X509,
}

impl Mode {
    pub fn of(number: usize) -> Mode {
        [Mode::Psk, Mode::RawPublicKey, Mode::X509][number % 3]
    }
}

/// Keys and certificates of both sides, which are the same.
struct Material {
    key: PrivateKey,
    chain: CertificateChain,
    store: Arc<TrustStore>,
    certificates: Arc<ServerCertificates>,
}

static MATERIAL: LazyLock<Material> = LazyLock::new(|| {
    let key = PrivateKey::from_der(LEAF_KEY).expect("a key");
    let chain = chain();
    let own = ServerCertificate::new(chain.clone(), key.clone()).expect("a pair");
    Material {
        key,
        chain,
        store: Arc::new(store()),
        certificates: Arc::new(ServerCertificates::new(own)),
    }
});

/// A good chain.
pub fn chain() -> CertificateChain {
    let certificates = [LEAF, INTERMEDIATE].map(|der| Certificate::from_der(der).expect("good"));
    CertificateChain::new(certificates.to_vec()).expect("not empty")
}

/// Who certifies the good chain.
pub fn store() -> TrustStore {
    let mut store = TrustStore::new();
    let root = Certificate::from_der(ROOT).expect("good");
    store.add(root).expect("an authority");
    store
}

pub(crate) fn psk() -> Psk {
    Psk::new(b"0123456789abcdef").expect("16 bytes")
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig {
        raw_public_key: Some(MATERIAL.key.clone()),
        certificates: Some(Arc::clone(&MATERIAL.certificates)),
        client_authentication: ClientAuthentication::Optional,
        trust: Some(Arc::clone(&MATERIAL.store)),
        chain_limits: ChainLimits {
            certificates_max: 3,
            chain_bytes_max: 2048,
        },
        ..ServerConfig::default()
    }
}

pub(crate) fn client_config(mode: Mode) -> ClientConfig {
    let credentials = match mode {
        Mode::Psk => ClientCredentials::Psk {
            identity: (*b"device").into(),
            key: psk(),
        },
        Mode::RawPublicKey => ClientCredentials::RawPublicKey {
            key: MATERIAL.key.clone(),
            server: MATERIAL.key.public_key().clone(),
        },
        Mode::X509 => ClientCredentials::X509 {
            own: Some((MATERIAL.chain.clone(), MATERIAL.key.clone())),
            server: ServerExpectation {
                usage: CertificateUsage::CaConstraint,
                matching: MatchingType::Exact,
                certificate: ROOT.into(),
                name: Some("a.example.com".into()),
                store: Arc::clone(&MATERIAL.store),
            },
        },
    };
    let mut config = ClientConfig::new(credentials);
    config.cid = CidOffer::Both;
    config
}
