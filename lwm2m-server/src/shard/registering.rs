//! The registration interface: Register and De-register (Core 1.2.2 §6.2).

use std::sync::Arc;

use lwm2m_coap::{Code, IncomingRequest, OptionNumber, Response, ResponseHandle};
use lwm2m_core::{ContentFormat, ObjectList, Version};

use super::admitting::{Petition, panicked};
use super::observations::ObservationChain;
use super::sessions::{Origin, identity_of};
use super::{Now, Shard, hook};
use crate::authorizer::RegistrationRequest;
use crate::event::EventKind;
use crate::mailbox::Relay;
use crate::registration::parameters::{ParameterError, RegisterParameters};
use crate::registration::table::{Details, Entry, unix_ms};
use crate::registration::{EndpointName, Location, RegistrationId};
use crate::transport::Peer;
use crate::{Authenticated, Binding, Reason, Refusal, Registration};

/// What a Register says, and what interceptors make of it.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) endpoint: EndpointName,
    /// Who it was when it asked.
    pub(super) authenticated: Option<Arc<Authenticated>>,
    version: Version,
    lifetime_s: u32,
    binding: Binding,
    sms: Option<Box<str>>,
    objects: Arc<ObjectList>,
    /// Those that the server does not know.
    parameters: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
}

impl Register {
    /// The registration as it would be.
    pub(super) fn candidate(&self, now: Now, peer: Peer) -> Registration {
        Registration {
            endpoint: self.endpoint.clone(),
            id: RegistrationId(0),
            version: self.version,
            lifetime_s: self.lifetime_s,
            binding: self.binding,
            sms: self.sms.clone(),
            objects: Arc::clone(&self.objects),
            annotations: self.annotations.clone(),
            peer: peer.address(),
            identity: identity_of(&self.authenticated).clone(),
            registered_at: now.wall,
            updated_at: now.wall,
            awake: true,
        }
    }

    /// Takes over what interceptors noted.
    pub(super) fn take_over(&mut self, candidate: Registration) {
        self.lifetime_s = candidate.lifetime_s;
        self.annotations = candidate.annotations;
    }
}

impl Shard {
    /// `POST /rd`
    pub(super) fn on_register(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        match self.read_register(&request) {
            Ok(register) => self.admit(now, Petition::register(request.handle, register)),
            Err((endpoint, refusal)) => {
                self.refuse(now, "register", endpoint.as_ref(), &request, refusal);
            }
        }
    }

    /// Reads what a Register says; with the refusal comes the name, as soon as it is known.
    fn read_register(
        &mut self,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<Register, (Option<EndpointName>, Refusal)> {
        let items = request.message.values(OptionNumber::URI_QUERY);
        let others_max = self.shared.config.limits.annotations_max;
        let parameters =
            RegisterParameters::parse(items, others_max).map_err(|error| (None, error.into()))?;
        let endpoint = match parameters.endpoint {
            Some(name) => EndpointName::new(name),
            None => self.name_of(Origin::of(request)),
        };
        let Some(endpoint) = endpoint else {
            return Err((None, ParameterError::EndpointMissing.into()));
        };
        let version = parameters.version;
        let objects = match self.object_list(version, &parameters.profiles, request) {
            Ok(objects) if objects.paths.is_empty() => Err(empty_list(version)),
            listed => listed,
        };
        let objects = match objects {
            Ok(objects) => objects,
            Err(refusal) => return Err((Some(endpoint), refusal)),
        };
        let lifetime_s = parameters.lifetime_s;
        Ok(Register {
            endpoint,
            version,
            lifetime_s: lifetime_s.unwrap_or(self.shared.config.lifetime_s),
            binding: parameters.binding,
            sms: parameters.sms.map(Box::from),
            objects,
            parameters: owned(&parameters.others),
            annotations: owned(&parameters.others),
            authenticated: self.authenticated(Origin::of(request)),
        })
    }

    /// Takes a device in that the interceptors let pass: authorizer, table, event, 2.01.
    pub(super) fn enrol(
        &mut self,
        now: Now,
        handle: &ResponseHandle<Peer>,
        register: Register,
    ) -> Result<Response, Refusal> {
        let peer = handle.peer();
        // While it waited, its credentials may have changed.
        let authenticated = self.authenticated(Origin::of_handle(handle));
        self.authorize(&register, peer, &authenticated)?;
        let Register {
            endpoint,
            version,
            lifetime_s,
            binding,
            sms,
            objects,
            annotations,
            ..
        } = register;
        let details = Details { sms, annotations };
        let unremarkable = details.sms.is_none() && details.annotations.is_empty();
        let secret = rand::random();
        let unix_now = unix_ms(now.wall);
        let location = self.table.insert(Entry {
            endpoint: endpoint.clone(),
            secret,
            peer,
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
            version,
            binding,
            asleep: false,
        });
        let older = self.claim(now, &endpoint, location)?;
        if let (Some(context), Some(oscore)) = (handle.security(), &self.shared.oscore) {
            oscore.registered(context, location);
            // A Register is only passed on when it names its sender.
            self.keep_route(peer);
        }
        self.contact(now, location);
        self.arm(location);
        self.counters.registered += 1;
        if let Some(entry) = self.table.get(location) {
            self.emit(now, Some(&endpoint), || EventKind::Registered {
                registration: Arc::new(entry.snapshot(location)),
                replaced: older.is_some(),
            });
        }
        let elsewhere = older.filter(|older| older.shard != self.id);
        self.tell_registered(now, location, elsewhere);
        let id = RegistrationId::new(location, secret);
        Ok(Response::new(Code::CREATED)
            .option(OptionNumber::LOCATION_PATH, &b"rd"[..])
            .option(OptionNumber::LOCATION_PATH, id.text().to_vec()))
    }

    /// Makes a new registration the one of its endpoint; answers which one it replaces.
    fn claim(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        location: Location,
    ) -> Result<Option<Location>, Refusal> {
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
            Ok(None) => Ok(None),
            Ok(Some(older)) if older.shard == self.id => {
                self.replaced(now, older, false);
                Ok(Some(older))
            }
            Ok(Some(older)) => {
                self.outbox.push_back((older.shard, Relay::Replaced(older)));
                Ok(Some(older))
            }
        }
    }

    /// The endpoint name of a peer that gives none.
    pub(super) fn name_of(&self, origin: Origin) -> Option<EndpointName> {
        let authenticated = self.authenticated(origin)?;
        hook(|| self.shared.authorizer.endpoint_name(&authenticated)).flatten()
    }

    fn authorize(
        &self,
        register: &Register,
        peer: Peer,
        authenticated: &Option<Arc<Authenticated>>,
    ) -> Result<(), Refusal> {
        let parameters: Vec<(&str, &str)> = register
            .parameters
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let request = RegistrationRequest {
            endpoint: &register.endpoint,
            version: register.version,
            lifetime_s: register.lifetime_s,
            binding: register.binding,
            objects: &register.objects,
            parameters: &parameters,
            peer: peer.address(),
            identity: identity_of(authenticated),
            authenticated: authenticated.as_deref(),
        };
        hook(|| self.shared.authorizer.authorize(&request)).ok_or_else(panicked)?
    }

    /// The object list of a Register or Update: its payload, and what its profiles stand for.
    pub(super) fn object_list(
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

pub(super) fn owned(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    parameters.iter().map(owned).collect()
}
