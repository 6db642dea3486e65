//! How registrations end, and how queue-mode devices fall asleep and wake up.

use std::sync::Arc;

use super::{Now, Shard, ended};
use crate::event::EventKind;
use crate::hooks::EndReason;
use crate::registration::Location;
use crate::registration::table::Entry;
use crate::{Reason, RequestError, ServerConfig};

impl Shard {
    /// The lifetime of a registration has passed.
    pub(super) fn expire(&mut self, now: Now, location: Location) {
        let ended = self.leave(
            now,
            location,
            Reason::new("expired", "the registration expired"),
            EndReason::LifetimeExpired,
        );
        if let Some((entry, own)) = ended
            && own
        {
            self.counters.expired += 1;
            self.emit(now, Some(&entry.endpoint), || EventKind::Expired {
                registration: Arc::new(entry.snapshot(location)),
            });
        }
    }

    /// A device leaves by itself.
    pub(super) fn deregister(&mut self, now: Now, location: Location) {
        let reason = Reason::new("deregistered", "the device de-registered");
        if let Some((entry, own)) = self.leave(now, location, reason, EndReason::Deregistered)
            && own
        {
            self.counters.deregistered += 1;
            self.emit(now, Some(&entry.endpoint), || EventKind::Deregistered {
                registration: Arc::new(entry.snapshot(location)),
            });
        }
    }

    /// An application drops a registration without a word to the device.
    pub(super) fn forget(&mut self, now: Now, location: Location) -> Result<(), RequestError> {
        let reason = Reason::new("forgotten", "the application dropped the registration");
        let end = EndReason::RemovedByOperator;
        let Some((entry, own)) = self.leave(now, location, reason, end) else {
            return ended();
        };
        if own {
            self.emit(now, Some(&entry.endpoint), || EventKind::Deregistered {
                registration: Arc::new(entry.snapshot(location)),
            });
        }
        Ok(())
    }

    /// The credentials of a registration are gone, or have lost its name, or its certificate was taken
    /// back.
    pub(super) fn revoked(&mut self, now: Now, location: Location, reason: Reason) {
        let end = EndReason::RemovedByOperator;
        if let Some((entry, own)) = self.leave(now, location, reason, end)
            && own
        {
            self.emit(now, Some(&entry.endpoint), || EventKind::Deregistered {
                registration: Arc::new(entry.snapshot(location)),
            });
        }
    }

    /// A younger registration has taken the name: the older one ends without an event of its own.
    /// The younger one may be on another shard.
    pub(super) fn replaced(&mut self, now: Now, location: Location, elsewhere: bool) {
        let reason = Reason::new("re-registered", "the device registered anew")
            .hint("observe again: a device forgets its observations when it registers");
        if let Some(entry) = self.end(now, location, &reason) {
            self.tell_gone(now, (location, &entry), EndReason::Replaced, elsewhere);
        }
    }

    /// Ends a registration and gives its name back; false when the name was another's already.
    fn leave(
        &mut self,
        now: Now,
        location: Location,
        reason: Reason,
        end: EndReason,
    ) -> Option<(Entry, bool)> {
        let entry = self.end(now, location, &reason)?;
        let own = self.shared.directory.release(&entry.endpoint, location);
        let end = match own {
            true => end,
            // Another shard has been quicker.
            false => EndReason::Replaced,
        };
        self.tell_gone(now, (location, &entry), end, !own);
        Some((entry, own))
    }

    /// Takes a registration out with all that hangs on it.
    fn end(&mut self, now: Now, location: Location, reason: &Reason) -> Option<Entry> {
        let mut entry = self.table.remove(location)?;
        self.wheel.disarm(location.slot);
        self.withdrawn.forget(location);
        if let Some(downlink) = entry.downlink.take()
            && let Some(exchange) = downlink.fail_all(&RequestError::RegistrationEnded)
        {
            self.exchanges.remove(&exchange);
            self.endpoint.cancel(exchange);
        }
        while let Some(observation) = self.observations.pop(&mut entry.observations) {
            self.endpoint.forget(observation.request);
            self.tell_over(now, &entry.endpoint, observation, reason.clone());
        }
        Some(entry)
    }

    /// A device has said something, so a queue-mode device hears for a while (Core 1.2.2 §6.5).
    pub(super) fn contact(&mut self, now: Now, location: Location) {
        let now_ms = self.ms(now.instant);
        let awake_ms = self.shared.config.awake_time.as_millis() as u64;
        let Some(entry) = self.table.get_mut(location) else {
            return;
        };
        entry.awake_until = now_ms + awake_ms;
        if !entry.binding.queue || !std::mem::take(&mut entry.asleep) {
            return;
        }
        self.shared.observer.heard(&entry.endpoint);
        let endpoint = Some(&entry.endpoint);
        self.events.emit(now.wall, endpoint, || EventKind::Awake);
    }

    /// Notes that the awake window of a queue-mode device has passed.
    pub(super) fn note_sleep(&mut self, now: Now, location: Location) {
        let now_ms = self.ms(now.instant);
        let Some(entry) = self.table.get_mut(location) else {
            return;
        };
        let sleeps = entry.binding.queue && entry.awake_until <= now_ms;
        if sleeps == entry.asleep {
            return;
        }
        entry.asleep = sleeps;
        let endpoint = Some(&entry.endpoint);
        self.events.emit(now.wall, endpoint, || match sleeps {
            true => EventKind::Asleep,
            false => EventKind::Awake,
        });
    }
}

impl Entry {
    /// When the registration expires, grace included; never for the lifetime 0.
    pub(super) fn expires_ms(&self, config: &ServerConfig) -> u64 {
        match self.lifetime_s {
            0 => u64::MAX,
            seconds => {
                let lifetime = u64::from(seconds) * 1000;
                self.last_seen + lifetime + config.expiry_grace.as_millis() as u64
            }
        }
    }

    /// When something of this registration is due next.
    pub(super) fn next_due_ms(&self, config: &ServerConfig) -> u64 {
        let sleep = match self.binding.queue && !self.asleep {
            true => self.awake_until,
            false => u64::MAX,
        };
        let deadline = self
            .downlink
            .as_ref()
            .map_or(u64::MAX, |downlink| downlink.next_deadline_ms());
        self.expires_ms(config).min(sleep).min(deadline)
    }
}
