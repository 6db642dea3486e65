//! What is known of each peer that we have to do with. A peer that only asks has no entry.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::timers::{Millis, NEVER};
use crate::tcp::Capabilities;

/// No slot of a table.
pub(super) const NONE: u32 = u32::MAX;

/// Message ids and tokens of the latest non-confirmable notifications.
#[derive(Debug, Default)]
struct Notified(VecDeque<(u16, Box<[u8]>)>);

/// Exchanges in the order of their turns.
#[derive(Debug, Default)]
struct Queue(VecDeque<u32>);

/// State of one peer.
#[derive(Debug)]
pub(super) struct Peer<P> {
    pub(super) name: P,
    /// Tells the peer from an earlier one in the same slot.
    pub(super) serial: u32,
    /// The id of the next message to it.
    pub(super) message_id: u16,
    /// The latest sequence number in notifications to it, 24 bits.
    pub(super) sequence: u32,
    /// Requests sent and not answered.
    pub(super) in_flight: u32,
    /// Confirmable messages to it that are no requests, and unacknowledged.
    pub(super) messages: u32,
    /// Observations that stand.
    pub(super) observations: u32,
    /// The first of its exchanges.
    pub(super) first: u32,
    /// Exchanges that wait for their turn; most peers have none.
    queue: Option<Box<Queue>>,
    /// Non-confirmable notifications to it that it may still refuse: message id and token.
    notified: Option<Box<Notified>>,
    /// What a peer on a stream can do; none for one that is reached by datagrams.
    pub(super) stream: Option<Box<Capabilities>>,
    /// When a message id was last used.
    pub(super) last_used: Millis,
    /// When to look whether the peer can be forgotten.
    pub(super) deadline: Millis,
}

impl<P> Peer<P> {
    /// True when nothing is under way or stands with the peer.
    pub(super) fn is_idle(&self) -> bool {
        self.stream.is_none() && self.in_flight == 0 && self.messages == 0 && self.first == NONE
    }

    /// How many exchanges wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.0.len())
    }

    /// Lets an exchange wait for its turn.
    pub(super) fn line_up(&mut self, exchange: u32) {
        self.queue.get_or_insert_default().0.push_back(exchange);
    }

    /// The exchange whose turn it is.
    pub(super) fn next_in_line(&mut self) -> Option<u32> {
        let next = self.queue.as_mut()?.0.pop_front();
        self.queue.take_if(|queue| queue.0.is_empty());
        next
    }

    /// Takes an exchange out of the line.
    pub(super) fn step_out(&mut self, exchange: u32) {
        if let Some(queue) = &mut self.queue {
            queue.0.retain(|other| *other != exchange);
        }
        self.queue.take_if(|queue| queue.0.is_empty());
    }

    /// The sequence number for a notification (RFC 7641 §4.4).
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0xff_ffff;
        self.sequence
    }

    /// Remembers a notification that the peer may refuse, and the latest `max` before it.
    pub(super) fn note_notified(&mut self, message_id: u16, token: Box<[u8]>, max: usize) {
        let notified = &mut self.notified.get_or_insert_default().0;
        if notified.len() >= max {
            notified.pop_front();
        }
        notified.push_back((message_id, token));
    }

    /// The token of a remembered notification, which is forgotten.
    pub(super) fn take_notified(&mut self, message_id: u16) -> Option<Box<[u8]>> {
        let notified = &mut self.notified.as_mut()?.0;
        let index = notified.iter().position(|(id, _)| *id == message_id)?;
        notified.remove(index).map(|(_, token)| token)
    }
}

/// All peers with state.
#[derive(Debug)]
pub(super) struct Peers<P> {
    slab: Slab<Peer<P>>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    serial: u32,
}

impl<P: Copy + Eq + Hash> Peers<P> {
    pub(super) fn new() -> Peers<P> {
        Peers {
            slab: Slab::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            serial: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The slot of a peer.
    pub(super) fn find(&self, name: P) -> Option<u32> {
        self.table
            .find(self.hasher.hash_one(name), |slot| {
                self.slab[*slot as usize].name == name
            })
            .copied()
    }

    /// The slot of a peer, a new one starting with this message id.
    pub(super) fn find_or_insert(&mut self, name: P, message_id: impl FnOnce() -> u16) -> u32 {
        if let Some(slot) = self.find(name) {
            return slot;
        }
        self.serial = self.serial.wrapping_add(1);
        let slot = self.slab.insert(Peer {
            name,
            serial: self.serial,
            message_id: message_id(),
            sequence: 1,
            in_flight: 0,
            messages: 0,
            observations: 0,
            first: NONE,
            queue: None,
            notified: None,
            stream: None,
            last_used: 0,
            deadline: NEVER,
        }) as u32;
        self.index(slot);
        slot
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.slab.contains(slot as usize)
    }

    pub(super) fn at(&self, slot: u32) -> &Peer<P> {
        &self.slab[slot as usize]
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Peer<P> {
        &mut self.slab[slot as usize]
    }

    /// The peer in a slot, none when it is another than that of the serial number.
    pub(super) fn find_mut(&mut self, slot: u32, serial: u32) -> Option<&mut Peer<P>> {
        self.slab
            .get_mut(slot as usize)
            .filter(|peer| peer.serial == serial)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Peer<P> {
        self.unindex(slot);
        self.slab.remove(slot as usize)
    }

    /// Gives a peer another name, which no other peer has.
    pub(super) fn rename(&mut self, slot: u32, name: P) {
        self.unindex(slot);
        self.slab[slot as usize].name = name;
        self.index(slot);
    }

    fn index(&mut self, slot: u32) {
        let (slab, hasher) = (&self.slab, &self.hasher);
        let hash = hasher.hash_one(slab[slot as usize].name);
        self.table.insert_unique(hash, slot, |slot| {
            hasher.hash_one(slab[*slot as usize].name)
        });
    }

    fn unindex(&mut self, slot: u32) {
        let hash = self.hasher.hash_one(self.slab[slot as usize].name);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }
}
