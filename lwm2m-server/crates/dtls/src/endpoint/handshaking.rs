//! Handshakes in flight: from the ClientHello with a good cookie to Up or Failed.

use super::Endpoint;
use super::clock::{Millis, NEVER, millis};
use super::session::{LastFlight, Session};
use super::types::{Event, Path, SessionId};
use crate::alert::{Alert, Level};
use crate::codec::Reader;
use crate::failure::{DownReason, Failure};
use crate::handshake::{Conversation, Environment, Fragment, MessageType, Role, Room, Step};
use crate::peer::Verdict;
use crate::record::{ContentType, Header, write_plain};

/// A handshake in flight.
pub(super) struct Handshake<P> {
    pub(super) path: P,
    pub(super) role: Role,
    pub(super) conversation: Conversation,
    /// The application is asked; what comes meanwhile waits.
    pub(super) parked: bool,
    /// Protected records that came before their keys were there.
    pub(super) early: Vec<u8>,
    /// Bytes of our datagrams.
    pub(super) mtu: usize,
    pub(super) timeout: Millis,
    pub(super) retransmit_at: Millis,
    pub(super) give_up_at: Millis,
    /// Set by a Finished that could not be decrypted.
    pub(super) bad_finished_at: Millis,
    /// How often the peer may still make us repeat this flight.
    pub(super) repeats_left: u8,
    pub(super) hello: [u8; 4],
}

/// Whether a handshake goes on after a step.
enum Progress<P> {
    On(Box<Handshake<P>>),
    Over,
}

impl<P> Handshake<P> {
    /// What every path carries: 576 bytes without the headers of IPv4 and UDP.
    const MTU_SAFE: usize = 548;

    pub(super) const REPEATS_MAX: u8 = 8;

    pub(super) fn deadline(&self) -> Millis {
        let retransmit_at = if self.parked {
            NEVER
        } else {
            self.retransmit_at
        };
        retransmit_at.min(self.give_up_at).min(self.bad_finished_at)
    }
}

impl<P: Path> Endpoint<P> {
    /// Takes a plain handshake record.
    pub(super) fn handshake_record(&mut self, path: P, header: &Header, record: &[u8]) {
        let mut reader = Reader::new(record);
        while !reader.is_empty() {
            let Some(fragment) = Fragment::read(&mut reader) else {
                self.statistics.malformed += 1;
                return;
            };
            match fragment.message_type {
                MessageType::ClientHello => self.client_hello(path, header, &fragment),
                // Finished is always protected; this one has been forged.
                MessageType::Finished => self.statistics.discarded += 1,
                _ => self.handshake_fragment(path, &fragment),
            }
        }
    }

    /// Takes a plain alert. It may have been forged, so it can end a handshake, never a session.
    pub(super) fn plain_alert(&mut self, path: P, record: &[u8]) {
        let Some((level, alert)) = Alert::parse(record) else {
            return;
        };
        if level == Level::Warning && alert != Alert::CLOSE_NOTIFY {
            return;
        }
        if let Some(id) = self.slots.place(path).handshake
            && let Some(handshake) = self.slots.take_handshake(id)
        {
            self.fail(id, handshake, Failure::PeerAlert(alert));
        }
    }

