//! What the handshake looks like below its messages: over datagrams or over a stream.

use super::message::{Fragment, Message};
use crate::record::{VERSION_1_2, VERSION_TLS_1_2};

/// DTLS 1.2 and TLS 1.2 have the same handshake. They differ in versions, the cookie, and the
/// headers of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// DTLS (RFC 6347).
    Datagram,
    /// TLS (RFC 5246).
    Stream,
}

impl Wire {
    /// Version 1.2 in a hello.
    pub(crate) fn version(self) -> u16 {
        match self {
            Wire::Datagram => VERSION_1_2,
            Wire::Stream => VERSION_TLS_1_2,
        }
    }

    /// True when a client that writes `version` has 1.2 too; that of a later one still writes 1.2.
    pub(super) fn takes(self, version: u16) -> bool {
        match self {
            // Newer versions have lower numbers.
            Wire::Datagram => version <= VERSION_1_2 && version >> 8 == 0xfe,
            Wire::Stream => version >= VERSION_TLS_1_2 && version >> 8 == 0x03,
        }
    }

    /// Bytes of the header of a message in the transcript.
    pub(super) fn header_bytes(self) -> usize {
        match self {
            Wire::Datagram => Fragment::HEADER,
            Wire::Stream => Message::STREAM_HEADER,
        }
    }

    /// Appends a message to a transcript.
    pub(super) fn transcribe(self, message: &Message, transcript: &mut Vec<u8>) {
        match self {
            Wire::Datagram => transcript.extend_from_slice(message.as_bytes()),
            Wire::Stream => message.write_to_stream(transcript),
        }
    }
}
