use super::*;
use crate::credentials::{CertificateRule, OscoreCredential, SecretKey};
use crate::identity::X509Identity;

fn id(text: &str) -> CredentialId {
    CredentialId::new(text).expect("an id")
}

fn name(text: &str) -> EndpointName {
    EndpointName::new(text).expect("a name")
}

fn psk(id_text: &str, identity: &str, key: &[u8]) -> Credential {
    let proof = Proof::Psk {
        identity: identity.as_bytes().into(),
        key: SecretKey::new(key).expect("a key"),
    };
    Credential::new(id(id_text), proof)
}

fn rule(id_text: &str, change: impl FnOnce(&mut CertificateRule)) -> Credential {
    let mut rule = CertificateRule::default();
    change(&mut rule);
    Credential::new(id(id_text), Proof::X509(rule))
}

fn now<T>(look_up: LookUp<T>) -> T {
    match look_up {
        LookUp::Now(answer) => answer,
        LookUp::Later(_) => panic!("memory answers at once"),
    }
}

fn found(store: &MemoryCredentials, identity: &PeerIdentity) -> Vec<String> {
    let found = now(store.look_up(identity));
    found
        .iter()
        .map(|credential| credential.id.to_string())
        .collect()
}

fn add(store: &MemoryCredentials, credential: Credential) -> Result<(), CredentialStoreError> {
    now(store.add(vec![credential]))
}

#[test]
fn a_peer_is_found_by_what_it_presents() {
    let store = MemoryCredentials::default();
    let peer = PeerIdentity::rpk(b"spki");
    let PeerIdentity::Rpk(rpk) = &peer else {
        panic!("a raw public key");
    };
    let oscore = OscoreCredential {
        master_secret: SecretKey::new(&[1; 16]).expect("a key"),
        master_salt: Vec::new(),
        sender_id: vec![1],
        recipient_id: vec![2],
        id_context: None,
        aead: 10,
        hmac: 5,
    };
    let credentials = vec![
        psk("p", "a", b"k"),
        Credential::new(
            id("r"),
            Proof::Rpk {
                spki_sha256: rpk.sha256,
            },
        ),
        rule("any", |_| {}),
        rule("cn", |rule| {
            rule.common_name = Some(NamePattern::exact("meter"))
        }),
        rule("fp", |rule| rule.fingerprint = Some([9; 32])),
        Credential::new(id("o"), Proof::Oscore(oscore)),
    ];
    assert_eq!(now(store.add(credentials)), Ok(()));
    assert_eq!(found(&store, &PeerIdentity::psk(b"a", Some("any"))), ["p"]);
    assert_eq!(found(&store, &PeerIdentity::psk(b"b", None)), [""; 0]);
    assert_eq!(found(&store, &peer), ["r"]);
    assert_eq!(found(&store, &PeerIdentity::oscore(&[2], None)), ["o"]);
    assert_eq!(found(&store, &PeerIdentity::oscore(&[1], None)), [""; 0]);
    assert_eq!(found(&store, &PeerIdentity::Anonymous), [""; 0]);
    let certificate = |common_name: &str, fingerprint| {
        PeerIdentity::x509(X509Identity {
            common_name: Some(common_name.to_owned()),
            fingerprint: [fingerprint; 32],
            ..X509Identity::default()
        })
    };
    assert_eq!(found(&store, &certificate("x", 1)), ["any"]);
    assert_eq!(found(&store, &certificate("meter", 9)), ["fp", "cn", "any"]);
}

#[test]
fn two_keys_stand_side_by_side_and_a_third_does_not() {
    let store = MemoryCredentials::default();
    assert_eq!(add(&store, psk("old", "a", b"1")), Ok(()));
    let same = add(&store, psk("same", "a", b"1"));
    assert!(matches!(same, Err(CredentialStoreError::Taken { .. })));
    assert_eq!(add(&store, psk("new", "a", b"2")), Ok(()));
    let third = add(&store, psk("third", "a", b"3")).expect_err("refused");
    assert_eq!(
        third.to_string(),
        "identity: old, new has this identity: remove it first"
    );
    let mut tenant = psk("tenant", "a", b"3");
    tenant.server_name = Some("x".to_owned());
    assert_eq!(add(&store, tenant), Ok(()), "another tenant's");
    assert_eq!(
        found(&store, &PeerIdentity::psk(b"a", None)),
        ["old", "new"]
    );
    assert_eq!(now(store.remove(id("old"))), Ok(()));
    assert_eq!(found(&store, &PeerIdentity::psk(b"a", None)), ["new"]);
}

