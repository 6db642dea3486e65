//! The chain of a server, as a device sees it: certificate usage, matching type, names.

use aws_lc_rs::digest;
use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateError, CertificateFault, CertificateUsage,
    MatchingType, ServerReference, TrustStore, X509Identity, verify_server,
};
use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};

use super::make::{Authority, DAY, NOW, authority_params, chain_of, named, self_signed, store_of};

const HOST: &str = "lwm2m.example.com";

struct Server {
    root: Authority,
    factory: Authority,
    leaf: Certificate,
}

impl Server {
    fn new() -> Server {
        let root = Authority::root("Root");
        let factory = root.below(authority_params("Operator"));
        let mut params = named("server");
        params.subject_alt_names = vec![SanType::DnsName(HOST.try_into().expect("ASCII"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = factory.issue(&params).certificate;
        Server {
            root,
            factory,
            leaf,
        }
    }

    fn chain(&self) -> CertificateChain {
        chain_of(&[&self.leaf, &self.factory.certificate])
    }
}

fn check(
    server: &Server,
    usage: CertificateUsage,
    configured: &Certificate,
    store: &TrustStore,
) -> Result<X509Identity, CertificateError> {
    let exact = verify(
        server,
        usage,
        MatchingType::Exact,
        configured.as_der(),
        store,
    );
    for (matching, algorithm) in [
        (MatchingType::Sha256, &digest::SHA256),
        (MatchingType::Sha384, &digest::SHA384),
        (MatchingType::Sha512, &digest::SHA512),
    ] {
        let hash = digest::digest(algorithm, configured.as_der());
        let hashed = verify(server, usage, matching, hash.as_ref(), store);
        // A hash that nobody shows cannot be looked for, so the fault may be another.
        assert_eq!(hashed.is_ok(), exact.is_ok(), "{usage:?} {matching:?}");
    }
    exact
}

fn verify(
    server: &Server,
    usage: CertificateUsage,
    matching: MatchingType,
    certificate: &[u8],
    store: &TrustStore,
) -> Result<X509Identity, CertificateError> {
    let reference = ServerReference {
        usage,
        matching,
        certificate,
        name: Some(HOST),
    };
    verify_server(&server.chain(), &reference, store, NOW)
}

#[test]
fn a_ca_constraint_needs_a_path_of_the_store_through_this_ca() {
    let usage = CertificateUsage::CaConstraint;
    let server = Server::new();
    let store = server.root.store();
    assert!(check(&server, usage, &server.root.certificate, &store).is_ok());
    assert!(check(&server, usage, &server.factory.certificate, &store).is_ok());
    let other = Authority::root("Root").certificate;
    let error = check(&server, usage, &other, &store).unwrap_err();
    assert_eq!(error.fault, CertificateFault::NotTheConfigured);
    let nobody = TrustStore::new();
    assert!(check(&server, usage, &server.root.certificate, &nobody).is_err());
}

#[test]
fn a_service_certificate_constraint_needs_this_leaf_and_a_path_of_the_store() {
    let usage = CertificateUsage::ServiceCertificateConstraint;
    let server = Server::new();
    let store = server.root.store();
    assert!(check(&server, usage, &server.leaf, &store).is_ok());
    let error = check(&server, usage, &server.root.certificate, &store).unwrap_err();
    assert_eq!(error.fault, CertificateFault::NotTheConfigured);
    let error = check(&server, usage, &server.leaf, &TrustStore::new()).unwrap_err();
    assert_eq!(error.fault.reason(), "certificate-issuer-unknown");
}

#[test]
fn a_trust_anchor_assertion_needs_no_store() {
    let usage = CertificateUsage::TrustAnchorAssertion;
    let server = Server::new();
    let nobody = TrustStore::new();
    assert!(check(&server, usage, &server.factory.certificate, &nobody).is_ok());
    assert!(check(&server, usage, &server.leaf, &nobody).is_ok());
    let stranger = Authority::root("Other").certificate;
    assert!(check(&server, usage, &stranger, &nobody).is_err());
    // The root, when the server does not show it: as it is, or by its hash out of the store.
    let root = server.root.certificate.as_der();
    assert!(verify(&server, usage, MatchingType::Exact, root, &nobody).is_ok());
    let hash = digest::digest(&digest::SHA256, root);
    let has_root = server.root.store();
    let by_hash = |store| verify(&server, usage, MatchingType::Sha256, hash.as_ref(), store);
    assert!(by_hash(&has_root).is_ok());
    let error = by_hash(&nobody).unwrap_err();
    assert_eq!(error.fault, CertificateFault::NotTheConfigured);
}

#[test]
fn a_domain_issued_certificate_is_the_one_or_not() {
    let usage = CertificateUsage::DomainIssued;
    let mut params = named("expired, and of another name");
    params.not_after = date_time_ymd(2026, 1, 2);
    let leaf = self_signed(&params).certificate;
    let server = Server {
        leaf,
        ..Server::new()
    };
    let nobody = TrustStore::new();
    assert!(check(&server, usage, &server.leaf, &nobody).is_ok());
    let other = self_signed(&params).certificate;
    let error = check(&server, usage, &other, &nobody).unwrap_err();
    assert_eq!(error.fault, CertificateFault::NotTheConfigured);
    assert_eq!(error.culprit.unwrap().position, 0);
}

#[test]
fn numbers_of_the_object_are_read() {
    assert_eq!(CertificateUsage::default(), CertificateUsage::DomainIssued);
    assert_eq!(MatchingType::default(), MatchingType::Exact);
    let usages: Vec<_> = (0..5).map(CertificateUsage::from_value).collect();
    assert_eq!(usages[3], Some(CertificateUsage::DomainIssued));
    assert_eq!(usages[4], None);
    let matching: Vec<_> = (0..5).map(MatchingType::from_value).collect();
    assert_eq!(matching[1], Some(MatchingType::Sha256));
    assert_eq!(matching[4], None);
}

#[test]
fn a_device_certificate_is_no_servers() {
    let root = Authority::root("Root");
    let mut params = named(HOST);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = root.issue(&params).certificate;
    let reference = ServerReference {
        usage: CertificateUsage::TrustAnchorAssertion,
        matching: MatchingType::Exact,
        certificate: root.certificate.as_der(),
        name: Some(HOST),
    };
    let error = verify_server(&chain_of(&[&leaf]), &reference, &store_of(&[]), NOW).unwrap_err();
    let required = "serverAuth";
    assert_eq!(error.fault, CertificateFault::ExtendedKeyUsage { required });
    let error = verify_server(
        &chain_of(&[&leaf]),
        &reference,
        &store_of(&[]),
        NOW + 400 * DAY,
    );
    assert_eq!(error.unwrap_err().fault.reason(), "certificate-expired");
}

#[test]
fn the_name_is_one_of_the_alternative_names_or_the_common_name() {
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let ip = |address: &str| SanType::IpAddress(address.parse().unwrap());
    for (common_name, alternative, host, is_for) in [
        (
            "x",
            vec![dns("lwm2m.example.com")],
            "LWM2M.example.com",
            true,
        ),
        ("x", vec![dns("*.example.com")], "lwm2m.example.com", true),
        ("x", vec![dns("*.example.com")], "a.b.example.com", false),
        ("x", vec![ip("192.0.2.1")], "192.0.2.1", true),
        ("x", vec![ip("2001:db8::1")], "2001:db8:0::1", true),
        ("x", vec![ip("192.0.2.1")], "192.0.2.2", false),
        ("lwm2m.example.com", vec![], "lwm2m.example.com", true),
        ("*.example.com", vec![], "lwm2m.example.com", true),
        ("192.0.2.1", vec![], "192.0.2.1", true),
        ("*.0.2.1", vec![], "192.0.2.1", false),
        ("my_server", vec![], "my_server", true),
        (
            "lwm2m.example.com",
            vec![dns("other.example.com")],
            "lwm2m.example.com",
            false,
        ),
        (
            "lwm2m.example.com",
            vec![ip("192.0.2.1")],
            "lwm2m.example.com",
            false,
        ),
        ("x", vec![], "lwm2m.example.com", false),
        ("x", vec![], "", false),
    ] {
        let root = Authority::root("Root");
        let mut params = named(common_name);
        params.subject_alt_names = alternative.clone();
        let leaf = root.issue(&params).certificate;
        let reference = ServerReference {
            usage: CertificateUsage::TrustAnchorAssertion,
            matching: MatchingType::Exact,
            certificate: root.certificate.as_der(),
            name: Some(host),
        };
        let verdict = verify_server(&chain_of(&[&leaf]), &reference, &store_of(&[]), NOW);
        let case = format!("{common_name} {alternative:?} {host}");
        match verdict {
            Ok(_) => assert!(is_for, "{case}"),
            Err(error) => {
                assert!(!is_for, "{case}: {error}");
                assert_eq!(error.fault.reason(), "certificate-name", "{case}");
            }
        }
    }
}

#[test]
fn the_names_that_it_has_are_told() {
    let server = Server::new();
    let reference = ServerReference {
        usage: CertificateUsage::TrustAnchorAssertion,
        matching: MatchingType::Exact,
        certificate: server.root.certificate.as_der(),
        name: Some("192.0.2.1"),
    };
    let error = verify_server(&server.chain(), &reference, &store_of(&[]), NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "certificate 0 of the chain (CN=server): it is not for 192.0.2.1, but for \
         lwm2m.example.com"
    );
    let unchecked = ServerReference {
        name: None,
        ..reference
    };
    assert!(verify_server(&server.chain(), &unchecked, &store_of(&[]), NOW).is_ok());
}
