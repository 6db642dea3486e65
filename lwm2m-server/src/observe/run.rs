//! One device: its plan is made, held against what stands, and carried out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, Path, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::asking::Asking;
use super::memory::Memory;
use super::observer::Cause;
use super::planning::{Fix, Group, Planned, Situation, Wanted, paths, wanted};
use super::steps::{Standing, Step, steps};
use super::verdicts::{carries_names, code_of, failure, is_of_composites, trouble};
use crate::event::EventKind;
use crate::hooks::Repair;
use crate::mailbox::{Command, Mailbox};
use crate::registration::Location;
use crate::{
    CancelMode, EndpointName, ObservationTarget, Reason, Registration, RequestError,
    RequestOptions, Response,
};

/// What all runs share.
pub(super) struct Context {
    pub(super) asking: Asking,
    /// One for each shard. They are not kept open: the server ends when nobody holds it any more.
    pub(super) mailboxes: Vec<mpsc::WeakSender<Command>>,
    pub(super) repairs_max: usize,
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

#[derive(Debug, Default)]
struct Tally {
    made: usize,
    cancelled: usize,
    failed: usize,
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
            self.memory.take(planned);
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

    /// Does what is missing. The plan may come to something else on the way: a composite that is
    /// refused, a group that is repaired; each of them happens once for a group, and so often.
    async fn carry_out(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
    ) -> Outcome {
        let mut tally = None;
        let outcome = 'looks: loop {
            let (wanted, steps) = match self.missing(registration, planned).await {
                Ok(found) => found,
                Err(outcome) => break outcome,
            };
            if steps.is_empty() {
                break Outcome::Settled;
            }
            if tally.is_none() {
                self.tell_plan(planned, &wanted);
            }
            let tally = tally.get_or_insert_with(Tally::default);
            if !registration.awake {
                self.tell_unreachable(&[], "the device sleeps");
                break Outcome::Unfinished;
            }
            for step in steps {
                if self.newer.load(Ordering::Relaxed) {
                    break 'looks Outcome::Stale;
                }
                match self.step(registration, planned, step, tally).await {
                    Done::Next => {}
                    Done::Replan => continue 'looks,
                    Done::Over(outcome) => break 'looks outcome,
                }
            }
            break Outcome::Settled;
        };
        if let (Some(tally), Outcome::Settled) = (tally, outcome) {
            self.tell_established(&tally);
        }
        outcome
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
        let observations =
            observations.map_err(|error| trouble(&error).unwrap_or(Outcome::Busy))?;
        let memory = &mut self.memory;
        memory.forget_missing(registration);
        let situation = Situation {
            objects: &registration.objects,
            version: registration.version,
            splits: &memory.splits,
            repairs: &memory.repairs,
        };
        let wanted =
            planned.map_or_else(Wanted::default, |planned| wanted(&planned.plan, &situation));
        let standing = Standing {
            observations: &observations,
            written: memory.written.as_deref().unwrap_or_default(),
            failed: &memory.failed,
            objects: &registration.objects,
        };
        let steps = steps(&wanted.groups, &standing);
        Ok((wanted, steps))
    }

    async fn step(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
        step: Step,
        tally: &mut Tally,
    ) -> Done {
        match step {
            Step::Cancel(observation, target) => {
                let device = self.location;
                let cancelled = |answer| Command::Cancel {
                    device,
                    observation,
                    mode: CancelMode::Active,
                    answer,
                };
                let cancelled = self.ask(cancelled).await;
                if let Some(outcome) = cancelled.err().and_then(|error| trouble(&error)) {
                    return self.over(outcome, paths(&target));
                }
                // Whatever the device said, it is over on our side.
                tally.cancelled += 1;
                Done::Next
            }
            Step::Write { path, change, told } => self.write(path, change, told).await,
            Step::Observe(group) => {
                let observed = self.observe(&group).await;
                let (error, code) = match observed {
                    Ok(response) if response.observation.is_some() => {
                        tally.made += 1;
                        return Done::Next;
                    }
                    // Only its first value is broken.
                    Err(RequestError::Undecodable(_)) => {
                        tally.made += 1;
                        return Done::Next;
                    }
                    Ok(response) => (None, Some(response.code)),
                    Err(RequestError::Refused { code, diagnostic }) => {
                        (Some(RequestError::Refused { code, diagnostic }), Some(code))
                    }
                    Err(error) => (Some(error), None),
                };
                if group.is_composite() && error.as_ref().is_some_and(is_of_composites) {
                    return self.split(group, code);
                }
                tally.failed += 1;
                self.failed(registration, planned, &group, error, code)
                    .await
            }
        }
    }

    /// Writes attributes; the observation is made whatever comes of it.
    async fn write(&mut self, path: Path, change: Attributes, told: Attributes) -> Done {
        let request = Request::WriteAttributes {
            path,
            attributes: change,
        };
        let written = self.send(request, RequestOptions::default()).await;
        if let Err(error) = &written {
            if let Some(outcome) = trouble(error) {
                return self.over(outcome, &[path]);
            }
            let code = code_of(error);
            let fact = format!("its attributes are not written: {error}");
            let reason = Reason::new("attributes-refused", fact)
                .hint("it is observed nevertheless; leave out what the device does not know");
            self.tell_failed("write-attributes", &[path], code, reason);
        }
        // What is refused once is not tried again with the same attributes.
        self.memory.write(path, told);
        Done::Next
    }

