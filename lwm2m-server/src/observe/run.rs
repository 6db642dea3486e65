//! One device: its plan is made, held against what stands, and carried out.

mod doing;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lwm2m_core::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::asking::Asking;
use super::memory::{BackOff, Memory};
use super::observer::Cause;
use super::planning::{Planned, Situation, Wanted, wanted};
use super::steps::{Standing, Step, steps};
use super::unanswered::{Kind, Unanswered};
use super::verdicts::trouble;
use crate::mailbox::{Command, Mailbox};
use crate::registration::Location;
use crate::{EndpointName, Registration, RequestError, RequestOptions, Response};

/// What all runs share.
pub(super) struct Context {
    pub(super) asking: Asking,
    /// One for each shard. They are not kept open: the server ends when nobody holds it any more.
    pub(super) mailboxes: Vec<mpsc::WeakSender<Command>>,
    pub(super) repairs_max: usize,
    pub(super) back_off: BackOff,
    /// Devices that have answered no composite.
    pub(super) unanswered: Unanswered,
    /// Places for runs whose device does not answer.
    pub(super) bench: Arc<Semaphore>,
}

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is nothing to do any more.
    Settled,
    /// The device does not hear: it goes on when it is heard of.
    Unfinished,
    /// The server is too busy: it goes on soon.
    Busy,
    /// The plan is to begin later.
    Later(Duration),
    /// Something was not answered: it is asked again later.
    Retry(Duration),
    /// Something has changed meanwhile: the next look does the rest.
    Stale,
    /// The registration has ended.
    Gone,
}

/// What keeps the number of runs within limits.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// False for one of those whose device has not answered for a while.
    is_slot: bool,
}

impl Place {
    /// One of those that make plans side by side.
    pub(super) fn slot(permit: OwnedSemaphorePermit) -> Place {
        Place {
            _permit: permit,
            is_slot: true,
        }
    }
}

/// How long a device may take for an answer before its run makes room for others.
const SLOT_TIME: Duration = Duration::from_secs(2);

/// A look at one device.
pub(super) struct Run {
    pub(super) context: Arc<Context>,
    pub(super) endpoint: EndpointName,
    pub(super) location: Location,
    pub(super) cause: Cause,
    pub(super) memory: Memory,
    pub(super) place: Place,
    /// True when another look is due.
    pub(super) newer: Arc<AtomicBool>,
}

/// What came of a step.
enum Done {
    Next,
    /// The plan comes to something else now.
    Replan,
    Over(Outcome),
}

impl Run {
    pub(super) async fn go(mut self) -> (Outcome, Memory) {
        let outcome = match self.registration().await {
            Ok(registration) => self.make(&Arc::new(registration)).await,
            Err(outcome) => outcome,
        };
        (outcome, self.memory)
    }

    async fn registration(&mut self) -> Result<Registration, Outcome> {
        let devices = vec![self.location];
        let (answer, snapshots) = oneshot::channel();
        self.leave(Command::Snapshots { devices, answer })
            .map_err(|error| trouble(&error).unwrap_or(Outcome::Busy))?;
        let found = snapshots.await.ok().and_then(|mut found| found.pop());
        found.ok_or(Outcome::Gone)
    }

    async fn make(&mut self, registration: &Arc<Registration>) -> Outcome {
        if self.cause >= Cause::Links {
            let planned = self.context.asking.plan(registration).await;
            let had_one = self.memory.planned.is_some();
            let is_other = self.memory.take(planned);
            self.recall(registration);
            self.memory.restores |= had_one && (is_other || self.cause == Cause::Links);
        }
        if self.memory.restores {
            let device = self.location;
            if let Err(error) = self.leave(Command::Restore { device }) {
                return trouble(&error).unwrap_or(Outcome::Busy);
            }
            self.memory.restores = false;
        }
        let memory = &mut self.memory;
        let Some(planned) = memory.planned.clone() else {
            return self.carry_out(registration, None).await;
        };
        if !std::mem::replace(&mut memory.begun, true) && !planned.plan.delay.is_zero() {
            return Outcome::Later(planned.plan.delay);
        }
        self.carry_out(registration, Some(&planned)).await
    }

    /// Holds the plan against what is known of earlier registrations.
    fn recall(&mut self, registration: &Registration) {
        let Some(planned) = &self.memory.planned else {
            return;
        };
        let kind = Kind::of(registration, &planned.plan.grouping);
        let unanswered = &self.context.unanswered;
        let answers_none = unanswered.recalls(&self.endpoint, kind, Instant::now());
        self.memory.recall(answers_none);
    }

