//! The engine: all sessions of a shard.

mod beginning;
mod clock;
mod exporting;
mod handshaking;
mod outbox;
mod rate;
mod session;
mod slots;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use types::{
    Capabilities, ConnectError, Event, ImportError, Path, SendError, SessionId, Statistics,
    Transmit,
};

use zeroize::Zeroizing;

use self::clock::{Clock, NEVER, Timers, millis};
use self::outbox::Outbox;
use self::rate::HandshakeRate;
use self::slots::{Occupant, Slots};
use crate::alert::{Alert, Level};
use crate::cid::Cid;
use crate::config::{ClientConfig, Config, ServerConfig};
use crate::cookie::Cookies;
use crate::failure::{DownReason, Failure};
use crate::peer::{Peer, Verdict};
use crate::random::Random;
use crate::record::{ContentType, Header};
use crate::resumption::{Resumption, SessionCache};

/// All sessions of a shard, as a server and as a client.
///
/// After every call, drain [`Endpoint::poll_event`] and [`Endpoint::poll_transmit`]; the plaintext
/// of [`Event::Data`] stands in the datagram that was handled last. `P` is how a peer is reached.
pub struct Endpoint<P> {
    config: Config,
    random: Box<dyn Random>,
    cookies: Cookies,
    clock: Clock,
    timers: Timers,
    slots: Slots<P>,
    outbox: Outbox<P>,
    statistics: Statistics,
    /// A time, and the second since 1970 that it was.
    calendar: Option<(Instant, u64)>,
    cache: SessionCache,
    rate: HandshakeRate,
}

impl<P: Path> fmt::Debug for Endpoint<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("sessions", &self.sessions())
            .field("handshakes", &self.handshakes())
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

impl<P: Path> Endpoint<P> {
    /// An endpoint; `random` is [`SystemRandom`](crate::SystemRandom) outside of simulations.
    pub fn new(config: Config, random: impl Random + 'static) -> Endpoint<P> {
        let mut random: Box<dyn Random> = Box::new(random);
        Endpoint {
            cache: SessionCache::new(config.limits.resumable_sessions_max),
            rate: HandshakeRate::new(config.limits.handshakes_per_address_per_second_max),
            config,
            cookies: Cookies::new(&mut *random),
            random,
            clock: Clock::default(),
            timers: Timers::default(),
            slots: Slots::new(),
            outbox: Outbox::new(),
            statistics: Statistics::default(),
            calendar: None,
        }
    }

    /// Tells which second since 1970 `now` is. Certificates are checked by it: none is valid
    /// before.
    pub fn set_unix_time(&mut self, now: Instant, unix_s: u64) {
        self.clock.advance(now);
        self.calendar = Some((now, unix_s));
    }

