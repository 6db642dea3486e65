//! Some shards, their clock, and the datagrams between them and scripted devices.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_core::{Path, Request};
use tokio::sync::oneshot;

use super::super::{Now, Shard, Shared};
use crate::bootstrap::BootstrapStore;
use crate::bootstrap::sessions::BootstrapSessions;
use crate::credentials::{
    CredentialAuthorizer, CredentialChange, CredentialRevision, CredentialStore, MemoryCredentials,
};
use crate::directory::Directory;
use crate::event::EventSender;
use crate::mailbox::{Canceller, Command};
use crate::oscore::{ContextName, Oscore, SequenceStore};
use crate::registration::profile::Profiles;
use crate::registration::{EndpointName, Location};
use crate::transport::{Peer, SessionTable, Tls};
use crate::{
    AllowAll, Authenticated, CancelMode, Event, EventKind, Events, Interceptor, Listener,
    ObservationId, ObservationInfo, Registration, RequestError, RequestOptions, Response,
    ServerConfig,
};

pub(super) type Answer<T> = oneshot::Receiver<Result<T, RequestError>>;

pub(super) struct World {
    pub(super) shards: Vec<Shard>,
    pub(super) shared: Arc<Shared>,
    pub(super) now: Now,
    events: Events,
    /// What devices have been sent: port and datagram.
    pub(super) sent: VecDeque<(u16, Vec<u8>)>,
    /// False holds back what shards tell each other.
    pub(super) relaying: bool,
    pub(super) message_id: u16,
    /// What shards wait for: the shard, and the answer that comes.
    questions: Vec<(usize, Coming)>,
}

/// An answer of an interceptor that comes.
type Coming = Pin<Box<dyn Future<Output = Option<Command>>>>;

/// OSCORE sequence numbers of a server that is never started again.
#[derive(Debug)]
struct FromZero;

impl SequenceStore for FromZero {
    fn start(&self, _: &ContextName) -> u64 {
        0
    }

    fn reserve(&self, _: &ContextName, limit: u64) -> u64 {
        limit
    }
}

/// A message as a test looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) message_type: MessageType,
    pub(super) code: Code,
    pub(super) message_id: u16,
    pub(super) token: Vec<u8>,
    pub(super) path: String,
    pub(super) location: String,
    pub(super) observe: Option<u32>,
    pub(super) max_age: Option<u32>,
}

impl World {
    pub(super) fn new(shards: usize, configure: impl FnOnce(&mut ServerConfig)) -> World {
        let numbers = Arc::new(FromZero);
        World::build(shards, None, numbers, None, Vec::new(), configure)
    }

    /// Shards that go by credentials.
    pub(super) fn guarded(shards: usize, store: &Arc<MemoryCredentials>) -> World {
        World::numbered(shards, store, Arc::new(FromZero))
    }

    /// The same, with these OSCORE sequence numbers.
    pub(super) fn numbered(
        shards: usize,
        store: &Arc<MemoryCredentials>,
        sequences: Arc<dyn SequenceStore>,
    ) -> World {
        let store: Arc<dyn CredentialStore> = Arc::clone(store) as _;
        World::build(shards, Some(store), sequences, None, Vec::new(), |_| {})
    }

