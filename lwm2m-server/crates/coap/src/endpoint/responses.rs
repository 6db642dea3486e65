//! Responses to our requests, and notifications (RFC 7252 §5.3.2, RFC 7641 §3.2).

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;

use super::deduplication::Answer;
use super::download::{Download, DownloadStep};
use super::exchange::{Active, Match};
use super::observation::{Observation, Template};
use super::peer::NONE;
use super::short::Short;
use super::timers::{NEVER, millis};
use super::upload::{Upload, UploadStep};
use super::{Endpoint, Event, Failure, IncomingResponse, Notification};
use crate::{Code, Message, MessageType, OptionNumber};

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// A response came as CON or NON.
    pub(super) fn take_separate<'d>(
        &mut self,
        peer: P,
        message: Message<'d>,
        datagram: &[u8],
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let confirmable = message.message_type() == MessageType::Confirmable;
        let message_id = message.message_id();
        let found = self
            .peers
            .find(peer)
            .and_then(|peer| self.exchanges.find_token(peer, message.token()));
        let content = self.deduplication.content(datagram);
        let now_s = self.clock.seconds();
        let repeated = |memory: &mut super::Deduplication<P>| {
            memory.find(now_s, peer, message_id, content).is_some()
        };
        // The sequence number tells duplicates of notifications.
        if !matches!(found, Some(Match::Observation(_)))
            && confirmable
            && repeated(&mut self.deduplication)
        {
            self.statistics.duplicates += 1;
            self.send_empty(MessageType::Acknowledgement, peer, message_id);
            return None;
        }
        let Some(found) = found else {
            if confirmable || message.observe().is_some() {
                self.send_reset(peer, message_id);
            }
            return self.refuse(peer, "a response to nothing that was asked");
        };
        let acceptable = self.check_response(&message, plain.is_some());
        if confirmable {
            let message_type = if acceptable {
                MessageType::Acknowledgement
            } else {
                MessageType::Reset
            };
            self.send_empty(message_type, peer, message_id);
        }
        match found {
            Match::Active(slot) => {
                if confirmable && acceptable {
                    let expires_s = self.expiry_s(self.lifetimes.exchange);
                    let memory = &mut self.deduplication;
                    let answer = Answer::Acknowledged;
                    memory.insert(peer, message_id, content, expires_s, answer, 0);
                }
                self.take_response(slot, message, plain)
            }
            Match::Observation(slot) if acceptable => self.take_notification(slot, message, plain),
            // The RST has ended the observation at the peer too.
            Match::Observation(slot) if confirmable => {
                let request = self.exchanges.id(slot);
                self.discard(slot);
                self.statistics.refused += 1;
                Some(Event::Failed {
                    peer,
                    request,
                    failure: Failure::BadOption,
                })
            }
            Match::Observation(_) => self.refuse(peer, "a critical option is not understood"),
        }
    }

    /// The response to the outstanding message of a request.
    pub(super) fn take_response<'d>(
        &mut self,
        slot: u32,
        message: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let transmission = self.exchanges.active_mut(slot)?.transmission;
        self.settle(transmission);
        let message = match self.unprotect_response(slot, message, plain) {
            Ok(message) => message,
            Err(dropped) => return self.drop_response(slot, dropped),
        };
        if !self.check_response(&message, false) {
            self.statistics.refused += 1;
            return self.fail(slot, Failure::BadOption);
        }
        let body_max = self.config.body_max;
        let active = self.exchanges.active_mut(slot)?;
        match active.advance_upload(&message) {
            UploadStep::Send => {
                self.send_next(slot);
                return None;
            }
            UploadStep::Failed(reason) => return self.fail(slot, Failure::Block(reason)),
            UploadStep::Final => {}
        }
        if active.fetches_rest && !message.code().is_success() {
            return self.fail(slot, Failure::Block("a block was refused"));
        }
        self.establish(slot, &message);
        let active = self.exchanges.active_mut(slot)?;
        let safe = matches!(active.code, Code::GET | Code::FETCH);
        let lost = |download: &mut Download| safe && download.is_lost(message.code());
        let step = match active.download.take_if(lost) {
            Some(download) => DownloadStep::Ask(download.start_over()),
            None => Download::advance(active.download.take(), &message, body_max),
        };
        let body = match step {
            DownloadStep::Whole => Cow::Borrowed(message.payload()),
            DownloadStep::Complete(body) => Cow::Owned(body),
            DownloadStep::Ask(download) => return self.ask(slot, download),
            DownloadStep::Failed(reason) => return self.fail(slot, Failure::Block(reason)),
        };
        self.complete(slot, message, body)
    }

    /// Asks for a block of a body, the first one when it changed under way.
    fn ask<'d>(&mut self, slot: u32, download: Download) -> Option<Event<'d, P>> {
        let active = self.exchanges.active_mut(slot)?;
        let anew = download.block().is_some_and(|block| block.number == 0);
        if anew && active.fetches_rest && active.code != Code::GET {
            let reason = "the body changed, and what selected it is not known any more";
            return self.fail(slot, Failure::Block(reason));
        }
        active.download = Some(download);
        if anew {
            active.upload = active.upload.map(Upload::start_over);
        }
        self.send_next(slot);
        None
    }

    /// A later message with the token of an observation.
    pub(super) fn take_notification<'d>(
        &mut self,
        slot: u32,
        message: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let now_s = self.clock.seconds();
        let message = match self.unprotect_notification(slot, message, plain) {
            Ok(message) => message,
            Err(dropped) => return self.drop_response(slot, dropped),
        };
        let observation = self.exchanges.at_mut(slot).observation.as_mut()?;
        let template = Arc::clone(&observation.template);
        match message.observe().filter(|_| message.code().is_success()) {
            // A stream keeps the order (RFC 8323 §7.1).
            Some(_) if message.is_stream() => {}
            // Those that are protected are in order already.
            Some(_) if observation.binding.is_some() => {}
            Some(sequence) if !observation.is_fresh(sequence, now_s) => {
                self.statistics.duplicates += 1;
                return None;
            }
            Some(_) => {}
            None => self.end_observation(slot),
        }
        let event = self.take_value(slot, message, &template);
        self.templates.release(template);
        event
    }

    /// Delivers a notification, or starts to fetch the rest of it; what was being fetched of an
    /// earlier one is void.
    fn take_value<'d>(
        &mut self,
        slot: u32,
        message: Message<'d>,
        template: &Template,
    ) -> Option<Event<'d, P>> {
        let peer = self.peers.at(self.exchanges.at(slot).peer).name;
        let body = match Download::advance(None, &message, self.config.body_max) {
            DownloadStep::Whole => Cow::Borrowed(message.payload()),
            DownloadStep::Complete(body) => Cow::Owned(body),
            DownloadStep::Ask(download) => {
                self.fetch_rest(slot, download, template);
                return None;
            }
            DownloadStep::Failed(reason) => return self.refuse(peer, reason),
        };
        self.complete(slot, message, body)
    }

    fn fetch_rest(&mut self, slot: u32, download: Download, template: &Template) {
        let timeout = millis(self.config.response_timeout);
        let observation = self.exchanges.at(slot).observation.as_ref();
        let binding = observation.and_then(|observation| observation.binding.as_deref());
        let security = binding.map(|binding| binding.context);
        if let Some(active) = self.exchanges.active_mut(slot) {
            active.download = Some(download);
            let (queued, transmission) = (active.queued, active.transmission);
            if !queued {
                self.settle(transmission);
                self.send_next(slot);
            }
            return;
        }
        self.exchanges.at_mut(slot).active = Some(Box::new(Active {
            code: template.code,
            confirmable: true,
            options: template.options.clone(),
            payload: bytes::Bytes::new(),
            observe: None,
            timeout,
            deadline: NEVER,
            block_size: None,
            queued: true,
            fetches_rest: true,
            token: Short::default(),
            transmission: NONE,
            upload: None,
            download: Some(download),
            security,
            binding: None,
            attempts: 0,
            echoed: false,
        }));
        self.schedule(slot);
    }

    /// Hands a whole body to the application.
    fn complete<'d>(
        &mut self,
        slot: u32,
        message: Message<'d>,
        body: Cow<'d, [u8]>,
    ) -> Option<Event<'d, P>> {
        let request = self.exchanges.id(slot);
        let exchange = self.exchanges.at(slot);
        let peer = self.peers.at(exchange.peer).name;
        let observing = exchange.observation.is_some();
        let notifies = exchange
            .active
            .as_deref()
            .is_none_or(|active| active.fetches_rest);
        if exchange.active.is_some() || !observing {
            self.finish(slot);
        }
        Some(if notifies {
            Event::Notification(Notification {
                peer,
                request,
                message,
                body,
                observing,
            })
        } else {
            Event::Response(IncomingResponse {
                peer,
                request,
                message,
                body,
                observing,
            })
        })
    }

    /// Notes the observation that the first response to an observe request establishes.
    fn establish(&mut self, slot: u32, message: &Message<'_>) {
        let now_s = self.clock.seconds();
        let exchange = self.exchanges.at_mut(slot);
        let Some(active) = exchange.active.as_deref() else {
            return;
        };
        let asks = active.observe == Some(true) && active.download.is_none();
        let (true, true, Some(sequence)) = (asks, message.code().is_success(), message.observe())
        else {
            return;
        };
        let observation = Observation {
            sequence,
            received_s: now_s,
            template: self.templates.intern(active.code, &active.options),
            binding: active.binding.map(Box::new),
        };
        let peer = exchange.peer;
        match exchange.observation.replace(observation) {
            Some(earlier) => self.templates.release(earlier.template),
            None => self.peers.at_mut(peer).observations += 1,
        }
    }

    /// True when there is no critical option that is not understood; `protected` allows for OSCORE.
    pub(super) fn check_response(&self, message: &Message<'_>, protected: bool) -> bool {
        let understood = |number| {
            matches!(number, OptionNumber::BLOCK1 | OptionNumber::BLOCK2)
                || (protected && number == OptionNumber::OSCORE)
                || self.config.understood_options.contains(&number)
        };
        message
            .check_options(self.config.options_max, understood)
            .is_ok()
    }
}

impl Active {
    /// Takes a response while the body of the request is on its way.
    fn advance_upload(&mut self, message: &Message<'_>) -> UploadStep {
        let asked = self.download.as_ref().and_then(Download::block);
        if asked.is_some_and(|block| block.number > 0) {
            return UploadStep::Final;
        }
        let block1 = message.block1().and_then(Result::ok);
        let total = self.payload.len();
        match &mut self.upload {
            Some(upload) => upload.advance(total, message.code(), block1),
            None => {
                self.upload = Upload::after_refusal(total, message.code(), block1);
                match self.upload {
                    Some(_) => UploadStep::Send,
                    None => UploadStep::Final,
                }
            }
        }
    }
}
