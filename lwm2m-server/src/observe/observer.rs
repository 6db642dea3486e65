//! Where shards and applications say that a device, or all of them, need a look.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc;

use super::changes::{ObserveRuleChange, ObserveRuleError, changed};
use super::in_service::{InService, ObserveRuleSource};
use super::planning::Planned;
use super::rule::ObserveRule;
use super::rules_file::{Look, ObserveFileError, RulesFile};
use super::strategies::ObserveStrategies;
use crate::{EndpointName, Limits, Reason, Registration};

/// Why a device needs a look; what comes later includes what comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Its registration has ended.
    Ended,
    /// An observation of the plan has ended by itself: it is made anew when the device is heard of.
    Lost,
    /// It was heard of: what is unfinished goes on.
    Heard,
    /// Something else stands: what is missing is made anew.
    Changed,
    /// Its links have changed: the plan is made anew.
    Links,
    /// The plan may be another one.
    Replan,
    /// It has registered.
    Registered,
}

/// What the desk hears.
#[derive(Debug)]
pub(super) enum Word {
    Look(EndpointName, Cause),
    /// All devices need a look.
    Sweep,
    /// Words found no room: all devices need a look, and who has gone may not have been told of.
    Missed,
}

/// Where the desk reads.
#[derive(Debug)]
pub(crate) struct Words(pub(super) mpsc::UnboundedReceiver<Word>);

/// Where others write. Nothing is said, and nothing kept, while there is nothing to plan.
#[derive(Debug, Clone)]
pub(crate) struct Observer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    words: mpsc::UnboundedSender<Word>,
    waiting: AtomicUsize,
    max: usize,
    /// Words found no room, and that is on its way to the desk.
    missed: AtomicBool,
    /// How often that was.
    missed_count: AtomicU64,
    rules: ArcSwap<InService>,
    any_strategy: AtomicBool,
    /// What keeps the rules of operators; held while they are changed.
    file: Mutex<Option<RulesFile>>,
    /// Held while other rules are put into service.
    replacing: Mutex<()>,
    /// Why the configuration was not taken when it was read last.
    refused: ArcSwapOption<Reason>,
    /// Why the file was not taken when it was read last.
    file_refused: ArcSwapOption<Reason>,
    /// Devices that the desk knows.
    known: AtomicUsize,
    /// Those of them whose plan is being made, or waits until they are heard of.
    unfinished: AtomicUsize,
    /// Devices that are known to answer no composite.
    unanswered: AtomicUsize,
    /// A look at all devices is asked for.
    sweep_asked: AtomicBool,
    /// One is under way.
    sweeping: AtomicBool,
}

/// What rules come to on devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObserveProgress {
    /// Devices that have a plan.
    pub planned: usize,
    /// Those of them whose plan is being carried out, or waits until they are heard of.
    pub unfinished: usize,
    /// Devices, registered or not, that are observed path by path since they answered no
    /// Observe-Composite.
    pub unanswered: usize,
    /// True while devices are looked at since rules have changed.
    pub changing: bool,
}

impl Observer {
    /// An observer with rules that were checked, for whom at most `max` words wait.
    pub(crate) fn new(
        configured: ObserveStrategies,
        (set, file): (Vec<ObserveRule>, Option<RulesFile>),
        max: usize,
    ) -> (Observer, Words) {
        let (words, heard) = mpsc::unbounded_channel();
        let rules = InService::new(Arc::new(configured), set.into());
        let observer = Observer(Arc::new(Inner {
            words,
            waiting: AtomicUsize::new(0),
            max: max.max(1),
            missed: AtomicBool::new(false),
            missed_count: AtomicU64::new(0),
            any_strategy: AtomicBool::new(rules.any()),
            rules: ArcSwap::from_pointee(rules),
            file: Mutex::new(file),
            replacing: Mutex::new(()),
            refused: ArcSwapOption::empty(),
            file_refused: ArcSwapOption::empty(),
            known: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            sweep_asked: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
        }));
        (observer, Words(heard))
    }

