//! Who the peers are: what the security layer has proven, and what follows when it changes.
//!
//! The security layer of a listener says when a session opens and when it closes. A peer without a
//! session is anonymous. A registration belongs to the identity that made it: to anybody else it
//! does not exist, and nothing is sent to a peer that has become somebody else.
//!
//! A registration lives on the shard of the session that made it. A device that opens a session on
//! another shard keeps its registration, see [`visiting`](super::visiting).

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use lwm2m_coap::{Code, IncomingRequest, ResponseHandle, SecurityContextId};
use lwm2m_dtls::CertificateFault;

use super::{Now, Shard};
use crate::credentials::CredentialRevision;
use crate::event::EventKind;
use crate::identity::{Authenticated, PeerIdentity};
use crate::keys::KeyMaterial;
use crate::registration::Location;
use crate::registration::table::Entry;
use crate::transport::Peer;
use crate::{Reason, Refusal};

/// Whom a request is from: a peer, or the holder of the context that protects the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    peer: Peer,
    context: Option<SecurityContextId>,
}

impl Origin {
    pub(super) fn of(request: &IncomingRequest<'_, Peer>) -> Origin {
        Origin::of_handle(&request.handle)
    }

    /// True when the request has a security of its own, whatever carries it.
    pub(super) fn is_protected(&self) -> bool {
        self.context.is_some()
    }

    pub(super) fn of_handle(handle: &ResponseHandle<Peer>) -> Origin {
        Origin {
            peer: handle.peer(),
            context: handle.security(),
        }
    }
}

/// The sessions of one shard.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_peer: HashMap<Peer, Arc<Authenticated>>,
    /// Sessions that the security layer has to close.
    closing: VecDeque<Peer>,
}

impl Shard {
    /// The security layer has proven who a peer is.
    pub(crate) fn session_opened(&mut self, peer: Peer, authenticated: Arc<Authenticated>) {
        let registered = self.table.of_peer(&peer).and_then(|at| self.table.get(at));
        let another = registered
            .is_some_and(|entry| *identity_of(&entry.authenticated) != authenticated.identity);
        if another {
            // What is on its way to the one before is not for this one.
            self.endpoint.forget_peer(peer);
        }
        self.sessions.by_peer.insert(peer, authenticated);
    }

    /// A session takes the place of another one. The registration goes with it, when both are of the
    /// same device: requests on their way and observations go on.
    pub(crate) fn succeed(&mut self, older: Peer, younger: Peer) {
        let same = match (self.session(&older), self.session(&younger)) {
            (Some(older), Some(younger)) => older.identity == younger.identity,
            _ => false,
        };
        if !same {
            return;
        }
        let Some(location) = self.table.of_peer(&older) else {
            return self.succeed_elsewhere(older, younger);
        };
        self.table.set_peer(location, younger);
        self.endpoint.move_peer(older, younger);
    }

    /// A session is over. Its registration stands: the device comes back with another session.
    pub(crate) fn session_closed(&mut self, peer: Peer) {
        self.sessions.by_peer.remove(&peer);
    }

    /// The next session that a security layer has to close, of those that are its.
    pub(crate) fn poll_closing_if(&mut self, is_its: impl Fn(&Peer) -> bool) -> Option<Peer> {
        let index = self.sessions.closing.iter().position(is_its)?;
        self.sessions.closing.remove(index)
    }

    /// The session of a peer; none without security, or when each message has its own.
    pub(super) fn session(&self, peer: &Peer) -> Option<&Arc<Authenticated>> {
        self.sessions.by_peer.get(peer)
    }

    /// What has proven who a request is from; none without security. Where there is both, it is the
    /// context that names the device: a session may end at a gateway.
    pub(super) fn authenticated(&self, origin: Origin) -> Option<Arc<Authenticated>> {
        match (origin.context, &self.shared.oscore) {
            (Some(context), Some(oscore)) => oscore.authenticated(context),
            _ => self.session(&origin.peer).cloned(),
        }
    }

    /// The identity behind a request.
    pub(super) fn identity(&self, origin: Origin) -> PeerIdentity {
        identity_of(&self.authenticated(origin)).clone()
    }

    /// The registration that a request without a path to it belongs to.
    pub(super) fn registration_of(&self, origin: Origin) -> Option<Location> {
        let device = match (origin.context, &self.shared.oscore) {
            (Some(context), Some(oscore)) => oscore.registration(context),
            _ => self
                .table
                .of_peer(&origin.peer)
                .or_else(|| self.registration_by_name(&origin.peer)),
        }?;
        let registered = device.shard == self.id && self.table.get(device).is_some();
        (registered && self.is_of(device, origin)).then_some(device)
    }

    /// The registration, here or elsewhere, of the endpoint name that a session stands for: a device
    /// that comes with a new session need not say its name. None when it may choose among several.
    pub(super) fn registration_by_name(&self, peer: &Peer) -> Option<Location> {
        let endpoint = self
            .shared
            .authorizer
            .endpoint_name(self.session(peer)?.as_ref())?;
        self.shared.directory.find(&endpoint)
    }

    /// True when a request is from the one that a registration belongs to.
    pub(super) fn is_of(&self, device: Location, origin: Origin) -> bool {
        let identity = self.identity(origin);
        let entry = self.table.get(device);
        entry.is_none_or(|entry| *identity_of(&entry.authenticated) == identity)
    }

    /// True when an answer from a peer is from the one that was asked.
    ///
    /// The engine takes no answer under OSCORE that is not from the holder of the context.
    pub(super) fn answers_for(&self, device: Location, peer: Peer) -> bool {
        let protected = self.table.get(device).is_some_and(is_protected);
        let context = None;
        protected || self.is_of(device, Origin { peer, context })
    }