#[test]
fn an_update_is_taken_as_a_whole_or_not_at_all() {
    let store = MemoryCredentials::default();
    now(store.add(vec![psk("a", "a", b"1"), psk("b", "b", b"1")])).expect("taken");
    let before = store.all();
    let update = CredentialUpdate {
        remove: vec![id("a")],
        add: vec![psk("c", "c", b"1"), psk("b", "d", b"1")],
    };
    let error = now(store.apply(update)).expect_err("b is there already");
    assert!(
        matches!(error, CredentialStoreError::Taken { index: 1, .. }),
        "{error:?}"
    );
    assert_eq!(store.all(), before);
    assert_eq!(found(&store, &PeerIdentity::psk(b"a", None)), ["a"]);
    assert!(!store.covers(&name("c")));
    let missing = CredentialUpdate {
        remove: vec![id("a"), id("a")],
        add: Vec::new(),
    };
    assert_eq!(
        now(store.apply(missing)),
        Err(CredentialStoreError::NotFound(id("a")))
    );
    assert_eq!(store.all(), before);
}

#[test]
fn endpoint_names_are_covered_as_long_as_a_credential_stands_for_them() {
    let store = MemoryCredentials::default();
    let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
    let imei = psk("i", "x", b"1").endpoints([pattern("urn:{identity}"), pattern("m-*")]);
    now(store.add(vec![psk("a", "a", b"1"), psk("a2", "a", b"2"), imei])).expect("taken");
    let covered = |text| store.covers(&name(text));
    assert!(covered("a") && covered("urn:x") && covered("m-7"));
    assert!(!covered("x") && !covered("m7"));
    for (gone, left) in [("a", true), ("a2", false)] {
        assert_eq!(now(store.remove(id(gone))), Ok(()));
        assert_eq!(covered("a"), left);
    }
    assert_eq!(now(store.remove(id("i"))), Ok(()));
    assert!(!covered("urn:x") && !covered("m-7"));
}

#[test]
fn one_more_than_the_limits_is_refused() {
    let store = MemoryCredentials::new(CredentialLimits {
        credentials_max: 3,
        patterns_max: 1,
        ..CredentialLimits::default()
    });
    assert_eq!(add(&store, rule("r1", |_| {})), Ok(()));
    let error = add(&store, rule("r2", |rule| rule.serial = Some(vec![1])));
    assert_eq!(error, Err(CredentialStoreError::TooManyPatterns { max: 1 }));
    assert_eq!(add(&store, psk("a", "a", b"1")), Ok(()));
    assert_eq!(add(&store, psk("b", "b", b"1")), Ok(()));
    let error = add(&store, psk("c", "c", b"1"));
    assert_eq!(error, Err(CredentialStoreError::Full { max: 3 }));
}

#[test]
fn pages_go_in_the_order_of_ids() {
    let store = MemoryCredentials::default();
    let many = (0..5).map(|n| psk(&format!("c{n}"), &format!("d{n}"), b"1"));
    now(store.add(many.collect())).expect("taken");
    let page = |after: Option<&str>, endpoint: Option<&str>| -> Vec<String> {
        let filter = CredentialFilter {
            after: after.map(str::to_owned),
            limit: Some(2),
            endpoint: endpoint.map(name),
            mode: Some("psk".to_owned()),
        };
        let page = now(store.list(filter));
        page.iter()
            .map(|credential| credential.id.to_string())
            .collect()
    };
    assert_eq!(page(None, None), ["c0", "c1"]);
    assert_eq!(page(Some("c3"), None), ["c4"]);
    assert_eq!(page(None, Some("d3")), ["c3"]);
}

#[tokio::test]
async fn subscribers_hear_what_came_and_what_went() {
    let store = MemoryCredentials::default();
    let mut changes = store.changes();
    add(&store, psk("a", "a", b"1")).expect("taken");
    let update = CredentialUpdate {
        remove: vec![id("a")],
        add: vec![psk("a", "a", b"2")],
    };
    now(store.apply(update)).expect("taken");
    let first = changes.next().await.expect("open").expect("all heard");
    assert_eq!((first.added.len(), first.removed.len()), (1, 0));
    let second = changes.next().await.expect("open").expect("all heard");
    assert_eq!((second.added.len(), second.removed.len()), (1, 1));
    assert_ne!(second.added, second.removed);
    drop(store);
    assert!(changes.next().await.is_none());
}
