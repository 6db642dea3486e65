use super::*;

fn id() -> CredentialId {
    CredentialId::new("c").expect("an id")
}

fn psk(identity: &[u8]) -> Credential {
    let key = SecretKey::new(&[7; 16]).expect("a key");
    let identity = identity.into();
    Credential::new(id(), Proof::Psk { identity, key })
}

fn oscore() -> OscoreCredential {
    OscoreCredential {
        master_secret: SecretKey::new(&[7; 16]).expect("a key"),
        master_salt: Vec::new(),
        sender_id: b"srv".to_vec(),
        recipient_id: b"dev1".to_vec(),
        id_context: Some(b"x".to_vec()),
        aead: 10,
        hmac: 5,
    }
}

fn x509(rule: CertificateRule) -> Credential {
    Credential::new(id(), Proof::X509(rule))
}

fn pattern(text: &str) -> NamePattern {
    text.parse().expect(text)
}

fn name(text: &str) -> EndpointName {
    EndpointName::new(text).expect("a name")
}

fn field(credential: &Credential) -> Option<&'static str> {
    credential.check().err().map(|error| error.field)
}

#[test]
fn an_id_is_plain_and_has_an_end() {
    assert!(CredentialId::new(&"x".repeat(64)).is_some());
    assert!(CredentialId::new(&"x".repeat(65)).is_none());
    assert!(CredentialId::new("").is_none());
    assert!(CredentialId::new("a/b").is_none());
    assert_ne!(CredentialId::random(), CredentialId::random());
}

#[test]
fn limits_hold_at_one_above() {
    assert_eq!(field(&psk(&[1; 128])), None);
    assert_eq!(field(&psk(&[1; 129])), Some("identity"));
    assert_eq!(field(&psk(b"")), Some("identity"));
    let named = |count: usize| psk(b"a").endpoints(vec![pattern("x"); count]);
    assert_eq!(field(&named(16)), None);
    assert_eq!(field(&named(17)), Some("endpoints"));
    assert_eq!(field(&named(0)), Some("endpoints"));
    let serial = |length: usize| {
        x509(CertificateRule {
            serial: Some(vec![1; length]),
            ..CertificateRule::default()
        })
    };
    assert_eq!(field(&serial(20)), None);
    assert_eq!(field(&serial(21)), Some("serial"));
    let mut long = psk(b"a");
    long.server_name = Some("x".repeat(255));
    assert_eq!(field(&long), None);
    long.server_name = Some("x".repeat(256));
    assert_eq!(field(&long), Some("server_name"));
}

#[test]
fn an_oscore_context_is_checked() {
    let checked = |change: fn(&mut OscoreCredential)| {
        let mut context = oscore();
        change(&mut context);
        field(&Credential::new(id(), Proof::Oscore(context)))
    };
    assert_eq!(checked(|_| {}), None);
    assert_eq!(checked(|c| c.sender_id = vec![1; 7]), None);
    assert_eq!(checked(|c| c.sender_id = vec![1; 8]), Some("sender_id"));
    assert_eq!(
        checked(|c| c.recipient_id = vec![1; 8]),
        Some("recipient_id")
    );
    assert_eq!(
        checked(|c| c.recipient_id = c.sender_id.clone()),
        Some("recipient_id")
    );
    assert_eq!(checked(|c| c.master_salt = vec![1; 64]), None);
    assert_eq!(
        checked(|c| c.master_salt = vec![1; 65]),
        Some("master_salt")
    );
    assert_eq!(
        checked(|c| c.id_context = Some(vec![1; 65])),
        Some("id_context")
    );
    assert_eq!(checked(|c| c.aead = 24), Some("aead"));
    assert_eq!(checked(|c| c.hmac = 6), Some("hmac"));
}

#[test]
fn a_rule_compares_with_all_that_it_names() {
    let certificate = X509Identity {
        common_name: Some("meter-7".to_owned()),
        alternative_names: vec!["urn:a".to_owned(), "b.example".to_owned()],
        issuer_name: Vec::new(),
        serial: vec![5],
        fingerprint: [1; 32],
        spki_sha256: [2; 32],
    };
    let fits = |change: fn(&mut CertificateRule)| {
        let mut rule = CertificateRule::default();
        change(&mut rule);
        rule.fits(&certificate)
    };
    assert!(fits(|_| {}));
    assert!(fits(|rule| rule.common_name = Some(pattern("meter-*"))));
    assert!(!fits(|rule| rule.common_name = Some(pattern("meter"))));
    assert!(fits(
        |rule| rule.alternative_name = Some(pattern("b.example"))
    ));
    assert!(!fits(
        |rule| rule.alternative_name = Some(pattern("meter-7"))
    ));
    assert!(fits(|rule| rule.serial = Some(vec![5])));
    assert!(!fits(|rule| rule.serial = Some(vec![6])));
    assert!(!fits(|rule| rule.fingerprint = Some([3; 32])));
    assert!(!fits(|rule| rule.spki_sha256 = Some([1; 32])));
    assert!(!fits(|rule| {
        rule.common_name = Some(pattern("meter-7"));
        rule.serial = Some(vec![6]);
    }));
    let with_field = x509(CertificateRule {
        common_name: Some(pattern("{cn}")),
        ..CertificateRule::default()
    });
    assert_eq!(field(&with_field), Some("common_name"));
}