    /// True when there are strategies, or observations of plans: interceptors aside.
    pub(crate) fn is_active(&self) -> bool {
        self.0.any_strategy.load(Ordering::Relaxed) || self.0.known.load(Ordering::Relaxed) > 0
    }

    /// A device needs a look.
    pub(crate) fn look(&self, endpoint: &EndpointName, cause: Cause) {
        let waiting = self.0.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= self.0.max {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.0.missed_count.fetch_add(1, Ordering::Relaxed);
            // In the line, as the others may be through before this is written.
            if !self.0.missed.swap(true, Ordering::AcqRel) {
                let _ = self.0.words.send(Word::Missed);
            }
            return;
        }
        let _ = self.0.words.send(Word::Look(endpoint.clone(), cause));
    }

    /// A device was heard of.
    pub(crate) fn heard(&self, endpoint: &EndpointName) {
        if self.0.unfinished.load(Ordering::Relaxed) > 0 {
            self.look(endpoint, Cause::Heard);
        }
    }

    /// All devices need a look.
    pub(crate) fn sweep(&self) {
        if !self.0.sweep_asked.swap(true, Ordering::AcqRel) {
            let _ = self.0.words.send(Word::Sweep);
        }
    }

    /// The rules of the configuration.
    pub(crate) fn strategies(&self) -> Arc<ObserveStrategies> {
        Arc::clone(&self.0.rules.load().configured)
    }

    /// All rules that count, in their order.
    pub(crate) fn rules(&self) -> Vec<(ObserveRuleSource, ObserveRule)> {
        self.0.rules.load().rules()
    }

    /// Puts a configuration into service that was checked; false when it says the same. A sweep carries
    /// it out.
    pub(crate) fn configure(&self, strategies: ObserveStrategies) -> bool {
        self.0.refused.store(None);
        let _one = held(&self.0.replacing);
        let now = self.0.rules.load();
        if *now.configured == strategies {
            return false;
        }
        self.put(InService::new(Arc::new(strategies), Arc::clone(&now.set)));
        true
    }

    /// Changes the rules of operators, in the file as well, or neither: how many there are then. It may
    /// write to a disk. What somebody has edited in the file meanwhile is not lost. A sweep carries it
    /// out.
    pub(crate) fn change(
        &self,
        change: ObserveRuleChange,
        limits: &Limits,
    ) -> Result<usize, ObserveRuleError> {
        let mut file = held(&self.0.file);
        let now = self.0.rules.load_full();
        let edited = match &*file {
            Some(file) => file.edited(limits),
            None => Ok(None),
        };
        let edited = edited.map_err(|error| ObserveRuleError::FileUnusable(error.to_string()))?;
        let set = edited.as_deref().unwrap_or(&now.set);
        let set = changed(set, &now.configured, change, limits)?;
        if let Some(file) = &mut *file {
            file.write(&set, limits)?;
        }
        let rules = set.len();
        self.put_set(set);
        Ok(rules)
    }

    /// Looks whether somebody has edited the file of rules, and takes what is new in it: how many rules
    /// there are then, none when nothing has changed. It reads from a disk. A sweep carries it out.
    ///
    /// # Errors
    /// A file that cannot be used, once; the rules stay as they were.
    pub(crate) fn look_at_file(&self, limits: &Limits) -> Result<Option<usize>, ObserveFileError> {
        let mut file = held(&self.0.file);
        let Some(file) = &mut *file else {
            return Ok(None);
        };
        let set = match file.look(limits)? {
            Look::Other => return Ok(None),
            Look::AsTaken => None,
            Look::Edited(set) => Some(set),
        };
        self.0.file_refused.store(None);
        let changed = set.filter(|set| **set != *self.0.rules.load().set);
        let rules = changed.as_ref().map(Vec::len);
        if let Some(set) = changed {
            self.put_set(set);
        }
        Ok(rules)
    }

    /// Puts other rules of operators into service.
    fn put_set(&self, set: Vec<ObserveRule>) {
        let _one = held(&self.0.replacing);
        let configured = Arc::clone(&self.0.rules.load().configured);
        self.put(InService::new(configured, set.into()));
    }

