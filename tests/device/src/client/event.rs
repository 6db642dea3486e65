//! What happens to a client.

use std::net::SocketAddr;

use lwm2m_coap::{Code, Failure};
use lwm2m_core::{Path, Version};
use lwm2m_dtls::{CipherSuite, DownReason};

/// What has happened to a client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// The server has accepted a Register.
    Registered {
        /// The location without leading slash, `rd/5a3f`.
        location: String,
        /// The version that was accepted.
        version: Version,
    },
    /// The bootstrap server has given an account; a Register follows.
    Bootstrapped {
        /// The server of the account.
        server: SocketAddr,
    },
    /// A Bootstrap-Request has failed, or what came of it; the next attempt follows by itself.
    BootstrapFailed(RegistrationError),
    /// A Register has failed; the next attempt follows by itself.
    RegistrationFailed(RegistrationError),
    /// The server has accepted an Update.
    Updated,
    /// An Update has failed; a Register follows by itself.
    UpdateFailed(RegistrationError),
    /// The server has accepted a De-register, or does not know us any more.
    Deregistered,
    /// The server has asked for something, and got this answer.
    Requested {
        /// The method.
        method: Code,
        /// The target; none for paths that are no LwM2M paths.
        path: Option<Path>,
        /// The code of the answer; none when it was left unanswered.
        code: Option<Code>,
    },
    /// The server observes something.
    ObservationStarted {
        /// The observation.
        id: ObservationId,
        /// What is observed.
        paths: Vec<Path>,
    },
    /// An observation has ended.
    ObservationEnded {
        /// The observation.
        id: ObservationId,
    },
    /// A notification went out.
    Notified {
        /// The observation.
        id: ObservationId,
        /// CON or NON.
        confirmable: bool,
    },
    /// A Send has ended.
    Sent {
        /// The operation.
        id: SendId,
        /// The code of the server's answer, or why there is none.
        outcome: Result<Code, Failure>,
    },
    /// The connection to the server stands.
    Connected,
    /// The connection to the server has ended; another one is made.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// A DTLS session with the server is up.
    SessionUp {
        /// How records are protected.
        suite: CipherSuite,
        /// It continues the session before.
        resumed: bool,
    },
    /// The DTLS session has ended; the next message begins with a handshake.
    SessionDown {
        /// Why.
        reason: DownReason,
    },
    /// The client has started anew after a reboot.
    Rebooted,
    /// In queue mode: the client does not listen any more.
    Asleep,
    /// In queue mode: the client listens again.
    Awake,
}

/// Names an observation for as long as the client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObservationId(pub u64);

/// Names a Send for as long as the client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u64);

/// Why a Register or an Update has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The server refused.
    #[error("refused with {code:?}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Refused {
        /// The response code.
        code: Code,
        /// The diagnostic payload, empty for none.
        reason: String,
    },
    /// No answer.
    #[error("no answer: {0}")]
    NoAnswer(Failure),
    /// There is no connection.
    #[error("no connection: {0}")]
    Connection(String),
    /// There is no DTLS session.
    #[error("the handshake failed: {0}")]
    Handshake(lwm2m_dtls::Failure),
}

impl RegistrationError {
    /// True when the same attempt will fail again: the server has refused, or the two sides do not
    /// trust each other.
    pub fn is_final(&self) -> bool {
        use lwm2m_dtls::Failure as Handshake;
        match self {
            RegistrationError::Refused { .. } => true,
            RegistrationError::NoAnswer(_) | RegistrationError::Connection(_) => false,
            RegistrationError::Handshake(failure) => {
                !matches!(failure, Handshake::Timeout { .. } | Handshake::GivenUp)
            }
        }
    }

    /// How to mend it, where we know.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            RegistrationError::Handshake(failure) => failure.hint(),
            RegistrationError::Refused { .. }
            | RegistrationError::NoAnswer(_)
            | RegistrationError::Connection(_) => None,
        }
    }
}

/// Why a Send is not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Send is of LwM2M 1.1 and later.
    #[error("LwM2M 1.0 has no Send operation")]
    Version,
    /// The client is not registered.
    #[error("the client is not registered")]
    NotRegistered,
    /// Mute Send (`/1/x/23`) is true.
    #[error("Mute Send is on; the server writes false to /1/0/23 to allow Send")]
    Muted,
    /// None of the paths can be read.
    #[error("nothing to send: {0}")]
    Refused(crate::Refusal),
    /// The values cannot be encoded.
    #[error("the values cannot be encoded: {0}")]
    Encode(String),
    /// The CoAP engine refuses.
    #[error(transparent)]
    Request(#[from] lwm2m_coap::RequestError),
}
