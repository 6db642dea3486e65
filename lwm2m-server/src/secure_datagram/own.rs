//! The default backend: `lwm2m-dtls`.

use std::sync::Arc;
use std::time::Instant;

use lwm2m_dtls::{DownReason, Endpoint, Event, Failure};

use super::{
    Capabilities, Path, Peer, Plaintext, SecureDatagram, SecureEvent, SendError, ServerConfig,
    SessionId, Transmit, Verdict,
};
use crate::Reason;

impl<P: Path + Send> SecureDatagram<P> for Endpoint<P> {
    fn capabilities(&self) -> Capabilities {
        let own = Endpoint::capabilities(self);
        Capabilities {
            backend: "lwm2m-dtls",
            psk: own.psk,
            raw_public_key: own.raw_public_key,
            x509: own.x509,
            psk_beside_x509: own.psk && own.x509,
            cid: own.cid,
            resumption: own.resumption,
            export: own.export,
            stateless_cookie: true,
            parked_lookup: true,
            sessions_max: None,
            handshakes_max: None,
        }
    }

    fn set_server(&mut self, server: Arc<ServerConfig>) {
        Endpoint::set_server(self, Some(server));
    }

    fn set_unix_time(&mut self, now: Instant, unix_s: u64) {
        Endpoint::set_unix_time(self, now, unix_s);
    }

    fn handle(&mut self, now: Instant, path: P, datagram: &mut [u8]) {
        Endpoint::handle(self, now, path, datagram);
    }

    fn send(&mut self, now: Instant, session: SessionId, data: &[u8]) -> Result<(), SendError> {
        Endpoint::send(self, now, session, data)
    }

    fn answer(&mut self, now: Instant, session: SessionId, verdict: Verdict) -> bool {
        Endpoint::answer(self, now, session, verdict)
    }

    fn close(&mut self, now: Instant, session: SessionId) {
        Endpoint::close(self, now, session);
    }

    fn confirm_path(&mut self, session: SessionId) {
        Endpoint::confirm_path(self, session);
    }

    fn path(&self, session: SessionId) -> Option<P> {
        Endpoint::path(self, session)
    }

    fn peer(&self, session: SessionId) -> Option<Arc<Peer>> {
        Endpoint::peer(self, session).cloned()
    }

    fn next_timeout(&self) -> Option<Instant> {
        Endpoint::next_timeout(self)
    }

    fn on_timeout(&mut self, now: Instant) {
        Endpoint::on_timeout(self, now);
    }

    fn poll_event(&mut self) -> Option<SecureEvent<P>> {
        loop {
            let event = Endpoint::poll_event(self)?;
            if let Some(event) = translate(event) {
                return Some(event);
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<P>> {
        Endpoint::poll_transmit(self)
    }
}

/// None for what concerns clients only.
fn translate<P>(event: Event<P>) -> Option<SecureEvent<P>> {
    Some(match event {
        Event::Lookup {
            session,
            path,
            lookup,
        } => SecureEvent::Lookup {
            session,
            path,
            lookup,
        },
        Event::Up {
            session,
            path,
            peer,
            replaces,
        } => SecureEvent::Up {
            session,
            path,
            peer,
            replaces,
        },
        Event::Data { session, range } => SecureEvent::Data {
            session,
            data: Plaintext::InPlace(range),
        },
        Event::PathChanged { session, from, to } => SecureEvent::PathChanged { session, from, to },
        Event::Down {
            session,
            path,
            reason,
        } => SecureEvent::Down {
            session,
            path,
            reason: ended(&reason),
        },
        Event::Failed {
            session,
            path,
            failure,
        } => SecureEvent::Failed {
            session,
            path,
            reason: failed(&failure),
        },
        Event::Dropped { path, overload } => SecureEvent::Dropped {
            path,
            reason: Reason::new(overload.reason(), overload.to_string()).hint(overload.hint()),
        },
        _ => return None,
    })
}

fn ended(reason: &DownReason) -> Reason {
    let sentence = match reason {
        DownReason::PeerClosed => "the device closed the session".to_owned(),
        DownReason::PeerAlert(alert) => format!("the device ended the session: {alert}"),
        DownReason::Closed => "the server closed the session".to_owned(),
        DownReason::Replaced => "another session took its place".to_owned(),
        DownReason::Idle => "nothing came for too long".to_owned(),
        other => other.reason().to_owned(),
    };
    let told = Reason::new(reason.reason(), sentence);
    match reason.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn failed(failure: &Failure) -> Reason {
    let reason = Reason::new(failure.reason(), failure.to_string());
    match failure.hint() {
        Some(hint) => reason.hint(hint),
        None => reason,
    }
}
