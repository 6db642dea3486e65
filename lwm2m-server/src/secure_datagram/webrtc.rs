//! The optional backend: `webrtc-dtls` 0.12, a task for each peer.
//!
//! It is asynchronous and wants a connection of its own for each peer. Here each peer gets a pipe:
//! what [`handle`](SecureDatagram::handle) takes goes into it, what comes out is a [`Report`].
//! All queues are bounded; what does not fit is lost, as on any network.

mod certificates;
mod config;
mod pipe;
mod task;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use lwm2m_dtls::{CertificateError, CipherSuite, KeyExchange, ServerCertificate, X509Identity};
use tokio::sync::mpsc;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::crypto::Certificate as WebRtcCertificate;

use certificates::{convert, verify};
pub use config::{WebRtcDtlsConfig, WebRtcDtlsError, WebRtcDtlsProof};
use pipe::Pipe;
use task::Task;

use super::{
    Capabilities, Path, Peer, Plaintext, SecureDatagram, SecureEvent, SendError, ServerConfig,
    SessionId, Transmit, Verdict,
};
use crate::{ClientAuthentication, Reason};

/// The largest record, in bytes; the buffers of the library have this size.
const RECORD_BYTES_MAX: usize = 8192;
/// Datagrams that wait for one peer's task.
const PEER_QUEUE_MAX: usize = 16;
/// Reports of all tasks that wait to be taken.
const REPORTS_MAX: usize = 1024;

/// All sessions of a shard, in tasks of the current runtime.
pub struct WebRtcDtls<P> {
    config: Arc<WebRtcDtlsConfig>,
    certificates: Vec<WebRtcCertificate>,
    connections: HashMap<P, Connection>,
    paths: HashMap<SessionId, P>,
    handshakes: usize,
    /// The time of day, as it was told last.
    unix_s: Arc<AtomicU64>,
    reporter: mpsc::Sender<Report<P>>,
    reports: mpsc::Receiver<Report<P>>,
    /// Taken out by [`SecureDatagram::poll_ready`], not yet given on.
    taken: Option<Report<P>>,
    pending: VecDeque<SecureEvent<P>>,
    transmits: VecDeque<Transmit<P>>,
    count: u64,
}

struct Connection {
    session: SessionId,
    /// None while the handshake goes on.
    peer: Option<Arc<Peer>>,
    /// Datagrams of the peer.
    incoming: mpsc::Sender<Vec<u8>>,
    /// Application data to the peer; the task ends when this goes.
    outgoing: mpsc::Sender<Vec<u8>>,
}

/// What a task has to say.
enum Report<P> {
    Transmit(P, Bytes),
    Up(P, SessionId, Arc<Peer>),
    Data(SessionId, Bytes),
    Ended(P, SessionId, Reason),
}

