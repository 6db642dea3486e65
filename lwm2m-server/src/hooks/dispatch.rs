//! What interceptors hear after the fact: in order for each device, devices side by side.
//!
//! ```text
//! shards ─ News ─> Herald ─> one line for each device ─> interceptors in their order
//! ```
//!
//! Shards only leave the news. A task on the server's runtime keeps the lines; each device has one
//! call at a time, and an interceptor that does not come back holds up its device until
//! `limits.device_hook_timeout`.
//!
//! A device that moves to another shard is gone there and registered here, and the two shards tell
//! of it independently. The registration says which one it replaces, so that its line waits for the
//! other half of the story.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;
use tokio::sync::mpsc;

use super::{Answer, EndReason, Hook, Interceptor, Update, failed, next_with};
use crate::event::EventSource;
use crate::registration::Location;
use crate::shard::{guarded, hook};
use crate::{EndpointName, Limits, Reason, Registration};

/// Something that has happened to a device.
#[derive(Debug)]
pub(crate) enum News {
    Registered {
        registration: Arc<Registration>,
        /// The registration on another shard that it replaces.
        after: Option<Location>,
    },
    Updated(Arc<Registration>, Arc<Update>),
    Gone {
        registration: Arc<Registration>,
        reason: EndReason,
        /// True when another shard tells of the registration that replaces it.
        superseded: bool,
    },
}

/// Where shards leave news.
#[derive(Debug)]
pub(crate) struct Herald {
    words: mpsc::UnboundedSender<Word>,
    tally: Arc<Tally>,
    max: usize,
}

#[derive(Debug, Default)]
struct Tally {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Word {
    News(News),
    /// The call about a device has come back.
    Done(EndpointName),
    /// The other half of a story has not come for too long.
    Patience(EndpointName, Location),
}

/// How long a registration waits for the one that it replaces.
const OTHER_HALF: Duration = Duration::from_secs(1);

impl News {
    pub(crate) fn registration(&self) -> &Arc<Registration> {
        match self {
            News::Registered { registration, .. }
            | News::Updated(registration, _)
            | News::Gone { registration, .. } => registration,
        }
    }

    pub(crate) fn hook(&self) -> Hook {
        match self {
            News::Registered { .. } => Hook::OnRegistered,
            News::Updated(..) => Hook::OnUpdated,
            News::Gone { .. } => Hook::OnGone,
        }
    }

    fn tell(&self, interceptor: &dyn Interceptor) -> Answer<()> {
        match self {
            News::Registered { registration, .. } => interceptor.on_registered(registration),
            News::Updated(registration, update) => interceptor.on_updated(registration, update),
            News::Gone {
                registration,
                reason,
                ..
            } => interceptor.on_gone(registration, *reason),
        }
    }

    fn waits_for(&self) -> Option<Location> {
        match self {
            News::Registered { after, .. } => *after,
            _ => None,
        }
    }
}

impl Herald {
    /// Starts the task, on the runtime of the caller.
    pub(crate) fn start(
        interceptors: Vec<Arc<dyn Interceptor>>,
        limits: &Limits,
        events: EventSource,
        clock: fn() -> SystemTime,
    ) -> Herald {
        let (words, heard) = mpsc::unbounded_channel();
        let tally = Arc::<Tally>::default();
        let desk = Desk {
            caller: Arc::new(Caller {
                interceptors,
                timeout: limits.device_hook_timeout,
                events,
                clock,
            }),
            words: words.downgrade(),
            tally: Arc::clone(&tally),
            lines: HashMap::new(),
            ready: VecDeque::new(),
            running: 0,
            running_max: limits.device_hooks_parallel_max.max(1),
            each_max: limits.device_hooks_per_device_max.max(1),
        };
        tokio::spawn(desk.run(heard));
        Herald {
            words,
            tally,
            max: limits.device_hooks_max,
        }
    }

    /// Leaves news; false when there is no room, and they are lost.
    pub(crate) fn tell(&self, news: News) -> bool {
        if self.tally.waiting.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.words.send(Word::News(news)).is_ok()
    }

    /// News that were lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.tally.dropped.load(Ordering::Relaxed)
    }
}

/// Keeps the lines.
struct Desk {
    caller: Arc<Caller>,
    words: mpsc::WeakUnboundedSender<Word>,
    tally: Arc<Tally>,
    lines: HashMap<EndpointName, Line>,
    /// Devices with news and no call.
    ready: VecDeque<EndpointName>,
    running: usize,
    running_max: usize,
    each_max: usize,
}

#[derive(Default)]
struct Line {
    news: VecDeque<News>,
    is_called: bool,
    is_ready: bool,
    /// Ends that came before what replaces them.
    superseded: Vec<Location>,
}

