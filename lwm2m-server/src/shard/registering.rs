//! The registration interface: Register, Update, De-register (Core 1.2.2 §6.2).

use std::sync::Arc;

use lwm2m_coap::{Code, IncomingRequest, OptionNumber, Response};
use lwm2m_core::{ContentFormat, ObjectList, Version};

use super::observations::ObservationChain;
use super::sessions::{Origin, identity_of};
use super::{Now, Shard, hook};
use crate::authorizer::RegistrationRequest;
use crate::event::EventKind;
use crate::hooks::{Answer, Decision, Hook};
use crate::mailbox::Relay;
use crate::registration::parameters::{ParameterError, RegisterParameters, UpdateParameters};
use crate::registration::table::{Details, Entry, unix_ms};
use crate::registration::{EndpointName, Location, RegistrationId};
use crate::transport::Peer;
use crate::{Reason, Refusal, Registration};

impl Shard {
    /// `POST /rd`
    pub(super) fn on_register(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        let items = request.message.values(OptionNumber::URI_QUERY);
        let others_max = self.shared.config.limits.annotations_max;
        let parameters = match RegisterParameters::parse(items, others_max) {
            Ok(parameters) => parameters,
            Err(error) => return self.refuse(now, "register", None, &request, error.into()),
        };
        let endpoint = match parameters.endpoint {
            Some(name) => EndpointName::new(name),
            None => self.name_of(Origin::of(&request)),
        };
        let Some(endpoint) = endpoint else {
            let refusal = ParameterError::EndpointMissing.into();
            return self.refuse(now, "register", None, &request, refusal);
        };
        match self.register(now, &endpoint, &parameters, &request) {
            Err(refusal) => self.refuse(now, "register", Some(&endpoint), &request, refusal),
            Ok(id) => {
                let created = Response::new(Code::CREATED)
                    .option(OptionNumber::LOCATION_PATH, &b"rd"[..])
                    .option(OptionNumber::LOCATION_PATH, id.text().to_vec());
                self.endpoint.respond(now.instant, request.handle, created);
            }
        }
    }

    /// Takes a device in: object list, interceptors, authorizer, table, event.
    fn register(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        parameters: &RegisterParameters<'_>,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<RegistrationId, Refusal> {
        let objects = self.object_list(parameters.version, &parameters.profiles, request)?;
        if objects.paths.is_empty() {
            return Err(empty_list(parameters.version));
        }
        let lifetime_s = parameters
            .lifetime_s
            .unwrap_or(self.shared.config.lifetime_s);
        let mut annotations = owned(&parameters.others);
        let authenticated = self.authenticated(Origin::of(request));
        self.admit(
            now,
            &RegistrationRequest {
                endpoint,
                version: parameters.version,
                lifetime_s,
                binding: parameters.binding,
                objects: &objects,
                parameters: &parameters.others,
                peer: request.peer.address(),
                identity: identity_of(&authenticated),
                authenticated: authenticated.as_deref(),
            },
            &mut annotations,
        )?;
        let details = Details {
            sms: parameters.sms.map(Box::from),
            annotations,
        };
        let unremarkable = details.sms.is_none() && details.annotations.is_empty();
        let secret = rand::random();
        let unix_now = unix_ms(now.wall);
        let location = self.table.insert(Entry {
            endpoint: endpoint.clone(),
            secret,
            peer: request.peer,
            authenticated,
            objects,
            details: (!unremarkable).then(|| Box::new(details)),
            downlink: None,
            observations: ObservationChain::default(),
            registered_at: unix_now,
            updated_at: unix_now,
            last_seen: self.ms(now.instant),
            awake_until: 0,
            lifetime_s,
            version: parameters.version,
            binding: parameters.binding,
            asleep: false,
        });
        let replaced = self.claim(now, endpoint, location)?;
        if let (Some(context), Some(oscore)) = (request.handle.security(), &self.shared.oscore) {
            oscore.registered(context, location);
            // A Register is only passed on when it names its sender.
            self.keep_route(request.peer);
        }
        self.contact(now, location);
        self.arm(location);
        self.counters.registered += 1;
        if let Some(entry) = self.table.get(location) {
            self.emit(now, Some(endpoint), || EventKind::Registered {
                registration: Arc::new(entry.snapshot(location)),
                replaced,
            });
        }
        Ok(RegistrationId::new(location, secret))
    }