    /// Shards with one listener, and a store of plans.
    pub(super) fn bootstrapping(
        shards: usize,
        listener: Listener,
        store: Arc<dyn BootstrapStore>,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> World {
        let (numbers, bootstrap) = (Arc::new(FromZero), Some((listener, store)));
        World::build(shards, None, numbers, bootstrap, Vec::new(), configure)
    }

    /// Shards that ask interceptors.
    pub(super) fn intercepted(
        shards: usize,
        store: Option<&Arc<MemoryCredentials>>,
        interceptors: Vec<Arc<dyn Interceptor>>,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> World {
        let store = store.map(|store| Arc::clone(store) as Arc<dyn CredentialStore>);
        let numbers = Arc::new(FromZero);
        World::build(shards, store, numbers, None, interceptors, configure)
    }

    fn build(
        shards: usize,
        credentials: Option<Arc<dyn CredentialStore>>,
        sequences: Arc<dyn SequenceStore>,
        bootstrap: Option<(Listener, Arc<dyn BootstrapStore>)>,
        interceptors: Vec<Arc<dyn Interceptor>>,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> World {
        let mut config = ServerConfig {
            shards,
            ..ServerConfig::default()
        };
        configure(&mut config);
        let (listeners, bootstrap) = bootstrap
            .map(|(listener, store)| (vec![listener], store))
            .unzip();
        let listeners: Vec<Listener> = listeners.unwrap_or_default();
        let (sender, source) = EventSender::new(config.limits.subscriber_queue_max);
        let shared = Arc::new(Shared {
            directory: Directory::new(config.limits.registrations_max),
            profiles: Profiles::new(config.profiles.clone(), config.limits.profiles_max),
            models: Arc::new(lwm2m_registry::Registry::embedded()),
            authorizer: match &credentials {
                Some(store) => Arc::new(CredentialAuthorizer::new(Arc::clone(store))),
                None => Arc::new(AllowAll),
            },
            oscore: credentials.as_ref().map(|store| {
                Oscore::new(
                    Arc::clone(store),
                    sequences,
                    config.limits.oscore_contexts_max,
                )
            }),
            credentials,
            keys: None,
            resumption: lwm2m_dtls::ServerResumption::default(),
            listeners,
            bootstrap,
            bootstrap_sessions: BootstrapSessions::new(config.bootstrap.sessions_max),
            interceptors,
            observer: crate::observe::Observer::new(Default::default(), Default::default(), 1).0,
            herald: None,
            sessions: Arc::new(SessionTable::new(9, 9)),
            tls: Arc::new(Tls::new(None, &config).expect("no keys, no fault")),
            config,
        });
        let now = Now {
            instant: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        let shard = |id: usize| {
            let id = id as u16;
            Shard::new(
                id,
                Arc::clone(&shared),
                sender.clone(),
                now.instant,
                7 + u64::from(id),
            )
        };
        World {
            shards: (0..shards).map(shard).collect(),
            shared: Arc::clone(&shared),
            now,
            events: source.subscribe(),
            sent: VecDeque::new(),
            relaying: true,
            message_id: 100,
            questions: Vec::new(),
        }
    }

    /// A datagram from the device at `port`, which the kernel gives to `shard`.
    pub(super) fn deliver(&mut self, shard: usize, port: u16, datagram: &[u8]) {
        self.deliver_all(shard, &[(port, datagram)]);
    }

    /// Datagrams that come in one batch, each from the device at its port.
    pub(super) fn deliver_all(&mut self, shard: usize, batch: &[(u16, &[u8])]) {
        for (port, datagram) in batch {
            self.shards[shard].datagram(self.now, peer(*port), &mut datagram.to_vec());
        }
        self.settle();
    }

    /// The security layer has proven the device at `port`.
    pub(super) fn open_session(&mut self, shard: usize, port: u16, session: Authenticated) {
        self.shards[shard].session_opened(peer(port), Arc::new(session));
    }

    pub(super) fn close_session(&mut self, shard: usize, port: u16) {
        self.shards[shard].session_closed(peer(port));
    }

    /// The ports whose sessions the security layer is told to close.
    pub(super) fn closing(&mut self) -> Vec<u16> {
        let closing =
            |shard: &mut Shard| std::iter::from_fn(|| shard.poll_closing_if(|_| true)).collect();
        let peers: Vec<Vec<Peer>> = self.shards.iter_mut().map(closing).collect();
        let mut ports: Vec<u16> = peers.iter().flatten().map(|p| p.address().port()).collect();
        ports.sort_unstable();
        ports
    }

    /// Tells the shards of a change of the credentials.
    pub(super) fn revise(&mut self, change: &CredentialChange) {
        if let Some(revision) = CredentialRevision::of_change(change) {
            let revision = Arc::new(revision);
            for shard in &mut self.shards {
                shard.command(self.now, Command::Revise(Arc::clone(&revision)));
            }
        }
        self.settle();
    }

    /// Lets time pass, step by step, as the loop would.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        loop {
            let due = self.shards.iter_mut().filter_map(Shard::poll_timeout).min();
            let next = due.filter(|due| *due <= end).unwrap_or(end);
            let step = next.saturating_duration_since(self.now.instant);
            self.now.instant += step;
            self.now.wall += step;
            for shard in &mut self.shards {
                shard.timers(self.now);
            }
            self.settle();
            if due.is_none_or(|due| due > end) {
                return;
            }
        }
    }

    /// Carries what shards have to say, until they say nothing more.
    pub(super) fn settle(&mut self) {
        loop {
            let mut relays = Vec::new();
            for shard in &mut self.shards {
                shard.ask_interceptors(self.now);
                while let Some(transmit) = shard.poll_transmit(self.now.instant) {
                    let port = transmit.peer.address().port();
                    self.sent.push_back((port, transmit.datagram.to_vec()));
                }
                if self.relaying {
                    relays.extend(std::iter::from_fn(|| shard.poll_relay()));
                }
            }
            let answers = self.answers();
            if relays.is_empty() && answers.is_empty() {
                return;
            }
            for (to, answer) in answers {
                self.shards[to].command(self.now, answer);
            }
            for (to, relay) in relays {
                self.shards[usize::from(to)].relay(self.now, relay);
            }
        }
    }

    /// What interceptors have answered by now.
    fn answers(&mut self) -> Vec<(usize, Command)> {
        for (id, shard) in self.shards.iter_mut().enumerate() {
            let asked = std::iter::from_fn(|| shard.poll_question());
            let asked = asked.map(|question| (id, Box::pin(question.run()) as Coming));
            self.questions.extend(asked);
        }
        let mut answers = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        self.questions.retain_mut(|(id, answer)| {
            let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) else {
                return true;
            };
            answers.extend(answer.map(|answer| (*id, answer)));
            false
        });
        answers
    }

    /// How many answers of interceptors shards wait for.
    pub(super) fn asked(&self) -> usize {
        self.questions.len()
    }

    /// The next message to the device at `port`.
    pub(super) fn take(&mut self, port: u16) -> Option<Seen> {
        let at = self.sent.iter().position(|(to, _)| *to == port)?;
        let (_, datagram) = self.sent.remove(at)?;
        Some(seen(&datagram))
    }

    /// The next message to the device at `port`, which has to be there.
    pub(super) fn expect(&mut self, port: u16) -> Seen {
        self.take(port).expect("a message to the device")
    }

    /// A confirmable request of a device; answers what it is answered.
    pub(super) fn ask(&mut self, shard: usize, port: u16, code: Code, path: &str) -> Seen {
        self.ask_with(shard, port, code, path, b"")
    }

    pub(super) fn ask_with(
        &mut self,
        shard: usize,
        port: u16,
        code: Code,
        path: &str,
        payload: &[u8],
    ) -> Seen {
        self.message_id += 1;
        let datagram = request(self.message_id, code, path, payload);
        self.deliver(shard, port, &datagram);
        let answer = self.expect(port);
        assert_eq!(answer.message_id, self.message_id);
        answer
    }

    /// Registers; answers the location.
    pub(super) fn register(&mut self, shard: usize, port: u16, query: &str) -> String {
        let path = format!("rd?{query}");
        let answer = self.ask_with(shard, port, Code::POST, &path, b"</1/0>,</3/0>");
        assert_eq!(answer.code, Code::CREATED);
        answer.location
    }

    pub(super) fn location(&self, endpoint: &str) -> Location {
        self.find(endpoint).expect("registered")
    }

    pub(super) fn find(&self, endpoint: &str) -> Option<Location> {
        let name = EndpointName::new(endpoint).expect("a name");
        self.shared.directory.find(&name)
    }

    /// How many registrations the tables hold.
    pub(super) fn registration(&mut self, endpoint: &str) -> Option<Registration> {
        let device = self.find(endpoint)?;
        let (answer, mut snapshots) = oneshot::channel();
        let devices = vec![device];
        self.command(device, Command::Snapshots { devices, answer });
        snapshots.try_recv().expect("answered").pop()
    }

    pub(super) fn command(&mut self, device: Location, command: Command) {
        self.shards[usize::from(device.shard)].command(self.now, command);
        self.settle();
    }

    pub(super) fn send(&mut self, endpoint: &str, request: Request) -> Answer<Response> {
        self.send_within(endpoint, request, None)
    }

    pub(super) fn send_within(
        &mut self,
        endpoint: &str,
        request: Request,
        timeout: Option<Duration>,
    ) -> Answer<Response> {
        let device = self.location(endpoint);
        let (answer, received) = oneshot::channel();
        let options = RequestOptions {
            timeout,
            ..RequestOptions::default()
        };
        let command = Command::Operation {
            device,
            request,
            options,
            answer,
        };
        self.command(device, command);
        received
    }

    pub(super) fn read(&mut self, endpoint: &str, resource: u16) -> Answer<Response> {
        self.send(endpoint, read(resource))
    }

    pub(super) fn cancel(
        &mut self,
        endpoint: &str,
        observation: ObservationId,
        mode: CancelMode,
    ) -> Answer<()> {
        let device = self.location(endpoint);
        let (answer, received) = oneshot::channel();
        let command = Command::Cancel {
            device,
            observation,
            mode,
            by: Canceller::Application,
            answer,
        };
        self.command(device, command);
        received
    }

    pub(super) fn observations(&mut self, endpoint: &str) -> Vec<ObservationInfo> {
        let device = self.location(endpoint);
        let (answer, mut received) = oneshot::channel();
        self.command(device, Command::Observations { device, answer });
        let observed = received.try_recv().expect("answered");
        observed.expect("registered").standing
    }

    /// The device at `port` answers a request with text.
    pub(super) fn answer(&mut self, shard: usize, port: u16, to: &Seen, text: &str) {
        let datagram = reply(to, Code::CONTENT, None, text.as_bytes());
        self.deliver(shard, port, &datagram);
    }

    /// The next event; none when nothing (more) happened.
    pub(super) fn event(&mut self) -> Option<Arc<Event>> {
        self.events.try_next()
    }

    /// The names of all events since the last look.
    pub(super) fn happened(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.event())
            .map(|event| name(&event.kind))
            .collect()
    }
}

