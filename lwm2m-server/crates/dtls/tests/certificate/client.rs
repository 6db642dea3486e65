//! Chains of devices, as a server sees them.

use lwm2m_dtls::{CertificateError, CertificateFault, TrustStore, X509Identity, verify_client};
use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString, UniversalString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
    date_time_ymd,
};

use super::make::{
    Authority, DAY, NOW, authority_params, certificate, chain_of, named, self_signed, store_of,
};

/// What is wrong, and the place and subject of the certificate at fault.
fn fault(error: CertificateError) -> (CertificateFault, usize, String) {
    let culprit = error.culprit.expect("a certificate is to blame");
    (error.fault, culprit.position, culprit.subject)
}

fn verify(root: &Authority, params: &CertificateParams) -> Result<X509Identity, CertificateError> {
    let device = root.issue(params);
    verify_client(&chain_of(&[&device.certificate]), &root.store(), NOW)
}

#[test]
fn a_good_chain_gives_the_identity() {
    let root = Authority::root("Root");
    let mut params = named("urn:imei:350123451234560");
    params.serial_number = Some(SerialNumber::from(vec![0x0a, 0xff]));
    params.subject_alt_names = vec![
        SanType::DnsName("meter-7.example.com".try_into().unwrap()),
        SanType::URI("urn:dev:ops:32473-meter-7".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::Rfc822Name("meter-7@example.com".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let device = root.issue(&params);
    let identity =
        verify_client(&chain_of(&[&device.certificate]), &root.store(), NOW).expect("holds");
    assert_eq!(
        identity.common_name.as_deref(),
        Some("urn:imei:350123451234560")
    );
    assert_eq!(identity.dns_names, ["meter-7.example.com"]);
    assert_eq!(identity.uris, ["urn:dev:ops:32473-meter-7"]);
    let addresses: Vec<String> = identity
        .ip_addresses
        .iter()
        .map(|ip| ip.to_string())
        .collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(identity.emails, ["meter-7@example.com"]);
    assert_eq!(identity.serial, [0x0a, 0xff]);
    assert_eq!(identity.issuer, "CN=Root");
    assert_eq!(identity.fingerprint, device.certificate.fingerprint());
    assert_eq!(&identity.public_key, device.key.public_key());
    assert_eq!(
        identity.spki_sha256(),
        device.key.public_key().spki_sha256()
    );
}

#[test]
fn the_extensions_for_usage_may_be_missing() {
    let root = Authority::root("Root");
    assert!(verify(&root, &named("device")).is_ok());
}

#[test]
fn an_expired_certificate_is_named_with_its_date() {
    let root = Authority::root("Root");
    let mut params = named("device");
    params.not_after = date_time_ymd(2026, 5, 1);
    let error = verify(&root, &params).unwrap_err();
    assert_eq!(
        error.to_string(),
        "certificate 0 of the chain (CN=device): expired since 2026-05-01 00:00:00 UTC"
    );
    assert_eq!(error.fault.reason(), "certificate-expired");
    assert_eq!(error.fault.alert(), 45);
}

#[test]
fn validity_holds_to_the_second() {
    let root = Authority::root("Root");
    let device = root.issue(&named("device"));
    let chain = chain_of(&[&device.certificate]);
    let not_before = u64::try_from(device.certificate.not_before_unix_s()).unwrap();
    let not_after = u64::try_from(device.certificate.not_after_unix_s()).unwrap();
    for pinned in [false, true] {
        let store = if pinned {
            store_of(&[&device.certificate])
        } else {
            root.store()
        };
        assert!(verify_client(&chain, &store, not_before).is_ok());
        assert!(verify_client(&chain, &store, not_after).is_ok());
        let (early, ..) = fault(verify_client(&chain, &store, not_before - 1).unwrap_err());
        assert!(
            matches!(early, CertificateFault::NotYetValid { .. }),
            "{early}"
        );
        let (late, ..) = fault(verify_client(&chain, &store, not_after + 1).unwrap_err());
        assert!(matches!(late, CertificateFault::Expired { .. }), "{late}");
    }
}

#[test]
fn an_expired_intermediate_certificate_is_the_one_that_is_named() {
    let root = Authority::root("Root");
    let mut params = authority_params("Factory");
    params.not_after = date_time_ymd(2026, 2, 1);
    let factory = root.below(params);
    let device = factory.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &factory.certificate]);
    let (fault, position, subject) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert!(matches!(fault, CertificateFault::Expired { .. }), "{fault}");
    assert_eq!((position, subject.as_str()), (1, "CN=Factory"));
}

#[test]
fn intermediate_certificates_may_come_in_any_order_and_with_the_root() {
    let root = Authority::root("Root");
    let region = root.below(authority_params("Region"));
    let factory = region.below(authority_params("Factory"));
    let device = factory.issue(&named("device"));
    let (device, factory, region) = (
        &device.certificate,
        &factory.certificate,
        &region.certificate,
    );
    for chain in [
        chain_of(&[device, factory, region]),
        chain_of(&[device, region, factory]),
        chain_of(&[device, factory, region, &root.certificate]),
    ] {
        assert!(verify_client(&chain, &root.store(), NOW).is_ok());
    }
    // An intermediate authority may be trusted in place of the root.
    let store = store_of(&[factory]);
    assert!(verify_client(&chain_of(&[device]), &store, NOW).is_ok());
}

#[test]
fn a_missing_intermediate_certificate_is_named_as_the_issuer() {
    let root = Authority::root("Root");
    let region = root.below(authority_params("Region"));
    let factory = region.below(authority_params("Factory"));
    let device = factory.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &factory.certificate]);
    let (fault, position, _) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    let issuer = "CN=Region".to_owned();
    assert_eq!(fault, CertificateFault::UnknownIssuer { issuer });
    assert_eq!(position, 1);
    assert_eq!(fault.alert(), 48);
}

