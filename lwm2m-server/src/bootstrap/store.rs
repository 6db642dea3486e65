//! *Replace*: what is written into which device.

use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_core::ContentFormat;

use super::{BootstrapDocument, BootstrapDocumentError, BootstrapPlan};
use crate::credentials::LookUp;
use crate::identity::{Authenticated, PeerIdentity};
use crate::{EndpointName, Refusal};

/// What is written into which device: a memory, a file, a data base, a provisioning service.
///
/// Asked on the thread of a shard, for every Bootstrap-Request whose peer may use its endpoint name;
/// so nothing here blocks. An answer that takes its time is [`LookUp::Later`]: the device waits for
/// it, others go on.
///
/// ```
/// use std::sync::Arc;
/// use lwm2m_server::bootstrap::{
///     AccountSecurity, BootstrapAnswer, BootstrapPlan, BootstrapRequest, BootstrapStore,
///     ServerAccount,
/// };
/// use lwm2m_server::credentials::LookUp;
///
/// /// Sends every device to one server.
/// struct OneServer;
///
/// impl BootstrapStore for OneServer {
///     fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
///         if !request.endpoint.as_str().starts_with("urn:") {
///             return LookUp::Now(BootstrapAnswer::Unknown);
///         }
///         let account = ServerAccount::new(101, "coap://[2001:db8::1]", AccountSecurity::NoSec);
///         let plan = BootstrapPlan::replacing_accounts().account(&account);
///         LookUp::Now(BootstrapAnswer::Configure(Arc::new(plan)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what is written into devices",
    label = "this is not a `BootstrapStore`",
    note = "`MemoryBootstrap` is one; to keep it elsewhere, implement `BootstrapStore`"
)]
pub trait BootstrapStore: Send + Sync + 'static {
    /// What is written into a device that asks.
    fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer>;

    /// The plans as documents, keys included, in the order in which they count; none when the store
    /// does not have them as such.
    fn documents(&self) -> Option<Vec<BootstrapDocument>> {
        None
    }

    /// Removes and adds plans, all of them or none; by default that is not done here.
    fn change(&self, _change: BootstrapChange) -> LookUp<Result<(), BootstrapStoreError>> {
        LookUp::Now(Err(BootstrapStoreError::NotHere))
    }
}

/// What is to become of the plans of a store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BootstrapChange {
    /// Plans that go, by what they are for.
    pub remove: Vec<String>,
    /// Plans that come behind the others.
    pub add: Vec<BootstrapDocument>,
}

/// Why the plans of a store stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapStoreError {
    /// They are made somewhere else.
    #[error("the plans are not kept by this server")]
    NotHere,
    /// There is no such plan.
    #[error("there is no plan for {0:?}")]
    NotFound(String),
    /// There is a plan for these endpoint names already.
    #[error("there is a plan for {0:?} already")]
    Taken(String),
    /// What a plan says is wrong.
    #[error(transparent)]
    Invalid(#[from] BootstrapDocumentError),
    /// There is no room.
    #[error("there is no room for more than {max} plans")]
    Full {
        /// How many there may be.
        max: usize,
    },
    /// They cannot be kept at the moment.
    #[error("{0}")]
    Unavailable(String),
}

/// What a store says to a Bootstrap-Request.
#[derive(Debug, Clone, PartialEq)]
pub enum BootstrapAnswer {
    /// There is nothing for this device: it is refused like one that may not use the name.
    Unknown,
    /// This is written into it.
    Configure(Arc<BootstrapPlan>),
    /// It is refused, with 4.00, 4.03 or 5.03.
    Refuse(Refusal),
}

/// A Bootstrap-Request (Core 1.2.2 §6.1.7.1) or Bootstrap-Pack-Request (§6.1.7.6).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BootstrapRequest {
    /// The endpoint name, which the peer may use.
    pub endpoint: EndpointName,
    /// The scheme of the listener, as in `coaps`.
    pub scheme: &'static str,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Who the transport says it is.
    pub identity: PeerIdentity,
    /// What has proven it; none without security.
    pub authenticated: Option<Arc<Authenticated>>,
    /// The format that the device wants (`pct`, 1.1); none in 1.0.
    pub preferred_format: Option<ContentFormat>,
    /// The parameters that the server does not know, as key and value.
    pub parameters: Vec<(String, String)>,
}

impl BootstrapRequest {
    /// Of a device of which nothing else is known, without security: for tests of stores and of
    /// interceptors.
    pub fn new(endpoint: EndpointName, peer: SocketAddr) -> BootstrapRequest {
        BootstrapRequest {
            endpoint,
            scheme: "coap",
            peer,
            identity: PeerIdentity::Anonymous,
            authenticated: None,
            preferred_format: None,
            parameters: Vec::new(),
        }
    }
}
