//! CAs and the certificates that they issue.

use lwm2m_dtls::{Certificate, CertificateChain, PrivateKey, TrustStore};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SignatureAlgorithm, date_time_ymd,
};

/// Noon of 2026-06-01, in seconds since 1970: within the validity of what is made here.
pub(crate) const NOW: u64 = 1_780_315_200;
/// A day.
pub(crate) const DAY: u64 = 86_400;

/// A CA.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

/// Valid from the start of 2026 to the start of 2027.
pub(crate) fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

pub(crate) fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = named(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    pub(crate) fn root(common_name: &str) -> Authority {
        Authority::root_with(common_name, &PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn root_with(
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
    ) -> Authority {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = authority_params(common_name);
        let certificate = certificate(&params.self_signed(&key).expect("signed"));
        Authority {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn below(&self, params: CertificateParams) -> Authority {
        let key = key();
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        Authority {
            certificate: certificate(&signed),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Holder {
        let key = key();
        Holder {
            certificate: certificate(&params.signed_by(&key, &self.issuer).expect("signed")),
            key: PrivateKey::from_der(key.serialized_der()).expect("P-256"),
        }
    }

    pub(crate) fn store(&self) -> TrustStore {
        store_of(&[&self.certificate])
    }
}

/// A certificate that stands for itself.
pub(crate) fn self_signed(params: &CertificateParams) -> Holder {
    let key = key();
    Holder {
        certificate: certificate(&params.self_signed(&key).expect("signed")),
        key: PrivateKey::from_der(key.serialized_der()).expect("P-256"),
    }
}

pub(crate) fn certificate(made: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(made.der()).expect("a certificate")
}

pub(crate) fn chain_of(certificates: &[&Certificate]) -> CertificateChain {
    let certificates = certificates.iter().map(|one| (*one).clone()).collect();
    CertificateChain::new(certificates).expect("not empty")
}

pub(crate) fn store_of(certificates: &[&Certificate]) -> TrustStore {
    let mut store = TrustStore::new();
    for certificate in certificates {
        store.add((*certificate).clone()).expect("can be trusted");
    }
    store
}
