//! ClientHello and ServerHello (RFC 5246 §7.4.1, RFC 6347 §4.2.1).

use super::extension::{ClientExtensions, ServerExtensions};
use super::wire::Wire;
use crate::codec::{Reader, Write, numbers};

/// Signals RFC 5746 in the list of suites.
pub(crate) const RENEGOTIATION_SIGNAL: u16 = 0x00ff;

const NULL_COMPRESSION: u8 = 0;

/// The fields of a ClientHello up to its extensions: what a cookie is made from. It can be read
/// from the first fragment of a ClientHello that is longer than a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HelloStart<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
    /// Code points, two bytes each.
    pub(crate) suites: &'a [u8],
    pub(crate) compressions: &'a [u8],
}

impl<'a> HelloStart<'a> {
    /// Reads the fields from a datagram; `body` may end anywhere after them.
    pub(crate) fn parse(body: &'a [u8]) -> Option<HelloStart<'a>> {
        HelloStart::read(Wire::Datagram, &mut Reader::new(body))
    }

    fn read(wire: Wire, reader: &mut Reader<'a>) -> Option<HelloStart<'a>> {
        let version = reader.u16()?;
        let random = reader.take(32)?.first_chunk()?;
        let session_id = reader.vector8()?;
        let cookie = match wire {
            Wire::Datagram => reader.vector8()?,
            Wire::Stream => &[],
        };
        let suites = reader.vector16()?;
        let compressions = reader.vector8()?;
        (session_id.len() <= 32 && suites.len().is_multiple_of(2)).then_some(HelloStart {
            version,
            random,
            session_id,
            cookie,
            suites,
            compressions,
        })
    }
}

/// A ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    pub(crate) start: HelloStart<'a>,
    pub(crate) extensions: ClientExtensions<'a>,
}

impl<'a> ClientHello<'a> {
    pub(crate) fn parse(wire: Wire, body: &'a [u8]) -> Option<ClientHello<'a>> {
        let mut reader = Reader::new(body);
        let start = HelloStart::read(wire, &mut reader)?;
        let extensions = match reader.is_empty() {
            true => ClientExtensions::default(),
            false => ClientExtensions::parse(reader.vector16()?)?,
        };
        reader.end(ClientHello { start, extensions })
    }

    pub(crate) fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        out.put_u16(self.start.version);
        out.put(self.start.random);
        out.put_vector8(self.start.session_id);
        if wire == Wire::Datagram {
            out.put_vector8(self.start.cookie);
        }
        out.put_vector16(self.start.suites);
        out.put_vector8(self.start.compressions);
        self.extensions.write(out);
    }

    pub(crate) fn has_suite(&self, code: u16) -> bool {
        numbers(self.start.suites).any(|each| each == code)
    }

    pub(crate) fn has_null_compression(&self) -> bool {
        self.start.compressions.contains(&NULL_COMPRESSION)
    }

