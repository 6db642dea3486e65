//! *Subscribe*: typed events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_core::codec::Decoded;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::hooks::Series;
use crate::keys::KeyWarning;
use crate::observe::ObserveRuleSource;
use crate::{
    EndpointName, ModelsLoad, ObservationId, ObservationTarget, PeerIdentity, Reason, Registration,
};

/// Something that happened, with its time.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// The device, when it is known.
    pub endpoint: Option<EndpointName>,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventKind {
    /// A device registered. `replaced` when it had a registration already.
    Registered {
        /// The registration.
        registration: Arc<Registration>,
        /// True when it takes the place of an older one.
        replaced: bool,
    },
    /// A device updated its registration.
    Updated {
        /// The registration after the Update.
        registration: Arc<Registration>,
        /// True when the object list changed.
        objects_changed: bool,
    },
    /// A device de-registered, or an application dropped its registration.
    Deregistered {
        /// The registration that ended.
        registration: Arc<Registration>,
    },
    /// A device did not update within its lifetime.
    Expired {
        /// The registration that ended.
        registration: Arc<Registration>,
    },
    /// A Register, Update, De-register, Send or Bootstrap-Request was refused, or a request for no
    /// resource of ours.
    Refused {
        /// `register`, `update`, `deregister`, `send`, `bootstrap`, `request` for no resource of
        /// ours, `credentials` when an interceptor denies them, to a peer whose address is
        /// unspecified where it is not known, `session` for one that ends with its credential,
        /// `connection` for one that is refused or ends in
        /// bad order, or `datagram` for what the CoAP engine refuses; of the last two at most some
        /// in a second for each source.
        operation: &'static str,
        /// From where.
        peer: SocketAddr,
        /// From whom.
        identity: PeerIdentity,
        /// What the device was told; 0.00 for a datagram and a session.
        code: Code,
        /// Why.
        reason: Reason,
    },
    /// A session of DTLS is over: the device closed it or sent an alert, or it was idle for too long.
    /// A registration stands until its lifetime has passed; the device needs a new session.
    ///
    /// One that ends with its credential is `Refused`; one that a younger session of the same device
    /// takes the place of is not told of.
    SessionEnded {
        /// Where the device was.
        peer: SocketAddr,
        /// Who it was.
        identity: PeerIdentity,
        /// Why.
        reason: Reason,
    },
    /// A device bootstraps: its Bootstrap-Request was accepted.
    BootstrapStarted {
        /// From where.
        peer: SocketAddr,
        /// From whom.
        identity: PeerIdentity,
        /// How many requests follow at most, the Bootstrap-Finish included; 1 for a pack.
        steps: usize,
    },
    /// A step of a bootstrap session did not succeed; the session may go on.
    BootstrapStepFailed {
        /// Which one, from 1.
        step: usize,
        /// `discover`, `delete`, `write`, `read` or `finish`.
        operation: &'static str,
        /// What it was about.
        path: Path,
        /// What the device answered; none when it did not, or was not asked.
        code: Option<Code>,
        /// Why.
        reason: Reason,
    },
    /// A device has taken the Bootstrap-Finish, or was given its pack: it registers next.
    BootstrapFinished {
        /// How many steps there were.
        steps: usize,
        /// How many of them failed.
        failures: usize,
    },
    /// A bootstrap session ended otherwise. The device keeps what it had, and tries again.
    BootstrapFailed {
        /// At which step, from 1; 0 before the first one.
        step: usize,
        /// Why.
        reason: Reason,
    },
    /// A sleeping device can be reached.
    Awake,
    /// A device has gone to sleep.
    Asleep,
    /// An observation stands.
    ObservationStarted {
        /// The observation.
        id: ObservationId,
        /// What it is about.
        target: ObservationTarget,
    },
    /// An observation has ended.
    ObservationEnded {
        /// The observation.
        id: ObservationId,
        /// What it was about.
        target: ObservationTarget,
        /// Why.
        reason: Reason,
    },
    /// Observe rules have changed, or were not taken. What comes of it on devices follows.
    ObserveRules {
        /// Which of them.
        source: ObserveRuleSource,
        /// How many there are now, or why they stay as they were.
        outcome: Result<usize, Reason>,
    },
    /// What a device is to be observed for has changed: an observe plan is made, or made anew. What
    /// comes of it follows. See [`observe`](crate::observe).
    ObservePlanned {
        /// Who made it: `configuration`, or an extension; none when nothing is planned any more.
        owner: Option<String>,
        /// The observations that it comes to.
        targets: Vec<ObservationTarget>,
        /// Paths of it that the device has not registered.
        left_out: Vec<Path>,
    },
    /// An observe plan has been carried out.
    ObserveEstablished {
        /// Observations that were made.
        made: usize,
        /// Observations of the plan before that were cancelled.
        cancelled: usize,
        /// How often an observation was refused.
        failed: usize,
    },
    /// A part of an observe plan did not succeed; the others go on, unless the device does not answer.
    ObserveFailed {
        /// `observe`, `observe-composite`, `write-attributes`, `repair`, or `plan` for the rest of it.
        operation: &'static str,
        /// What it was about; empty for the whole plan.
        paths: Vec<Path>,
        /// What the device answered; none when it did not, or was not asked.
        code: Option<Code>,
        /// Why, and what becomes of it.
        reason: Reason,
    },
    /// Values of an observation, the first one included.
    Notification {
        /// The observation.
        id: ObservationId,
        /// What it is about.
        target: ObservationTarget,
        /// The values.
        values: Arc<Decoded<'static>>,
    },
    /// A notification could not be decoded; the observation stands.
    Undecodable {
        /// `notification`, `send` or `response`.
        operation: &'static str,
        /// Its Content-Format number.
        format: Option<u16>,
        /// The payload.
        payload: bytes::Bytes,
        /// Why.
        reason: Reason,
    },
    /// Values that a device sent by itself.
    Send {
        /// The values.
        values: Arc<Decoded<'static>>,
    },
    /// The files with the server's keys and certificates changed, see
    /// [`Keys`](crate::keys::Keys). Sessions that stand do not notice.
    KeysReloaded {
        /// The new ones are in use, and what should be looked after; or why they cannot be used:
        /// the server goes on with those that it has.
        outcome: Result<Vec<KeyWarning>, Reason>,
    },
    /// Values under names of the application's, out of what a device sent.
    Series {
        /// The values.
        series: Arc<Vec<Series>>,
    },
    /// A document out of what a device sent.
    Document {
        /// As in `application/json`.
        content_type: String,
        /// As it is.
        body: bytes::Bytes,
    },
    /// An extension has something to tell.
    Published {
        /// Which one.
        extension: String,
        /// What it is about, a word of its own.
        kind: String,
        /// JSON.
        json: String,
    },
    /// An extension gave no answer, or none that can be used.
    ExtensionFailed {
        /// Which one.
        extension: String,
        /// At which hook, as [`Hook::name`](crate::Hook::name) has it; none for all.
        hook: Option<&'static str>,
        /// What is wrong, and what became of what it was asked about.
        reason: Reason,
    },
    /// An extension is not asked for a while, is tried again, or is asked again.
    ExtensionSwitched {
        /// Which one.
        extension: String,
        /// `off`, `trying` or `on`.
        state: &'static str,
        /// Why.
        reason: Reason,
    },
    /// The models directory was loaded: models changed, or something is wrong in the files.
    ModelsLoaded {
        /// What changed and what is wrong.
        load: Arc<ModelsLoad>,
    },
}