    /// Does what is missing. The plan may come to something else on the way: a composite that is
    /// refused, a group that is repaired; each of them happens once for a group, and so often.
    async fn carry_out(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
    ) -> Outcome {
        let mut tells_plan = true;
        let outcome = 'looks: loop {
            let (wanted, steps) = match self.missing(registration, planned).await {
                Ok(found) => found,
                Err(outcome) => break outcome,
            };
            if steps.is_empty() {
                break Outcome::Settled;
            }
            if std::mem::take(&mut tells_plan) {
                self.tell_plan(planned, &wanted);
            }
            // Said at the end, also where nothing comes of the steps.
            self.memory.tally_mut();
            if !registration.awake {
                self.tell_unreachable(&[], "the device sleeps");
                break Outcome::Unfinished;
            }
            for step in steps {
                if self.newer.load(Ordering::Relaxed) {
                    break 'looks Outcome::Stale;
                }
                match self.step(registration, planned, step).await {
                    Done::Next => {}
                    Done::Replan => continue 'looks,
                    Done::Over(outcome) => break 'looks outcome,
                }
            }
            break Outcome::Settled;
        };
        if outcome != Outcome::Settled {
            return outcome;
        }
        if let Some(tally) = self.memory.take_tally() {
            self.tell_established(tally);
        }
        let now = Instant::now();
        match self.memory.next_retry(now) {
            Some(due) => Outcome::Retry(due - now),
            None => Outcome::Settled,
        }
    }

    /// What the plan comes to, and what of it is missing.
    async fn missing(
        &mut self,
        registration: &Registration,
        planned: Option<&Arc<Planned>>,
    ) -> Result<(Wanted, Vec<Step>), Outcome> {
        let device = self.location;
        let asked = |answer| Command::Observations { device, answer };
        let observations = self.ask(asked).await;
        let stand = observations.map_err(|error| trouble(&error).unwrap_or(Outcome::Busy))?;
        let memory = &mut self.memory;
        memory.forget_missing(registration);
        let situation = Situation {
            objects: &registration.objects,
            version: registration.version,
            splits: &memory.trouble().splits,
            repairs: &memory.trouble().repairs,
        };
        let wanted =
            planned.map_or_else(Wanted::default, |planned| wanted(&planned.plan, &situation));
        let now = Instant::now();
        let mut set_aside = memory.set_aside(&wanted.groups, now);
        set_aside.extend(stand.withdrawn);
        let standing = Standing {
            observations: &stand.standing,
            written: memory.written.as_deref().unwrap_or_default(),
            set_aside: &set_aside,
            unwritten: &memory.unwritten(now),
            objects: &registration.objects,
        };
        let steps = steps(&wanted.groups, &standing);
        Ok((wanted, steps))
    }

    async fn send(
        &mut self,
        request: Request,
        options: RequestOptions,
    ) -> Result<Response, RequestError> {
        let device = self.location;
        let command = |answer| Command::Operation {
            device,
            request,
            options,
            answer,
        };
        self.ask(command).await
    }

    /// Asks the shard of the registration; one that has ended answers so, whoever has its name now.
    async fn ask<T>(
        &mut self,
        command: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Command,
    ) -> Result<T, RequestError> {
        let (sender, answer) = oneshot::channel();
        self.leave(command(sender))?;
        let mut answer = std::pin::pin!(answer);
        if self.place.is_slot {
            let soon = tokio::time::timeout(SLOT_TIME, answer.as_mut()).await;
            match soon {
                Ok(answer) => return answer.unwrap_or(Err(RequestError::ShuttingDown)),
                Err(_) => self.make_room(),
            }
        }
        answer.await.unwrap_or(Err(RequestError::ShuttingDown))
    }

    fn leave(&self, command: Command) -> Result<(), RequestError> {
        let mailboxes = &self.context.mailboxes;
        let shard = mailboxes.get(usize::from(self.location.shard));
        let commands = shard.and_then(mpsc::WeakSender::upgrade);
        let commands = commands.ok_or(RequestError::ShuttingDown)?;
        Mailbox { commands }.leave(command)
    }

    fn make_room(&mut self) {
        if let Ok(permit) = Arc::clone(&self.context.bench).try_acquire_owned() {
            self.place = Place {
                _permit: permit,
                is_slot: false,
            };
        }
    }
}
