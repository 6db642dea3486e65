//! `POST /rd/{id}`: what an Update changes (Core 1.2.2 §6.2.2).

use std::sync::Arc;

use lwm2m_coap::{Code, IncomingRequest, OptionNumber, Response, ResponseHandle};
use lwm2m_core::ObjectList;

use super::admitting::{Petition, annotate};
use super::registering::owned;
use super::sessions::Origin;
use super::{Now, Shard};
use crate::event::EventKind;
use crate::hooks::Update;
use crate::registration::Location;
use crate::registration::parameters::{BindingChange, ParameterError, UpdateParameters};
use crate::registration::table::{Entry, unix_ms};
use crate::transport::Peer;
use crate::{Refusal, Registration};

/// What an Update changes; by far most of them nothing but the time.
#[derive(Debug, Default)]
pub(super) struct Changes {
    lifetime_s: Option<u32>,
    binding: BindingChange,
    sms: Option<Box<str>>,
    /// Parameters that the server does not know.
    others: Vec<(String, String)>,
    objects: Option<Arc<ObjectList>>,
    /// All annotations, when interceptors had a say.
    annotations: Option<Vec<(String, String)>>,
}

impl Changes {
    /// What changes, for interceptors.
    pub(super) fn compare(&self, entry: &Entry, peer: Peer) -> Update {
        let changed = |objects: &&Arc<ObjectList>| {
            !Arc::ptr_eq(objects, &entry.objects) && **objects != entry.objects
        };
        Update {
            lifetime_changed: self.lifetime_s.is_some_and(|new| new != entry.lifetime_s),
            binding_changed: self.binding.after(entry.binding, entry.version) != entry.binding,
            address_changed: peer.address() != entry.peer.address(),
            previous_objects: (self.objects.as_ref())
                .filter(changed)
                .map(|_| Arc::clone(&entry.objects)),
        }
    }

    /// The registration as it will be.
    pub(super) fn candidate(
        &self,
        now: Now,
        entry: &Entry,
        location: Location,
        peer: Peer,
    ) -> Registration {
        let mut candidate = entry.snapshot(location);
        candidate.lifetime_s = self.lifetime_s.unwrap_or(entry.lifetime_s);
        candidate.binding = self.binding.after(entry.binding, entry.version);
        candidate.sms = self.sms.clone().or(candidate.sms);
        candidate.objects = Arc::clone(self.objects.as_ref().unwrap_or(&entry.objects));
        annotate(&mut candidate.annotations, self.others.clone());
        candidate.peer = peer.address();
        candidate.updated_at = now.wall;
        candidate.awake = true;
        candidate
    }

    /// Takes over what interceptors noted.
    pub(super) fn take_over(&mut self, candidate: Registration) {
        self.lifetime_s = Some(candidate.lifetime_s);
        self.annotations = Some(candidate.annotations);
    }
}

impl Shard {
    /// `POST /rd/{id}`
    pub(super) fn on_update(&mut self, now: Now, id: &[u8], request: IncomingRequest<'_, Peer>) {
        let location = match self.registered_by(id, Origin::of(&request)) {
            Ok(location) => location,
            Err(refusal) => return self.refuse(now, "update", None, &request, refusal),
        };
        let bare =
            request.body.is_empty() && request.message.value(OptionNumber::URI_QUERY).is_none();
        if bare && !self.is_asked_about_updates() {
            return self.take_update(now, location, request.handle, Update::default());
        }
        match self.read_changes(location, &request) {
            Ok(changes) => self.admit(now, Petition::update(request.handle, location, changes)),
            Err(refusal) => {
                let endpoint = self.table.get(location).map(|entry| entry.endpoint.clone());
                self.refuse(now, "update", endpoint.as_ref(), &request, refusal);
            }
        }
    }

