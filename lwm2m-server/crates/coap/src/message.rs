//! CoAP messages over datagrams (RFC 7252 §3): a borrowed view.

mod error;

use crate::option::OptionIter;
use crate::{Block, BlockError, Code, OptionFault, OptionNumber, OptionRef};

pub use error::{ParseError, ParseErrorKind};

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

impl MessageType {
    /// The type of two bits; higher bits are cut.
    pub const fn from_bits(bits: u8) -> MessageType {
        match bits & 3 {
            0 => MessageType::Confirmable,
            1 => MessageType::NonConfirmable,
            2 => MessageType::Acknowledgement,
            _ => MessageType::Reset,
        }
    }

    /// The two bits of the type, 0 to 3.
    pub const fn bits(self) -> u8 {
        match self {
            MessageType::Confirmable => 0,
            MessageType::NonConfirmable => 1,
            MessageType::Acknowledgement => 2,
            MessageType::Reset => 3,
        }
    }
}

/// A validated view over one message.
///
/// The framing has been walked once: every option lies within the datagram, numbers stay below
/// 65536, a payload marker is followed by a payload, and code and type fit together (RFC 7252
/// §4.2 and §4.3). Rules that depend on the option are [`Message::check_options`]'s.
///
/// Readers for one option ([`Message::uint`] and those built on it) skip occurrences of a length
/// that the option does not allow, as if they were unrecognised (RFC 7252 §5.4.3).
///
/// A message from a stream ([`crate::tcp`]) has neither type nor id: it reads as Non-confirmable
/// with the id 0.
#[derive(Debug, Clone, Copy)]
pub struct Message<'d> {
    pub(crate) message_type: MessageType,
    pub(crate) code: Code,
    pub(crate) message_id: u16,
    pub(crate) token: &'d [u8],
    pub(crate) options: &'d [u8],
    pub(crate) payload: &'d [u8],
    /// From a stream, where the block size may be BERT.
    pub(crate) stream: bool,
}

impl<'d> Message<'d> {
    /// Reads a datagram without allocating.
    ///
    /// Tokens may have any length that RFC 8974 can express; the limit is the caller's.
    ///
    /// # Errors
    /// Says what is wrong and whether a Reset is due ([`ParseError::reset`]).
    pub fn parse(datagram: &'d [u8]) -> Result<Message<'d>, ParseError> {
        let [first, code, id_high, id_low, rest @ ..] = datagram else {
            return Err(ParseError::unanswerable(ParseErrorKind::TooShort));
        };
        if first >> 6 != 1 {
            return Err(ParseError::unanswerable(ParseErrorKind::Version));
        }
        let message_type = MessageType::from_bits(first >> 4);
        let message_id = u16::from_be_bytes([*id_high, *id_low]);
        let code = Code(*code);
        let refuse = |kind| ParseError {
            kind,
            reset: (message_type == MessageType::Confirmable).then_some(message_id),
        };

        check_code(message_type, code).map_err(refuse)?;
        if code == Code::EMPTY && (first & 0xf != 0 || !rest.is_empty()) {
            return Err(refuse(ParseErrorKind::EmptyWithContent));
        }
        let (token, rest) = split_token(first & 0xf, rest).map_err(refuse)?;
        let (options, payload) = split_options(rest).map_err(refuse)?;
        Ok(Message {
            message_type,
            code,
            message_id,
            token,
            options,
            payload,
            stream: false,
        })
    }

    /// A message of this content, under no header: without token, and otherwise like one from a
    /// stream.
    pub(crate) fn of_content(code: Code, content: &'d [u8]) -> Result<Message<'d>, ParseErrorKind> {
        let (options, payload) = split_options(content)?;
        Ok(Message {
            message_type: MessageType::NonConfirmable,
            code,
            message_id: 0,
            token: &[],
            options,
            payload,
            stream: true,
        })
    }

    /// The same message with another code, other options and another payload, as they lie behind
    /// the token: what a protected message stands for (RFC 8613 §8).
    ///
    /// # Errors
    /// When `content` is no sequence of options with a payload.
    pub fn with_content<'i>(
        &self,
        code: Code,
        content: &'i [u8],
    ) -> Result<Message<'i>, ParseErrorKind>
    where
        'd: 'i,
    {
        let (options, payload) = split_options(content)?;
        Ok(Message {
            code,
            options,
            payload,
            ..*self
        })
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

    /// True for a message of a stream, which has neither type nor message id.
    pub fn is_stream(&self) -> bool {
        self.stream
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
        OptionIter::new(self.options)
    }

    /// The encoded options, for comparing messages byte by byte.
    pub fn option_bytes(&self) -> &'d [u8] {
        self.options
    }

    /// The values of one option, whatever their length.
    pub fn values(&self, number: OptionNumber) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.options()
            .skip_while(move |option| option.number < number)
            .take_while(move |option| option.number == number)
            .map(|option| option.value)
    }

