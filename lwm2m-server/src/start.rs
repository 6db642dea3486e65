//! How a server starts: sockets, then shards, then subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lwm2m_core::ObjectModels;
use lwm2m_registry::Registry;
use tokio::sync::{mpsc, watch};

use crate::bootstrap::BootstrapStore;
use crate::bootstrap::sessions::BootstrapSessions;
use crate::builder::{ModelsSource, Subscriber};
use crate::credentials::{self, CredentialAuthorizer, CredentialStore};
use crate::directory::Directory;
use crate::event::EventSender;
use crate::hooks::{BootstrapChain, CredentialChain, Herald};
use crate::keys;
use crate::mailbox::Mailbox;
use crate::observe::{Desk, Observer, RulesFile};
use crate::oscore::{ClockSequences, Oscore};
use crate::registration::profile::Profiles;
use crate::server::{Handle, ShardHandle};
use crate::shard::counters::Published;
use crate::shard::run::Loop;
use crate::shard::{Shard, Shared};
use crate::transport::stream::{self, Streams};
use crate::transport::{self, Bound, BoundSocket, BoundStream, SessionTable, Tls, Transport};
use crate::{AllowAll, Events, Listener, Server, ServerBuilder, StartError};

/// Listeners and shards that a peer and a registration id can name.
const LISTENERS_MAX: usize = 255;
const SHARDS_MAX: usize = 4096;
/// Shards that a Connection ID can name.
const SHARDS_WITH_DTLS_MAX: usize = 256;

