//! Datagrams that the kernel gave to another shard than the one that owns the device.
//!
//! The kernel picks the socket by the peer's address. A device that comes from a new address may
//! so land on a shard that knows nothing of it. Its Update names the owner (the registration id
//! says the shard), so the datagram is passed on. When the owner has taken the device in, the address
//! is remembered for what follows.

use bytes::Bytes;
use hashbrown::HashMap;
use lwm2m_coap::tcp::parse_frame;
use lwm2m_coap::{Code, Message, OptionNumber};

use super::Shard;
use super::uplink::Resource;
use crate::mailbox::Relay;
use crate::registration::RegistrationId;
use crate::transport::Peer;

/// Which shard owns a peer that is not ours; bounded, the least recently used ones go.
#[derive(Debug)]
pub(super) struct Routes {
    // Two generations: what is used moves to the young one, and the old one is dropped when the
    // young one is full.
    young: HashMap<Peer, u16>,
    old: HashMap<Peer, u16>,
    max: usize,
}

impl Routes {
    pub(super) fn new(max: usize) -> Routes {
        Routes {
            young: HashMap::new(),
            old: HashMap::new(),
            max,
        }
    }

    pub(super) fn get(&mut self, peer: &Peer) -> Option<u16> {
        if let Some(shard) = self.young.get(peer) {
            return Some(*shard);
        }
        let shard = self.old.remove(peer)?;
        self.insert(*peer, shard);
        Some(shard)
    }

    pub(super) fn insert(&mut self, peer: Peer, shard: u16) {
        if self.young.len() >= (self.max / 2).max(1) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(peer, shard);
    }

    pub(super) fn remove(&mut self, peer: &Peer) {
        if !self.is_empty() {
            self.young.remove(peer);
            self.old.remove(peer);
        }
    }

    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}

impl Shard {
    /// The other shard that a datagram belongs to; none for ours.
    pub(super) fn owner_of(&mut self, peer: &Peer, datagram: &[u8]) -> Option<u16> {
        if self.shared.config.shards < 2 || self.session(peer).is_some() {
            return None;
        }
        if !is_for_registration(datagram) {
            return self.routed(peer);
        }
        self.owner_by(peer, Message::parse(datagram).ok())
    }

    /// The other shard that a message out of a session of ours belongs to; none for ours.
    pub(super) fn owner_of_message(&mut self, peer: &Peer, message: &[u8]) -> Option<u16> {
        if self.shared.config.shards < 2 {
            return None;
        }
        if !is_for_registration(message) {
            return self.routed(peer);
        }
        let message = Message::parse(message).ok();
        if message.is_some_and(is_register) {
            // A new registration is where its session is.
            self.routes.remove(peer);
            return None;
        }
        self.owner_by(peer, message)
    }

    /// The other shard that a message of a connection belongs to; none for ours.
    pub(super) fn owner_of_frame(&mut self, peer: &Peer, frame: &[u8]) -> Option<u16> {
        if self.shared.config.shards < 2 {
            return None;
        }
        self.owner_by(peer, parse_frame(frame).ok())
    }

    fn owner_by(&mut self, peer: &Peer, message: Option<Message<'_>>) -> Option<u16> {
        let oscore = self.shared.oscore.as_ref();
        let registration = oscore
            .zip(message.as_ref())
            .and_then(|(oscore, message)| oscore.registration_named_by(message));
        if let Some(registration) = registration {
            return (registration.shard != self.id).then_some(registration.shard);
        }
        let sends = message.as_ref().is_some_and(is_send);
        if let Some(owner) = message.and_then(named_owner) {
            // Nothing is remembered yet: anybody can write a shard number.
            let elsewhere = owner != self.id && usize::from(owner) < self.shared.config.shards;
            return elsewhere.then_some(owner);
        }
        let routed = self.routed(peer);
        if routed.is_some() || !sends || self.table.of_peer(peer).is_some() {
            return routed;
        }
        let registration = self.registration_by_name(peer)?;
        (registration.shard != self.id).then_some(registration.shard)
    }

    pub(super) fn routed(&mut self, peer: &Peer) -> Option<u16> {
        match self.routes.is_empty() {
            true => None,
            false => self.routes.get(peer),
        }
    }

    pub(super) fn relay_datagram(&mut self, owner: u16, peer: Peer, datagram: &[u8]) {
        if !self.has_room_to_relay() {
            return;
        }
        self.counters.relayed += 1;
        let relay = Relay::Datagram {
            from: self.id,
            peer,
            local: None,
            datagram: Bytes::copy_from_slice(datagram),
        };
        self.outbox.push_back((owner, relay));
    }
}

impl Shard {
    /// After a good Update: the shard that it came through passes on what follows from the peer.
    pub(super) fn keep_route(&mut self, peer: Peer) {
        let Some(shard) = self.relayed_from else {
            return self.routes.remove(&peer);
        };
        let from = self.id;
        let local = None;
        let route = Relay::Route { from, peer, local };
        self.outbox.push_back((shard, route));
    }
}

/// True when a datagram may be for `/rd/{id}`, in plain or protected, as far as its code says.
fn is_for_registration(datagram: &[u8]) -> bool {
    let code = datagram.get(1).copied().map(Code);
    matches!(code, Some(Code::POST | Code::DELETE))
}

fn is_register(message: Message<'_>) -> bool {
    let resource = Resource::of(message.values(OptionNumber::URI_PATH));
    message.code() == Code::POST && resource == Resource::Registrations
}

fn is_send(message: &Message<'_>) -> bool {
    let resource = Resource::of(message.values(OptionNumber::URI_PATH));
    message.code() == Code::POST && resource == Resource::DataPush
}

/// The shard that a request for `/rd/{id}` names.
fn named_owner(message: Message<'_>) -> Option<u16> {
    if !matches!(message.code(), Code::POST | Code::DELETE) {
        return None;
    }
    match Resource::of(message.values(OptionNumber::URI_PATH)) {
        Resource::Registration(id) => Some(RegistrationId::from_text(id)?.location().shard),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> Peer {
        Peer::new(0, ([127, 0, 0, 1], port).into(), 0)
    }

    #[test]
    fn remembers_a_bounded_number_of_peers_and_keeps_those_in_use() {
        let mut routes = Routes::new(8);
        for port in 1..=100 {
            routes.insert(peer(port), 3);
            assert_eq!(routes.get(&peer(1)), Some(3), "in use");
            assert!(routes.young.len() + routes.old.len() <= 8);
        }
        assert_eq!(routes.get(&peer(50)), None);
        routes.remove(&peer(1));
        assert_eq!(routes.get(&peer(1)), None);
    }
}
