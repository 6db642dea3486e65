//! Which plugins are asked at which hook, and what their answers come to.

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_server::bootstrap::{BootstrapAnswer, BootstrapRequest};
use lwm2m_server::hooks::{
    Batch, BootstrapEnd, CredentialAnswer, CredentialRequest, EndReason, FirmwareChoice,
    FirmwareEvent, FirmwareJob, FirmwareStep, FirmwareStrategy, ObserveFailure, ObservePlan,
    Outcome, Repair, Update,
};
use lwm2m_server::{Annotations, Decision, Hook, HookSet, Reason, Refusal, Registration};

use crate::hook::Fail;
use crate::plugin::Plugin;
use crate::services::Services;
use crate::workers::Workers;
use crate::{Call, Failure, Reply};

/// The plugins in their order, for each hook those that have it.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    by_hook: [Vec<Arc<Plugin>>; Hook::ALL.len()],
}

/// What it takes to ask plugins. Each thread has one of its own.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) chain: Arc<Chain>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) services: Arc<Services>,
}

impl Chain {
    /// Puts plugins in their order.
    pub(crate) fn new(plugins: Vec<Arc<Plugin>>) -> Chain {
        let mut chain = Chain::default();
        for (hook, place) in Hook::ALL.into_iter().zip(&mut chain.by_hook) {
            let mut here: Vec<_> = plugins
                .iter()
                .map(|plugin| (plugin.version(), plugin))
                .filter(|(version, _)| version.guest.hooks().contains(hook))
                .map(|(version, plugin)| (version.config.order(hook), Arc::clone(plugin)))
                .collect();
            here.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
            *place = here.into_iter().map(|(_, plugin)| plugin).collect();
        }
        chain.plugins = plugins;
        chain
    }

    /// The hooks that at least one plugin has.
    pub(crate) fn hooks(&self) -> HookSet {
        let used = Hook::ALL.into_iter().zip(&self.by_hook);
        used.filter(|(_, plugins)| !plugins.is_empty())
            .map(|(hook, _)| hook)
            .collect()
    }

    /// The plugins that have a hook, in their order.
    pub(crate) fn of(&self, hook: Hook) -> &[Arc<Plugin>] {
        self.by_hook.get(hook as usize).map_or(&[], Vec::as_slice)
    }
}

impl Asking {
    async fn ask(&self, plugin: &Arc<Plugin>, call: Call) -> Result<Reply, (Failure, Fail)> {
        plugin.ask(call, &self.workers, &self.services).await
    }

    /// *credentials.lookup*: the first answer other than unknown.
    pub(crate) async fn credentials(
        self: Arc<Self>,
        request: Arc<CredentialRequest>,
    ) -> CredentialAnswer {
        for plugin in self.chain.of(Hook::Credentials) {
            let call = Call::Credentials(Arc::clone(&request));
            match self.ask(plugin, call).await {
                Ok(Reply::Credentials(CredentialAnswer::Unknown)) | Err((_, Fail::Open)) => {}
                Ok(Reply::Credentials(answer)) => return answer,
                Ok(_) => {}
                Err((failure, Fail::Closed)) => {
                    let why = format!("plugin {} gave no answer: {failure}", plugin.name);
                    return CredentialAnswer::Deny { why };
                }
            }
        }
        CredentialAnswer::Unknown
    }

    /// *registration.on-register*
    pub(crate) async fn on_register(self: Arc<Self>, registration: Arc<Registration>) -> Decision {
        self.decide(Hook::OnRegister, registration, Call::OnRegister)
            .await
    }

    /// *registration.on-update*
    pub(crate) async fn on_update(
        self: Arc<Self>,
        registration: Arc<Registration>,
        update: Arc<Update>,
    ) -> Decision {
        let call = |registration| Call::OnUpdate(registration, Arc::clone(&update));
        self.decide(Hook::OnUpdate, registration, call).await
    }

    /// Each sees what those before it have annotated; the first final decision counts.
    async fn decide(
        &self,
        hook: Hook,
        mut registration: Arc<Registration>,
        call: impl Fn(Arc<Registration>) -> Call,
    ) -> Decision {
        let mut gathered = Annotations::default();
        let mut plugins = self.chain.of(hook).iter().peekable();
        while let Some(plugin) = plugins.next() {
            match self.ask(plugin, call(Arc::clone(&registration))).await {
                Ok(Reply::Decision(Decision::Annotate(facts))) => {
                    if plugins.peek().is_some() {
                        note(Arc::make_mut(&mut registration), &facts);
                    }
                    gather(&mut gathered, facts);
                }
                Ok(Reply::Decision(Decision::Accept(facts))) => {
                    gather(&mut gathered, facts);
                    return Decision::Accept(gathered);
                }
                Ok(Reply::Decision(Decision::Reject(refusal))) => {
                    return Decision::Reject(by(plugin, refusal));
                }
                Ok(_) | Err((_, Fail::Open)) => {}
                Err((failure, Fail::Closed)) => {
                    return Decision::Reject(no_answer(plugin, &failure));
                }
            }
        }
        match gathered == Annotations::default() {
            true => Decision::Pass,
            false => Decision::Annotate(gathered),
        }
    }