pub(super) fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Registered { replaced: true, .. } => "replaced",
        EventKind::Registered { .. } => "registered",
        EventKind::Updated { .. } => "updated",
        EventKind::Deregistered { .. } => "deregistered",
        EventKind::Expired { .. } => "expired",
        EventKind::Refused { reason, .. } => reason.code,
        EventKind::SessionEnded { reason, .. } => reason.code,
        EventKind::BootstrapStarted { .. } => "bootstrapping",
        EventKind::BootstrapStepFailed { .. } => "step-failed",
        EventKind::BootstrapFinished { .. } => "bootstrapped",
        EventKind::BootstrapFailed { reason, .. } => reason.code,
        EventKind::Awake => "awake",
        EventKind::Asleep => "asleep",
        EventKind::ObservationStarted { .. } => "observed",
        EventKind::ObservationEnded { reason, .. } => reason.code,
        EventKind::Notification { .. } => "notification",
        EventKind::Undecodable { .. } => "undecodable",
        EventKind::Send { .. } => "send",
        EventKind::KeysReloaded { .. } => "keys",
        EventKind::Series { .. } => "series",
        EventKind::Document { .. } => "document",
        EventKind::Published { .. } => "published",
        EventKind::ExtensionFailed { .. } => "extension failed",
        EventKind::ExtensionSwitched { .. } => "extension switched",
        EventKind::ModelsLoaded { .. } => "models",
        EventKind::ObservePlanned { .. } => "planned",
        EventKind::ObserveEstablished { .. } => "established",
        EventKind::ObserveFailed { .. } => "plan failed",
        EventKind::ObserveRules { .. } => "rules changed",
    }
}

