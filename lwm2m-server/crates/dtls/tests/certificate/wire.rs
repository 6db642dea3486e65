//! Chains as files and as bodies of the Certificate message.

use std::sync::LazyLock;

use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateFault, ChainLimits, TrustStore, X509Identity,
    verify_client,
};
use proptest::prelude::*;

use super::make::{Authority, NOW, authority_params, chain_of, named};

fn encoded(chain: &CertificateChain) -> Vec<u8> {
    let mut body = Vec::new();
    chain.encode(&mut body);
    body
}

struct Made {
    root: Authority,
    chain: CertificateChain,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let root = Authority::root("Root");
    let factory = root.below(authority_params("Factory"));
    let device = factory.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &factory.certificate]);
    Made { root, chain }
});

#[test]
fn a_chain_reads_back_as_it_was_written() {
    let body = encoded(&MADE.chain);
    let read = CertificateChain::decode(&body, ChainLimits::default()).unwrap();
    assert_eq!(read.as_ref(), Some(&MADE.chain));
    let none = CertificateChain::decode(&[0, 0, 0], ChainLimits::default());
    assert_eq!(none, Ok(None));
}

#[test]
fn limits_hold_at_one_above() {
    let body = encoded(&MADE.chain);
    let bytes = body.len() - 3;
    let exact = ChainLimits {
        certificates_max: 2,
        chain_bytes_max: bytes,
    };
    assert!(CertificateChain::decode(&body, exact).is_ok());
    let few = ChainLimits {
        certificates_max: 1,
        ..exact
    };
    let error = CertificateChain::decode(&body, few).unwrap_err();
    assert_eq!(
        error.fault,
        CertificateFault::TooManyCertificates { count: 2, max: 1 }
    );
    let short = ChainLimits {
        chain_bytes_max: bytes - 1,
        ..exact
    };
    let error = CertificateChain::decode(&body, short).unwrap_err();
    let max = bytes - 1;
    assert_eq!(error.fault, CertificateFault::TooLong { bytes, max });
}

#[test]
fn a_certificate_of_a_megabyte_is_not_even_looked_at() {
    let mut body = vec![0x10, 0, 3, 0x10, 0, 0];
    body.resize(6 + 0x10_0000, 0x30);
    let error = CertificateChain::decode(&body, ChainLimits::default()).unwrap_err();
    assert_eq!(error.fault.reason(), "certificate-chain-too-long");
}

#[test]
fn a_broken_certificate_is_named_by_its_place() {
    let mut body = encoded(&MADE.chain);
    let second = 3 + 3 + MADE.chain.leaf().as_der().len() + 3;
    body[second] = 0x31;
    let error = CertificateChain::decode(&body, ChainLimits::default()).unwrap_err();
    assert_eq!(error.culprit.unwrap().position, 1);
    assert!(error.fault.reason() == "certificate-malformed");
}

#[test]
fn files_hold_certificates_as_pem_and_as_der() {
    let root = rcgen::KeyPair::generate().unwrap();
    let mut pem = root.serialize_pem();
    for name in ["one", "two"] {
        let made = authority_params(name).self_signed(&root).unwrap();
        pem.push_str("a comment\r\n");
        pem.push_str(&made.pem());
    }
    let store = TrustStore::parse(pem.as_bytes()).unwrap();
    let subjects: Vec<String> = store
        .certificates()
        .iter()
        .map(Certificate::subject)
        .collect();
    assert_eq!(subjects, ["CN=one", "CN=two"]);
    let chain = CertificateChain::parse(pem.as_bytes()).unwrap();
    assert_eq!(chain.leaf().subject(), "CN=one");
    let der = CertificateChain::parse(chain.leaf().as_der()).unwrap();
    assert_eq!(der.leaf(), chain.leaf());

    let error = CertificateChain::parse(root.serialize_pem().as_bytes()).unwrap_err();
    assert_eq!(error.fault, CertificateFault::Missing);
    let store = TrustStore::parse(root.serialize_pem().as_bytes()).unwrap();
    assert!(store.is_empty());
    let broken = format!("{pem}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let error = TrustStore::parse(broken.as_bytes()).unwrap_err();
    assert_eq!(error.culprit.unwrap().position, 2);
    let cut = &pem[..pem.len() - 30];
    assert!(CertificateChain::parse(cut.as_bytes()).is_err());
}

#[test]
fn a_certificate_with_a_byte_after_it_is_refused() {
    let long = [MADE.root.certificate.as_der(), &[0]].concat();
    assert!(Certificate::from_der(&long).is_err());
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Certificate::from_der(&bytes);
        let _ = CertificateChain::parse(&bytes);
        let _ = TrustStore::parse(&bytes);
        let _ = CertificateChain::decode(&bytes, ChainLimits::default());
    }

    /// What is changed anywhere is refused, or is the chain that it was.
    #[test]
    fn a_changed_chain_is_never_believed(
        at in 0_usize..2000,
        change in 1_u8..,
        cut in proptest::option::of(0_usize..2000),
    ) {
        let mut body = encoded(&MADE.chain);
        let at = at % body.len();
        body[at] ^= change;
        if let Some(cut) = cut {
            body.truncate(cut);
        }
        let chain = CertificateChain::decode(&body, ChainLimits::default());
        if let Ok(Some(chain)) = chain {
            let _ = X509Identity::of(chain.leaf());
            let verdict = verify_client(&chain, &MADE.root.store(), NOW);
            prop_assert!(verdict.is_err(), "{:?}", chain);
        }
    }
}