impl<P: Path + Send + Sync + 'static> WebRtcDtls<P> {
    /// A backend; its tasks run where [`SecureDatagram::handle`] is called.
    ///
    /// # Errors
    /// [`WebRtcDtlsError`] when the library does not take the certificate.
    pub fn new(config: WebRtcDtlsConfig) -> Result<WebRtcDtls<P>, WebRtcDtlsError> {
        let certificates = match &config.proof {
            WebRtcDtlsProof::Psk(_) => Vec::new(),
            WebRtcDtlsProof::X509 { server, .. } => vec![convert(server)?],
        };
        // The library checks nothing by it here, and does not start without. Another one that the
        // process has chosen stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (reporter, reports) = mpsc::channel(REPORTS_MAX);
        Ok(WebRtcDtls {
            config: Arc::new(config),
            certificates,
            connections: HashMap::new(),
            paths: HashMap::new(),
            handshakes: 0,
            unix_s: Arc::default(),
            reporter,
            reports,
            taken: None,
            pending: VecDeque::new(),
            transmits: VecDeque::new(),
            count: 0,
        })
    }

    /// Begins a handshake with who sends a ClientHello, when there is room.
    fn open(&mut self, path: P, datagram: &[u8]) -> bool {
        if !is_client_hello(datagram) {
            return false;
        }
        if self.is_full() {
            self.sweep();
        }
        if self.is_full() {
            return false;
        }
        self.count += 1;
        let session = SessionId::from_u64(self.count);
        let (incoming, datagrams) = mpsc::channel(PEER_QUEUE_MAX);
        let (outgoing, messages) = mpsc::channel(PEER_QUEUE_MAX);
        let verdict = Arc::new(Lock::new(None));
        let task = Task {
            path,
            session,
            pipe: Arc::new(Pipe::new(path, datagrams, self.reporter.clone())),
            messages,
            config: Arc::clone(&self.config),
            library: self.library_config(&verdict),
            verdict,
            reporter: self.reporter.clone(),
        };
        tokio::spawn(task.run());
        self.handshakes += 1;
        self.paths.insert(session, path);
        let connection = Connection {
            session,
            peer: None,
            incoming,
            outgoing,
        };
        self.connections.insert(path, connection);
        true
    }

    fn is_full(&self) -> bool {
        self.connections.len() >= self.config.sessions_max
            || self.handshakes >= self.config.handshakes_max
    }

    /// Forgets peers whose tasks have ended without a word, as a panic of the library does.
    fn sweep(&mut self) {
        let ended = self.connections.iter();
        let ended = ended.filter(|(_, connection)| connection.outgoing.is_closed());
        let ended: Vec<_> = ended.map(|(path, it)| (*path, it.session)).collect();
        for (path, session) in ended {
            let reason = Reason::new("dtls-backend", "webrtc-dtls gave the session up");
            self.forget(path, session, reason);
        }
    }

    fn library_config(&self, verdict: &Shown) -> Config {
        let mut library = Config {
            certificates: self.certificates.clone(),
            extended_master_secret: ExtendedMasterSecretType::Request,
            flight_interval: self.config.retransmission,
            ..Config::default()
        };
        let shown = Arc::clone(verdict);
        match &self.config.proof {
            WebRtcDtlsProof::Psk(find) => {
                let find = Arc::clone(find);
                library.psk = Some(Arc::new(move |identity: &[u8]| match find(identity) {
                    Some(key) => Ok(key.expose().to_vec()),
                    None => {
                        *lock(&shown) = Some(Verified::UnknownPsk(identity.into()));
                        Err(webrtc_dtls::Error::ErrIdentityNoPsk)
                    }
                }));
                library.cipher_suites = self.suites(KeyExchange::Psk);
            }
            WebRtcDtlsProof::X509 {
                trust,
                client_authentication,
                ..
            } => {
                // Asked for, and judged by us: its own check knows no certificate that is trusted
                // as it is, and cannot say which certificate is at fault.
                library.client_auth = match client_authentication {
                    ClientAuthentication::Required => ClientAuthType::RequireAnyClientCert,
                    ClientAuthentication::Optional => ClientAuthType::RequestClientCert,
                };
                let trust = Arc::clone(trust);
                let unix_s = Arc::clone(&self.unix_s);
                library.verify_peer_certificate = Some(Arc::new(move |chain, _| {
                    let verdict = verify(chain, &trust, unix_s.load(Ordering::Relaxed));
                    let is_good = verdict.is_ok();
                    *lock(&shown) = Some(match verdict {
                        Ok(identity) => Verified::X509(Box::new(identity)),
                        Err(error) => Verified::BadChain(error),
                    });
                    match is_good {
                        true => Ok(()),
                        false => Err(webrtc_dtls::Error::ErrClientCertificateNotVerified),
                    }
                }));
                library.cipher_suites = self.suites(KeyExchange::EcdheEcdsa);
            }
        }
        library
    }

    fn suites(&self, exchange: KeyExchange) -> Vec<CipherSuiteId> {
        let suites = self.config.suites.iter();
        let fitting = suites.filter(|suite| suite.key_exchange() == exchange);
        fitting.filter_map(|suite| id_of(*suite)).collect()
    }

    fn take(&mut self, report: Report<P>) {
        match report {
            Report::Transmit(path, datagram) => {
                if self.transmits.len() < REPORTS_MAX {
                    self.transmits.push_back(Transmit { path, datagram });
                }
            }
            Report::Up(path, session, peer) => {
                let connection = self.connections.get_mut(&path);
                let Some(connection) = connection.filter(|it| it.session == session) else {
                    return;
                };
                connection.peer = Some(Arc::clone(&peer));
                self.handshakes -= 1;
                self.pending.push_back(SecureEvent::Up {
                    session,
                    path,
                    peer,
                    replaces: None,
                });
            }
            Report::Data(session, data) => {
                if self.paths.contains_key(&session) {
                    let data = Plaintext::Owned(data);
                    self.pending.push_back(SecureEvent::Data { session, data });
                }
            }
            Report::Ended(path, session, reason) => self.forget(path, session, reason),
        }
    }

    fn forget(&mut self, path: P, session: SessionId, reason: Reason) {
        let is_this = |connection: &Connection| connection.session == session;
        if !self.connections.get(&path).is_some_and(is_this) {
            return;
        }
        let Some(connection) = self.connections.remove(&path) else {
            return;
        };
        self.paths.remove(&session);
        self.pending.push_back(match connection.peer.is_some() {
            true => SecureEvent::Down {
                session,
                path,
                reason,
            },
            false => {
                self.handshakes -= 1;
                SecureEvent::Failed {
                    session,
                    path,
                    reason,
                }
            }
        });
    }

    fn take_all(&mut self) {
        if let Some(report) = self.taken.take() {
            self.take(report);
        }
        while let Ok(report) = self.reports.try_recv() {
            self.take(report);
        }
    }
}

