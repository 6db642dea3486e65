//! Handshake messages: their header (RFC 6347 §4.2.2) and the shorter bodies.

use crate::codec::{Reader, Write};

/// Which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    HelloRequest,
    ClientHello,
    ServerHello,
    HelloVerifyRequest,
    NewSessionTicket,
    Certificate,
    ServerKeyExchange,
    CertificateRequest,
    ServerHelloDone,
    CertificateVerify,
    ClientKeyExchange,
    Finished,
}

impl MessageType {
    const ALL: [(MessageType, u8, &'static str); 12] = [
        (MessageType::HelloRequest, 0, "HelloRequest"),
        (MessageType::ClientHello, 1, "ClientHello"),
        (MessageType::ServerHello, 2, "ServerHello"),
        (MessageType::HelloVerifyRequest, 3, "HelloVerifyRequest"),
        (MessageType::NewSessionTicket, 4, "NewSessionTicket"),
        (MessageType::Certificate, 11, "Certificate"),
        (MessageType::ServerKeyExchange, 12, "ServerKeyExchange"),
        (MessageType::CertificateRequest, 13, "CertificateRequest"),
        (MessageType::ServerHelloDone, 14, "ServerHelloDone"),
        (MessageType::CertificateVerify, 15, "CertificateVerify"),
        (MessageType::ClientKeyExchange, 16, "ClientKeyExchange"),
        (MessageType::Finished, 20, "Finished"),
    ];

    pub(crate) fn from_code(code: u8) -> Option<MessageType> {
        let found = MessageType::ALL.iter().find(|entry| entry.1 == code);
        found.map(|entry| entry.0)
    }

    pub(crate) fn code(self) -> u8 {
        let found = MessageType::ALL.iter().find(|entry| entry.0 == self);
        found.map_or(0, |entry| entry.1)
    }

    pub(crate) fn name(self) -> &'static str {
        let found = MessageType::ALL.iter().find(|entry| entry.0 == self);
        found.map_or("message", |entry| entry.2)
    }
}

/// A piece of a message, as it stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) message_type: MessageType,
    /// Bytes of the whole body.
    pub(crate) length: usize,
    pub(crate) sequence: u16,
    pub(crate) offset: usize,
    pub(crate) data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Bytes of the header.
    pub(crate) const HEADER: usize = 12;

    /// Reads the next fragment of a record; none when it makes no sense.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Fragment<'a>> {
        let message_type = MessageType::from_code(reader.u8()?)?;
        let length = reader.u24()?;
        let sequence = reader.u16()?;
        let offset = reader.u24()?;
        let data = reader.vector24()?;
        (offset + data.len() <= length).then_some(Fragment {
            message_type,
            length,
            sequence,
            offset,
            data,
        })
    }
}

/// Appends the header of a fragment.
pub(crate) fn write_header(
    out: &mut Vec<u8>,
    message_type: MessageType,
    length: usize,
    sequence: u16,
    offset: usize,
    fragment: usize,
) {
    out.put_u8(message_type.code());
    out.put_u24(length);
    out.put_u16(sequence);
    out.put_u24(offset);
    out.put_u24(fragment);
}

/// A whole message, with its header as if it had come in one piece: what transcripts are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) message_type: MessageType,
    pub(crate) sequence: u16,
    bytes: Vec<u8>,
}

impl Message {
    pub(crate) fn new(message_type: MessageType, sequence: u16, body: &[u8]) -> Message {
        let mut bytes = Vec::with_capacity(Fragment::HEADER + body.len());
        let length = body.len();
        write_header(&mut bytes, message_type, length, sequence, 0, length);
        bytes.put(body);
        Message {
            message_type,
            sequence,
            bytes,
        }
    }

    /// With the header.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[Fragment::HEADER..]
    }

    /// Bytes of the header of TLS (RFC 5246 §7.4).
    pub(crate) const STREAM_HEADER: usize = 4;

    /// Appends the message with the header of TLS, which is the beginning of that of DTLS.
    pub(crate) fn write_to_stream(&self, out: &mut Vec<u8>) {
        out.put(&self.bytes[..Message::STREAM_HEADER]);
        out.put(self.body());
    }
}

/// A HelloVerifyRequest; its version is that of DTLS 1.0, whatever follows (RFC 6347 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HelloVerifyRequest<'a> {
    pub(crate) cookie: &'a [u8],
}

impl<'a> HelloVerifyRequest<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<HelloVerifyRequest<'a>> {
        let mut reader = Reader::new(body);
        reader.u16()?;
        let cookie = reader.vector8()?;
        reader.end(HelloVerifyRequest { cookie })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(crate::record::VERSION_1_0);
        out.put_vector8(self.cookie);
    }
}

/// The body of a ServerKeyExchange or ClientKeyExchange of a plain psk suite: a hint or an
/// identity (RFC 4279 §2).
pub(crate) fn parse_psk_exchange(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let name = reader.vector16()?;
    reader.end(name)
}

/// A NewSessionTicket (RFC 5077 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewSessionTicket<'a> {
    /// Seconds.
    pub(crate) lifetime_hint: u32,
    pub(crate) ticket: &'a [u8],
}

impl<'a> NewSessionTicket<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<NewSessionTicket<'a>> {
        let mut reader = Reader::new(body);
        let lifetime_hint = reader.u32()?;
        let ticket = reader.vector16()?;
        reader.end(NewSessionTicket {
            lifetime_hint,
            ticket,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u32(self.lifetime_hint);
        out.put_vector16(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways() {
        for code in 0..=255 {
            if let Some(message_type) = MessageType::from_code(code) {
                assert_eq!(message_type.code(), code);
            }
        }
        assert_eq!(MessageType::from_code(20), Some(MessageType::Finished));
        assert_eq!(MessageType::from_code(5), None);
    }

    #[test]
    fn a_message_is_one_whole_fragment() {
        let message = Message::new(MessageType::ClientKeyExchange, 3, b"\0\x02id");
        let mut reader = Reader::new(message.as_bytes());
        let fragment = Fragment::read(&mut reader).expect("a fragment");
        assert!(fragment.data.len() == fragment.length && reader.is_empty());
        assert_eq!((fragment.sequence, fragment.data), (3, message.body()));
        assert_eq!(parse_psk_exchange(message.body()), Some(&b"id"[..]));
        assert_eq!(parse_psk_exchange(b"\0\x02idx"), None);
    }

    #[test]
    fn a_fragment_beyond_its_message_makes_no_sense() {
        let mut bytes = Vec::new();
        write_header(&mut bytes, MessageType::Certificate, 10, 1, 8, 3);
        bytes.put(&[0; 3]);
        assert_eq!(Fragment::read(&mut Reader::new(&bytes)), None);
    }

    #[test]
    fn a_ticket_is_read_as_written() {
        let message = NewSessionTicket {
            lifetime_hint: 86_400,
            ticket: b"ticket",
        };
        let mut body = Vec::new();
        message.write(&mut body);
        assert_eq!(NewSessionTicket::parse(&body), Some(message));
        assert_eq!(NewSessionTicket::parse(&body[..9]), None);
    }

    #[test]
    fn a_hello_verify_request_says_dtls_1_0() {
        let mut body = Vec::new();
        HelloVerifyRequest { cookie: b"cookie" }.write(&mut body);
        assert_eq!(&body[..3], &[0xfe, 0xff, 6]);
        let parsed = HelloVerifyRequest::parse(&body).expect("a HelloVerifyRequest");
        assert_eq!(parsed.cookie, b"cookie");
    }
}
