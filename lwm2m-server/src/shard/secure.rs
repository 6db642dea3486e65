//! DTLS between the sockets and the CoAP engine.
//!
//! ```text
//! datagram of a coaps listener ─> dtls ─┬─> Lookup ─> credential store ─> answer
//!                                       ├─> Up ─────> the session has an identity
//!                                       ├─> Data ───> CoAP engine, as from the peer of the session
//!                                       └─> Down, Failed ─> event with reason and hint
//! CoAP engine ─> message to the peer of a session ─> dtls ─> datagram
//! ```
//!
//! A device that comes back with a Connection ID may land on any shard: the Connection ID names the
//! one that has its session, and the datagram is passed on.

mod backend;
mod proof;
mod search;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hashbrown::{HashMap, HashSet};
use lwm2m_coap::{Code, Transmit};
use lwm2m_dtls::{Endpoint, Identity, Lookup, ServerResumption, SessionId};

pub(crate) use self::proof::{answers, certified, label_of, verdict_of};
use self::proof::{presented_by, presented_in, unix_s};
use self::search::unanswered;
pub(crate) use self::search::{CredentialSearch, FoundCredentials, Question};
use super::sessions::revoked;
use super::{Now, Shard, Shared};
use crate::credentials::{Credential, LookUp, Proof};
use crate::event::EventKind;
use crate::hooks::CredentialRequest;
use crate::identity::{Authenticated, PeerIdentity};
use crate::keys::{KeyMaterial, Keys};
use crate::mailbox::Relay;
use crate::secure_datagram::{Capabilities, SecureDatagram, SecureEvent};
use crate::transport::{Peer, SessionSlot};
use crate::{Reason, ServerConfig, StartError};

/// The DTLS sessions of one shard.
pub(super) struct Secure {
    dtls: Box<dyn SecureDatagram<Peer>>,
    /// What the store has answered to handshakes that are not done.
    found: HashMap<SessionId, Vec<Arc<Credential>>>,
    /// Questions to the store that take their time.
    searches: VecDeque<CredentialSearch>,
    /// Sessions whose peer has moved and has not yet answered from there.
    moved: HashSet<SessionId>,
    /// Our own keys, and those that handshakes begin with now.
    keys: Option<Keys>,
    current: Arc<KeyMaterial>,
    resumption: ServerResumption,
}

impl Secure {
    /// The DTLS of a shard.
    ///
    /// # Errors
    /// The backend cannot be used.
    pub(super) fn new(shard: u16, shared: &Shared) -> Result<Secure, StartError> {
        let keys = shared.keys.clone();
        let current = keys.as_ref().map(Keys::current).unwrap_or_default();
        Ok(Secure {
            dtls: backend::backend(shard, shared, &current)?,
            found: HashMap::new(),
            searches: VecDeque::new(),
            moved: HashSet::new(),
            keys,
            current,
            resumption: shared.resumption.clone(),
        })
    }

    /// What the backend can do.
    pub(super) fn capabilities(&self) -> Capabilities {
        self.dtls.capabilities()
    }

    /// Ready when the backend has something that no call of ours has led to.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.dtls.poll_ready(context)
    }

    /// Takes keys that were exchanged, for handshakes that begin from now on.
    fn renew_keys(&mut self, config: &ServerConfig) {
        let Some(keys) = &self.keys else {
            return;
        };
        let current = keys.current();
        if !Arc::ptr_eq(&current, &self.current) {
            self.dtls
                .set_server(Arc::new(answers(config, &current, Some(&self.resumption))));
            self.current = current;
        }
    }

    /// Credentials have changed: handshakes that are not done ask again.
    pub(super) fn forget_found(&mut self) {
        self.found.clear();
    }

    /// When [`Shard::secure_timers`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dtls.next_timeout()
    }

    /// A datagram that DTLS has to send by itself.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit<Peer>> {
        let transmit = self.dtls.poll_transmit()?;
        Some(Transmit {
            peer: transmit.path,
            datagram: transmit.datagram,
        })
    }

    /// Protects a message to the peer of a session.
    pub(super) fn protect(&mut self, now: Instant, session: SessionSlot, message: &[u8]) {
        // A session that is over, or a new address that has had its share: CoAP sends again, or
        // tells who waits that there was no answer.
        if let Err(error) = self.dtls.send(now, session.id(), message) {
            tracing::debug!(%error, "message not sent");
        }
    }
}

