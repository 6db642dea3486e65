//! What every implementation of an extension trait must do, as functions that anyone can call from a
//! test of their own.
//!
//! ```
//! use std::sync::Arc;
//!
//! use lwm2m_server::conformance;
//! use lwm2m_server::credentials::MemoryCredentials;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::credential_store(|| Arc::new(MemoryCredentials::default())).await;
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{
    CertificateRule, Credential, CredentialChange, CredentialChanges, CredentialFilter,
    CredentialId, CredentialStore, CredentialStoreError, CredentialUpdate, KEYS_PER_IDENTITY_MAX,
    NamePattern, OscoreCredential, Proof, SecretKey,
};
use crate::{EndpointName, PeerIdentity, X509Identity};

/// How long an answer or a change may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds a store of credentials to what [`CredentialStore`] says. `make` gives an empty one, each
/// time another. Answers may be there at once or later.
///
/// # Panics
/// With what is wrong, when the store does not conform.
pub async fn credential_store(make: impl Fn() -> Arc<dyn CredentialStore>) {
    an_empty_store_knows_nobody(&*make()).await;
    peers_are_found_by_what_they_present(&*make()).await;
    two_keys_of_an_identity_are_both_found(&*make()).await;
    an_update_is_taken_as_a_whole_or_not_at_all(&*make()).await;
    names_are_covered(&*make()).await;
    lists_are_in_order_and_come_in_pages(&*make()).await;
    changes_are_told_once_and_refusals_never(&*make()).await;
    of_two_that_want_an_id_one_gets_it(make()).await;
}

async fn an_empty_store_knows_nobody(store: &dyn CredentialStore) {
    let nobody = store.look_up(&PeerIdentity::psk(b"a", None)).await;
    assert!(nobody.is_empty(), "an empty store finds {nobody:?}");
    assert_eq!(store.find(&id("a")).await, None);
    let all = store.list(CredentialFilter::default()).await;
    assert!(all.is_empty(), "an empty store lists {all:?}");
    assert!(!store.covers(&name("a")), "an empty store covers a name");
    let removed = store.remove(id("a")).await;
    let wanted = Err(CredentialStoreError::NotFound(id("a")));
    assert_eq!(removed, wanted, "removal of what is not there");
}

async fn peers_are_found_by_what_they_present(store: &dyn CredentialStore) {
    let rule = CertificateRule {
        common_name: Some("meter-*".parse().expect("a pattern")),
        ..CertificateRule::default()
    };
    let oscore = OscoreCredential {
        master_secret: SecretKey::new(&[1; 16]).expect("a key"),
        master_salt: Vec::new(),
        sender_id: b"srv".to_vec(),
        recipient_id: b"dev".to_vec(),
        id_context: Some(b"fleet".to_vec()),
        aead: 10,
        hmac: 5,
    };
    let credentials = vec![
        psk("psk", b"\xffa", 1),
        Credential::new(id("certificate"), Proof::X509(rule)),
        Credential::new(id("oscore"), Proof::Oscore(oscore)),
    ];
    taken(store, credentials).await;
    let certificate = |common_name: &str| {
        PeerIdentity::x509(X509Identity {
            common_name: Some(common_name.to_owned()),
            ..X509Identity::default()
        })
    };
    for (presented, found) in [
        (PeerIdentity::psk(b"\xffa", None), Some("psk")),
        (PeerIdentity::psk(b"\xffA", None), None),
        (PeerIdentity::psk(b"\xffa ", None), None),
        (certificate("meter-7"), Some("certificate")),
        (certificate("7-meter"), None),
        (PeerIdentity::oscore(b"dev", Some(b"fleet")), Some("oscore")),
        (PeerIdentity::oscore(b"srv", Some(b"fleet")), None),
        (PeerIdentity::rpk(b"spki"), None),
        (PeerIdentity::Anonymous, None),
    ] {
        let ids = found_ids(store, &presented).await;
        let wanted: Vec<&str> = found.into_iter().collect();
        assert_eq!(ids, wanted, "look-up of {presented}");
    }
    let known = store
        .find(&id("psk"))
        .await
        .expect("find of an id that is there");
    assert_eq!(
        *known,
        psk("psk", b"\xffa", 1),
        "what is found is what was put in"
    );
}

async fn two_keys_of_an_identity_are_both_found(store: &dyn CredentialStore) {
    taken(store, vec![psk("new", b"a", 1), psk("old", b"a", 2)]).await;
    let mut ids = found_ids(store, &PeerIdentity::psk(b"a", None)).await;
    ids.sort_unstable();
    assert_eq!(ids, ["new", "old"], "while keys change, both count");
    let third = store.add(vec![psk("third", b"a", 3)]).await;
    assert!(
        third.is_err(),
        "{KEYS_PER_IDENTITY_MAX} keys of one identity, and not one more"
    );
    store
        .remove(id("old"))
        .await
        .expect("removal of what is there");
    let left = found_ids(store, &PeerIdentity::psk(b"a", None)).await;
    assert_eq!(left, ["new"], "a removed key is not found");
}

