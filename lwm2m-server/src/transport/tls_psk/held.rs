//! A connection on its way into OpenSSL, which waits at the ClientKeyExchange of TLS 1.2 until the
//! store has said which key the handshake goes on with.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::keys::Search;
use crate::transport::tls::hello::{Fields, Rewound, message_length, next_record};

/// Bytes in which a ClientKeyExchange is looked for; then OpenSSL has its way, without a key.
const WATCHED_MAX: usize = 32 << 10;

/// Bytes that one call reads.
const CHUNK: usize = 2 << 10;

/// A connection that may be held.
pub(super) struct Held {
    io: Rewound,
    state: State,
    /// What was read and not yet looked at.
    taken: Vec<u8>,
    /// What OpenSSL may have, and how much of it it has.
    released: Vec<u8>,
    given: usize,
}

enum State {
    /// Looks for the ClientKeyExchange.
    Watching(Watch),
    /// Waits for the store.
    Asking(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Nothing is held.
    Passing,
}

struct Watch {
    search: Search,
    /// The handshake message that has begun.
    message: Vec<u8>,
    watched: usize,
}

impl Held {
    /// A connection of which nothing is held.
    pub(super) fn passing(io: Rewound) -> Held {
        Held {
            io,
            state: State::Passing,
            taken: Vec::new(),
            released: Vec::new(),
            given: 0,
        }
    }

    /// A connection that waits for the search.
    pub(super) fn watching(io: Rewound, search: Search) -> Held {
        let watch = Watch {
            search,
            message: Vec::new(),
            watched: 0,
        };
        Held {
            state: State::Watching(watch),
            ..Held::passing(io)
        }
    }

    /// Looks at what was taken, and releases it up to the ClientKeyExchange.
    fn look(&mut self) {
        let State::Watching(mut watch) = std::mem::replace(&mut self.state, State::Passing) else {
            return;
        };
        let mut records = Fields(&self.taken);
        while let Some(record) = next_record(&mut records) {
            let Ok(fragment) = record else {
                return self.release_all();
            };
            watch.message.extend_from_slice(fragment);
            if let Some(identity) = watch.identity() {
                self.state = State::Asking(Box::pin(watch.search.named(identity)));
                return;
            }
        }
        if watch.watched + self.taken.len() > WATCHED_MAX {
            return self.release_all();
        }
        let looked_at = self.taken.len() - records.0.len();
        watch.watched += looked_at;
        self.released.extend(self.taken.drain(..looked_at));
        self.state = State::Watching(watch);
    }

    fn release_all(&mut self) {
        self.released.append(&mut self.taken);
    }
}

impl Watch {
    /// The identity, when the messages that are there include a ClientKeyExchange.
    fn identity(&mut self) -> Option<Vec<u8>> {
        const CLIENT_KEY_EXCHANGE: u8 = 16;
        while let Some(length) = message_length(&self.message)
            && self.message.len() >= length
        {
            let message: Vec<u8> = self.message.drain(..length).collect();
            if let [CLIENT_KEY_EXCHANGE, _, _, _, body @ ..] = message.as_slice() {
                return Fields(body).vec16().map(<[u8]>::to_vec);
            }
        }
        None
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = &mut *self;
        loop {
            let rest = held.released.get(held.given..).unwrap_or_default();
            if !rest.is_empty() {
                let length = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..length]);
                held.given += length;
                return Poll::Ready(Ok(()));
            }
            (held.released, held.given) = (Vec::new(), 0);
            match &mut held.state {
                State::Passing => return Pin::new(&mut held.io).poll_read(cx, buffer),
                State::Asking(search) => {
                    ready!(search.as_mut().poll(cx));
                    held.state = State::Passing;
                    held.release_all();
                }
                State::Watching(_) => {
                    let mut chunk = [0; CHUNK];
                    let mut chunk = ReadBuf::new(&mut chunk);
                    ready!(Pin::new(&mut held.io).poll_read(cx, &mut chunk))?;
                    if chunk.filled().is_empty() {
                        held.state = State::Passing;
                        held.release_all();
                    }
                    held.taken.extend_from_slice(chunk.filled());
                    held.look();
                }
            }
        }
    }
}