    /// The first value of an option, whatever its length.
    pub fn value(&self, number: OptionNumber) -> Option<&'d [u8]> {
        self.values(number).next()
    }

    /// The first value of an option as a number; none when absent, or when the length is not
    /// one that the option allows (four bytes at most).
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        self.recognised(number).and_then(crate::Uint::decode)
    }

    /// The Content-Format number, none when absent.
    pub fn content_format(&self) -> Option<u16> {
        self.uint(OptionNumber::CONTENT_FORMAT)
            .and_then(|number| u16::try_from(number).ok())
    }

    /// The Accept number, none when absent.
    pub fn accept(&self) -> Option<u16> {
        self.uint(OptionNumber::ACCEPT)
            .and_then(|number| u16::try_from(number).ok())
    }

    /// The Observe value: 0 or 1 in requests, 24 bits of sequence in notifications.
    pub fn observe(&self) -> Option<u32> {
        self.uint(OptionNumber::OBSERVE)
    }

    /// The first ETag of 1 to 8 bytes.
    pub fn etag(&self) -> Option<&'d [u8]> {
        self.recognised(OptionNumber::ETAG)
    }

    /// The No-Response bitmap (RFC 7967 §2.1): 2, 8 and 16 for the classes 2, 4 and 5.
    pub fn no_response(&self) -> Option<u8> {
        self.uint(OptionNumber::NO_RESPONSE)
            .and_then(|bits| u8::try_from(bits).ok())
    }

    /// The Block1 option, none when absent.
    pub fn block1(&self) -> Option<Result<Block, BlockError>> {
        self.block(OptionNumber::BLOCK1)
    }

    /// The Block2 option, none when absent.
    pub fn block2(&self) -> Option<Result<Block, BlockError>> {
        self.block(OptionNumber::BLOCK2)
    }

    /// The segments of the path as they came; none for the root.
    pub fn uri_path(&self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.values(OptionNumber::URI_PATH)
    }

    /// The segments of the path as text.
    pub fn uri_path_str(
        &self,
    ) -> impl Iterator<Item = Result<&'d str, std::str::Utf8Error>> + use<'d> {
        self.uri_path().map(std::str::from_utf8)
    }

    /// The items of the query as they came.
    pub fn uri_query(&self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.values(OptionNumber::URI_QUERY)
    }

    /// The items of the query as text.
    pub fn uri_query_str(
        &self,
    ) -> impl Iterator<Item = Result<&'d str, std::str::Utf8Error>> + use<'d> {
        self.uri_query().map(std::str::from_utf8)
    }

    /// The segments of the location that a 2.01 gives, as they came.
    pub fn location_path(&self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.values(OptionNumber::LOCATION_PATH)
    }

    /// Looks for the first option that a receiver must not pass over: a critical one that is not
    /// understood, of a wrong length or repeated; a path or query that is no UTF-8; a Block option
    /// with a size that datagrams do not have; in a request also a proxy option.
    ///
    /// `options_max` limits the number of options; `understood` says which critical options the
    /// receiver handles.
    ///
    /// # Errors
    /// The fault; [`OptionFault::code`] is the answer due to a confirmable request.
    pub fn check_options(
        &self,
        options_max: usize,
        understood: impl Fn(OptionNumber) -> bool,
    ) -> Result<(), OptionFault> {
        let mut last = None;
        for (index, option) in self.options().enumerate() {
            if index >= options_max {
                return Err(OptionFault::TooMany);
            }
            let repeated = last.replace(option.number) == Some(option.number);
            option.check(repeated, self.code.is_request(), &understood)?;
            if option.number.is_block() && !self.stream && Block::decode(option.value).is_err() {
                return Err(OptionFault::BlockSize(option.number));
            }
        }
        Ok(())
    }

    fn block(&self, number: OptionNumber) -> Option<Result<Block, BlockError>> {
        let decode = match self.stream {
            true => Block::decode_stream,
            false => Block::decode,
        };
        self.value(number).map(decode)
    }

    /// The first value of a length that the option allows.
    fn recognised(&self, number: OptionNumber) -> Option<&'d [u8]> {
        let format = number.format();
        self.values(number)
            .find(|value| format.is_none_or(|format| format.allows(value.len())))
    }
}