    /// Takes a protected record for a handshake. False when it is not authentic.
    pub(super) fn handshake_protected(
        &mut self,
        id: SessionId,
        path: P,
        header: &Header,
        record: &[u8],
    ) -> bool {
        let Some(mut handshake) = self.slots.take_handshake(id) else {
            return false;
        };
        if handshake.path != path {
            self.slots.put(id, handshake);
            return false;
        }
        if handshake.parked || handshake.role.candidates().is_empty() {
            let bytes = header.bytes + record.len();
            if handshake.early.len() + bytes <= self.config.limits.early_bytes_max {
                header.write_to(&mut handshake.early);
                handshake.early.extend_from_slice(record);
            }
            self.slots.put(id, handshake);
            return true;
        }
        let sequence = header.number.sequence();
        let mut candidates = handshake.role.candidates().iter();
        if candidates.any(|candidate| candidate.protection.has_seen(sequence)) {
            self.slots.put(id, handshake);
            return false;
        }
        let mut copy = Vec::new();
        let opened = handshake
            .role
            .candidates()
            .iter_mut()
            .position(|candidate| {
                copy.clear();
                copy.extend_from_slice(record);
                let opened = candidate.protection.open(header, &mut copy);
                if let Some(opened) = &opened {
                    copy.truncate(opened.end);
                    copy.drain(..opened.start);
                }
                opened.is_some_and(|opened| {
                    copy.insert(0, opened.content_type.code());
                    true
                })
            });
        let Some(index) = opened else {
            let is_finished = header.content_type != ContentType::ApplicationData
                && header.content_type != ContentType::Alert;
            if is_finished && handshake.role.bad_finished().is_some() {
                let grace = millis(self.config.timing.bad_finished_grace);
                let at = self.clock.now() + grace;
                handshake.bad_finished_at = handshake.bad_finished_at.min(at);
            }
            self.put_handshake(id, handshake);
            return false;
        };
        // The peer has shown which of the keys it has.
        handshake.role.candidates().swap(0, index);
        handshake.role.candidates().truncate(1);
        let (code, content) = copy.split_first().unwrap_or((&0, &[]));
        match ContentType::from_code(*code) {
            Some(ContentType::Handshake) => self.finished(id, handshake, content),
            Some(ContentType::Alert) => match Alert::parse(content) {
                Some((Level::Fatal, alert)) | Some((_, alert @ Alert::CLOSE_NOTIFY)) => {
                    self.fail(id, handshake, Failure::PeerAlert(alert));
                }
                _ => self.put_handshake(id, handshake),
            },
            // Application data before Finished: the peer will repeat it.
            _ => self.put_handshake(id, handshake),
        }
        true
    }

    /// Goes on with an answer of the application. False when nobody waits for it.
    pub(super) fn resume(&mut self, id: SessionId, verdict: Verdict) -> bool {
        let Some(mut handshake) = self.slots.take_handshake(id) else {
            return false;
        };
        if !std::mem::take(&mut handshake.parked) {
            self.slots.put(id, handshake);
            return false;
        }
        let mut environment = Environment {
            unix_s: self.unix_s(),
            limits: &self.config.limits,
            random: &mut *self.random,
            cache: &mut self.cache,
        };
        let conversation = &mut handshake.conversation;
        let step = handshake
            .role
            .answer(conversation, &mut environment, verdict);
        // The peer has waited for us, not we for it.
        handshake.retransmit_at = self.clock.now() + handshake.timeout;
        self.apply(id, handshake, step);
        true
    }

    /// Runs what is due of a handshake.
    pub(super) fn review_handshake(&mut self, id: SessionId) {
        let now = self.clock.now();
        let Some(mut handshake) = self.slots.take_handshake(id) else {
            return;
        };
        if handshake.bad_finished_at <= now
            && let Some(failure) = handshake.role.bad_finished()
        {
            return self.fail(id, handshake, failure);
        }
        if handshake.give_up_at <= now {
            let failure = match handshake.parked {
                true => Failure::Overloaded,
                false => Failure::Timeout {
                    expected: handshake.role.expected(),
                },
            };
            return self.fail(id, handshake, failure);
        }
        if !handshake.parked && handshake.retransmit_at <= now {
            let max = millis(self.config.timing.retransmission_max);
            handshake.timeout = (handshake.timeout * 2).min(max);
            handshake.retransmit_at = now + handshake.timeout;
            // RFC 6347 §4.1.1.1: perhaps the path carries less than we believe.
            if handshake.timeout >= 4 * millis(self.config.timing.retransmission_initial) {
                handshake.mtu = handshake.mtu.min(Handshake::<P>::MTU_SAFE);
            }
            self.repeat_flight(&mut handshake);
        }
        self.slots.put(id, handshake);
    }

    /// Ends a handshake that is not needed any more, in silence.
    pub(super) fn give_up(&mut self, path: P) {
        if let Some(id) = self.slots.place(path).handshake
            && let Some(handshake) = self.slots.take_handshake(id)
        {
            self.forget(id, handshake.path, Failure::GivenUp);
        }
    }