/// A subscription: a bounded queue of its own; what does not fit is dropped and counted.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Arc<Event>>,
    tally: Arc<Tally>,
}

impl Events {
    /// The next event; none when the server has stopped.
    ///
    /// # Errors
    /// [`Lagged`] says how many events were dropped because this subscriber was slow; the call
    /// after it goes on with the oldest that is left.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Lagged>> {
        match self.receiver.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(dropped)) => {
                self.tally.dropped.fetch_add(dropped, Ordering::Relaxed);
                Some(Err(Lagged(dropped)))
            }
        }
    }
}

impl Events {
    /// True when the next event has yet to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

#[cfg(test)]
impl Events {
    /// The next event that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<Event>> {
        self.receiver.try_recv().ok()
    }
}

/// Events were dropped because a subscriber was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were dropped because the subscriber was slow")]
pub struct Lagged(pub u64);

impl Drop for Events {
    fn drop(&mut self) {
        self.tally.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The end that the shards hold.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    sender: broadcast::Sender<Arc<Event>>,
    tally: Arc<Tally>,
}

/// What is counted of all subscriptions.
#[derive(Debug, Default)]
struct Tally {
    // The channel knows as well, but only under its lock.
    listeners: AtomicUsize,
    dropped: AtomicU64,
}

impl EventSender {
    /// A channel in which `max` events wait for each subscriber.
    pub(crate) fn new(max: usize) -> (EventSender, EventSource) {
        let (sender, _) = broadcast::channel(max.max(1));
        let tally = Arc::<Tally>::default();
        let source = EventSource {
            sender: sender.downgrade(),
            tally: Arc::clone(&tally),
        };
        (EventSender { sender, tally }, source)
    }

