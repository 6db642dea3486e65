//! *Subscribe*: typed events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use lwm2m_coap::Code;
use lwm2m_core::codec::Decoded;

use crate::{EndpointName, ObservationId, ObservationTarget, Reason, Registration};

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
    /// A device de-registered.
    Deregistered {
        /// The registration that ended.
        registration: Arc<Registration>,
    },
    /// A device did not update within its lifetime.
    Expired {
        /// The registration that ended.
        registration: Arc<Registration>,
    },
    /// A Register, Update, De-register or Send was refused.
    Refused {
        /// `register`, `update`, `deregister` or `send`.
        operation: &'static str,
        /// From where.
        peer: SocketAddr,
        /// What the device was told.
        code: Code,
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
}

/// A subscription: a bounded queue of its own; what does not fit is dropped and counted.
#[derive(Debug)]
pub struct Events {
    receiver: tokio::sync::broadcast::Receiver<Arc<Event>>,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// [`Lagged`] says how many events were dropped because this subscriber was slow; the call
    /// after it goes on with the oldest that is left.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    ///
    /// `None` when the server has stopped.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, Lagged>> {
        let _ = &self.receiver;
        todo!()
    }
}

/// Events were dropped because a subscriber was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were dropped because the subscriber was slow")]
pub struct Lagged(pub u64);
