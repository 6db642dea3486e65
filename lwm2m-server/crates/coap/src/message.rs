//! CoAP messages over datagrams (RFC 7252 §3): a borrowed view and a builder.

use crate::{Code, OptionNumber, Token};

/// Confirmable, Non-confirmable, Acknowledgement, Reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// CON
    Confirmable,
    /// NON
    NonConfirmable,
    /// ACK
    Acknowledgement,
    /// RST
    Reset,
}

/// A validated view over one message.
///
/// The framing has been walked once: every option lies within the datagram, numbers stay below
/// 65536, a payload marker is followed by a payload. Rules that depend on the option (length,
/// repetition, unknown critical) are the [`Endpoint`](crate::Endpoint)'s.
#[derive(Debug, Clone, Copy)]
pub struct Message<'d> {
    message_type: MessageType,
    code: Code,
    message_id: u16,
    token: &'d [u8],
    options: &'d [u8],
    payload: &'d [u8],
}

impl<'d> Message<'d> {
    /// Reads a datagram without allocating.
    ///
    /// # Errors
    /// Says what is wrong and whether a Reset is due ([`ParseError::reset`]).
    pub fn parse(_datagram: &'d [u8]) -> Result<Message<'d>, ParseError> {
        todo!()
    }

    /// CON, NON, ACK or RST.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// The method or response code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message id.
    pub fn message_id(&self) -> u16 {
        self.message_id
    }

    /// The token's bytes.
    pub fn token(&self) -> &'d [u8] {
        self.token
    }

    /// The payload, empty when there is none.
    pub fn payload(&self) -> &'d [u8] {
        self.payload
    }

    /// All options in their order.
    pub fn options(&self) -> OptionIter<'d> {
        OptionIter {
            rest: self.options,
            number: 0,
        }
    }

    /// The values of one option.
    pub fn values(&self, number: OptionNumber) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.options()
            .filter(move |option| option.number == number)
            .map(|option| option.value)
    }

    /// The first value of an option.
    pub fn value(&self, number: OptionNumber) -> Option<&'d [u8]> {
        self.values(number).next()
    }

    /// The first value of an option as a number; none when absent or longer than four bytes.
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        self.value(number).and_then(crate::Uint::decode)
    }

    /// The Content-Format number, none when absent.
    pub fn content_format(&self) -> Option<u16> {
        self.uint(OptionNumber::CONTENT_FORMAT)
            .and_then(|number| u16::try_from(number).ok())
    }

    /// The same message as a `coap-lite` packet.
    pub fn to_packet(&self) -> coap_lite::Packet {
        todo!()
    }
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionRef<'d> {
    /// The number.
    pub number: OptionNumber,
    /// The value.
    pub value: &'d [u8],
}

/// The options of a [`Message`] in their order.
#[derive(Debug, Clone)]
pub struct OptionIter<'d> {
    rest: &'d [u8],
    number: u16,
}

impl<'d> Iterator for OptionIter<'d> {
    type Item = OptionRef<'d>;

    fn next(&mut self) -> Option<OptionRef<'d>> {
        let _ = (self.rest, self.number);
        todo!()
    }
}

/// Writes one message into a buffer.
///
/// Options are added in ascending order of their numbers.
#[derive(Debug)]
pub struct MessageBuilder<'b> {
    out: &'b mut Vec<u8>,
    last_option: u16,
}

impl<'b> MessageBuilder<'b> {
    /// Starts a message, appending to `out`.
    pub fn new(
        out: &'b mut Vec<u8>,
        _message_type: MessageType,
        _code: Code,
        _message_id: u16,
        _token: &Token,
    ) -> MessageBuilder<'b> {
        let builder = MessageBuilder {
            out,
            last_option: 0,
        };
        let _ = (&builder.out, builder.last_option);
        todo!()
    }

    /// Adds an option.
    ///
    /// # Panics
    /// When its number is lower than that of the option before: the caller writes its own
    /// message, so this is a bug in it.
    pub fn option(self, _number: OptionNumber, _value: &[u8]) -> MessageBuilder<'b> {
        todo!()
    }

    /// Adds an option with an unsigned value in its shortest form.
    pub fn uint(self, number: OptionNumber, value: u32) -> MessageBuilder<'b> {
        self.option(number, crate::Uint::new(value).as_bytes())
    }

    /// Adds the payload, with its marker unless it is empty, and ends the message.
    pub fn payload(self, _payload: &[u8]) {
        todo!()
    }

    /// Writes a `coap-lite` packet.
    pub fn from_packet(_packet: &coap_lite::Packet, _out: &mut Vec<u8>) {
        todo!()
    }
}

/// Why a datagram is no CoAP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer than four bytes.
    #[error("a message has at least 4 bytes")]
    TooShort,
}

impl ParseError {
    /// True when the header could be read and the message was confirmable, so that a Reset is due.
    pub fn reset(&self) -> bool {
        todo!()
    }
}