#[test]
fn another_ca_is_unknown_and_one_of_the_same_name_is_a_forgery() {
    let root = Authority::root("Root");
    let device = Authority::root("Other").issue(&named("device"));
    let chain = chain_of(&[&device.certificate]);
    let (stranger, ..) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    let issuer = "CN=Other".to_owned();
    assert_eq!(stranger, CertificateFault::UnknownIssuer { issuer });

    let device = Authority::root("Root").issue(&named("device"));
    let chain = chain_of(&[&device.certificate]);
    let (forged, position, _) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert_eq!((forged, position), (CertificateFault::BadSignature, 0));
}

#[test]
fn nobody_is_believed_without_a_trust_store() {
    let root = Authority::root("Root");
    let device = root.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &root.certificate]);
    let (fault, position, _) = fault(verify_client(&chain, &TrustStore::new(), NOW).unwrap_err());
    let issuer = "CN=Root".to_owned();
    assert_eq!(fault, CertificateFault::UnknownIssuer { issuer });
    assert_eq!(position, 1);
}

#[test]
fn usages_are_held_to() {
    let root = Authority::root("Root");
    let mut params = named("device");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (wrong, ..) = fault(verify(&root, &params).unwrap_err());
    let required = "clientAuth";
    assert_eq!(wrong, CertificateFault::ExtendedKeyUsage { required });
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ClientAuth);
    assert!(verify(&root, &params).is_ok());

    params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    let (wrong, ..) = fault(verify(&root, &params).unwrap_err());
    assert_eq!(wrong, CertificateFault::KeyUsage);
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    assert!(verify(&root, &params).is_ok());
}

#[test]
fn an_intermediate_certificate_with_another_usage_is_named() {
    let root = Authority::root("Root");
    let mut params = authority_params("Servers only");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let factory = root.below(params);
    let device = factory.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &factory.certificate]);
    let (fault, position, _) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert!(
        matches!(fault, CertificateFault::ExtendedKeyUsage { .. }),
        "{fault}"
    );
    assert_eq!(position, 1);
}

#[test]
fn a_device_certifies_nobody() {
    let root = Authority::root("Root");
    let device = root.below(named("device"));
    let friend = device.issue(&named("friend"));
    let chain = chain_of(&[&friend.certificate, &device.certificate]);
    let (fault, position, _) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert_eq!((fault, position), (CertificateFault::NotAnAuthority, 1));
    // Nor when its certificate was pinned.
    let store = store_of(&[&device.certificate]);
    assert!(verify_client(&chain_of(&[&device.certificate]), &store, NOW).is_ok());
    let chain = chain_of(&[&friend.certificate]);
    let error = verify_client(&chain, &store, NOW).unwrap_err();
    assert_eq!(error.fault.reason(), "certificate-issuer-unknown");
    // Nor is a CA one that may sign CRLs only.
    let mut params = authority_params("CRLs only");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let crls = root.below(params);
    let store = store_of(&[&crls.certificate]);
    let device = crls.issue(&named("device"));
    assert!(verify_client(&chain_of(&[&device.certificate]), &store, NOW).is_err());
}

#[test]
fn a_ca_is_no_device_unless_its_certificate_is_pinned() {
    let root = Authority::root("Root");
    let mut params = named("device");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let device = root.issue(&params);
    let chain = chain_of(&[&device.certificate]);
    let (fault, ..) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert_eq!(fault, CertificateFault::IsAuthority);
    // `openssl req -x509` makes self-signed certificates like this one.
    let device = self_signed(&params);
    let store = store_of(&[&device.certificate]);
    let identity = verify_client(&chain_of(&[&device.certificate]), &store, NOW).expect("pinned");
    assert_eq!(identity.common_name.as_deref(), Some("device"));
}

