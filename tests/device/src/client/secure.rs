//! DTLS between a client and its server.
//!
//! ```text
//! CoAP engine ─> to_server ─┬─ session up ──> dtls ─> outbox
//!                           └─ none yet ────> waits, a handshake begins
//! datagram ─> secure_datagram ─> dtls ─┬─> Data ──> CoAP engine
//!                                      ├─> Up ────> what waited goes out
//!                                      └─> Failed, Down
//! ```
//!
//! A session that the server has lost shows as a request without an answer: the session is
//! dropped, and the next Register begins with a handshake.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use lwm2m_coap::Transmit;
use lwm2m_core::{Path, Value};
use lwm2m_dtls::{
    ClientConfig, Config, Endpoint, Event, Failure, Limits, Resumption, SendError, SessionId,
    SystemRandom,
};

use super::{Client, DeviceEvent, DtlsAccount, RegistrationError};

/// `/1/x/11`, the last alert that the server sent.
const LAST_ALERT: u16 = 11;

/// The client's side of a session, and what it takes to have another one.
pub(super) struct Secure {
    account: DtlsAccount,
    dtls: Endpoint<SocketAddr>,
    session: Session,
    resumption: Option<Resumption>,
    waiting: VecDeque<Bytes>,
    /// The datagram in hand, which is decrypted in place.
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    None,
    Connecting(SessionId),
    Up(SessionId),
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure")
            .field("account", &self.account)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Secure {
    pub(super) fn new(account: DtlsAccount) -> Secure {
        let config = Config {
            server: None,
            timing: account.timing,
            limits: Limits {
                // The session in use, the one that takes its place, and no more.
                sessions_max: 4,
                handshakes_max: 2,
                resumable_sessions_max: 0,
                ..Limits::default()
            },
            ..Config::default()
        };
        Secure {
            account,
            dtls: Endpoint::new(config, SystemRandom),
            session: Session::None,
            resumption: None,
            waiting: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    pub(super) fn set_unix_time(&mut self, now: Instant, unix_s: f64) {
        // A time before 1970 counts as 1970.
        self.dtls.set_unix_time(now, unix_s as u64);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dtls.next_timeout()
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        self.dtls.on_timeout(now);
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit<SocketAddr>> {
        let transmit = self.dtls.poll_transmit()?;
        Some(Transmit {
            peer: transmit.path,
            datagram: transmit.datagram,
        })
    }

    /// Protects a message, or keeps it until there is a session.
    ///
    /// # Errors
    /// The account is of no use for a handshake.
    pub(super) fn send(
        &mut self,
        now: Instant,
        server: SocketAddr,
        message: Bytes,
    ) -> Result<(), Failure> {
        if let Session::Up(session) = self.session {
            match self.dtls.send(now, session, &message) {
                Err(SendError::NotUp | SendError::Exhausted) => self.session = Session::None,
                Err(error) => {
                    tracing::debug!(%error, "message not sent");
                    return Ok(());
                }
                Ok(()) => return Ok(()),
            }
        }
        self.wait(message);
        if self.session == Session::None {
            self.connect(now, server)?;
        }
        Ok(())
    }

    /// Keeps a message for the session to come; the CoAP engine repeats what waits long.
    fn wait(&mut self, message: Bytes) {
        if self.waiting.contains(&message) {
            return;
        }
        // The oldest goes, as on a network that loses it.
        if self.waiting.len() >= self.account.waiting_max.max(1) {
            self.waiting.pop_front();
        }
        self.waiting.push_back(message);
    }

    fn connect(&mut self, now: Instant, server: SocketAddr) -> Result<(), Failure> {
        let mut config = ClientConfig::clone(&self.account.client);
        config.resume = self.resumption.clone().filter(|_| self.account.resumes);
        match self.dtls.connect(now, server, Arc::new(config)) {
            Ok(session) => self.session = Session::Connecting(session),
            Err(lwm2m_dtls::ConnectError::Configuration(failure)) => return Err(failure),
            Err(error) => tracing::debug!(%error, "no handshake"),
        }
        Ok(())
    }

    /// Sends what has waited for the session.
    fn up(&mut self, now: Instant, session: SessionId) {
        self.session = Session::Up(session);
        self.resumption = self.dtls.resumption(session);
        for message in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.dtls.send(now, session, &message) {
                tracing::debug!(%error, "message not sent");
            }
        }
    }

    fn is_current(&self, session: SessionId) -> bool {
        matches!(self.session, Session::Connecting(id) | Session::Up(id) if id == session)
    }

    /// Ends the session, or the handshake; says so to the server if it listens.
    fn close(&mut self, now: Instant) {
        self.waiting.clear();
        let session = std::mem::replace(&mut self.session, Session::None);
        if let Session::Connecting(session) | Session::Up(session) = session {
            self.dtls.close(now, session);
        }
    }
}

impl Client {
    /// Forgets the session without a word, as a device that slept without keeping it. The next
    /// message begins with a handshake. Without DTLS nothing happens.
    pub fn forget_session(&mut self) {
        if let Some(secure) = &mut self.secure {
            secure.waiting.clear();
            secure.session = Session::None;
        }
    }

    /// Sends a message of the CoAP engine: protected, when it is to the server of such an account.
    pub(super) fn transmit(&mut self, now: Instant, transmit: Transmit<SocketAddr>) {
        let server = self.config.server;
        if transmit.peer == server && self.is_cut_off() {
            return;
        }
        let Some(secure) = self.secure.as_mut().filter(|_| transmit.peer == server) else {
            return self.outbox.push_back(transmit);
        };
        if let Err(failure) = secure.send(now, server, transmit.datagram) {
            self.handshake_failed(now, failure);
        }
    }

    /// Takes a datagram that came over DTLS.
    pub(super) fn secure_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        let Some(secure) = &mut self.secure else {
            return;
        };
        let mut buffer = std::mem::take(&mut secure.buffer);
        buffer.clear();
        buffer.extend_from_slice(datagram);
        secure.dtls.handle(now, peer, &mut buffer);
        self.secure_events(now, &buffer);
        if let Some(secure) = &mut self.secure {
            secure.buffer = buffer;
        }
    }

    /// Takes what DTLS has to say. Data stands in the datagram.
    pub(super) fn secure_events(&mut self, now: Instant, datagram: &[u8]) {
        while let Some(event) = self.secure.as_mut().and_then(|s| s.dtls.poll_event()) {
            let Some(secure) = &mut self.secure else {
                return;
            };
            match event {
                Event::Data { session, range } if secure.is_current(session) => {
                    if let Some(message) = datagram.get(range) {
                        self.message(now, self.config.server, message);
                    }
                }
                Event::Up { session, peer, .. } if secure.is_current(session) => {
                    secure.up(now, session);
                    self.tell(DeviceEvent::SessionUp {
                        suite: peer.suite,
                        resumed: peer.resumed,
                    });
                }
                Event::Failed {
                    session, failure, ..
                } if secure.is_current(session) => {
                    secure.session = Session::None;
                    secure.resumption = None;
                    secure.waiting.clear();
                    self.handshake_failed(now, failure);
                }
                Event::Down {
                    session, reason, ..
                } if secure.is_current(session) => {
                    secure.session = Session::None;
                    // What the server has ended it may not want to continue.
                    secure.resumption = None;
                    self.tell(DeviceEvent::SessionDown { reason });
                }
                _ => {}
            }
        }
    }

    /// Starts anew as after a power cycle.
    pub(super) fn reset_session(&mut self, now: Instant) {
        if let Some(account) = self.config.dtls.clone() {
            let mut secure = Secure::new(account);
            if let Some(unix_s) = self.tree.unix_s(now) {
                secure.set_unix_time(now, unix_s as f64);
            }
            self.secure = Some(secure);
        }
    }

    /// Ends the session; the next message begins with a handshake.
    pub(super) fn close_session(&mut self, now: Instant) {
        if let Some(secure) = &mut self.secure {
            secure.close(now);
        }
    }

    fn handshake_failed(&mut self, now: Instant, failure: Failure) {
        if let Failure::PeerAlert(alert) = failure {
            let path = Path::resource(1, self.config.server_instance, LAST_ALERT);
            self.tree.set(&path, Value::Unsigned(u64::from(alert.0)));
        }
        let reason = RegistrationError::Handshake(failure);
        match self.bootstrap.is_active() {
            true => self.bootstrap_failed(now, None, reason),
            false => self.give_up(now, reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_above_the_limit_takes_the_place_of_the_oldest() {
        let account = DtlsAccount::psk(b"a", b"sixteen bytes ok").expect("a key");
        let mut secure = Secure::new(account.waiting_max(2));
        let server = SocketAddr::from(([192, 0, 2, 1], 5684));
        let now = Instant::now();
        for message in [&b"1"[..], b"2", b"2", b"3"] {
            let sent = secure.send(now, server, Bytes::from_static(message));
            sent.expect("an account of use");
        }
        assert_eq!(secure.waiting, [&b"2"[..], b"3"]);
    }
}
