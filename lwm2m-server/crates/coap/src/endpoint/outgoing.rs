//! Our requests: from the application to the wire, and how they end.

use std::hash::Hash;

use super::download::Download;
use super::exchange::Active;
use super::outbox::{EngineOptions, Header, Layer, decode_options, encode_options};
use super::peer::NONE;
use super::protection::NO_SECURITY;
use super::reliability::Purpose;
use super::short::Short;
use super::timers::{Millis, NEVER, Timer, millis};
use super::upload::{BLOCKS_MAX, Upload};
use super::{Endpoint, Event, Failure, OutgoingRequest, RequestError, RequestId};
use crate::{Block, Code, Message, MessageType, OptionNumber, ProtectionFault};

/// How long a message waits that cannot be protected yet.
const PROTECTION_PAUSE: Millis = 4;

/// How often it waits before its request fails: a second in all.
const PROTECTION_ATTEMPTS_MAX: u16 = 250;

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// Takes a request of the application.
    pub(super) fn begin(
        &mut self,
        peer: P,
        request: OutgoingRequest,
    ) -> Result<RequestId, RequestError> {
        let token = match &request.token {
            Some(token) => Some(Short::new(token.as_bytes()).ok_or(RequestError::Token)?),
            None => None,
        };
        let active = Box::new(self.prepare(peer, request)?);
        let peer = self.peer_slot(peer);
        if !self.has_turn(peer) && self.peers.at(peer).queued() >= self.config.peer_queue_max {
            return Err(RequestError::QueueFull);
        }
        let standing = token.and_then(|token| self.exchanges.find_owner(peer, token));
        let slot = match standing {
            Some(slot) => {
                self.take_over(slot, active)?;
                slot
            }
            None => {
                let exchanges = &mut self.exchanges;
                let slot = exchanges.insert(&mut self.random, peer, token, Some(active));
                self.link(peer, slot);
                slot
            }
        };
        // When it cannot be protected it ends at once.
        let id = self.exchanges.id(slot);
        self.schedule(slot);
        Ok(id)
    }

    /// Starts a request, or lines it up.
    pub(super) fn schedule(&mut self, slot: u32) {
        let peer = self.exchanges.at(slot).peer;
        if self.has_turn(peer) {
            self.start(slot);
        } else {
            self.peers.at_mut(peer).line_up(slot);
        }
    }

    /// Sends the next message of a request: the whole, the next block, or for the next block.
    pub(super) fn send_next(&mut self, slot: u32) {
        let peer = self.exchanges.at(slot).peer;
        let stream = self.peers.at(peer).stream.is_some();
        let message_id = match stream {
            true => 0,
            false => self.next_message_id(peer),
        };
        let fresh = self.exchanges.token(&mut self.random, slot);
        let exchange = self.exchanges.at_mut(slot);
        let token = exchange.token;
        let Some(active) = exchange.active.as_deref_mut() else {
            return;
        };
        active.token = if active.has_token_of_exchange() {
            token
        } else {
            fresh
        };
        let (added, payload) = active.plan();
        let confirmable = active.confirmable;
        let layer = match (stream, confirmable) {
            (true, _) => Layer::Stream,
            (false, true) => Layer::Datagram(MessageType::Confirmable, message_id),
            (false, false) => Layer::Datagram(MessageType::NonConfirmable, message_id),
        };
        let header = Header {
            layer,
            code: active.code,
            token: active.token.as_bytes(),
        };
        let mut bound = None;
        let datagram = match (active.security, &self.security) {
            (None, _) => {
                let options = decode_options(&active.options);
                Ok(self.outbox.encode(header, options, &added, &payload))
            }
            (Some(_), None) => Err(ProtectionFault::Refused(NO_SECURITY)),
            (Some(context), Some(security)) => {
                let protect = |plain: &Message<'_>, content: &mut Vec<u8>| {
                    let (code, binding) = security.protect_request(context, plain, content)?;
                    bound = Some(binding);
                    Ok(code)
                };
                let options = decode_options(&active.options);
                self.outbox.encode_protected(
                    header,
                    options,
                    &added,
                    &payload,
                    &EngineOptions::default(),
                    protect,
                )
            }
        };
        active.binding = bound;
        active.deadline = NEVER;
        let datagram = match datagram {
            Ok(datagram) => datagram,
            Err(ProtectionFault::NotYet(_)) if active.attempts < PROTECTION_ATTEMPTS_MAX => {
                active.attempts += 1;
                active.deadline = self.clock.now() + PROTECTION_PAUSE;
                let deadline = active.deadline;
                return self.arm(deadline, Timer::Exchange(slot));
            }
            Err(fault) => {
                let event = self.fail(slot, Failure::Protection(fault.reason()));
                return self.events.extend(event);
            }
        };
        active.attempts = 0;
        if stream {
            self.outbox.push(self.peers.at(peer).name, datagram);
            return self.await_response(slot);
        }
        let purpose = Purpose::Request(slot);
        let sent = self.send_tracked(peer, message_id, datagram, confirmable, purpose);
        if let Some(active) = self.exchanges.active_mut(slot) {
            active.transmission = sent;
        }
        if !confirmable {
            self.await_response(slot);
        }
    }

    /// The time of a request is over: the response has not come, or the message may be protected
    /// now that could not be.
    pub(super) fn time_out(&mut self, slot: u32) {
        let active = self.exchanges.active_mut(slot);
        if active.is_some_and(|active| active.attempts > 0) {
            return self.send_next(slot);
        }
        let event = self.fail(slot, Failure::NoResponse);
        self.events.extend(event);
    }

    /// The peer has the request: the response is due within the time-out.
    pub(super) fn await_response(&mut self, slot: u32) {
        let now = self.clock.now();
        let Some(active) = self.exchanges.active_mut(slot) else {
            return;
        };
        let deadline = now.saturating_add(active.timeout);
        active.deadline = deadline;
        self.arm(deadline, Timer::Exchange(slot));
    }

    /// Ends a request without response, and the observation that it was for.
    pub(super) fn fail<'d>(&mut self, slot: u32, failure: Failure) -> Option<Event<'d, P>> {
        let exchange = self.exchanges.get(slot)?;
        let peer = self.peers.at(exchange.peer).name;
        let request = self.exchanges.id(slot);
        let observes = exchange.observation.is_some();
        if exchange.active.as_deref()?.fetches_rest && observes {
            self.finish(slot);
            return self.refuse(peer, "the rest of a notification did not come");
        }
        self.end_observation(slot);
        self.finish(slot);
        Some(Event::Failed {
            peer,
            request,
            failure,
        })
    }

    /// Ends the request of an exchange, and the exchange when nothing is observed under it; the
    /// peer's next request has its turn.
    pub(super) fn finish(&mut self, slot: u32) {
        let exchange = self.exchanges.at_mut(slot);
        let peer = exchange.peer;
        let active = exchange.active.take();
        let observes = exchange.observation.is_some();
        if let Some(active) = active {
            self.settle(active.transmission);
            if active.queued {
                self.peers.at_mut(peer).step_out(slot);
            } else {
                self.peers.at_mut(peer).in_flight -= 1;
            }
        }
        if !observes {
            self.unlink(slot);
            self.exchanges.remove(slot);
        }
        self.start_waiting(peer);
        self.retire_peer(peer);
    }

    /// Drops an exchange without event.
    pub(super) fn discard(&mut self, slot: u32) {
        self.end_observation(slot);
        self.finish(slot);
    }

    /// Takes the observation of an exchange away.
    pub(super) fn end_observation(&mut self, slot: u32) {
        let exchange = self.exchanges.at_mut(slot);
        let peer = exchange.peer;
        if let Some(observation) = exchange.observation.take() {
            self.templates.release(observation.template);
            self.peers.at_mut(peer).observations -= 1;
        }
    }

    fn prepare(&self, peer: P, request: OutgoingRequest) -> Result<Active, RequestError> {
        let OutgoingRequest {
            code,
            confirmable,
            mut options,
            payload,
            observe,
            token: _,
            timeout,
            block_size,
            security,
        } = request;
        let sizes = self.sizes_for(peer, &options);
        let size = block_size.unwrap_or(sizes.block);
        if payload.len().div_ceil(size.bytes()) > BLOCKS_MAX {
            return Err(RequestError::TooLarge);
        }
        let options = encode_options(&mut options).ok_or(RequestError::TooLarge)?;
        let inline_max = match block_size {
            Some(size) => size.bytes().min(sizes.inline_max),
            None => sizes.inline_max,
        };
        let divided = payload.len() > inline_max;
        if divided && !self.takes_blocks(peer) {
            return Err(RequestError::TooLarge);
        }
        let upload = divided.then(|| Upload::new(size, sizes.bert_blocks));
        Ok(Active {
            code,
            confirmable,
            options,
            payload,
            observe,
            timeout: millis(timeout.unwrap_or(self.config.response_timeout)),
            deadline: NEVER,
            block_size,
            queued: true,
            fetches_rest: false,
            token: Short::default(),
            transmission: NONE,
            upload,
            download: None,
            security,
            binding: None,
            attempts: 0,
            echoed: false,
        })
    }

    /// Puts a request in the place of the observation that has its token.
    fn take_over(&mut self, slot: u32, active: Box<Active>) -> Result<(), RequestError> {
        let under_way = self.exchanges.at(slot).active.as_deref();
        match under_way.map(|active| active.fetches_rest) {
            Some(false) => return Err(RequestError::Token),
            // The observation keeps the exchange until the request is in.
            Some(true) => self.finish(slot),
            None => {}
        }
        self.end_observation(slot);
        self.exchanges.renew(slot);
        self.exchanges.at_mut(slot).active = Some(active);
        Ok(())
    }

    fn has_turn(&self, peer: u32) -> bool {
        let peer = self.peers.at(peer);
        (peer.in_flight as usize) < self.config.nstart.max(1) && peer.queued() == 0
    }

    fn start(&mut self, slot: u32) {
        let peer = self.exchanges.at(slot).peer;
        self.peers.at_mut(peer).in_flight += 1;
        if let Some(active) = self.exchanges.active_mut(slot) {
            active.queued = false;
        }
        self.send_next(slot);
    }

    fn start_waiting(&mut self, peer: u32) {
        while (self.peers.at(peer).in_flight as usize) < self.config.nstart.max(1)
            && let Some(slot) = self.peers.at_mut(peer).next_in_line()
        {
            self.start(slot);
        }
    }

    fn link(&mut self, peer: u32, slot: u32) {
        let first = std::mem::replace(&mut self.peers.at_mut(peer).first, slot);
        self.exchanges.at_mut(slot).next = first;
        self.exchanges.at_mut(slot).previous = NONE;
        if first != NONE {
            self.exchanges.at_mut(first).previous = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let exchange = self.exchanges.at(slot);
        let (peer, previous, next) = (exchange.peer, exchange.previous, exchange.next);
        if previous == NONE {
            self.peers.at_mut(peer).first = next;
        } else {
            self.exchanges.at_mut(previous).next = next;
        }
        if next != NONE {
            self.exchanges.at_mut(next).previous = previous;
        }
    }
}

