//! Why something was refused or failed.

use std::borrow::Cow;

use lwm2m_coap::Code;
use lwm2m_core::Version;
use lwm2m_core::codec::{DecodeError, EncodeError};

/// A fact for the operator: what happened, and how to mend it where we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable word for programs, as in `lifetime-missing`.
    pub code: &'static str,
    /// What happened, for people.
    pub message: Cow<'static, str>,
    /// How to mend it.
    pub hint: Option<Cow<'static, str>>,
}

impl Reason {
    /// A reason without a hint.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Reason {
        Reason {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Reason {
        self.hint = Some(hint.into());
        self
    }
}

/// Why a request to a device did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    // The device's fault.
    /// The device answered with an error code.
    #[error("the device answered {code:?}{}", diagnostic.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Refused {
        /// The code.
        code: Code,
        /// Its diagnostic payload, when it is text.
        diagnostic: Option<String>,
    },
    /// The device did not acknowledge after all retransmissions.
    #[error("the device did not acknowledge")]
    NotAcknowledged,
    /// The device acknowledged and then sent no response in time.
    #[error("the device acknowledged but sent no response")]
    NoResponse,
    /// The device answered with a reset.
    #[error("the device rejected the message")]
    Reset,
    /// A success code that this operation does not have, or a broken block-wise answer.
    #[error("the device broke the protocol: {0}")]
    Protocol(String),
    /// The answer's payload is broken as a whole.
    #[error("the answer cannot be decoded: {0}")]
    Undecodable(#[from] DecodeError),

    // The caller's fault.
    /// No device of this name is registered.
    #[error("no device of this name is registered")]
    NotRegistered,
    /// The request is not one that LwM2M has, checked before sending.
    #[error("{0}")]
    Invalid(String),
    /// The object model says that the device will refuse this, checked before sending.
    #[error("{0}")]
    AgainstModel(String),
    /// The device's version does not have this operation.
    #[error("LwM2M {version} has no {operation}")]
    NotInVersion {
        /// What the device registered with.
        version: Version,
        /// The operation.
        operation: &'static str,
    },
    /// The values cannot be written in the format asked for.
    #[error("the values cannot be written: {0}")]
    Unencodable(#[from] EncodeError),
    /// No observation of this id stands.
    #[error("no such observation")]
    NoObservation,

    // Nobody's fault, or ours.
    /// The device did not wake up before the deadline.
    #[error("the device did not wake up in time")]
    Asleep,
    /// The device was connected and is not any more; what waited for it has run out of time, and
    /// what was under way ended with the connection.
    #[error("the device is not connected")]
    NotConnected,
    /// The deadline passed while the request waited for its turn or its answer.
    #[error("the deadline passed")]
    Deadline,
    /// The registration ended while the request waited.
    #[error("the registration ended")]
    RegistrationEnded,
    /// The device's queue is full.
    #[error("too many requests wait for this device")]
    QueueFull,
    /// As many observations of this device stand as the server allows.
    #[error("{max} observations of this device stand, and no more are allowed")]
    TooManyObservations {
        /// The limit.
        max: usize,
    },
    /// The shard's mailbox is full.
    #[error("the server is overloaded")]
    Overloaded,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}
