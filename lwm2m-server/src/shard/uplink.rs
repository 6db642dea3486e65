//! Requests of devices: which of the server's resources they are for.

use std::net::SocketAddr;

use lwm2m_coap::{Code, IncomingRequest, OptionNumber, Response, ResponseHandle};
use lwm2m_core::ContentFormat;

use super::sessions::{NO_REGISTRATION, Origin};
use super::{Now, Shard};
use crate::builder::Roles;
use crate::event::EventKind;
use crate::registration::{EndpointName, Location, RegistrationId};
use crate::transport::Peer;
use crate::{PeerIdentity, Reason, Refusal, oscore};

/// A resource of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'d> {
    /// `/rd`
    Registrations,
    /// `/rd/{id}`
    Registration(&'d [u8]),
    /// `/dp`
    DataPush,
    /// `/bs`
    Bootstrap,
    /// `/bspack`
    BootstrapPack,
    /// `/.well-known/core`
    WellKnownCore,
    /// Anything else.
    Unknown,
}

impl<'d> Resource<'d> {
    /// Reads the Uri-Path segments; an empty last one is left out.
    pub(super) fn of(mut segments: impl Iterator<Item = &'d [u8]>) -> Resource<'d> {
        let first = segments.next().unwrap_or_default();
        let second = segments.next().unwrap_or_default();
        let third = segments.next().unwrap_or_default();
        match (first, second, third, segments.next()) {
            (b"rd", b"", b"", None) => Resource::Registrations,
            (b"rd", id, b"", None) => Resource::Registration(id),
            (b"dp", b"", b"", None) => Resource::DataPush,
            (b"bs", b"", b"", None) => Resource::Bootstrap,
            (b"bspack", b"", b"", None) => Resource::BootstrapPack,
            (b".well-known", b"core", b"", None) => Resource::WellKnownCore,
            _ => Resource::Unknown,
        }
    }
}

impl Shard {
    /// A device asks.
    pub(super) fn on_request(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        let resource = Resource::of(request.message.values(OptionNumber::URI_PATH));
        if let Err(refusal) = served(resource, self.shared.roles(&request.peer)) {
            return self.refuse(now, "request", None, &request, refusal);
        }
        let lines_up = matches!(
            (resource, request.message.code()),
            (
                Resource::Registrations | Resource::Registration(_),
                Code::POST
            )
        );
        if !lines_up {
            self.ask_before(now, &request.peer);
        }
        match (resource, request.message.code()) {
            (Resource::Registrations, Code::POST) => self.on_register(now, request),
            (Resource::Registration(id), Code::POST) => self.on_update(now, id, request),
            (Resource::Registration(id), Code::DELETE) => self.on_deregister(now, id, request),
            (Resource::DataPush, Code::POST) => self.on_send(now, request),
            (Resource::Bootstrap, Code::POST) => self.on_bootstrap(now, request),
            (Resource::BootstrapPack, Code::GET) => self.on_bootstrap_pack(now, request),
            (Resource::WellKnownCore, Code::GET) => self.on_discover(now, request),
            (Resource::Unknown, _) => {
                let reason = Reason::new("unknown-path", "the server has no such resource")
                    .hint("the server has /rd, /dp, /bs, /bspack and /.well-known/core");
                let refusal = Refusal {
                    code: Code::NOT_FOUND,
                    reason,
                };
                self.refuse(now, "request", None, &request, refusal);
            }
            (_, method) => {
                let reason = Reason::new(
                    "method-not-allowed",
                    format!("the resource does not take {method:?}"),
                )
                .hint(
                    "/rd, /dp and /bs take POST, /rd/{id} POST and DELETE, /bspack and \
                     /.well-known/core GET",
                );
                let refusal = Refusal {
                    code: Code::METHOD_NOT_ALLOWED,
                    reason,
                };
                self.refuse(now, "request", None, &request, refusal);
            }
        }
    }

    fn on_discover(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        let roles = self.shared.roles(&request.peer);
        let resources = match (roles.registers, roles.bootstraps) {
            (true, true) => "</rd>;rt=\"core.rd\",</dp>,</bs>,</bspack>",
            (false, _) => "</bs>,</bspack>",
            (true, false) => "</rd>;rt=\"core.rd\",</dp>",
        };
        let links = Response::new(Code::CONTENT)
            .uint(
                OptionNumber::CONTENT_FORMAT,
                u32::from(ContentFormat::Link.number()),
            )
            .payload(resources);
        self.endpoint.respond(now.instant, request.handle, links);
    }

    /// Refuses a request: the code to the device, the reason to whoever listens.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        operation: &'static str,
        endpoint: Option<&EndpointName>,
        request: &IncomingRequest<'_, Peer>,
        refusal: Refusal,
    ) {
        self.refuse_to(now, operation, endpoint, request.handle, refusal);
    }