#[test]
fn a_session_has_one_identity_however_the_peer_presents_itself() {
    let open = psk(b"a");
    let plain = open.identify(&PeerIdentity::psk(b"a", None));
    assert_eq!(plain, Some(PeerIdentity::psk(b"a", None)));
    assert_eq!(open.identify(&PeerIdentity::psk(b"a", Some("x"))), plain);
    assert_eq!(open.identify(&PeerIdentity::psk(b"b", None)), None);

    let mut tenant = psk(b"a");
    tenant.server_name = Some("x".to_owned());
    assert_eq!(tenant.identify(&PeerIdentity::psk(b"a", None)), None);
    let at_x = tenant.identify(&PeerIdentity::psk(b"a", Some("x")));
    assert!(at_x.is_some() && at_x != plain);

    let context = Credential::new(id(), Proof::Oscore(oscore()));
    let bare = context.identify(&PeerIdentity::oscore(b"dev1", None));
    let whole = context.identify(&PeerIdentity::oscore(b"dev1", Some(b"x")));
    assert!(bare.is_some() && bare == whole);
    let other = PeerIdentity::oscore(b"dev1", Some(b"y"));
    assert_eq!(context.identify(&other), None);
    assert_eq!(context.identify(&PeerIdentity::psk(b"dev1", None)), None);
}

#[test]
fn a_missing_endpoint_name_comes_from_the_identity_when_there_is_one() {
    let peer = PeerIdentity::psk(b"a", None);
    let chosen = |endpoints: &[&str]| {
        let endpoints = endpoints.iter().map(|text| pattern(text));
        let name = psk(b"a").endpoints(endpoints).endpoint_name(&peer);
        name.map(|name| name.to_string())
    };
    assert_eq!(chosen(&["{identity}"]).as_deref(), Some("a"));
    assert_eq!(chosen(&["meter"]).as_deref(), Some("meter"));
    assert_eq!(chosen(&["a", "{identity}"]).as_deref(), Some("a"));
    assert_eq!(chosen(&["a", "b"]), None);
    assert_eq!(chosen(&["a", "b*"]), None);
    let certificate = PeerIdentity::x509(X509Identity {
        common_name: Some("a".to_owned()),
        alternative_names: vec!["b".to_owned()],
        ..X509Identity::default()
    });
    let any = x509(CertificateRule::default());
    assert_eq!(any.endpoint_name(&certificate), Some(name("a")));
}

#[test]
fn what_a_credential_stands_for_is_covered() {
    assert!(psk(b"a").covers(&name("a")));
    assert!(!psk(b"a").covers(&name("b")));
    assert!(psk(b"a").endpoints([pattern("b*")]).covers(&name("b1")));
    let template = x509(CertificateRule::default()).endpoints([pattern("urn:dev:{cn}")]);
    assert!(template.covers(&name("urn:dev:1")));
    assert!(!template.covers(&name("urn:imei:1")));
}

#[test]
fn an_endpoint_that_no_peer_can_have_is_refused() {
    assert_eq!(
        field(&psk(b"a").endpoints([pattern("{cn}")])),
        Some("endpoints")
    );
    assert_eq!(
        field(&x509(CertificateRule::default()).endpoints([pattern("{cn}")])),
        None
    );
}

#[test]
fn an_operator_hears_of_weak_keys_and_of_shared_ones() {
    let words = |credential: &Credential| -> Vec<&str> {
        credential
            .warnings()
            .iter()
            .map(|warning| warning.code)
            .collect()
    };
    assert!(words(&psk(b"a")).is_empty());
    let key = SecretKey::new(&[7; 15]).expect("a key");
    let identity = b"a".as_slice().into();
    let short = Credential::new(id(), Proof::Psk { identity, key });
    assert_eq!(words(&short), ["short-key"]);
    assert_eq!(words(&psk(b"a").endpoints([pattern("*")])), ["shared-key"]);
    assert!(!format!("{short:?}").contains("7, 7"));
}