    fn put(&self, rules: InService) {
        self.0.any_strategy.store(rules.any(), Ordering::Relaxed);
        self.0.rules.store(Arc::new(rules));
    }

    /// Keeps why a configuration was not taken.
    pub(crate) fn refuse(&self, reason: Reason) {
        self.0.refused.store(Some(Arc::new(reason)));
    }

    pub(crate) fn refused(&self) -> Option<Arc<Reason>> {
        self.0.refused.load_full()
    }

    /// Keeps why the file was not taken.
    pub(crate) fn refuse_file(&self, reason: Reason) {
        self.0.file_refused.store(Some(Arc::new(reason)));
    }

    pub(crate) fn refused_file(&self) -> Option<Arc<Reason>> {
        self.0.file_refused.load_full()
    }

    pub(crate) fn progress(&self) -> ObserveProgress {
        ObserveProgress {
            planned: self.0.known.load(Ordering::Relaxed),
            unfinished: self.0.unfinished.load(Ordering::Relaxed),
            unanswered: self.0.unanswered.load(Ordering::Relaxed),
            changing: self.0.sweep_asked.load(Ordering::Acquire)
                || self.0.sweeping.load(Ordering::Relaxed),
        }
    }

    /// Words that found no room.
    pub(crate) fn missed(&self) -> u64 {
        self.0.missed_count.load(Ordering::Relaxed)
    }

    /// What the rules plan for a device.
    pub(super) fn plan(&self, registration: &Registration) -> Option<Arc<Planned>> {
        self.0.rules.load().plan(registration)
    }

    /// The desk has taken a word.
    pub(super) fn taken(&self, word: &Word) {
        match word {
            Word::Look(..) => {
                self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Word::Sweep => {
                self.0.sweeping.store(true, Ordering::Relaxed);
                self.0.sweep_asked.store(false, Ordering::Release);
            }
            // What finds no room from now on may come behind the look that follows. An exchange, not a
            // store: what was noted by those who found no room before is to be seen by that look.
            Word::Missed => {
                self.0.missed.swap(false, Ordering::AcqRel);
            }
        }
    }

    /// Known, unfinished, known to answer no composite.
    pub(super) fn publish(&self, counts: (usize, usize, usize), sweeping: bool) {
        let (known, unfinished, unanswered) = counts;
        self.0.known.store(known, Ordering::Relaxed);
        self.0.unfinished.store(unfinished, Ordering::Relaxed);
        self.0.unanswered.store(unanswered, Ordering::Relaxed);
        self.0.sweeping.store(sweeping, Ordering::Relaxed);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointName {
        EndpointName::new("a").expect("a name")
    }

    #[test]
    fn one_word_more_than_fits_becomes_a_look_at_everybody() {
        let (observer, mut words) =
            Observer::new(ObserveStrategies::default(), (Vec::new(), None), 2);
        // Twice, as what was lost is told of again after the desk has heard of it.
        for round in 1..=2 {
            for _ in 0..2 + 3 {
                observer.look(&endpoint(), Cause::Registered);
            }
            assert_eq!(observer.missed(), 3 * round);
            for _ in 0..2 {
                let word = words.0.try_recv().expect("there was room");
                assert!(matches!(word, Word::Look(..)), "{word:?}");
                observer.taken(&word);
            }
            // Nothing else need follow, and it comes once.
            let word = words.0.try_recv().expect("it is told");
            assert!(matches!(word, Word::Missed), "{word:?}");
            observer.taken(&word);
            assert!(words.0.try_recv().is_err());
        }
    }

    #[test]
    fn who_is_heard_of_is_told_only_while_something_waits_for_it() {
        let (observer, mut words) =
            Observer::new(ObserveStrategies::default(), (Vec::new(), None), 2);
        assert!(!observer.is_active());
        observer.heard(&endpoint());
        assert!(words.0.try_recv().is_err());
        observer.publish((1, 1, 0), false);
        assert!(observer.is_active());
        observer.heard(&endpoint());
        assert!(words.0.try_recv().is_ok());
    }
}
