//! Devices whose session of DTLS is on one shard and whose registration is on another.
//!
//! A device that has lost its session, or that comes from another address without a Connection ID,
//! begins a new one wherever the kernel puts it. Its Update names the shard of its registration:
//! there the message goes, in plain and with what the session has proven. Whether it is the same
//! device is decided there, as for any Update. What the owner has to say goes back the same way.
//!
//! ```text
//! session's shard:  datagram ─> dtls ─> session_message ─ Message ─> owner: visitor ─> CoAP engine
//! session's shard:  datagram <─ dtls <─────────────────── Protect <─ owner: poll_transmit
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::{Now, Shard};
use crate::identity::Authenticated;
use crate::mailbox::Relay;
use crate::transport::Peer;

impl Shard {
    /// The other shard that has the session of a peer; none for ours, and without a session.
    pub(super) fn shard_of_session(&self, peer: &Peer) -> Option<u16> {
        let shard = u16::from(peer.session()?.shard);
        (shard != self.id).then_some(shard)
    }

    /// Takes a message out of a session of ours; it may be for a registration of another shard.
    pub(super) fn session_message(&mut self, now: Now, peer: Peer, message: &[u8]) {
        let Some(owner) = self.owner_of_message(&peer, message) else {
            return self.own_datagram(now, peer, message);
        };
        if !self.has_room_to_relay() {
            return;
        }
        self.counters.relayed += 1;
        self.link(peer, owner);
        let relay = Relay::Message {
            from: self.id,
            peer,
            authenticated: self.session(&peer).cloned(),
            message: Bytes::copy_from_slice(message),
        };
        self.outbox.push_back((owner, relay));
    }

    /// Takes a message out of a session of another shard.
    pub(super) fn visitor(
        &mut self,
        now: Now,
        peer: Peer,
        authenticated: Option<Arc<Authenticated>>,
        message: &[u8],
    ) {
        if let Some(authenticated) = authenticated {
            self.session_opened(peer, authenticated);
        }
        if let Some(location) = self.table.of_peer(&peer) {
            // The same session, perhaps from another address.
            self.table.set_peer(location, peer);
        }
        self.own_datagram(now, peer, message);
    }

    /// Lets the shard of a session protect a message to its peer.
    pub(super) fn send_through(&mut self, shard: u16, peer: Peer, message: Bytes) {
        if self.has_room_to_relay() {
            self.outbox
                .push_back((shard, Relay::Protect { peer, message }));
        }
    }

    /// Protects what another shard has to say to the peer of a session of ours.
    pub(super) fn protect_for(&mut self, now: Now, peer: &Peer, message: &[u8]) {
        if let (Some(secure), Some(session)) = (&mut self.secure, peer.session()) {
            secure.protect(now.instant, session, message);
        }
    }

    /// A session takes the place of another one whose registration is elsewhere: it is told there.
    pub(super) fn succeed_elsewhere(&mut self, older: Peer, younger: Peer) {
        let Some(owner) = self.routed(&older) else {
            return;
        };
        let Some(authenticated) = self.session(&younger).cloned() else {
            return;
        };
        self.routes.insert(younger, owner);
        self.link(younger, owner);
        let relay = Relay::Succeeded {
            older,
            younger,
            authenticated,
        };
        self.outbox.push_back((owner, relay));
    }

    /// Notes that another shard has heard of a peer of ours.
    pub(super) fn link(&mut self, peer: Peer, shard: u16) {
        let shards = self.linked.entry(peer).or_default();
        if !shards.contains(&shard) {
            shards.push(shard);
        }
    }

    /// Tells whoever has heard of a peer of ours that it is gone.
    pub(super) fn unlink(&mut self, peer: Peer) {
        self.routes.remove(&peer);
        for shard in self.linked.remove(&peer).unwrap_or_default() {
            self.outbox.push_back((shard, Relay::Disconnected(peer)));
        }
    }

    /// False when another shard is not to be told any more; the message is lost and counted.
    pub(super) fn has_room_to_relay(&mut self) -> bool {
        let room = self.outbox.len() < self.shared.config.limits.mailbox_max;
        if !room {
            self.counters.relays_dropped += 1;
        }
        room
    }
}