/// A shard as Connection IDs and the names of sessions have it: with DTLS there are at most 256.
fn shard_octet(shard: u16) -> u8 {
    u8::try_from(shard).unwrap_or(u8::MAX)
}

impl SessionSlot {
    fn id(self) -> SessionId {
        SessionId::from_u64(u64::from(self.generation) << 32 | u64::from(self.slot))
    }

    fn of(shard: u16, id: SessionId) -> SessionSlot {
        let id = id.to_u64();
        SessionSlot {
            shard: shard_octet(shard),
            generation: (id >> 32) as u32,
            slot: id as u32,
        }
    }
}

impl Shard {
    /// Takes a datagram of a listener with DTLS.
    pub(super) fn secure_datagram(&mut self, now: Now, path: Peer, datagram: &mut [u8]) {
        if let Some(owner) = self.shard_of_cid(datagram) {
            return self.relay_datagram(owner, path, datagram);
        }
        let Some(secure) = &mut self.secure else {
            return;
        };
        secure.renew_keys(&self.shared.config);
        secure.dtls.set_unix_time(now.instant, unix_s(now));
        secure.dtls.handle(now.instant, path, datagram);
        self.drain_secure(now, datagram);
    }

    /// Runs what is due in DTLS.
    pub(super) fn secure_timers(&mut self, now: Now) {
        let Some(secure) = &mut self.secure else {
            return;
        };
        if secure.poll_timeout().is_some_and(|due| due <= now.instant) {
            secure.dtls.on_timeout(now.instant);
            self.drain_secure(now, &[]);
        }
    }

    /// True when a backend that works beside the loop has something for [`Shard::secure_work`].
    pub(super) fn poll_secure(&mut self, context: &mut Context<'_>) -> bool {
        let secure = self.secure.as_mut();
        secure.is_some_and(|secure| secure.poll_ready(context).is_ready())
    }

    /// Takes what a backend has done beside the loop.
    pub(super) fn secure_work(&mut self, now: Now) {
        self.drain_secure(now, &[]);
    }

    /// Takes the answer of the store.
    pub(super) fn credentials_found(&mut self, now: Now, found: FoundCredentials) {
        let FoundCredentials {
            session,
            question,
            presented,
            credentials,
        } = found;
        let path = self.secure.as_ref().and_then(|s| s.dtls.path(session));
        match (path, credentials) {
            // A session that came up without a question, as one whose credentials have changed.
            (Some(path), Some(credentials)) => {
                self.open(now, session, path, &presented, &credentials);
            }
            (Some(path), None) => self.shut_out(now, session, path, &presented, unanswered()),
            (None, Some(credentials)) => {
                self.answer(now, session, question, &presented, credentials);
            }
            // The handshake has a time of its own.
            (None, None) => {}
        }
        self.drain_secure(now, &[]);
    }

    /// The next question to the store that takes its time.
    pub(crate) fn poll_search(&mut self) -> Option<CredentialSearch> {
        self.secure.as_mut()?.searches.pop_front()
    }

    /// Ends the sessions of DTLS whose credentials are gone.
    pub(super) fn close_sessions(&mut self, now: Now) {
        let shared = Arc::clone(&self.shared);
        while let Some(peer) = self.poll_closing_if(|peer| shared.is_secure(peer)) {
            if let (Some(secure), Some(session)) = (&mut self.secure, peer.session()) {
                secure.dtls.close(now.instant, session.id());
            }
        }
        self.drain_secure(now, &[]);
    }

    /// A device has answered: it is where we think it is.
    pub(super) fn confirm_path(&mut self, peer: &Peer) {
        if let Some(shard) = self.shard_of_session(peer) {
            return self.outbox.push_back((shard, Relay::Confirmed(*peer)));
        }
        let (Some(secure), Some(session)) = (&mut self.secure, peer.session()) else {
            return;
        };
        if !secure.moved.is_empty() && secure.moved.remove(&session.id()) {
            secure.dtls.confirm_path(session.id());
        }
    }