    /// The context to protect requests to a device with; none without OSCORE.
    pub(super) fn context_for(&self, entry: &Entry) -> Option<SecurityContextId> {
        let oscore = self.shared.oscore.as_ref()?;
        oscore.context_of(identity_of(&entry.authenticated))
    }

    /// True when the peer of a registration is still the one that it belongs to.
    pub(super) fn is_reachable(&self, entry: &Entry) -> bool {
        if !self.is_connected(entry) {
            return false;
        }
        if is_protected(entry) {
            // Under DTLS too, what protects the messages needs a session that carries them.
            let peer = &entry.peer;
            let carried = peer.session().is_none() || self.session(peer).is_some();
            return carried && self.context_for(entry).is_some();
        }
        let session = self.sessions.by_peer.get(&entry.peer);
        match (&entry.authenticated, session) {
            (None, None) => true,
            (Some(own), Some(session)) => own.identity == session.identity,
            _ => false,
        }
    }

    /// True unless the device came over a connection that has ended.
    pub(super) fn is_connected(&self, entry: &Entry) -> bool {
        entry.peer.connection().is_none() || self.endpoint.is_connected(entry.peer)
    }

    /// Refuses what comes from somebody else than the owner of a registration: the answer is that to
    /// a registration that does not exist, the reason says more.
    pub(super) fn check_owner(&self, device: Location, origin: Origin) -> Result<(), Refusal> {
        match self.is_of(device, origin) {
            true => Ok(()),
            false => Err(Refusal {
                code: Code::NOT_FOUND,
                reason: Reason::new("identity-changed", NO_REGISTRATION).hint(
                    "the registration was made with another identity: the device registers again \
                     with the one that it has now, or comes back with the one that it had",
                ),
            }),
        }
    }

    /// Credentials have changed: ends the sessions and registrations that have lost theirs.
    pub(super) fn revise(&mut self, now: Now, revision: &CredentialRevision) {
        if let Some(oscore) = &self.shared.oscore {
            oscore.revise(revision);
        }
        if let Some(secure) = &mut self.secure {
            secure.forget_found();
        }
        let mut lost = Vec::new();
        for (peer, authenticated) in &mut self.sessions.by_peer {
            match revision.apply(authenticated) {
                Some(revised) => *authenticated = revised,
                None => lost.push((*peer, authenticated.identity.clone())),
            }
        }
        self.end_sessions(now, lost, &revoked());
        let mut ended = Vec::new();
        self.table.for_each_mut(|location, entry| {
            let Some(authenticated) = &mut entry.authenticated else {
                return;
            };
            match revision.apply(authenticated) {
                Some(revised) if revised.may_use(&entry.endpoint) => *authenticated = revised,
                _ => ended.push(location),
            }
        });
        for location in ended {
            self.revoked(now, location, revoked());
        }
    }

    /// Certificates were taken back: ends the sessions and registrations that rest on one of them.
    pub(super) fn revoke_certificates(&mut self, now: Now, keys: &KeyMaterial) {
        let by_peer = self.sessions.by_peer.iter();
        let lost = by_peer.filter(|(_, held)| keys.has_revoked(&held.identity));
        let lost = lost.map(|(peer, held)| (*peer, held.identity.clone()));
        let lost = lost.collect();
        self.end_sessions(now, lost, &certificate_revoked());
        let mut ended = Vec::new();
        self.table.for_each_mut(|location, entry| {
            if keys.has_revoked(identity_of(&entry.authenticated)) {
                ended.push(location);
            }
        });
        for location in ended {
            self.revoked(now, location, certificate_revoked());
        }
    }

    /// Why a peer is not let in whose certificate was taken back while its handshake went on.
    pub(super) fn revocation_of(&self, identity: &PeerIdentity) -> Option<Reason> {
        let keys = self.shared.keys.as_ref()?.current();
        keys.has_revoked(identity).then(certificate_revoked)
    }

    /// Ends sessions for a reason that is told.
    pub(super) fn end_sessions(
        &mut self,
        now: Now,
        lost: Vec<(Peer, PeerIdentity)>,
        reason: &Reason,
    ) {
        for (peer, identity) in lost {
            self.sessions.by_peer.remove(&peer);
            self.endpoint.forget_peer(peer);
            if self.shard_of_session(&peer).is_some() {
                // Its own shard closes it, and tells of it.
                continue;
            }
            self.sessions.closing.push_back(peer);
            let registered = self.table.of_peer(&peer).and_then(|at| self.table.get(at));
            let endpoint = registered.map(|entry| &entry.endpoint);
            self.emit(now, endpoint, || EventKind::Refused {
                operation: "session",
                peer: peer.address(),
                identity,
                code: Code::EMPTY,
                reason: reason.clone(),
            });
        }
    }
}

/// Why a session and a registration end whose credential is gone.
pub(crate) fn revoked() -> Reason {
    Reason::new(
        "credential-removed",
        "its credential was removed or has another key",
    )
    .hint("add a credential for the device; it then connects and registers again")
}

/// Why a session and a registration end whose certificate was taken back.
fn certificate_revoked() -> Reason {
    let fault = CertificateFault::Revoked;
    Reason::new(fault.reason(), "its certificate was revoked").hint(fault.hint())
}

/// True for a registration that was made under OSCORE.
fn is_protected(entry: &Entry) -> bool {
    matches!(identity_of(&entry.authenticated), PeerIdentity::Oscore(_))
}

/// What is told of a registration that is not there, or not the peer's.
pub(super) const NO_REGISTRATION: &str = "no such registration";

/// The identity that stands behind it.
pub(super) fn identity_of(authenticated: &Option<Arc<Authenticated>>) -> &PeerIdentity {
    match authenticated {
        Some(authenticated) => &authenticated.identity,
        None => &PeerIdentity::Anonymous,
    }
}
