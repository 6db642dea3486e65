//! The check of identities against endpoint names, as the default [`Authorizer`].

use std::sync::Arc;

use lwm2m_coap::Code;

use super::{Credential, CredentialStore};
use crate::identity::Authenticated;
use crate::{Authorizer, EndpointName, Reason, Refusal, RegistrationRequest};

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
}

impl Authorizer for CredentialAuthorizer {
    fn authorize(&self, request: &RegistrationRequest<'_>) -> Result<(), Refusal> {
        let endpoint = request.endpoint;
        match request.authenticated {
            Some(peer) if peer.may_use(endpoint) => Ok(()),
            Some(peer) => Err(refusal("endpoint-not-allowed", allowed(peer))),
            None if self.store.covers(endpoint) => {
                let hint = format!(
                    "{endpoint} has credentials, so it registers over DTLS, TLS or OSCORE: \
                     `lwm2m-server credentials list --endpoint {endpoint}` shows them"
                );
                Err(refusal("nosec-refused", hint))
            }
            None => Ok(()),
        }
    }

    fn endpoint_name(&self, peer: &Authenticated) -> Option<EndpointName> {
        let name = |credential: &Arc<Credential>| credential.endpoint_name(&peer.identity);
        let mut names = peer.credentials.iter().filter_map(name);
        let first = names.next()?;
        names.all(|other| other == first).then_some(first)
    }
}

fn refusal(word: &'static str, hint: String) -> Refusal {
    Refusal {
        code: Code::BAD_REQUEST,
        reason: Reason::new(word, "this peer may not use this endpoint name").hint(hint),
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
