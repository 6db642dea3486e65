//! Firmware: jobs, what has happened, and the steps of a delivery.

use std::sync::Arc;

use lwm2m_server::Registration;
use lwm2m_server::hooks::{
    FirmwareAction, FirmwareEvent, FirmwareImage, FirmwareJob, FirmwareResult, FirmwareStep,
    FirmwareVerdict,
};
use serde::{Deserialize, Serialize};

use super::device::{DigestForm, RegistrationForm};
use super::value::{BytesForm, MeasurementForm, PathForm, ValueForm};

/// One attempt to bring an image to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobForm {
    #[serde(default = "job_id")]
    id: String,
    /// From 1.
    #[serde(default = "one")]
    attempt: u32,
    /// The device; that of the fixture when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<RegistrationForm>,
    #[serde(default)]
    image: ImageForm,
}

fn job_id() -> String {
    "job-1".to_owned()
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ImageForm {
    id: String,
    name: String,
    version: String,
    size: u64,
    /// 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<DigestForm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uris: Vec<String>,
}

/// What has happened in a delivery that goes step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventForm {
    Started,
    Resumed,
    Done(Vec<ResultForm>),
    Notified(Vec<MeasurementForm>),
    Timer,
    Reregistered,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResultForm {
    Ok,
    Values(Vec<MeasurementForm>),
    Failed(String),
}

impl JobForm {
    /// True when it does not say to which device.
    pub(crate) fn needs_target(&self) -> bool {
        self.target.is_none()
    }

    pub(super) fn of(job: &FirmwareJob) -> JobForm {
        let image = &job.image;
        JobForm {
            id: job.id.clone(),
            attempt: job.attempt,
            target: Some((&job.target).into()),
            image: ImageForm {
                id: image.id.clone(),
                name: image.name.clone(),
                version: image.version.clone(),
                size: image.size,
                sha256: Some(DigestForm(image.sha256)),
                uris: image.uris.clone(),
            },
        }
    }

    pub(super) fn job(self, target: Arc<Registration>) -> FirmwareJob {
        let image = self.image;
        FirmwareJob {
            id: self.id,
            attempt: self.attempt,
            target,
            image: FirmwareImage {
                id: image.id,
                name: image.name,
                version: image.version,
                size: image.size,
                sha256: image.sha256.map_or([0; 32], |digest| digest.0),
                uris: image.uris,
            },
        }
    }
}

impl EventForm {
    pub(super) fn of(event: &FirmwareEvent) -> EventForm {
        let measured = |records: &[_]| records.iter().map(MeasurementForm::of).collect();
        match event {
            FirmwareEvent::Started => EventForm::Started,
            FirmwareEvent::Resumed => EventForm::Resumed,
            FirmwareEvent::Done(results) => EventForm::Done(
                (results.iter())
                    .map(|result| match result {
                        FirmwareResult::Values(records) => ResultForm::Values(measured(records)),
                        FirmwareResult::Failed(why) => ResultForm::Failed(why.clone()),
                        _ => ResultForm::Ok,
                    })
                    .collect(),
            ),
            FirmwareEvent::Notified(records) => EventForm::Notified(measured(records)),
            FirmwareEvent::Timer => EventForm::Timer,
            FirmwareEvent::Reregistered => EventForm::Reregistered,
            _ => EventForm::Cancelled,
        }
    }

    pub(super) fn event(self) -> FirmwareEvent {
        let records =
            |forms: Vec<MeasurementForm>| forms.iter().map(MeasurementForm::record).collect();
        match self {
            EventForm::Started => FirmwareEvent::Started,
            EventForm::Resumed => FirmwareEvent::Resumed,
            EventForm::Done(results) => FirmwareEvent::Done(
                (results.into_iter())
                    .map(|result| match result {
                        ResultForm::Ok => FirmwareResult::Ok,
                        ResultForm::Values(forms) => FirmwareResult::Values(records(forms)),
                        ResultForm::Failed(why) => FirmwareResult::Failed(why),
                    })
                    .collect(),
            ),
            EventForm::Notified(forms) => FirmwareEvent::Notified(records(forms)),
            EventForm::Timer => FirmwareEvent::Timer,
            EventForm::Reregistered => FirmwareEvent::Reregistered,
            EventForm::Cancelled => FirmwareEvent::Cancelled,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StepForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<BytesForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Vec<ActionForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictForm>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionForm {
    Read(Vec<PathForm>),
    Write(Vec<MeasurementForm>),
    Execute(ExecuteForm),
    Observe(PathForm),
    SendImage(PathForm),
    /// In milliseconds.
    Wait(u32),
    /// In percent.
    Progress(u8),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecuteForm {
    path: PathForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictForm {
    Running,
    Succeeded,
    Failed(String),
    /// In seconds.
    RetryLater(u32),
}

impl StepForm {
    pub(super) fn of(step: &FirmwareStep) -> StepForm {
        StepForm {
            state: Some(BytesForm(step.state.clone())),
            actions: Some(step.actions.iter().map(ActionForm::of).collect()),
            verdict: Some(match &step.verdict {
                FirmwareVerdict::Succeeded => VerdictForm::Succeeded,
                FirmwareVerdict::Failed(why) => VerdictForm::Failed(why.clone()),
                FirmwareVerdict::RetryLater(seconds) => VerdictForm::RetryLater(*seconds),
                _ => VerdictForm::Running,
            }),
        }
    }
}

impl ActionForm {
    pub(super) fn of(action: &FirmwareAction) -> ActionForm {
        match action {
            FirmwareAction::Read(paths) => {
                ActionForm::Read(paths.iter().copied().map(PathForm).collect())
            }
            FirmwareAction::Write(values) => ActionForm::Write(
                (values.iter())
                    .map(|(path, value)| MeasurementForm {
                        path: PathForm(*path),
                        value: ValueForm(value.clone()),
                        time: None,
                    })
                    .collect(),
            ),
            FirmwareAction::Execute(path, arguments) => ActionForm::Execute(ExecuteForm {
                path: PathForm(*path),
                arguments: arguments.clone(),
            }),
            FirmwareAction::Observe(path) => ActionForm::Observe(PathForm(*path)),
            FirmwareAction::SendImage(path) => ActionForm::SendImage(PathForm(*path)),
            FirmwareAction::Wait(ms) => ActionForm::Wait(*ms),
            FirmwareAction::Progress(percent) => ActionForm::Progress(*percent),
            // One that a later version of the server adds.
            _ => ActionForm::Wait(0),
        }
    }
}
