//! Our responses and notifications: piggybacked, separate, in blocks (RFC 7252 §5.2, RFC 7959).

use std::hash::{BuildHasher, Hash};

use bytes::Bytes;
use rand::RngExt;

use super::deduplication::Answer;
use super::outbox::{EngineOptions, Header, Layer, Outbox, is_engines};
use super::reliability::Purpose;
use super::short::Short;
use super::stored::{Sizes, Slice, slice};
use super::timers::Timer;
use super::{Endpoint, RequestError, RequestId, Response, ResponseHandle};
use crate::{Block, Code, Message, MessageType, ObjectSecurity, OptionNumber, ProtectionFault};

/// What the engine adds to a response.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Additions {
    pub(super) etag: Option<Short>,
    pub(super) observe: Option<u32>,
    pub(super) block2: Option<u32>,
    pub(super) block1: Option<u32>,
    pub(super) size2: Option<u32>,
    pub(super) size1: Option<u32>,
}

impl Additions {
    fn options(&self) -> EngineOptions {
        let mut options = EngineOptions::default();
        if let Some(etag) = self.etag {
            options.push(OptionNumber::ETAG, etag);
        }
        for (number, value) in [
            (OptionNumber::OBSERVE, self.observe),
            (OptionNumber::BLOCK2, self.block2),
            (OptionNumber::BLOCK1, self.block1),
            (OptionNumber::SIZE2, self.size2),
            (OptionNumber::SIZE1, self.size1),
        ] {
            if let Some(value) = value {
                options.push_uint(number, value);
            }
        }
        options
    }
}

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// Takes the application's response.
    pub(super) fn respond_as_application(
        &mut self,
        handle: &ResponseHandle<P>,
        mut response: Response,
    ) {
        if handle.stream && !self.is_connected(handle.peer) {
            return;
        }
        let mut additions = Additions::default();
        let observes = response
            .options
            .iter()
            .any(|(number, _)| *number == OptionNumber::OBSERVE);
        tidy(&mut response);
        if observes && response.code.is_success() {
            additions.observe = Some(self.next_sequence(handle.peer));
        }
        let suppressed = is_suppressed(handle, response.code);
        if !suppressed {
            self.divide(handle, &mut response, &mut additions);
        }
        self.answer(handle, suppressed, &response, additions);
    }

    /// Answers a request whose response is no more than one message.
    pub(super) fn answer(
        &mut self,
        handle: &ResponseHandle<P>,
        suppressed: bool,
        response: &Response,
        additions: Additions,
    ) {
        if !handle.confirmable {
            if !suppressed {
                self.reply_at_once(handle, response, additions);
            }
            return;
        }
        let (peer, message_id) = (handle.peer, handle.message_id);
        let now_s = self.clock.seconds();
        let memory = &mut self.deduplication;
        match memory.find(now_s, peer, message_id, handle.content) {
            Some(answer @ Answer::Pending) if suppressed => {
                *answer = Answer::Acknowledged;
                self.send_empty(MessageType::Acknowledgement, peer, message_id);
            }
            Some(answer @ Answer::Pending) => {
                let layer = Layer::Datagram(MessageType::Acknowledgement, message_id);
                let datagram = encode(
                    &mut self.outbox,
                    self.security.as_deref(),
                    layer,
                    handle,
                    response,
                    additions,
                );
                *answer = Answer::Encoded(datagram.clone());
                self.outbox.push(peer, datagram);
            }
            Some(Answer::Encoded(_) | Answer::Silence) => {}
            Some(Answer::Acknowledged) | None if suppressed => {}
            Some(Answer::Acknowledged) | None => self.send_separate(handle, response, additions),
        }
        self.deduplication.forget_answered();
    }

    /// Sends a notification.
    pub(super) fn send_notification(
        &mut self,
        handle: &ResponseHandle<P>,
        confirmable: bool,
        mut response: Response,
    ) -> Result<RequestId, RequestError> {
        if handle.stream && !self.is_connected(handle.peer) {
            return Err(RequestError::NotConnected);
        }
        let slot = self.peer_slot(handle.peer);
        let confirmable = confirmable && !handle.stream;
        let max = self.config.peer_queue_max.max(1);
        if confirmable && self.peers.at(slot).messages as usize >= max {
            return Err(RequestError::QueueFull);
        }
        tidy(&mut response);
        let mut additions = Additions::default();
        if response.code.is_success() {
            additions.observe = Some(self.peers.at_mut(slot).next_sequence());
        }
        // Of the request's Block options, only the size is of interest any more.
        let handle = &ResponseHandle {
            block1: None,
            outer_block1: None,
            block2: handle.block2.map(|asked| asked & 0xf),
            ..*handle
        };
        self.divide(handle, &mut response, &mut additions);
        if handle.stream {
            let frame = encode(
                &mut self.outbox,
                self.security.as_deref(),
                Layer::Stream,
                handle,
                &response,
                additions,
            );
            self.outbox.push(handle.peer, frame);
            return Ok(self.exchanges.detached_id());
        }
        let message_id = self.next_message_id(slot);
        let message_type = if confirmable {
            MessageType::Confirmable
        } else {
            MessageType::NonConfirmable
        };
        let layer = Layer::Datagram(message_type, message_id);
        let datagram = encode(
            &mut self.outbox,
            self.security.as_deref(),
            layer,
            handle,
            &response,
            additions,
        );
        let token = Box::from(handle.token.as_bytes());
        if confirmable {
            self.peers.at_mut(slot).messages += 1;
            let purpose = Purpose::Notification(token);
            self.send_tracked(slot, message_id, datagram, true, purpose);
        } else {
            self.peers
                .at_mut(slot)
                .note_notified(message_id, token, max);
            self.outbox.push(handle.peer, datagram);
            self.retire_peer(slot);
        }
        Ok(self.exchanges.detached_id())
    }

    /// Sends a response that is not remembered: piggybacked or, to a NON request, as NON, or on a
    /// stream.
    pub(super) fn reply_at_once(
        &mut self,
        handle: &ResponseHandle<P>,
        response: &Response,
        additions: Additions,
    ) {
        let layer = if handle.stream {
            Layer::Stream
        } else if handle.confirmable {
            Layer::Datagram(MessageType::Acknowledgement, handle.message_id)
        } else {
            let message_id = match self.peers.find(handle.peer) {
                Some(slot) => self.next_message_id(slot),
                // A peer that only asks gets no state: a random id is as good.
                None => self.random.random(),
            };
            Layer::Datagram(MessageType::NonConfirmable, message_id)
        };
        let datagram = encode(
            &mut self.outbox,
            self.security.as_deref(),
            layer,
            handle,
            response,
            additions,
        );
        self.outbox.push(handle.peer, datagram);
    }

    /// Cuts a response down to the block that was asked for, and keeps the whole when more
    /// blocks follow.
    fn divide(
        &mut self,
        handle: &ResponseHandle<P>,
        response: &mut Response,
        additions: &mut Additions,
    ) {
        let asked = handle.block2.and_then(decode_block);
        if !response.code.is_success() {
            return;
        }
        let sizes = self.sizes_of(handle, response);
        let (block, range) = match slice(response.payload.len(), asked, &sizes) {
            Slice::Whole => return,
            Slice::PastEnd => {
                *response = Response::new(Code::BAD_OPTION);
                additions.observe = None;
                return;
            }
            Slice::Block(block, range) => (block, range),
        };
        let divided = block.more || block.number > 0;
        let has_etag = |(number, _): &(OptionNumber, Bytes)| *number == OptionNumber::ETAG;
        if divided && !response.options.iter().any(has_etag) {
            let hash = self.resources.hash_one(&response.payload[..]);
            additions.etag = Some(Short::from_u64(hash));
        }
        if block.more {
            self.keep(handle, response.clone(), additions.etag);
        }
        cut(response, additions, block, range);
    }

    /// Answers the request of a later block from the response that is kept for it; false when
    /// there is none.
    pub(super) fn answer_from_stored(&mut self, handle: &ResponseHandle<P>) -> bool {
        let asked = handle.block2.and_then(decode_block);
        let deadline = self.exchange_deadline();
        let (peer, resource) = (handle.peer, handle.resource);
        let Some((slot, stored)) = self.stored.renew(peer, resource, deadline) else {
            return false;
        };
        let mut additions = Additions {
            etag: stored.etag,
            ..Additions::default()
        };
        let mut response = stored.response.clone();
        self.arm(deadline, Timer::Stored(slot));
        let sizes = self.sizes_of(handle, &response);
        let (response, suppressed) = match slice(response.payload.len(), asked, &sizes) {
            Slice::Block(block, range) => {
                cut(&mut response, &mut additions, block, range);
                let suppressed = is_suppressed(handle, response.code);
                (response, suppressed)
            }
            Slice::Whole | Slice::PastEnd => {
                additions = Additions::default();
                (Response::new(Code::BAD_OPTION), false)
            }
        };
        self.answer(handle, suppressed, &response, additions);
        true
    }

    fn sizes_of(&self, handle: &ResponseHandle<P>, response: &Response) -> Sizes {
        match handle.stream {
            true => self.sizes_for(handle.peer, &response.options),
            false => Sizes::of_datagrams(&self.config),
        }
    }

    fn keep(&mut self, handle: &ResponseHandle<P>, response: Response, etag: Option<Short>) {
        let deadline = self.exchange_deadline();
        let key = (handle.peer, handle.resource);
        let max = self.config.transfers_max;
        if let Some(slot) = self.stored.insert(key, response, etag, deadline, max) {
            self.arm(deadline, Timer::Stored(slot));
        }
    }

    /// A separate response: confirmable, unless too many of that peer are unacknowledged.
    fn send_separate(
        &mut self,
        handle: &ResponseHandle<P>,
        response: &Response,
        additions: Additions,
    ) {
        let slot = self.peer_slot(handle.peer);
        let message_id = self.next_message_id(slot);
        let tracked = (self.peers.at(slot).messages as usize) < self.config.peer_queue_max
            && self.transmissions.len() < self.config.deduplication_max;
        let message_type = if tracked {
            MessageType::Confirmable
        } else {
            MessageType::NonConfirmable
        };
        let layer = Layer::Datagram(message_type, message_id);
        let datagram = encode(
            &mut self.outbox,
            self.security.as_deref(),
            layer,
            handle,
            response,
            additions,
        );
        if tracked {
            self.peers.at_mut(slot).messages += 1;
            self.send_tracked(slot, message_id, datagram, true, Purpose::Response);
        } else {
            self.outbox.push(handle.peer, datagram);
            self.retire_peer(slot);
        }
    }

    fn next_sequence(&mut self, peer: P) -> u32 {
        let slot = self.peer_slot(peer);
        let peer = self.peers.at_mut(slot);
        peer.last_used = self.clock.now();
        let sequence = peer.next_sequence();
        self.retire_peer(slot);
        sequence
    }
}

