//! Records of TLS 1.2 (RFC 5246 §6.2): those of DTLS without numbers, which are counted instead.

use std::ops::Range;

use super::protection::{
    AdditionalData, DirectionKey, EXPLICIT_NONCE, SEQUENCE_MAX, decrypt, encrypt, nonce,
};
use super::{ContentType, Number, PLAINTEXT_MAX, VERSION_TLS_1_2};
use crate::codec::{Reader, Write};
use crate::suite::Aead;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamHeader {
    pub(crate) content_type: ContentType,
    /// Bytes of what follows.
    pub(crate) length: usize,
}

impl StreamHeader {
    /// Bytes of a header.
    pub(crate) const BYTES: usize = 5;

    /// The longest record that may be sent to us: what protection may add to a plaintext.
    const LENGTH_MAX: usize = PLAINTEXT_MAX + 2048;

    /// Reads a header; none inside when it is none of TLS.
    pub(crate) fn parse(bytes: &[u8; StreamHeader::BYTES]) -> Option<StreamHeader> {
        let mut reader = Reader::new(bytes);
        let content_type = ContentType::from_code(reader.u8()?)?;
        let version = reader.u16()?;
        let length = usize::from(reader.u16()?);
        // A ClientHello may say 1.0 here (RFC 5246 appendix E.1).
        let known = version >> 8 == 3 && content_type != ContentType::Tls12Cid;
        (known && length <= StreamHeader::LENGTH_MAX).then_some(StreamHeader {
            content_type,
            length,
        })
    }

    fn write(out: &mut Vec<u8>, content_type: ContentType, length: usize) {
        out.put_u8(content_type.code());
        out.put_u16(VERSION_TLS_1_2);
        out.put_u16(length as u16);
    }
}

/// Appends a record in the clear.
pub(crate) fn write_stream(out: &mut Vec<u8>, content_type: ContentType, fragment: &[u8]) {
    StreamHeader::write(out, content_type, fragment.len());
    out.put(fragment);
}

/// Both directions of a session: keys and counters. A record that is not authentic, or not the next
/// one, ends it.
pub(crate) struct StreamProtection {
    aead: Aead,
    read: DirectionKey,
    write: DirectionKey,
    received: u64,
    sent: u64,
}

impl StreamProtection {
    pub(super) fn new(aead: Aead, read: DirectionKey, write: DirectionKey) -> StreamProtection {
        StreamProtection {
            aead,
            read,
            write,
            received: 0,
            sent: 0,
        }
    }

    /// Appends a record. False, and nothing appended, when the sequence numbers are used up.
    #[must_use]
    pub(crate) fn seal(
        &mut self,
        out: &mut Vec<u8>,
        content_type: ContentType,
        plaintext: &[u8],
    ) -> bool {
        debug_assert!(plaintext.len() <= PLAINTEXT_MAX);
        if self.sent > SEQUENCE_MAX {
            return false;
        }
        let number = Number::new(0, self.sent);
        self.sent += 1;
        let length = EXPLICIT_NONCE + plaintext.len() + self.aead.tag_bytes();
        StreamHeader::write(out, content_type, length);
        out.put(&number.to_bytes());
        let start = out.len();
        out.put(plaintext);
        let aad = AdditionalData::new(content_type, VERSION_TLS_1_2, number, &[], plaintext.len());
        let nonce = nonce(&self.write, number.to_bytes());
        encrypt(self.aead, &self.write, nonce, aad.as_bytes(), out, start);
        true
    }

    /// Opens the next record in place and says where the plaintext is. None when it is not
    /// authentic, or too long; `fragment` is then of no use any more.
    pub(crate) fn open(
        &mut self,
        content_type: ContentType,
        fragment: &mut [u8],
    ) -> Option<Range<usize>> {
        if self.received > SEQUENCE_MAX {
            return None;
        }
        let overhead = EXPLICIT_NONCE + self.aead.tag_bytes();
        let length = fragment.len().checked_sub(overhead)?;
        let (explicit, body) = fragment.split_first_chunk_mut::<EXPLICIT_NONCE>()?;
        let number = Number::new(0, self.received);
        let nonce = nonce(&self.read, *explicit);
        let aad = AdditionalData::new(content_type, VERSION_TLS_1_2, number, &[], length);
        decrypt(self.aead, &self.read, nonce, aad.as_bytes(), body)?;
        self.received += 1;
        (length <= PLAINTEXT_MAX).then_some(EXPLICIT_NONCE..EXPLICIT_NONCE + length)
    }
}
