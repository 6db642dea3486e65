//! *Intercept*: look at what passes, change it or refuse it, in order.

use lwm2m_core::{Path, Record};

use crate::{Refusal, Registration, RegistrationRequest};

/// Sees what devices send before the server acts on it.
///
/// Interceptors run in the order in which they were added, on the shard that owns the device; the
/// first refusal wins. They answer at once and never block.
pub trait Interceptor: Send + Sync + 'static {
    /// A Register that parsed well, before the authorizer.
    fn on_register(&self, _request: &RegistrationRequest<'_>) -> Verdict {
        Verdict::Pass
    }

    /// Values of a notification, a Send or a Read, before the event. `path` is what was asked, `/`
    /// for composites and Send. What is left in `records` goes on.
    fn on_values(
        &self,
        _registration: &Registration,
        _path: &Path,
        _records: &mut Vec<Record<'static>>,
    ) {
    }
}

/// What an interceptor says of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing to say.
    #[default]
    Pass,
    /// Adds facts to the registration, as key and value.
    Annotate(Vec<(String, String)>),
    /// Refuses it.
    Refuse(Refusal),
}
