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

use super::{
    Answer, BootstrapEnd, EndReason, Hook, Interceptor, Update, any_with, failed, next_with,
};
use crate::event::EventSource;
use crate::observe::{Cause, Observer};
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
    Bootstrapped(Arc<BootstrapEnd>),
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
    pub(crate) fn endpoint(&self) -> &EndpointName {
        match self {
            News::Registered { registration, .. }
            | News::Updated(registration, _)
            | News::Gone { registration, .. } => &registration.endpoint,
            News::Bootstrapped(end) => &end.endpoint,
        }
    }

    pub(crate) fn hook(&self) -> Hook {
        match self {
            News::Registered { .. } => Hook::OnRegistered,
            News::Updated(..) => Hook::OnUpdated,
            News::Bootstrapped(_) => Hook::OnBootstrapped,
            News::Gone { .. } => Hook::OnGone,
        }
    }

    fn tell(&self, interceptor: &dyn Interceptor) -> Answer<()> {
        match self {
            News::Registered { registration, .. } => interceptor.on_registered(registration),
            News::Updated(registration, update) => interceptor.on_updated(registration, update),
            News::Bootstrapped(end) => interceptor.on_bootstrapped(end),
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
        observer: Observer,
        clock: fn() -> SystemTime,
    ) -> Herald {
        let (words, heard) = mpsc::unbounded_channel();
        let tally = Arc::<Tally>::default();
        let desk = Desk {
            caller: Arc::new(Caller {
                interceptors,
                timeout: limits.device_hook_timeout,
                events,
                observer,
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
        let endpoint = news.endpoint().clone();
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
            self.caller.pass_on(&news);
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
    /// Hears of a device when interceptors have.
    observer: Observer,
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
            self.say(news.endpoint(), interceptor.name(), news.hook(), reason);
        }
        self.pass_on(news);
    }

    /// Tells that a device may need other observations.
    fn pass_on(&self, news: &News) {
        let cause = match news {
            News::Registered { .. } => Cause::Registered,
            News::Updated(_, update) if update.objects_changed() => Cause::Links,
            _ => return,
        };
        if self.observer.is_active() || any_with(&self.interceptors, Hook::ObservePlan) {
            self.observer.look(news.endpoint(), cause);
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
mod tests;