impl Active {
    /// True for the first message, and for all that ask for an observation: the token of the
    /// response that establishes it is the observation's.
    fn has_token_of_exchange(&self) -> bool {
        let first = self
            .upload
            .as_ref()
            .is_none_or(|upload| upload.is_untouched());
        !self.fetches_rest && self.download.is_none() && (first || self.observe.is_some())
    }

    /// The engine's options and the payload of the next message. A later block of the response
    /// is asked for without payload; its first block, when it changed, like anew.
    fn plan(&self) -> (EngineOptions, bytes::Bytes) {
        let mut added = EngineOptions::default();
        let asked = self.download.as_ref().and_then(Download::block);
        match (asked, self.observe) {
            (Some(block), _) => added.push_uint(OptionNumber::BLOCK2, block.encode()),
            (None, Some(register)) => added.push_uint(OptionNumber::OBSERVE, u32::from(!register)),
            (None, None) => {}
        }
        if asked.is_some_and(|block| block.number > 0) {
            return (added, bytes::Bytes::new());
        }
        let Some(upload) = &self.upload else {
            if let (None, Some(size), Code::GET | Code::FETCH) = (asked, self.block_size, self.code)
            {
                let block = Block {
                    number: 0,
                    more: false,
                    size,
                };
                added.push_uint(OptionNumber::BLOCK2, block.encode());
            }
            return (added, self.payload.clone());
        };
        let (block, range) = upload.block(self.payload.len());
        added.push_uint(OptionNumber::BLOCK1, block.encode());
        if upload.is_first() {
            let total = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
            added.push_uint(OptionNumber::SIZE1, total);
        }
        (added, self.payload.slice(range))
    }
}