    /// Makes a new registration the one of its endpoint; true when it replaces another.
    fn claim(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        location: Location,
    ) -> Result<bool, Refusal> {
        let backlog = self.outbox.len() >= self.shared.config.limits.mailbox_max;
        let claim = match backlog {
            true => Err(crate::directory::Full),
            false => self.shared.directory.claim(endpoint, location),
        };
        match claim {
            Err(_) => {
                self.table.remove(location);
                Err(Refusal {
                    code: Code::SERVICE_UNAVAILABLE,
                    reason: Reason::new("overloaded", "the server has no room for more devices")
                        .hint("raise limits.registrations_max, or add a server"),
                })
            }
            Ok(None) => Ok(false),
            Ok(Some(older)) if older.shard == self.id => {
                self.replaced(now, older);
                Ok(true)
            }
            Ok(Some(older)) => {
                self.outbox.push_back((older.shard, Relay::Replaced(older)));
                Ok(true)
            }
        }
    }

    /// The endpoint name of a peer that gives none.
    pub(super) fn name_of(&self, origin: Origin) -> Option<EndpointName> {
        let authenticated = self.authenticated(origin)?;
        hook(|| self.shared.authorizer.endpoint_name(&authenticated)).flatten()
    }

    /// Interceptors in their order, then the authorizer.
    fn admit(
        &self,
        now: Now,
        request: &RegistrationRequest<'_>,
        annotations: &mut Vec<(String, String)>,
    ) -> Result<(), Refusal> {
        for interceptor in &self.shared.interceptors {
            if !interceptor.hooks().contains(Hook::OnRegister) {
                continue;
            }
            let candidate = Arc::new(candidate(now, request, annotations));
            match hook(|| interceptor.on_register(&candidate)).ok_or_else(panicked)? {
                Answer::Now(Decision::Pass) => {}
                Answer::Now(Decision::Annotate(facts)) => annotate(annotations, facts.set),
                Answer::Now(Decision::Accept(facts)) => {
                    annotate(annotations, facts.set);
                    break;
                }
                Answer::Now(Decision::Reject(refusal)) => return Err(refusal),
                Answer::Later(_) => return Err(panicked()),
            }
        }
        hook(|| self.shared.authorizer.authorize(request)).ok_or_else(panicked)?
    }