    /// Ends a handshake and tells the peer, where there is something to tell.
    pub(super) fn fail(
        &mut self,
        id: SessionId,
        mut handshake: Box<Handshake<P>>,
        failure: Failure,
    ) {
        if let Some(alert) = failure.alert() {
            self.say_alert(&mut handshake, alert);
        }
        self.forget(id, handshake.path, failure);
    }

    fn say_alert(&mut self, handshake: &mut Handshake<P>, alert: Alert) {
        let bytes = alert.encode(Level::Fatal);
        let scratch = &mut self.outbox.scratch;
        let is_protected = handshake.conversation.is_protected;
        match handshake.role.candidates().first_mut() {
            Some(candidate) if is_protected => {
                if !candidate
                    .protection
                    .seal(scratch, ContentType::Alert, &bytes)
                {
                    return;
                }
            }
            _ => {
                let sequence = handshake.conversation.record_sequence;
                handshake.conversation.record_sequence += 1;
                write_plain(scratch, ContentType::Alert, sequence, &bytes);
            }
        }
        self.outbox.push_scratch(handshake.path);
    }

    fn forget(&mut self, id: SessionId, path: P, failure: Failure) {
        self.slots.remove(id, path);
        self.statistics.failures += 1;
        self.outbox.events.push_back(Event::Failed {
            session: id,
            path,
            failure,
        });
    }

    pub(super) fn handshake_fragment(&mut self, path: P, fragment: &Fragment<'_>) {
        let id = self.slots.place(path).handshake;
        let Some((id, mut handshake)) =
            id.and_then(|id| Some((id, self.slots.take_handshake(id)?)))
        else {
            self.statistics.discarded += 1;
            return;
        };
        let due = handshake.conversation.inbound.due();
        let is_last = fragment.offset + fragment.data.len() == fragment.length;
        if fragment.sequence.wrapping_add(1) == due && is_last {
            // The end of the flight that we have answered: our answer was lost.
            if handshake.conversation.answered == due
                && !handshake.parked
                && let Some(left) = handshake.repeats_left.checked_sub(1)
            {
                handshake.repeats_left = left;
                self.repeat_flight(&mut handshake);
            }
            return self.slots.put(id, handshake);
        }
        let limits = &self.config.limits;
        match handshake.conversation.inbound.add(fragment, limits) {
            Ok(()) => self.advance(id, handshake),
            Err(failure) => self.fail(id, handshake, failure),
        }
    }

    /// Takes the contents of a protected handshake record.
    fn finished(&mut self, id: SessionId, mut handshake: Box<Handshake<P>>, content: &[u8]) {
        let fragment = Fragment::read(&mut Reader::new(content));
        let Some(fragment) =
            fragment.filter(|fragment| fragment.message_type == MessageType::Finished)
        else {
            return self.put_handshake(id, handshake);
        };
        let limits = &self.config.limits;
        match handshake.conversation.inbound.add(&fragment, limits) {
            Ok(()) => self.advance(id, handshake),
            Err(failure) => self.fail(id, handshake, failure),
        }
    }

    /// Takes the messages that are whole.
    fn advance(&mut self, id: SessionId, mut handshake: Box<Handshake<P>>) {
        while !handshake.parked
            && let Some(message) = handshake.conversation.inbound.next()
        {
            let mut environment = Environment {
                unix_s: self.unix_s(),
                limits: &self.config.limits,
                random: &mut *self.random,
                cache: &mut self.cache,
            };
            let conversation = &mut handshake.conversation;
            let step = handshake
                .role
                .message(conversation, &mut environment, &message);
            match self.take_step(id, handshake, step) {
                Progress::On(on) => handshake = on,
                Progress::Over => return,
            }
        }
        self.take_early(id, handshake);
    }

    /// Takes a step, and what waited for it.
    pub(super) fn apply(
        &mut self,
        id: SessionId,
        handshake: Box<Handshake<P>>,
        step: Result<Step, Failure>,
    ) {
        if let Progress::On(handshake) = self.take_step(id, handshake, step) {
            self.advance(id, handshake);
        }
    }

