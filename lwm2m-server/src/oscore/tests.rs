//! Contexts that are looked up, and sequence numbers that follow the clock.

use lwm2m_coap::{MessageBuilder, MessageType, Token};
use lwm2m_oscore::SecurityContext;

use super::*;
use crate::EndpointName;
use crate::credentials::{
    CredentialChanges, CredentialFilter, CredentialId, CredentialStoreError, CredentialUpdate,
    MemoryCredentials, SecretKey,
};

fn name() -> ContextName {
    ContextName {
        recipient_id: KeyId::default(),
        id_context: None,
    }
}

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + ClockSequences::EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_restart_starts_behind_all_that_could_have_been_used() {
    let first = ClockSequences {
        clock: || at(110),
        ..ClockSequences::new(|| at(100))
    };
    assert_eq!(first.start(&name()), 100 * 1024);
    assert_eq!(first.reserve(&name(), 105 * 1024), 105 * 1024);
    assert_eq!(
        first.reserve(&name(), 110 * 1024 + 1),
        110 * 1024,
        "not yet"
    );
    assert_eq!(first.start(&name()), 110 * 1024, "dropped and loaded again");
    let restarted = ClockSequences::new(|| at(110));
    assert_eq!(restarted.start(&name()), 110 * 1024);
    let serving = ClockSequences {
        clock: || at(110) + ClockSequences::HEAD_START,
        ..restarted
    };
    assert!(serving.reserve(&name(), u64::MAX) >= 110 * 1024 + 10);
}

fn credential(kid: &[u8]) -> Credential {
    let oscore = OscoreCredential {
        master_secret: SecretKey::new(b"secret").expect("a key"),
        master_salt: Vec::new(),
        sender_id: b"srv".to_vec(),
        recipient_id: kid.to_vec(),
        id_context: None,
        aead: 10,
        hmac: 5,
    };
    Credential::new(CredentialId::random(), Proof::Oscore(oscore))
}

fn of(store: Arc<dyn CredentialStore>, contexts_max: usize) -> Arc<Oscore> {
    let sequences = Arc::new(ClockSequences::new(SystemTime::now));
    Oscore::new(store, sequences, contexts_max)
}

fn memory() -> MemoryCredentials {
    let store = MemoryCredentials::default();
    let credentials = vec![credential(b"a"), credential(b"b")];
    let LookUp::Now(taken) = store.add(credentials) else {
        panic!("memory answers at once");
    };
    taken.expect("good credentials");
    store
}

/// The first request of the device with this Sender ID.
fn ask(oscore: &Oscore, kid: &[u8]) -> SecurityFault {
    let theirs = parameters(match &credential(kid).proof {
        Proof::Oscore(oscore) => oscore,
        _ => unreachable!("it is one"),
    });
    let ours = theirs.expect("good parameters");
    let device = Parameters {
        sender_id: ours.recipient_id,
        recipient_id: ours.sender_id,
        ..ours
    };
    let mut device = SecurityContext::derive(&device, ReplayState::Unused, 0).expect("derived");
    device.reserve(1);
    let mut plain = Vec::new();
    let confirmable = MessageType::Confirmable;
    MessageBuilder::new(&mut plain, confirmable, Code::POST, 1, &Token::EMPTY).finish();
    let plain = Message::parse(&plain).expect("a message");
    let mut content = Vec::new();
    let (code, _) = device
        .protect_request(&plain, &mut content)
        .expect("protected");
    let outer = plain.with_content(code, &content).expect("a message");
    let asked = oscore.unprotect_request(&outer, outer.payload(), &mut Vec::new());
    asked.expect_err("the first use is challenged at best")
}

#[test]
fn one_context_more_than_the_limit_is_put_off() {
    let oscore = of(Arc::new(memory()), 1);
    let fault = ask(&oscore, b"a");
    assert!(is_challenge(fault.reason), "{fault:?}");
    let context = fault.challenge.expect("a challenge").binding.context;
    let owner = oscore.authenticated(context).expect("its credential");
    assert_eq!(owner.identity, PeerIdentity::oscore(b"a", None));
    assert_eq!(oscore.context_of(&owner.identity), Some(context));
    assert_eq!(ask(&oscore, b"b").code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&oscore, b"c").reason, "security context not found");
}

/// Answers when the test lets it.
struct Slow(MemoryCredentials, Arc<tokio::sync::Semaphore>);

impl CredentialStore for Slow {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        let (answer, gate) = (self.0.look_up(identity), Arc::clone(&self.1));
        LookUp::Later(Box::pin(async move {
            let _open = gate.acquire().await;
            answer.await
        }))
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.0.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        self.0.find(id)
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.0.list(filter)
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        self.0.apply(update)
    }

    fn changes(&self) -> CredentialChanges {
        self.0.changes()
    }
}

#[tokio::test]
async fn a_slow_store_is_asked_and_the_device_comes_again() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let oscore = of(Arc::new(Slow(memory(), Arc::clone(&gate))), 10);
    assert_eq!(ask(&oscore, b"a").code, Code::SERVICE_UNAVAILABLE);
    gate.add_permits(1);
    while oscore
        .context_of(&PeerIdentity::oscore(b"a", None))
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    assert!(is_challenge(ask(&oscore, b"a").reason));
}

#[test]
fn the_last_number_is_far_away() {
    let year = 366 * 24 * 3600;
    assert!(ClockSequences::number(at(33 * year)) < lwm2m_oscore::PARTIAL_IV_MAX);
    assert_eq!(ClockSequences::number(UNIX_EPOCH), 0);
}
