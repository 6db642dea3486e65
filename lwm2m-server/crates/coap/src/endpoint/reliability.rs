//! Messages of ours that wait for an ACK or RST (RFC 7252 §4.2), found by peer and message id.

use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::timers::Millis;

/// One message.
#[derive(Debug)]
pub(super) struct Transmission {
    /// Slot and serial number of the peer; when they disagree, the peer has been forgotten.
    pub(super) peer: u32,
    pub(super) peer_serial: u32,
    pub(super) message_id: u16,
    /// How often it may still be sent again.
    pub(super) retransmissions: u32,
    /// The wait after the latest transmission.
    pub(super) timeout: Millis,
    /// When to send it again or to give up.
    pub(super) deadline: Millis,
    pub(super) datagram: Bytes,
    pub(super) purpose: Purpose,
}

/// Why a message was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request; slot of the exchange.
    Request(u32),
    /// A separate response.
    Response,
    /// A notification to the observer with this token.
    Notification(Box<[u8]>),
    /// A CoAP ping.
    Ping,
}

/// All unacknowledged messages.
#[derive(Debug, Default)]
pub(super) struct Transmissions {
    slab: Slab<Transmission>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Transmissions {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Transmission> {
        self.slab.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Transmission> {
        self.slab.get_mut(slot as usize)
    }

    /// Adds a message whose id is not in use.
    pub(super) fn insert(&mut self, transmission: Transmission) -> u32 {
        let slot = self.slab.insert(transmission) as u32;
        self.index(slot);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Transmission> {
        if !self.slab.contains(slot as usize) {
            return None;
        }
        self.unindex(slot);
        Some(self.slab.remove(slot as usize))
    }

    /// The message of a peer with an id.
    pub(super) fn find(&self, peer: u32, peer_serial: u32, message_id: u16) -> Option<u32> {
        self.table
            .find(self.hasher.hash_one((peer, message_id)), |slot| {
                let transmission = &self.slab[*slot as usize];
                transmission.message_id == message_id
                    && transmission.peer == peer
                    && transmission.peer_serial == peer_serial
            })
            .copied()
    }

    /// Hands a message to another peer.
    pub(super) fn rehome(&mut self, slot: u32, peer: u32, peer_serial: u32) {
        self.unindex(slot);
        let transmission = &mut self.slab[slot as usize];
        transmission.peer = peer;
        transmission.peer_serial = peer_serial;
        self.index(slot);
    }

    /// The messages of a peer; looks at all there are.
    pub(super) fn of_peer(&self, peer: u32, peer_serial: u32) -> Vec<u32> {
        self.slab
            .iter()
            .filter(|(_, message)| message.peer == peer && message.peer_serial == peer_serial)
            .map(|(slot, _)| slot as u32)
            .collect()
    }

    fn index(&mut self, slot: u32) {
        let (slab, hasher) = (&self.slab, &self.hasher);
        let key = |slot: &u32| {
            let transmission = &slab[*slot as usize];
            hasher.hash_one((transmission.peer, transmission.message_id))
        };
        self.table.insert_unique(key(&slot), slot, key);
    }

    fn unindex(&mut self, slot: u32) {
        let transmission = &self.slab[slot as usize];
        let hash = self
            .hasher
            .hash_one((transmission.peer, transmission.message_id));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }
}