/// Which codes go with which types (RFC 7252 §4.2, §4.3 and table 1).
fn check_code(message_type: MessageType, code: Code) -> Result<(), ParseErrorKind> {
    use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};
    if !matches!(code.class(), 0 | 2 | 4 | 5) {
        return Err(ParseErrorKind::ReservedClass);
    }
    match message_type {
        Confirmable => Ok(()),
        NonConfirmable if code == Code::EMPTY => Err(ParseErrorKind::EmptyNonConfirmable),
        NonConfirmable => Ok(()),
        Acknowledgement if code.is_request() => Err(ParseErrorKind::AcknowledgedRequest),
        Acknowledgement => Ok(()),
        Reset if code != Code::EMPTY => Err(ParseErrorKind::ResetWithContent),
        Reset => Ok(()),
    }
}

/// Takes the token, its length being the nibble of the header or an extension (RFC 8974 §2.1).
pub(crate) fn split_token(nibble: u8, rest: &[u8]) -> Result<(&[u8], &[u8]), ParseErrorKind> {
    let (len, rest) = match (nibble, rest) {
        (0..=12, _) => (usize::from(nibble), rest),
        (13, [extra, rest @ ..]) => (usize::from(*extra) + 13, rest),
        (14, [high, low, rest @ ..]) => {
            (usize::from(u16::from_be_bytes([*high, *low])) + 269, rest)
        }
        (15.., _) => return Err(ParseErrorKind::TokenLength),
        _ => return Err(ParseErrorKind::TokenCut),
    };
    rest.split_at_checked(len).ok_or(ParseErrorKind::TokenCut)
}

/// Walks the options that follow the token, and divides them from the payload.
pub(crate) fn split_options(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseErrorKind> {
    let mut rest = bytes;
    let mut number = 0;
    loop {
        match rest {
            [] => return Ok((bytes, &[])),
            [0xff] => return Err(ParseErrorKind::MarkerWithoutPayload),
            [0xff, payload @ ..] => return Ok((&bytes[..bytes.len() - rest.len()], payload)),
            _ => {}
        }
        let (option, after) = OptionRef::split_from(number, rest)?;
        number = option.number.0;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageBuilder, Token};

    #[test]
    fn reads_what_the_builder_writes() {
        let mut datagram = Vec::new();
        let token = Token::new(&[7; 20]).expect("20 bytes fit");
        MessageBuilder::new(
            &mut datagram,
            MessageType::Confirmable,
            Code::POST,
            7,
            &token,
        )
        .option(OptionNumber::URI_PATH, b"rd")
        .uint(OptionNumber::CONTENT_FORMAT, 40)
        .option(OptionNumber::URI_QUERY, &[b'q'; 300])
        .option(OptionNumber(65535), b"")
        .payload(b"</3/0>");

        let message = Message::parse(&datagram).expect("a message");
        assert_eq!(message.message_type(), MessageType::Confirmable);
        assert_eq!((message.code(), message.message_id()), (Code::POST, 7));
        assert_eq!(message.token(), token.as_bytes());
        assert!(message.uri_path().eq([b"rd"]));
        assert!(message.uri_query().eq([[b'q'; 300]]));
        assert_eq!(message.content_format(), Some(40));
        assert_eq!(message.options().last().map(|o| o.number.0), Some(65535));
        assert_eq!(message.payload(), b"</3/0>");
    }

    #[test]
    fn takes_other_content_under_the_same_header() {
        let message = Message::parse(&[0x41, 2, 0, 9, 0x4a, 0x90, 0xff, 1]).expect("a message");
        let content = [0xb2, b'r', b'd', 0xff, 7];
        let other = message
            .with_content(Code::GET, &content)
            .expect("well-formed");
        assert_eq!((other.code(), other.message_id()), (Code::GET, 9));
        assert_eq!((other.token(), other.payload()), (&[0x4a][..], &[7][..]));
        assert!(other.uri_path().eq([b"rd"]));
        let refused = message
            .with_content(Code::GET, &[0xff])
            .expect_err("no payload");
        assert_eq!(refused, ParseErrorKind::MarkerWithoutPayload);
    }

    #[test]
    fn a_reset_is_due_for_confirmable_messages_only() {
        let refused = |datagram: &[u8]| Message::parse(datagram).expect_err("malformed");
        let confirmable = refused(&[0x40, 1, 0x12, 0x34, 0xff]);
        assert_eq!(confirmable.kind(), ParseErrorKind::MarkerWithoutPayload);
        assert_eq!(confirmable.reset_id(), Some(0x1234));
        for first in [0x50, 0x60] {
            assert!(!refused(&[first, 0x45, 0x12, 0x34, 0xff]).reset());
        }
        assert!(!refused(&[0x80, 1, 0, 1]).reset());
        assert!(!refused(&[0x40, 1, 0]).reset());
        assert_eq!(
            refused(&[0x50, 0, 0, 1]).kind(),
            ParseErrorKind::EmptyNonConfirmable
        );
    }
}
