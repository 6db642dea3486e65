//! What a ClientHello offers (RFC 8446 §4.1.2), read before it is decided who answers it.
//!
//! Whoever answers reads it again and judges it: what cannot be understood here is handed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest ClientHello that is looked at, in bytes with its record headers.
const HELLO_MAX: usize = 16 << 10;

/// Bytes that one call reads.
const CHUNK: usize = 2 << 10;

/// External pre-shared keys of one ClientHello that are looked at. A device has one or two.
pub(in crate::transport) const OFFERED_MAX: usize = 4;

pub(in crate::transport) const TLS_1_2: u16 = 0x0303;
pub(in crate::transport) const TLS_1_3: u16 = 0x0304;

/// What a client offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::transport) struct ClientHello {
    /// The handshake message, without record headers.
    pub(in crate::transport) message: Vec<u8>,
    pub(in crate::transport) suites: Vec<u16>,
    versions: Vec<u16>,
    pub(in crate::transport) server_name: Option<String>,
    /// What the client has, and takes of the server (RFC 7250), in its order; empty for X.509 only.
    client_certificate_types: Vec<u8>,
    server_certificate_types: Vec<u8>,
    /// Pre-shared keys of TLS 1.3 that do not come from an earlier session.
    pub(in crate::transport) offered: Vec<OfferedPsk>,
    /// The bytes at the end of `message` that are the binders of TLS 1.3.
    pub(in crate::transport) binders_bytes: usize,
}

/// A pre-shared key of TLS 1.3 (RFC 8446 §4.2.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct OfferedPsk {
    pub(in crate::transport) identity: Vec<u8>,
    pub(in crate::transport) binder: Vec<u8>,
}

impl ClientHello {
    /// Reads until the ClientHello is there, or can be none.
    ///
    /// # Errors
    /// The peer goes away before.
    pub(in crate::transport) async fn read(
        mut io: TcpStream,
    ) -> io::Result<(Option<ClientHello>, Rewound)> {
        let mut read = Vec::new();
        let hello = loop {
            read.reserve(CHUNK);
            if io.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match parse(&read) {
                Parsed::More if read.len() < HELLO_MAX => {}
                Parsed::More | Parsed::Other => break None,
                Parsed::Hello(hello) => break Some(*hello),
            }
        };
        Ok((hello, Rewound { read, at: 0, io }))
    }

    pub(in crate::transport) fn offers(&self, version: u16) -> bool {
        self.versions.contains(&version)
    }

    /// True for a client that takes a raw public key of the server, and has one itself or takes
    /// nothing else.
    pub(in crate::transport) fn takes_raw_public_keys(&self) -> bool {
        const X509: u8 = 0;
        const RAW_PUBLIC_KEY: u8 = 2;
        let takes = self.server_certificate_types.contains(&RAW_PUBLIC_KEY);
        let has = self.client_certificate_types.contains(&RAW_PUBLIC_KEY);
        takes && (has || !self.server_certificate_types.contains(&X509))
    }

    /// True for a client that has a pre-shared key.
    pub(in crate::transport) fn offers_psk(&self) -> bool {
        !self.offered.is_empty() || self.suites.iter().any(|suite| is_psk(*suite))
    }
}

/// True for suites with a pre-shared key before TLS 1.3.
fn is_psk(suite: u16) -> bool {
    matches!(suite, 0x002c..=0x002e | 0x008a..=0x0095 | 0x00a8..=0x00b9 | 0xc033..=0xc03b)
        || matches!(suite, 0xc064..=0xc071 | 0xc08e..=0xc09b | 0xc0a4..=0xc0ab)
        || matches!(suite, 0xccab..=0xccae | 0xd001..=0xd005)
}

/// A connection of which some was read already, and is read again.
#[derive(Debug)]
pub(in crate::transport) struct Rewound {
    read: Vec<u8>,
    at: usize,
    io: TcpStream,
}