pub(super) fn peer(port: u16) -> Peer {
    Peer::new(0, ([127, 0, 0, 1], port).into(), 0)
}

pub(super) fn read(resource: u16) -> Request {
    Request::Read {
        path: Path::resource(3, 0, resource),
        accept: None,
    }
}

/// A confirmable request, `path` with `?` and query.
pub(super) fn request(message_id: u16, code: Code, path: &str, payload: &[u8]) -> Vec<u8> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let token = Token::new(&message_id.to_be_bytes()).expect("a token");
    let mut out = Vec::new();
    let confirmable = MessageType::Confirmable;
    let mut builder = MessageBuilder::new(&mut out, confirmable, code, message_id, &token);
    for segment in path.split('/') {
        builder = builder.option(OptionNumber::URI_PATH, segment.as_bytes());
    }
    if path == "dp" {
        builder = builder.uint(OptionNumber::CONTENT_FORMAT, 110);
    }
    for item in query.split('&').filter(|item| !item.is_empty()) {
        builder = builder.option(OptionNumber::URI_QUERY, item.as_bytes());
    }
    builder.payload(payload);
    out
}

/// A piggybacked answer.
pub(super) fn reply(to: &Seen, code: Code, observe: Option<u32>, payload: &[u8]) -> Vec<u8> {
    message(
        MessageType::Acknowledgement,
        to.message_id,
        to,
        code,
        observe,
        payload,
    )
}