#[test]
fn a_pinned_certificate_is_held_to_its_usages_too() {
    let mut params = named("device");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let device = self_signed(&params);
    let store = store_of(&[&device.certificate]);
    let (wrong, ..) =
        fault(verify_client(&chain_of(&[&device.certificate]), &store, NOW).unwrap_err());
    assert_eq!(wrong.reason(), "certificate-usage");
    // Another certificate of the same name and key is another certificate.
    let stranger = self_signed(&named("device"));
    let chain = chain_of(&[&stranger.certificate]);
    let error = verify_client(&chain, &store, NOW).unwrap_err();
    assert_eq!(error.fault.reason(), "certificate-issuer-unknown");
}

#[test]
fn constraints_of_authorities_are_held_to() {
    let root = Authority::root("Root");
    let mut params = authority_params("Last");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let last = root.below(params);
    let beyond = last.below(authority_params("Beyond"));
    let device = beyond.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &beyond.certificate, &last.certificate]);
    let (fault_, position, _) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert_eq!((fault_, position), (CertificateFault::PathLength, 2));

    let mut params = authority_params("Example only");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let factory = root.below(params);
    let mut params = named("device");
    params.subject_alt_names = vec![SanType::DnsName("a.example.org".try_into().unwrap())];
    let device = factory.issue(&params);
    let chain = chain_of(&[&device.certificate, &factory.certificate]);
    let (constrained, ..) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
    assert_eq!(constrained, CertificateFault::NameConstraint);
}

#[test]
fn authorities_may_use_p384_and_rsa_and_devices_may_not() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256] {
        let root = Authority::root_with("Root", algorithm);
        assert!(verify(&root, &named("device")).is_ok(), "{algorithm:?}");

        let key = KeyPair::generate_for(algorithm).unwrap();
        let device = named("device").signed_by(&key, &root.issuer).unwrap();
        let chain = chain_of(&[&certificate(&device)]);
        let (other_key, ..) = fault(verify_client(&chain, &root.store(), NOW).unwrap_err());
        assert_eq!(other_key, CertificateFault::KeyNotP256);
    }
    let root = Authority::root_with("Root", &rcgen::PKCS_ED25519);
    let (unsupported, position, _) = fault(verify(&root, &named("device")).unwrap_err());
    assert_eq!(
        (unsupported, position),
        (CertificateFault::UnsupportedAlgorithm, 0)
    );
}

#[test]
fn a_critical_extension_that_nobody_knows_is_named() {
    let root = Authority::root("Root");
    let mut params = named("device");
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    let (unknown, position, _) = fault(verify(&root, &params).unwrap_err());
    assert_eq!((unknown, position), (CertificateFault::Unsupported, 0));
}

#[test]
fn common_names_are_read_in_every_encoding() {
    let root = Authority::root("Root");
    let ascii = "meter 7";
    let umlaut = "Z\u{e4}hler 7";
    for (value, expected) in [
        (DnValue::Utf8String("\u{1f4a7} 7".to_owned()), "\u{1f4a7} 7"),
        (
            DnValue::PrintableString(PrintableString::try_from(ascii).unwrap()),
            ascii,
        ),
        (
            DnValue::Ia5String(Ia5String::try_from(ascii).unwrap()),
            ascii,
        ),
        (
            DnValue::TeletexString(TeletexString::try_from(ascii).unwrap()),
            ascii,
        ),
        (
            DnValue::BmpString(BmpString::try_from(umlaut).unwrap()),
            umlaut,
        ),
        (
            DnValue::UniversalString(UniversalString::try_from(umlaut).unwrap()),
            umlaut,
        ),
    ] {
        let mut params = named("");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, value);
        let identity = verify(&root, &params).expect("holds");
        assert_eq!(identity.common_name.as_deref(), Some(expected));
    }
}

#[test]
fn a_common_name_that_is_missing_or_no_line_of_text_is_none() {
    let root = Authority::root("Root");
    let mut params = named("");
    assert_eq!(verify(&root, &params).unwrap().common_name, None);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example");
    assert_eq!(verify(&root, &params).unwrap().common_name, None);
    let params = named("admin\0.example.com");
    assert_eq!(verify(&root, &params).unwrap().common_name, None);
}

#[test]
fn a_stranger_cannot_write_into_our_log() {
    let device = self_signed(&named(&format!("x\n\u{1b}[31m{}", "y".repeat(5000))));
    let chain = chain_of(&[&device.certificate]);
    let error = verify_client(&chain, &TrustStore::new(), NOW).unwrap_err();
    let shown = error.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.len() < 1000, "{}", shown.len());
}

#[test]
fn the_time_is_only_what_we_are_told() {
    let root = Authority::root("Root");
    let device = root.issue(&named("device"));
    let chain = chain_of(&[&device.certificate]);
    assert!(verify_client(&chain, &root.store(), NOW + 400 * DAY).is_err());
    assert!(verify_client(&chain, &root.store(), u64::MAX).is_err());
    assert!(verify_client(&chain, &root.store(), 0).is_err());
}
