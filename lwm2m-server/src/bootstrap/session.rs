//! One bootstrap session: a step machine without sockets and clock.
//!
//! ```text
//! next ──> OutgoingRequest ──> (the device answers) ──> answered ─┬─> Turn::Next ──> next
//!                                                                 ├─> Turn::Finished
//!                                                                 └─> Turn::Ended
//! ```
//!
//! The steps are the operations of the plan and the Bootstrap-Finish behind them. What a device
//! refuses is told, and ends the session or not, as the plan says; at the Finish the device judges.

use std::sync::Arc;

use bytes::Bytes;
use lwm2m_coap::{Code, OptionNumber, OutgoingRequest};
use lwm2m_core::link::parse_discover;
use lwm2m_core::{ContentFormat, ObjectModels, Path, Version};

use super::values::{Device, is_of_account, own_instances};
use super::{BootstrapOperation, BootstrapPlan, FailurePolicy};
use crate::Reason;

/// A session between two steps, or in the middle of one.
#[derive(Debug)]
pub(crate) struct Session {
    plan: Arc<BootstrapPlan>,
    device: Device,
    format: ContentFormat,
    /// The step that is next, or under way: an operation, or the Finish behind them.
    at: usize,
    /// A format was refused: everything goes in TLV from now on.
    fell_back: bool,
    failures: usize,
}

/// A step that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepFailure {
    /// Which one, from 1.
    pub(crate) step: usize,
    /// `discover`, `delete`, `write`, `read` or `finish`.
    pub(crate) operation: &'static str,
    pub(crate) path: Path,
    /// What the device answered; none when it was not asked.
    pub(crate) code: Option<Code>,
    pub(crate) reason: Reason,
}

/// How it goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn {
    /// The next step.
    Next,
    /// The device has taken the Finish.
    Finished,
    /// It is over without a Finish that was taken.
    Ended(Reason),
}

/// What a device has answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'b> {
    pub(crate) code: Code,
    pub(crate) content_format: Option<u16>,
    pub(crate) body: &'b [u8],
}

impl Session {
    /// A session that has not begun. What the device prefers (`pct`) tells its version, too: before
    /// 1.1 there was no such parameter.
    pub(crate) fn new(
        plan: Arc<BootstrapPlan>,
        preferred_format: Option<ContentFormat>,
    ) -> Session {
        let version = match preferred_format {
            None => Version::V1_0,
            Some(ContentFormat::Lwm2mCbor) => Version::V1_2,
            Some(_) => Version::V1_1,
        };
        let format = plan.content_format.or(preferred_format);
        Session {
            plan,
            device: Device::new(version),
            format: format.unwrap_or(ContentFormat::Tlv),
            at: 0,
            fell_back: false,
            failures: 0,
        }
    }

    /// The number of steps, the Finish included.
    pub(crate) fn steps(&self) -> usize {
        self.plan.operations.len() + 1
    }

    /// The step that is next or under way, from 1.
    pub(crate) fn step(&self) -> usize {
        self.at + 1
    }

    /// How many steps have failed.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// The next request to the device.
    ///
    /// # Errors
    /// The step cannot be written as a request; [`Session::failed`] says how it goes on.
    pub(crate) fn next(
        &mut self,
        models: &dyn ObjectModels,
    ) -> Result<OutgoingRequest, StepFailure> {
        while let Some(operation) = self.plan.operations.get(self.at) {
            if let Some(request) = self.request(operation, models)? {
                return Ok(request);
            }
            self.at += 1;
        }
        Ok(OutgoingRequest::new(Code::POST).option(OptionNumber::URI_PATH, "bs"))
    }