/// A confirmable notification for an observe request.
pub(super) fn notification(
    to: &Seen,
    message_id: u16,
    code: Code,
    observe: Option<u32>,
    payload: &[u8],
) -> Vec<u8> {
    let confirmable = MessageType::Confirmable;
    message(confirmable, message_id, to, code, observe, payload)
}

/// An acknowledgement without an answer.
pub(super) fn acknowledgement(of: &Seen) -> Vec<u8> {
    let mut out = Vec::new();
    let acknowledged = MessageType::Acknowledgement;
    let empty = Token::new(&[]).expect("a token");
    MessageBuilder::new(&mut out, acknowledged, Code::EMPTY, of.message_id, &empty).payload(b"");
    out
}

fn message(
    message_type: MessageType,
    message_id: u16,
    to: &Seen,
    code: Code,
    observe: Option<u32>,
    payload: &[u8],
) -> Vec<u8> {
    let token = Token::new(&to.token).expect("a token");
    let mut out = Vec::new();
    let mut builder = MessageBuilder::new(&mut out, message_type, code, message_id, &token);
    if let Some(observe) = observe {
        builder = builder.uint(OptionNumber::OBSERVE, observe);
    }
    if !payload.is_empty() {
        builder = builder.uint(OptionNumber::CONTENT_FORMAT, 0);
    }
    builder.payload(payload);
    out
}

fn seen(datagram: &[u8]) -> Seen {
    let message = Message::parse(datagram).expect("CoAP");
    let joined = |number| {
        let values = message.values(number).map(String::from_utf8_lossy);
        values.collect::<Vec<_>>().join("/")
    };
    Seen {
        message_type: message.message_type(),
        code: message.code(),
        message_id: message.message_id(),
        token: message.token().to_vec(),
        path: joined(OptionNumber::URI_PATH),
        location: joined(OptionNumber::LOCATION_PATH),
        observe: message.uint(OptionNumber::OBSERVE),
        max_age: message.uint(OptionNumber::MAX_AGE),
    }
}
