//! The client as a state machine without sockets and clock.
//!
//! ```text
//!   datagram, now ──> receive ─┐
//!   timer ──> handle_timeout ──┼──> poll_transmit ──> datagram
//!   set, update, send, ... ────┘    poll_event ──> DeviceEvent
//!                                   poll_timeout ──> when handle_timeout is due
//! ```
//!
//! Drain [`Client::poll_transmit`] and [`Client::poll_event`] after every call.

mod account;
mod bootstrap;
mod composite;
mod config;
mod connection;
mod download;
mod event;
mod formats;
mod observe;
mod operation;
mod oscore;
mod provisioned;
mod quirks;
mod registration;
mod requested;
mod secure;
mod send;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use lwm2m_coap::{Code, Endpoint, Event, IncomingRequest, Response, ResponseHandle, Transmit};
use lwm2m_core::{Attributes, Path, Value, Version};

use crate::reporting::AttributeTable;
use crate::{Effect, Object, ObjectTree, ResourceValue};

pub use account::DtlsAccount;
pub use bootstrap::{BootstrapAccount, StandIn};
pub use config::{ClientConfig, Retry};
pub use event::{DeviceEvent, ObservationId, RegistrationError, SendError, SendId};
pub use oscore::OscoreAccount;
pub use quirks::Quirks;

use bootstrap::Bootstrap;
use download::Download;
use formats::Formats;
use observe::Observation;
use registration::Registration;
use secure::Secure;

/// A LwM2M client without I/O.
#[derive(Debug)]
pub struct Client {
    config: Box<ClientConfig>,
    tree: ObjectTree,
    endpoint: Endpoint<SocketAddr>,
    /// DTLS towards the server, for an account with it.
    secure: Option<Secure>,
    /// What the protected message in hand stands for.
    plain: Vec<u8>,
    /// Increased with every reboot, so that message ids and tokens differ.
    seed: u64,
    version: Version,
    formats: Formats,
    registration: Registration,
    bootstrap: Bootstrap,
    /// A bootstrap server has given the account in use.
    provisioned: bool,
    attributes: AttributeTable,
    observations: Vec<Observation>,
    next_id: u64,
    sends: Vec<(lwm2m_coap::RequestId, SendId)>,
    download: Option<Download>,
    delayed: Vec<Delayed>,
    awake_until: Option<Instant>,
    asleep: bool,
    offline: bool,
    outbox: VecDeque<Transmit<SocketAddr>>,
    /// What a request in service asks of the client, once its answer is on its way.
    effects: Vec<Effect>,
    events: VecDeque<DeviceEvent>,
    statistics: ClientStatistics,
}

/// What a client has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientStatistics {
    /// Registers that were accepted.
    pub registered: u64,
    /// Updates that were accepted.
    pub updated: u64,
    /// Notifications that went out.
    pub notified: u64,
    /// Requests of the server that were answered.
    pub answered: u64,
    /// Registers and Updates that failed.
    pub failed: u64,
}

#[derive(Debug)]
struct Delayed {
    at: Instant,
    handle: ResponseHandle<SocketAddr>,
    response: Response,
}

impl Client {
    /// A client that has not started. `seed` feeds message ids and tokens: random outside tests.
    pub fn new(config: ClientConfig, tree: ObjectTree, seed: u64) -> Client {
        let version = config.version;
        Client {
            endpoint: endpoint(&config, seed),
            secure: config.dtls.clone().map(Secure::new),
            plain: Vec::new(),
            seed,
            version,
            formats: Formats::new(&config, version),
            registration: Registration::default(),
            bootstrap: Bootstrap::default(),
            provisioned: false,
            attributes: AttributeTable::default(),
            observations: Vec::new(),
            next_id: 0,
            sends: Vec::new(),
            download: None,
            delayed: Vec::new(),
            awake_until: None,
            asleep: false,
            offline: false,
            outbox: VecDeque::new(),
            effects: Vec::new(),
            events: VecDeque::new(),
            statistics: ClientStatistics::default(),
            config: Box::new(config),
            tree,
        }
    }

    /// Starts: the objects begin to live, the Register or Bootstrap-Request goes out.
    pub fn start(&mut self, now: Instant) {
        let effects = self.tree.started(now);
        self.tree.take_changes();
        self.perform(now, effects);
        self.find_server(now);
        self.settle(now);
    }

    /// Takes a datagram. Those of strangers, and all while the client sleeps, are dropped.
    pub fn receive(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        if self.secure.is_some() && peer == self.config.server {
            if !self.offline && !self.asleep {
                self.secure_datagram(now, peer, datagram);
            }
        } else {
            self.message(now, peer, datagram);
        }
        self.settle(now);
    }

