//! What plugins are asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_server::hooks::{Batch, BatchSource, EndReason, FirmwareJob, ObserveFailure, Update};
use lwm2m_server::{EndpointName, Hook, Registration};
use serde::{Deserialize, Serialize};

use super::bootstrap::{BootstrapEndForm, BootstrapForm};
use super::delivery::{EventForm, JobForm};
use super::device::{LinksForm, RegistrationForm, RequestForm};
use super::value::{BytesForm, MeasurementForm, PathForm};
use crate::Call;

/// A call: what its hook takes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration: Option<RegistrationForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<UpdateForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<EndReasonForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<RequestForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paths: Option<Vec<PathForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<FailureForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<BatchForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<BytesForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<EventForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bootstrap: Option<BootstrapForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<BootstrapEndForm>,
}

/// What an Update changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpdateForm {
    lifetime_changed: bool,
    binding_changed: bool,
    address_changed: bool,
    /// The links before, when they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_links: Option<LinksForm>,
}

/// Why a device is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndReasonForm {
    Deregistered,
    LifetimeExpired,
    Replaced,
    RemovedByOperator,
}

/// Why something could not be observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureForm {
    NotFound,
    NotAllowed,
    Timeout,
    UnsupportedFormat,
    Other,
}

/// Values on their way to applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchForm {
    endpoint: String,
    #[serde(default)]
    source: SourceForm,
    /// What was asked for; `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathForm>,
    /// In milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    measurements: Vec<MeasurementForm>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceForm {
    #[default]
    Notification,
    Send,
    Read,
}

impl CallForm {
    /// What a call looks like, without the name of its hook.
    pub(crate) fn of(call: &Call) -> CallForm {
        let mut form = CallForm::default();
        match call {
            Call::Credentials(request) => form.request = Some(RequestForm::of(request)),
            Call::OnRegister(registration)
            | Call::OnRegistered(registration)
            | Call::ObservePlan(registration) => form.registration = Some(registration.into()),
            Call::OnUpdate(registration, update) | Call::OnUpdated(registration, update) => {
                form.registration = Some(registration.into());
                form.update = Some(UpdateForm::of(update));
            }
            Call::OnGone(registration, reason) => {
                form.registration = Some(registration.into());
                form.reason = Some((*reason).into());
            }
            Call::ObserveFailed(registration, paths, failure) => {
                form.registration = Some(registration.into());
                form.paths = Some(paths.iter().copied().map(PathForm).collect());
                form.failure = Some((*failure).into());
            }
            Call::Transform(batch) => form.batch = Some(BatchForm::of(batch)),
            Call::Firmware(job) => form.job = Some(JobForm::of(job)),
            Call::FirmwareStep(job, state, event) => {
                form.job = Some(JobForm::of(job));
                form.state = Some(BytesForm(state.to_vec()));
                form.event = Some(EventForm::of(event));
            }
            Call::Bootstrap(request) => form.bootstrap = Some(BootstrapForm::of(request)),
            Call::OnBootstrapped(end) => form.end = Some(BootstrapEndForm::of(end)),
        }
        form
    }

    /// The call of a hook with this input.
    ///
    /// # Errors
    /// A sentence: what the hook takes and does not get, or gets and does not take.
    pub(crate) fn call(self, hook: Hook) -> Result<Call, String> {
        let mut taken = Taken {
            hook: hook.name(),
            form: self,
        };
        let call = match hook {
            Hook::Credentials => {
                let request = taken.form.request.take();
                Call::Credentials(Arc::new(taken.needs("request", request)?.request()))
            }
            Hook::OnRegister => Call::OnRegister(taken.registration()?),
            Hook::OnUpdate => Call::OnUpdate(taken.registration()?, taken.update()),
            Hook::OnRegistered => Call::OnRegistered(taken.registration()?),
            Hook::OnUpdated => Call::OnUpdated(taken.registration()?, taken.update()),
            Hook::OnGone => {
                let reason = taken.form.reason.take();
                let reason = reason.map_or(EndReason::Deregistered, Into::into);
                Call::OnGone(taken.registration()?, reason)
            }
            Hook::ObservePlan => Call::ObservePlan(taken.registration()?),
            Hook::ObserveFailed => {
                let paths = taken.form.paths.take();
                let paths = taken.needs("paths", paths)?;
                let failure = taken.form.failure.take();
                let failure = failure.map_or(ObserveFailure::Other, Into::into);
                let paths = paths.into_iter().map(|path| path.0).collect();
                Call::ObserveFailed(taken.registration()?, paths, failure)
            }
            Hook::Transform => {
                let batch = taken.form.batch.take();
                Call::Transform(Arc::new(taken.needs("batch", batch)?.batch()?))
            }
            Hook::Firmware => Call::Firmware(taken.job()?),
            Hook::FirmwareStep => {
                let state = taken.form.state.take().unwrap_or_default();
                let event = taken.form.event.take();
                let event = taken.needs("event", event)?.event();
                Call::FirmwareStep(taken.job()?, state.0.into(), Arc::new(event))
            }
            Hook::Bootstrap => {
                let request = taken.form.bootstrap.take();
                let request = taken.needs("bootstrap", request)?.request()?;
                Call::Bootstrap(Arc::new(request))
            }
            Hook::OnBootstrapped => {
                let end = taken.form.end.take();
                Call::OnBootstrapped(Arc::new(taken.needs("end", end)?.end()?))
            }
            other => return Err(format!("{} is not known here", other.name())),
        };
        taken.nothing_left()?;
        Ok(call)
    }
}

/// The input of a call, of which its hook takes what it needs.
struct Taken {
    hook: &'static str,
    form: CallForm,
}

