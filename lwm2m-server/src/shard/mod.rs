//! A shard: everything that concerns its devices, in tables that only it changes.
//!
//! ```text
//! datagram ──> route (ours?) ──> endpoint ──┬─> uplink ──> register | update | deregister | send | bootstrap
//!                │ no: relay to the owner   ├─> downlink: the answer to a request of ours
//!                                           └─> observations: a notification
//! command ───> downlink ──> device queue ──> management ──> endpoint
//! timer ─────> expiry, end of the awake window, deadlines
//! ```
//!
//! [`Shard`] does no I/O and reads no clock; [`run`] drives it with sockets and time, tests drive
//! it with neither.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hashbrown::HashMap;
use lwm2m_coap::{Endpoint, Event, RequestId, Transmit};

use crate::RequestError;
use crate::event::{EventKind, EventSender};
use crate::follower::Follower;
use crate::mailbox::{Command, Relay};
use crate::management::DeviceContext;
use crate::registration::objects::ObjectLists;
use crate::registration::table::{Entry, Table};
use crate::registration::{EndpointName, Location};
use crate::transport::Peer;

mod admitting;
mod answers;
pub(crate) mod bootstrapping;
pub(crate) mod connections;
pub(crate) mod counters;
pub(crate) mod downlink;
mod ending;
pub(crate) mod lines;
pub(crate) mod observations;
mod questions;
mod refusal;
mod registering;
mod reporting;
mod routes;
pub(crate) mod run;
pub(crate) mod secure;
pub(crate) mod sessions;
mod shared;
mod telling;
#[cfg(test)]
mod tests;
mod updating;
mod uplink;
mod values;
mod visiting;
mod wheel;
mod withdrawn;

use admitting::{Line, Petition};
use bootstrapping::Bootstraps;
use counters::Counters;
use lines::Lines;
use observations::Observations;
use questions::Question;
pub(crate) use questions::{Later, guarded};
use refusal::RefusalRate;
use routes::Routes;
use secure::Secure;
use sessions::Sessions;
pub(crate) use shared::Shared;
use wheel::Wheel;
use withdrawn::Withdrawn;

/// Events on one source whose datagrams the engine refuses, in a second.
const NOISE_PER_SECOND: u32 = 10;

/// The time, as the loop reads it once for each batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// For people only: it may jump.
    pub(crate) wall: SystemTime,
}

/// One shard.
pub(crate) struct Shard {
    id: u16,
    shared: Arc<Shared>,
    events: EventSender,
    endpoint: Endpoint<Peer>,
    /// What the protected message in hand stands for.
    plain: Vec<u8>,
    table: Table,
    objects: ObjectLists,
    observations: Observations,
    withdrawn: Withdrawn,
    /// Who follows which observation.
    followers: HashMap<RequestId, Follower>,
    /// Whose request is on its way.
    exchanges: HashMap<RequestId, Location>,
    /// How many observations there have been, for their ids.
    observation_count: u64,
    wheel: Wheel,
    /// The zero of the clock that the tables and the wheel go by.
    origin: Instant,
    routes: Routes,
    sessions: Sessions,
    bootstraps: Bootstraps,
    /// None without listeners that have DTLS.
    secure: Option<Secure>,
    /// Connections of this shard, and which others have heard of them.
    linked: HashMap<Peer, Vec<u16>>,
    /// The shard that passed on the datagram in hand.
    relayed_from: Option<u16>,
    /// What waits to be told to other shards.
    outbox: VecDeque<(u16, Relay)>,
    /// What this turn has brought, and interceptors are to be asked about.
    petitions: VecDeque<Petition>,
    /// What waits for interceptors.
    parked: Lines<Line, Petition>,
    /// Values of devices that wait for interceptors.
    values: Lines<Location, values::Item>,
    /// When to tell of lost values again, in milliseconds of the shard's clock.
    losses_told_ms: u64,
    questions: VecDeque<Question>,
    refusals: RefusalRate,
    /// How often one source is told of in events for what is no message.
    noise: RefusalRate,
    counters: Counters,
}

impl Shard {
    /// An empty shard; `seed` comes from the operating system outside tests.
    pub(crate) fn new(
        id: u16,
        shared: Arc<Shared>,
        events: EventSender,
        now: Instant,
        seed: u64,
    ) -> Shard {
        let config = &shared.config;
        let limits = &config.limits;
        let mut endpoint = Endpoint::new(config.coap.clone(), seed);
        if let Some(oscore) = &shared.oscore {
            endpoint = endpoint.with_security(Arc::clone(oscore) as _);
        }
        Shard {
            id,
            endpoint,
            plain: Vec::new(),
            table: Table::new(id),
            objects: ObjectLists::new(),
            observations: Observations::default(),
            withdrawn: Withdrawn::default(),
            followers: HashMap::new(),
            exchanges: HashMap::new(),
            observation_count: 0,
            wheel: Wheel::new(),
            origin: now,
            routes: Routes::new(limits.routes_max),
            sessions: Sessions::default(),
            bootstraps: Bootstraps::default(),
            secure: shared.secure(id).unwrap_or_else(|error| {
                // It was tried when the server started.
                tracing::error!(%error, "no DTLS on this shard");
                None
            }),
            linked: HashMap::new(),
            relayed_from: None,
            outbox: VecDeque::new(),
            petitions: VecDeque::new(),
            parked: Lines::new(limits.parked_requests_max, limits.parked_per_device_max),
            values: Lines::new(limits.transforms_max, limits.transforms_per_device_max),
            losses_told_ms: 0,
            questions: VecDeque::new(),
            refusals: RefusalRate::new(limits.refusals_per_second),
            noise: RefusalRate::new(NOISE_PER_SECOND),
            counters: Counters::default(),
            shared,
            events,
        }
    }

