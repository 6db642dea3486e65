//! Which certificate a client is shown.

use lwm2m_dtls::{PrivateKey, ServerCertificate, ServerCertificateError, ServerCertificates};
use rcgen::SanType;

use super::make::{Authority, chain_of, key, named, self_signed};

fn server(common_name: &str, names: &[&str]) -> ServerCertificate {
    let mut params = named(common_name);
    for name in names {
        let name = (*name).try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    let made = self_signed(&params);
    ServerCertificate::new(chain_of(&[&made.certificate]), made.key).expect("belong together")
}

#[test]
fn the_server_name_selects_exactly_then_by_wildcard_then_the_default() {
    let mut certificates = ServerCertificates::new(server("default", &["a.example.com"]));
    certificates.add(server("wild", &["*.example.com"]));
    certificates.add(server("b", &["B.example.com", "b.example.org"]));
    certificates.add(server("late", &["a.example.com"]));
    certificates.add(server("c.example.net", &[]));
    for (name, expected, is_for_name) in [
        (None, "CN=default", true),
        (Some("a.example.com"), "CN=default", true),
        (Some("b.EXAMPLE.com"), "CN=b", true),
        (Some("b.example.org."), "CN=b", true),
        (Some("z.example.com"), "CN=wild", true),
        (Some("y.z.example.com"), "CN=default", false),
        (Some("c.example.net"), "CN=c.example.net", true),
        (Some("example.com"), "CN=default", false),
        (Some(""), "CN=default", false),
    ] {
        let selection = certificates.select(name);
        assert_eq!(selection.certificate.leaf().subject(), expected, "{name:?}");
        assert_eq!(selection.is_for_name, is_for_name, "{name:?}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let made = self_signed(&named("server"));
    let other = PrivateKey::from_der(key().serialized_der()).unwrap();
    let error = ServerCertificate::new(chain_of(&[&made.certificate]), other).unwrap_err();
    let subject = "CN=server".to_owned();
    assert_eq!(error, ServerCertificateError::AnotherKey { subject });
}

#[test]
fn a_server_key_of_another_curve_is_refused() {
    let root = Authority::root_with("server", &rcgen::PKCS_ECDSA_P384_SHA384);
    let key = PrivateKey::generate().unwrap();
    let error = ServerCertificate::new(chain_of(&[&root.certificate]), key).unwrap_err();
    assert!(error.to_string().contains("P-256"), "{error}");
}
