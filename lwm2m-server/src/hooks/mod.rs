//! *Intercept*: the hooks at which extensions have a say.
//!
//! ```text
//! credentials      a handshake asks for a key ─> first answer ─> else the credential store
//! on_register      Register parsed ─────────┐
//! on_update        Update parsed ───────────┴─> decide in order ─> authorizer ─> table ─> event
//! on_registered …  after the fact, in order for each device ─> may talk to the device
//! observe_plan     registered, or links changed ─> first plan ─> else the configured strategy
//! observe_failed   a group of the plan was refused ─> its owner repairs it
//! transform        values decoded ─> pipeline ─> event
//! bootstrap        Bootstrap-Request ─> authorizer ─> first answer ─> else the bootstrap store
//! on_bootstrapped  a bootstrap session is over
//! ```
//!
//! An [`Interceptor`] implements those that it wants, in Rust, or on behalf of plugins in other
//! languages. It answers at once on the thread of a shard, or later ([`Answer`]): then what asked
//! waits and other devices go on. What may take long never runs on a shard.
//!
//! How long an answer may take and what happens when there is none is the business of who answers
//! later; as a last resort the server waits no longer than `limits.hook_timeout`.

mod answer;
mod bootstrap_chain;
mod bootstrapping;
mod chain;
mod credential_chain;
mod credentials;
mod decision;
mod devices;
mod dispatch;
mod firmware;
mod observing;
mod telemetry;

use std::sync::Arc;

use lwm2m_core::Path;

pub use answer::Answer;
pub(crate) use bootstrap_chain::BootstrapChain;
pub use bootstrapping::BootstrapEnd;
pub(crate) use chain::{any_with, failed, next_with};
pub(crate) use credential_chain::CredentialChain;
pub use credentials::{CredentialAnswer, CredentialRequest};
pub use decision::{Annotations, Decision, Update};
pub use devices::EndReason;
pub(crate) use dispatch::{Herald, News};
pub use firmware::{
    FirmwareAction, FirmwareChoice, FirmwareEvent, FirmwareImage, FirmwareJob, FirmwareResult,
    FirmwareStep, FirmwareStrategy, FirmwareVerdict,
};
pub use observing::{Grouping, ObserveFailure, ObservePlan, ObserveTarget, Repair};
pub use telemetry::{Batch, BatchSource, Outcome, Series};

use crate::bootstrap::{BootstrapAnswer, BootstrapRequest};
use crate::{Registration, WeakServer};

/// Has a say in what devices send and in what the server does about it.
///
/// Interceptors are asked in the order in which they were added. Every method has a default that
/// has no opinion; [`Interceptor::hooks`] tells which ones are worth a call.
///
/// A method that is called on the thread of a shard returns at once; [`Answer::Later`] is for what
/// takes time. One that panics counts as no answer: the Register or Update that it was asked about
/// is refused with 5.00, values go on unchanged, and nothing else is harmed.
pub trait Interceptor: Send + Sync + 'static {
    /// What events and messages call it.
    fn name(&self) -> &str {
        "native"
    }

    /// The hooks that it has now; others are not called and cost nothing. Asked for each call, so
    /// that it may change while the server runs.
    fn hooks(&self) -> HookSet {
        HookSet::ALL
    }

    /// The server runs from now on. Called once; the place to keep a handle: a [`WeakServer`], since
    /// a [`Server`](crate::Server) keeps the server running.
    fn on_started(&self, _server: &WeakServer) {}

    /// *credentials.lookup*: a peer presents itself in a handshake, or with an OSCORE key id. The
    /// first answer other than [`CredentialAnswer::Unknown`] counts; then comes the store.
    fn credentials(&self, _request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        Answer::Now(CredentialAnswer::Unknown)
    }

    /// *registration.on-register*: a Register that parsed well, before the authorizer and before it
    /// stands. Its `id` is not given yet and zero.
    fn on_register(&self, _registration: &Arc<Registration>) -> Answer<Decision> {
        Answer::Now(Decision::Pass)
    }

    /// *registration.on-update*: an Update that parsed well, before it is taken. `registration` is
    /// as it will be. Rejecting with 4.04 makes the device register anew.
    fn on_update(
        &self,
        _registration: &Arc<Registration>,
        _update: &Arc<Update>,
    ) -> Answer<Decision> {
        Answer::Now(Decision::Pass)
    }

    /// *devices.on-registered*: after the fact; in order for each device, together with
    /// [`Interceptor::on_updated`] and [`Interceptor::on_gone`]. Not on a shard.
    fn on_registered(&self, _registration: &Arc<Registration>) -> Answer<()> {
        Answer::Now(())
    }

    /// *devices.on-updated*: after the fact.
    fn on_updated(&self, _registration: &Arc<Registration>, _update: &Arc<Update>) -> Answer<()> {
        Answer::Now(())
    }

    /// *devices.on-gone*: after the fact; the registration as it was.
    fn on_gone(&self, _registration: &Arc<Registration>, _reason: EndReason) -> Answer<()> {
        Answer::Now(())
    }

    /// *observe.plan*: what to observe on a device that has registered or changed its links; none
    /// for no opinion. Asked after [`Interceptor::on_registered`] and [`Interceptor::on_updated`] of
    /// the same news have come back, and again after
    /// [`Server::plan_observations`](crate::Server::plan_observations). Not on a shard.
    fn observe_plan(&self, _registration: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        Answer::Now(None)
    }

    /// *observe.on-failure*: a group of the plan that this interceptor made could not be
    /// established, a composite not even path by path. Not on a shard.
    fn observe_failed(
        &self,
        _registration: &Arc<Registration>,
        _plan: &ObservePlan,
        _paths: &[Path],
        _failure: ObserveFailure,
    ) -> Answer<Repair> {
        Answer::Now(Repair::Keep)
    }

    /// *telemetry.transform*: values of a notification, a Send or a Read, before anybody hears of
    /// them. The device has its acknowledgement by then. The values of one device stay in order:
    /// while an answer is awaited, those behind wait, so many as `limits.transforms_per_device_max`.
    fn transform(&self, _batch: &Arc<Batch>) -> Answer<Outcome> {
        Answer::Now(Outcome::Pass)
    }

    /// *firmware.select*: how an image gets to a device, before each attempt. The first answer other
    /// than [`FirmwareChoice::Pass`] counts.
    fn firmware(&self, _job: &Arc<FirmwareJob>) -> Answer<FirmwareChoice> {
        Answer::Now(FirmwareChoice::Pass)
    }

    /// *firmware-driver.step*: the next step of a delivery that this interceptor chose to drive
    /// itself; none when it does not know it.
    fn firmware_step(
        &self,
        _job: &Arc<FirmwareJob>,
        _state: &[u8],
        _event: &FirmwareEvent,
    ) -> Answer<Option<FirmwareStep>> {
        Answer::Now(None)
    }

    /// *bootstrap.configure*: a device asks what is written into it, under a name that it may use.
    /// The first answer other than [`BootstrapAnswer::Unknown`] counts; then comes the store.
    fn bootstrap(&self, _request: &Arc<BootstrapRequest>) -> Answer<BootstrapAnswer> {
        Answer::Now(BootstrapAnswer::Unknown)
    }

    /// *bootstrap.on-finished*: a bootstrap session is over, after the fact; in order for each
    /// device, together with [`Interceptor::on_registered`]. Not on a shard.
    fn on_bootstrapped(&self, _end: &Arc<BootstrapEnd>) -> Answer<()> {
        Answer::Now(())
    }
}