    /// Takes a CoAP message.
    fn message(&mut self, now: Instant, peer: SocketAddr, message: &[u8]) {
        if !self.hears(peer) {
            return;
        }
        self.touch(now);
        let mut plain = std::mem::take(&mut self.plain);
        match self.endpoint.receive_with(now, peer, message, &mut plain) {
            Some(Event::Request(request)) => self.answer(now, request),
            Some(event) => self.take_event(now, event),
            None => {}
        }
        self.plain = plain;
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        if let Some(secure) = &mut self.secure {
            secure.on_timeout(now);
        }
        let effects = self.tree.elapsed(now);
        self.perform(now, effects);
        while let Some(at) = self.delayed.iter().position(|delayed| delayed.at <= now) {
            let Delayed {
                handle, response, ..
            } = self.delayed.swap_remove(at);
            self.endpoint.respond(now, handle, response);
        }
        self.registration_due(now);
        self.bootstrap_due(now);
        self.evaluate_due(now);
        self.settle(now);
        self.fall_asleep(now);
    }

    /// When [`Client::handle_timeout`] is due; none when nothing waits.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let sleep = self
            .awake_until
            .filter(|_| self.config.queue_mode && !self.asleep);
        let delayed = self.delayed.iter().map(|delayed| delayed.at).min();
        let observations = self.observations.iter().filter_map(|o| o.look_at).min();
        [
            self.endpoint.poll_timeout(),
            self.secure.as_ref().and_then(Secure::poll_timeout),
            self.tree.deadline(),
            self.registration.deadline(),
            self.bootstrap.deadline(),
            observations.filter(|_| self.is_registered()),
            delayed,
            sleep,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<SocketAddr>> {
        self.outbox.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<DeviceEvent> {
        self.events.pop_front()
    }

    /// Sets a value, as the device itself does. Observers are told by their attributes.
    pub fn set(&mut self, now: Instant, path: &Path, value: impl Into<ResourceValue>) {
        self.tree.set(path, value);
        self.settle(now);
    }

    /// Changes an object in any way, instances included.
    pub fn with_object<R>(
        &mut self,
        now: Instant,
        object: u16,
        change: impl FnOnce(&mut dyn Object) -> R,
    ) -> Option<R> {
        let result = self.tree.object_mut(object).ok().map(change);
        self.settle(now);
        result
    }

    /// Shows other deviations from now on.
    pub fn set_quirks(&mut self, quirks: Quirks) {
        self.config.quirks = quirks;
    }

    /// Switches the network off or on. While it is off nothing is sent or received; when it comes
    /// back, an Update goes out first.
    pub fn set_offline(&mut self, now: Instant, offline: bool) {
        let back = self.offline && !offline;
        self.offline = offline;
        if back && self.is_registered() {
            self.update(now);
            self.flush_stored(now);
        }
        self.settle(now);
    }

    /// Tells the wall-clock time in seconds since 1970, for the clock of the Device object and the
    /// times of stored notifications.
    pub fn set_wall_clock(&mut self, now: Instant, unix_s: f64) {
        self.tree.set_wall_clock(now, unix_s);
        if let Some(secure) = &mut self.secure {
            secure.set_unix_time(now, unix_s);
        }
    }

    /// The value of a single-instance resource, or of a resource instance.
    pub fn value(&self, path: &Path) -> Option<Value<'static>> {
        self.tree.value(path)
    }

    /// The objects.
    pub fn objects(&self) -> &ObjectTree {
        &self.tree
    }

    /// The settings.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The version that the client registers with now.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many observations stand.
    pub fn observation_count(&self) -> usize {
        self.observations.len()
    }

    /// Counters since the client was made.
    pub fn statistics(&self) -> &ClientStatistics {
        &self.statistics
    }

    /// Does what objects have asked for.
    fn perform(&mut self, now: Instant, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Update if self.config.quirks.ignore_update_trigger => {}
                Effect::Update => self.update(now),
                Effect::Reboot => self.registration.reboot_at = Some(now + self.config.reboot_time),
                Effect::Disable => self.disable(now),
                Effect::Bootstrap => self.bootstrap(now),
                Effect::Set(path, value) => self.tree.set(&path, value),
                Effect::Download(uri) => self.start_download(now, &uri),
                Effect::CancelDownload => self.cancel_download(),
            }
        }
    }

    /// Brings everything to rest after a call: events of the engine, changed values, datagrams.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            self.take_event(now, event);
        }
        let changes = self.tree.take_changes();
        if !changes.paths.is_empty() {
            self.values_changed(now, &changes.paths);
        }
        if changes.instances {
            self.instances_changed(now, &changes.paths);
        }
        let before = self.outbox.len();
        while let Some(mut transmit) = self.endpoint.poll_transmit() {
            if self.offline {
                continue;
            }
            if self.config.quirks.wrong_tokens {
                let framed = self.endpoint.is_connected(transmit.peer);
                transmit.datagram = with_wrong_token(&transmit.datagram, framed);
            }
            self.transmit(now, transmit);
        }
        self.secure_events(now, &[]);
        while let Some(transmit) = self.secure.as_mut().and_then(Secure::poll_transmit) {
            if !self.offline {
                self.outbox.push_back(transmit);
            }
        }
        if self.outbox.len() > before {
            self.touch(now);
        }
    }

    fn answer(&mut self, now: Instant, request: IncomingRequest<'_, SocketAddr>) {
        let handle = request.handle;
        if self.config.oscore.is_some() && handle.security().is_none() {
            let response = Response::new(Code::UNAUTHORIZED);
            return self.endpoint.respond(now, handle, response);
        }
        let response = match self.bootstrap.is_active() {
            true => self.serve_bootstrap(now, &request),
            false => self.serve(now, &request),
        };
        if let Some(response) = response {
            self.respond(now, handle, response);
        }
        let effects = std::mem::take(&mut self.effects);
        self.perform(now, effects);
    }

    fn respond(&mut self, now: Instant, handle: ResponseHandle<SocketAddr>, response: Response) {
        self.statistics.answered += 1;
        let quirks = &self.config.quirks;
        let at_once = quirks.answer_delay.is_zero() && !quirks.separate_responses;
        if at_once || self.delayed.len() >= self.config.delayed_max {
            self.endpoint.respond(now, handle, response);
        } else {
            // At the next turn at the earliest: by then the empty acknowledgement is out.
            let at = now
                + quirks
                    .answer_delay
                    .max(std::time::Duration::from_millis(10));
            self.delayed.push(Delayed {
                at,
                handle,
                response,
            });
        }
    }

    /// Keeps an event for its reader; the oldest goes when nobody reads.
    fn tell(&mut self, event: DeviceEvent) {
        if self.events.len() >= self.config.events_max.max(1) {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn take_event(&mut self, now: Instant, event: Event<'_, SocketAddr>) {
        match event {
            Event::Response(response) => self.response(now, response),
            Event::Failed {
                request, failure, ..
            } => self.failed(now, request, failure),
            Event::ObserverGone { token, .. } => self.end_observation(&token),
            _ => {}
        }
    }

    fn hears(&self, peer: SocketAddr) -> bool {
        let download = self.download.as_ref().map(|download| download.peer);
        let known = peer == self.config.server || Some(peer) == download;
        let listens = self.registration.is_active() || self.bootstrap.is_active();
        known && !self.offline && !self.asleep && listens
    }

    /// A message came or went: in queue mode the client stays awake a while longer.
    fn touch(&mut self, now: Instant) {
        if !self.config.queue_mode {
            return;
        }
        self.awake_until = Some(now + self.config.awake_for);
        if self.asleep {
            self.asleep = false;
            self.tell(DeviceEvent::Awake);
        }
    }

    fn fall_asleep(&mut self, now: Instant) {
        let due = self.awake_until.is_some_and(|at| at <= now);
        if due && self.config.queue_mode && !self.asleep && self.is_registered() {
            self.asleep = true;
            self.tell(DeviceEvent::Asleep);
        }
    }

    /// The default periods of the Server object as attributes.
    fn default_attributes(&self) -> Attributes {
        let seconds = |resource| {
            let path = Path::resource(1, self.config.server_instance, resource);
            let value = self.tree.integer(&path)?;
            u32::try_from(value).ok().map(Some)
        };
        Attributes {
            pmin: seconds(2),
            pmax: seconds(3),
            ..Attributes::default()
        }
    }

    fn server_setting(&self, resource: u16) -> Option<i64> {
        self.tree
            .integer(&Path::resource(1, self.config.server_instance, resource))
    }
}

/// The engine of a client that starts.
fn endpoint(config: &ClientConfig, seed: u64) -> Endpoint<SocketAddr> {
    let endpoint = Endpoint::new(coap_config(config), seed);
    match &config.oscore {
        Some(account) => endpoint.with_security(Arc::clone(&account.contexts) as _),
        None => endpoint,
    }
}

fn coap_config(config: &ClientConfig) -> lwm2m_coap::Config {
    let mut coap = config.coap.clone();
    if config.quirks.separate_responses {
        coap.piggyback_window = std::time::Duration::ZERO;
    }
    coap
}

/// The same message with the first bit of its token turned, if it is a response that has one.
/// `framed` when it is one of a connection (RFC 8323 §3.2).
fn with_wrong_token(message: &[u8], framed: bool) -> bytes::Bytes {
    let mut bytes = message.to_vec();
    let first = bytes.first().copied().unwrap_or_default();
    let (code, token) = match (framed, first >> 4) {
        (false, _) => (1, 4),
        // Behind the extended length.
        (true, 13) => (2, 3),
        (true, 14) => (3, 4),
        (true, 15) => (5, 6),
        (true, _) => (1, 2),
    };
    let is_response = bytes
        .get(code)
        .is_some_and(|code| (2..=5).contains(&(code >> 5)));
    let has_token = first & 0x0f != 0;
    if let Some(byte) = bytes.get_mut(token).filter(|_| is_response && has_token) {
        *byte ^= 0x80;
    }
    bytes.into()
}
