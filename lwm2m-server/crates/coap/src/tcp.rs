//! CoAP framing over streams (RFC 8323 §3): lengths, signaling codes, no message ids.
//!
//! [`FrameDecoder`] turns bytes, however they are cut, into [`Message`]s; [`FrameBuilder`] writes
//! them; [`Signal`] is what the messages of class 7 say. [`Connection`] is one end of a connection:
//! it exchanges the signals, knows when to give up, and hands on the other messages, which are for
//! [`Endpoint::receive_frame`](crate::Endpoint::receive_frame).

mod connection;
mod signal;

pub use connection::{Connection, ConnectionEnd, ConnectionLimits, Incoming};
pub use signal::{Capabilities, CapabilitiesMessage, Signal, SignalError};

use crate::builder::{extend_length, length_nibble};
use crate::message::{ParseErrorKind, split_options, split_token};
use crate::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};

/// Cuts a stream into messages.
///
/// Holds at most one incomplete message, and memory only for bytes that have arrived: an
/// announced length reserves nothing.
#[derive(Debug)]
pub struct FrameDecoder {
    message_max: usize,
    partial: Vec<u8>,
    /// The message in `partial` has been given out.
    taken: bool,
    failed: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder for messages of at most `message_max` bytes, header included: what our CSM
    /// announces as Max-Message-Size.
    pub fn new(message_max: usize) -> FrameDecoder {
        FrameDecoder {
            message_max,
            partial: Vec::new(),
            taken: false,
            failed: None,
        }
    }

    /// Takes the next message from `input`, which is shortened by what was used; none when more
    /// bytes are needed, `input` being empty then.
    ///
    /// A message that lies whole in `input` is not copied. Empty messages come out too; they say
    /// nothing and are to be ignored (RFC 8323 §4.3).
    ///
    /// # Errors
    /// The connection is to be ended with [`FrameError::abort`]; the decoder answers the same
    /// error from then on.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Message<'a>>, FrameError> {
        match self.decode_frame(input)? {
            None => Ok(None),
            Some(frame) => Ok(parse_frame(frame).ok()),
        }
    }

    /// As [`FrameDecoder::decode`], and gives the bytes of the message, for
    /// [`Endpoint::receive_frame`](crate::Endpoint::receive_frame).
    ///
    /// # Errors
    /// As [`FrameDecoder::decode`].
    pub fn decode_frame<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if self.taken {
            // An idle connection holds no buffer.
            self.partial = Vec::new();
            self.taken = false;
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let complete = match self.fill(input) {
            Ok(complete) => complete,
            Err(error) => {
                self.failed = Some(error);
                return Err(error);
            }
        };
        let frame = match complete {
            Complete::No => return Ok(None),
            Complete::InInput(frame) => frame,
            Complete::InPartial => {
                self.taken = true;
                self.partial.as_slice()
            }
        };
        match parse_frame(frame) {
            Ok(_) => Ok(Some(frame)),
            Err(kind) => {
                self.failed = Some(FrameError::Malformed(kind));
                Err(FrameError::Malformed(kind))
            }
        }
    }

    /// Bytes held of a message that is not complete.
    pub fn buffered(&self) -> usize {
        match self.taken {
            true => 0,
            false => self.partial.len(),
        }
    }

    /// Moves `input` on to the end of a message or to its own end.
    fn fill<'i>(&mut self, input: &mut &'i [u8]) -> Result<Complete<'i>, FrameError> {
        if self.partial.is_empty()
            && let Extent::Frame(length) = self.extent(input)?
            && let Some((frame, rest)) = input.split_at_checked(length)
        {
            *input = rest;
            return Ok(Complete::InInput(frame));
        }
        loop {
            let wanted = match self.extent(&self.partial)? {
                Extent::Frame(length) if length == self.partial.len() => {
                    return Ok(Complete::InPartial);
                }
                Extent::Frame(length) | Extent::AtLeast(length) => length,
            };
            if input.is_empty() {
                return Ok(Complete::No);
            }
            let missing = (wanted - self.partial.len()).min(input.len());
            let (taken, rest) = input.split_at(missing);
            self.partial.extend_from_slice(taken);
            *input = rest;
        }
    }

    /// How long the message at the start of `bytes` is.
    fn extent(&self, bytes: &[u8]) -> Result<Extent, FrameError> {
        let extent = Header::read(bytes).map_err(FrameError::Malformed)?;
        let announced = match extent {
            Ok(header) => header.total(),
            Err(at_least) => return Ok(Extent::AtLeast(at_least)),
        };
        match usize::try_from(announced) {
            Ok(length) if length <= self.message_max => Ok(Extent::Frame(length)),
            _ => Err(FrameError::TooLarge { announced }),
        }
    }
}

enum Complete<'i> {
    No,
    InInput(&'i [u8]),
    InPartial,
}

enum Extent {
    /// The whole message, in bytes.
    Frame(usize),
    /// The header is cut; this many bytes of it are needed to go on.
    AtLeast(usize),
}

