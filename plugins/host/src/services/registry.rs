//! *registry*: a look at the registrations.

use lwm2m_server::{ClientFilter, Registration, Server};

use crate::Permission;
use crate::context::CallContext;

/// Why there is no look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error(
        "the plugin has no permission: registry; its manifest asks for it: permissions = [\"registry\"]"
    )]
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
        self.may_look()?;
        match &self.services().stage {
            Some(stage) => Ok(stage.registration(endpoint)),
            None => Ok(self.running()?.registration(endpoint).await),
        }
    }

    /// Endpoint names behind one, in their order.
    pub(crate) async fn endpoint_names(
        &self,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, RegistryError> {
        self.may_look()?;
        let limit = limit.min(NAMES_MAX) as usize;
        if let Some(stage) = &self.services().stage {
            return Ok(stage.endpoint_names(after.as_deref(), limit));
        }
        let mut filter = ClientFilter::default();
        filter.after = after;
        filter.limit = Some(limit);
        let registrations = self.running()?.registrations(filter).await;
        let name = |registration: Registration| registration.endpoint.to_string();
        Ok(registrations.into_iter().map(name).collect())
    }

    fn may_look(&self) -> Result<(), RegistryError> {
        match self.may(&Permission::Registry) {
            true => Ok(()),
            false => Err(RegistryError::PermissionDenied),
        }
    }

    fn running(&self) -> Result<Server, RegistryError> {
        self.services().server().ok_or(RegistryError::Unavailable)
    }
}