async fn an_update_is_taken_as_a_whole_or_not_at_all(store: &dyn CredentialStore) {
    taken(store, vec![psk("a", b"a", 1), psk("b", b"b", 1)]).await;
    let twice = store.add(vec![psk("c", b"c", 1), psk("a", b"d", 1)]).await;
    assert!(
        matches!(twice, Err(CredentialStoreError::Taken { index: 1, .. })),
        "an id that is there already: {twice:?}"
    );
    assert_eq!(store.find(&id("c")).await, None, "half an update was taken");
    let update = CredentialUpdate {
        add: vec![psk("c", b"c", 1)],
        remove: vec![id("a"), id("nobody")],
    };
    let missing = store.apply(update).await;
    assert_eq!(missing, Err(CredentialStoreError::NotFound(id("nobody"))));
    assert!(
        store.find(&id("a")).await.is_some(),
        "half an update was taken"
    );
    let update = CredentialUpdate {
        add: vec![psk("a", b"a", 9)],
        remove: vec![id("a")],
    };
    store.apply(update).await.expect("an id may be replaced");
    let replaced = store.find(&id("a")).await.expect("it is there");
    assert_eq!(*replaced, psk("a", b"a", 9), "the key is the new one");
}

async fn names_are_covered(store: &dyn CredentialStore) {
    let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
    let credential = psk("a", b"a", 1).endpoints([pattern("meter-7"), pattern("m.*")]);
    taken(store, vec![credential]).await;
    for (endpoint, covered) in [
        ("meter-7", true),
        ("m.1", true),
        ("Meter-7", false),
        ("x", false),
    ] {
        assert_eq!(store.covers(&name(endpoint)), covered, "{endpoint} covered");
    }
    store
        .remove(id("a"))
        .await
        .expect("removal of what is there");
    assert!(
        !store.covers(&name("meter-7")),
        "covered by what was removed"
    );
}

async fn lists_are_in_order_and_come_in_pages(store: &dyn CredentialStore) {
    let credentials = ["d", "a", "c", "b"].map(|id| psk(id, id.as_bytes(), 1));
    taken(store, credentials.to_vec()).await;
    let ids = async |filter: CredentialFilter| {
        let listed = store.list(filter).await;
        let ids = listed.iter().map(|credential| credential.id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(CredentialFilter::default()).await, ["a", "b", "c", "d"]);
    let filter = CredentialFilter {
        after: Some("a".to_owned()),
        limit: Some(2),
        ..CredentialFilter::default()
    };
    assert_eq!(ids(filter).await, ["b", "c"], "a page behind a");
    let filter = CredentialFilter {
        mode: Some("x509".to_owned()),
        ..CredentialFilter::default()
    };
    assert!(ids(filter).await.is_empty(), "of another mode");
}

async fn changes_are_told_once_and_refusals_never(store: &dyn CredentialStore) {
    let mut changes = store.changes();
    taken(store, vec![psk("a", b"a", 1), psk("b", b"b", 1)]).await;
    let refused = store.add(vec![psk("a", b"x", 1)]).await;
    assert!(refused.is_err(), "an id that is there already");
    store
        .remove(id("b"))
        .await
        .expect("removal of what is there");
    let change = next(&mut changes).await;
    let mut added: Vec<&str> = change.added.iter().map(|c| c.id.as_str()).collect();
    added.sort_unstable();
    assert_eq!(
        (added, change.removed.len()),
        (vec!["a", "b"], 0),
        "first change"
    );
    let change = next(&mut changes).await;
    let removed: Vec<&str> = change.removed.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(
        (removed, change.added.len()),
        (vec!["b"], 0),
        "second change"
    );
}

async fn of_two_that_want_an_id_one_gets_it(store: Arc<dyn CredentialStore>) {
    let adding = [b"a", b"b"].map(|identity| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.add(vec![psk("x", identity, 1)]).await.is_ok() })
    });
    let mut won = 0;
    for adding in adding {
        won += usize::from(adding.await.expect("no panic"));
    }
    assert_eq!(won, 1, "additions of one id at the same time that succeed");
    let all = store.list(CredentialFilter::default()).await;
    assert_eq!(all.len(), 1, "what is there then");
}

async fn taken(store: &dyn CredentialStore, credentials: Vec<Credential>) {
    let taken = tokio::time::timeout(PATIENCE, async { store.add(credentials).await }).await;
    taken
        .expect("an answer in time")
        .expect("good credentials are taken");
}

async fn found_ids(store: &dyn CredentialStore, presented: &PeerIdentity) -> Vec<String> {
    let found = store.look_up(presented).await;
    // A store may answer with more than fits, as `CredentialStore::look_up` says what *may* prove it.
    let fits = found
        .iter()
        .filter(|credential| credential.identify(presented).is_some());
    fits.map(|credential| credential.id.to_string()).collect()
}

async fn next(changes: &mut CredentialChanges) -> Arc<CredentialChange> {
    let next = tokio::time::timeout(PATIENCE, changes.next()).await;
    let next = next.expect("a change is told in time");
    next.expect("the store is there")
        .expect("no change is lost")
}

fn psk(id_text: &str, identity: &[u8], key: u8) -> Credential {
    let proof = Proof::Psk {
        identity: identity.into(),
        key: SecretKey::new(&[key; 16]).expect("a key"),
    };
    Credential::new(id(id_text), proof)
}

fn id(text: &str) -> CredentialId {
    CredentialId::new(text).expect("an id")
}

fn name(text: &str) -> EndpointName {
    EndpointName::new(text).expect("a name")
}
