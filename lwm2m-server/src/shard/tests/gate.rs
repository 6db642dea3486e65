//! An interceptor whose answers a test gives when it likes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::hooks::{Batch, Outcome, Update};
use crate::{Answer, Decision, Hook, HookSet, Interceptor, Registration};

/// Asks the test, which answers later.
#[derive(Default)]
pub(super) struct Gate {
    hooks: Mutex<HookSet>,
    asked: Mutex<VecDeque<Asked>>,
}

/// What a gate was asked.
pub(super) enum Asked {
    Register(Arc<Registration>, oneshot::Sender<Decision>),
    Update(Arc<Registration>, Arc<Update>, oneshot::Sender<Decision>),
    Transform(Arc<Batch>, oneshot::Sender<Outcome>),
}

impl Gate {
    pub(super) fn of(hooks: impl IntoIterator<Item = Hook>) -> Arc<Gate> {
        let gate = Gate::default();
        gate.have(hooks);
        Arc::new(gate)
    }

    /// From now on it has these hooks.
    pub(super) fn have(&self, hooks: impl IntoIterator<Item = Hook>) {
        *self.hooks.lock().expect("no panic") = hooks.into_iter().collect();
    }

    /// What it was asked first and has not answered.
    pub(super) fn next(&self) -> Asked {
        let next = self.asked.lock().expect("no panic").pop_front();
        next.expect("it was asked")
    }

    /// How many questions it has not answered.
    pub(super) fn len(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    /// Answers the oldest question about a Register or Update; says what it was about.
    pub(super) fn decide(&self, decision: Decision) -> Arc<Registration> {
        match self.next() {
            Asked::Register(registration, answer) | Asked::Update(registration, _, answer) => {
                // Nobody may wait any more.
                let _ = answer.send(decision);
                registration
            }
            Asked::Transform(..) => panic!("a decision"),
        }
    }

    /// Answers the oldest question about values; says what it was about.
    pub(super) fn transform(&self, outcome: Outcome) -> Arc<Batch> {
        let Asked::Transform(batch, answer) = self.next() else {
            panic!("values");
        };
        let _ = answer.send(outcome);
        batch
    }

    /// Asks; the answer panics when the question is dropped instead of being answered.
    fn ask<T: Send + 'static>(&self, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Answer<T> {
        let (sender, answer) = oneshot::channel();
        self.asked
            .lock()
            .expect("no panic")
            .push_back(asked(sender));
        Answer::later(async { answer.await.expect("an answer") })
    }
}

/// A gate that a test keeps hold of.
pub(super) struct At(pub(super) Arc<Gate>);

impl Interceptor for At {
    fn hooks(&self) -> HookSet {
        *self.0.hooks.lock().expect("no panic")
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        let registration = Arc::clone(registration);
        self.0.ask(|answer| Asked::Register(registration, answer))
    }

    fn on_update(
        &self,
        registration: &Arc<Registration>,
        update: &Arc<Update>,
    ) -> Answer<Decision> {
        let (registration, update) = (Arc::clone(registration), Arc::clone(update));
        self.0
            .ask(|answer| Asked::Update(registration, update, answer))
    }

    fn transform(&self, batch: &Arc<Batch>) -> Answer<Outcome> {
        let batch = Arc::clone(batch);
        self.0.ask(|answer| Asked::Transform(batch, answer))
    }
}