    /// Takes the answer to the request that was next.
    pub(crate) fn answered(
        &mut self,
        answer: Answer<'_>,
        models: &dyn ObjectModels,
    ) -> (Option<StepFailure>, Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(operation) = plan.operations.get(self.at) else {
            return self.finished(answer);
        };
        let reason = match operation {
            _ if !answer.code.is_success() => {
                if self.may_fall_back(operation, answer.code) {
                    self.fell_back = true;
                    self.format = ContentFormat::Tlv;
                    return (None, Turn::Next);
                }
                let gone = answer.code == Code::NOT_FOUND;
                if gone && matches!(operation, BootstrapOperation::Delete(_)) {
                    self.at += 1;
                    return (None, Turn::Next);
                }
                Some(refused(operation, answer))
            }
            BootstrapOperation::Discover(_) => self.discovered(answer.body),
            BootstrapOperation::Read(path) => self.compare(path, answer, models),
            BootstrapOperation::Delete(_) | BootstrapOperation::Write { .. } => None,
        };
        match reason {
            None => {
                self.at += 1;
                (None, Turn::Next)
            }
            Some(reason) => {
                let failure = self.failure(operation, Some(answer.code), reason);
                let turn = self.failed(&failure);
                (Some(failure), turn)
            }
        }
    }

    /// A step did not succeed: how it goes on.
    pub(crate) fn failed(&mut self, failure: &StepFailure) -> Turn {
        self.failures += 1;
        let is_account = failure.operation == "write" && is_of_account(&failure.path);
        let ends = match self.plan.on_failure {
            FailurePolicy::Accounts => is_account,
            FailurePolicy::Continue => false,
            FailurePolicy::Stop => true,
        };
        if !ends {
            self.at += 1;
            return Turn::Next;
        }
        let message = format!("{} {} failed", failure.operation, failure.path);
        Turn::Ended(Reason::new("step-failed", message).hint(
            "the event before this one says why; the device keeps what it had, and tries again \
             in some minutes",
        ))
    }

    /// The step that is under way, as one that did not succeed.
    pub(crate) fn unanswered(&self, reason: Reason) -> StepFailure {
        match self.plan.operations.get(self.at) {
            Some(operation) => self.failure(operation, None, reason),
            None => self.finish_failure(None, reason),
        }
    }

    /// A request for an operation; none when there is nothing to ask.
    fn request(
        &self,
        operation: &BootstrapOperation,
        models: &dyn ObjectModels,
    ) -> Result<Option<OutgoingRequest>, StepFailure> {
        let accept = |request: OutgoingRequest, format: ContentFormat| {
            request.uint(OptionNumber::ACCEPT, u32::from(format.number()))
        };
        Ok(Some(match operation {
            BootstrapOperation::Discover(path) => accept(at(Code::GET, path), ContentFormat::Link),
            // Some devices would really delete it.
            BootstrapOperation::Delete(path) if self.device.is_own(path) => return Ok(None),
            BootstrapOperation::Delete(path) => at(Code::DELETE, path),
            // 1.0 has no Bootstrap-Read.
            BootstrapOperation::Read(_) if self.device.version == Version::V1_0 => return Ok(None),
            BootstrapOperation::Read(path) => {
                accept(at(Code::GET, &self.device.placed(path)), self.format)
            }
            BootstrapOperation::Write { path, records } => {
                let records = self.device.adapted(records, models);
                if records.is_empty() {
                    return Ok(None);
                }
                let path = self.device.placed(path);
                let payload = self.device.encode(self.format, path, &records, models);
                let payload = payload.map_err(|error| {
                    let reason = Reason::new("not-encodable", error.to_string())
                        .hint("give the values of the plan the types of the object's definition");
                    self.failure(operation, None, reason)
                })?;
                at(Code::PUT, &path)
                    .uint(
                        OptionNumber::CONTENT_FORMAT,
                        u32::from(self.format.number()),
                    )
                    .payload(Bytes::from(payload))
            }
        }))
    }

    /// A device that does not know the format may know TLV, which every one had to once.
    fn may_fall_back(&self, operation: &BootstrapOperation, code: Code) -> bool {
        let about_format = match operation {
            BootstrapOperation::Write { .. } => code == Code::UNSUPPORTED_CONTENT_FORMAT,
            BootstrapOperation::Read(_) => code == Code::NOT_ACCEPTABLE,
            _ => false,
        };
        about_format && !self.fell_back && self.format != ContentFormat::Tlv
    }

