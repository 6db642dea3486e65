//! Requests of peers, and our responses and notifications.

use std::borrow::Cow;
use std::hash::Hash;

use bytes::Bytes;
use rand::RngExt;

use super::deduplication::Answer;
use super::outbox::{EngineOptions, Header, is_engines};
use super::reliability::Purpose;
use super::timers::millis;
use super::{Endpoint, Event, IncomingRequest, RequestError, RequestId, Response, ResponseHandle};
use crate::{Code, Message, MessageType, OptionNumber, Token};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// A request came.
    pub(super) fn take_request<'d>(
        &mut self,
        peer: P,
        message: Message<'d>,
        datagram: &[u8],
    ) -> Option<Event<'d, P>> {
        let confirmable = message.message_type() == MessageType::Confirmable;
        let token = Token::new(message.token())
            .filter(|token| token.as_bytes().len() <= self.config.token_max);
        let Some(token) = token else {
            if confirmable {
                self.send_empty(MessageType::Reset, peer, message.message_id());
            }
            return self.refuse(peer, "the token is too long");
        };
        let handle = ResponseHandle {
            peer,
            message_id: message.message_id(),
            token,
            confirmable,
            content: self.deduplication.content(datagram),
            no_response: message.no_response().unwrap_or(0),
            block1: None,
            block2: None,
            resource: 0,
        };
        if let Err((code, reason)) = self.check_request(&message) {
            // What is refused is not remembered: a duplicate is refused again.
            if confirmable || code != Code::BAD_OPTION {
                self.reply_at_once(&handle, Response::new(code));
            }
            return self.refuse(peer, reason);
        }
        if self.is_duplicate(&handle) {
            return None;
        }
        self.remember(&handle);
        Some(Event::Request(IncomingRequest {
            peer,
            handle,
            message,
            body: Cow::Borrowed(message.payload()),
            confirmable,
        }))
    }

    /// Takes the application's response.
    pub(super) fn answer(&mut self, handle: ResponseHandle<P>, response: Response) {
        let class = response.code.class();
        let suppressed = class > 0 && handle.no_response & (1 << (class - 1)) != 0;
        if !handle.confirmable {
            if !suppressed {
                self.reply_at_once(&handle, response);
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
            Some(Answer::Pending) => {
                let header = (MessageType::Acknowledgement, message_id);
                let datagram = self.encode_response(header, &handle, response, None);
                let memory = &mut self.deduplication;
                if let Some(answer) = memory.find(now_s, peer, message_id, handle.content) {
                    *answer = Answer::Encoded(datagram.clone());
                }
                self.outbox.push(peer, datagram);
            }
            Some(Answer::Encoded(_) | Answer::Silence) => return,
            Some(Answer::Acknowledged) | None if suppressed => {}
            Some(Answer::Acknowledged) | None => self.send_separate(&handle, response),
        }
        self.deduplication.forget_answered();
    }

    /// Sends a notification.
    pub(super) fn send_notification(
        &mut self,
        handle: ResponseHandle<P>,
        confirmable: bool,
        response: Response,
    ) -> Result<RequestId, RequestError> {
        let slot = self.peer_slot(handle.peer);
        let max = self.config.peer_queue_max.max(1);
        let peer = self.peers.at_mut(slot);
        if confirmable && peer.messages as usize >= max {
            return Err(RequestError::QueueFull);
        }
        let sequence = response.code.is_success().then(|| peer.next_sequence());
        let message_id = self.next_message_id(slot);
        let message_type = if confirmable {
            MessageType::Confirmable
        } else {
            MessageType::NonConfirmable
        };
        let datagram =
            self.encode_response((message_type, message_id), &handle, response, sequence);
        let token = Box::from(handle.token.as_bytes());
        if confirmable {
            self.peers.at_mut(slot).messages += 1;
            let purpose = Purpose::Notification(token);
            self.send_tracked(slot, message_id, datagram, true, purpose);
        } else {
            let notified = self.peers.at_mut(slot).notified.get_or_insert_default();
            if notified.len() >= max {
                notified.pop_front();
            }
            notified.push_back((message_id, token));
            self.outbox.push(handle.peer, datagram);
            self.retire_peer(slot);
        }
        Ok(self.exchanges.detached_id())
    }

    /// A separate response: confirmable, unless too many of that peer are unacknowledged.
    fn send_separate(&mut self, handle: &ResponseHandle<P>, response: Response) {
        let slot = self.peer_slot(handle.peer);
        let message_id = self.next_message_id(slot);
        let tracked = (self.peers.at(slot).messages as usize) < self.config.peer_queue_max
            && self.transmissions.len() < self.config.deduplication_max;
        let message_type = if tracked {
            MessageType::Confirmable
        } else {
            MessageType::NonConfirmable
        };
        let datagram = self.encode_response((message_type, message_id), handle, response, None);
        if tracked {
            self.peers.at_mut(slot).messages += 1;
            self.send_tracked(slot, message_id, datagram, true, Purpose::Response);
        } else {
            self.outbox.push(handle.peer, datagram);
            self.retire_peer(slot);
        }
    }

    /// Sends a response that is not remembered: piggybacked or, to a NON request, as NON.
    pub(super) fn reply_at_once(&mut self, handle: &ResponseHandle<P>, response: Response) {
        let header = if handle.confirmable {
            (MessageType::Acknowledgement, handle.message_id)
        } else {
            let message_id = match self.peers.find(handle.peer) {
                Some(slot) => self.next_message_id(slot),
                // A peer that only asks gets no state: a random id is as good.
                None => self.random.random(),
            };
            (MessageType::NonConfirmable, message_id)
        };
        let datagram = self.encode_response(header, handle, response, None);
        self.outbox.push(handle.peer, datagram);
    }

    fn encode_response(
        &mut self,
        (message_type, message_id): (MessageType, u16),
        handle: &ResponseHandle<P>,
        mut response: Response,
        sequence: Option<u32>,
    ) -> Bytes {
        let too_long = |value: &Bytes| value.len() > OptionNumber::VALUE_MAX;
        if response.options.iter().any(|(_, value)| too_long(value)) {
            response = Response::new(Code::INTERNAL_SERVER_ERROR);
        }
        let mut added = EngineOptions::default();
        let observes = response
            .options
            .iter()
            .any(|(number, _)| *number == OptionNumber::OBSERVE);
        let sequence = sequence.or_else(|| {
            (observes && response.code.is_success()).then(|| {
                let slot = self.peer_slot(handle.peer);
                let sequence = self.peers.at_mut(slot).next_sequence();
                self.peers.at_mut(slot).last_used = self.clock.now();
                self.retire_peer(slot);
                sequence
            })
        });
        if let Some(sequence) = sequence {
            added.push_uint(OptionNumber::OBSERVE, sequence);
        }
        response.options.sort_by_key(|(number, _)| *number);
        let options = response
            .options
            .iter()
            .filter(|(number, _)| !is_engines(*number))
            .map(|(number, value)| (*number, value.as_ref()));
        let header = Header {
            message_type,
            code: response.code,
            message_id,
            token: handle.token.as_bytes(),
        };
        self.outbox
            .encode(header, options, &added, &response.payload)
    }

    /// Resends what a duplicate got before.
    fn is_duplicate(&mut self, handle: &ResponseHandle<P>) -> bool {
        let now_s = self.clock.seconds();
        let (peer, message_id) = (handle.peer, handle.message_id);
        let memory = &mut self.deduplication;
        match memory.find(now_s, peer, message_id, handle.content) {
            None => return false,
            Some(Answer::Silence) => {}
            Some(Answer::Encoded(datagram)) => self.outbox.push(peer, datagram.clone()),
            Some(answer) => {
                *answer = Answer::Acknowledged;
                self.send_empty(MessageType::Acknowledgement, peer, message_id);
            }
        }
        self.statistics.duplicates += 1;
        true
    }

    fn remember(&mut self, handle: &ResponseHandle<P>) {
        let transmission = &self.config.transmission;
        let (lifetime, answer) = if handle.confirmable {
            (transmission.exchange_lifetime(), Answer::Pending)
        } else {
            (transmission.non_lifetime(), Answer::Silence)
        };
        let expires_s = self.expiry_s(millis(lifetime));
        let acknowledge_at = self.clock.now() + millis(self.config.piggyback_window);
        self.deduplication.expire(self.clock.seconds());
        self.deduplication.insert(
            handle.peer,
            handle.message_id,
            handle.content,
            expires_s,
            answer,
            acknowledge_at,
        );
    }

    /// The code and reason to refuse a request with.
    fn check_request(&self, message: &Message<'_>) -> Result<(), (Code, &'static str)> {
        if message.code() > Code::IPATCH {
            return Err((Code::METHOD_NOT_ALLOWED, "unknown method"));
        }
        let understood = |number| {
            matches!(
                number,
                OptionNumber::URI_HOST
                    | OptionNumber::URI_PORT
                    | OptionNumber::URI_PATH
                    | OptionNumber::URI_QUERY
                    | OptionNumber::ACCEPT
                    | OptionNumber::BLOCK1
                    | OptionNumber::BLOCK2
            ) || self.config.understood_options.contains(&number)
        };
        message
            .check_options(self.config.options_max, understood)
            .map_err(|fault| (fault.code(), fault.reason()))
    }
}