    /// Tells the subscribers. The event is only made when there are any.
    pub(crate) fn emit(
        &self,
        at: SystemTime,
        endpoint: Option<&EndpointName>,
        kind: impl FnOnce() -> EventKind,
    ) {
        if self.tally.listeners.load(Ordering::Relaxed) == 0 {
            return;
        }
        let event = Event {
            at,
            endpoint: endpoint.cloned(),
            kind: kind(),
        };
        // An error says that the last subscriber has just left.
        let _ = self.sender.send(Arc::new(event));
    }
}

/// Where subscriptions come from; does not keep the channel open.
#[derive(Debug, Clone)]
pub(crate) struct EventSource {
    sender: broadcast::WeakSender<Arc<Event>>,
    tally: Arc<Tally>,
}

impl EventSource {
    /// A new subscription; one that has ended when the shards have.
    pub(crate) fn subscribe(&self) -> Events {
        self.tally.listeners.fetch_add(1, Ordering::Relaxed);
        let receiver = match self.sender.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Events {
            receiver,
            tally: Arc::clone(&self.tally),
        }
    }

    /// The end that events are given to; none when the shards have ended.
    pub(crate) fn sender(&self) -> Option<EventSender> {
        Some(EventSender {
            sender: self.sender.upgrade()?,
            tally: Arc::clone(&self.tally),
        })
    }

    /// Events that slow subscribers lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.tally.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emit(sender: &EventSender) {
        sender.emit(SystemTime::UNIX_EPOCH, None, || EventKind::Awake);
    }

    #[tokio::test]
    async fn a_slow_subscriber_loses_the_oldest_and_hears_how_many() {
        let (sender, source) = EventSender::new(4);
        let (mut slow, mut quick) = (source.subscribe(), source.subscribe());
        for _ in 0..5 {
            emit(&sender);
            assert!(matches!(quick.next().await, Some(Ok(_))));
        }
        assert!(matches!(slow.next().await, Some(Err(Lagged(1)))));
        for _ in 0..4 {
            assert!(matches!(slow.next().await, Some(Ok(_))));
        }
        assert_eq!(source.dropped(), 1);
        drop(sender);
        assert!(slow.next().await.is_none());
        assert!(source.subscribe().next().await.is_none());
    }

    #[test]
    fn nothing_is_made_when_nobody_listens() {
        let (sender, source) = EventSender::new(4);
        drop(source.subscribe());
        sender.emit(SystemTime::UNIX_EPOCH, None, || {
            unreachable!("nobody listens")
        });
    }
}
