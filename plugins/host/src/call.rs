//! What a plugin is asked, and what it answers.

use std::sync::Arc;

use lwm2m_core::Path;
use lwm2m_server::bootstrap::{BootstrapAnswer, BootstrapRequest};
use lwm2m_server::hooks::{
    Batch, BootstrapEnd, CredentialAnswer, CredentialRequest, EndReason, FirmwareChoice,
    FirmwareEvent, FirmwareJob, FirmwareStep, ObserveFailure, ObservePlan, Outcome, Repair, Update,
};
use lwm2m_server::{Decision, EndpointName, Hook, Registration};

/// One call of a hook, with its input.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Call {
    /// *credentials.lookup*
    Credentials(Arc<CredentialRequest>),
    /// *registration.on-register*
    OnRegister(Arc<Registration>),
    /// *registration.on-update*
    OnUpdate(Arc<Registration>, Arc<Update>),
    /// *devices.on-registered*
    OnRegistered(Arc<Registration>),
    /// *devices.on-updated*
    OnUpdated(Arc<Registration>, Arc<Update>),
    /// *devices.on-gone*
    OnGone(Arc<Registration>, EndReason),
    /// *observe.plan*
    ObservePlan(Arc<Registration>),
    /// *observe.on-failure*
    ObserveFailed(Arc<Registration>, Arc<[Path]>, ObserveFailure),
    /// *telemetry.transform*
    Transform(Arc<Batch>),
    /// *firmware.select*
    Firmware(Arc<FirmwareJob>),
    /// *firmware-driver.step*, with the state of the step before
    FirmwareStep(Arc<FirmwareJob>, Arc<[u8]>, Arc<FirmwareEvent>),
    /// *bootstrap.configure*
    Bootstrap(Arc<BootstrapRequest>),
    /// *bootstrap.on-finished*
    OnBootstrapped(Arc<BootstrapEnd>),
}

/// The answer to a [`Call`], of the kind that belongs to its hook.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// To *credentials.lookup*.
    Credentials(CredentialAnswer),
    /// To *registration.on-register* and *on-update*.
    Decision(Decision),
    /// To the hooks of *devices*, and to *bootstrap.on-finished*.
    Done,
    /// To *observe.plan*.
    Plan(Option<ObservePlan>),
    /// To *observe.on-failure*.
    Repair(Repair),
    /// To *telemetry.transform*.
    Outcome(Outcome),
    /// To *firmware.select*.
    Choice(FirmwareChoice),
    /// To *firmware-driver.step*.
    Step(Option<FirmwareStep>),
    /// To *bootstrap.configure*.
    Bootstrap(BootstrapAnswer),
}

impl Call {
    /// The hook.
    pub fn hook(&self) -> Hook {
        match self {
            Call::Credentials(_) => Hook::Credentials,
            Call::OnRegister(_) => Hook::OnRegister,
            Call::OnUpdate(..) => Hook::OnUpdate,
            Call::OnRegistered(_) => Hook::OnRegistered,
            Call::OnUpdated(..) => Hook::OnUpdated,
            Call::OnGone(..) => Hook::OnGone,
            Call::ObservePlan(_) => Hook::ObservePlan,
            Call::ObserveFailed(..) => Hook::ObserveFailed,
            Call::Transform(_) => Hook::Transform,
            Call::Firmware(_) => Hook::Firmware,
            Call::FirmwareStep(..) => Hook::FirmwareStep,
            Call::Bootstrap(_) => Hook::Bootstrap,
            Call::OnBootstrapped(_) => Hook::OnBootstrapped,
        }
    }

    /// The device that it is about; none before it has a name.
    pub fn endpoint(&self) -> Option<&EndpointName> {
        match self {
            Call::Credentials(_) => None,
            Call::OnRegister(registration)
            | Call::OnUpdate(registration, _)
            | Call::OnRegistered(registration)
            | Call::OnUpdated(registration, _)
            | Call::OnGone(registration, _)
            | Call::ObservePlan(registration)
            | Call::ObserveFailed(registration, ..) => Some(&registration.endpoint),
            Call::Transform(batch) => Some(&batch.endpoint),
            Call::Firmware(job) | Call::FirmwareStep(job, ..) => Some(&job.target.endpoint),
            Call::Bootstrap(request) => Some(&request.endpoint),
            Call::OnBootstrapped(end) => Some(&end.endpoint),
        }
    }
}
