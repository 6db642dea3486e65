//! Requests of peers: what the engine answers itself, and what the application gets.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use super::answering::Additions;
use super::assembly::{Part, PartStep};
use super::deduplication::Answer;
use super::timers::{Timer, millis};
use super::{Endpoint, Event, IncomingRequest, Response, ResponseHandle};
use crate::{Block, Code, Message, MessageType, OptionNumber, Token};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// A request came.
    pub(super) fn take_request<'d>(
        &mut self,
        peer: P,
        message: Message<'d>,
        datagram: &[u8],
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let stream = message.is_stream();
        let confirmable = message.message_type() == MessageType::Confirmable;
        let token = Token::new(message.token())
            .filter(|token| token.as_bytes().len() <= self.config.token_max);
        let Some(token) = token else {
            if confirmable {
                self.send_reset(peer, message.message_id());
            }
            return self.refuse(peer, "the token is too long");
        };
        let mut handle = ResponseHandle {
            peer,
            message_id: message.message_id(),
            token,
            confirmable,
            stream,
            content: match stream {
                true => 0,
                false => self.deduplication.content(datagram),
            },
            no_response: message.no_response().unwrap_or(0),
            block1: None,
            block2: None,
            resource: 0,
            security: None,
            outer_block1: None,
        };
        let plain = plain.filter(|_| message.value(OptionNumber::OSCORE).is_some());
        if let Err((code, reason)) = self.check_request(&message, plain.is_some()) {
            // What is refused is not remembered: a duplicate is refused again.
            let answer = confirmable || code != Code::BAD_OPTION;
            if stream || (answer && self.may_reject(peer)) {
                self.reply_at_once(&handle, &Response::new(code), Additions::default());
            }
            return self.refuse(peer, reason);
        }
        // A stream delivers each message once.
        if !stream {
            if self.is_duplicate(&handle) {
                return None;
            }
            self.remember(&handle);
        }
        let message = match plain {
            Some(plain) => match self.unprotect_request(&mut handle, message, plain) {
                Ok(message) => message,
                Err(reason) => return self.refuse(peer, reason?),
            },
            None => message,
        };
        handle.resource = self.resource(&handle, &message);
        let block2 = message.block2().and_then(Result::ok);
        handle.block2 = block2.map(Block::encode);
        let body = match message.block1() {
            Some(Ok(block1)) => match self.take_block(&mut handle, &message, block1) {
                Ok(body) => body,
                Err(reason) => return self.refuse(peer, reason?),
            },
            _ => Cow::Borrowed(message.payload()),
        };
        if block2.is_some_and(|asked| asked.number > 0) && body.is_empty() {
            if self.answer_from_stored(&handle) {
                return None;
            }
            // A body that selects, or an action, is not in the request of a later block.
            if message.code() != Code::GET {
                self.refuse_block(&handle, Code::REQUEST_ENTITY_INCOMPLETE, None);
                return self.refuse(peer, "the response is not kept any more");
            }
        }
        Some(Event::Request(IncomingRequest {
            peer,
            handle,
            message,
            body,
            confirmable,
        }))
    }

    /// Takes one block of a request; gives the body when it is complete, or else the
    /// reason if it is refused.
    pub(super) fn take_block<'d>(
        &mut self,
        handle: &mut ResponseHandle<P>,
        message: &Message<'d>,
        block: Block,
    ) -> Result<Cow<'d, [u8]>, Option<&'static str>> {
        let part = Part {
            peer: handle.peer,
            key: self.body_key(handle, message),
            block,
            payload: message.payload(),
            content_format: message.content_format(),
            announced: message.uint(OptionNumber::SIZE1),
        };
        let deadline = self.exchange_deadline();
        handle.block1 = Some(block.encode());
        match self.assemblies.take(part, &self.config, deadline) {
            PartStep::Whole => Ok(Cow::Borrowed(message.payload())),
            PartStep::Complete(body) => Ok(Cow::Owned(body)),
            PartStep::Continue(echo, slot) => {
                self.arm(deadline, Timer::Assembly(slot));
                handle.block1 = Some(echo.encode());
                let response = Response::new(Code::CONTINUE);
                // Never suppressed: the next block waits for it.
                self.answer(handle, false, &response, Additions::default());
                Err(None)
            }
            PartStep::Refuse(code, reason) => {
                let limit = u32::try_from(self.config.body_max).unwrap_or(u32::MAX);
                let size1 = (code == Code::REQUEST_ENTITY_TOO_LARGE).then_some(limit);
                self.refuse_block(handle, code, size1);
                Err(Some(reason))
            }
        }
    }

    fn refuse_block(&mut self, handle: &ResponseHandle<P>, code: Code, size1: Option<u32>) {
        let additions = Additions {
            size1,
            ..Additions::default()
        };
        self.answer(handle, false, &Response::new(code), additions);
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
        let (lifetime, answer) = if handle.confirmable {
            (self.lifetimes.exchange, Answer::Pending)
        } else {
            (self.lifetimes.non, Answer::Silence)
        };
        let expires_s = self.expiry_s(lifetime);
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
    ///
    /// `protected` allows for the OSCORE option.
    pub(super) fn check_request(
        &self,
        message: &Message<'_>,
        protected: bool,
    ) -> Result<(), (Code, &'static str)> {
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
            ) || (protected && number == OptionNumber::OSCORE)
                || self.config.understood_options.contains(&number)
        };
        message
            .check_options(self.config.options_max, understood)
            .map_err(|fault| (fault.code(), fault.reason()))
    }

    /// What the requests of all blocks of one response have in common.
    fn resource(&self, handle: &ResponseHandle<P>, message: &Message<'_>) -> u64 {
        self.fingerprint(handle, message, |number| {
            // NoCacheKey, which holds Size1 too (RFC 7252 §5.4.6).
            let no_cache_key = number.0 & 0x1e == 0x1c;
            !no_cache_key
                && !matches!(
                    number,
                    OptionNumber::OBSERVE
                        | OptionNumber::BLOCK1
                        | OptionNumber::BLOCK2
                        | OptionNumber::NO_RESPONSE
                        | OptionNumber::REQUEST_TAG
                )
        })
    }

    /// What all blocks of one body have in common.
    fn body_key(&self, handle: &ResponseHandle<P>, message: &Message<'_>) -> u64 {
        self.fingerprint(handle, message, |number| {
            matches!(
                number,
                OptionNumber::URI_PATH
                    | OptionNumber::URI_QUERY
                    | OptionNumber::REQUEST_TAG
                    | OptionNumber::OSCORE
            )
        })
    }

    /// Under another security context, the same options are those of another peer.
    fn fingerprint(
        &self,
        handle: &ResponseHandle<P>,
        message: &Message<'_>,
        counts: impl Fn(OptionNumber) -> bool,
    ) -> u64 {
        let mut hasher = self.resources.build_hasher();
        handle.security().hash(&mut hasher);
        message.code().hash(&mut hasher);
        for option in message.options().filter(|option| counts(option.number)) {
            option.number.hash(&mut hasher);
            option.value.hash(&mut hasher);
        }
        hasher.finish()
    }
}