impl AsyncWrite for Held {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lwm2m_dtls::UnknownPskIdentity;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::credentials::{
        Credential, CredentialId, CredentialStore, MemoryCredentials, Proof, SecretKey,
    };
    use crate::transport::tls::hello::ClientHello;
    use crate::transport::tls_psk::keys::{SharedKeys, lock};

    /// A handshake record that has one message.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_be_bytes();
        let message = [&[kind], &length[1..], body].concat();
        let length = (message.len() as u16).to_be_bytes();
        [&[22, 3, 3], &length[..], &message].concat()
    }

    /// What OpenSSL reads of these bytes, and what it is given for `meter`.
    async fn pass(bytes: &[u8]) -> (Vec<u8>, usize) {
        let store = MemoryCredentials::default();
        let proof = Proof::Psk {
            identity: b"meter".as_slice().into(),
            key: SecretKey::new(&[7; 16]).expect("a key"),
        };
        let credential = Credential::new(CredentialId::random(), proof);
        store.add(vec![credential]).await.expect("taken");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        client.write_all(bytes).await.expect("written");
        drop(client);
        let (_, io) = ClientHello::read(server).await.expect("read");
        let keys = SharedKeys::default();
        let search = Search {
            credentials: Arc::new(store),
            server_name: None,
            unknown: UnknownPskIdentity::Alert,
            recall: Arc::default(),
            address: io.address(),
            keys: Arc::clone(&keys),
        };
        let mut read = Vec::new();
        let mut held = Held::watching(io, search);
        held.read_to_end(&mut read).await.expect("read");
        let given = lock(&keys).give(b"meter", &mut [0; 64]);
        (read, given)
    }

    #[tokio::test]
    async fn the_key_is_there_before_the_client_key_exchange() {
        let hello = message(1, &[0; 100]);
        let named = message(16, b"\x00\x05meter and a point");
        let rest = [20, 3, 3, 0, 1, 1];
        let all = [&hello[..], &named, &rest].concat();
        assert_eq!(pass(&all).await, (all, 16));
        // In as many records as there are bytes, in one record with the ClientHello.
        let alone = |byte: &u8| [22, 3, 3, 0, 1, *byte];
        let split: Vec<u8> = named[5..].iter().flat_map(alone).collect();
        let split = [&hello[..], &split, &rest].concat();
        assert_eq!(pass(&split).await, (split, 16));
        let both = [&hello[5..], &named[5..]].concat();
        let length = (both.len() as u16).to_be_bytes();
        let both = [&[22, 3, 3], &length[..], &both].concat();
        assert_eq!(pass(&both).await, (both, 16));
    }

    #[tokio::test]
    async fn what_names_no_key_passes_without_one() {
        let hello = message(1, &[0; 100]);
        let other = [&hello[..], &message(16, b"\x00\x05other")].concat();
        assert_eq!(pass(&other).await, (other, 0));
        // Cut off, protected, or not a field.
        for rest in [
            &message(16, b"\x00\x05meter")[..9],
            &[23, 3, 3, 0, 1, 0],
            &message(16, &[9]),
        ] {
            let all = [&hello[..], rest].concat();
            assert_eq!(pass(&all).await, (all, 0));
        }
    }

    #[tokio::test]
    async fn one_message_beyond_the_limit_is_not_looked_at() {
        let hello = message(1, &[0; 100]);
        let named = message(16, b"\x00\x05meter");
        let filler = |bytes: usize| message(14, &vec![0; bytes - hello.len() - named.len() - 9]);
        for (bytes, given) in [(WATCHED_MAX - CHUNK, 16), (WATCHED_MAX + 2 * CHUNK, 0)] {
            let (first, second) = (bytes / 2, bytes - bytes / 2);
            let filler = [message(14, &vec![0; first - 9]), filler(second)].concat();
            let all = [&hello[..], &filler, &named].concat();
            assert_eq!(all.len(), bytes);
            let passed = pass(&all).await;
            assert_eq!(passed.1, given, "after {bytes} bytes");
            assert_eq!(passed.0, all);
        }
    }
}