    /// Takes what a Bootstrap-Discover tells.
    fn discovered(&mut self, body: &[u8]) -> Option<Reason> {
        let links = match parse_discover(body, "") {
            Ok(links) => links,
            Err(error) => {
                return Some(
                    Reason::new("discover-malformed", error.to_string())
                        .hint("what is written may hit the account of the bootstrap server"),
                );
            }
        };
        let root = links.iter().find(|link| link.path.is_root());
        let version = root.and_then(|root| root.param("lwm2m")?.parse().ok());
        if let Some(version) = version {
            // Some devices say 1.0 whatever they are.
            self.device.version = self.device.version.max(version);
        }
        self.device.learn_versions(&links);
        self.device.spare(own_instances(&links), &self.plan);
        None
    }

    /// Compares what a device says with what was written.
    fn compare(
        &self,
        path: &Path,
        answer: Answer<'_>,
        models: &dyn ObjectModels,
    ) -> Option<Reason> {
        let format = match answer.content_format {
            None => Some(self.format),
            Some(number) => ContentFormat::from_number(number),
        };
        let path = self.device.placed(path);
        let read = format.map(|format| {
            self.device
                .difference(format, path, answer.body, &self.plan, models)
        });
        let hint = "the device may have changed the value by itself: compare it with the plan";
        match read {
            Some(Ok(None)) => None,
            Some(Ok(Some(path))) => {
                let message = format!("{path} is not what was written");
                Some(Reason::new("not-as-written", message).hint(hint))
            }
            Some(Err(error)) => Some(Reason::new("read-malformed", error.to_string())),
            None => Some(Reason::new("read-malformed", "the format is not known")),
        }
    }

    fn finished(&mut self, answer: Answer<'_>) -> (Option<StepFailure>, Turn) {
        if answer.code.is_success() {
            return (None, Turn::Finished);
        }
        let reason = match answer.code {
            Code::NOT_ACCEPTABLE => {
                Reason::new("inconsistent", "the device finds its accounts inconsistent").hint(
                    "it needs a /0 instance with URI, mode and keys, and a /1 instance with the \
                     same short server id, lifetime and binding; see the steps that failed before",
                )
            }
            code => Reason::new("finish-refused", format!("the device answered {code:?}"))
                .hint("see the log of the device, and the steps that failed before"),
        };
        self.failures += 1;
        let failure = self.finish_failure(Some(answer.code), reason.clone());
        (Some(failure), Turn::Ended(reason))
    }

    fn failure(
        &self,
        operation: &BootstrapOperation,
        code: Option<Code>,
        reason: Reason,
    ) -> StepFailure {
        StepFailure {
            step: self.step(),
            operation: operation.name(),
            path: self.device.placed(&operation.path()),
            code,
            reason,
        }
    }

    fn finish_failure(&self, code: Option<Code>, reason: Reason) -> StepFailure {
        StepFailure {
            step: self.step(),
            operation: "finish",
            path: Path::ROOT,
            code,
            reason,
        }
    }
}

/// A request to a path. On this interface there is no alternate path.
fn at(code: Code, path: &Path) -> OutgoingRequest {
    path.ids()
        .iter()
        .fold(OutgoingRequest::new(code), |request, id| {
            request.option(OptionNumber::URI_PATH, id.to_string())
        })
}

fn refused(operation: &BootstrapOperation, answer: Answer<'_>) -> Reason {
    let said = match std::str::from_utf8(answer.body) {
        Ok(text) if !text.is_empty() && text.len() <= DIAGNOSTIC_MAX => {
            format!(": {}", text.escape_debug())
        }
        _ => String::new(),
    };
    let message = format!("the device answered {:?}{said}", answer.code);
    let hint = match (operation, answer.code) {
        (BootstrapOperation::Discover(_), _) => {
            "it may have no Bootstrap-Discover: give the accounts instance ids that the bootstrap \
             server's own does not have"
        }
        (_, Code::NOT_FOUND) => "the device does not have this object",
        (_, Code::UNSUPPORTED_CONTENT_FORMAT) => {
            "it takes neither its preferred format nor TLV: set content_format"
        }
        (_, code) if code.class() == 5 => "the device has failed by itself: see its log",
        _ => "compare the values with the definition of the object in the device's version",
    };
    Reason::new("step-refused", message).hint(hint)
}

/// The longest text of a device that is told, in bytes.
const DIAGNOSTIC_MAX: usize = 128;

#[cfg(test)]
mod tests;
