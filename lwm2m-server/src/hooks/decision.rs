//! What interceptors say of a Register or an Update.

use std::sync::Arc;

use lwm2m_core::ObjectList;

use crate::Refusal;

/// What an interceptor says of a Register or an Update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Decision {
    /// No opinion: the next one decides; at the end of the chain the authorizer.
    #[default]
    Pass,
    /// Adds facts, and the next one decides.
    Annotate(Annotations),
    /// Final for the chain: no later interceptor is asked. The authorizer is.
    Accept(Annotations),
    /// Final: the device gets the code, the events the reason.
    Reject(Refusal),
}

/// What an interceptor notes about a registration.
///
/// Later hooks, events and the API see it, for as long as the registration stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    /// Facts, as key and value; a key that is there gets the new value. No more than
    /// [`Limits::annotations_max`](crate::Limits) for each registration.
    pub set: Vec<(String, String)>,
    /// Keys whose facts go.
    pub remove: Vec<String>,
    /// The lifetime that the server goes by from now on, in seconds, 0 for ever. The device is not
    /// told.
    pub lifetime_s: Option<u32>,
}

impl Annotations {
    /// One fact.
    pub fn fact(key: impl Into<String>, value: impl Into<String>) -> Annotations {
        Annotations {
            set: vec![(key.into(), value.into())],
            ..Annotations::default()
        }
    }
}

/// What an Update changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Update {
    /// It names a lifetime other than before.
    pub lifetime_changed: bool,
    /// It names a binding other than before.
    pub binding_changed: bool,
    /// It comes from another address than before.
    pub address_changed: bool,
    /// The object list before, when it changes.
    pub previous_objects: Option<Arc<ObjectList>>,
}

impl Update {
    /// True when the object list changes.
    pub fn objects_changed(&self) -> bool {
        self.previous_objects.is_some()
    }
}