impl Rewound {
    /// Where the peer is; none when it has gone.
    #[cfg(feature = "tls-psk")]
    pub(in crate::transport) fn address(&self) -> Option<std::net::IpAddr> {
        self.io.peer_addr().ok().map(|address| address.ip())
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.read.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.at += length;
        if self.at == self.read.len() {
            // A connection lives long.
            (self.read, self.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// The beginning of a ClientHello.
    More,
    Hello(Box<ClientHello>),
    Other,
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut message = Vec::new();
    let mut records = Fields(bytes);
    while let Some(record) = next_record(&mut records) {
        let Ok(fragment) = record else {
            return Parsed::Other;
        };
        message.extend_from_slice(fragment);
        if let Some(length) = message_length(&message)
            && message.len() >= length
        {
            message.truncate(length);
            return match hello(message) {
                Some(hello) => Parsed::Hello(Box::new(hello)),
                None => Parsed::Other,
            };
        }
    }
    match bytes.first() {
        None | Some(&RECORD_HANDSHAKE) => Parsed::More,
        Some(_) => Parsed::Other,
    }
}

pub(in crate::transport) const RECORD_HANDSHAKE: u8 = 22;

/// The fragment of the next record of a handshake that is there as a whole; an error for a record
/// of another kind.
pub(in crate::transport) fn next_record<'b>(
    records: &mut Fields<'b>,
) -> Option<Result<&'b [u8], ()>> {
    let mut record = Fields(records.0);
    let kind = record.u8()?;
    record.u16()?;
    let fragment = record.vec16()?;
    *records = record;
    Some(match kind {
        RECORD_HANDSHAKE => Ok(fragment),
        _ => Err(()),
    })
}

/// The bytes of a handshake message and its header, when the header is there.
pub(in crate::transport) fn message_length(message: &[u8]) -> Option<usize> {
    match message {
        [_, a, b, c, ..] => Some(4 + u32::from_be_bytes([0, *a, *b, *c]) as usize),
        _ => None,
    }
}

fn hello(message: Vec<u8>) -> Option<ClientHello> {
    const CLIENT_HELLO: u8 = 1;
    let mut fields = Fields(&message);
    if fields.u8()? != CLIENT_HELLO {
        return None;
    }
    fields.take(3)?;
    let version = fields.u16()?;
    fields.take(32)?;
    fields.vec8()?;
    let mut hello = ClientHello {
        suites: u16s(fields.vec16()?),
        versions: vec![version],
        ..ClientHello::default()
    };
    fields.vec8()?;
    if !fields.0.is_empty() {
        let mut extensions = Fields(fields.vec16()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            hello.extension(kind, Fields(extensions.vec16()?))?;
        }
    }
    if !fields.0.is_empty() {
        return None;
    }
    hello.message = message;
    Some(hello)
}

impl ClientHello {
    fn extension(&mut self, kind: u16, mut body: Fields<'_>) -> Option<()> {
        const SERVER_NAME: u16 = 0;
        const CLIENT_CERTIFICATE_TYPE: u16 = 19;
        const SERVER_CERTIFICATE_TYPE: u16 = 20;
        const PRE_SHARED_KEY: u16 = 41;
        const SUPPORTED_VERSIONS: u16 = 43;
        match kind {
            SERVER_NAME => {
                let mut names = Fields(body.vec16()?);
                while !names.0.is_empty() {
                    let kind = names.u8()?;
                    let name = names.vec16()?;
                    if kind == 0 {
                        self.server_name = Some(String::from_utf8(name.to_vec()).ok()?);
                    }
                }
            }
            CLIENT_CERTIFICATE_TYPE => self.client_certificate_types = body.vec8()?.to_vec(),
            SERVER_CERTIFICATE_TYPE => self.server_certificate_types = body.vec8()?.to_vec(),
            PRE_SHARED_KEY => {
                let mut identities = Fields(body.vec16()?);
                self.binders_bytes = body.0.len();
                let mut binders = Fields(body.vec16()?);
                while !identities.0.is_empty() {
                    let identity = identities.vec16()?.to_vec();
                    let age = identities.take(4)?;
                    let binder = binders.vec8()?.to_vec();
                    // The age of a ticket is hidden behind a random number; a key that comes from
                    // no session has none.
                    if age == [0; 4] && self.offered.len() < OFFERED_MAX {
                        self.offered.push(OfferedPsk { identity, binder });
                    }
                }
            }
            SUPPORTED_VERSIONS => self.versions = u16s(body.vec8()?),
            _ => {}
        }
        Some(())
    }
}

fn u16s(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

/// Fields of a message, one after another; none where they end too early.
pub(in crate::transport) struct Fields<'b>(pub(in crate::transport) &'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vec8(&mut self) -> Option<&'b [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    pub(in crate::transport) fn vec16(&mut self) -> Option<&'b [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vec8(bytes: &[u8]) -> Vec<u8> {
        [&[bytes.len() as u8], bytes].concat()
    }

    fn vec16(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
    }

    fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &vec16(body)].concat()
    }

    fn record(fragment: &[u8]) -> Vec<u8> {
        [&[RECORD_HANDSHAKE, 3, 1][..], &vec16(fragment)].concat()
    }

