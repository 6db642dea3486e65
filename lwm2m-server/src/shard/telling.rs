//! What a shard tells interceptors after the fact; nothing while none of them listens.

use std::sync::Arc;

use super::observations::Observation;
use super::{Now, Shard};
use crate::hooks::{self, BootstrapEnd, EndReason, Hook, News, Update};
use crate::mailbox::Canceller;
use crate::observe::Cause;
use crate::registration::Location;
use crate::registration::table::Entry;
use crate::{EndpointName, Reason};

impl Shard {
    /// True when an interceptor wants to hear of Updates.
    pub(super) fn tells_updates(&self) -> bool {
        self.shared.herald.is_some() && hooks::any_with(&self.shared.interceptors, Hook::OnUpdated)
    }

    /// A device has registered, in the place of a registration that another shard has.
    pub(super) fn tell_registered(&self, now: Now, location: Location, after: Option<Location>) {
        let Some(entry) = self.table.get(location) else {
            return;
        };
        let registered = || News::Registered {
            registration: Arc::new(entry.snapshot(location)),
            after,
        };
        // Its plan is made when interceptors have heard of it.
        if !(self.tells_ends() && self.leave_news(now, registered())) {
            self.look(&entry.endpoint, Cause::Registered);
        }
    }

    /// A device has updated its registration, perhaps over another connection.
    pub(super) fn tell_updated(
        &self,
        now: Now,
        location: Location,
        update: Update,
        reconnected: bool,
    ) {
        let Some(entry) = self.table.get(location) else {
            return;
        };
        let links_changed = update.objects_changed();
        let updated = || News::Updated(Arc::new(entry.snapshot(location)), Arc::new(update));
        let told = self.tells_updates() && self.leave_news(now, updated());
        match (links_changed, reconnected) {
            (true, _) if told => {}
            (true, _) => self.look(&entry.endpoint, Cause::Links),
            // The observations went with the connection.
            (false, true) => self.look(&entry.endpoint, Cause::Changed),
            (false, false) => self.shared.observer.heard(&entry.endpoint),
        }
    }

    /// A device may need other observations.
    pub(super) fn look(&self, endpoint: &EndpointName, cause: Cause) {
        let observer = &self.shared.observer;
        let plans = || hooks::any_with(&self.shared.interceptors, Hook::ObservePlan);
        if observer.is_active() || plans() {
            observer.look(endpoint, cause);
        }
    }

    /// What an observation that has ended means for the plan of its device.
    pub(super) fn look_after(
        &self,
        endpoint: &EndpointName,
        observation: &Observation,
        reason: &Reason,
    ) {
        if !self.shared.observer.is_active() {
            return;
        }
        let asked_for = Canceller::caused(reason);
        match (observation.planned, asked_for) {
            (true, true) => {}
            (true, false) => self.shared.observer.look(endpoint, Cause::Lost),
            // It may have stood for one of the plan.
            (false, _) => self.shared.observer.look(endpoint, Cause::Changed),
        }
    }

    /// A registration has ended; `superseded` when another shard has what replaces it.
    pub(super) fn tell_gone(
        &self,
        now: Now,
        (location, entry): (Location, &Entry),
        reason: EndReason,
        superseded: bool,
    ) {
        if self.shared.observer.is_active() {
            self.shared.observer.look(&entry.endpoint, Cause::Ended);
        }
        if self.tells_ends() {
            let registration = Arc::new(entry.snapshot(location));
            let news = News::Gone {
                registration,
                reason,
                superseded,
            };
            self.leave_news(now, news);
        }
    }

    /// A bootstrap session is over; with why when it failed.
    pub(super) fn tell_bootstrapped(
        &self,
        now: Now,
        endpoint: &EndpointName,
        failure: Option<&Reason>,
    ) {
        let interceptors = &self.shared.interceptors;
        if self.shared.herald.is_some() && hooks::any_with(interceptors, Hook::OnBootstrapped) {
            let end = BootstrapEnd::new(endpoint.clone(), failure.cloned());
            self.leave_news(now, News::Bootstrapped(Arc::new(end)));
        }
    }

    fn tells_ends(&self) -> bool {
        let interceptors = &self.shared.interceptors;
        self.shared.herald.is_some()
            && [Hook::OnRegistered, Hook::OnGone]
                .iter()
                .any(|hook| hooks::any_with(interceptors, *hook))
    }

    /// False when nobody hears of it.
    fn leave_news(&self, now: Now, news: News) -> bool {
        let Some(herald) = &self.shared.herald else {
            return false;
        };
        let (endpoint, hook) = (news.endpoint().clone(), news.hook());
        let told = herald.tell(news);
        if !told {
            let reason = Reason::new(
                "extension-overloaded",
                "it does not hear of this: too much waits",
            )
            .hint("look after the extensions, or raise limits.device_hooks_max");
            self.emit(now, Some(&endpoint), || {
                hooks::failed("interceptors", hook, reason)
            });
        }
        told
    }
}
