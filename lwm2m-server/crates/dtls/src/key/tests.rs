use proptest::prelude::*;

use super::*;

/// d = 1, the key of spec examples: its point is the generator.
const PKCS8_ONE: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420\
    0000000000000000000000000000000000000000000000000000000000000001a144034200\
    046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
    4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const SPKI_ONE: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
    046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
    4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
/// RFC 5915 without curve and public key, as some devices store it.
const SEC1_ONE: &str =
    "302502010104200000000000000000000000000000000000000000000000000000000000000001";
const SPKI_ONE_COMPRESSED: &str = "3039301306072a8648ce3d020106082a8648ce3d030107032200\
    036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|c| (c as char).to_digit(16).map(|d| d as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn reads_pkcs8_and_sec1_of_the_same_key() {
    let pkcs8 = PrivateKey::from_der(&hex(PKCS8_ONE)).unwrap();
    let sec1 = PrivateKey::from_der(&hex(SEC1_ONE)).unwrap();
    assert_eq!(pkcs8.public_key().as_spki(), hex(SPKI_ONE));
    assert_eq!(sec1.public_key(), pkcs8.public_key());
    assert_eq!(pkcs8.to_pkcs8().unwrap().as_slice(), hex(PKCS8_ONE));
}

#[test]
fn reads_pem_with_other_sections_and_line_ends() {
    // `openssl ecparam -name prime256v1 -genkey` writes the parameters first.
    let pem = "some text\r\n-----BEGIN EC PARAMETERS-----\r\nBggqhkjOPQMBBw==\r\n\
               -----END EC PARAMETERS-----\r\n-----BEGIN EC PRIVATE KEY-----\r\n\
               MCUCAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\r\n\
               -----END EC PRIVATE KEY-----\r\n";
    let key = PrivateKey::parse(pem.as_bytes()).unwrap();
    assert_eq!(key.public_key().as_spki(), hex(SPKI_ONE));

    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = PrivateKey::parse(made.serialize_pem().as_bytes()).unwrap();
    let public = PublicKey::parse(made.public_key_pem().as_bytes()).unwrap();
    assert_eq!(key.public_key(), &public);
}

#[test]
fn says_what_a_file_has_instead_of_a_key() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let parse = |text: &str| PrivateKey::parse(text.as_bytes()).unwrap_err();
    assert_eq!(parse(&p384.serialize_pem()), KeyError::NotP256);
    assert_eq!(
        PublicKey::parse(p384.public_key_pem().as_bytes()),
        Err(KeyError::NotP256)
    );
    let empty_rsa = "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(parse(empty_rsa), KeyError::NotP256);
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert_eq!(parse(certificate), KeyError::NoKey);
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----";
    assert_eq!(parse(locked), KeyError::Encrypted);
    assert_eq!(parse(""), KeyError::Malformed);
    assert_eq!(
        parse("-----BEGIN PRIVATE KEY-----\nMAA="),
        KeyError::Malformed
    );
}

#[test]
fn a_key_with_a_byte_after_it_is_refused() {
    for text in [PKCS8_ONE, SEC1_ONE] {
        let long = [hex(text), vec![0]].concat();
        assert_eq!(
            PrivateKey::from_der(&long).unwrap_err(),
            KeyError::Malformed
        );
    }
    let long = [hex(SPKI_ONE), vec![0]].concat();
    assert_eq!(PublicKey::from_spki(&long), Err(KeyError::Malformed));
}

#[test]
fn a_private_key_with_the_public_key_of_another_is_refused() {
    let mut der = hex(PKCS8_ONE);
    der[67] = 2; // the last byte of d
    assert!(PrivateKey::from_der(&der).is_err());
}

#[test]
fn every_form_of_a_public_key_is_the_same_key() {
    let spki = PublicKey::from_spki(&hex(SPKI_ONE)).unwrap();
    assert_eq!(
        PublicKey::from_spki(&hex(SPKI_ONE_COMPRESSED)),
        Ok(spki.clone())
    );
    assert_eq!(PublicKey::from_point(spki.point()), Ok(spki.clone()));
    assert_eq!(PublicKey::from_point(&spki.point()[1..]), Ok(spki.clone()));
    assert_eq!(spki.as_spki().len(), PublicKey::SPKI_BYTES);
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let mut spki = hex(SPKI_ONE);
    spki[90] ^= 1;
    assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::NotP256));
    assert_eq!(PublicKey::from_point(&spki[26..]), Err(KeyError::NotP256));
}

#[test]
fn a_signature_holds_for_its_message_and_its_key_only() {
    let key = PrivateKey::generate().unwrap();
    let signature = key.sign(b"transcript").unwrap();
    assert_eq!(key.public_key().verify(b"transcript", &signature), Ok(()));
    assert_eq!(
        key.public_key().verify(b"transcripT", &signature),
        Err(KeyError::BadSignature)
    );
    let other = PrivateKey::generate().unwrap();
    assert_eq!(
        other.public_key().verify(b"transcript", &signature),
        Err(KeyError::BadSignature)
    );
}

#[test]
fn a_private_key_is_not_printed() {
    let key = PrivateKey::from_der(&hex(PKCS8_ONE)).unwrap();
    let printed = format!("{key:?}");
    assert!(
        printed.starts_with("PrivateKey(of PublicKey(sha256 "),
        "{printed}"
    );
    assert!(!printed.contains("00000000"), "{printed}");
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = PrivateKey::parse(&bytes);
        let _ = PublicKey::parse(&bytes);
        let _ = PublicKey::from_point(&bytes);
    }
}

#[test]
fn a_changed_byte_gives_another_key_or_none() {
    let spki = hex(SPKI_ONE);
    let key = PublicKey::from_spki(&spki);
    assert!(key.is_ok());
    for at in 0..spki.len() {
        for change in 1..=u8::MAX {
            let mut changed = spki.clone();
            changed[at] ^= change;
            assert_ne!(PublicKey::from_spki(&changed), key, "byte {at}, {change}");
        }
    }
}

#[test]
fn the_hybrid_form_of_a_point_is_refused() {
    let key = PublicKey::from_spki(&hex(SPKI_ONE)).unwrap();
    for form in [6, 7] {
        let mut point = key.point().to_vec();
        point[0] = form;
        assert_eq!(PublicKey::from_point(&point), Err(KeyError::Malformed));
        let spki = [&key.as_spki()[..26], &point].concat();
        assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::Malformed));
    }
}
