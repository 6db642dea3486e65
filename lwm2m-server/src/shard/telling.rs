//! What a shard tells interceptors after the fact; nothing while none of them listens.

use std::sync::Arc;

use super::{Now, Shard};
use crate::hooks::{self, BootstrapEnd, EndReason, Hook, News, Update};
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
        if self.tells_ends()
            && let Some(entry) = self.table.get(location)
        {
            let registration = Arc::new(entry.snapshot(location));
            self.leave_news(
                now,
                News::Registered {
                    registration,
                    after,
                },
            );
        }
    }

    /// A device has updated its registration.
    pub(super) fn tell_updated(&self, now: Now, location: Location, update: Update) {
        if self.tells_updates()
            && let Some(entry) = self.table.get(location)
        {
            let registration = Arc::new(entry.snapshot(location));
            self.leave_news(now, News::Updated(registration, Arc::new(update)));
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

    fn leave_news(&self, now: Now, news: News) {
        let Some(herald) = &self.shared.herald else {
            return;
        };
        let (endpoint, hook) = (news.endpoint().clone(), news.hook());
        if !herald.tell(news) {
            let reason = Reason::new(
                "extension-overloaded",
                "it does not hear of this: too much waits",
            )
            .hint("look after the extensions, or raise limits.device_hooks_max");
            self.emit(now, Some(&endpoint), || {
                hooks::failed("interceptors", hook, reason)
            });
        }
    }
}
