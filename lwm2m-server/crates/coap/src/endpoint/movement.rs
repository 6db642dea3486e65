//! Peers that appear, fall idle, change their name, and go.

use std::hash::Hash;

use rand::RngExt;

use super::peer::NONE;
use super::reliability::Purpose;
use super::timers::{NEVER, Timer, seconds};
use super::{Endpoint, Event, Failure};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// The slot of a peer, with state from now on.
    pub(super) fn peer_slot(&mut self, peer: P) -> u32 {
        let random = &mut self.random;
        self.peers.find_or_insert(peer, || random.random())
    }

    /// Lets an idle peer go when its message ids may be used anew (RFC 7252 §4.4).
    pub(super) fn retire_peer(&mut self, slot: u32) {
        let lifetime = self.lifetimes.exchange;
        let now = self.clock.now();
        let peer = self.peers.at_mut(slot);
        if !peer.is_idle() || peer.deadline != NEVER {
            return;
        }
        peer.deadline = peer.last_used.saturating_add(lifetime).max(now);
        let deadline = peer.deadline;
        self.arm(deadline, Timer::Peer(slot));
    }

    /// The time has come to look at an idle peer.
    pub(super) fn review_peer(&mut self, slot: u32) {
        let lifetime = self.lifetimes.exchange;
        let now = self.clock.now();
        let peer = self.peers.at_mut(slot);
        peer.deadline = NEVER;
        if peer.is_idle() && peer.last_used.saturating_add(lifetime) <= now {
            self.peers.remove(slot);
        } else {
            self.retire_peer(slot);
        }
    }

    /// When a transfer that is not continued from now on ends.
    pub(super) fn exchange_deadline(&self) -> super::timers::Millis {
        let lifetime = self.lifetimes.exchange;
        self.clock.now().saturating_add(lifetime)
    }

    /// The second in which something that lives so long has ended.
    pub(super) fn expiry_s(&self, lifetime: super::timers::Millis) -> u32 {
        seconds(
            self.clock
                .now()
                .saturating_add(lifetime)
                .saturating_add(999),
        )
    }

    /// Forgets a peer; its outstanding requests fail.
    pub(super) fn remove_peer(&mut self, name: P) {
        let Some(slot) = self.peers.find(name) else {
            return;
        };
        // The peer goes first, so that no further request starts.
        let peer = self.peers.remove(slot);
        let mut next = peer.first;
        while next != NONE {
            let request = self.exchanges.id(next);
            let exchange = self.exchanges.remove(next);
            next = exchange.next;
            let observes = exchange.observation.is_some() && peer.stream.is_some();
            if let Some(observation) = exchange.observation {
                self.templates.release(observation.template);
            }
            let asks = exchange.active.is_some_and(|active| {
                self.transmissions.remove(active.transmission);
                !active.fetches_rest
            });
            if asks || observes {
                self.events.push_back(Event::Failed {
                    peer: name,
                    request,
                    failure: Failure::PeerGone,
                });
            }
        }
        // Its other messages are dropped when their timers find the peer gone.
    }

    /// Gives a peer another name; what a peer of that name has is merged with it.
    pub(super) fn rename_peer(&mut self, from: P, to: P) {
        let Some(slot) = self.peers.find(from).filter(|_| from != to) else {
            return;
        };
        let other = self.peers.find(to);
        let on_stream = |slot: &u32| self.peers.at(*slot).stream.is_some();
        if on_stream(&slot) || other.as_ref().is_some_and(on_stream) {
            // What a connection carries ends with it (RFC 8323 §7.4).
            return self.remove_peer(from);
        }
        if let Some(other) = other {
            self.absorb(slot, other);
        }
        self.peers.rename(slot, to);
        self.retire_peer(slot);
    }

    /// Takes over all that another peer has.
    fn absorb(&mut self, slot: u32, other: u32) {
        let serial = self.peers.at(slot).serial;
        let mut absorbed = self.peers.remove(other);
        let mut messages = 0;
        if absorbed.in_flight > 0 || absorbed.messages > 0 {
            for message in self.transmissions.of_peer(other, absorbed.serial) {
                messages += self.rehome_transmission(message, slot, serial);
            }
        }
        let mut last = NONE;
        let mut next = absorbed.first;
        while next != NONE {
            self.exchanges.rehome(next, slot);
            last = next;
            next = self.exchanges.at(next).next;
        }
        let peer = self.peers.at_mut(slot);
        peer.in_flight += absorbed.in_flight;
        peer.messages += messages;
        peer.observations += absorbed.observations;
        while let Some(waiting) = absorbed.next_in_line() {
            peer.line_up(waiting);
        }
        peer.sequence = peer.sequence.max(absorbed.sequence);
        // Message ids go on as the address knows them.
        peer.message_id = absorbed.message_id;
        peer.last_used = peer.last_used.max(absorbed.last_used);
        if last != NONE {
            let first = std::mem::replace(&mut peer.first, absorbed.first);
            self.exchanges.at_mut(last).next = first;
            if first != NONE {
                self.exchanges.at_mut(first).previous = last;
            }
        }
    }

    /// Hands an unacknowledged message over, unless the id is taken: then it is dropped, and a
    /// request waits for its response without. Says how many there are now that are no requests.
    fn rehome_transmission(&mut self, message: u32, slot: u32, serial: u32) -> u32 {
        let Some(transmission) = self.transmissions.get(message) else {
            return 0;
        };
        let (message_id, purpose) = (transmission.message_id, transmission.purpose.clone());
        let taken = self.transmissions.find(slot, serial, message_id).is_some();
        if taken {
            self.transmissions.remove(message);
        } else {
            self.transmissions.rehome(message, slot, serial);
        }
        let Purpose::Request(exchange) = purpose else {
            return u32::from(!taken);
        };
        if taken {
            if let Some(active) = self.exchanges.active_mut(exchange) {
                active.transmission = NONE;
            }
            self.await_response(exchange);
        }
        0
    }
}