/// The lengths in front of a message.
struct Header {
    /// Where the code is.
    code_at: usize,
    token_nibble: u8,
    /// Of the token with its extended length.
    token_bytes: usize,
    /// Of options, marker and payload.
    body_bytes: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`; the inner error is how many bytes are needed.
    fn read(bytes: &[u8]) -> Result<Result<Header, usize>, ParseErrorKind> {
        let [first, rest @ ..] = bytes else {
            return Ok(Err(1));
        };
        let token_nibble = first & 0xf;
        let (length_bytes, base) = match first >> 4 {
            nibble @ 0..=12 => (0, u64::from(nibble)),
            13 => (1, 13),
            14 => (2, 269),
            _ => (4, 65805),
        };
        let token_length_bytes = match token_nibble {
            0..=12 => 0,
            13 => 1,
            14 => 2,
            _ => return Err(ParseErrorKind::TokenLength),
        };
        let code_at = 1 + length_bytes;
        let needed = code_at + 1 + token_length_bytes;
        let (Some(length), Some(token_length)) =
            (rest.get(..length_bytes), bytes.get(code_at + 1..needed))
        else {
            return Ok(Err(needed));
        };
        let token_bytes = token_length_bytes
            + match token_nibble {
                13 => big_endian(token_length) as usize + 13,
                14 => big_endian(token_length) as usize + 269,
                plain => usize::from(plain),
            };
        Ok(Ok(Header {
            code_at,
            token_nibble,
            token_bytes,
            body_bytes: base + big_endian(length),
        }))
    }

    /// The whole message, in bytes.
    fn total(&self) -> u64 {
        (self.code_at + 1 + self.token_bytes) as u64 + self.body_bytes
    }
}

/// At most four bytes.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Reads one whole message, as [`FrameDecoder::decode_frame`] cuts it.
///
/// # Errors
/// It is no message.
pub fn parse_frame(frame: &[u8]) -> Result<Message<'_>, ParseErrorKind> {
    let header = Header::read(frame)?.map_err(|_| ParseErrorKind::TooShort)?;
    let Some([code, rest @ ..]) = frame.get(header.code_at..) else {
        return Err(ParseErrorKind::TooShort);
    };
    let code = Code(*code);
    if !matches!(code.class(), 0 | 2 | 4 | 5 | 7) {
        return Err(ParseErrorKind::ReservedClass);
    }
    let (token, rest) = split_token(header.token_nibble, rest)?;
    let (options, payload) = split_options(rest)?;
    Ok(Message {
        message_type: MessageType::NonConfirmable,
        code,
        message_id: 0,
        token,
        options,
        payload,
        stream: true,
    })
}

/// Why a stream cannot be read on. Every case ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A message longer than we take.
    #[error("a message of {announced} bytes exceeds the announced maximum")]
    TooLarge {
        /// Its length, in bytes.
        announced: u64,
    },
    /// A message that is none.
    #[error("{0}")]
    Malformed(ParseErrorKind),
}

impl FrameError {
    /// The Abort to send before closing (RFC 8323 §5.6).
    pub fn abort(&self) -> Signal<'static> {
        Signal::Abort {
            bad_csm_option: None,
            diagnostic: self.reason().as_bytes(),
        }
    }

    /// The fault as a fact in lower case.
    pub fn reason(&self) -> &'static str {
        match self {
            FrameError::TooLarge { .. } => "the message exceeds the maximum size",
            FrameError::Malformed(kind) => kind.reason(),
        }
    }
}

/// Writes one message for a stream into a buffer.
///
/// Options are added in ascending order of their numbers. Only [`FrameBuilder::payload`] or
/// [`FrameBuilder::finish`] makes the message complete.
#[derive(Debug)]
#[must_use = "the message is complete only after `payload` or `finish`"]
pub struct FrameBuilder<'b> {
    body: MessageBuilder<'b>,
    start: usize,
    code: Code,
    token: Token,
}

impl<'b> FrameBuilder<'b> {
    /// Starts a message, appending to `out`.
    pub fn new(out: &'b mut Vec<u8>, code: Code, token: &Token) -> FrameBuilder<'b> {
        FrameBuilder {
            start: out.len(),
            body: MessageBuilder::options_only(out),
            code,
            token: *token,
        }
    }

    /// Adds an option.
    ///
    /// # Panics
    /// As [`MessageBuilder::option`].
    pub fn option(mut self, number: OptionNumber, value: &[u8]) -> FrameBuilder<'b> {
        self.body = self.body.option(number, value);
        self
    }

    /// Adds an option with an unsigned value in its shortest form.
    pub fn uint(self, number: OptionNumber, value: u32) -> FrameBuilder<'b> {
        self.option(number, crate::Uint::new(value).as_bytes())
    }

    /// Adds options through the builder of datagrams.
    pub(crate) fn options(
        mut self,
        write: impl FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
    ) -> FrameBuilder<'b> {
        self.body = write(self.body);
        self
    }

    /// Adds the payload, with its marker unless it is empty, and ends the message.
    ///
    /// # Panics
    /// When options and payload exceed 4 GiB, which the length cannot express.
    pub fn payload(self, payload: &[u8]) {
        let out = self.body.into_payload(payload);
        let length = out.len() - self.start;
        let token = self.token.as_bytes();

        // Length, code and token are at most 1 + 4 + 1 + 1 + Token::MAX bytes.
        let mut header = Vec::with_capacity(7 + token.len());
        let length_bits = if length < 65805 {
            length_nibble(length)
        } else {
            15
        };
        header.push((length_bits << 4) | length_nibble(token.len()));
        if length_bits < 15 {
            extend_length(&mut header, length);
        } else {
            let length = u32::try_from(length - 65805).expect("a message is below 4 GiB");
            header.extend_from_slice(&length.to_be_bytes());
        }
        header.push(self.code.0);
        extend_length(&mut header, token.len());
        header.extend_from_slice(token);
        out.splice(self.start..self.start, header);
    }

    /// Ends a message without payload.
    pub fn finish(self) {
        self.payload(&[]);
    }
}
