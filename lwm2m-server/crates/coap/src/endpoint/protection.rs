//! Protected messages: from the outer message to the one it stands for (RFC 8613 §8).
//!
//! The message layer has done its part with the outer message before: a duplicate has been
//! answered, an ACK sent. What a protected message stands for is then treated like any other,
//! and its answer is protected where it is encoded.

use std::borrow::Cow;
use std::hash::Hash;

use super::answering::Additions;
use super::outbox::{decode_options, encode_options};
use super::{Endpoint, Event, Failure, Response, ResponseHandle};
use crate::{Code, Message, OptionNumber, ResponseFault, SecurityBinding, SecurityFault};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// The request that a protected one stands for.
    ///
    /// # Errors
    /// It has been answered: the reason when it is refused, none when it is one of several outer
    /// blocks, which a proxy may cut a message into (RFC 8613 §4.1.3.4.2).
    pub(super) fn unprotect_request<'d>(
        &mut self,
        handle: &mut ResponseHandle<P>,
        outer: Message<'d>,
        plain: &'d mut Vec<u8>,
    ) -> Result<Message<'d>, Option<&'static str>> {
        // An outer No-Response is for proxies; the one inside counts.
        handle.no_response = 0;
        if outer.block2().is_some() {
            let response = Response::new(Code::BAD_OPTION);
            return self.refuse_protected(handle, &response, OUTER_BLOCK);
        }
        let Some(security) = self.security.clone() else {
            return Err(Some(NO_SECURITY));
        };
        let body = match outer.block1() {
            Some(Ok(block)) => self.take_block(handle, &outer, block)?,
            _ => Cow::Borrowed(outer.payload()),
        };
        handle.outer_block1 = handle.block1.take();
        let (code, binding) = match security.unprotect_request(&outer, &body, plain) {
            Ok(request) => request,
            Err(fault) => {
                handle.security = fault.challenge.map(|challenge| challenge.binding);
                return self.refuse_protected(handle, &refusal(&fault), fault.reason);
            }
        };
        handle.security = Some(binding);
        let message = match outer.with_content(code, plain) {
            Ok(message) => message,
            Err(error) => {
                let response = Response::new(Code::BAD_REQUEST);
                return self.refuse_protected(handle, &response, error.reason());
            }
        };
        handle.no_response = message.no_response().unwrap_or(0);
        match self.check_request(&message, false) {
            Ok(()) => Ok(message),
            Err((code, reason)) => self.refuse_protected(handle, &Response::new(code), reason),
        }
    }

    /// The response that a protected one stands for, to the latest message of a request.
    ///
    /// # Errors
    /// Why there is none; [`Endpoint::drop_response`] does what is due.
    pub(super) fn unprotect_response<'d>(
        &mut self,
        slot: u32,
        outer: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Result<Message<'d>, Dropped> {
        let active = self.exchanges.active_mut(slot).ok_or(Dropped::Echoed)?;
        let Some(mut binding) = active.binding else {
            return match active.security {
                None => Ok(outer),
                Some(_) => Err(ResponseFault::Refused(UNSENT).into()),
            };
        };
        if outer.value(OptionNumber::OSCORE).is_none() && !outer.code().is_success() {
            return Err(Dropped::Unprotected(outer.code()));
        }
        let opened = self.open_response(&mut binding, outer, plain);
        if opened.is_err() {
            // It may be forged: the real one may still come.
            self.await_response(slot);
        }
        let message = opened?;
        if let Some(active) = self.exchanges.active_mut(slot) {
            active.binding = Some(binding);
        }
        match self.echo(slot, &message) {
            true => Err(Dropped::Echoed),
            false => Ok(message),
        }
    }

    /// The notification that a protected one stands for.
    ///
    /// # Errors
    /// Why there is none; [`Endpoint::drop_response`] does what is due.
    pub(super) fn unprotect_notification<'d>(
        &mut self,
        slot: u32,
        outer: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Result<Message<'d>, Dropped> {
        let observation = self.exchanges.at(slot).observation.as_ref();
        let binding = observation.and_then(|observation| observation.binding.as_deref());
        let Some(mut binding) = binding.copied() else {
            return match outer.value(OptionNumber::OSCORE) {
                None => Ok(outer),
                Some(_) => Err(ResponseFault::Refused(UNASKED).into()),
            };
        };
        let message = self.open_response(&mut binding, outer, plain)?;
        if let Some(observation) = &mut self.exchanges.at_mut(slot).observation {
            observation.binding = Some(Box::new(binding));
        }
        match self.check_response(&message, false) {
            true => Ok(message),
            false => Err(ResponseFault::Refused("a critical option is not understood").into()),
        }
    }

    /// What comes of a response that is not taken.
    pub(super) fn drop_response<'d>(
        &mut self,
        slot: u32,
        dropped: Dropped,
    ) -> Option<Event<'d, P>> {
        match dropped {
            Dropped::Echoed => None,
            Dropped::Unprotected(code) => self.fail(slot, Failure::Unprotected(code)),
            Dropped::Fault(ResponseFault::Repeated) => {
                self.statistics.duplicates += 1;
                None
            }
            Dropped::Fault(ResponseFault::Refused(reason)) => {
                let peer = self.peers.at(self.exchanges.at(slot).peer).name;
                self.refuse(peer, reason)
            }
        }
    }

    fn open_response<'d>(
        &self,
        binding: &mut SecurityBinding,
        outer: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Result<Message<'d>, ResponseFault> {
        let (Some(security), Some(plain)) = (&self.security, plain) else {
            return Err(ResponseFault::Refused(NO_SECURITY));
        };
        if outer.value(OptionNumber::OSCORE).is_none() {
            return Err(ResponseFault::Refused("the response is not protected"));
        }
        if outer.block1().is_some() || outer.block2().is_some() {
            return Err(ResponseFault::Refused(OUTER_BLOCK));
        }
        let code = security.unprotect_response(binding, &outer, outer.payload(), plain)?;
        outer
            .with_content(code, plain)
            .map_err(|error| ResponseFault::Refused(error.reason()))
    }

    /// Repeats a request with the Echo that the peer asks for, once (RFC 9175 §2.3).
    fn echo(&mut self, slot: u32, message: &Message<'_>) -> bool {
        let (Code::UNAUTHORIZED, Some(echo)) = (message.code(), message.value(OptionNumber::ECHO))
        else {
            return false;
        };
        let Some(active) = self.exchanges.active_mut(slot) else {
            return false;
        };
        if std::mem::replace(&mut active.echoed, true) || echo.len() > ECHO_MAX {
            return false;
        }
        let own = |option: &(OptionNumber, &[u8])| option.0 != OptionNumber::ECHO;
        let mut options: Vec<(OptionNumber, bytes::Bytes)> = decode_options(&active.options)
            .filter(own)
            .chain([(OptionNumber::ECHO, echo)])
            .map(|(number, value)| (number, bytes::Bytes::copy_from_slice(value)))
            .collect();
        let Some(options) = encode_options(&mut options) else {
            return false;
        };
        active.options = options;
        self.send_next(slot);
        true
    }

    /// Answers a protected request that is refused, unless the peer has had too many such answers.
    fn refuse_protected<'d>(
        &mut self,
        handle: &ResponseHandle<P>,
        response: &Response,
        reason: &'static str,
    ) -> Result<Message<'d>, Option<&'static str>> {
        if handle.stream || self.may_reject(handle.peer) {
            self.answer(handle, false, response, Additions::default());
        }
        Err(Some(reason))
    }
}

/// Why a response is not taken.
#[derive(Debug)]
pub(super) enum Dropped {
    /// An error that is not protected.
    Unprotected(Code),
    /// It does not answer the request.
    Fault(ResponseFault),
    /// It asked for an Echo, and the request has been repeated with it.
    Echoed,
}

impl From<ResponseFault> for Dropped {
    fn from(fault: ResponseFault) -> Dropped {
        Dropped::Fault(fault)
    }
}

/// The longest value of an Echo option, in bytes.
const ECHO_MAX: usize = 40;

pub(super) const NO_SECURITY: &str = "the engine has no object security";
const OUTER_BLOCK: &str = "a protected message comes in outer blocks";
const UNASKED: &str = "a protected notification of what was asked without protection";
const UNSENT: &str = "a response to a request that waits to be protected";

fn refusal(fault: &SecurityFault) -> Response {
    let response = Response::new(fault.code);
    match &fault.challenge {
        Some(challenge) => response.option(OptionNumber::ECHO, challenge.echo.to_vec()),
        None if fault.code == Code::UNAUTHORIZED => response
            .uint(OptionNumber::MAX_AGE, 0)
            .payload(fault.diagnostic),
        None => response.payload(fault.diagnostic),
    }
}
