//! Devices that are connected: binding T (RFC 8323, Core 1.2.2 §6.4).
//!
//! A connection is read on the shard that accepted it, which passes on what belongs to a device of
//! another shard. What is observed, and what is on its way, goes with the connection; the
//! registration stays, and what waits for the device waits until it is back.

use std::sync::Arc;

use bytes::Bytes;
use lwm2m_coap::Code;
use lwm2m_coap::tcp::Capabilities;

use super::{Now, Shard};
use crate::event::EventKind;
use crate::identity::{Authenticated, PeerIdentity};
use crate::mailbox::Relay;
use crate::registration::Location;
use crate::transport::Peer;
use crate::transport::stream::StreamInput;
use crate::{Reason, RequestError};

/// What a shard has to know of a connection that another one reads.
#[derive(Debug)]
pub(crate) struct Link {
    capabilities: Capabilities,
    authenticated: Option<Arc<Authenticated>>,
}

impl Shard {
    /// Takes what a connection tells.
    pub(crate) fn stream(&mut self, now: Now, input: StreamInput) {
        match input {
            StreamInput::Connected { peer, capabilities } => {
                self.endpoint.connect(now.instant, peer, capabilities);
            }
            StreamInput::Authenticated {
                peer,
                authenticated,
            } => match self.revocation_of(&authenticated.identity) {
                None => self.session_opened(peer, authenticated),
                Some(reason) => {
                    let lost = vec![(peer, authenticated.identity.clone())];
                    self.end_sessions(now, lost, &reason);
                }
            },
            StreamInput::Message { peer, frame } => self.frame(now, peer, frame),
            StreamInput::Ended { peer, reason } => {
                if let Some(reason) = reason {
                    let identity = self.identity_of_session(&peer);
                    self.connection_refused(now, &peer, "connection", identity, reason);
                }
                self.unlink(peer);
                self.disconnected(peer);
            }
            StreamInput::Refused {
                address,
                operation,
                identity,
                reason,
            } => {
                let peer = Peer::new(0, address, 0);
                self.connection_refused(now, &peer, operation, identity, reason);
            }
        }
        self.drain_events(now);
    }

    /// Takes a message that another shard has read.
    pub(super) fn linked_frame(&mut self, now: Now, peer: Peer, link: Link, frame: &[u8]) {
        if self.endpoint.capabilities(peer) != Some(&link.capabilities) {
            self.endpoint.connect(now.instant, peer, link.capabilities);
        }
        if let Some(authenticated) = link.authenticated {
            self.session_opened(peer, authenticated);
        }
        self.own_frame(now, peer, frame);
    }

    /// A connection has ended.
    pub(super) fn disconnected(&mut self, peer: Peer) {
        self.routes.remove(&peer);
        self.session_closed(peer);
        self.endpoint.forget_peer(peer);
    }

    /// A device goes on over another connection, or leaves or takes up connections at all: what
    /// was under way is over.
    pub(super) fn detach(&mut self, now: Now, device: Location) {
        let Some(entry) = self.table.get_mut(device) else {
            return;
        };
        let active = entry
            .downlink
            .as_mut()
            .and_then(|downlink| downlink.take_active());
        let observations = self.observations.chain(entry.observations);
        let observations: Vec<_> = observations.map(|observation| observation.id).collect();
        if let Some((exchange, task)) = active {
            self.exchanges.remove(&exchange);
            self.endpoint.cancel(exchange);
            task.fail(RequestError::NotConnected);
        }
        for id in observations {
            let reason = Reason::new("connection-ended", "the device has another connection")
                .hint("observe again: an observation goes with its connection");
            self.drop_observation(now, device, id, reason);
        }
    }

    fn identity_of_session(&self, peer: &Peer) -> PeerIdentity {
        let session = self.session(peer);
        session.map_or(PeerIdentity::Anonymous, |session| session.identity.clone())
    }

    fn frame(&mut self, now: Now, peer: Peer, frame: Bytes) {
        let Some(owner) = self.owner_of_frame(&peer, &frame) else {
            return self.own_frame(now, peer, &frame);
        };
        let Some(capabilities) = self.endpoint.capabilities(peer).copied() else {
            return;
        };
        if !self.has_room_to_relay() {
            return;
        }
        self.counters.relayed += 1;
        self.link(peer, owner);
        let link = Box::new(Link {
            capabilities,
            authenticated: self.session(&peer).cloned(),
        });
        let relay = Relay::Frame {
            from: self.id,
            peer,
            link,
            frame,
        };
        self.outbox.push_back((owner, relay));
    }

    fn own_frame(&mut self, now: Now, peer: Peer, frame: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        let instant = now.instant;
        if let Some(event) = (self.endpoint).receive_frame_with(instant, peer, frame, &mut plain) {
            self.on_event(now, event);
        }
        self.plain = plain;
    }

    fn connection_refused(
        &mut self,
        now: Now,
        peer: &Peer,
        operation: &'static str,
        identity: PeerIdentity,
        reason: Reason,
    ) {
        let now_ms = self.ms(now.instant);
        if !self.noise.allow(now_ms, peer) {
            return;
        }
        let from = peer.address();
        tracing::debug!(shard = self.id, peer = %from, %reason.message, "connection refused");
        let device = self.table.of_peer(peer).and_then(|at| self.table.get(at));
        let endpoint = device.map(|entry| &entry.endpoint);
        self.emit(now, endpoint, || EventKind::Refused {
            operation,
            peer: from,
            identity,
            code: Code::EMPTY,
            reason,
        });
    }
}
