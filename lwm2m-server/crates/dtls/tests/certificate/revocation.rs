//! Certificates that their issuers have taken back.

use lwm2m_dtls::{CertificateError, CertificateFault, RevocationLists, verify_client};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::make::{Authority, NOW, authority_params, chain_of, named, store_of};

fn with_serial(common_name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = named(common_name);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params
}

/// A list of these serial numbers, as PEM and as DER.
fn list(of: &Authority, serials: &[&[u8]]) -> (String, Vec<u8>) {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2026, 2, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 2, 1),
        // Long ago at NOW: a list counts all the same.
        next_update: date_time_ymd(2026, 3, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&of.issuer).expect("signed");
    (list.pem().expect("text"), list.der().to_vec())
}

fn parsed(bytes: &[u8]) -> RevocationLists {
    RevocationLists::parse(bytes).expect("a list")
}

#[test]
fn a_revoked_certificate_is_refused_and_others_of_its_issuer_are_not() {
    let root = Authority::root("Root");
    // With the highest bit: a zero stands before it in DER.
    let (gone, good) = (with_serial("gone", &[0x80, 7]), with_serial("good", &[8]));
    let (gone, good) = (root.issue(&gone), root.issue(&good));
    let verify = |lists: Option<RevocationLists>, holder: &crate::make::Holder| {
        let mut store = root.store();
        if let Some(lists) = lists {
            store.revoke(lists);
        }
        verify_client(&chain_of(&[&holder.certificate]), &store, NOW)
    };
    verify(None, &gone).expect("before");
    let (pem, der) = list(&root, &[&[0x80, 7]]);
    for bytes in [pem.as_bytes(), &der] {
        let error = verify(Some(parsed(bytes)), &gone).expect_err("revoked");
        assert_eq!(error.fault, CertificateFault::Revoked);
        assert_eq!(error.fault.reason(), "certificate-revoked");
        assert_eq!(error.fault.alert(), 44);
        let culprit = error.culprit.expect("the device's");
        assert_eq!((culprit.position, culprit.subject.as_str()), (0, "CN=gone"));
        verify(Some(parsed(bytes)), &good).expect("not in the list");
    }
}

#[test]
fn an_intermediate_certificate_may_be_the_revoked_one() {
    let root = Authority::root("Root");
    let mut params = authority_params("Middle");
    params.serial_number = Some(SerialNumber::from_slice(&[9]));
    let middle = root.below(params);
    let device = middle.issue(&named("device"));
    let chain = chain_of(&[&device.certificate, &middle.certificate]);
    let mut store = root.store();
    // The list of another issuer says nothing of it, whatever the numbers.
    store.revoke(parsed(&list(&Authority::root("Other"), &[&[9]]).1));
    verify_client(&chain, &store, NOW).expect("not this one");
    store.revoke(parsed(&list(&root, &[&[9]]).1));
    let error = verify_client(&chain, &store, NOW).expect_err("revoked");
    assert_eq!(error.fault, CertificateFault::Revoked);
    assert_eq!(error.culprit.expect("a certificate").position, 1);
}

#[test]
fn a_list_that_another_key_signed_is_not_believed_and_nobody_gets_by() {
    let root = Authority::root("Root");
    let impostor = Authority::root("Root");
    let device = root.issue(&named("device"));
    let mut store = root.store();
    store.revoke(parsed(&list(&impostor, &[]).1));
    let verified: Result<_, CertificateError> =
        verify_client(&chain_of(&[&device.certificate]), &store, NOW);
    let error = verified.expect_err("it cannot be told");
    assert_eq!(error.fault, CertificateFault::RevocationList);
}

#[test]
fn a_certificate_of_the_store_itself_is_believed_as_it_is() {
    let root = Authority::root("Root");
    let device = root.issue(&with_serial("device", &[7]));
    let mut store = store_of(&[&root.certificate, &device.certificate]);
    store.revoke(parsed(&list(&root, &[&[7]]).1));
    verify_client(&chain_of(&[&device.certificate]), &store, NOW).expect("pinned");
}

#[test]
fn what_is_no_list_is_named() {
    let (good, _) = list(&Authority::root("Root"), &[]);
    let pem = |body: &str| format!("-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n");
    for (bytes, position, part) in [
        (b"".to_vec(), 0, ""),
        (b"\x30\x00".to_vec(), 0, ""),
        (
            b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_vec(),
            0,
            "no X509 CRL",
        ),
        (format!("{good}{}", pem("MAA=")).into_bytes(), 1, ""),
        (format!("{good}{}", pem("!")).into_bytes(), 1, "no PEM"),
    ] {
        let error = RevocationLists::parse(&bytes).expect_err("no list");
        assert_eq!(error.position, position, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
