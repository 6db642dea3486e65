//! Encoded messages on their way out.
//!
//! Datagrams are cut from shared chunks, so that neither a reply nor remembering it for
//! duplicates costs an allocation of its own.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::Transmit;
use super::short::Short;
use crate::tcp::FrameBuilder;
use crate::{
    Code, Message, MessageBuilder, MessageType, OptionIter, OptionNumber, ParseErrorKind,
    ProtectionFault, Token,
};

/// Room for the options of most messages, in bytes.
const OPTIONS_BYTES: usize = 64;

/// What stands in front of the code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layer {
    /// The message layer of datagrams: type and message id.
    Datagram(MessageType, u16),
    /// The length of a message in a stream.
    Stream,
}

/// Header of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) layer: Layer,
    pub(super) code: Code,
    pub(super) token: &'a [u8],
}

/// Options that the engine adds to those of the application.
#[derive(Debug, Default)]
pub(super) struct EngineOptions {
    items: [(u16, Short); EngineOptions::MAX],
    len: usize,
}

impl EngineOptions {
    /// ETag, Observe, one or two Block and Size options.
    const MAX: usize = 6;

    /// Adds an option; numbers ascend.
    pub(super) fn push(&mut self, number: OptionNumber, value: Short) {
        debug_assert!(self.len == 0 || self.items[self.len - 1].0 <= number.0);
        if let Some(item) = self.items.get_mut(self.len) {
            *item = (number.0, value);
            self.len += 1;
        }
    }

    /// Adds an option with a number as value.
    pub(super) fn push_uint(&mut self, number: OptionNumber, value: u32) {
        self.push(number, Short::uint(value));
    }

    fn as_slice(&self) -> &[(u16, Short)] {
        &self.items[..self.len]
    }
}

/// The queue of [`Endpoint::poll_transmit`](super::Endpoint::poll_transmit), and the encoder.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    queue: VecDeque<Transmit<P>>,
    scratch: Vec<u8>,
    chunk: BytesMut,
    chunk_bytes: usize,
}

impl<P> Outbox<P> {
    /// An outbox whose chunks have this many bytes.
    pub(super) fn new(chunk_bytes: usize) -> Outbox<P> {
        Outbox {
            queue: VecDeque::new(),
            scratch: Vec::new(),
            chunk: BytesMut::new(),
            chunk_bytes,
        }
    }

    /// Lines a datagram up.
    pub(super) fn push(&mut self, peer: P, datagram: Bytes) {
        self.queue.push_back(Transmit { peer, datagram });
    }

    /// The next datagram.
    pub(super) fn pop(&mut self) -> Option<Transmit<P>> {
        self.queue.pop_front()
    }

    /// Encodes a message of ascending `options` and the engine's own among them.
    pub(super) fn encode<'a>(
        &mut self,
        header: Header<'_>,
        options: impl Iterator<Item = (OptionNumber, &'a [u8])>,
        added: &EngineOptions,
        payload: &[u8],
    ) -> Bytes {
        self.scratch.clear();
        let token = Token::new(header.token).unwrap_or(Token::EMPTY);
        let (out, code) = (&mut self.scratch, header.code);
        match header.layer {
            Layer::Datagram(message_type, message_id) => {
                let builder = MessageBuilder::new(out, message_type, code, message_id, &token);
                write_options(builder, options, added).payload(payload);
            }
            Layer::Stream => FrameBuilder::new(out, code, &token)
                .options(|builder| write_options(builder, options, added))
                .payload(payload),
        }
        self.cut()
    }

    /// As [`Outbox::encode`], protected: `protect` appends what the outer message has behind its
    /// token and gives its code. `outside` are options of the outer message.
    pub(super) fn encode_protected<'a>(
        &mut self,
        header: Header<'_>,
        options: impl Iterator<Item = (OptionNumber, &'a [u8])>,
        added: &EngineOptions,
        payload: &[u8],
        outside: &EngineOptions,
        protect: impl FnOnce(&Message<'_>, &mut Vec<u8>) -> Result<Code, ProtectionFault>,
    ) -> Result<Bytes, ProtectionFault> {
        let refused = |kind: ParseErrorKind| ProtectionFault::Refused(kind.reason());
        let mut inner = Vec::with_capacity(payload.len() + OPTIONS_BYTES);
        write_options(MessageBuilder::options_only(&mut inner), options, added).payload(payload);
        let plain = Message::of_content(header.code, &inner).map_err(refused)?;
        let mut outer = Vec::with_capacity(inner.len() + OPTIONS_BYTES);
        let code = protect(&plain, &mut outer)?;
        let outer = Message::of_content(code, &outer).map_err(refused)?;
        let options = outer.options().map(|option| (option.number, option.value));
        let header = Header { code, ..header };
        Ok(self.encode(header, options, outside, outer.payload()))
    }

    /// Encodes an empty ACK or RST.
    pub(super) fn encode_empty(&mut self, message_type: MessageType, message_id: u16) -> Bytes {
        self.scratch.clear();
        MessageBuilder::new(
            &mut self.scratch,
            message_type,
            Code::EMPTY,
            message_id,
            &Token::EMPTY,
        )
        .finish();
        self.cut()
    }

    fn cut(&mut self) -> Bytes {
        if self.chunk.capacity() < self.scratch.len() {
            self.chunk = BytesMut::with_capacity(self.chunk_bytes.max(self.scratch.len()));
        }
        self.chunk.extend_from_slice(&self.scratch);
        self.chunk.split().freeze()
    }
}

/// Writes ascending options and the engine's own among them.
fn write_options<'a, 'b>(
    mut builder: MessageBuilder<'b>,
    options: impl Iterator<Item = (OptionNumber, &'a [u8])>,
    added: &EngineOptions,
) -> MessageBuilder<'b> {
    let mut added = added.as_slice();
    for (number, value) in options {
        while let [(first, short), rest @ ..] = added
            && *first <= number.0
        {
            builder = builder.option(OptionNumber(*first), short.as_bytes());
            added = rest;
        }
        builder = builder.option(number, value);
    }
    for (number, short) in added {
        builder = builder.option(OptionNumber(*number), short.as_bytes());
    }
    builder
}

/// Options in their encoded form, without Observe, Block and Size, which the engine writes.
pub(super) fn encode_options(options: &mut [(OptionNumber, Bytes)]) -> Option<Box<[u8]>> {
    options.sort_by_key(|(number, _)| *number);
    let mut encoded = Vec::new();
    let mut builder = MessageBuilder::options_only(&mut encoded);
    for (number, value) in options.iter().filter(|(number, _)| !is_engines(*number)) {
        if value.len() > OptionNumber::VALUE_MAX {
            return None;
        }
        builder = builder.option(*number, value);
    }
    builder.finish();
    Some(encoded.into_boxed_slice())
}

/// Reads what [`encode_options`] wrote.
pub(super) fn decode_options(options: &[u8]) -> impl Iterator<Item = (OptionNumber, &[u8])> {
    OptionIter::new(options).map(|option| (option.number, option.value))
}

/// True for the options that the engine alone writes.
pub(super) fn is_engines(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::OBSERVE
            | OptionNumber::BLOCK1
            | OptionNumber::BLOCK2
            | OptionNumber::SIZE1
            | OptionNumber::SIZE2
    )
}
