//! TLS 1.2 with the handshake that DTLS has here: for raw public keys, which libraries of TLS have
//! in TLS 1.3 only, and for pre-shared keys in a server without OpenSSL.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use lwm2m_dtls::{
    CipherSuite, Failure, Identity, KeyExchange, Lookup, Peer, SystemRandom, TlsEvent, TlsSession,
    Verdict,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::hello::{ClientHello, Rewound, TLS_1_2, TLS_1_3};
use super::{Accepted, HandshakeError, Proof, refused};
use crate::ServerConfig;
use crate::credentials::{Credential, CredentialStore};
use crate::hooks::CredentialRequest;
use crate::identity::{Authenticated, PeerIdentity};
use crate::keys::{KeyMaterial, Keys};
use crate::shard::secure::{Question, answers, certified, label_of, verdict_of};
use crate::shard::sessions::revoked;

/// The protocol in ALPN (RFC 8323 §8.2).
const ALPN: &[u8] = b"coap";

/// Bytes that one call reads.
const CHUNK: usize = 4 << 10;

/// Takes clients in by the handshake of DTLS.
#[derive(Debug)]
pub(super) struct OwnTls {
    keys: Option<Keys>,
    config: ServerConfig,
    /// For the keys of now.
    current: Mutex<Option<(Arc<KeyMaterial>, Arc<lwm2m_dtls::ServerConfig>)>>,
}

impl OwnTls {
    pub(super) fn new(keys: Option<Keys>, config: &ServerConfig) -> OwnTls {
        OwnTls {
            keys,
            config: config.clone(),
            current: Mutex::new(None),
        }
    }

    /// The code points of the suites with pre-shared keys; with the feature `tls-psk` they are
    /// OpenSSL's.
    pub(super) fn psk_suites(&self) -> impl Iterator<Item = u16> + '_ {
        let suites = self.config.dtls.suites.iter();
        let is_psk = |suite: &&CipherSuite| suite.key_exchange() == KeyExchange::Psk;
        let suites = suites.filter(is_psk).map(|suite| suite.code());
        suites.filter(|_| !cfg!(feature = "tls-psk"))
    }

    /// True for a client that no other is for.
    pub(super) fn is_for(&self, hello: &ClientHello, has_credentials: bool) -> bool {
        let has_key = self.material().raw_public_key.is_some();
        let by_raw_public_key = has_key && hello.takes_raw_public_keys() && !hello.offers(TLS_1_3);
        let mut psk_suites = self.psk_suites().filter(|_| has_credentials);
        let by_psk = psk_suites.any(|suite| hello.suites.contains(&suite));
        hello.offers(TLS_1_2) && (by_raw_public_key || by_psk)
    }

    /// Takes a client in.
    pub(super) async fn accept(
        &self,
        mut io: Rewound,
        credentials: Option<&Arc<dyn CredentialStore>>,
    ) -> Result<Accepted, HandshakeError> {
        let limits = lwm2m_dtls::Limits {
            psk_identity_max: self.config.dtls.limits.psk_identity_max,
            ..lwm2m_dtls::Limits::default()
        };
        let mut session = TlsSession::server(self.answers(), limits, SystemRandom);
        let mut key_holders = KeyHolders::default();
        let mut chunk = vec![0; CHUNK];
        let peer = loop {
            let mut outcome = Ok(());
            match session.poll_event() {
                Some(TlsEvent::Lookup(lookup)) => {
                    let verdict = key_holders.judge(&lookup, credentials).await;
                    outcome = session.answer(verdict, unix_s());
                }
                Some(TlsEvent::Up(peer)) => break peer,
                Some(_) => {}
                None => {
                    send_output(&mut session, &mut io).await?;
                    let count = io.read(&mut chunk).await.unwrap_or(0);
                    if count == 0 {
                        return Err(HandshakeError::Gone);
                    }
                    outcome = session.receive(&chunk[..count], unix_s());
                }
            }
            if let Err(failure) = outcome {
                send_output(&mut session, &mut io).await?;
                return Err(refused(&failure));
            }
        };
        send_output(&mut session, &mut io).await?;
        let proof = match &peer.identity {
            Identity::Anonymous => Proof::Nothing,
            Identity::RawPublicKey(key) => Proof::Presented(PeerIdentity::rpk(key.as_spki())),
            Identity::X509(identity) => Proof::Presented(PeerIdentity::x509(certified(identity))),
            _ => Proof::Authenticated(key_holders.holder(&peer, credentials).await?),
        };
        Ok(Accepted {
            io: Box::new(OwnStream::new(io, session)),
            proof,
        })
    }

    fn material(&self) -> Arc<KeyMaterial> {
        self.keys.as_ref().map(Keys::current).unwrap_or_default()
    }

    /// How clients are answered with the keys of now.
    fn answers(&self) -> Arc<lwm2m_dtls::ServerConfig> {
        let material = self.material();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, answers)) = &*current
            && Arc::ptr_eq(of, &material)
        {
            return Arc::clone(answers);
        }
        let answers = Arc::new(lwm2m_dtls::ServerConfig {
            application_protocol: Some(ALPN.into()),
            cid: false,
            ..answers(&self.config, &material, None)
        });
        *current = Some((material, Arc::clone(&answers)));
        answers
    }
}

