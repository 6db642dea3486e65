//! The check of identities against endpoint names, as the default [`Authorizer`].

use std::sync::Arc;

use super::{Credential, CredentialStore};
use crate::authorizer::refused_name;
use crate::bootstrap::BootstrapRequest;
use crate::identity::Authenticated;
use crate::{Authorizer, EndpointName, Refusal, RegistrationRequest};

/// Lets a peer use the endpoint names of the credentials that have proven it, and nobody without
/// security use a name that a credential stands for.
///
/// The default when a server has a [store](crate::ServerBuilder::credentials). All refusals look the
/// same to the device, so that nobody learns which names exist; the event says more.
pub struct CredentialAuthorizer {
    store: Arc<dyn CredentialStore>,
}

impl CredentialAuthorizer {
    /// Checks against this store.
    pub fn new(store: Arc<dyn CredentialStore>) -> CredentialAuthorizer {
        CredentialAuthorizer { store }
    }

    fn check(&self, endpoint: &EndpointName, peer: Option<&Authenticated>) -> Result<(), Refusal> {
        match peer {
            Some(peer) if peer.may_use(endpoint) => Ok(()),
            Some(peer) => Err(refused_name("endpoint-not-allowed", allowed(peer))),
            None if self.store.covers(endpoint) => {
                let hint = format!(
                    "{endpoint} has credentials, so it comes over DTLS, TLS or OSCORE: \
                     `lwm2m-server credentials list --endpoint {endpoint}` shows them"
                );
                Err(refused_name("nosec-refused", hint))
            }
            None => Ok(()),
        }
    }
}

impl Authorizer for CredentialAuthorizer {
    fn authorize(&self, request: &RegistrationRequest<'_>) -> Result<(), Refusal> {
        self.check(request.endpoint, request.authenticated)
    }

    fn authorize_bootstrap(&self, request: &BootstrapRequest) -> Result<(), Refusal> {
        self.check(&request.endpoint, request.authenticated.as_deref())
    }

    fn endpoint_name(&self, peer: &Authenticated) -> Option<EndpointName> {
        let name = |credential: &Arc<Credential>| credential.endpoint_name(&peer.identity);
        let mut names = peer.credentials.iter().filter_map(name);
        let first = names.next()?;
        names.all(|other| other == first).then_some(first)
    }
}

/// What a peer may be, for the operator who wonders.
fn allowed(peer: &Authenticated) -> String {
    let of = |credential: &Arc<Credential>| {
        let names: Vec<String> = credential.endpoints.iter().map(|p| p.to_string()).collect();
        format!("{} of credential {}", names.join(", "), credential.id)
    };
    let allowed: Vec<String> = peer.credentials.iter().map(of).collect();
    format!(
        "{} may use {}: give the device one of these names, or the credential the name of the \
         device",
        peer.identity,
        allowed.join("; ")
    )
}