    /// *devices.on-registered*: all are told.
    pub(crate) async fn on_registered(self: Arc<Self>, registration: Arc<Registration>) {
        for plugin in self.chain.of(Hook::OnRegistered) {
            let call = Call::OnRegistered(Arc::clone(&registration));
            let _ = self.ask(plugin, call).await;
        }
    }

    /// *devices.on-updated*: all are told.
    pub(crate) async fn on_updated(
        self: Arc<Self>,
        registration: Arc<Registration>,
        update: Arc<Update>,
    ) {
        for plugin in self.chain.of(Hook::OnUpdated) {
            let call = Call::OnUpdated(Arc::clone(&registration), Arc::clone(&update));
            let _ = self.ask(plugin, call).await;
        }
    }

    /// *devices.on-gone*: all are told.
    pub(crate) async fn on_gone(
        self: Arc<Self>,
        registration: Arc<Registration>,
        reason: EndReason,
    ) {
        for plugin in self.chain.of(Hook::OnGone) {
            let call = Call::OnGone(Arc::clone(&registration), reason);
            let _ = self.ask(plugin, call).await;
        }
    }

    /// *observe.plan*: the first plan.
    pub(crate) async fn observe_plan(
        self: Arc<Self>,
        registration: Arc<Registration>,
    ) -> Option<ObservePlan> {
        for plugin in self.chain.of(Hook::ObservePlan) {
            let call = Call::ObservePlan(Arc::clone(&registration));
            if let Ok(Reply::Plan(Some(plan))) = self.ask(plugin, call).await {
                return Some(ObservePlan {
                    owner: Some(Arc::clone(&plugin.name)),
                    ..plan
                });
            }
        }
        None
    }

    /// *observe.on-failure*: the one that made the plan.
    pub(crate) async fn observe_failed(
        self: Arc<Self>,
        registration: Arc<Registration>,
        owner: Option<Arc<str>>,
        paths: Arc<[Path]>,
        failure: ObserveFailure,
    ) -> Repair {
        let is_owner = |plugin: &&Arc<Plugin>| Some(&plugin.name) == owner.as_ref();
        let Some(plugin) = self.chain.of(Hook::ObserveFailed).iter().find(is_owner) else {
            return Repair::Keep;
        };
        let call = Call::ObserveFailed(registration, paths, failure);
        match self.ask(plugin, call).await {
            Ok(Reply::Repair(Repair::Replace(plan))) => Repair::Replace(ObservePlan {
                owner: Some(Arc::clone(&plugin.name)),
                ..plan
            }),
            Ok(Reply::Repair(repair)) => repair,
            _ => Repair::Keep,
        }
    }

    /// *telemetry.transform*: a pipeline.
    pub(crate) async fn transform(self: Arc<Self>, mut batch: Arc<Batch>) -> Outcome {
        let mut changed = false;
        for plugin in self.chain.of(Hook::Transform) {
            match self.ask(plugin, Call::Transform(Arc::clone(&batch))).await {
                Ok(Reply::Outcome(Outcome::Replace(records))) => {
                    Arc::make_mut(&mut batch).records = records;
                    changed = true;
                }
                Ok(Reply::Outcome(Outcome::Pass)) | Err((_, Fail::Open)) => {}
                Ok(Reply::Outcome(outcome)) => return outcome,
                Err((_, Fail::Closed)) => return Outcome::Drop,
                Ok(_) => {}
            }
        }
        match changed {
            true => Outcome::Replace(Arc::unwrap_or_clone(batch).records),
            false => Outcome::Pass,
        }
    }

    /// *firmware.select*: the first choice.
    pub(crate) async fn firmware(self: Arc<Self>, job: Arc<FirmwareJob>) -> FirmwareChoice {
        for plugin in self.chain.of(Hook::Firmware) {
            match self.ask(plugin, Call::Firmware(Arc::clone(&job))).await {
                Ok(Reply::Choice(FirmwareChoice::Pass)) | Err((_, Fail::Open)) => {}
                Ok(Reply::Choice(FirmwareChoice::Deliver(FirmwareStrategy::Custom(state)))) => {
                    let state = owned_state(&plugin.name, &state);
                    return FirmwareChoice::Deliver(FirmwareStrategy::Custom(state));
                }
                Ok(Reply::Choice(choice)) => return choice,
                Ok(_) => {}
                Err((failure, Fail::Closed)) => {
                    let why = format!("plugin {} gave no answer: {failure}", plugin.name);
                    return FirmwareChoice::Refuse(why);
                }
            }
        }
        FirmwareChoice::Pass
    }