    /// Takes a datagram.
    pub(crate) fn datagram(&mut self, now: Now, peer: Peer, datagram: &mut [u8]) {
        if self.shared.is_secure(&peer) {
            self.secure_datagram(now, peer, datagram);
        } else if let Some(owner) = self.owner_of(&peer, datagram) {
            self.relay_datagram(owner, peer, datagram);
        } else {
            self.own_datagram(now, peer, datagram);
        }
        self.drain_events(now);
    }

    /// Takes what an application asks for.
    pub(crate) fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Operation {
                device,
                request,
                options,
                answer,
            } => self.submit_operation(now, device, request, options, answer),
            Command::Cancel {
                device,
                observation,
                mode,
                by,
                answer,
            } => self.submit_cancel(now, device, observation, (mode, by), answer),
            Command::Observations { device, answer } => {
                let _ = answer.send(self.observations_of(device));
            }
            Command::Restore { device } => self.withdrawn.forget(device),
            Command::Snapshots { devices, answer } => {
                let snapshot = |device: &Location| {
                    let entry = self.table.get(*device)?;
                    Some(entry.snapshot(*device))
                };
                let _ = answer.send(devices.iter().filter_map(snapshot).collect());
            }
            Command::Found(found) => self.credentials_found(now, found),
            Command::PlanFound(found) => self.plan_found(now, found),
            Command::Decided { ticket, decision } => self.decided(now, ticket, decision),
            Command::Transformed { ticket, outcome } => self.transformed(now, ticket, outcome),
            Command::Revise(revision) => {
                self.revise(now, &revision);
                self.close_sessions(now);
            }
            Command::RevokeCertificates(keys) => {
                self.revoke_certificates(now, &keys);
                self.close_sessions(now);
            }
            Command::Forget { device, answer } => {
                let _ = answer.send(self.forget(now, device));
            }
        }
        self.drain_events(now);
    }

    /// Takes what another shard tells.
    pub(crate) fn relay(&mut self, now: Now, relay: Relay) {
        match relay {
            Relay::Datagram {
                from,
                peer,
                datagram,
                ..
            } => {
                self.relayed_from = Some(from);
                match self.shared.is_secure(&peer) {
                    true => self.secure_datagram(now, peer, &mut Vec::from(datagram)),
                    false => self.own_datagram(now, peer, &datagram),
                }
                self.relayed_from = None;
            }
            Relay::Frame {
                from,
                peer,
                link,
                frame,
            } => {
                self.relayed_from = Some(from);
                self.linked_frame(now, peer, *link, &frame);
                self.relayed_from = None;
            }
            Relay::Message {
                from,
                peer,
                authenticated,
                message,
            } => {
                self.relayed_from = Some(from);
                self.visitor(now, peer, authenticated, &message);
                self.relayed_from = None;
            }
            Relay::Protect { peer, message } => self.protect_for(now, &peer, &message),
            Relay::Confirmed(peer) => self.confirm_path(&peer),
            Relay::Succeeded {
                older,
                younger,
                authenticated,
            } => {
                self.session_opened(younger, authenticated);
                self.succeed(older, younger);
            }
            Relay::Disconnected(peer) => self.disconnected(peer),
            Relay::Route { from, peer, .. } => self.routes.insert(peer, from),
            Relay::Replaced(location) => self.replaced(now, location, true),
            Relay::BootstrapReplaced(session) => self.bootstrap_replaced(now, session),
        }
        self.drain_events(now);
    }

    /// Runs what is due; cheap when nothing is.
    pub(crate) fn timers(&mut self, now: Now) {
        self.secure_timers(now);
        self.bootstrap_timers(now);
        self.pass_hook_deadlines(now);
        self.pass_value_deadlines(now);
        let now_ms = self.ms(now.instant);
        while let Some(slot) = self.wheel.fire(now_ms) {
            if let Some(location) = self.table.at(slot) {
                self.on_timer(now, location);
            }
        }
        if self
            .endpoint
            .poll_timeout()
            .is_some_and(|due| due <= now.instant)
        {
            self.endpoint.handle_timeout(now.instant);
        }
        self.drain_events(now);
    }

    /// When [`Shard::timers`] has something to do.
    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let own = self.wheel.next_ms().into_iter();
        let own = own.chain(self.parked.next_deadline_ms());
        let own = own.chain(self.values.next_deadline_ms()).min();
        let own = own.map(|due| self.origin + Duration::from_millis(due));
        let endpoint = self.endpoint.poll_timeout();
        let secure = self.secure.as_ref().and_then(Secure::poll_timeout);
        let bootstrap = self.bootstraps.next_deadline();
        let due = [own, endpoint, secure, bootstrap];
        due.into_iter().flatten().min()
    }

    /// The next question to an interceptor that answers later.
    pub(crate) fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// The next datagram to send.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<Peer>> {
        loop {
            if let Some(datagram) = self.secure.as_mut().and_then(Secure::poll_transmit) {
                return Some(datagram);
            }
            let transmit = self.endpoint.poll_transmit()?;
            let now_ms = self.ms(now);
            if transmit.peer.connection().is_some() {
                // At the other end of a connection is whoever asked.
                return Some(transmit);
            }
            let refusal = refusal::is_refusal(&transmit.datagram);
            if refusal && !self.refusals.allow(now_ms, &transmit.peer) {
                self.counters.refusals_dropped += 1;
                continue;
            }
            if let Some(shard) = self.shard_of_session(&transmit.peer) {
                self.send_through(shard, transmit.peer, transmit.datagram);
                continue;
            }
            match (transmit.peer.session(), &mut self.secure) {
                (None, _) => return Some(transmit),
                (Some(session), Some(secure)) => {
                    secure.protect(now, session, &transmit.datagram);
                }
                (Some(_), None) => {}
            }
        }
    }

    /// True while something waits to be told to other shards.
    pub(crate) fn has_relays(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next word to another shard.
    pub(crate) fn poll_relay(&mut self) -> Option<(u16, Relay)> {
        self.outbox.pop_front()
    }

    /// Takes a word back that found no room; it stays the first in line.
    pub(crate) fn keep_relay(&mut self, shard: u16, relay: Relay) {
        match relay {
            // Lost like any other datagram; the device repeats it.
            Relay::Datagram { .. }
            | Relay::Frame { .. }
            | Relay::Message { .. }
            | Relay::Protect { .. }
            | Relay::Confirmed(_)
            | Relay::Succeeded { .. }
            | Relay::Route { .. } => self.counters.relays_dropped += 1,
            Relay::Replaced(_) | Relay::Disconnected(_) | Relay::BootstrapReplaced(_) => {
                self.outbox.push_front((shard, relay));
            }
        }
    }

    /// The counters, and those of the engine.
    pub(crate) fn counters(&self) -> (&Counters, &lwm2m_coap::Statistics) {
        (&self.counters, self.endpoint.statistics())
    }

    fn own_datagram(&mut self, now: Now, peer: Peer, datagram: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        let instant = now.instant;
        if let Some(event) = (self.endpoint).receive_with(instant, peer, datagram, &mut plain) {
            self.on_event(now, event);
        }
        self.plain = plain;
    }

    /// What the engine has to tell beside what it answered: the end of requests above all.
    ///
    /// Whatever comes in ends with it, for nothing else may wake the shard.
    fn drain_events(&mut self, now: Now) {
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Now, event: Event<'_, Peer>) {
        match event {
            Event::Request(request) => self.on_request(now, request),
            Event::Response(response) => {
                self.confirm_path(&response.peer);
                self.on_response(now, response);
            }
            Event::Notification(notification) => self.on_notification(now, notification),
            Event::Failed {
                request, failure, ..
            } => self.on_failure(now, request, failure),
            Event::Refused { peer, reason } => self.on_refused(now, peer, reason),
            _ => {}
        }
    }

    /// A registration's timer: whatever of it is due.
    fn on_timer(&mut self, now: Now, location: Location) {
        let now_ms = self.ms(now.instant);
        let Some(entry) = self.table.get(location) else {
            return;
        };
        if entry.expires_ms(&self.shared.config) <= now_ms {
            return self.expire(now, location);
        }
        self.note_sleep(now, location);
        self.pass_deadlines(now, location);
        self.arm(location);
    }

    /// Arms the timer of a registration for whatever is due next.
    fn arm(&mut self, location: Location) {
        if let Some(entry) = self.table.get(location) {
            self.wheel
                .arm(location.slot, entry.next_due_ms(&self.shared.config));
        }
    }

    fn ms(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.origin).as_millis() as u64
    }

    fn context<'s>(shared: &'s Shared, entry: &'s Entry) -> DeviceContext<'s> {
        DeviceContext {
            version: entry.version,
            objects: &entry.objects,
            models: &*shared.models,
            definition: None,
        }
    }

    fn emit(&self, now: Now, endpoint: Option<&EndpointName>, kind: impl FnOnce() -> EventKind) {
        self.events.emit(now.wall, endpoint, kind);
    }
}

/// Fails a request whose device is not there (any more).
fn ended<T>() -> Result<T, RequestError> {
    Err(RequestError::RegistrationEnded)
}

/// Calls an extension; none when it panics.
pub(crate) fn hook<T>(call: impl FnOnce() -> T) -> Option<T> {
    // What an extension may leave half done is its own, or a value that it was lent to change.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()
}
