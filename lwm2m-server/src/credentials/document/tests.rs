use super::*;

fn read(json: &str) -> Result<Credential, CredentialError> {
    let document: CredentialDocument = serde_json::from_str(json).expect(json);
    document.credential()
}

fn field(json: &str) -> &'static str {
    read(json).expect_err(json).field
}

#[test]
fn every_mode_reads_back_as_it_was() {
    for json in [
        r#"{"id":"a","mode":"psk","endpoints":["m-*","{identity}"],"server_name":"x","identity":"é","key":"00ff"}"#,
        r#"{"id":"b","mode":"psk","endpoints":["m"],"identity_hex":"ff00","key":"00ff"}"#,
        r#"{"id":"c","mode":"rpk","endpoints":["m"],"spki_sha256":"0000000000000000000000000000000000000000000000000000000000000001"}"#,
        r#"{"id":"d","mode":"x509","endpoints":["urn:dev:{cn}"],"common_name":"m-*","alternative_name":"*.x","serial":"0aff","fingerprint":"0000000000000000000000000000000000000000000000000000000000000001"}"#,
        r#"{"id":"e","mode":"oscore","endpoints":["m"],"master_secret":"0102","master_salt":"03","sender_id":"srv","recipient_id_hex":"00","id_context":"04","aead":10,"hmac":5}"#,
    ] {
        let credential = read(json).expect(json);
        let document = CredentialDocument::with_key(&credential);
        let fields = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let again = serde_json::to_string(&document).expect("JSON");
        assert_eq!(fields(&again), fields(json));
        assert_eq!(document.credential().as_ref(), Ok(&credential));

        let shown = serde_json::to_string(&CredentialDocument::without_key(&credential));
        let shown = shown.expect("JSON");
        for secret in ["key", "master_secret", "master_salt", "00ff", "0102"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_key_may_be_hexadecimal_base64_or_text_and_the_mode_is_seen() {
    let written = [
        r#"{"identity":"a","key":"61626364"}"#,
        r#"{"identity":"a","key_base64":"YWJjZA=="}"#,
        r#"{"identity":"a","key_text":"abcd"}"#,
    ];
    let proofs = written.map(|json| read(json).expect(json).proof);
    assert_eq!(proofs[0], proofs[1]);
    assert_eq!(proofs[0], proofs[2]);
    let by_mode = |json: &str| read(json).expect(json).mode();
    assert_eq!(by_mode(r#"{"common_name":"*"}"#), "x509");
    assert_eq!(
        by_mode(r#"{"master_secret":"01","recipient_id":"a"}"#),
        "oscore"
    );
}

#[test]
fn a_public_key_goes_by_its_hash() {
    // What `openssl pkey -pubout` writes for the base point of P-256.
    let spki = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
                6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==";
    let json = serde_json::json!({ "spki": spki, "endpoints": ["m"] }).to_string();
    let Proof::Rpk { spki_sha256 } = read(&json).expect("a key").proof else {
        panic!("a raw public key");
    };
    let der = BASE64.decode(spki.replace('\n', "")).expect("base64");
    assert_eq!(spki_sha256, sha256(&der));
    for wrong in ["", "MFk=", "!", "YWJjZA=="] {
        let json = serde_json::json!({ "spki": wrong, "endpoints": ["m"] }).to_string();
        assert_eq!(field(&json), "spki", "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_field() {
    let key = "61".repeat(65);
    for (json, wrong) in [
        ("{}", "mode"),
        (r#"{"mode":"nosec"}"#, "mode"),
        (r#"{"spki_sha256":"00"}"#, "mode"),
        (r#"{"id":"a/b","identity":"a","key":"00"}"#, "id"),
        (r#"{"identity":"a"}"#, "key"),
        (r#"{"key":"00"}"#, "identity"),
        (r#"{"identity":"","key":"00"}"#, "identity"),
        (
            r#"{"identity":"a","identity_hex":"61","key":"00"}"#,
            "identity",
        ),
        (r#"{"identity_hex":"6","key":"00"}"#, "identity_hex"),
        (r#"{"identity":"a","key":"0"}"#, "key"),
        (r#"{"identity":"a","key":"zz"}"#, "key"),
        (r#"{"identity":"a","key":""}"#, "key"),
        (&format!(r#"{{"identity":"a","key":"{key}"}}"#), "key"),
        (r#"{"identity":"a","key":"00","key_text":"a"}"#, "key"),
        (r#"{"identity":"a","key_base64":"*"}"#, "key_base64"),
        (r#"{"mode":"x509","key":"00"}"#, "key"),
        (
            r#"{"identity":"a","key":"00","common_name":"x"}"#,
            "common_name",
        ),
        (
            r#"{"identity":"a","key":"00","endpoints":["{x}"]}"#,
            "endpoints",
        ),
        (
            r#"{"identity":"a","key":"00","endpoints":["{cn}"]}"#,
            "endpoints",
        ),
        (r#"{"common_name":"{cn}"}"#, "common_name"),
        (r#"{"mode":"x509","fingerprint":"00"}"#, "fingerprint"),
        (r#"{"mode":"x509","serial":""}"#, "serial"),
        (
            r#"{"mode":"rpk","spki_sha256":"00","endpoints":["m"]}"#,
            "spki_sha256",
        ),
        (r#"{"mode":"rpk","spki":"MAA="}"#, "endpoints"),
        (r#"{"master_secret":"01"}"#, "recipient_id"),
        (r#"{"sender_id":"a"}"#, "master_secret"),
        (r#"{"mode":"x509","server_name":"x"}"#, "server_name"),
    ] {
        assert_eq!(field(json), wrong, "{json}");
    }
}

#[test]
fn nothing_that_is_printed_holds_a_key() {
    let secret = SecretText::from("00ff".to_owned());
    assert!(!format!("{secret:?}").contains("00ff"));
    let error = read(r#"{"identity":"a","key":"secretsecret"}"#).expect_err("no hexadecimal");
    assert!(!error.to_string().contains("secret"), "{error}");
    let error = serde_json::from_str::<CredentialDocument>(r#"{"key":424242}"#);
    let error = error.err().expect("no text").to_string();
    assert!(!error.contains("424242"), "{error}");
}

#[test]
fn an_id_is_made_up_and_serial_numbers_lose_their_zeros() {
    let credential = read(r#"{"mode":"x509","serial":"000aff"}"#).expect("a rule");
    let Proof::X509(rule) = &credential.proof else {
        panic!("a rule");
    };
    assert_eq!(rule.serial.as_deref(), Some(&[0x0a, 0xff][..]));
    assert_eq!(credential.id.as_str().len(), 24);
}