    /// What this implementation can do.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            psk: true,
            raw_public_key: true,
            x509: true,
            cid: true,
            resumption: true,
            export: true,
        }
    }

    /// Takes a datagram and decrypts it in place.
    pub fn handle(&mut self, now: Instant, path: P, datagram: &mut [u8]) {
        self.clock.advance(now);
        self.statistics.received += 1;
        let mut at = 0;
        while at < datagram.len() {
            let Some(header) = Header::parse(&datagram[at..]) else {
                self.statistics.malformed += 1;
                return;
            };
            let start = at + header.bytes;
            let end = start + header.length;
            self.record(path, &header, &mut datagram[start..end], start);
            at = end;
        }
    }

    /// Sends application data over a session that is up: one record, one datagram.
    ///
    /// # Errors
    /// Says why nothing was sent.
    pub fn send(&mut self, now: Instant, session: SessionId, data: &[u8]) -> Result<(), SendError> {
        self.clock.advance(now);
        self.seal(session, data)
    }

    /// Begins a handshake with a server; [`Event::Up`] or [`Event::Failed`] follows.
    ///
    /// A handshake at the same path that is not done yet is given up.
    ///
    /// # Errors
    /// Says why none was begun.
    pub fn connect(
        &mut self,
        now: Instant,
        path: P,
        config: Arc<ClientConfig>,
    ) -> Result<SessionId, ConnectError> {
        self.clock.advance(now);
        self.begin(path, config)
    }

    /// Answers [`Event::Lookup`]. False when the handshake is over or has been answered.
    pub fn answer(&mut self, now: Instant, session: SessionId, verdict: Verdict) -> bool {
        self.clock.advance(now);
        self.resume(session, verdict)
    }

    /// When [`Endpoint::on_timeout`] is due; none when nothing waits. It may turn out that there
    /// was nothing to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.clock.instant(self.timers.next()?)
    }

    /// Runs what is due: retransmissions, and the end of what took too long.
    pub fn on_timeout(&mut self, now: Instant) {
        self.clock.advance(now);
        while let Some((at, id)) = self.timers.pop(self.clock.now()) {
            match self.slots.timer(id) {
                Some(timer) if *timer == at => *timer = NEVER,
                _ => continue,
            }
            match self.slots.occupant(id) {
                Some(Occupant::Handshake(_)) => self.review_handshake(id),
                Some(Occupant::Session(_)) => self.review_session(id),
                _ => continue,
            }
            self.arm(id);
        }
    }

    /// Ends a session with close_notify, or a handshake. [`Event::Down`] or [`Event::Failed`]
    /// follows.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.clock.advance(now);
        if let Some(handshake) = self.slots.take_handshake(session) {
            return self.fail(session, handshake, Failure::GivenUp);
        }
        self.send_alert(session, Alert::CLOSE_NOTIFY, Level::Warning);
        self.end_session(session, DownReason::Closed);
    }

    /// Tells that the peer has answered something that was sent to its new address: what goes
    /// there is not limited any more.
    pub fn confirm_path(&mut self, session: SessionId) {
        if let Some(session) = self.slots.session_mut(session) {
            session.allowance = None;
        }
    }

    /// A session as bytes, to be imported by another process; none when it is not up.
    ///
    /// The bytes are the keys: keep them as such. The session goes on here; of two processes that
    /// go on with it, only one may send.
    pub fn export(&self, session: SessionId) -> Option<Zeroizing<Vec<u8>>> {
        self.write_session(session)
    }

    /// Takes an exported session, whose peer is at `path`, under the id that it had.
    ///
    /// It sends under numbers far above those of the export. A replay of what came after the
    /// export would be taken once.
    ///
    /// # Errors
    /// Says why it is not taken.
    pub fn import(
        &mut self,
        now: Instant,
        path: P,
        exported: &[u8],
    ) -> Result<SessionId, ImportError> {
        self.clock.advance(now);
        self.read_session(path, exported)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        self.outbox.events.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<P>> {
        let transmit = self.outbox.pop()?;
        self.statistics.sent += 1;
        Some(transmit)
    }

    /// Answers clients in another way from now on; handshakes in flight go on as they began.
    pub fn set_server(&mut self, server: Option<Arc<ServerConfig>>) {
        self.config.server = server;
    }

    /// Who the peer of a session is; none when it is not up.
    pub fn peer(&self, session: SessionId) -> Option<&Arc<Peer>> {
        self.slots.session(session).map(|session| &session.peer)
    }

    /// What a client may continue its session with, by [`ClientConfig::resume`]; none when the
    /// session is not up, or the server gave nothing to continue it with.
    pub fn resumption(&self, session: SessionId) -> Option<Resumption> {
        let session = self.slots.session(session)?;
        session.resumption.as_deref().cloned()
    }

    /// Where the peer of a session is; none when it is not up.
    pub fn path(&self, session: SessionId) -> Option<P> {
        self.slots.session(session).map(|session| session.path)
    }

    /// Sessions that are up.
    pub fn sessions(&self) -> usize {
        self.slots.sessions()
    }

    /// Handshakes in flight.
    pub fn handshakes(&self) -> usize {
        self.slots.handshakes()
    }

    /// Counters since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn record(&mut self, path: P, header: &Header, fragment: &mut [u8], offset: usize) {
        match (header.number.epoch(), header.content_type) {
            (0, ContentType::Handshake) => self.handshake_record(path, header, fragment),
            (0, ContentType::Alert) => self.plain_alert(path, fragment),
            // The epoch of the next record says as much.
            (0, ContentType::ChangeCipherSpec) => {}
            (1, _) => self.protected_record(path, header, fragment, offset),
            _ => self.statistics.discarded += 1,
        }
    }

    fn protected_record(&mut self, path: P, header: &Header, fragment: &mut [u8], offset: usize) {
        let place = match header.cid {
            Some(cid) => {
                let id = self.slots.by_cid(cid);
                slots::Place {
                    session: id,
                    handshake: id,
                }
            }
            None => self.slots.place(path),
        };
        let handshake = place
            .handshake
            .filter(|id| self.slots.handshake(*id).is_some());
        let taken = match (place.session, handshake) {
            (Some(session), None) => self.session_record(session, path, header, fragment, offset),
            (None, Some(handshake)) => self.handshake_protected(handshake, path, header, fragment),
            (Some(session), Some(handshake)) => {
                // An attempt destroys the fragment.
                let copy = fragment.to_vec();
                self.session_record(session, path, header, fragment, offset)
                    || self.handshake_protected(handshake, path, header, &copy)
            }
            (None, None) => false,
        };
        if !taken {
            self.statistics.discarded += 1;
        }
    }

    /// Sees to it that the occupant of a slot is looked at when it wants to be.
    fn arm(&mut self, id: SessionId) {
        let idle = self.config.limits.session_idle.map(millis);
        let deadline = match self.slots.occupant(id) {
            Some(Occupant::Handshake(handshake)) => handshake.deadline(),
            Some(Occupant::Session(session)) => session.deadline(idle),
            _ => return,
        };
        if let Some(timer) = self.slots.timer(id)
            && deadline < *timer
        {
            *timer = deadline;
            self.timers.arm(deadline, id);
        }
    }

    /// The second since 1970.
    fn unix_s(&self) -> u64 {
        let Some((then, unix_s)) = self.calendar else {
            return 0;
        };
        let now = self.clock.instant(self.clock.now()).unwrap_or(then);
        unix_s + now.saturating_duration_since(then).as_secs()
    }

    /// Counts lifetimes of cookies.
    fn cookie_period(&self) -> u64 {
        self.clock.now() / millis(self.config.timing.cookie_lifetime).max(1)
    }

    /// The shard that gave out the Connection ID of a datagram; none when it has none.
    pub fn shard_of(datagram: &[u8]) -> Option<u8> {
        let header = Header::parse(datagram)?;
        header.cid.as_ref().map(Cid::shard)
    }
}
