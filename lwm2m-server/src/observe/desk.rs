//! Who is looked at, and when: one run for each device, so many side by side as the limit says.
//!
//! ```text
//! Word ─> look ─> line ──(slot)──> Run ─> settled | unfinished: waits until the device is heard of
//!                  ^                       | later, busy, retry: waits for its time
//!                  └───────────────────────┘
//! ```
//!
//! A device is known by the place of its registration: when another one has taken its name, the run
//! of the older one ends at once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::asking::Asking;
use super::memory::{BackOff, Memory};
use super::observer::{Cause, Observer, Word, Words};
use super::pace::Pace;
use super::rule::ObserveRule;
use super::run::{Context, Outcome, Place, Run};
use super::sweep::Sweep;
use super::unanswered::Unanswered;
use crate::EndpointName;
use crate::event::EventSource;
use crate::mailbox::Command;
use crate::registration::Location;
use crate::shard::{Shared, guarded};

/// Looks after the plans of all devices.
pub(crate) struct Desk {
    context: Arc<Context>,
    shared: Arc<Shared>,
    observer: Observer,
    words: Words,
    devices: HashMap<EndpointName, Subject>,
    /// Devices of them whose plan is being made, or waits until they are heard of.
    unfinished: usize,
    line: VecDeque<EndpointName>,
    /// What is due later.
    late: BinaryHeap<Reverse<(Instant, EndpointName)>>,
    runs: JoinSet<Report>,
    slots: Arc<Semaphore>,
    sweep: Sweep,
    pace: Pace,
    pages: JoinSet<Vec<EndpointName>>,
}

/// A device that has a plan, or needs a look.
struct Subject {
    location: Location,
    phase: Phase,
    /// Another look is due behind the one that runs.
    again: Option<Cause>,
    /// It goes on when it is heard of.
    waits: bool,
    memory: Option<Box<Memory>>,
}

enum Phase {
    Idle,
    InLine(Cause),
    /// Until its time; where it is firm, nothing else brings it forward.
    Late {
        due: Instant,
        cause: Cause,
        firm: bool,
    },
    Running(AbortHandle, Arc<AtomicBool>, Cause),
}

/// What has come of a run.
type Report = (EndpointName, Location, Option<(Outcome, Memory)>);

/// When a busy server is asked again.
const BUSY: Duration = Duration::from_secs(1);

/// Names that a look at all devices takes at a time.
const PAGE: usize = 8192;
/// It goes on while the line is shorter than that.
const LINE_SHORT: usize = 1024;

