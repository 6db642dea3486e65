//! The task of one peer: the library's handshake, then its session.

use std::sync::Arc;

use bytes::Bytes;
use lwm2m_dtls::{CipherSuite, Identity, Path, Peer, SessionId};
use tokio::sync::mpsc;
use webrtc_dtls::config::Config;
use webrtc_dtls::conn::DTLSConn;
use webrtc_util::Conn;

use super::pipe::Pipe;
use super::{RECORD_BYTES_MAX, Report, Shown, Verified, WebRtcDtlsConfig, WebRtcDtlsProof, lock};
use crate::Reason;

/// One peer.
pub(super) struct Task<P> {
    pub(super) path: P,
    pub(super) session: SessionId,
    pub(super) pipe: Arc<Pipe<P>>,
    /// Application data to the peer; the session ends when nobody can send any more.
    pub(super) messages: mpsc::Receiver<Vec<u8>>,
    pub(super) config: Arc<WebRtcDtlsConfig>,
    pub(super) library: Config,
    /// What the callbacks of the library have found out.
    pub(super) verdict: Shown,
    pub(super) reporter: mpsc::Sender<Report<P>>,
}

impl<P: Path + Send + Sync + 'static> Task<P> {
    pub(super) async fn run(mut self) {
        let (path, session, reporter) = (self.path, self.session, self.reporter.clone());
        let reason = self.serve().await;
        // Nobody waits for it when the backend is gone.
        let _ = reporter.send(Report::Ended(path, session, reason)).await;
    }

    /// The session from its first datagram to its end, and why it ended.
    async fn serve(&mut self) -> Reason {
        let pipe: Arc<dyn Conn + Send + Sync> = Arc::clone(&self.pipe) as _;
        let handshake = DTLSConn::new(pipe, self.library.clone(), false, None);
        let conn = tokio::select! {
            conn = tokio::time::timeout(self.config.handshake_timeout, handshake) => conn,
            () = closed(&mut self.messages) => return given_up(),
        };
        let conn = match conn {
            Err(_) => return Reason::new("dtls-timeout", "the peer did not end its handshake"),
            Ok(Err(error)) => return self.failed(&error),
            Ok(Ok(conn)) => conn,
        };
        let state = conn.connection_state().await;
        let identity = match (&self.config.proof, lock(&self.verdict).take()) {
            (WebRtcDtlsProof::Psk(_), _) => Identity::Psk(state.identity_hint.into()),
            (WebRtcDtlsProof::X509 { .. }, Some(Verified::X509(identity))) => {
                Identity::X509(identity)
            }
            (WebRtcDtlsProof::X509 { .. }, _) => Identity::Anonymous,
        };
        // The library does not tell which suite was agreed on; this is the one that LwM2M demands.
        let suite = match self.config.proof {
            WebRtcDtlsProof::Psk(_) => CipherSuite::PskCcm8,
            WebRtcDtlsProof::X509 { .. } => CipherSuite::EcdheEcdsaCcm8,
        };
        let peer = Arc::new(Peer::new(identity, suite));
        let up = Report::Up(self.path, self.session, peer);
        if self.reporter.send(up).await.is_err() {
            return given_up();
        }
        let reason = self.exchange(&conn).await;
        // Nothing can be done for a peer that does not hear it.
        let _ = conn.close().await;
        reason
    }

    async fn exchange(&mut self, conn: &DTLSConn) -> Reason {
        let mut buffer = vec![0; RECORD_BYTES_MAX];
        let idle = self.config.session_idle;
        loop {
            tokio::select! {
                read = conn.read(&mut buffer, Some(idle)) => match read {
                    Ok(length) => {
                        let data = Bytes::copy_from_slice(&buffer[..length]);
                        let data = Report::Data(self.session, data);
                        if self.reporter.send(data).await.is_err() {
                            return given_up();
                        }
                    }
                    Err(error) => {
                        return Reason::new("session-ended", format!("the session ended: {error}"));
                    }
                },
                message = self.messages.recv() => match message {
                    Some(message) => {
                        if let Err(error) = conn.write(&message, None).await {
                            return Reason::new("session-ended", format!("cannot send: {error}"));
                        }
                    }
                    None => return given_up(),
                },
            }
        }
    }

    fn failed(&self, error: &webrtc_dtls::Error) -> Reason {
        match lock(&self.verdict).take() {
            Some(Verified::BadChain(error)) => {
                Reason::new(error.fault.reason(), error.to_string()).hint(error.fault.hint())
            }
            Some(Verified::UnknownPsk(identity)) => {
                let identity = crate::identity::Shown(&identity);
                let sentence = format!("the psk identity {identity} is not known");
                Reason::new("psk-identity-unknown", sentence)
                    .hint("add a credential of this identity, or mend the identity of the device")
            }
            _ => Reason::new("dtls-handshake", format!("the handshake failed: {error}"))
                .hint("compare keys, certificates and cipher suites of both sides"),
        }
    }
}

/// Waits until nobody can send any more.
async fn closed(messages: &mut mpsc::Receiver<Vec<u8>>) {
    while messages.recv().await.is_some() {}
}

fn given_up() -> Reason {
    Reason::new("closed", "the server closed the session")
}