/// Writes a response, protected like its request.
fn encode<P>(
    outbox: &mut Outbox<P>,
    security: Option<&dyn ObjectSecurity>,
    layer: Layer,
    handle: &ResponseHandle<P>,
    response: &Response,
    additions: Additions,
) -> Bytes {
    let header = Header {
        layer,
        code: response.code,
        token: handle.token.as_bytes(),
    };
    let additions = Additions {
        block1: additions.block1.or(handle.block1),
        ..additions
    };
    let added = additions.options();
    let options = response
        .options
        .iter()
        .map(|(number, value)| (*number, value.as_ref()));
    let (Some(binding), Some(security)) = (&handle.security, security) else {
        return outbox.encode(header, options, &added, &response.payload);
    };
    let mut outside = EngineOptions::default();
    if let Some(block1) = handle.outer_block1 {
        outside.push_uint(OptionNumber::BLOCK1, block1);
    }
    let payload = &response.payload;
    let protect = |plain: &Message<'_>, content: &mut Vec<u8>| {
        security.protect_response(binding, plain, content)
    };
    outbox
        .encode_protected(header, options, &added, payload, &outside, protect)
        .unwrap_or_else(|fault| {
            // Nothing of the response leaves without protection.
            let code = match fault {
                ProtectionFault::NotYet(_) => Code::SERVICE_UNAVAILABLE,
                ProtectionFault::Refused(_) => Code::INTERNAL_SERVER_ERROR,
            };
            let header = Header { code, ..header };
            outbox.encode(header, std::iter::empty(), &EngineOptions::default(), &[])
        })
}

/// Sorts the options and drops those that the engine writes. A value that no message can carry
/// is the application's fault: the peer gets 5.00.
fn tidy(response: &mut Response) {
    let too_long = |(_, value): &(OptionNumber, Bytes)| value.len() > OptionNumber::VALUE_MAX;
    if response.options.iter().any(too_long) {
        *response = Response::new(Code::INTERNAL_SERVER_ERROR);
    }
    response.options.retain(|(number, _)| !is_engines(*number));
    response.options.sort_by_key(|(number, _)| *number);
}

fn cut(
    response: &mut Response,
    additions: &mut Additions,
    block: Block,
    range: std::ops::Range<usize>,
) {
    additions.block2 = Some(block.encode());
    if block.number == 0 {
        additions.size2 = u32::try_from(response.payload.len()).ok();
    }
    response.payload = response.payload.slice(range);
}

fn is_suppressed<P>(handle: &ResponseHandle<P>, code: Code) -> bool {
    let class = code.class();
    class > 0 && handle.no_response & (1 << (class - 1)) != 0
}

fn decode_block(value: u32) -> Option<Block> {
    Block::decode_stream(Short::uint(value).as_bytes()).ok()
}