impl Desk {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        words: Words,
        mailboxes: Vec<mpsc::WeakSender<Command>>,
        events: EventSource,
    ) -> Desk {
        let limits = &shared.config.limits;
        let permits = |max: usize| Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        let asking = Asking {
            interceptors: shared.interceptors.clone(),
            observer: shared.observer.clone(),
            timeout: limits.hook_timeout,
            targets_max: limits.observe_targets_max,
            events,
            clock: std::time::SystemTime::now,
        };
        Desk {
            context: Arc::new(Context {
                asking,
                mailboxes,
                repairs_max: limits.observe_repairs_max,
                back_off: BackOff {
                    retries_max: limits.observe_retries_max,
                    delay: limits.observe_retry_delay,
                    delay_max: limits.observe_retry_delay_max,
                },
                unanswered: Unanswered::new(
                    limits.observe_unanswered_max,
                    limits.observe_unanswered_time,
                ),
                bench: permits(limits.observe_plans_waiting_max),
            }),
            slots: permits(limits.observe_plans_parallel_max),
            observer: shared.observer.clone(),
            shared: Arc::clone(shared),
            words,
            devices: HashMap::new(),
            unfinished: 0,
            line: VecDeque::new(),
            late: BinaryHeap::new(),
            runs: JoinSet::new(),
            sweep: Sweep::default(),
            pace: Pace::new(limits.observe_replans_per_second, Instant::now()),
            pages: JoinSet::new(),
        }
    }

    /// Runs until the server stops; runs that are under way end with it.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let due = self.late.peek().map(|Reverse((due, _))| *due);
            let due_at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                stopped = stop.changed() => if stopped.is_err() || *stop.borrow() {
                    return;
                },
                Some(word) = self.words.0.recv() => self.take(word),
                Some(report) = self.runs.join_next(), if !self.runs.is_empty() => {
                    // An error says that the run was ended by us.
                    if let Ok(report) = report {
                        self.report(report);
                    }
                }
                Some(page) = self.pages.join_next(), if !self.pages.is_empty() => {
                    if let Ok(page) = page {
                        self.sweep.page(page);
                    }
                }
                Ok(slot) = Arc::clone(&self.slots).acquire_owned(), if !self.line.is_empty() => {
                    self.start(slot);
                }
                () = tokio::time::sleep_until(due_at), if due.is_some() => self.pass_time(),
                () = tokio::time::sleep_until(self.pace.due()), if self.is_next_of_all() => {
                    self.look_at_next();
                }
            }
            self.fetch_names();
            let sweeping = self.sweep.is_under_way();
            let (known, unfinished) = (self.devices.len(), self.unfinished);
            let unanswered = self.context.unanswered.len();
            let counts = (known, unfinished, unanswered);
            self.observer.publish(counts, sweeping);
        }
    }

    fn take(&mut self, word: Word) {
        self.observer.taken(&word);
        match word {
            Word::Look(endpoint, cause) => self.look(endpoint, cause),
            Word::Sweep => self.sweep.start(),
            Word::Missed => self.catch_up(),
        }
    }

    /// Makes up for words that found no room.
    fn catch_up(&mut self) {
        let directory = &self.shared.directory;
        let known = self.devices.keys().cloned();
        let ended: Vec<EndpointName> = known
            .filter(|name| directory.find(name).is_none())
            .collect();
        for endpoint in ended {
            self.forget(&endpoint);
        }
        self.sweep.start_anew();
    }

    /// Does what a look asks for.
    fn look(&mut self, endpoint: EndpointName, cause: Cause) {
        let Some(location) = self.shared.directory.find(&endpoint) else {
            return self.forget(&endpoint);
        };
        if self
            .devices
            .get(&endpoint)
            .is_some_and(|subject| subject.location != location)
        {
            self.forget(&endpoint);
        }
        if cause == Cause::Ended || cause < Cause::Links && !self.devices.contains_key(&endpoint) {
            return;
        }
        let subject = self.devices.entry(endpoint.clone()).or_insert(Subject {
            location,
            phase: Phase::Idle,
            again: None,
            waits: false,
            memory: None,
        });
        let is_running = matches!(subject.phase, Phase::Running(..));
        match cause {
            Cause::Lost => {
                self.unfinished += usize::from(!subject.waits && !is_running);
                subject.waits = true;
                return;
            }
            Cause::Heard if !subject.waits && !is_running => return,
            _ => {}
        }
        match &mut subject.phase {
            Phase::Running(_, newer, _) => {
                subject.again = subject.again.max(Some(cause));
                if cause > Cause::Heard {
                    newer.store(true, Ordering::Relaxed);
                }
            }
            Phase::Late {
                cause: known,
                firm: false,
                ..
            } => {
                let cause = cause.max(*known);
                self.join(endpoint, cause);
            }
            Phase::InLine(known) | Phase::Late { cause: known, .. } => *known = cause.max(*known),
            Phase::Idle => self.join(endpoint, cause),
        }
    }

    /// Puts a device in line.
    fn join(&mut self, endpoint: EndpointName, cause: Cause) {
        if let Some(subject) = self.devices.get_mut(&endpoint) {
            subject.phase = Phase::InLine(cause);
            self.line.push_back(endpoint);
        }
    }

    /// Looks at the first in line.
    fn start(&mut self, slot: OwnedSemaphorePermit) {
        while let Some(endpoint) = self.line.pop_front() {
            let Some(subject) = self.devices.get_mut(&endpoint) else {
                continue;
            };
            // Another registration may have taken the name since, and be in line itself.
            let Phase::InLine(cause) = subject.phase else {
                continue;
            };
            let newer = Arc::<AtomicBool>::default();
            let run = Run {
                context: Arc::clone(&self.context),
                endpoint: endpoint.clone(),
                location: subject.location,
                cause,
                memory: subject
                    .memory
                    .take()
                    .map(|memory| *memory)
                    .unwrap_or_default(),
                place: Place::slot(slot),
                newer: Arc::clone(&newer),
            };
            let location = subject.location;
            let task = async move {
                let report = guarded(Box::pin(run.go())).await;
                (endpoint, location, report)
            };
            let task = self.runs.spawn(task);
            self.unfinished += usize::from(!subject.waits);
            subject.waits = false;
            subject.phase = Phase::Running(task, newer, cause);
            return;
        }
    }

    /// Takes what has come of a run.
    fn report(&mut self, (endpoint, location, ended): Report) {
        let Some(subject) = self.devices.get_mut(&endpoint) else {
            return;
        };
        let Phase::Running(_, _, cause) = subject.phase else {
            return;
        };
        if subject.location != location {
            return;
        }
        // One that panicked has said so; the device is looked at again like any other.
        let (outcome, memory) = ended.unwrap_or((Outcome::Settled, Memory::default()));
        subject.memory = (!memory.is_empty()).then(|| Box::new(memory));
        subject.waits |= outcome == Outcome::Unfinished;
        subject.phase = Phase::Idle;
        self.unfinished -= usize::from(!subject.waits);
        let again = subject.again.take();
        match outcome {
            Outcome::Later(delay) => {
                let delay = delay.min(ObserveRule::DELAY_MAX);
                let cause = again.unwrap_or(Cause::Changed).max(Cause::Changed);
                self.wait(endpoint, delay, (cause, true));
            }
            Outcome::Busy => {
                let cause = again.unwrap_or(cause).max(cause);
                self.wait(endpoint, BUSY, (cause, true));
            }
            Outcome::Retry(delay) => match again {
                Some(cause) if cause > Cause::Heard => self.join(endpoint, cause),
                _ => self.wait(endpoint, delay, (Cause::Changed, false)),
            },
            Outcome::Stale => self.join(endpoint, again.unwrap_or(Cause::Changed)),
            Outcome::Gone if self.shared.directory.find(&endpoint) != Some(location) => {
                self.forget(&endpoint);
            }
            Outcome::Settled | Outcome::Unfinished | Outcome::Gone => match again {
                Some(cause) if cause > Cause::Heard || subject.waits => self.join(endpoint, cause),
                _ if subject.memory.is_none() && !subject.waits => self.forget(&endpoint),
                _ => {}
            },
        }
    }

    fn wait(&mut self, endpoint: EndpointName, delay: Duration, (cause, firm): (Cause, bool)) {
        if let Some(subject) = self.devices.get_mut(&endpoint) {
            let due = Instant::now() + delay;
            subject.phase = Phase::Late { due, cause, firm };
            self.late.push(Reverse((due, endpoint)));
        }
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, _))) = self.late.peek()
            && *due <= now
            && let Some(Reverse((due, endpoint))) = self.late.pop()
        {
            let subject = self.devices.get(&endpoint);
            if let Some(Phase::Late { due: at, cause, .. }) = subject.map(|subject| &subject.phase)
                && *at == due
            {
                self.join(endpoint, *cause);
            }
        }
    }

    /// A registration has ended, or has nothing to look after.
    fn forget(&mut self, endpoint: &EndpointName) {
        let Some(subject) = self.devices.remove(endpoint) else {
            return;
        };
        let is_running = matches!(subject.phase, Phase::Running(..));
        self.unfinished -= usize::from(subject.waits || is_running);
        if let Phase::Running(task, ..) = subject.phase {
            task.abort();
        }
    }

    fn fetch_names(&mut self) {
        if !self.pages.is_empty() {
            return;
        }
        let Some(after) = self.sweep.wants_page() else {
            return;
        };
        let (shared, after) = (Arc::clone(&self.shared), after.map(str::to_owned));
        self.pages.spawn(async move {
            let page = shared.directory.page(after.as_deref(), None, PAGE).await;
            page.into_iter().map(|(endpoint, _)| endpoint).collect()
        });
    }

    /// True when one more of all devices may join the line in its time.
    fn is_next_of_all(&self) -> bool {
        self.sweep.has_names() && self.line.len() < LINE_SHORT
    }

    /// Looks at those of all devices whose time has come.
    fn look_at_next(&mut self) {
        let now = Instant::now();
        while self.is_next_of_all() && self.pace.take(now) {
            if let Some(endpoint) = self.sweep.pop() {
                self.look(endpoint, Cause::Replan);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_whose_plan_stands_is_small() {
        assert!(size_of::<Subject>() <= 56, "{}", size_of::<Subject>());
        assert!(size_of::<Memory>() <= 48, "{}", size_of::<Memory>());
    }
}