impl Desk {
    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Word>) {
        while let Some(word) = heard.recv().await {
            match word {
                Word::News(news) => self.take(news),
                Word::Done(endpoint) => {
                    self.running -= 1;
                    self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
                    if let Some(line) = self.lines.get_mut(&endpoint) {
                        line.is_called = false;
                    }
                    self.look_at(&endpoint);
                }
                Word::Patience(endpoint, other) => {
                    if let Some(line) = self.lines.get_mut(&endpoint) {
                        line.unite(other);
                    }
                    self.look_at(&endpoint);
                }
            }
            self.call();
        }
    }

    fn take(&mut self, mut news: News) {
        let endpoint = news.registration().endpoint.clone();
        let each_max = self.each_max;
        let line = self.lines.entry(endpoint.clone()).or_default();
        if let News::Gone {
            registration,
            superseded: true,
            ..
        } = &news
        {
            let location = registration.id.location();
            match line.unite(location) {
                Some(place) => {
                    line.news.insert(place, news);
                    return self.look_at(&endpoint);
                }
                None => line.superseded.push(location),
            }
        }
        if let News::Registered { after, .. } = &mut news
            && let Some(other) = *after
        {
            match line.superseded.iter().position(|known| *known == other) {
                Some(place) => {
                    line.superseded.remove(place);
                    *after = None;
                }
                None => self.be_patient(&endpoint, other),
            }
        }
        let Some(line) = self.lines.get_mut(&endpoint) else {
            return;
        };
        if line.news.len() < each_max {
            line.news.push_back(news);
        } else {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            self.caller.overloaded(&endpoint, news.hook());
        }
        self.look_at(&endpoint);
    }

    fn be_patient(&self, endpoint: &EndpointName, other: Location) {
        let (words, endpoint) = (self.words.clone(), endpoint.clone());
        tokio::spawn(async move {
            tokio::time::sleep(OTHER_HALF).await;
            if let Some(words) = words.upgrade() {
                let _ = words.send(Word::Patience(endpoint, other));
            }
        });
    }

    /// Puts a device in line for a call when there is something to tell, and forgets it otherwise.
    fn look_at(&mut self, endpoint: &EndpointName) {
        let Some(line) = self.lines.get_mut(endpoint) else {
            return;
        };
        if line.is_called || line.is_ready {
            return;
        }
        match line.news.front() {
            Some(news) if news.waits_for().is_none() => {
                line.is_ready = true;
                self.ready.push_back(endpoint.clone());
            }
            Some(_) => {}
            None if line.superseded.is_empty() => {
                self.lines.remove(endpoint);
            }
            None => {}
        }
    }

    fn call(&mut self) {
        while self.running < self.running_max
            && let Some(endpoint) = self.ready.pop_front()
            && let Some(words) = self.words.upgrade()
        {
            let Some(line) = self.lines.get_mut(&endpoint) else {
                continue;
            };
            line.is_ready = false;
            let Some(news) = line.news.pop_front() else {
                continue;
            };
            line.is_called = true;
            self.running += 1;
            let caller = Arc::clone(&self.caller);
            tokio::spawn(async move {
                caller.tell(&news).await;
                let _ = words.send(Word::Done(endpoint));
            });
        }
    }
}

impl Line {
    /// Lets the registration that waits for another go on; answers its place.
    fn unite(&mut self, other: Location) -> Option<usize> {
        let waits = |news: &News| news.waits_for() == Some(other);
        let place = self.news.iter().position(waits)?;
        if let Some(News::Registered { after, .. }) = self.news.get_mut(place) {
            *after = None;
        }
        Some(place)
    }
}

/// Calls interceptors.
struct Caller {
    interceptors: Vec<Arc<dyn Interceptor>>,
    timeout: Duration,
    events: EventSource,
    clock: fn() -> SystemTime,
}

impl Caller {
    async fn tell(&self, news: &News) {
        let mut from = 0;
        while let Some((place, interceptor)) = next_with(&self.interceptors, from, news.hook()) {
            from = place + 1;
            let told = match hook(|| news.tell(&**interceptor)) {
                Some(Answer::Now(())) => continue,
                Some(Answer::Later(answer)) => {
                    tokio::time::timeout(self.timeout, guarded(answer)).await
                }
                None => Ok(None),
            };
            let reason = match told {
                Ok(Some(())) => continue,
                Ok(None) => Reason::new("extension-panicked", "it panicked: the device goes on")
                    .hint("its message and place are on the standard error output of the server"),
                Err(_) => Reason::new("extension-timeout", "it is too slow: the device goes on")
                    .hint("look after the extension, or raise limits.device_hook_timeout"),
            };
            let endpoint = &news.registration().endpoint;
            self.say(endpoint, interceptor.name(), news.hook(), reason);
        }
    }

    fn overloaded(&self, endpoint: &EndpointName, hook: Hook) {
        let reason = Reason::new(
            "extension-overloaded",
            "it does not hear of this: too much waits",
        )
        .hint("look after the extension, or raise limits.device_hooks_per_device_max");
        self.say(endpoint, "interceptors", hook, reason);
    }

    fn say(&self, endpoint: &EndpointName, extension: &str, hook: Hook, reason: Reason) {
        if let Some(events) = self.events.sender() {
            let at = (self.clock)();
            events.emit(at, Some(endpoint), || failed(extension, hook, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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
                herald: Herald::start(interceptors, &limits, source, || SystemTime::UNIX_EPOCH),
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
            let patience = Duration::from_secs(20);
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
        world.herald.tell(registered("a", 1, Some(0)));
        world.settle().await;
        assert!(world.heard().is_empty());
        world.until(1).await;
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
}