    async fn observe(&mut self, group: &Group) -> Result<Response, RequestError> {
        let (attributes, accept) = (Attributes::default(), group.format);
        let request = match &group.target {
            ObservationTarget::Single(path) => Request::Observe {
                path: *path,
                attributes,
                accept,
            },
            ObservationTarget::Composite(paths) => Request::ObserveComposite {
                paths: paths.clone(),
                attributes,
                format: accept.filter(carries_names),
                accept,
            },
        };
        let options = RequestOptions {
            planned: true,
            ..RequestOptions::default()
        };
        self.send(request, options).await
    }

    /// A composite was not taken: its paths are observed one by one.
    fn split(&mut self, group: Group, code: Option<Code>) -> Done {
        let fact = match code {
            Some(code) => format!("the device answered an Observe-Composite with {code}"),
            None => "the device does not answer an Observe-Composite".to_owned(),
        };
        let reason = Reason::new(
            "composite-unsupported",
            format!("{fact}: one Observe for each path"),
        )
        .hint("the strategy SINGLE spares such a device the attempt");
        self.tell_failed("observe-composite", group.paths(), code, reason);
        // What a device says of the method it says of all composites; the rest may be about the paths.
        let of_method = [
            Code::METHOD_NOT_ALLOWED,
            Code::NOT_IMPLEMENTED,
            Code::BAD_OPTION,
        ];
        self.memory.splits.all |= code.is_none_or(|code| of_method.contains(&code));
        self.memory.splits.some.push(group.target);
        Done::Replan
    }

    /// A group could not be observed: its owner is asked what becomes of it.
    async fn failed(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
        group: &Group,
        error: Option<RequestError>,
        code: Option<Code>,
    ) -> Done {
        let outcome = error.as_ref().and_then(trouble);
        match outcome {
            Some(Outcome::Unfinished) if registration.binding.queue => {
                return self.over(Outcome::Unfinished, group.paths());
            }
            Some(Outcome::Unfinished) | None => {}
            Some(outcome) => return Done::Over(outcome),
        }
        let fact = match &error {
            Some(error) => error.to_string(),
            None => "the device answered with a value, and does not observe it".to_owned(),
        };
        let reason = Reason::new("observe-refused", fact)
            .hint("it is tried again at the next registration, and when the links change");
        let operation = match group.is_composite() {
            true => "observe-composite",
            false => "observe",
        };
        self.tell_failed(operation, group.paths(), code, reason);
        let failure = failure(error.as_ref());
        let repair = match planned {
            Some(planned) => {
                let asking = &self.context.asking;
                asking
                    .repair(registration, planned, group.paths(), failure)
                    .await
            }
            None => Repair::Keep,
        };
        let fix = match repair {
            Repair::Drop => Some(Fix::Dropped),
            Repair::Replace(plan) => Some(Fix::Replaced(plan)),
            Repair::Keep => None,
        };
        match (fix, outcome) {
            (Some(fix), _) if self.memory.repairs.len() < self.context.repairs_max => {
                self.memory.repairs.push((group.target.clone(), fix));
            }
            (Some(_), _) => {
                let max = self.context.repairs_max;
                let fact = format!("{max} groups of this registration were repaired already");
                let reason = Reason::new("observe-repairs-exhausted", fact)
                    .hint("the group stays as it is; look after the plan, or raise limits.observe_repairs_max");
                self.tell_failed("repair", group.paths(), None, reason);
                self.memory.failed.push(group.target.clone());
            }
            // A device that does not answer is not to blame for its resources.
            (None, Some(_)) => {}
            (None, None) => self.memory.failed.push(group.target.clone()),
        }
        match outcome {
            Some(outcome) => self.over(outcome, group.paths()),
            None => Done::Replan,
        }
    }

    /// The run ends before the plan stands.
    fn over(&self, outcome: Outcome, paths: &[Path]) -> Done {
        if outcome == Outcome::Unfinished {
            self.tell_unreachable(paths, "the device does not answer");
        }
        Done::Over(outcome)
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

    fn tell(&self, kind: impl FnOnce() -> EventKind) {
        self.context.asking.tell(&self.endpoint, kind);
    }

    fn tell_plan(&self, planned: Option<&Arc<Planned>>, wanted: &Wanted) {
        self.tell(|| EventKind::ObservePlanned {
            owner: planned.map(|planned| planned.name.to_string()),
            targets: wanted.groups.iter().map(|g| g.target.clone()).collect(),
            left_out: wanted.left_out.clone(),
        });
        if wanted.version_splits {
            let fact =
                "the device's version has no composite operations: one Observe for each path";
            let reason = Reason::new("composite-unsupported", fact)
                .hint("the strategy SINGLE is what such a device gets anyway");
            self.tell_failed("observe-composite", &[], None, reason);
        }
    }

    fn tell_established(&self, tally: &Tally) {
        self.tell(|| EventKind::ObserveEstablished {
            made: tally.made,
            cancelled: tally.cancelled,
            failed: tally.failed,
        });
    }

    fn tell_unreachable(&self, paths: &[Path], fact: &'static str) {
        let reason =
            Reason::new("device-unreachable", fact).hint("its plan goes on when it is heard of");
        self.tell_failed("plan", paths, None, reason);
    }

    fn tell_failed(
        &self,
        operation: &'static str,
        paths: &[Path],
        code: Option<Code>,
        reason: Reason,
    ) {
        self.tell(|| EventKind::ObserveFailed {
            operation,
            paths: paths.to_vec(),
            code,
            reason,
        });
    }
}