    /// The same for a request that is not at hand any more, of whoever its peer is now.
    pub(super) fn refuse_to(
        &mut self,
        now: Now,
        operation: &'static str,
        endpoint: Option<&EndpointName>,
        handle: ResponseHandle<Peer>,
        refusal: Refusal,
    ) {
        let identity = self.identity(Origin::of_handle(&handle));
        let peer = (handle.peer().address(), identity);
        self.refuse_handle(now, operation, endpoint, peer, handle, refusal);
    }

    /// The same for a request that is not at hand any more.
    pub(super) fn refuse_handle(
        &mut self,
        now: Now,
        operation: &'static str,
        endpoint: Option<&EndpointName>,
        (peer, identity): (SocketAddr, PeerIdentity),
        handle: ResponseHandle<Peer>,
        refusal: Refusal,
    ) {
        let Refusal { code, reason } = refusal;
        self.counters.refused += 1;
        tracing::debug!(shard = self.id, %peer, ?endpoint, operation, ?code, %reason.message, "refused");
        let mut response = Response::new(code);
        if code == Code::SERVICE_UNAVAILABLE {
            let seconds = self.shared.config.retry_after_s;
            response = response.uint(OptionNumber::MAX_AGE, seconds);
        }
        // An answer to an address that nobody has proven stays small, so that a forged request
        // does not become a much larger one to somebody else (RFC 7252 §11.3).
        if reason.message.len() <= DIAGNOSTIC_MAX {
            response = response.payload(reason.message.as_bytes().to_vec());
        }
        self.emit(now, endpoint, || EventKind::Refused {
            operation,
            peer,
            identity,
            code,
            reason,
        });
        self.endpoint.respond(now.instant, handle, response);
    }

    /// The engine has refused a datagram before it was a request for anything.
    pub(super) fn on_refused(&mut self, now: Now, peer: Peer, reason: &'static str) {
        let now_ms = self.ms(now.instant);
        if oscore::is_challenge(reason) || !self.noise.allow(now_ms, &peer) {
            return;
        }
        let from = peer.address();
        tracing::debug!(shard = self.id, peer = %from, reason, "datagram refused");
        let device = self.table.of_peer(&peer).and_then(|at| self.table.get(at));
        let endpoint = device.map(|entry| &entry.endpoint);
        self.emit(now, endpoint, || EventKind::Refused {
            operation: "datagram",
            peer: from,
            identity: match self.session(&peer) {
                Some(session) => session.identity.clone(),
                None => PeerIdentity::Anonymous,
            },
            code: Code::EMPTY,
            reason: oscore::refusal(reason)
                .unwrap_or_else(|| Reason::new("datagram-refused", reason)),
        });
    }

    /// The registration that a path names, when it is that of the origin, or the refusal.
    pub(super) fn registered_by(&self, id: &[u8], origin: Origin) -> Result<Location, Refusal> {
        let location = RegistrationId::from_text(id)
            .and_then(|id| self.table.with_id(id))
            .ok_or_else(|| Refusal {
                code: Code::NOT_FOUND,
                reason: Reason::new("unknown-registration", NO_REGISTRATION).hint(
                    "it expired, was replaced by a younger one of the same endpoint, or the \
                     server restarted: the device registers again",
                ),
            })?;
        self.check_owner(location, origin)?;
        Ok(location)
    }
}

/// Refuses what a listener is not for.
fn served(resource: Resource<'_>, roles: Roles) -> Result<(), Refusal> {
    let (word, message, hint) = match resource {
        Resource::Registrations | Resource::Registration(_) | Resource::DataPush
            if !roles.registers =>
        {
            (
                "bootstrap-only",
                "this is the bootstrap server",
                "register at the server of the account that bootstrap gives; a listener that is \
                 for both takes both",
            )
        }
        Resource::Bootstrap | Resource::BootstrapPack if !roles.bootstraps => (
            "no-bootstrap",
            "this is not the bootstrap server",
            "bootstrap at another port (5686 by default), or mark this listener for bootstrap",
        ),
        _ => return Ok(()),
    };
    Err(Refusal {
        code: Code::NOT_FOUND,
        reason: Reason::new(word, message).hint(hint),
    })
}

/// A diagnostic text longer than this is kept for the event, in bytes.
const DIAGNOSTIC_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_with_and_without_a_last_slash() {
        let of = |path: &'static str| Resource::of(path.split('/').map(str::as_bytes));
        assert_eq!(of("rd"), Resource::Registrations);
        assert_eq!(of("rd/"), Resource::Registrations);
        assert_eq!(of("rd/abc"), Resource::Registration(b"abc"));
        assert_eq!(of("rd/abc/"), Resource::Registration(b"abc"));
        assert_eq!(of("dp"), Resource::DataPush);
        assert_eq!(of(".well-known/core"), Resource::WellKnownCore);
        assert_eq!(of("bs"), Resource::Bootstrap);
        assert_eq!(of("bspack"), Resource::BootstrapPack);
        for path in ["", "bs/x", "rd/a/b", "rd/a//", "/rd", "RD", "dp/x"] {
            assert_eq!(of(path), Resource::Unknown, "{path}");
        }
    }
}
