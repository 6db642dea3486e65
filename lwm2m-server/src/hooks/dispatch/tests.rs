//! What is told of which device, and in which order.

use std::sync::Mutex;
use std::time::Instant;

use lwm2m_core::Version;
use tokio::sync::Semaphore;

use super::*;
use crate::event::{EventKind, EventSender};
use crate::{Binding, Events, HookSet, PeerIdentity, RegistrationId};

/// Writes down what it hears, one word at a time.
struct Scribe {
    heard: Arc<Mutex<Vec<String>>>,
    may_go_on: Arc<Semaphore>,
}

impl Scribe {
    fn note(&self, registration: &Registration, word: &str) -> Answer<()> {
        let line = format!("{} {word}", registration.endpoint);
        let (heard, may_go_on) = (Arc::clone(&self.heard), Arc::clone(&self.may_go_on));
        Answer::later(async move {
            may_go_on.acquire().await.expect("open").forget();
            heard.lock().expect("no panic").push(line);
        })
    }
}

impl Interceptor for Scribe {
    fn hooks(&self) -> HookSet {
        [Hook::OnRegistered, Hook::OnUpdated, Hook::OnGone]
            .into_iter()
            .collect()
    }

    fn on_registered(&self, registration: &Arc<Registration>) -> Answer<()> {
        self.note(
            registration,
            &format!("in {}", registration.id.location().shard),
        )
    }

    fn on_updated(&self, registration: &Arc<Registration>, _: &Arc<Update>) -> Answer<()> {
        match registration.endpoint.as_str() {
            "stuck" => Answer::later(std::future::pending()),
            "cursed" => panic!("a bug in an extension"),
            _ => self.note(registration, "up"),
        }
    }

    fn on_gone(&self, registration: &Arc<Registration>, reason: EndReason) -> Answer<()> {
        self.note(registration, &format!("{reason:?}"))
    }
}

struct World {
    herald: Herald,
    heard: Arc<Mutex<Vec<String>>>,
    may_go_on: Arc<Semaphore>,
    events: Events,
    _sender: EventSender,
}

impl World {
    fn new(configure: impl FnOnce(&mut Limits)) -> World {
        let (sender, source) = EventSender::new(64);
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let may_go_on = Arc::new(Semaphore::new(0));
        let scribe = Scribe {
            heard: Arc::clone(&heard),
            may_go_on: Arc::clone(&may_go_on),
        };
        let mut limits = Limits::default();
        configure(&mut limits);
        let events = source.subscribe();
        let interceptors: Vec<Arc<dyn Interceptor>> = vec![Arc::new(scribe)];
        World {
            herald: Herald::start(
                interceptors,
                &limits,
                source,
                Observer::new(Default::default(), Default::default(), 1).0,
                || SystemTime::UNIX_EPOCH,
            ),
            heard,
            may_go_on,
            events,
            _sender: sender,
        }
    }