    /// True when it knows RFC 5746.
    pub(crate) fn signals_renegotiation(&self) -> bool {
        self.extensions.renegotiation_info || self.has_suite(RENEGOTIATION_SIGNAL)
    }
}

/// A ServerHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerHello<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) suite: u16,
    pub(crate) compression: u8,
    pub(crate) extensions: ServerExtensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// One of version 1.2 without compression.
    pub(crate) fn new(
        wire: Wire,
        random: &'a [u8; 32],
        session_id: &'a [u8],
        suite: u16,
        extensions: ServerExtensions<'a>,
    ) -> ServerHello<'a> {
        ServerHello {
            version: wire.version(),
            random,
            session_id,
            suite,
            compression: NULL_COMPRESSION,
            extensions,
        }
    }

    pub(crate) fn parse(body: &'a [u8]) -> Option<ServerHello<'a>> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let random = reader.take(32)?.first_chunk()?;
        let session_id = reader.vector8()?;
        let suite = reader.u16()?;
        let compression = reader.u8()?;
        let extensions = match reader.is_empty() {
            true => ServerExtensions::default(),
            false => ServerExtensions::parse(reader.vector16()?)?,
        };
        (session_id.len() <= 32).then_some(())?;
        reader.end(ServerHello {
            version,
            random,
            session_id,
            suite,
            compression,
            extensions,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.version);
        out.put(self.random);
        out.put_vector8(self.session_id);
        out.put_u16(self.suite);
        out.put_u8(self.compression);
        self.extensions.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::VERSION_1_2;

    const RANDOM: [u8; 32] = [7; 32];

    fn client_hello(extensions: ClientExtensions<'static>) -> ClientHello<'static> {
        ClientHello {
            start: HelloStart {
                version: VERSION_1_2,
                random: &RANDOM,
                session_id: b"session",
                cookie: b"cookie",
                suites: &[0xc0, 0xa8, 0x00, 0xff],
                compressions: &[0],
            },
            extensions,
        }
    }

    #[test]
    fn a_client_hello_is_read_as_written() {
        let hello = client_hello(ClientExtensions {
            extended_master_secret: true,
            cid: Some(b"cid"),
            ..ClientExtensions::default()
        });
        let mut body = Vec::new();
        hello.write(Wire::Datagram, &mut body);
        let parsed = ClientHello::parse(Wire::Datagram, &body).expect("a ClientHello");
        assert_eq!(parsed, hello);
        assert!(parsed.has_suite(0xc0a8) && parsed.signals_renegotiation());
        assert!(parsed.has_null_compression());
        for end in 0..body.len() {
            let cut = ClientHello::parse(Wire::Datagram, &body[..end]);
            // Without any extension, the block may be left out.
            assert!(cut.is_none() || cut.is_some_and(|cut| cut.extensions.cid.is_none()));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_client_hello_is_read_as_written(
            random: [u8; 32],
            session_id in proptest::collection::vec(proptest::num::u8::ANY, 0..=32),
            cookie in proptest::collection::vec(proptest::num::u8::ANY, 0..=255),
            codes in proptest::collection::vec(proptest::num::u16::ANY, 0..=64),
            ticket in proptest::option::of(
                proptest::collection::vec(proptest::num::u8::ANY, 0..=300),
            ),
            cid in proptest::option::of(
                proptest::collection::vec(proptest::num::u8::ANY, 0..=255),
            ),
            limit: Option<u16>,
            name in proptest::option::of("[a-z.-]{1,64}"),
        ) {
            let suites: Vec<u8> = codes.iter().flat_map(|code| code.to_be_bytes()).collect();
            let hello = ClientHello {
                start: HelloStart {
                    version: VERSION_1_2,
                    random: &random,
                    session_id: &session_id,
                    cookie: &cookie,
                    suites: &suites,
                    compressions: &[0],
                },
                extensions: ClientExtensions {
                    server_name: name.as_deref(),
                    record_size_limit: limit,
                    session_ticket: ticket.as_deref(),
                    cid: cid.as_deref(),
                    ..ClientExtensions::default()
                },
            };
            let mut body = Vec::new();
            hello.write(Wire::Datagram, &mut body);
            proptest::prop_assert_eq!(ClientHello::parse(Wire::Datagram, &body), Some(hello));
            proptest::prop_assert_eq!(HelloStart::parse(&body), Some(hello.start));
        }

        #[test]
        fn any_bytes_are_a_hello_or_none(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        ) {
            // What is taken can be written, and is taken again as the same.
            if let Some(hello) = ClientHello::parse(Wire::Datagram, &bytes) {
                let mut body = Vec::new();
                hello.write(Wire::Datagram, &mut body);
                proptest::prop_assert_eq!(ClientHello::parse(Wire::Datagram, &body), Some(hello));
            }
            if let Some(hello) = ServerHello::parse(&bytes) {
                let mut body = Vec::new();
                hello.write(&mut body);
                proptest::prop_assert!(ServerHello::parse(&body).is_some());
            }
        }
    }

    #[test]
    fn the_start_can_be_read_from_a_first_fragment() {
        let hello = client_hello(ClientExtensions {
            session_ticket: Some(&[1; 500]),
            ..ClientExtensions::default()
        });
        let mut body = Vec::new();
        hello.write(Wire::Datagram, &mut body);
        let start = HelloStart::parse(&body[..100]).expect("the start");
        assert_eq!(start, hello.start);
        assert_eq!(HelloStart::parse(&body[..40]), None);
    }

    #[test]
    fn a_server_hello_is_read_as_written() {
        let extensions = ServerExtensions {
            cid: Some(b"12345678"),
            ..ServerExtensions::default()
        };
        let hello = ServerHello::new(Wire::Datagram, &RANDOM, b"id", 0xc0a8, extensions);
        let mut body = Vec::new();
        hello.write(&mut body);
        assert_eq!(ServerHello::parse(&body), Some(hello));
        assert_eq!(ServerHello::parse(&body[..body.len() - 1]), None);
    }
}
