//! What interceptors say: a plan, and what becomes of a group of it that failed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::observer::Observer;
use super::planning::Planned;
use super::rule::check_path;
use crate::event::{EventKind, EventSource};
use crate::hooks::{self, Answer, Hook, ObserveFailure, ObservePlan, Repair, failed, next_with};
use crate::shard::{guarded, hook};
use crate::{EndpointName, Interceptor, Reason, Registration};
use lwm2m_core::Path;

/// Asks interceptors, and tells what comes of it.
pub(super) struct Asking {
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(super) observer: Observer,
    /// How long an interceptor may take.
    pub(super) timeout: Duration,
    pub(super) targets_max: usize,
    pub(super) events: EventSource,
    pub(super) clock: fn() -> SystemTime,
}

impl Asking {
    /// The first plan of an interceptor, else the one of the strategies.
    pub(super) async fn plan(&self, registration: &Arc<Registration>) -> Option<Arc<Planned>> {
        let mut from = 0;
        while let Some((place, interceptor)) =
            next_with(&self.interceptors, from, Hook::ObservePlan)
        {
            from = place + 1;
            let asked = || interceptor.observe_plan(registration);
            let about = (&registration.endpoint, &**interceptor, Hook::ObservePlan);
            let Some(Some(plan)) = self.answer(about, asked).await else {
                continue;
            };
            match self.unusable(&plan) {
                None => {
                    let name = plan.owner.clone();
                    let name = name.unwrap_or_else(|| interceptor.name().into());
                    return Some(Arc::new(Planned::new(plan, Some(place), name)));
                }
                Some(fact) => self.refuse(about, fact),
            }
        }
        self.observer.plan(registration)
    }

    /// What the owner of a plan makes of a group that failed.
    pub(super) async fn repair(
        &self,
        registration: &Arc<Registration>,
        planned: &Planned,
        paths: &[Path],
        failure: ObserveFailure,
    ) -> Repair {
        let owner = planned.owner.and_then(|at| self.interceptors.get(at));
        let Some(interceptor) = owner.filter(|owner| {
            let hooks = hook(|| owner.hooks()).unwrap_or_default();
            hooks.contains(Hook::ObserveFailed)
        }) else {
            return Repair::Keep;
        };
        let about = (&registration.endpoint, &**interceptor, Hook::ObserveFailed);
        let asked = || interceptor.observe_failed(registration, &planned.plan, paths, failure);
        let repair = self.answer(about, asked).await.unwrap_or_default();
        if let Repair::Replace(plan) = &repair
            && let Some(fact) = self.unusable(plan)
        {
            self.refuse(about, fact);
            return Repair::Keep;
        }
        repair
    }

    /// Why a plan cannot be taken.
    fn unusable(&self, plan: &ObservePlan) -> Option<String> {
        let (count, max) = (plan.targets.len(), self.targets_max);
        if count > max {
            return Some(format!(
                "it has {count} targets, and at most {max} are taken"
            ));
        }
        let mut targets = plan.targets.iter();
        let fault = targets.find_map(|target| check_path(&target.path).err());
        fault.map(|fault| fault.to_string())
    }

    fn refuse(&self, (endpoint, extension, hook): About<'_>, fact: String) {
        let reason = Reason::new(
            "observe-plan-unusable",
            format!("its plan is not taken: {fact}"),
        )
        .hint("name fewer objects or instances, see limits.observe_targets_max");
        self.tell(endpoint, || failed(extension.name(), hook, reason));
    }

    /// Waits for an answer; none when there is none in time.
    async fn answer<T>(
        &self,
        (endpoint, extension, name): About<'_>,
        asked: impl FnOnce() -> Answer<T>,
    ) -> Option<T> {
        let answered = match hook(asked) {
            Some(Answer::Now(answer)) => return Some(answer),
            Some(Answer::Later(answer)) => {
                tokio::time::timeout(self.timeout, guarded(answer)).await
            }
            None => Ok(None),
        };
        let reason = match answered {
            Ok(Some(answer)) => return Some(answer),
            Ok(None) => Reason::new("extension-panicked", "it panicked: it has no say here")
                .hint("its message and place are on the standard error output of the server"),
            Err(_) => Reason::new("extension-timeout", "it is too slow: it has no say here")
                .hint("look after the extension, or raise limits.hook_timeout"),
        };
        self.tell(endpoint, || hooks::failed(extension.name(), name, reason));
        None
    }

    pub(super) fn tell(&self, endpoint: &EndpointName, kind: impl FnOnce() -> EventKind) {
        if let Some(events) = self.events.sender() {
            events.emit((self.clock)(), Some(endpoint), kind);
        }
    }
}

/// Which device, whom, and at which hook.
type About<'a> = (&'a EndpointName, &'a dyn Interceptor, Hook);