/// Who may hold the pre-shared key of a handshake.
#[derive(Default)]
struct KeyHolders {
    presented: Option<PeerIdentity>,
    candidates: Vec<Arc<Credential>>,
}

impl KeyHolders {
    /// Finds the key that a handshake goes on with. What a raw public key or a certificate has
    /// proven is looked up when the handshake is done, as for all kinds of TLS.
    async fn judge(
        &mut self,
        lookup: &Lookup,
        credentials: Option<&Arc<dyn CredentialStore>>,
    ) -> Verdict {
        let Lookup::Psk {
            identity,
            server_name,
        } = lookup
        else {
            return Verdict::Accept;
        };
        let presented = PeerIdentity::psk(identity, server_name.as_deref());
        let request = CredentialRequest {
            presented: presented.clone(),
            scheme: Some("coaps+tcp"),
            peer: None,
        };
        self.candidates = match credentials {
            Some(store) => store.look_up_for(&request).await,
            None => Vec::new(),
        };
        let verdict = verdict_of(Question::Key, &presented, &self.candidates);
        self.presented = Some(presented);
        verdict
    }

    /// Who has shown that it holds its key.
    async fn holder(
        self,
        peer: &Peer,
        credentials: Option<&Arc<dyn CredentialStore>>,
    ) -> Result<Authenticated, HandshakeError> {
        let gone = || HandshakeError::Refused(revoked());
        let (presented, store) = self.presented.zip(credentials).ok_or_else(gone)?;
        let mut candidates = self.candidates.iter();
        let used = candidates.find(|credential| label_of(credential) == peer.key_label);
        // The peer may have taken its time, and the credential may have gone meanwhile.
        let current = store.look_up(&presented).await;
        let current = current.iter().find(|current| Some(*current) == used);
        current
            .and_then(|credential| Authenticated::by(credential, &presented))
            .ok_or_else(gone)
    }
}

async fn send_output(session: &mut TlsSession, io: &mut Rewound) -> Result<(), HandshakeError> {
    let mut output = Vec::new();
    session.take_output(&mut output);
    io.write_all(&output)
        .await
        .map_err(|_| HandshakeError::Gone)
}

/// Seconds since 1970.
fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What is above TLS.
struct OwnStream {
    io: Rewound,
    session: TlsSession,
    /// Records that the connection has not taken yet.
    output: Vec<u8>,
    sent: usize,
    /// The peer has said that nothing more comes.
    closed: bool,
}

impl OwnStream {
    fn new(io: Rewound, session: TlsSession) -> OwnStream {
        OwnStream {
            io,
            session,
            output: Vec::new(),
            sent: 0,
            closed: false,
        }
    }

    /// Takes records of the peer, and what they lead to.
    fn receive(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<(), Failure> {
        let outcome = self.session.receive(bytes, unix_s());
        while let Some(event) = self.session.poll_event() {
            self.closed |= matches!(event, TlsEvent::Closed);
        }
        // An alert, if anything; a peer that does not take it has gone.
        let _ = self.poll_send(context);
        outcome
    }

    /// Sends the records that are there.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.take_output(&mut self.output);
        while self.sent < self.output.len() {
            let rest = &self.output[self.sent..];
            let count = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        // A connection lives long, and mostly idle.
        (self.output, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for OwnStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.session.readable() == 0 {
            if this.closed {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                this.closed = true;
            } else if let Err(failure) = this.receive(chunk.filled(), context) {
                this.closed = true;
                return Poll::Ready(Err(io::Error::other(failure)));
            }
        }
        let count = this.session.read(buffer.initialize_unfilled());
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OwnStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        if !self.session.write(bytes) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is left goes with the next call.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close();
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
