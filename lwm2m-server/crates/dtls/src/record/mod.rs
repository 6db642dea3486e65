//! Records: the header (RFC 6347 §4.1, RFC 9146 §4), their protection, and replays.

mod protection;
mod replay;
mod stream;

pub(crate) use protection::{KeyBlock, Protection};
pub(crate) use replay::ReplayWindow;
pub(crate) use stream::{StreamHeader, StreamProtection, write_stream};

use crate::cid::Cid;
use crate::codec::{Reader, Write};

/// DTLS 1.2 on the wire.
pub(crate) const VERSION_1_2: u16 = 0xfefd;
/// DTLS 1.0 on the wire, also in a HelloVerifyRequest of DTLS 1.2.
pub(crate) const VERSION_1_0: u16 = 0xfeff;

/// TLS 1.2 on the wire.
pub(crate) const VERSION_TLS_1_2: u16 = 0x0303;

/// The longest plaintext of a record, in bytes.
pub(crate) const PLAINTEXT_MAX: usize = 1 << 14;

const SEQUENCE_BITS: u32 = 48;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    ChangeCipherSpec,
    Alert,
    Handshake,
    ApplicationData,
    /// A record with a Connection ID; the real type is inside.
    Tls12Cid,
}

impl ContentType {
    pub(crate) fn from_code(code: u8) -> Option<ContentType> {
        match code {
            20 => Some(ContentType::ChangeCipherSpec),
            21 => Some(ContentType::Alert),
            22 => Some(ContentType::Handshake),
            23 => Some(ContentType::ApplicationData),
            25 => Some(ContentType::Tls12Cid),
            _ => None,
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            ContentType::ChangeCipherSpec => 20,
            ContentType::Alert => 21,
            ContentType::Handshake => 22,
            ContentType::ApplicationData => 23,
            ContentType::Tls12Cid => 25,
        }
    }
}

/// Epoch and sequence number, the 64 bits that stand in the header and in the nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Number {
    pub(crate) fn new(epoch: u16, sequence: u64) -> Number {
        debug_assert!(sequence >> SEQUENCE_BITS == 0);
        Number(u64::from(epoch) << SEQUENCE_BITS | sequence)
    }

    pub(crate) fn epoch(self) -> u16 {
        (self.0 >> SEQUENCE_BITS) as u16
    }

    pub(crate) fn sequence(self) -> u64 {
        self.0 & ((1 << SEQUENCE_BITS) - 1)
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// The header of a received record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) content_type: ContentType,
    pub(crate) version: u16,
    pub(crate) number: Number,
    /// Ours, that the peer put in; only with [`ContentType::Tls12Cid`].
    pub(crate) cid: Option<Cid>,
    /// Bytes of the header.
    pub(crate) bytes: usize,
    /// Bytes of what follows.
    pub(crate) length: usize,
}

impl Header {
    /// Bytes of a header without a Connection ID.
    pub(crate) const BYTES: usize = 13;

    /// Reads the header at the beginning of `datagram`; none when it is none of DTLS, or the
    /// record does not fit.
    pub(crate) fn parse(datagram: &[u8]) -> Option<Header> {
        let mut reader = Reader::new(datagram);
        let content_type = ContentType::from_code(reader.u8()?)?;
        let version = reader.u16()?;
        if version >> 8 != 0xfe {
            return None;
        }
        let number = Number(reader.u64()?);
        let cid = match content_type {
            ContentType::Tls12Cid => Some(Cid::from_bytes(reader.array()?)),
            _ => None,
        };
        let length = usize::from(reader.u16()?);
        let header = Header {
            content_type,
            version,
            number,
            cid,
            bytes: datagram.len() - reader.rest().len(),
            length,
        };
        reader.take(length)?;
        Some(header)
    }

    /// Appends the header as it was read.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.put_u8(self.content_type.code());
        out.put_u16(self.version);
        out.put(&self.number.to_bytes());
        if let Some(cid) = &self.cid {
            out.put(cid.as_bytes());
        }
        out.put_u16(self.length as u16);
    }
}

/// Appends a record in the clear.
pub(crate) fn write_plain(
    out: &mut Vec<u8>,
    content_type: ContentType,
    sequence: u64,
    fragment: &[u8],
) {
    write_header(out, content_type, Number::new(0, sequence), &[]);
    out.put_vector16(fragment);
}

/// Appends a header up to, and without, the length.
fn write_header(out: &mut Vec<u8>, content_type: ContentType, number: Number, cid: &[u8]) {
    out.put_u8(content_type.code());
    out.put_u16(VERSION_1_2);
    out.put(&number.to_bytes());
    out.put(cid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_record_is_read_back() {
        let mut datagram = Vec::new();
        write_plain(&mut datagram, ContentType::Handshake, 7, b"fragment");
        datagram.extend_from_slice(b"next");
        let header = Header::parse(&datagram).expect("a record");
        assert_eq!(header.content_type, ContentType::Handshake);
        assert_eq!(header.version, VERSION_1_2);
        assert_eq!((header.number.epoch(), header.number.sequence()), (0, 7));
        assert_eq!((header.bytes, header.length), (13, 8));
        assert!(header.cid.is_none());
    }

    #[test]
    fn a_record_that_overruns_the_datagram_is_none() {
        let mut datagram = Vec::new();
        write_plain(&mut datagram, ContentType::Alert, 0, &[1, 0]);
        assert!(Header::parse(&datagram).is_some());
        for end in 0..datagram.len() {
            assert!(Header::parse(&datagram[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn other_protocols_on_the_port_are_none() {
        // CoAP, TLS, STUN.
        assert!(Header::parse(&[0x40, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(Header::parse(&[22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(Header::parse(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
    }
}