    /// The object list of a Register or Update: its payload, and what its profiles stand for.
    fn object_list(
        &mut self,
        version: Version,
        profiles: &[&str],
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<Arc<ObjectList>, Refusal> {
        let format = request.message.content_format();
        let is_link = |number| ContentFormat::from_number(number) == Some(ContentFormat::Link);
        if !request.body.is_empty() && !format.is_none_or(is_link) {
            return Err(Refusal {
                code: Code::UNSUPPORTED_CONTENT_FORMAT,
                reason: Reason::new("object-list-format", "the object list has another format")
                    .hint("send it as application/link-format, Content-Format 40"),
            });
        }
        let own = match request.body.is_empty() {
            true => Arc::default(),
            false => self.objects.read(&request.body).map_err(|error| {
                bad_request(
                    Reason::new("object-list-malformed", error.to_string())
                        .hint("write links with commas between them, as in </1/0>,</3/0>"),
                )
            })?,
        };
        if profiles.is_empty() || version < Version::V1_2 {
            return Ok(own);
        }
        self.shared
            .profiles
            .resolve(profiles, own)
            .map_err(|unknown| Refusal {
                code: Code::CONFLICT,
                reason: Reason::new("profile-unknown", format!("unknown profile {unknown:?}"))
                    .hint("the device sends its full object list, or configure the profile"),
            })
    }

    /// `POST /rd/{id}`
    pub(super) fn on_update(&mut self, now: Now, id: &[u8], request: IncomingRequest<'_, Peer>) {
        let location = match self.registered_by(id, Origin::of(&request)) {
            Ok(location) => location,
            Err(refusal) => return self.refuse(now, "update", None, &request, refusal),
        };
        if let Err(refusal) = self.update(now, location, &request) {
            let endpoint = self.table.get(location).map(|entry| entry.endpoint.clone());
            return self.refuse(now, "update", endpoint.as_ref(), &request, refusal);
        }
        let changed = Response::new(Code::CHANGED);
        self.endpoint.respond(now.instant, request.handle, changed);
        self.pump(now, location);
        self.arm(location);
    }

    fn update(
        &mut self,
        now: Now,
        location: Location,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<(), Refusal> {
        // The bare Update, by far the most frequent one, changes nothing but the time.
        let bare =
            request.body.is_empty() && request.message.value(OptionNumber::URI_QUERY).is_none();
        let objects_changed = !bare && self.change(location, request)?;
        let now_ms = self.ms(now.instant);
        let authenticated = self.authenticated(Origin::of(request));
        let Some(entry) = self.table.get_mut(location) else {
            return Ok(());
        };
        // The same identity, but it may have been proven by a newer key.
        entry.authenticated = authenticated;
        entry.last_seen = now_ms;
        entry.updated_at = unix_ms(now.wall);
        let before = entry.peer;
        if before != request.peer {
            let connections = [before, request.peer].map(|peer| peer.connection());
            match connections {
                [None, None] => self.endpoint.move_peer(before, request.peer),
                _ => self.detach(now, location),
            }
            self.table.set_peer(location, request.peer);
        }
        self.keep_route(request.peer);
        self.counters.updated += 1;
        self.contact(now, location);
        if let Some(entry) = self.table.get(location) {
            self.emit(now, Some(&entry.endpoint), || EventKind::Updated {
                registration: Arc::new(entry.snapshot(location)),
                objects_changed,
            });
        }
        Ok(())
    }

    /// Takes over what an Update changes, all of it or nothing; true when the object list did.
    fn change(
        &mut self,
        location: Location,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<bool, Refusal> {
        let Some(entry) = self.table.get(location) else {
            return Ok(false);
        };
        let version = entry.version;
        let others_max = self.shared.config.limits.annotations_max;
        let items = request.message.values(OptionNumber::URI_QUERY);
        let parameters = UpdateParameters::parse(items, others_max, &entry.endpoint, version)?;
        let objects = match request.body.is_empty() && parameters.profiles.is_empty() {
            true => None,
            false => Some(self.object_list(version, &parameters.profiles, request)?),
        };
        let Some(entry) = self.table.get_mut(location) else {
            return Ok(false);
        };
        if parameters.sms.is_some() || !parameters.others.is_empty() {
            let details = entry.details.get_or_insert_default();
            let mut annotations = details.annotations.clone();
            annotate(&mut annotations, owned(&parameters.others));
            let grown = annotations.len() > details.annotations.len();
            if grown && annotations.len() > others_max {
                return Err(ParameterError::TooMany(others_max).into());
            }
            details.annotations = annotations;
            if let Some(sms) = parameters.sms {
                details.sms = Some(sms.into());
            }
        }
        entry.lifetime_s = parameters.lifetime_s.unwrap_or(entry.lifetime_s);
        entry.binding = parameters.binding(entry.binding, version);
        let Some(objects) = objects else {
            return Ok(false);
        };
        let changed = !Arc::ptr_eq(&objects, &entry.objects) && objects != entry.objects;
        entry.objects = objects;
        Ok(changed)
    }

    /// `DELETE /rd/{id}`
    pub(super) fn on_deregister(
        &mut self,
        now: Now,
        id: &[u8],
        request: IncomingRequest<'_, Peer>,
    ) {
        match self.registered_by(id, Origin::of(&request)) {
            Err(refusal) => self.refuse(now, "deregister", None, &request, refusal),
            Ok(location) => {
                self.deregister(now, location);
                let deleted = Response::new(Code::DELETED);
                self.endpoint.respond(now.instant, request.handle, deleted);
            }
        }
    }
}

/// A registration as it would be.
fn candidate(
    now: Now,
    request: &RegistrationRequest<'_>,
    annotations: &[(String, String)],
) -> Registration {
    Registration {
        endpoint: request.endpoint.clone(),
        id: RegistrationId(0),
        version: request.version,
        lifetime_s: request.lifetime_s,
        binding: request.binding,
        sms: None,
        objects: Arc::clone(request.objects),
        annotations: annotations.to_vec(),
        peer: request.peer,
        identity: request.identity.clone(),
        registered_at: now.wall,
        updated_at: now.wall,
        awake: true,
    }
}

/// An extension that panics refuses the device it was asked about, and harms no other.
pub(super) fn panicked() -> Refusal {
    Refusal {
        code: Code::INTERNAL_SERVER_ERROR,
        reason: Reason::new("extension-panicked", "an extension of the server panicked")
            .hint("its message and place are on the standard error output of the server"),
    }
}

fn bad_request(reason: Reason) -> Refusal {
    Refusal {
        code: Code::BAD_REQUEST,
        reason,
    }
}

/// A device without objects: from 1.2 on it is asked for its list.
fn empty_list(version: Version) -> Refusal {
    Refusal {
        code: match version {
            Version::V1_2 => Code::CONFLICT,
            _ => Code::BAD_REQUEST,
        },
        reason: Reason::new("object-list-missing", "the object list is missing")
            .hint("send the objects as payload, as in </1/0>,</3/0>"),
    }
}

fn owned(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    parameters.iter().map(owned).collect()
}

/// Adds facts; a key that is there already gets the new value.
fn annotate(annotations: &mut Vec<(String, String)>, facts: Vec<(String, String)>) {
    for (key, value) in facts {
        match annotations.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => annotations.push((key, value)),
        }
    }
}
