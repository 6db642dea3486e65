//! What object models say of a device's resources.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use lwm2m_core::{DataType, ObjectModel, ObjectModels, ObjectVersion, Path, ResourceModel};
use lwm2m_server::Registration;

/// The models of one device; of the newest versions when its registration is not known.
pub(crate) struct Naming<'a> {
    models: &'a dyn ObjectModels,
    registration: Option<&'a Registration>,
    seen: RefCell<HashMap<u16, Seen>>,
}

/// The model in the device's version, and the newest that is compatible: devices have resources of
/// later minor versions without saying so.
#[derive(Clone)]
struct Seen {
    own: Option<Arc<ObjectModel>>,
    newest: Option<Arc<ObjectModel>>,
}

impl<'a> Naming<'a> {
    pub(crate) fn new(
        models: &'a dyn ObjectModels,
        registration: Option<&'a Registration>,
    ) -> Naming<'a> {
        Naming {
            models,
            registration,
            seen: RefCell::default(),
        }
    }

    /// The type of the resource that a path lies at or below.
    pub(crate) fn data_type(&self, path: &Path) -> Option<DataType> {
        self.resource(path, |model| model.data_type).flatten()
    }

    /// Looks at the model of the resource that a path lies at or below.
    pub(crate) fn resource<R>(
        &self,
        path: &Path,
        look: impl FnOnce(&ResourceModel) -> R,
    ) -> Option<R> {
        let (object, resource) = (path.object_id()?, path.resource_id()?);
        let seen = self.seen(object);
        let of = |model: &Option<Arc<ObjectModel>>| {
            model.clone().filter(|m| m.resource(resource).is_some())
        };
        let model = of(&seen.own).or_else(|| of(&seen.newest))?;
        model.resource(resource).map(look)
    }

    /// The name of what a path leads to: a resource, else an object; empty when it is not known.
    pub(crate) fn name(&self, path: &Path) -> String {
        match (path.resource_id(), path.object_id()) {
            (Some(_), _) => self.resource(path, |model| model.name.to_string()),
            (None, Some(object)) => self.object(object).map(|model| model.name.to_string()),
            (None, None) => None,
        }
        .unwrap_or_default()
    }

    /// The model of an object.
    pub(crate) fn object(&self, object: u16) -> Option<Arc<ObjectModel>> {
        let seen = self.seen(object);
        seen.own.or(seen.newest)
    }

    fn seen(&self, object: u16) -> Seen {
        let mut seen = self.seen.borrow_mut();
        seen.entry(object)
            .or_insert_with(|| {
                let version = self
                    .registration
                    .map(|registration| registration.object_version(object));
                let newest = version.map(|version| ObjectVersion {
                    minor: u16::MAX,
                    ..version
                });
                Seen {
                    own: self.models.object(object, version),
                    newest: self.models.object(object, newest),
                }
            })
            .clone()
    }
}