    /// *firmware-driver.step*: the one that chose to drive the delivery. None when it is not there
    /// or gave no answer; the same step may be tried again.
    pub(crate) async fn firmware_step(
        self: Arc<Self>,
        job: Arc<FirmwareJob>,
        state: Arc<[u8]>,
        event: Arc<FirmwareEvent>,
    ) -> Option<FirmwareStep> {
        let (owner, state) = owner_of(&state)?;
        let drivers = self.chain.of(Hook::FirmwareStep);
        let plugin = drivers.iter().find(|plugin| *plugin.name == *owner)?;
        let call = Call::FirmwareStep(job, state.into(), event);
        match self.ask(plugin, call).await {
            Ok(Reply::Step(Some(step))) => Some(FirmwareStep {
                state: owned_state(&plugin.name, &step.state),
                ..step
            }),
            _ => None,
        }
    }

    /// *bootstrap.configure*: the first answer other than unknown.
    pub(crate) async fn bootstrap(
        self: Arc<Self>,
        request: Arc<BootstrapRequest>,
    ) -> BootstrapAnswer {
        for plugin in self.chain.of(Hook::Bootstrap) {
            match self
                .ask(plugin, Call::Bootstrap(Arc::clone(&request)))
                .await
            {
                Ok(Reply::Bootstrap(BootstrapAnswer::Unknown)) | Err((_, Fail::Open)) => {}
                Ok(Reply::Bootstrap(BootstrapAnswer::Refuse(refusal))) => {
                    return BootstrapAnswer::Refuse(by(plugin, refusal));
                }
                Ok(Reply::Bootstrap(answer)) => return answer,
                Ok(_) => {}
                Err((failure, Fail::Closed)) => {
                    return BootstrapAnswer::Refuse(no_answer(plugin, &failure));
                }
            }
        }
        BootstrapAnswer::Unknown
    }

    /// *bootstrap.on-finished*: all are told.
    pub(crate) async fn on_bootstrapped(self: Arc<Self>, end: Arc<BootstrapEnd>) {
        for plugin in self.chain.of(Hook::OnBootstrapped) {
            let _ = self
                .ask(plugin, Call::OnBootstrapped(Arc::clone(&end)))
                .await;
        }
    }
}

/// The state of a delivery, which says whose it is: the name, a zero, what the plugin keeps.
fn owned_state(owner: &str, state: &[u8]) -> Vec<u8> {
    [owner.as_bytes(), &[0], state].concat()
}

fn owner_of(state: &[u8]) -> Option<(&str, &[u8])> {
    let at = state.iter().position(|byte| *byte == 0)?;
    let owner = std::str::from_utf8(state.get(..at)?).ok()?;
    Some((owner, state.get(at + 1..)?))
}

/// Shows the next plugin what this one has noted.
fn note(registration: &mut Registration, facts: &Annotations) {
    let annotations = &mut registration.annotations;
    annotations.retain(|(key, _)| {
        let set = facts.set.iter().any(|(other, _)| other == key);
        !set && !facts.remove.contains(key)
    });
    annotations.extend(facts.set.iter().cloned());
    if let Some(lifetime_s) = facts.lifetime_s {
        registration.lifetime_s = lifetime_s;
    }
}

/// Adds what one plugin has noted to what those before it have.
fn gather(gathered: &mut Annotations, facts: Annotations) {
    if *gathered == Annotations::default() && facts.set.len() <= 1 {
        *gathered = facts;
        return;
    }
    gathered.set.retain(|(key, _)| !facts.remove.contains(key));
    for (key, value) in facts.set {
        gathered.remove.retain(|removed| *removed != key);
        gathered.set.retain(|(other, _)| *other != key);
        gathered.set.push((key, value));
    }
    gathered.remove.extend(facts.remove);
    gathered.lifetime_s = facts.lifetime_s.or(gathered.lifetime_s);
}

/// A refusal, with the name of the plugin whose it is.
fn by(plugin: &Plugin, refusal: Refusal) -> Refusal {
    let message = format!("plugin {}: {}", plugin.name, refusal.reason.message);
    Refusal {
        code: refusal.code,
        reason: Reason {
            message: message.into(),
            ..refusal.reason
        },
    }
}

fn no_answer(plugin: &Plugin, failure: &Failure) -> Refusal {
    let message = format!("plugin {} gave no answer: {failure}", plugin.name);
    Refusal {
        code: Code::SERVICE_UNAVAILABLE,
        reason: Reason::new(failure.code(), message)
            .hint("mend the plugin, or let devices in without it by fail = \"open\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_facts_win() {
        let mut gathered = Annotations::fact("a", "1");
        gathered.set.push(("b".to_owned(), "1".to_owned()));
        let facts = Annotations {
            set: vec![("a".to_owned(), "2".to_owned())],
            remove: vec!["b".to_owned()],
            lifetime_s: Some(60),
        };
        gather(&mut gathered, facts.clone());
        assert_eq!(gathered, facts);
        gather(&mut gathered, Annotations::fact("b", "3"));
        assert!(gathered.remove.is_empty() && gathered.lifetime_s == Some(60));
    }

    #[test]
    fn the_state_of_a_delivery_says_whose_it_is() {
        let state = owned_state("fleet", &[0, 1, 2]);
        assert_eq!(owner_of(&state), Some(("fleet", &[0, 1, 2][..])));
        assert_eq!(owner_of(b"no zero"), None);
    }
}