pub(crate) fn start(builder: ServerBuilder) -> Result<Server, StartError> {
    let ServerBuilder {
        mut config,
        listeners,
        models,
        authorizer,
        credentials,
        keys,
        sequences,
        bootstrap,
        interceptors,
        observe,
        observe_file,
        subscribers,
    } = builder;
    config.shards = config.shards.max(1);
    if listeners.is_empty() {
        return Err(StartError::NoListener);
    }
    let shards_max = match listeners.iter().any(Listener::is_secure) {
        true => SHARDS_WITH_DTLS_MAX,
        false => SHARDS_MAX,
    };
    if listeners.len() > LISTENERS_MAX || config.shards > shards_max {
        return Err(StartError::TooMany {
            listeners: LISTENERS_MAX,
            shards: shards_max,
        });
    }
    // An interceptor may have the hook later.
    let nobody_knows = bootstrap.is_none() && interceptors.is_empty();
    if nobody_knows && listeners.iter().any(Listener::is_for_bootstrap) {
        return Err(StartError::NoBootstrapStore);
    }
    observe.check(&config.limits)?;
    let (set, observe_file) = match observe_file {
        Some(path) => {
            let (file, set) = RulesFile::open(path, &config.limits)?;
            (set, Some(file))
        }
        None => (Vec::new(), None),
    };
    let looks_max = config.limits.observe_looks_max;
    let (observer, looks) = Observer::new(observe, (set, observe_file), looks_max);
    let Bound {
        shards: sockets,
        addresses,
        streams,
    } = transport::bind(&listeners, config.shards, config.limits.local_addresses_max)?;
    let (models, directory): (Arc<dyn ObjectModels>, _) = match models {
        ModelsSource::Embedded => (Arc::new(Registry::embedded()), None),
        ModelsSource::Given(models) => (models, None),
        ModelsSource::Directory(directory) => (directory.models(), Some(directory.open())),
    };
    let head_start = match credentials.is_some() && sequences.is_none() {
        true => ClockSequences::HEAD_START,
        false => Duration::ZERO,
    };
    let (sender, events) = EventSender::new(config.limits.subscriber_queue_max);
    let store = credentials.clone();
    let granted = (!interceptors.is_empty()).then(|| {
        CredentialChain::new(
            interceptors.clone(),
            credentials.clone(),
            events.clone(),
            &config.limits,
            || (Instant::now(), SystemTime::now()),
        )
    });
    let credentials = match &granted {
        None => credentials,
        Some(chain) => Some(Arc::new(chain.clone()) as Arc<dyn CredentialStore>),
    };
    let bootstrap = match interceptors.is_empty() {
        true => bootstrap,
        false => Some(Arc::new(BootstrapChain::new(
            interceptors.clone(),
            bootstrap,
            events.clone(),
            config.limits.hook_timeout,
            SystemTime::now,
        )) as Arc<dyn BootstrapStore>),
    };
    let herald = (!interceptors.is_empty()).then(|| {
        let interceptors = interceptors.clone();
        Herald::start(
            interceptors,
            &config.limits,
            events.clone(),
            observer.clone(),
            SystemTime::now,
        )
    });
    let shared = Arc::new(Shared {
        directory: Directory::new(config.limits.registrations_max),
        profiles: Profiles::new(config.profiles.clone(), config.limits.profiles_max),
        models,
        authorizer: authorizer.unwrap_or_else(|| match &credentials {
            Some(store) => Arc::new(CredentialAuthorizer::new(Arc::clone(store))),
            None => Arc::new(AllowAll),
        }),
        oscore: credentials.as_ref().map(|store| {
            let sequences =
                sequences.unwrap_or_else(|| Arc::new(ClockSequences::new(SystemTime::now)));
            Oscore::new(
                Arc::clone(store),
                sequences,
                config.limits.oscore_contexts_max,
            )
        }),
        credentials,
        bootstrap,
        bootstrap_sessions: BootstrapSessions::new(config.bootstrap.sessions_max),
        interceptors,
        herald,
        observer,
        keys: keys.clone(),
        resumption: lwm2m_dtls::ServerResumption::default(),
        listeners: listeners.clone(),
        sessions: Arc::new(SessionTable::new(
            config.limits.connections_max,
            config.limits.connections_per_address_max,
        )),
        tls: Arc::new(Tls::new(keys.clone(), &config)?),
        config,
    });
    shared.dtls()?;
    // Subscribed before the first datagram is taken, so that nothing is missed.
    for subscriber in subscribers {
        tokio::spawn(call(subscriber, events.subscribe()));
    }
    let following = match directory {
        None => None,
        Some(models) => {
            let following = models.follow(&sender, events.clone());
            Some(following.map_err(StartError::Models)?)
        }
    };
    // Subscribed before a file can change.
    let revocations = keys.clone().map(|keys| (keys.replaced(), keys));
    let keys_watch = match keys {
        None => None,
        Some(keys) => keys::follow(keys, events.clone()).map_err(StartError::Keys)?,
    };
    let (stop, stopped) = watch::channel(false);
    let mailbox_max = shared.config.limits.mailbox_max.max(1);
    let (relay_senders, relay_receivers): (Vec<_>, Vec<_>) = (0..shared.config.shards)
        .map(|_| mpsc::channel(mailbox_max))
        .unzip();
    let mut shards = Vec::new();
    let parts = sockets.into_iter().zip(streams).zip(relay_receivers);
    for (id, ((sockets, streams), relays)) in parts.enumerate() {
        let (commands, inbox) = mpsc::channel(mailbox_max);
        let published = Arc::new(Published::default());
        let parts = Parts {
            id: id as u16,
            shared: Arc::clone(&shared),
            sender: sender.clone(),
            sockets,
            answers: commands.downgrade(),
            streams,
            inbox,
            relays,
            peers: relay_senders.clone(),
            stop: stopped.clone(),
            published: Arc::clone(&published),
            head_start,
        };
        let thread = parts.spawn().map_err(StartError::Shard)?;
        shards.push(ShardHandle {
            mailbox: Mailbox { commands },
            published,
            thread: std::sync::Mutex::new(Some(thread)),
        });
    }
    if let Some(store) = &store {
        let commands = shards
            .iter()
            .map(|shard| shard.mailbox.commands.downgrade());
        tokio::spawn(credentials::watch(
            Arc::clone(store),
            // Subscribed before anybody can change them.
            store.changes(),
            shared
                .oscore
                .as_ref()
                .map(Arc::downgrade)
                .unwrap_or_default(),
            commands.collect(),
        ));
    }
    let mailboxes = || {
        let shards = shards.iter();
        shards.map(|shard| shard.mailbox.commands.downgrade())
    };
    if let Some((replaced, keys)) = revocations {
        let shards = mailboxes().collect();
        let stopped = stopped.clone();
        tokio::spawn(keys::watch_revocations(keys, replaced, shards, stopped));
    }
    let desk = Desk::new(&shared, looks, mailboxes().collect(), events.clone());
    tokio::spawn(desk.run(stopped));
    tracing::info!(?addresses, shards = shards.len(), "server started");
    let server = Server::from(Handle {
        addresses,
        schemes: listeners.iter().map(Listener::scheme).collect(),
        shards,
        shared: Arc::clone(&shared),
        store,
        granted,
        events,
        stop,
        models: following,
        keys: keys_watch,
    });
    for interceptor in &shared.interceptors {
        crate::shard::hook(|| interceptor.on_started(&server.downgrade()));
    }
    Ok(server)
}

