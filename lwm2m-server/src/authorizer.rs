//! *Replace*: who may register.

use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_core::{ObjectList, Version};

use crate::bootstrap::BootstrapRequest;
use crate::identity::{Authenticated, PeerIdentity};
use crate::{Binding, EndpointName, Reason};

/// Decides whether a peer may use an endpoint name.
///
/// Called on the shard, for every Register, after the interceptors. It answers at once; a decision
/// that needs a look-up belongs into an [`Interceptor`](crate::Interceptor) or is looked up
/// beforehand.
pub trait Authorizer: Send + Sync + 'static {
    /// Allows the registration, or says why not.
    fn authorize(&self, request: &RegistrationRequest<'_>) -> Result<(), Refusal>;

    /// Allows the bootstrap of an endpoint, or says why not. An authorizer that says nothing of it
    /// refuses: what is written into devices are keys.
    fn authorize_bootstrap(&self, request: &BootstrapRequest) -> Result<(), Refusal> {
        let hint = format!(
            "the authorizer of the server does not say who may bootstrap as {}: implement \
             `Authorizer::authorize_bootstrap`",
            request.endpoint
        );
        Err(refused_name("bootstrap-not-authorized", hint))
    }

    /// The endpoint name of a peer whose Register gives none; by default such a Register is refused.
    fn endpoint_name(&self, _peer: &Authenticated) -> Option<EndpointName> {
        None
    }
}

/// Allows everybody: the default, for NoSec on loopback.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _request: &RegistrationRequest<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn authorize_bootstrap(&self, _request: &BootstrapRequest) -> Result<(), Refusal> {
        Ok(())
    }
}

/// The refusal of a name. All look the same to the device, so that nobody learns which names exist;
/// the word and the hint say more.
pub(crate) fn refused_name(word: &'static str, hint: String) -> Refusal {
    Refusal {
        code: Code::BAD_REQUEST,
        reason: Reason::new(word, "this peer may not use this endpoint name").hint(hint),
    }
}

/// What a Register asks for.
#[derive(Debug)]
#[non_exhaustive]
pub struct RegistrationRequest<'a> {
    /// The endpoint name.
    pub endpoint: &'a EndpointName,
    /// The enabler version.
    pub version: Version,
    /// Lifetime in seconds.
    pub lifetime_s: u32,
    /// The bindings, and queue mode.
    pub binding: Binding,
    /// What the device says it has.
    pub objects: &'a Arc<ObjectList>,
    /// The parameters that the server does not know, as key and value.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Who the transport says it is.
    pub identity: &'a PeerIdentity,
    /// What has proven it; none without security.
    pub authenticated: Option<&'a Authenticated>,
}

/// A refused registration: the code for the device, the reason for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 4.00, 4.03 or 5.03.
    pub code: Code,
    /// For the event.
    pub reason: Reason,
}
