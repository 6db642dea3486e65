//! The running server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use lwm2m_core::ObjectModels;
use tokio::sync::{oneshot, watch};

use crate::bootstrap::BootstrapStore;
use crate::credentials::CredentialStore;
use crate::event::{EventKind, EventSource};
use crate::hooks::{CredentialChain, Herald};
use crate::keys::KeysWatch;
use crate::mailbox::{Command, Mailbox};
use crate::models::Following;
use crate::observe::{
    ObserveFileError, ObserveProgress, ObserveRule, ObserveRuleChange, ObserveRuleError,
    ObserveRuleSource, ObserveStrategies, ObserveStrategiesError,
};
use crate::registration::Location;
use crate::shard::Shared;
use crate::shard::counters::Published;
use crate::{
    Device, EndpointName, Events, ModelsLoad, Reason, Registration, RequestError, ServerBuilder,
};

/// A running server; clones are handles to the same one.
#[derive(Clone)]
pub struct Server {
    handle: Arc<Handle>,
}

/// A handle that does not keep the server running, for extensions that the server itself holds.
#[derive(Clone, Default)]
pub struct WeakServer {
    handle: Weak<Handle>,
}

impl WeakServer {
    /// The server; none when it has stopped, or does not run yet.
    pub fn upgrade(&self) -> Option<Server> {
        self.handle.upgrade().map(|handle| Server { handle })
    }
}

/// What the handles share.
pub(crate) struct Handle {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) schemes: Vec<&'static str>,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) shared: Arc<Shared>,
    /// The store of credentials, without those of interceptors.
    pub(crate) store: Option<Arc<dyn CredentialStore>>,
    /// What interceptors have granted; none without interceptors.
    pub(crate) granted: Option<CredentialChain>,
    pub(crate) events: EventSource,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) models: Option<Following>,
    pub(crate) keys: Option<KeysWatch>,
}

