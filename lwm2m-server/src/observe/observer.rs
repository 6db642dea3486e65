//! Where shards and applications say that a device, or all of them, need a look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::planning::Planned;
use super::strategies::{InService, ObserveStrategies};
use crate::{EndpointName, Registration};

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
    /// A word found no room: all devices need a look.
    missed: AtomicBool,
    strategies: ArcSwap<InService>,
    any_strategy: AtomicBool,
    /// Devices that the desk knows.
    known: AtomicUsize,
    /// Those of them whose plan is being made, or waits until they are heard of.
    unfinished: AtomicUsize,
}

impl Observer {
    /// An observer for whom at most `max` words wait.
    pub(crate) fn new(strategies: ObserveStrategies, max: usize) -> (Observer, Words) {
        let (words, heard) = mpsc::unbounded_channel();
        let strategies = InService::new(strategies);
        let observer = Observer(Arc::new(Inner {
            words,
            waiting: AtomicUsize::new(0),
            max: max.max(1),
            missed: AtomicBool::new(false),
            any_strategy: AtomicBool::new(strategies.any()),
            strategies: ArcSwap::from_pointee(strategies),
            known: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
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
            self.0.missed.store(true, Ordering::Release);
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
        let _ = self.0.words.send(Word::Sweep);
    }

    pub(crate) fn strategies(&self) -> Arc<ObserveStrategies> {
        Arc::clone(&self.0.strategies.load().given)
    }

    /// Puts strategies into service that were checked.
    pub(crate) fn set_strategies(&self, strategies: ObserveStrategies) {
        let strategies = InService::new(strategies);
        self.0
            .any_strategy
            .store(strategies.any(), Ordering::Relaxed);
        self.0.strategies.store(Arc::new(strategies));
        self.sweep();
    }

    /// What the strategies plan for a device.
    pub(super) fn plan(&self, registration: &Registration) -> Option<Arc<Planned>> {
        self.0.strategies.load().plan(registration)
    }

    /// The desk has taken a word.
    pub(super) fn taken(&self, word: &Word) {
        if let Word::Look(..) = word {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// True once after words were lost.
    pub(super) fn take_missed(&self) -> bool {
        self.0.missed.load(Ordering::Relaxed) && self.0.missed.swap(false, Ordering::Acquire)
    }

    pub(super) fn publish(&self, known: usize, unfinished: usize) {
        self.0.known.store(known, Ordering::Relaxed);
        self.0.unfinished.store(unfinished, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointName {
        EndpointName::new("a").expect("a name")
    }

    #[test]
    fn one_word_more_than_fits_becomes_a_look_at_everybody() {
        let (observer, mut words) = Observer::new(ObserveStrategies::default(), 2);
        for _ in 0..2 {
            observer.look(&endpoint(), Cause::Registered);
        }
        assert!(!observer.take_missed());
        observer.look(&endpoint(), Cause::Registered);
        assert!(observer.take_missed() && !observer.take_missed());
        let word = words.0.try_recv().expect("a word");
        observer.taken(&word);
        observer.look(&endpoint(), Cause::Registered);
        assert!(!observer.take_missed());
    }

    #[test]
    fn who_is_heard_of_is_told_only_while_something_waits_for_it() {
        let (observer, mut words) = Observer::new(ObserveStrategies::default(), 2);
        assert!(!observer.is_active());
        observer.heard(&endpoint());
        assert!(words.0.try_recv().is_err());
        observer.publish(1, 1);
        assert!(observer.is_active());
        observer.heard(&endpoint());
        assert!(words.0.try_recv().is_ok());
    }
}
