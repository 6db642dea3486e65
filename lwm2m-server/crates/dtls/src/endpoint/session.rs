//! Sessions that are up: records in, records out, the last flight, the path.

use std::sync::Arc;

use super::clock::{Millis, NEVER, millis};
use super::types::{Event, Path, SendError, SessionId};
use super::{Endpoint, slots::Occupant};
use crate::alert::{Alert, Level};
use crate::codec::Reader;
use crate::failure::DownReason;
use crate::handshake::{Flight, Fragment, MessageType, Room};
use crate::peer::Peer;
use crate::record::{ContentType, Header, Protection};
use crate::resumption::Resumption;

/// A session that is up.
pub(super) struct Session<P> {
    pub(super) path: P,
    pub(super) protection: Protection,
    pub(super) peer: Arc<Peer>,
    /// Kept until the peer shows that it has it.
    pub(super) last_flight: Option<Box<LastFlight>>,
    /// When a record last came or went.
    pub(super) active: Millis,
    /// The longest plaintext that the peer takes.
    pub(super) fragment_max: u16,
    /// Bytes that may still go to an address that has not answered.
    pub(super) allowance: Option<u32>,
    /// Tells a late repetition of the ClientHello that the session began with.
    pub(super) hello: [u8; 4],
    /// For a client, what it may continue the session with.
    pub(super) resumption: Option<Box<Resumption>>,
}

/// Our flight that ended the handshake.
pub(super) struct LastFlight {
    pub(super) flight: Flight,
    /// Next record of epoch 0.
    pub(super) sequence: u64,
    pub(super) until: Millis,
}

impl<P> Session<P> {
    /// When the session is to be looked at.
    pub(super) fn deadline(&self, idle: Option<Millis>) -> Millis {
        let flight = self.last_flight.as_ref().map_or(NEVER, |last| last.until);
        flight.min(idle.map_or(NEVER, |idle| self.active + idle))
    }
}

