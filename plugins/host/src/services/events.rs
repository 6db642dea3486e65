//! *events*: what plugins tell applications.

use lwm2m_server::{EndpointName, EventKind};

use crate::Permission;
use crate::context::CallContext;

/// Why nothing was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    #[error(
        "the plugin has no permission: events; its manifest asks for it: permissions = [\"events\"]"
    )]
    PermissionDenied,
    #[error("the event is larger than limits.output_max, or its kind longer than 64 bytes")]
    TooLarge,
    #[error("the event is no JSON")]
    InvalidJson,
    #[error("the server does not run")]
    Unavailable,
}

impl CallContext {
    /// Publishes an event. The endpoint need not be a device that is there.
    pub(crate) fn emit(
        &self,
        kind: &str,
        endpoint: Option<&str>,
        json: &str,
    ) -> Result<(), EventError> {
        if !self.may(&Permission::Events) {
            return Err(EventError::PermissionDenied);
        }
        if kind.len() > 64 || json.len() > self.allowance.limits.output_max as usize {
            return Err(EventError::TooLarge);
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
            return Err(EventError::InvalidJson);
        }
        let endpoint = endpoint.or(self.endpoint.as_ref().map(EndpointName::as_str));
        if let Some(stage) = &self.services().stage {
            stage.emitted(kind, endpoint, json);
            return Ok(());
        }
        let server = self.services().server().ok_or(EventError::Unavailable)?;
        let endpoint = endpoint.and_then(EndpointName::new);
        let published = EventKind::Published {
            extension: self.allowance.plugin.to_string(),
            kind: kind.to_owned(),
            json: json.to_owned(),
        };
        server.publish(endpoint.as_ref(), published);
        Ok(())
    }
}
