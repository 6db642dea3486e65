//! Peers on streams (RFC 8323): no message ids, no acknowledgements, no duplicates, and the order is
//! kept. Requests, observations and blocks are those of datagrams.

use std::hash::Hash;
use std::time::Instant;

use bytes::Bytes;

use super::exchange::Match;
use super::outbox::{EngineOptions, Header, Layer, decode_options};
use super::stored::Sizes;
use super::{Endpoint, Event, Failure};
use crate::tcp::{Capabilities, parse_frame};
use crate::{BlockSize, Code, Message, OptionNumber};

/// What a message has beside options and payload at most, in bytes: lengths, code, a token of ours
/// or the longest that we take, the payload marker, and the options of the engine.
const OVERHEAD: usize = 160;

impl<P: Copy + Eq + Hash> Endpoint<P> {
    /// A connection with a peer stands, or the peer has said what else it can do.
    ///
    /// From now on messages to it are those of streams, until [`Endpoint::forget_peer`] when the
    /// connection has ended.
    pub fn connect(&mut self, now: Instant, peer: P, capabilities: Capabilities) {
        self.clock.advance(now);
        let slot = self.peer_slot(peer);
        self.peers.at_mut(slot).stream = Some(Box::new(capabilities));
    }

    /// True from [`Endpoint::connect`] until [`Endpoint::forget_peer`].
    pub fn is_connected(&self, peer: P) -> bool {
        self.capabilities(peer).is_some()
    }

    /// As [`Endpoint::receive_frame`], protected messages included: `plain` holds what such a
    /// message stands for, in place of what it held before.
    pub fn receive_frame_with<'d>(
        &mut self,
        now: Instant,
        peer: P,
        frame: &'d [u8],
        plain: &'d mut Vec<u8>,
    ) -> Option<Event<'d, P>> {
        plain.clear();
        let plain = self.security.is_some().then_some(plain);
        self.take_frame(now, peer, frame, plain)
    }

    /// Takes one message of a stream, as [`FrameDecoder::decode_frame`] cuts it; otherwise like
    /// [`Endpoint::receive`]. Signaling messages are the connection's, and passed over here; so is
    /// what comes from a peer that is not connected.
    ///
    /// [`FrameDecoder::decode_frame`]: crate::tcp::FrameDecoder::decode_frame
    pub fn receive_frame<'d>(
        &mut self,
        now: Instant,
        peer: P,
        frame: &'d [u8],
    ) -> Option<Event<'d, P>> {
        self.take_frame(now, peer, frame, None)
    }

    fn take_frame<'d>(
        &mut self,
        now: Instant,
        peer: P,
        frame: &'d [u8],
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        self.clock.advance(now);
        self.statistics.received += 1;
        if !self.is_connected(peer) {
            return None;
        }
        let message = match parse_frame(frame) {
            Ok(message) => message,
            Err(kind) => {
                self.statistics.malformed += 1;
                let reason = kind.reason();
                return Some(Event::Refused { peer, reason });
            }
        };
        match message.code() {
            Code::EMPTY => None,
            code if code.is_signaling() => None,
            code if code.is_request() => self.take_request(peer, message, frame, plain),
            _ => self.take_stream_response(peer, message, plain),
        }
    }

    fn take_stream_response<'d>(
        &mut self,
        peer: P,
        message: Message<'d>,
        plain: Option<&'d mut Vec<u8>>,
    ) -> Option<Event<'d, P>> {
        let slot = self.peers.find(peer)?;
        match self.exchanges.find_token(slot, message.token()) {
            Some(Match::Active(slot)) => self.take_response(slot, message, plain),
            Some(Match::Observation(slot)) if self.check_response(&message, plain.is_some()) => {
                self.take_notification(slot, message, plain)
            }
            Some(Match::Observation(slot)) => {
                let request = self.exchanges.id(slot);
                self.cancel_on_stream(slot);
                self.discard(slot);
                self.statistics.refused += 1;
                Some(Event::Failed {
                    peer,
                    request,
                    failure: Failure::BadOption,
                })
            }
            // Mostly a notification that was on its way when its observation was cancelled.
            None => {
                self.statistics.refused += 1;
                None
            }
        }
    }

    /// Tells a peer on a stream that an observation is over; its answer is of no interest.
    ///
    /// The body of a FETCH is not kept: a peer that does not go by the token alone goes on to
    /// notify, and what it says is dropped.
    pub(super) fn cancel_on_stream(&mut self, slot: u32) {
        let exchange = self.exchanges.at(slot);
        let peer = self.peers.at(exchange.peer);
        let (Some(_), Some(observation)) = (&peer.stream, &exchange.observation) else {
            return;
        };
        let mut added = EngineOptions::default();
        added.push_uint(OptionNumber::OBSERVE, 1);
        let header = Header {
            layer: Layer::Stream,
            code: observation.template.code,
            token: exchange.token.as_bytes(),
        };
        let options = decode_options(&observation.template.options);
        let frame = match (&observation.binding, &self.security) {
            (None, _) => Ok(self.outbox.encode(header, options, &added, &[])),
            (Some(_), None) => return,
            (Some(binding), Some(security)) => {
                let protect = |plain: &Message<'_>, content: &mut Vec<u8>| {
                    let request = security.protect_request(binding.context, plain, content)?;
                    Ok(request.0)
                };
                self.outbox.encode_protected(
                    header,
                    options,
                    &added,
                    &[],
                    &EngineOptions::default(),
                    protect,
                )
            }
        };
        // What cannot be protected is not said: what the peer goes on to notify is dropped.
        if let Ok(frame) = frame {
            self.outbox.push(peer.name, frame);
        }
    }

    /// How much of a body fits into a message with these options.
    pub(super) fn sizes_for(&self, peer: P, options: &[(OptionNumber, Bytes)]) -> Sizes {
        let Some(capabilities) = self.capabilities(peer) else {
            return Sizes::of_datagrams(&self.config);
        };
        // An option has a head of 5 bytes at most.
        let options: usize = options.iter().map(|(_, value)| value.len() + 5).sum();
        let room = (capabilities.max_message_size as usize).saturating_sub(options + OVERHEAD);
        let block = match capabilities.takes_bert() && room >= BlockSize::BERT.bytes() {
            true => BlockSize::BERT,
            false => BlockSize::at_most(room).min(self.config.block_size),
        };
        Sizes {
            inline_max: room.min(self.config.body_max),
            block,
            bert_blocks: room / BlockSize::BERT.bytes(),
        }
    }

    /// False for a peer that says it does not do block-wise transfer.
    pub(super) fn takes_blocks(&self, peer: P) -> bool {
        self.capabilities(peer)
            .is_none_or(|capabilities| capabilities.block_wise)
    }

    /// What a connected peer can do; none when it is not connected.
    pub fn capabilities(&self, peer: P) -> Option<&Capabilities> {
        let slot = self.peers.find(peer)?;
        self.peers.at(slot).stream.as_deref()
    }
}