impl<P: Path> Endpoint<P> {
    /// Sends application data, as one record in one datagram.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub(super) fn seal(&mut self, id: SessionId, data: &[u8]) -> Result<(), SendError> {
        let now = self.clock.now();
        let session = self.slots.session_mut(id).ok_or(SendError::NotUp)?;
        let max = usize::from(session.fragment_max);
        if data.len() > max {
            return Err(SendError::TooLarge { max });
        }
        if let Some(allowance) = &mut session.allowance {
            let bytes = data.len() + session.protection.overhead();
            let left = allowance.checked_sub(bytes as u32);
            *allowance = left.ok_or(SendError::PathNotConfirmed)?;
        }
        let scratch = &mut self.outbox.scratch;
        if !session
            .protection
            .seal(scratch, ContentType::ApplicationData, data)
        {
            return Err(SendError::Exhausted);
        }
        session.active = now;
        let path = session.path;
        self.outbox.push_scratch(path);
        Ok(())
    }

    /// Takes a protected record for a session. False when it is not authentic or a replay; the
    /// fragment is then of no use any more.
    pub(super) fn session_record(
        &mut self,
        id: SessionId,
        path: P,
        header: &Header,
        fragment: &mut [u8],
        offset: usize,
    ) -> bool {
        let now = self.clock.now();
        let Some(session) = self.slots.session_mut(id) else {
            return false;
        };
        let Some(opened) = session.protection.open(header, fragment) else {
            return false;
        };
        session.active = now;
        // RFC 9146 §6: only the newest record moves the peer.
        if path != session.path && opened.newest && session.protection.read_cid().is_some() {
            self.change_path(id, path);
        }
        let Some(session) = self.slots.session_mut(id) else {
            return true;
        };
        if let Some(allowance) = &mut session.allowance
            && session.path == path
        {
            let received = (header.bytes + header.length) as u32;
            *allowance = allowance.saturating_add(3 * received);
        }
        match opened.content_type {
            ContentType::ApplicationData
                if opened.end - opened.start > usize::from(self.config.limits.record_size_max) =>
            {
                // RFC 8449 §4 lets us drop what exceeds the limit that the peer was told.
                self.statistics.discarded += 1;
            }
            ContentType::ApplicationData => {
                // Whoever has our last flight only can send this.
                session.last_flight = None;
                self.outbox.events.push_back(Event::Data {
                    session: id,
                    range: offset + opened.start..offset + opened.end,
                });
            }
            ContentType::Alert => {
                self.session_alert(id, &fragment[opened.start..opened.end]);
            }
            ContentType::Handshake => {
                self.session_handshake(id, &fragment[opened.start..opened.end]);
            }
            ContentType::ChangeCipherSpec | ContentType::Tls12Cid => {}
        }
        true
    }

    /// The peer says something about the session itself.
    fn session_alert(&mut self, id: SessionId, bytes: &[u8]) {
        match Alert::parse(bytes) {
            Some((_, Alert::CLOSE_NOTIFY)) => {
                self.send_alert(id, Alert::CLOSE_NOTIFY, Level::Warning);
                self.end_session(id, DownReason::PeerClosed);
            }
            Some((Level::Fatal, alert)) => self.end_session(id, DownReason::PeerAlert(alert)),
            _ => {}
        }
    }

    /// The peer repeats its Finished, or wants to negotiate anew.
    fn session_handshake(&mut self, id: SessionId, bytes: &[u8]) {
        let Some(fragment) = Fragment::read(&mut Reader::new(bytes)) else {
            return;
        };
        match fragment.message_type {
            MessageType::Finished => self.repeat_last_flight(id),
            MessageType::ClientHello | MessageType::HelloRequest => {
                self.send_alert(id, Alert::NO_RENEGOTIATION, Level::Warning);
            }
            _ => {}
        }
    }

    fn repeat_last_flight(&mut self, id: SessionId) {
        let mtu = self.config.limits.mtu;
        let Some(session) = self.slots.session_mut(id) else {
            return;
        };
        let Some(last) = &mut session.last_flight else {
            return;
        };
        let room = Room {
            mtu,
            fragment: session.fragment_max.into(),
        };
        let (path, outbox) = (session.path, &mut self.outbox);
        let protection = Some(&mut session.protection);
        last.flight
            .send(&mut last.sequence, protection, room, &mut |datagram| {
                outbox.push(path, datagram);
            });
        self.statistics.retransmitted += 1;
    }

    fn change_path(&mut self, id: SessionId, to: P) {
        let allowance = self.config.limits.unconfirmed_path_bytes;
        let Some(session) = self.slots.session_mut(id) else {
            return;
        };
        let from = std::mem::replace(&mut session.path, to);
        session.allowance = Some(u32::try_from(allowance).unwrap_or(u32::MAX));
        self.slots.move_session(id, from, to);
        self.outbox.events.push_back(Event::PathChanged {
            session: id,
            from,
            to,
        });
    }

    /// Sends an alert under the session's keys.
    pub(super) fn send_alert(&mut self, id: SessionId, alert: Alert, level: Level) {
        let Some(session) = self.slots.session_mut(id) else {
            return;
        };
        let alert = alert.encode(level);
        let scratch = &mut self.outbox.scratch;
        if session.protection.seal(scratch, ContentType::Alert, &alert) {
            let path = session.path;
            self.outbox.push_scratch(path);
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId, reason: DownReason) {
        let Some(Occupant::Session(session)) = self.slots.occupant(id) else {
            return;
        };
        let path = session.path;
        self.slots.remove(id, path);
        self.outbox.events.push_back(Event::Down {
            session: id,
            path,
            reason,
        });
    }

    /// Runs what is due of a session.
    pub(super) fn review_session(&mut self, id: SessionId) {
        let now = self.clock.now();
        let idle = self.config.limits.session_idle.map(millis);
        let Some(session) = self.slots.session_mut(id) else {
            return;
        };
        if session
            .last_flight
            .as_ref()
            .is_some_and(|last| last.until <= now)
        {
            session.last_flight = None;
        }
        if idle.is_some_and(|idle| session.active + idle <= now) {
            self.send_alert(id, Alert::CLOSE_NOTIFY, Level::Warning);
            self.end_session(id, DownReason::Idle);
        }
    }
}
