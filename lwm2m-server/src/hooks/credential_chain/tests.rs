//! Who is asked for credentials, in which order, and how often.

use super::*;
use crate::credentials::{CredentialRevision, MemoryCredentials, Proof, SecretKey};
use crate::event::EventSender;
use crate::{Authenticated, Events};

/// Answers by the identity that is presented.
struct Clerk(&'static str, AtomicUsize);

impl Interceptor for Clerk {
    fn name(&self) -> &str {
        self.0
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let name = request.presented.name().unwrap_or_default();
        let who = self.0;
        let says = move |word: &str| match word {
            "grant" | "grant-later" => CredentialAnswer::Grant {
                credential: Arc::new(psk(who, &name, who)),
                cache: Duration::ZERO,
            },
            "kept" | "kept2" => CredentialAnswer::Grant {
                credential: Arc::new(psk(who, &name, who)),
                cache: Duration::from_secs(60),
            },
            "other" => CredentialAnswer::Grant {
                credential: Arc::new(psk(who, "somebody", who)),
                cache: Duration::ZERO,
            },
            "deny" => CredentialAnswer::Deny {
                why: "stolen".to_owned(),
            },
            _ => CredentialAnswer::Unknown,
        };
        let word = request.presented.name().unwrap_or_default();
        let word = word.strip_prefix("psk ").unwrap_or(&word).to_owned();
        match (who, word.as_str()) {
            ("first", "second") => Answer::Now(CredentialAnswer::Unknown),
            (_, "second") => Answer::Now(says("grant")),
            (_, "cursed") => panic!("a bug in an extension"),
            (_, "later") => Answer::later(async move { says("grant-later") }),
            (_, "later-cursed") => Answer::later(async { panic!("a bug in an extension") }),
            (_, "nobody-later") => Answer::later(async move { CredentialAnswer::Unknown }),
            (_, "never") => Answer::later(std::future::pending()),
            _ => Answer::Now(says(&word)),
        }
    }
}

struct World {
    chain: CredentialChain,
    first: Arc<Clerk>,
    events: Events,
    _sender: EventSender,
}

/// A clerk that a test keeps hold of.
struct Of(Arc<Clerk>);

impl Interceptor for Of {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        self.0.credentials(request)
    }
}

async fn world(configure: impl FnOnce(&mut Limits)) -> World {
    let (sender, source) = EventSender::new(64);
    let events = source.subscribe();
    let first = Arc::new(Clerk("first", AtomicUsize::new(0)));
    let second = Arc::new(Clerk("second", AtomicUsize::new(0)));
    let interceptors: Vec<Arc<dyn Interceptor>> =
        vec![Arc::new(Of(Arc::clone(&first))), Arc::new(Of(second))];
    let store = MemoryCredentials::default();
    let stored = ["stored", "nobody-later", "deny"];
    let stored = stored.map(|name| psk(name, name, "store"));
    store.add(stored.to_vec()).await.expect("taken");
    let mut limits = Limits {
        hook_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    configure(&mut limits);
    let clock = || (Instant::now(), SystemTime::UNIX_EPOCH);
    World {
        chain: CredentialChain::new(interceptors, Some(Arc::new(store)), source, &limits, clock),
        first,
        events,
        _sender: sender,
    }
}

fn psk(id: &str, identity: &str, key: &str) -> Credential {
    let proof = Proof::Psk {
        identity: identity.as_bytes().into(),
        key: SecretKey::new(key.as_bytes()).expect("a key"),
    };
    Credential::new(CredentialId::new(id).expect("an id"), proof)
}

impl World {
    /// Whose key an identity gets.
    async fn key_of(&self, identity: &str) -> Option<String> {
        let presented = PeerIdentity::psk(identity.as_bytes(), None);
        let found = self.chain.look_up(&presented).await;
        let Proof::Psk { key, .. } = &found.first()?.proof else {
            panic!("a key");
        };
        Some(String::from_utf8_lossy(key.expose()).into_owned())
    }

    fn asked(&self) -> usize {
        self.first.1.swap(0, Ordering::Relaxed)
    }

    /// What has been told since the last look.
    fn told(&mut self) -> Vec<&'static str> {
        let events = std::iter::from_fn(|| self.events.try_next());
        events
            .map(|event| match &event.kind {
                EventKind::Refused { reason, .. } | EventKind::ExtensionFailed { reason, .. } => {
                    assert!(reason.hint.is_some());
                    reason.code
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

#[tokio::test]
async fn the_first_answer_counts_and_then_comes_the_store() {
    let mut world = world(|_| {}).await;
    for (identity, key) in [
        ("grant", Some("first")),
        ("second", Some("second")),
        ("later", Some("first")),
        ("stored", Some("store")),
        ("nobody-later", Some("store")),
        ("unknown", None),
    ] {
        assert_eq!(world.key_of(identity).await.as_deref(), key, "{identity}");
    }
    assert!(world.told().is_empty());
}

#[tokio::test]
async fn who_denies_or_fails_lets_nobody_in_and_it_is_told() {
    let mut world = world(|_| {}).await;
    for (identity, word) in [
        ("deny", "credential-denied"),
        ("cursed", "extension-panicked"),
        ("later-cursed", "extension-panicked"),
        ("never", "extension-timeout"),
        ("other", "credential-unusable"),
    ] {
        assert_eq!(world.key_of(identity).await, None, "{identity}");
        assert_eq!(world.told(), [word]);
    }
    assert_eq!(world.key_of("grant").await.as_deref(), Some("first"));
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_says_and_as_there_is_room() {
    let world = world(|limits| limits.granted_credentials_max = 1).await;
    for (identity, asked) in [("grant", 1), ("grant", 1), ("kept", 1), ("kept", 0)] {
        assert_eq!(world.key_of(identity).await.as_deref(), Some("first"));
        assert_eq!(world.asked(), asked, "{identity}");
    }
    // One more than there is room for is asked for each time.
    for _ in 0..2 {
        assert_eq!(world.key_of("kept2").await.as_deref(), Some("first"));
        assert_eq!(world.asked(), 1);
    }
    assert_eq!(world.key_of("kept").await.as_deref(), Some("first"));
    assert_eq!(world.asked(), 0);
    world.chain.forget();
    assert_eq!(world.key_of("kept").await.as_deref(), Some("first"));
    assert_eq!(world.asked(), 1, "forgotten");
}

#[tokio::test]
async fn one_look_up_more_than_may_wait_finds_nothing() {
    let mut world = world(|limits| {
        limits.credential_lookups_max = 1;
        limits.hook_timeout = Duration::from_secs(60);
    })
    .await;
    let presented = PeerIdentity::psk(b"never", None);
    let waits = world.chain.look_up(&presented);
    assert!(matches!(waits, LookUp::Later(_)));
    assert_eq!(world.key_of("later").await, None);
    assert_eq!(world.told(), ["credentials-overloaded"]);
    drop(waits);
    assert_eq!(world.key_of("later").await.as_deref(), Some("first"));
}

#[tokio::test]
async fn what_is_granted_outlives_a_look_at_the_whole_store() {
    let world = world(|_| {}).await;
    let nothing = CredentialRevision::of_all([]);
    for (identity, outlives) in [("grant", true), ("stored", false)] {
        let presented = PeerIdentity::psk(identity.as_bytes(), None);
        let found = world.chain.look_up(&presented).await;
        let session = Authenticated::by(&found[0], &presented).expect("its own");
        let left = nothing.apply(&Arc::new(session));
        assert_eq!(left.is_some(), outlives, "{identity}");
    }
}
