//! *registry*: a look at the registrations.

use lwm2m_server::{ClientFilter, Registration};

use crate::Permission;
use crate::context::CallContext;

/// Why there is no look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("the plugin has no permission: registry")]
    PermissionDenied,
    #[error("the server does not run")]
    Unavailable,
}

/// Names that one call gives, at most.
const NAMES_MAX: u32 = 1000;

impl CallContext {
    /// The registration of an endpoint.
    pub(crate) async fn registration(
        &self,
        endpoint: &str,
    ) -> Result<Option<Registration>, RegistryError> {
        Ok(self.may_look()?.registration(endpoint).await)
    }

    /// Endpoint names behind one, in their order.
    pub(crate) async fn endpoint_names(
        &self,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, RegistryError> {
        let server = self.may_look()?;
        let mut filter = ClientFilter::default();
        filter.after = after;
        filter.limit = Some(limit.min(NAMES_MAX) as usize);
        let registrations = server.registrations(filter).await;
        let name = |registration: Registration| registration.endpoint.to_string();
        Ok(registrations.into_iter().map(name).collect())
    }

    fn may_look(&self) -> Result<lwm2m_server::Server, RegistryError> {
        if !self.may(&Permission::Registry) {
            return Err(RegistryError::PermissionDenied);
        }
        self.services.server().ok_or(RegistryError::Unavailable)
    }
}