/// What one shard is made of; it is put together on its own thread.
struct Parts {
    id: u16,
    shared: Arc<Shared>,
    sender: EventSender,
    sockets: Vec<BoundSocket>,
    streams: Vec<BoundStream>,
    inbox: mpsc::Receiver<crate::mailbox::Command>,
    answers: mpsc::WeakSender<crate::mailbox::Command>,
    relays: mpsc::Receiver<crate::mailbox::Relay>,
    peers: Vec<mpsc::Sender<crate::mailbox::Relay>>,
    stop: watch::Receiver<bool>,
    published: Arc<Published>,
    /// How long what comes waits at first.
    head_start: Duration,
}

impl Parts {
    fn spawn(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let _within = runtime.enter();
        let transport = Transport::new(self.sockets)?;
        let config = &self.shared.config;
        let (inputs, stream_inputs) = mpsc::channel(config.limits.mailbox_max.max(1));
        let streams = Arc::new(Streams {
            inputs,
            sessions: Arc::clone(&self.shared.sessions),
            credentials: self.shared.credentials.clone(),
            limits: config.tcp,
            queue_max: config.limits.connection_queue_max,
        });
        for bound in self.streams {
            let socket = tokio::net::TcpListener::from_std(bound.socket)?;
            let tls = bound.tls.then(|| Arc::clone(&self.shared.tls));
            let accept = stream::accept(socket, bound.listener, tls, Arc::clone(&streams));
            runtime.spawn(accept);
        }
        drop(_within);
        std::thread::Builder::new()
            .name(format!("lwm2m-shard-{}", self.id))
            .spawn(move || {
                std::thread::sleep(self.head_start);
                let seed = rand::random();
                let now = Instant::now();
                let work = Loop {
                    streams: stream_inputs,
                    sessions: Arc::clone(&self.shared.sessions),
                    shard: Shard::new(self.id, self.shared, self.sender, now, seed),
                    transport,
                    commands: self.inbox,
                    answers: self.answers,
                    relays: self.relays,
                    peers: self.peers,
                    stop: self.stop,
                    published: self.published,
                };
                runtime.block_on(work.run());
            })
    }
}

async fn call(subscriber: Subscriber, mut events: Events) {
    while let Some(next) = events.next().await {
        match next {
            Ok(event) => {
                crate::shard::hook(|| subscriber(&event));
            }
            Err(lagged) => tracing::warn!(dropped = lagged.0, "a subscriber was too slow"),
        }
        if events.is_empty() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// How long events gather before a subscriber is called again. Waking one that waits costs a shard
/// some microseconds, for each event; the queue holds far more than come in this time.
const GATHER: Duration = Duration::from_millis(1);