impl Taken {
    fn needs<T>(&self, key: &str, value: Option<T>) -> Result<T, String> {
        value.ok_or_else(|| format!("{} needs {key}", self.hook))
    }

    fn registration(&mut self) -> Result<Arc<Registration>, String> {
        let registration = self.form.registration.take();
        let registration = self.needs("registration", registration)?;
        registration.registration().map(Arc::new)
    }

    fn update(&mut self) -> Arc<Update> {
        Arc::new(self.form.update.take().unwrap_or_default().update())
    }

    fn job(&mut self) -> Result<Arc<FirmwareJob>, String> {
        let job = self.form.job.take();
        let job = self.needs("job", job)?;
        let target = job.target.clone().or_else(|| self.form.registration.take());
        let target = self.needs("job.target", target)?;
        Ok(Arc::new(job.job(Arc::new(target.registration()?))))
    }

    /// What nobody has taken was meant for another hook.
    fn nothing_left(&self) -> Result<(), String> {
        let form = &self.form;
        let left = [
            ("registration", form.registration.is_some()),
            ("update", form.update.is_some()),
            ("reason", form.reason.is_some()),
            ("request", form.request.is_some()),
            ("paths", form.paths.is_some()),
            ("failure", form.failure.is_some()),
            ("batch", form.batch.is_some()),
            ("job", form.job.is_some()),
            ("state", form.state.is_some()),
            ("event", form.event.is_some()),
            ("bootstrap", form.bootstrap.is_some()),
            ("end", form.end.is_some()),
        ];
        match left.iter().find(|(_, is_left)| *is_left) {
            Some((key, _)) => Err(format!("{} takes no {key}", self.hook)),
            None => Ok(()),
        }
    }
}

impl UpdateForm {
    fn of(update: &Update) -> UpdateForm {
        UpdateForm {
            lifetime_changed: update.lifetime_changed,
            binding_changed: update.binding_changed,
            address_changed: update.address_changed,
            previous_links: update.previous_objects.clone().map(LinksForm),
        }
    }

    fn update(self) -> Update {
        let mut update = Update::default();
        update.lifetime_changed = self.lifetime_changed;
        update.binding_changed = self.binding_changed;
        update.address_changed = self.address_changed;
        update.previous_objects = self.previous_links.map(|links| links.0);
        update
    }
}

impl BatchForm {
    fn of(batch: &Batch) -> BatchForm {
        BatchForm {
            endpoint: batch.endpoint.to_string(),
            source: match batch.source {
                BatchSource::Notification => SourceForm::Notification,
                BatchSource::Send => SourceForm::Send,
                _ => SourceForm::Read,
            },
            path: Some(PathForm(batch.path)),
            received_ms: Some(unix_ms(batch.received)),
            annotations: batch.annotations.iter().cloned().collect(),
            measurements: batch.records.iter().map(MeasurementForm::of).collect(),
        }
    }

    fn batch(self) -> Result<Batch, String> {
        let records = self.measurements.iter().map(MeasurementForm::record);
        let mut batch = Batch::new(endpoint(&self.endpoint)?, records.collect());
        batch.source = match self.source {
            SourceForm::Notification => BatchSource::Notification,
            SourceForm::Send => BatchSource::Send,
            SourceForm::Read => BatchSource::Read,
        };
        if let Some(PathForm(path)) = self.path {
            batch.path = path;
        }
        batch.received = UNIX_EPOCH + Duration::from_millis(self.received_ms.unwrap_or(0));
        batch.annotations = pairs(&self.annotations);
        Ok(batch)
    }
}

impl From<EndReason> for EndReasonForm {
    fn from(reason: EndReason) -> EndReasonForm {
        match reason {
            EndReason::Deregistered => EndReasonForm::Deregistered,
            EndReason::LifetimeExpired => EndReasonForm::LifetimeExpired,
            EndReason::Replaced => EndReasonForm::Replaced,
            _ => EndReasonForm::RemovedByOperator,
        }
    }
}

impl From<EndReasonForm> for EndReason {
    fn from(reason: EndReasonForm) -> EndReason {
        match reason {
            EndReasonForm::Deregistered => EndReason::Deregistered,
            EndReasonForm::LifetimeExpired => EndReason::LifetimeExpired,
            EndReasonForm::Replaced => EndReason::Replaced,
            EndReasonForm::RemovedByOperator => EndReason::RemovedByOperator,
        }
    }
}

impl From<ObserveFailure> for FailureForm {
    fn from(failure: ObserveFailure) -> FailureForm {
        match failure {
            ObserveFailure::NotFound => FailureForm::NotFound,
            ObserveFailure::NotAllowed => FailureForm::NotAllowed,
            ObserveFailure::Timeout => FailureForm::Timeout,
            ObserveFailure::UnsupportedFormat => FailureForm::UnsupportedFormat,
            _ => FailureForm::Other,
        }
    }
}

impl From<FailureForm> for ObserveFailure {
    fn from(failure: FailureForm) -> ObserveFailure {
        match failure {
            FailureForm::NotFound => ObserveFailure::NotFound,
            FailureForm::NotAllowed => ObserveFailure::NotAllowed,
            FailureForm::Timeout => ObserveFailure::Timeout,
            FailureForm::UnsupportedFormat => ObserveFailure::UnsupportedFormat,
            FailureForm::Other => ObserveFailure::Other,
        }
    }
}

pub(super) fn endpoint(name: &str) -> Result<EndpointName, String> {
    EndpointName::new(name).ok_or_else(|| "an endpoint name has 1 to 255 bytes".to_owned())
}

pub(super) fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let pair = |(key, value): (&String, &String)| (key.clone(), value.clone());
    map.iter().map(pair).collect()
}

pub(super) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