    /// A ClientHello of TLS 1.2 with these suites and extensions.
    fn message(suites: &[u8], extensions: &[u8]) -> Vec<u8> {
        let parts = [
            &[3, 3][..],
            &[7; 32],
            &vec8(&[]),
            &vec16(suites),
            &vec8(&[0]),
            &vec16(extensions),
        ];
        let body = parts.concat();
        let length = (body.len() as u32).to_be_bytes();
        [&[1][..], &length[1..], &body].concat()
    }

    fn read(bytes: &[u8]) -> ClientHello {
        match parse(bytes) {
            Parsed::Hello(hello) => *hello,
            other => panic!("a ClientHello, and not {other:?}"),
        }
    }

    #[test]
    fn it_says_what_is_offered() {
        let key = |identity: &[u8], age: u8| [vec16(identity), vec![0, 0, 0, age]].concat();
        let keys = [key(b"ticket", 9), key(b"meter", 0)].concat();
        let binders = vec16(&[vec8(&[1; 32]), vec8(&[2; 32])].concat());
        let extensions = [
            extension(0, &vec16(&[&[0][..], &vec16(b"a.example")].concat())),
            extension(20, &vec8(&[2])),
            extension(43, &vec8(&[3, 4, 3, 3])),
            extension(41, &[vec16(&keys), binders].concat()),
        ];
        let message = message(&[0x13, 0x01, 0xc0, 0xa8], &extensions.concat());
        let hello = read(&record(&message));
        assert_eq!(hello.suites, [0x1301, 0xc0a8]);
        assert_eq!(hello.server_name.as_deref(), Some("a.example"));
        assert!(hello.takes_raw_public_keys());
        assert!(hello.offers(TLS_1_3) && hello.offers(0x0303) && hello.offers_psk());
        let offered = OfferedPsk {
            identity: b"meter".to_vec(),
            binder: vec![2; 32],
        };
        assert_eq!(hello.offered, [offered]);
        assert_eq!(hello.binders_bytes, 2 + 33 + 33);
        assert_eq!(hello.message, message);
    }

    #[test]
    fn it_may_come_in_pieces() {
        let message = message(&[0xc0, 0x2b], &extension(20, &vec8(&[2, 0])));
        let whole = read(&record(&message));
        assert!(!whole.takes_raw_public_keys() && !whole.offers_psk());
        assert!(whole.offers(0x0303) && !whole.offers(TLS_1_3));
        let records: Vec<u8> = message.chunks(7).flat_map(record).collect();
        for end in 0..records.len() {
            assert_eq!(parse(&records[..end]), Parsed::More, "{end} bytes");
        }
        assert_eq!(read(&records), whole);
    }

    #[test]
    fn no_more_keys_than_the_limit() {
        let keys = [0, 1, b'x', 0, 0, 0, 0].repeat(OFFERED_MAX + 1);
        let binders = vec8(&[1; 32]).repeat(OFFERED_MAX + 1);
        let body = [vec16(&keys), vec16(&binders)].concat();
        let hello = read(&record(&message(&[0x13, 0x01], &extension(41, &body))));
        assert_eq!(hello.offered.len(), OFFERED_MAX);
    }

    #[test]
    fn what_is_no_client_hello_is_handed_on() {
        assert_eq!(parse(&[0, 0xe1, 1]), Parsed::Other);
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Parsed::Other);
        // An alert where the message should go on; a ServerHello.
        let message = message(&[0xc0, 0xa8], &[]);
        let alert = [record(&message[..9]), vec![21, 3, 3, 0, 2, 1, 0]].concat();
        assert_eq!(parse(&alert), Parsed::Other);
        assert_eq!(
            parse(&record(&[&[2], &message[1..]].concat())),
            Parsed::Other
        );
    }

    #[tokio::test]
    async fn a_hello_longer_than_the_limit_is_handed_on() {
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        // A message of 64 KiB that does not end.
        let begun = record(&[&[1, 1, 0, 0][..], &[0; HELLO_MAX - 9]].concat());
        assert_eq!(begun.len(), HELLO_MAX);
        client.write_all(&begun).await.expect("written");
        let (hello, mut rewound) = ClientHello::read(server).await.expect("read");
        assert_eq!(hello, None);
        drop(client);
        let mut again = Vec::new();
        rewound.read_to_end(&mut again).await.expect("read");
        assert_eq!(again, begun);
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(suites: Vec<u8>, extensions: Vec<u8>, cut: usize, more: Vec<u8>) {
            parse(&more);
            let message = message(&suites, &extensions);
            let _ = hello(message.clone());
            let records = record(&message);
            let cut = cut % (records.len() + 1);
            let mixed = [&records[..cut], &more].concat();
            parse(&mixed);
        }
    }
}