impl<P: Path + Send + Sync + 'static> SecureDatagram<P> for WebRtcDtls<P> {
    fn capabilities(&self) -> Capabilities {
        let psk = matches!(self.config.proof, WebRtcDtlsProof::Psk(_));
        Capabilities {
            backend: "webrtc-dtls",
            psk,
            raw_public_key: false,
            x509: !psk,
            psk_beside_x509: false,
            cid: false,
            resumption: false,
            export: false,
            stateless_cookie: false,
            parked_lookup: false,
            sessions_max: Some(self.config.sessions_max),
            handshakes_max: Some(self.config.handshakes_max),
        }
    }

    /// Takes the certificate of those who ask for no name, the trust store and whether clients
    /// must authenticate; pre-shared keys stay those of the function.
    fn set_server(&mut self, answers: Arc<ServerConfig>) {
        let WebRtcDtlsProof::X509 { .. } = &self.config.proof else {
            return;
        };
        let Some(certificates) = &answers.certificates else {
            return;
        };
        let server = certificates.default_certificate();
        match convert(server) {
            Ok(certificate) => self.certificates = vec![certificate],
            Err(error) => {
                tracing::warn!(%error, "the certificate stays as it was");
                return;
            }
        }
        let mut config = WebRtcDtlsConfig::clone(&self.config);
        config.proof = WebRtcDtlsProof::X509 {
            server: ServerCertificate::clone(server),
            trust: answers.trust.clone().unwrap_or_default(),
            client_authentication: match answers.client_authentication {
                lwm2m_dtls::ClientAuthentication::Required => ClientAuthentication::Required,
                _ => ClientAuthentication::Optional,
            },
        };
        self.config = Arc::new(config);
    }

    fn set_unix_time(&mut self, _: Instant, unix_s: u64) {
        self.unix_s.store(unix_s, Ordering::Relaxed);
    }

    fn handle(&mut self, _: Instant, path: P, datagram: &mut [u8]) {
        if datagram.len() > RECORD_BYTES_MAX {
            return;
        }
        let known = self.connections.get(&path);
        if known.is_some_and(|connection| connection.outgoing.is_closed()) {
            self.take_all();
            self.sweep();
        }
        if self.connections.contains_key(&path) || self.open(path, datagram) {
            let connection = self.connections.get(&path);
            // A peer that sends faster than its task reads loses datagrams.
            let _ = connection.map(|it| it.incoming.try_send(datagram.to_vec()));
        }
    }

    fn send(&mut self, _: Instant, session: SessionId, data: &[u8]) -> Result<(), SendError> {
        let path = self.paths.get(&session).ok_or(SendError::NotUp)?;
        let connection = self.connections.get(path).filter(|it| it.peer.is_some());
        let connection = connection.ok_or(SendError::NotUp)?;
        // Room for the header, the nonce and the tag.
        let max = RECORD_BYTES_MAX - 64;
        if data.len() > max {
            return Err(SendError::TooLarge { max });
        }
        // A queue that is full loses the datagram, as a network does.
        let _ = connection.outgoing.try_send(data.to_vec());
        Ok(())
    }

    fn answer(&mut self, _: Instant, _: SessionId, _: Verdict) -> bool {
        false
    }

    fn close(&mut self, _: Instant, session: SessionId) {
        if let Some(path) = self.paths.get(&session).copied() {
            let reason = Reason::new("closed", "the server closed the session");
            self.forget(path, session, reason);
        }
    }

    fn confirm_path(&mut self, _: SessionId) {}

    fn path(&self, session: SessionId) -> Option<P> {
        let path = self.paths.get(&session).copied()?;
        self.connections.get(&path)?.peer.as_ref()?;
        Some(path)
    }

    fn peer(&self, session: SessionId) -> Option<Arc<Peer>> {
        let connection = self.connections.get(self.paths.get(&session)?)?;
        connection.peer.clone()
    }

    fn next_timeout(&self) -> Option<Instant> {
        None // the tasks have timers of their own
    }

    fn on_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<SecureEvent<P>> {
        self.take_all();
        self.pending.pop_front()
    }

    fn poll_transmit(&mut self) -> Option<Transmit<P>> {
        self.take_all();
        self.transmits.pop_front()
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.taken.is_some() || !self.pending.is_empty() || !self.transmits.is_empty() {
            return Poll::Ready(());
        }
        match self.reports.poll_recv(context) {
            Poll::Ready(report) => {
                self.taken = report;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<P> fmt::Debug for WebRtcDtls<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcDtls")
            .field("connections", &self.connections.len())
            .field("handshakes", &self.handshakes)
            .finish_non_exhaustive()
    }
}

fn id_of(suite: CipherSuite) -> Option<CipherSuiteId> {
    Some(match suite {
        CipherSuite::PskCcm8 => CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8,
        CipherSuite::PskCcm => CipherSuiteId::Tls_Psk_With_Aes_128_Ccm,
        CipherSuite::PskGcm => CipherSuiteId::Tls_Psk_With_Aes_128_Gcm_Sha256,
        CipherSuite::EcdheEcdsaCcm8 => CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm_8,
        CipherSuite::EcdheEcdsaCcm => CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm,
        CipherSuite::EcdheEcdsaGcm => CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
        _ => return None,
    })
}

/// What a callback of the library has found out about the peer.
enum Verified {
    X509(Box<X509Identity>),
    BadChain(CertificateError),
    UnknownPsk(Box<[u8]>),
}

type Shown = Arc<Lock<Option<Verified>>>;

fn lock(shown: &Shown) -> std::sync::MutexGuard<'_, Option<Verified>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True for a datagram that begins with a ClientHello in plain.
fn is_client_hello(datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    datagram.first() == Some(&HANDSHAKE)
        && datagram.get(3..5) == Some(&[0, 0])
        && datagram.get(13) == Some(&CLIENT_HELLO)
}