    /// The other shard that has the session of a datagram with a Connection ID.
    fn shard_of_cid(&self, datagram: &[u8]) -> Option<u16> {
        if self.shared.config.shards < 2 || self.relayed_from.is_some() {
            return None;
        }
        let owner = u16::from(Endpoint::<Peer>::shard_of(datagram)?);
        let elsewhere = owner != self.id && usize::from(owner) < self.shared.config.shards;
        elsewhere.then_some(owner)
    }

    fn drain_secure(&mut self, now: Now, datagram: &[u8]) {
        while let Some(event) = self.secure.as_mut().and_then(|s| s.dtls.poll_event()) {
            match event {
                SecureEvent::Data { session, data } => {
                    let path = self.secure.as_ref().and_then(|s| s.dtls.path(session));
                    let (Some(path), Some(data)) = (path, data.within(datagram)) else {
                        continue;
                    };
                    let peer = path.in_session(SessionSlot::of(self.id, session));
                    // Before the store has said whose session it is, nothing of it is served.
                    if self.session(&peer).is_some() || self.may_be_anonymous(session) {
                        self.session_message(now, peer, data);
                    }
                }
                SecureEvent::Lookup {
                    session,
                    path,
                    lookup,
                } => self.look_up(now, session, path, &lookup),
                SecureEvent::Up {
                    session,
                    path,
                    peer,
                    replaces,
                } => {
                    self.session_up(now, session, path, &peer);
                    if let Some(older) = replaces {
                        let of = |session| path.in_session(SessionSlot::of(self.id, session));
                        self.succeed(of(older), of(session));
                    }
                }
                SecureEvent::PathChanged { session, from, to } => {
                    tracing::debug!(shard = self.id, from = %from.address(), to = %to.address(), "peer moved");
                    if let Some(secure) = &mut self.secure {
                        secure.moved.insert(session);
                    }
                    let peer = to.in_session(SessionSlot::of(self.id, session));
                    if let Some(location) = self.table.of_peer(&peer) {
                        self.table.set_peer(location, peer);
                    }
                }
                SecureEvent::Down {
                    session,
                    path,
                    reason,
                } => self.session_down(now, session, path, reason),
                SecureEvent::Failed {
                    session,
                    path,
                    reason,
                } => {
                    if let Some(secure) = &mut self.secure {
                        secure.found.remove(&session);
                    }
                    self.handshake_failed(now, path, reason);
                }
                SecureEvent::Dropped { path, reason } => self.handshake_failed(now, path, reason),
            }
        }
    }

    /// True for a client that did not prove who it is, where that is allowed.
    fn may_be_anonymous(&self, session: SessionId) -> bool {
        let peer = self.secure.as_ref().and_then(|s| s.dtls.peer(session));
        peer.is_some_and(|peer| peer.identity == Identity::Anonymous)
    }

    /// A handshake asks who has presented itself.
    fn look_up(&mut self, now: Now, session: SessionId, path: Peer, lookup: &Lookup) {
        let question = match lookup {
            Lookup::Psk { .. } => Question::Key,
            _ => Question::Admission,
        };
        let keys = self
            .secure
            .as_ref()
            .map(|secure| Arc::clone(&secure.current));
        let presented = presented_by(lookup, &keys.unwrap_or_default(), unix_s(now));
        let presented = presented.unwrap_or_default();
        if let Some(credentials) = self.search(session, question, path, presented.clone()) {
            self.answer(now, session, question, &presented, credentials);
        }
    }

    /// Asks the store; none when the answer takes its time.
    fn search(
        &mut self,
        session: SessionId,
        question: Question,
        path: Peer,
        presented: PeerIdentity,
    ) -> Option<Vec<Arc<Credential>>> {
        let Some(store) = &self.shared.credentials else {
            return Some(Vec::new());
        };
        let request = CredentialRequest {
            presented: presented.clone(),
            scheme: Some("coaps"),
            peer: Some(path.address()),
        };
        match store.look_up_for(&request) {
            LookUp::Now(credentials) => Some(credentials),
            LookUp::Later(credentials) => {
                let patience = self.shared.config.dtls.timing.handshake_timeout;
                if let Some(secure) = &mut self.secure {
                    secure.searches.push_back(CredentialSearch {
                        session,
                        question,
                        presented,
                        patience,
                        credentials,
                    });
                }
                None
            }
        }
    }