/// One shard as others see it.
pub(crate) struct ShardHandle {
    pub(crate) mailbox: Mailbox,
    pub(crate) published: Arc<Published>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Starts putting one together.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses that it listens on, in the order of the listeners; with the real port when
    /// port 0 was asked for.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.handle.addresses
    }

    /// The same addresses as URIs, as in `coap+tcp://127.0.0.1:5683`.
    pub fn local_uris(&self) -> Vec<String> {
        let pairs = self.handle.schemes.iter().zip(&self.handle.addresses);
        pairs
            .map(|(scheme, address)| format!("{scheme}://{address}"))
            .collect()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// A handle to a device by its endpoint name, whether it is registered or not.
    pub fn device(&self, endpoint: &str) -> Device {
        Device::new(EndpointName::to_look_up(endpoint), Arc::clone(&self.handle))
    }

    /// The registration of an endpoint.
    pub async fn registration(&self, endpoint: &str) -> Option<Registration> {
        let endpoint = EndpointName::to_look_up(endpoint);
        let mut location = self.handle.find(&endpoint).ok()?;
        loop {
            if let Some(registration) = self.handle.snapshots(vec![location]).await.pop() {
                return Some(registration);
            }
            // It may have registered anew in between.
            let moved = self.handle.find(&endpoint).ok()?;
            if moved == location {
                return None;
            }
            location = moved;
        }
    }

    /// Registrations in the order of their endpoint names.
    ///
    /// To go through all of them, ask again behind the last name until the answer is empty.
    pub async fn registrations(&self, filter: ClientFilter) -> Vec<Registration> {
        let limit = filter.limit.unwrap_or(ClientFilter::LIMIT);
        let contains = filter.contains.as_deref();
        let mut after = filter.after;
        let mut registrations = Vec::new();
        // Devices that leave between the look at the names and the one at the registrations make
        // room for the names behind them.
        while registrations.len() < limit {
            let directory = &self.handle.shared.directory;
            let wanted = limit - registrations.len();
            let page = directory.page(after.as_deref(), contains, wanted).await;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(last.as_str().to_owned());
            let locations = page.into_iter().map(|(_, location)| location).collect();
            registrations.extend(self.handle.snapshots(locations).await);
        }
        registrations
    }

    /// Ends a registration without telling the device; false when there is none.
    ///
    /// Its observations end with it, and requests that wait fail with
    /// [`RequestError::RegistrationEnded`](crate::RequestError). The next Update of the device is
    /// answered 4.04, so that it registers anew.
    pub async fn forget(&self, endpoint: &str) -> bool {
        self.device(endpoint).forget().await.is_ok()
    }

    /// A handle that does not keep the server running.
    pub fn downgrade(&self) -> WeakServer {
        WeakServer {
            handle: Arc::downgrade(&self.handle),
        }
    }

    /// Tells the subscribers something, on behalf of an extension.
    pub fn publish(&self, endpoint: Option<&EndpointName>, kind: EventKind) {
        if let Some(sender) = self.handle.events.sender() {
            sender.emit(SystemTime::now(), endpoint, || kind);
        }
    }

    /// Subscribes to everything that happens from now on.
    pub fn events(&self) -> Events {
        self.handle.events.subscribe()
    }

    /// The object models in service.
    pub fn models(&self) -> &dyn ObjectModels {
        &*self.handle.shared.models
    }

    /// What the last load of the models directory changed or found; none when no directory is
    /// followed.
    pub fn models_load(&self) -> Option<Arc<ModelsLoad>> {
        self.handle.models.as_ref().map(Following::last)
    }

    /// What the configuration says is observed on which devices, see [`Server::observe_rules`].
    pub fn observe_strategies(&self) -> Arc<ObserveStrategies> {
        self.handle.shared.observer.strategies()
    }

    /// Takes other observe strategies into service, all or none; rules that were set at run time still
    /// come first. What they change on devices that are registered is changed, so many in a second as
    /// `limits.observe_replans_per_second`; the rest of their observations stands.
    ///
    /// # Errors
    /// A rule that cannot be.
    pub fn set_observe_strategies(
        &self,
        strategies: ObserveStrategies,
    ) -> Result<(), ObserveStrategiesError> {
        let shared = &self.handle.shared;
        strategies.check(&shared.config.limits)?;
        let rules = strategies.rules.len();
        if shared.observer.configure(strategies) {
            self.carry_out_observe_rules(ObserveRuleSource::Configuration, rules);
        }
        Ok(())
    }

    /// Tells that observe strategies were not taken, and keeps why until others are: for who reads them
    /// from somewhere.
    pub fn refuse_observe_strategies(&self, reason: Reason) {
        self.handle.shared.observer.refuse(reason.clone());
        self.tell_observe_rules(ObserveRuleSource::Configuration, Err(reason));
    }

    /// Why the observe strategies that were read last were not taken.
    pub fn refused_observe_strategies(&self) -> Option<Arc<Reason>> {
        self.handle.shared.observer.refused()
    }

    /// The observe rules that count, in their order: those that were set at run time, and those of
    /// [`Server::observe_strategies`] whose endpoints they are not for.
    pub fn observe_rules(&self) -> Vec<(ObserveRuleSource, ObserveRule)> {
        self.handle.shared.observer.rules()
    }

    /// Changes the observe rules that are set at run time, and with them what is observed on devices
    /// that are registered, as with [`Server::set_observe_strategies`]. They are kept where
    /// [`ServerBuilder::observe_rules_file`] says, else until the server stops.
    ///
    /// # Errors
    /// See [`ObserveRuleError`]; nothing has changed then.
    ///
    /// # Cancel safety
    /// A change that has begun goes on.
    pub async fn change_observe_rules(
        &self,
        change: ObserveRuleChange,
    ) -> Result<(), ObserveRuleError> {
        let server = self.clone();
        let changed = move || -> Result<(), ObserveRuleError> {
            let shared = &server.handle.shared;
            let rules = shared.observer.change(change, &shared.config.limits)?;
            server.carry_out_observe_rules(ObserveRuleSource::Operator, rules);
            Ok(())
        };
        let changed = tokio::task::spawn_blocking(changed).await;
        changed.map_err(|error| ObserveRuleError::Unavailable(error.to_string()))?
    }

    /// Looks again and again at the file that [`ServerBuilder::observe_rules_file`] says, until dropped:
    /// rules that were edited there by hand, and are the same at two looks, are taken into service as
    /// with [`Server::change_observe_rules`], without any when the file is gone. A file that is broken
    /// changes nothing, and is told. What the server has written itself is no edit.
    pub async fn follow_observe_rules(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let server = self.clone();
            let look = move || -> Result<(), ObserveFileError> {
                let shared = &server.handle.shared;
                if let Some(rules) = shared.observer.look_at_file(&shared.config.limits)? {
                    server.carry_out_observe_rules(ObserveRuleSource::Operator, rules);
                }
                Ok(())
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let hint =
                        "mend the file; until then the server goes on with the rules that it has";
                    tracing::warn!(%error, hint, "observe rules stay as they were");
                    let reason = Reason::new("rules-file-unusable", error.to_string()).hint(hint);
                    self.handle.shared.observer.refuse_file(reason.clone());
                    self.tell_observe_rules(ObserveRuleSource::Operator, Err(reason));
                }
                Err(error) => {
                    tracing::error!(%error, "the file of observe rules is not followed any more");
                    return;
                }
            }
        }
    }

    /// Why the file of rules was not taken when it was read last; none once it says what is in service.
    pub fn refused_observe_rules_file(&self) -> Option<Arc<Reason>> {
        self.handle.shared.observer.refused_file()
    }

    /// What observe rules come to on devices.
    pub fn observe_progress(&self) -> ObserveProgress {
        self.handle.shared.observer.progress()
    }

    /// Tells of the rules before devices are asked: what comes of a change is told after it.
    fn carry_out_observe_rules(&self, source: ObserveRuleSource, rules: usize) {
        self.tell_observe_rules(source, Ok(rules));
        self.plan_observations();
    }

    fn tell_observe_rules(&self, source: ObserveRuleSource, outcome: Result<usize, Reason>) {
        self.publish(None, EventKind::ObserveRules { source, outcome });
    }

    /// Asks interceptors and strategies anew what is observed on each device that is registered: for
    /// interceptors that have come to think otherwise.
    pub fn plan_observations(&self) {
        self.handle.shared.observer.sweep();
    }

    /// The store of credentials, when the server has one.
    pub fn credentials(&self) -> Option<&Arc<dyn CredentialStore>> {
        self.handle.store.as_ref()
    }

    /// Forgets what interceptors have granted for a while: whoever presents itself from now on is
    /// asked about anew. For extensions whose rules have changed. Sessions that stand go on.
    pub fn forget_granted_credentials(&self) {
        if let Some(granted) = &self.handle.granted {
            granted.forget();
        }
    }

    /// The store of bootstrap plans, when the server has one.
    pub fn bootstrap(&self) -> Option<&Arc<dyn BootstrapStore>> {
        self.handle.shared.bootstrap.as_ref()
    }

    /// Counters since the start, at most one batch of datagrams old.
    pub fn statistics(&self) -> Statistics {
        let herald = self.handle.shared.herald.as_ref();
        let mut sum = Statistics {
            registrations: self.handle.shared.directory.len() as u64,
            connections: self.handle.shared.sessions.len() as u64,
            bootstrap_sessions: self.handle.shared.bootstrap_sessions.len() as u64,
            events_dropped: self.handle.events.dropped(),
            device_hooks_dropped: herald.map_or(0, Herald::dropped),
            observe_looks_missed: self.handle.shared.observer.missed(),
            ..Statistics::default()
        };
        for shard in &self.handle.shards {
            shard.published.add_to(&mut sum);
        }
        sum
    }

    /// Stops taking datagrams, ends what is outstanding, and waits for the shards.
    pub async fn shutdown(self) {
        self.handle.stop.send_replace(true);
        if let Some(keys) = &self.handle.keys {
            keys.stop();
        }
        if let Some(models) = &self.handle.models {
            models.stop();
        }
        for shard in &self.handle.shards {
            let thread = shard
                .thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(thread) = thread {
                // A shard that panicked has said so itself.
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        if let Some(oscore) = self.handle.shared.oscore.clone() {
            let _ = tokio::task::spawn_blocking(move || oscore.settle()).await;
        }
    }
}

impl From<Handle> for Server {
    fn from(handle: Handle) -> Server {
        Server {
            handle: Arc::new(handle),
        }
    }
}

impl Handle {
    /// Where a device lives.
    pub(crate) fn find(&self, endpoint: &EndpointName) -> Result<Location, RequestError> {
        self.shared
            .directory
            .find(endpoint)
            .ok_or(RequestError::NotRegistered)
    }

    /// Leaves a command with the shard of a device, and waits for what comes of it.
    pub(crate) async fn ask<T>(
        &self,
        device: Location,
        command: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Command,
    ) -> Result<T, RequestError> {
        let shard = self.shards.get(usize::from(device.shard));
        let shard = shard.ok_or(RequestError::NotRegistered)?;
        let (sender, answer) = oneshot::channel();
        shard.mailbox.leave(command(sender))?;
        let answer = shard.mailbox.answered(answer).await;
        answer.unwrap_or(Err(RequestError::ShuttingDown))
    }

    /// The registrations at these places, in their order; those that have ended are left out.
    async fn snapshots(&self, locations: Vec<Location>) -> Vec<Registration> {
        let mut answers = Vec::new();
        for (id, shard) in self.shards.iter().enumerate() {
            let on_shard = |location: &&Location| usize::from(location.shard) == id;
            let devices: Vec<Location> = locations.iter().filter(on_shard).copied().collect();
            if devices.is_empty() {
                continue;
            }
            let (answer, snapshots) = oneshot::channel();
            // Reading waits for room: what applications look at is not lost to a busy moment.
            let command = Command::Snapshots { devices, answer };
            if shard.mailbox.commands.send(command).await.is_ok() {
                answers.push((shard, snapshots));
            }
        }
        let mut registrations = Vec::with_capacity(locations.len());
        for (shard, answer) in answers {
            registrations.extend(shard.mailbox.answered(answer).await.unwrap_or_default());
        }
        registrations.sort_by(|a: &Registration, b| a.endpoint.cmp(&b.endpoint));
        registrations
    }
}

/// Which registrations are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientFilter {
    /// Only endpoints behind this one, for paging.
    pub after: Option<String>,
    /// At most this many; none for [`ClientFilter::LIMIT`].
    pub limit: Option<usize>,
    /// Only endpoints that contain this text.
    pub contains: Option<String>,
}