    fn take_step(
        &mut self,
        id: SessionId,
        mut handshake: Box<Handshake<P>>,
        step: Result<Step, Failure>,
    ) -> Progress<P> {
        match step {
            Ok(Step::More) => {}
            Ok(Step::Send) => {
                handshake.timeout = millis(self.config.timing.retransmission_initial);
                handshake.retransmit_at = self.clock.now() + handshake.timeout;
                handshake.repeats_left = Handshake::<P>::REPEATS_MAX;
                self.send_flight(&mut handshake);
            }
            Ok(Step::Ask(lookup)) => {
                handshake.parked = true;
                self.outbox.events.push_back(Event::Lookup {
                    session: id,
                    path: handshake.path,
                    lookup,
                });
            }
            Ok(Step::Up { send }) => {
                self.rise(id, handshake, send);
                return Progress::Over;
            }
            Err(failure) => {
                self.fail(id, handshake, failure);
                return Progress::Over;
            }
        }
        Progress::On(handshake)
    }

    /// Takes the protected records that waited for their keys.
    fn take_early(&mut self, id: SessionId, mut handshake: Box<Handshake<P>>) {
        if handshake.parked || handshake.early.is_empty() || handshake.role.candidates().is_empty()
        {
            return self.put_handshake(id, handshake);
        }
        let early = std::mem::take(&mut handshake.early);
        let path = handshake.path;
        self.put_handshake(id, handshake);
        let mut rest = &early[..];
        while let Some(header) = Header::parse(rest) {
            let (record, next) = rest[header.bytes..].split_at(header.length);
            self.handshake_protected(id, path, &header, record);
            rest = next;
        }
    }

    /// Turns a handshake into a session.
    fn rise(&mut self, id: SessionId, mut handshake: Box<Handshake<P>>, send: bool) {
        if send {
            self.send_flight(&mut handshake);
        }
        let path = handshake.path;
        let Handshake {
            role,
            conversation,
            hello,
            ..
        } = *handshake;
        let Some(outcome) = role.finish() else {
            return self.forget(id, path, Failure::Crypto("key derivation"));
        };
        let now = self.clock.now();
        let last_flight = send.then(|| {
            Box::new(LastFlight {
                flight: conversation.flight,
                sequence: conversation.record_sequence,
                until: now + millis(self.config.timing.last_flight),
            })
        });
        let peer = outcome.peer.clone();
        let session = Session {
            path,
            protection: outcome.protection,
            peer: outcome.peer,
            last_flight,
            active: now,
            fragment_max: conversation.fragment_max as u16,
            allowance: None,
            hello,
            resumption: outcome.resumption,
        };
        let earlier = self.slots.promote(id, Box::new(session));
        let replaces = earlier.filter(|earlier| self.is_superseded(*earlier, &peer.identity));
        self.statistics.handshakes += 1;
        self.outbox.events.push_back(Event::Up {
            session: id,
            path,
            peer,
            replaces,
        });
        if let Some(earlier) = replaces {
            self.end_session(earlier, DownReason::Replaced);
        }
        self.arm(id);
    }

    /// True when a session at the path of a new one is of no use any more: it is the same peer's,
    /// or its records could not be told from those of the new one.
    fn is_superseded(&self, earlier: SessionId, identity: &crate::peer::Identity) -> bool {
        self.slots.session(earlier).is_some_and(|session| {
            session.peer.identity == *identity || session.protection.read_cid().is_none()
        })
    }

    fn send_flight(&mut self, handshake: &mut Handshake<P>) {
        let room = Room {
            mtu: handshake.mtu,
            fragment: handshake.conversation.fragment_max,
        };
        let (path, outbox) = (handshake.path, &mut self.outbox);
        let candidate = handshake.role.candidates().first_mut();
        let protection = candidate.map(|candidate| &mut candidate.protection);
        let conversation = &mut handshake.conversation;
        let sequence = &mut conversation.record_sequence;
        conversation
            .flight
            .send(sequence, protection, room, &mut |datagram| {
                outbox.push(path, datagram);
            });
    }

    pub(super) fn repeat_flight(&mut self, handshake: &mut Handshake<P>) {
        if !handshake.conversation.flight.is_empty() {
            self.send_flight(handshake);
            self.statistics.retransmitted += 1;
        }
    }

    fn put_handshake(&mut self, id: SessionId, handshake: Box<Handshake<P>>) {
        self.slots.put(id, handshake);
        self.arm(id);
    }
}