    /// Reads what an Update says.
    fn read_changes(
        &mut self,
        location: Location,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<Changes, Refusal> {
        let Some(entry) = self.table.get(location) else {
            return Ok(Changes::default());
        };
        let version = entry.version;
        let others_max = self.shared.config.limits.annotations_max;
        let items = request.message.values(OptionNumber::URI_QUERY);
        let parameters = UpdateParameters::parse(items, others_max, &entry.endpoint, version)?;
        let objects = match request.body.is_empty() && parameters.profiles.is_empty() {
            true => None,
            false => Some(self.object_list(version, &parameters.profiles, request)?),
        };
        Ok(Changes {
            lifetime_s: parameters.lifetime_s,
            binding: parameters.binding,
            sms: parameters.sms.map(Box::from),
            others: owned(&parameters.others),
            objects,
            annotations: None,
        })
    }

    /// Takes an Update over, all of it or nothing.
    pub(super) fn renew(
        &mut self,
        now: Now,
        location: Location,
        handle: &ResponseHandle<Peer>,
        changes: Changes,
    ) -> Result<(), Refusal> {
        let peer = handle.peer();
        let entry = self.table.get(location);
        let update = entry.map(|entry| changes.compare(entry, peer));
        self.change(location, changes)?;
        self.take_update(now, location, *handle, update.unwrap_or_default());
        Ok(())
    }

    fn change(&mut self, location: Location, changes: Changes) -> Result<(), Refusal> {
        let Changes {
            lifetime_s,
            binding,
            sms,
            others,
            objects,
            annotations: noted,
        } = changes;
        let max = self.shared.config.limits.annotations_max;
        let Some(entry) = self.table.get_mut(location) else {
            return Ok(());
        };
        let none = noted
            .as_ref()
            .is_none_or(|noted| noted.is_empty() && entry.details.is_none());
        if sms.is_some() || !others.is_empty() || !none {
            let details = entry.details.get_or_insert_default();
            let annotations = noted.unwrap_or_else(|| {
                let mut annotations = details.annotations.clone();
                annotate(&mut annotations, others);
                annotations
            });
            let grown = annotations.len() > details.annotations.len();
            if grown && annotations.len() > max {
                return Err(ParameterError::TooMany(max).into());
            }
            details.annotations = annotations;
            details.sms = sms.or(details.sms.take());
        }
        entry.lifetime_s = lifetime_s.unwrap_or(entry.lifetime_s);
        entry.binding = binding.after(entry.binding, entry.version);
        if let Some(objects) = objects {
            entry.objects = objects;
        }
        Ok(())
    }

    /// Notes that the device is there, and where, and answers 2.04.
    fn take_update(
        &mut self,
        now: Now,
        location: Location,
        handle: ResponseHandle<Peer>,
        mut update: Update,
    ) {
        let now_ms = self.ms(now.instant);
        let peer = handle.peer();
        let authenticated = self.authenticated(Origin::of_handle(&handle));
        let mut reconnected = false;
        if let Some(entry) = self.table.get_mut(location) {
            // The same identity, but it may have been proven by a newer key.
            entry.authenticated = authenticated;
            entry.last_seen = now_ms;
            entry.updated_at = unix_ms(now.wall);
            if entry.peer != peer {
                update.address_changed = entry.peer.address() != peer.address();
            }
            reconnected = self.move_to(now, location, peer);
            self.counters.updated += 1;
            self.contact(now, location);
        }
        if let Some(entry) = self.table.get(location) {
            self.emit(now, Some(&entry.endpoint), || EventKind::Updated {
                registration: Arc::new(entry.snapshot(location)),
                objects_changed: update.objects_changed(),
            });
        }
        self.tell_updated(now, location, update, reconnected);
        let changed = Response::new(Code::CHANGED);
        self.endpoint.respond(now.instant, handle, changed);
        self.pump(now, location);
        self.arm(location);
    }

    /// A device is with another peer by now: what is for it goes there, and what comes from there
    /// finds its way. True when what was under way has ended with a connection.
    pub(super) fn move_to(&mut self, now: Now, location: Location, peer: Peer) -> bool {
        let Some(before) = self.table.get(location).map(|entry| entry.peer) else {
            return false;
        };
        let mut reconnected = false;
        if before != peer {
            match [before, peer].map(|peer| peer.connection()) {
                [None, None] => self.endpoint.move_peer(before, peer),
                _ => {
                    reconnected = true;
                    self.detach(now, location);
                }
            }
            self.table.set_peer(location, peer);
        }
        self.keep_route(peer);
        reconnected
    }
}