    /// Lets everything run that can.
    async fn settle(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so much has been heard.
    async fn until(&self, count: usize) {
        let heard = async {
            while self.heard().len() < count {
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, heard).await.expect("heard");
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    async fn failure(&mut self) -> (Option<String>, &'static str) {
        let event = self.events.next().await.expect("it runs").expect("room");
        match &event.kind {
            EventKind::ExtensionFailed { reason, .. } => {
                assert!(reason.hint.is_some());
                (
                    event.endpoint.as_ref().map(ToString::to_string),
                    reason.code,
                )
            }
            other => panic!("{other:?}"),
        }
    }
}

fn registration(endpoint: &str, shard: u16) -> Arc<Registration> {
    Arc::new(Registration {
        endpoint: EndpointName::new(endpoint).expect("a name"),
        id: RegistrationId::new(at(shard), 0),
        version: Version::V1_1,
        lifetime_s: 60,
        binding: Binding::UDP,
        sms: None,
        objects: Arc::default(),
        annotations: Vec::new(),
        peer: ([127, 0, 0, 1], 1).into(),
        identity: PeerIdentity::Anonymous,
        registered_at: SystemTime::UNIX_EPOCH,
        updated_at: SystemTime::UNIX_EPOCH,
        awake: true,
    })
}

fn at(shard: u16) -> Location {
    Location {
        shard,
        generation: 1,
        slot: 0,
    }
}

fn registered(endpoint: &str, shard: u16, after: Option<u16>) -> News {
    News::Registered {
        registration: registration(endpoint, shard),
        after: after.map(at),
    }
}

fn updated(endpoint: &str) -> News {
    News::Updated(registration(endpoint, 0), Arc::default())
}

fn gone(endpoint: &str, shard: u16, superseded: bool) -> News {
    News::Gone {
        registration: registration(endpoint, shard),
        reason: EndReason::Replaced,
        superseded,
    }
}

#[tokio::test]
async fn each_device_is_told_of_in_order_and_one_at_a_time() {
    let world = World::new(|_| {});
    for word in [registered("a", 0, None), updated("a"), gone("a", 0, false)] {
        assert!(world.herald.tell(word));
    }
    world.may_go_on.add_permits(1);
    world.settle().await;
    assert_eq!(world.heard(), ["a in 0"]);
    world.may_go_on.add_permits(2);
    world.settle().await;
    assert_eq!(world.heard(), ["a in 0", "a up", "a Replaced"]);
}

#[tokio::test]
async fn the_two_halves_of_a_move_come_in_order_whoever_is_first() {
    let world = World::new(|_| {});
    world.may_go_on.add_permits(99);
    world.herald.tell(registered("a", 1, Some(0)));
    world.herald.tell(updated("a"));
    world.herald.tell(gone("a", 0, true));
    world.herald.tell(gone("b", 0, true));
    world.herald.tell(registered("b", 1, Some(0)));
    world.settle().await;
    let of = |name: &str| -> Vec<String> {
        let heard = world.heard().into_iter();
        heard.filter(|line| line.starts_with(name)).collect()
    };
    assert_eq!(of("a"), ["a Replaced", "a in 1", "a up"]);
    assert_eq!(of("b"), ["b Replaced", "b in 1"]);
}

#[tokio::test]
async fn a_half_that_never_comes_is_not_waited_for_long() {
    let world = World::new(|_| {});
    world.may_go_on.add_permits(9);
    let begun = Instant::now();
    world.herald.tell(registered("a", 1, Some(0)));
    world.until(1).await;
    assert!(begun.elapsed() >= OTHER_HALF, "{:?}", begun.elapsed());
    assert_eq!(world.heard(), ["a in 1"]);
}

#[tokio::test]
async fn who_never_comes_back_holds_up_its_device_and_no_other() {
    let mut world = World::new(|limits| {
        limits.device_hooks_parallel_max = 2;
        limits.device_hook_timeout = Duration::from_millis(300);
    });
    world.may_go_on.add_permits(9);
    world.herald.tell(updated("stuck"));
    world.herald.tell(gone("stuck", 0, false));
    world.herald.tell(updated("a"));
    world.until(1).await;
    assert_eq!(world.heard(), ["a up"]);
    assert_eq!(
        world.failure().await,
        (Some("stuck".to_owned()), "extension-timeout")
    );
    world.until(2).await;
    assert_eq!(world.heard(), ["a up", "stuck Replaced"]);
    world.herald.tell(updated("cursed"));
    assert_eq!(
        world.failure().await,
        (Some("cursed".to_owned()), "extension-panicked")
    );
}

#[tokio::test]
async fn what_does_not_fit_is_lost_counted_and_told() {
    let mut world = World::new(|limits| {
        limits.device_hooks_max = 4;
        limits.device_hooks_per_device_max = 2;
    });
    // One is being told, two wait, one more has no room.
    world.herald.tell(updated("a"));
    world.settle().await;
    for _ in 0..2 {
        assert!(world.herald.tell(updated("a")));
    }
    assert!(world.herald.tell(gone("a", 0, false)));
    let lost = world.failure().await;
    assert_eq!(lost, (Some("a".to_owned()), "extension-overloaded"));
    assert_eq!(world.herald.dropped(), 1);
    assert!(world.herald.tell(updated("b")));
    assert!(!world.herald.tell(updated("c")), "no room in all");
    assert_eq!(world.herald.dropped(), 2);
    world.may_go_on.add_permits(9);
    world.settle().await;
    assert_eq!(world.heard().len(), 4);
    assert!(world.herald.tell(updated("c")), "there is room again");
}