impl ClientFilter {
    /// How many registrations an answer has when the caller does not say: 1000.
    pub const LIMIT: usize = 1000;
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Registrations now.
    pub registrations: u64,
    /// Register requests that were accepted.
    pub registered: u64,
    /// Updates that were accepted.
    pub updated: u64,
    /// De-register requests that were accepted.
    pub deregistered: u64,
    /// Registrations that expired.
    pub expired: u64,
    /// Register, Update, De-register and Send requests that were refused.
    pub refused: u64,
    /// Notifications that were decoded.
    pub notifications: u64,
    /// Send requests that were accepted.
    pub sends: u64,
    /// Datagrams that one shard passed on to another, because their device lives there.
    pub relayed: u64,
    /// Datagrams that could not be passed on.
    pub relays_dropped: u64,
    /// Resets and error answers that the limit for their source held back.
    pub refusals_dropped: u64,
    /// Events that slow subscribers lost.
    pub events_dropped: u64,
    /// Batches of values that were lost since too many waited for interceptors.
    pub values_dropped: u64,
    /// Registrations, updates and ends that interceptors did not hear of, since too much waited.
    pub device_hooks_dropped: u64,
    /// Registrations and changes that observe plans did not hear of one by one, since too much waited:
    /// all devices were looked at instead.
    pub observe_looks_missed: u64,
    /// Connections now.
    pub connections: u64,
    /// Bootstrap sessions now.
    pub bootstrap_sessions: u64,
    /// System calls that sent datagrams; one sends several when several are ready.
    pub send_calls: u64,
    /// The CoAP engines of all shards together.
    pub coap: lwm2m_coap::Statistics,
}