    /// Lets a handshake go on.
    fn answer(
        &mut self,
        now: Now,
        session: SessionId,
        question: Question,
        presented: &PeerIdentity,
        credentials: Vec<Arc<Credential>>,
    ) {
        let Some(secure) = &mut self.secure else {
            return;
        };
        let verdict = verdict_of(question, presented, &credentials);
        secure.found.insert(session, credentials);
        if !secure.dtls.answer(now.instant, session, verdict) {
            secure.found.remove(&session);
        }
    }

    fn session_up(&mut self, now: Now, session: SessionId, path: Peer, peer: &lwm2m_dtls::Peer) {
        let Some(presented) = presented_in(peer) else {
            return;
        };
        let found = self.secure.as_mut().and_then(|s| s.found.remove(&session));
        let found =
            found.or_else(|| self.search(session, Question::Admission, path, presented.clone()));
        if let Some(credentials) = found {
            self.open(now, session, path, &presented, &credentials);
        }
    }

    /// Gives a session its identity, or ends it when no credential stands for it.
    fn open(
        &mut self,
        now: Now,
        session: SessionId,
        path: Peer,
        presented: &PeerIdentity,
        credentials: &[Arc<Credential>],
    ) {
        // Of two keys of one identity, the session stands on the one that has proved it.
        let peer = self.secure.as_ref().and_then(|s| s.dtls.peer(session));
        let label = peer.map_or(0, |peer| peer.key_label);
        let fits = |c: &&Arc<Credential>| {
            let is_key = matches!(c.proof, Proof::Psk { .. });
            let proved = !is_key || label == 0 || label_of(c) == label;
            c.identify(presented).is_some() && proved
        };
        if let Some(reason) = self.revocation_of(presented) {
            return self.shut_out(now, session, path, presented, reason);
        }
        let credentials: Vec<_> = credentials.iter().filter(fits).cloned().collect();
        let identity = credentials.first().and_then(|c| c.identify(presented));
        let Some(identity) = identity else {
            return self.shut_out(now, session, path, presented, revoked());
        };
        tracing::debug!(shard = self.id, peer = %path.address(), %identity, "session up");
        let peer = path.in_session(SessionSlot::of(self.id, session));
        self.session_opened(
            peer,
            Arc::new(Authenticated {
                identity,
                credentials,
            }),
        );
    }

    /// Ends a session that came up although no credential stands for it (any more).
    fn shut_out(
        &mut self,
        now: Now,
        session: SessionId,
        path: Peer,
        presented: &PeerIdentity,
        reason: Reason,
    ) {
        if let Some(secure) = &mut self.secure {
            secure.dtls.close(now.instant, session);
        }
        self.emit(now, None, || EventKind::Refused {
            operation: "session",
            peer: path.address(),
            identity: presented.clone(),
            code: Code::EMPTY,
            reason,
        });
    }

    fn session_down(&mut self, now: Now, session: SessionId, path: Peer, reason: Reason) {
        tracing::debug!(shard = self.id, peer = %path.address(), reason = reason.code, "session down");
        if let Some(secure) = &mut self.secure {
            secure.moved.remove(&session);
        }
        let peer = path.in_session(SessionSlot::of(self.id, session));
        // What we close ourselves has been told of, and a device that is replaced by itself goes on.
        if !matches!(reason.code, "closed" | "replaced") {
            let device = self.table.of_peer(&peer).and_then(|at| self.table.get(at));
            let identity = self.session(&peer).map(|session| session.identity.clone());
            self.emit(now, device.map(|entry| &entry.endpoint), || {
                EventKind::SessionEnded {
                    peer: peer.address(),
                    identity: identity.unwrap_or_default(),
                    reason,
                }
            });
        }
        self.unlink(peer);
        self.session_closed(peer);
        self.endpoint.forget_peer(peer);
    }

    fn handshake_failed(&mut self, now: Now, path: Peer, reason: Reason) {
        let now_ms = self.ms(now.instant);
        if !self.noise.allow(now_ms, &path) {
            return;
        }
        let peer = path.address();
        tracing::debug!(shard = self.id, %peer, reason = %reason.message, "handshake failed");
        self.emit(now, None, || EventKind::Refused {
            operation: "handshake",
            peer,
            identity: PeerIdentity::Anonymous,
            code: Code::EMPTY,
            reason,
        });
    }
}
