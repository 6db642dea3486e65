//! The steps of a run, and what their answers mean for the rest of it.

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, Path, Request};
use tokio::time::Instant;

use super::super::memory::Asked;
use super::super::planning::{Fix, Group, Planned, paths};
use super::super::steps::Step;
use super::super::unanswered::Kind;
use super::super::verdicts::{
    carries_names, code_of, failure, is_busy, is_of_composites, is_of_method, is_silence, trouble,
};
use super::{Done, Outcome, Run};
use crate::hooks::Repair;
use crate::mailbox::{Canceller, Command};
use crate::{
    CancelMode, ObservationTarget, Reason, Registration, RequestError, RequestOptions, Response,
};

impl Run {
    pub(super) async fn step(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
        step: Step,
    ) -> Done {
        match step {
            Step::Cancel(observation, target) => {
                let device = self.location;
                let cancelled = |answer| Command::Cancel {
                    device,
                    observation,
                    mode: CancelMode::Active,
                    by: Canceller::Plan,
                    answer,
                };
                let cancelled = self.ask(cancelled).await;
                if let Some(outcome) = cancelled.err().and_then(|error| trouble(&error)) {
                    return self.over(outcome, paths(&target));
                }
                // Whatever the device said, it is over on our side.
                self.memory.tally_mut().cancelled += 1;
                Done::Next
            }
            Step::Write { path, change, told } => self.write(path, change, told).await,
            Step::Observe(group) => {
                let error = match self.observe(&group).await {
                    Ok(response) if response.observation.is_some() => None,
                    // Only its first value is broken.
                    Err(RequestError::Undecodable(_)) => None,
                    Ok(response) => Some((None, Some(response.code))),
                    Err(error) => {
                        let code = code_of(&error);
                        Some((Some(error), code))
                    }
                };
                let Some((error, code)) = error else {
                    self.memory.tally_mut().made += 1;
                    self.memory.answered(Asked::of(&group.target));
                    self.memory.has_composites |= group.is_composite();
                    return Done::Next;
                };
                self.not_observed(registration, planned, group, (error, code))
                    .await
            }
        }
    }

    /// Writes attributes; the observation is made whatever the device answers, and waits where it does
    /// not answer.
    async fn write(&mut self, path: Path, change: Attributes, told: Attributes) -> Done {
        const OPERATION: &str = "write-attributes";
        let request = Request::WriteAttributes {
            path,
            attributes: change,
        };
        let written = self.send(request, RequestOptions::default()).await;
        if let Err(error) = &written {
            if let Some(outcome) = trouble(error) {
                return self.over(outcome, &[path]);
            }
            if (is_silence(error) || is_busy(error))
                && self.retries(OPERATION, Asked::Attributes(path), &[path], error)
            {
                return Done::Replan;
            }
            let code = code_of(error);
            let fact = format!("its attributes are not written: {error}");
            let reason = Reason::new("attributes-refused", fact)
                .hint("it is observed nevertheless; leave out what the device does not know");
            self.tell_failed(OPERATION, &[path], code, reason);
        }
        self.memory.answered(Asked::Attributes(path));
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

    /// A group is not observed: it is taken apart, tried again later, or has failed.
    async fn not_observed(
        &mut self,
        registration: &Arc<Registration>,
        planned: Option<&Arc<Planned>>,
        group: Group,
        (error, code): (Option<RequestError>, Option<Code>),
    ) -> Done {
        if let Some(error) = &error {
            let asked = Asked::of(&group.target);
            if group.is_composite() && is_of_composites(error) {
                self.memory.answered(asked);
                let fact = match code {
                    Some(code) => format!("the device answered an Observe-Composite with {code}"),
                    None => "the device rejected an Observe-Composite".to_owned(),
                };
                return self.split(group, code, "composite-unsupported", fact);
            }
            if is_silence(error) || is_busy(error) {
                let operation = operation(&group);
                if self.retries(operation, asked, group.paths(), error) {
                    return Done::Replan;
                }
                if group.is_composite() && is_silence(error) {
                    let count = self.context.back_off.retries_max.saturating_add(1);
                    let fact = format!("none of {count} Observe-Composites was answered");
                    self.remember(registration, planned);
                    return self.split(group, None, "composite-unanswered", fact);
                }
            }
        }
        self.memory.tally_mut().failed += 1;
        self.failed(registration, planned, &group, error, code)
            .await
    }

    /// Puts off what was not answered; false when it was the last attempt.
    fn retries(
        &mut self,
        operation: &'static str,
        asked: Asked,
        paths: &[Path],
        error: &RequestError,
    ) -> bool {
        let back_off = self.context.back_off;
        let (attempts, delay) = self.memory.unanswered(asked, back_off, Instant::now());
        let Some(delay) = delay else {
            return false;
        };
        let said = (error, code_of(error));
        self.tell_retry(operation, paths, said, (attempts, delay));
        true
    }

    /// A device that has answered no composite is asked for none at its next registrations.
    fn remember(&self, registration: &Registration, planned: Option<&Arc<Planned>>) {
        if let Some(planned) = planned.filter(|_| !self.memory.has_composites) {
            let kind = Kind::of(registration, &planned.plan.grouping);
            let unanswered = &self.context.unanswered;
            unanswered.remember(&self.endpoint, kind, Instant::now());
        }
    }

    /// A composite was not taken: its paths are observed one by one.
    fn split(
        &mut self,
        group: Group,
        code: Option<Code>,
        word: &'static str,
        fact: String,
    ) -> Done {
        let reason = Reason::new(word, format!("{fact}: one Observe for each path"))
            .hint("the strategy SINGLE spares such a device the attempt");
        self.tell_failed("observe-composite", group.paths(), code, reason);
        let splits = &mut self.memory.trouble_mut().splits;
        splits.all |= is_of_method(code);
        splits.some.push(group.target);
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
        self.tell_failed(operation(group), group.paths(), code, reason);
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
        let max = self.context.repairs_max;
        match (fix, outcome) {
            (Some(fix), _) if self.memory.trouble().repairs.len() < max => {
                let repair = (group.target.clone(), fix);
                self.memory.trouble_mut().repairs.push(repair);
            }
            (Some(_), _) => {
                let fact = format!("{max} groups of this registration were repaired already");
                let reason = Reason::new("observe-repairs-exhausted", fact)
                    .hint("the group stays as it is; look after the plan, or raise limits.observe_repairs_max");
                self.tell_failed("repair", group.paths(), None, reason);
                self.give_up(group);
            }
            // A device that does not answer is not to blame for its resources.
            (None, Some(_)) => {}
            (None, None) => self.give_up(group),
        }
        match outcome {
            Some(outcome) => self.over(outcome, group.paths()),
            None => Done::Replan,
        }
    }

    fn give_up(&mut self, group: &Group) {
        let failed = &mut self.memory.trouble_mut().failed;
        failed.push(group.target.clone());
    }

    /// The run ends before the plan stands.
    fn over(&self, outcome: Outcome, paths: &[Path]) -> Done {
        if outcome == Outcome::Unfinished {
            self.tell_unreachable(paths, "the device does not answer");
        }
        Done::Over(outcome)
    }
}

/// What events call the request for a group.
fn operation(group: &Group) -> &'static str {
    match group.is_composite() {
        true => "observe-composite",
        false => "observe",
    }
}
