//! Sending confirmable messages, sending them again, and what ACK, RST and silence mean
//! (RFC 7252 §4.2, §4.3).

use std::hash::Hash;

use bytes::Bytes;
use rand::RngExt;

use super::reliability::{Purpose, Transmission};
use super::timers::{Millis, NEVER, Timer, millis};
use super::{Endpoint, Event, Failure};
use crate::{Message, MessageType, Token};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// An id for a message to a peer that no unacknowledged message has.
    pub(super) fn next_message_id(&mut self, peer: u32) -> u16 {
        let now = self.clock.now();
        let state = self.peers.at_mut(peer);
        let serial = state.serial;
        state.last_used = now;
        // Fewer than 65536 messages are outstanding, so this ends.
        loop {
            state.message_id = state.message_id.wrapping_add(1);
            if self
                .transmissions
                .find(peer, serial, state.message_id)
                .is_none()
            {
                return state.message_id;
            }
        }
    }

    /// Sends a message and waits for its ACK or RST; again and again when it is confirmable.
    pub(super) fn send_tracked(
        &mut self,
        peer: u32,
        message_id: u16,
        datagram: Bytes,
        confirmable: bool,
        purpose: Purpose,
    ) -> u32 {
        let (name, peer_serial) = {
            let peer = self.peers.at(peer);
            (peer.name, peer.serial)
        };
        let (timeout, deadline) = if confirmable {
            let timeout = self.initial_timeout();
            (timeout, self.clock.now() + timeout)
        } else {
            (0, NEVER)
        };
        let slot = self.transmissions.insert(Transmission {
            peer,
            peer_serial,
            message_id,
            retransmissions: self.config.transmission.max_retransmit,
            timeout,
            deadline,
            datagram: datagram.clone(),
            purpose,
        });
        self.arm(deadline, Timer::Transmission(slot));
        self.outbox.push(name, datagram);
        slot
    }

    /// Sends a ping.
    pub(super) fn send_ping(&mut self, peer: P) {
        let slot = self.peer_slot(peer);
        let message_id = self.next_message_id(slot);
        let datagram = self
            .outbox
            .encode_empty(MessageType::Confirmable, message_id);
        self.peers.at_mut(slot).messages += 1;
        self.send_tracked(slot, message_id, datagram, true, Purpose::Ping);
    }

    /// An empty ACK came.
    pub(super) fn take_ack<'d>(&mut self, peer: P, message_id: u16) -> Option<Event<'d, P>> {
        let transmission = self.settle_message(peer, message_id)?;
        match transmission.purpose {
            Purpose::Request(exchange) => {
                self.await_response(exchange);
                None
            }
            Purpose::Response | Purpose::Notification(_) => None,
            // Not what a ping gets, but a sign of life all the same.
            Purpose::Ping => Some(Event::Pong { peer }),
        }
    }

    /// An ACK with a response came.
    pub(super) fn take_piggybacked<'d>(
        &mut self,
        peer: P,
        message: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let transmission = self.settle_message(peer, message.message_id())?;
        let Purpose::Request(exchange) = transmission.purpose else {
            return self.refuse(peer, "a response acknowledges what is no request");
        };
        let awaited = self
            .exchanges
            .active_mut(exchange)
            .is_some_and(|active| active.token.as_bytes() == message.token());
        if awaited {
            return self.take_response(exchange, message, plain);
        }
        self.await_response(exchange);
        self.refuse(peer, "the token of the response is not that of the request")
    }

    /// A RST came.
    pub(super) fn take_reset<'d>(&mut self, peer: P, message_id: u16) -> Option<Event<'d, P>> {
        let Some(transmission) = self.settle_message(peer, message_id) else {
            let slot = self.peers.find(peer)?;
            let token = self.peers.at_mut(slot).take_notified(message_id)?;
            return observer_gone(peer, &token);
        };
        match transmission.purpose {
            Purpose::Request(exchange) => self.fail(exchange, Failure::Reset),
            Purpose::Response => None,
            Purpose::Notification(token) => observer_gone(peer, &token),
            Purpose::Ping => Some(Event::Pong { peer }),
        }
    }

    /// The time after the latest transmission is over.
    pub(super) fn retransmit(&mut self, slot: u32) {
        let now = self.clock.now();
        let Some(transmission) = self.transmissions.get_mut(slot) else {
            return;
        };
        let (peer, serial) = (transmission.peer, transmission.peer_serial);
        let name = match self.peers.find_mut(peer, serial) {
            Some(peer) => peer.name,
            None => {
                self.transmissions.remove(slot);
                return;
            }
        };
        if transmission.retransmissions == 0 {
            self.give_up(slot, name);
            return;
        }
        transmission.retransmissions -= 1;
        transmission.timeout = transmission.timeout.saturating_mul(2);
        transmission.deadline = now.saturating_add(transmission.timeout);
        let (deadline, datagram) = (transmission.deadline, transmission.datagram.clone());
        self.arm(deadline, Timer::Transmission(slot));
        self.outbox.push(name, datagram);
        self.statistics.retransmitted += 1;
    }

    /// Ends the wait for an ACK or RST, the message being dealt with.
    pub(super) fn settle(&mut self, transmission: u32) -> Option<Transmission> {
        let transmission = self.transmissions.remove(transmission)?;
        if let Purpose::Request(exchange) = transmission.purpose {
            if let Some(active) = self.exchanges.active_mut(exchange) {
                active.transmission = super::peer::NONE;
            }
        } else if let Some(peer) = self
            .peers
            .find_mut(transmission.peer, transmission.peer_serial)
        {
            peer.messages -= 1;
            self.retire_peer(transmission.peer);
        }
        Some(transmission)
    }

    fn settle_message(&mut self, peer: P, message_id: u16) -> Option<Transmission> {
        let found = self.peers.find(peer).and_then(|peer| {
            let serial = self.peers.at(peer).serial;
            self.transmissions.find(peer, serial, message_id)
        });
        if found.is_none() {
            self.statistics.refused += 1;
        }
        self.settle(found?)
    }

    fn give_up(&mut self, slot: u32, name: P) {
        let Some(transmission) = self.settle(slot) else {
            return;
        };
        let event = match transmission.purpose {
            Purpose::Request(exchange) => self.fail(exchange, Failure::NotAcknowledged),
            Purpose::Notification(token) => observer_gone(name, &token),
            Purpose::Response | Purpose::Ping => None,
        };
        self.events.extend(event);
    }

    /// Random between ACK_TIMEOUT and ACK_TIMEOUT * ACK_RANDOM_FACTOR.
    fn initial_timeout(&mut self) -> Millis {
        let parameters = &self.config.transmission;
        let least = millis(parameters.ack_timeout).max(1);
        let factor = parameters.ack_random_factor.clamp(1.0, 100.0);
        let most = millis(parameters.ack_timeout.mul_f64(factor)).max(least);
        self.random.random_range(least..=most)
    }
}

fn observer_gone<'d, P>(peer: P, token: &[u8]) -> Option<Event<'d, P>> {
    let token = Token::new(token)?;
    Some(Event::ObserverGone { peer, token })
}
