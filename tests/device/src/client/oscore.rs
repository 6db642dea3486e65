//! The security context that a device shares with its server (object 21).

use std::sync::Arc;

use lwm2m_coap::{OutgoingRequest, SecurityContextId};
use lwm2m_oscore::{ContextName, Contexts, ContextsError, Parameters, ReplayState, SequenceStore};

use super::Client;

/// An account with OSCORE: everything between the device and its server is protected.
///
/// It outlives a [`Client::reboot`], like a device that keeps its sequence numbers.
#[derive(Debug, Clone)]
pub struct OscoreAccount {
    pub(super) contexts: Arc<Contexts>,
    pub(super) context: SecurityContextId,
}

impl OscoreAccount {
    /// The account of these parameters, the Sender ID being the device's (`/21/x/1`).
    ///
    /// `sequence_start` is the first sequence number: 0 for keys that were never used, or one
    /// behind all that an earlier run may have used.
    ///
    /// # Errors
    /// Parameters of which no context comes.
    pub fn new(parameters: &Parameters, sequence_start: u64) -> Result<Self, ContextsError> {
        let contexts = Contexts::new(1, Arc::new(StartingAt(sequence_start)));
        let context = contexts.add(parameters, ReplayState::Unused)?;
        Ok(OscoreAccount {
            contexts: Arc::new(contexts),
            context,
        })
    }
}

/// The same account, not one with the same parameters.
impl PartialEq for OscoreAccount {
    fn eq(&self, other: &OscoreAccount) -> bool {
        Arc::ptr_eq(&self.contexts, &other.contexts)
    }
}

/// Numbers of one run; nothing is kept for the next.
#[derive(Debug)]
struct StartingAt(u64);

impl SequenceStore for StartingAt {
    fn start(&self, _: &ContextName) -> u64 {
        self.0
    }

    fn reserve(&self, _: &ContextName, limit: u64) -> u64 {
        limit
    }
}

impl Client {
    /// A request to the server, protected when the account is.
    pub(super) fn to_server(&self, request: OutgoingRequest) -> OutgoingRequest {
        OutgoingRequest {
            security: self.config.oscore.as_ref().map(|account| account.context),
            ..request
        }
    }
}