/// One of the points at which interceptors are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Hook {
    /// [`Interceptor::credentials`]
    Credentials,
    /// [`Interceptor::on_register`]
    OnRegister,
    /// [`Interceptor::on_update`]
    OnUpdate,
    /// [`Interceptor::on_registered`]
    OnRegistered,
    /// [`Interceptor::on_updated`]
    OnUpdated,
    /// [`Interceptor::on_gone`]
    OnGone,
    /// [`Interceptor::observe_plan`]
    ObservePlan,
    /// [`Interceptor::observe_failed`]
    ObserveFailed,
    /// [`Interceptor::transform`]
    Transform,
    /// [`Interceptor::firmware`]
    Firmware,
    /// [`Interceptor::firmware_step`]
    FirmwareStep,
    /// [`Interceptor::bootstrap`]
    Bootstrap,
    /// [`Interceptor::on_bootstrapped`]
    OnBootstrapped,
}

impl Hook {
    /// All of them.
    pub const ALL: [Hook; 13] = [
        Hook::Credentials,
        Hook::OnRegister,
        Hook::OnUpdate,
        Hook::OnRegistered,
        Hook::OnUpdated,
        Hook::OnGone,
        Hook::ObservePlan,
        Hook::ObserveFailed,
        Hook::Transform,
        Hook::Firmware,
        Hook::FirmwareStep,
        Hook::Bootstrap,
        Hook::OnBootstrapped,
    ];

    /// Its name in events, figures and configuration, as in `on_register`.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Credentials => "credentials",
            Hook::OnRegister => "on_register",
            Hook::OnUpdate => "on_update",
            Hook::OnRegistered => "on_registered",
            Hook::OnUpdated => "on_updated",
            Hook::OnGone => "on_gone",
            Hook::ObservePlan => "observe_plan",
            Hook::ObserveFailed => "observe_failed",
            Hook::Transform => "transform",
            Hook::Firmware => "firmware",
            Hook::FirmwareStep => "firmware_step",
            Hook::Bootstrap => "bootstrap",
            Hook::OnBootstrapped => "on_bootstrapped",
        }
    }
}

/// Some hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct HookSet(u32);

impl HookSet {
    /// None.
    pub const EMPTY: HookSet = HookSet(0);
    /// All, also those that later versions add.
    pub const ALL: HookSet = HookSet(u32::MAX);

    /// These, and this one as well.
    #[must_use]
    pub const fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    /// True when it is one of them.
    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & 1 << hook as u8 != 0
    }

    /// True when there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: HookSet) -> HookSet {
        HookSet(self.0 | other.0)
    }

    /// As a number, to keep in an atomic.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From [`HookSet::bits`].
    pub const fn from_bits(bits: u32) -> HookSet {
        HookSet(bits)
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> HookSet {
        hooks.into_iter().fold(HookSet::EMPTY, HookSet::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let some = HookSet::from_iter([Hook::OnRegister, Hook::Transform]);
        for hook in Hook::ALL {
            let is_in = matches!(hook, Hook::OnRegister | Hook::Transform);
            assert_eq!(some.contains(hook), is_in, "{}", hook.name());
            assert!(HookSet::ALL.contains(hook) && !HookSet::EMPTY.contains(hook));
        }
        assert_eq!(HookSet::from_bits(some.bits()), some);
        assert!(HookSet::EMPTY.is_empty() && !some.is_empty());
        assert_eq!(some.union(HookSet::EMPTY), some);
    }
}
