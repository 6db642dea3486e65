//! Certificates, chains and keys: any bytes, and changes to a good chain, which is never believed
//! when it is another.

#![no_main]

use std::sync::LazyLock;

use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateUsage, ChainLimits, MatchingType, PrivateKey,
    PublicKey, ServerReference, TrustStore, X509Identity, verify_client, verify_server,
};
use lwm2m_fuzz::dtls::{INTERMEDIATE, LEAF, ROOT, UNIX_S, chain, store};
use lwm2m_fuzz::steps::Steps;

static STORE: LazyLock<TrustStore> = LazyLock::new(store);
static GOOD: LazyLock<CertificateChain> = LazyLock::new(chain);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = PrivateKey::parse(data);
    let _ = PublicKey::parse(data);
    let _ = TrustStore::parse(data);
    let _ = CertificateChain::parse(data);
    if let Ok(certificate) = Certificate::from_der(data) {
        described(&certificate);
        let mut store = store();
        let _ = store.add(certificate.clone());
        let certificates = vec![
            certificate,
            Certificate::from_der(INTERMEDIATE).expect("good"),
        ];
        judged(
            &CertificateChain::new(certificates).expect("not empty"),
            &store,
        );
    }
    if let Ok(Some(chain)) = CertificateChain::decode(data, ChainLimits::default()) {
        judged(&chain, &STORE);
    }
    changed(data);
});

/// The good chain with some of its bytes changed.
fn changed(data: &[u8]) {
    let mut steps = Steps::new(data);
    let mut body = Vec::new();
    GOOD.encode(&mut body);
    while !steps.is_empty() {
        let at = usize::from(steps.byte()) << 8 | usize::from(steps.byte());
        let at = at % body.len();
        body[at] ^= steps.byte();
    }
    if let Ok(Some(chain)) = CertificateChain::decode(&body, ChainLimits::default()) {
        judged(&chain, &STORE);
    }
}

fn described(certificate: &Certificate) {
    let shown = [certificate.subject(), certificate.issuer()];
    assert!(shown.iter().all(|text| text.len() <= 256));
    assert!(!shown.iter().any(|text| text.contains(char::is_control)));
    let _ = X509Identity::of(certificate);
}

fn judged(chain: &CertificateChain, store: &TrustStore) {
    for certificate in chain.certificates() {
        described(certificate);
    }
    if let Ok(identity) = verify_client(chain, store, UNIX_S) {
        let is_known = chain.leaf().as_der() == LEAF || store.has(chain.leaf());
        assert!(is_known, "{identity:?}");
    }
    for usage in (0..4).filter_map(CertificateUsage::from_value) {
        let reference = ServerReference {
            usage,
            matching: MatchingType::Exact,
            certificate: if usage == CertificateUsage::DomainIssued {
                LEAF
            } else {
                ROOT
            },
            name: Some("b.example.com"),
        };
        if verify_server(chain, &reference, store, UNIX_S).is_ok() {
            let is_known = chain.leaf().as_der() == LEAF || store.has(chain.leaf());
            assert!(is_known, "{usage:?}");
        }
    }
}
