//! Which model holds for an object of a device.

use std::cell::RefCell;
use std::sync::Arc;

use lwm2m_core::{
    ObjectList, ObjectModel, ObjectVersion, Path, ResourceModel, ResourceType, ResourceTypes,
    Version,
};

use super::DeviceContext;

impl DeviceContext<'_> {
    /// The version of an object: what the registration says, else what the enabler version
    /// implies (Core 1.2.2 §7.2.2).
    pub(crate) fn object_version(&self, object: u16) -> ObjectVersion {
        object_version(self.version, self.objects, object)
    }

    /// The model of an object in the version that the device has.
    pub(crate) fn object_model(&self, object: u16) -> Option<Arc<ObjectModel>> {
        self.models
            .object(object, Some(self.object_version(object)))
    }

    /// The newest model that is compatible with the device's: devices have resources of a later
    /// minor version without saying so.
    fn newest_object_model(&self, object: u16) -> Option<Arc<ObjectModel>> {
        let version = ObjectVersion {
            minor: u16::MAX,
            ..self.object_version(object)
        };
        self.models.object(object, Some(version))
    }
}

impl ResourceTypes for DeviceContext<'_> {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        Types::new(self).resource_type(object, resource)
    }
}

impl crate::Registration {
    /// The version of an object of this device: what its object list says, else what the enabler
    /// version implies (Core 1.2.2 §7.2.2).
    pub fn object_version(&self, object: u16) -> ObjectVersion {
        object_version(self.version, &self.objects, object)
    }
}

/// The resource models of a device. Remembers the object asked for last, since the records of a
/// payload come object by object.
pub(super) struct Types<'d> {
    device: &'d DeviceContext<'d>,
    last: RefCell<Option<Known>>,
}

struct Known {
    object: u16,
    model: Option<Arc<ObjectModel>>,
    newest: Option<Arc<ObjectModel>>,
}

impl<'d> Types<'d> {
    pub(super) fn new(device: &'d DeviceContext<'d>) -> Types<'d> {
        Types {
            device,
            last: RefCell::new(None),
        }
    }

    /// The type of the resource that a path lies at or below.
    pub(super) fn of(&self, path: &Path) -> Option<ResourceType> {
        self.resource_type(path.object_id()?, path.resource_id()?)
    }

    /// Looks at the model of a resource.
    pub(super) fn with_resource<R>(
        &self,
        object: u16,
        resource: u16,
        look: impl FnOnce(&ResourceModel) -> R,
    ) -> Option<R> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|known| known.object != object) {
            *last = Some(Known {
                object,
                model: self.device.object_model(object),
                newest: None,
            });
        }
        let known = last.as_mut()?;
        if let Some(model) = known.model.as_ref()?.resource(resource) {
            return Some(look(model));
        }
        if known.newest.is_none() {
            known.newest = self.device.newest_object_model(object);
        }
        known.newest.as_ref()?.resource(resource).map(look)
    }
}

impl ResourceTypes for Types<'_> {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        let of_caller = self.device.definition;
        let known = of_caller.and_then(|known| known.resource_type(object, resource));
        if known.is_some() {
            return known;
        }
        self.with_resource(object, resource, |model| {
            Some(ResourceType {
                data_type: model.data_type?,
                multiple: model.multiple,
            })
        })?
    }
}

fn object_version(enabler: Version, objects: &ObjectList, object: u16) -> ObjectVersion {
    objects
        .version(object)
        .unwrap_or_else(|| implied_version(enabler, object))
}

/// The version of a core object when the registration gives none; 1.0 for every other object.
fn implied_version(enabler: Version, object: u16) -> ObjectVersion {
    let (major, minor) = match (enabler, object) {
        (Version::V1_1, 0 | 1 | 3) => (1, 1),
        (Version::V1_1, 4) => (1, 2),
        (Version::V1_2, 0 | 1 | 3) => (1, 2),
        (Version::V1_2, 2 | 5) => (1, 1),
        (Version::V1_2, 4) => (1, 3),
        (Version::V1_2, 21) => (2, 0),
        _ => (1, 0),
    };
    ObjectVersion { major, minor }
}

#[cfg(test)]
mod tests {
    use lwm2m_core::DataType;

    use super::*;
    use crate::management::fixture::{Models, device, objects};

    #[test]
    fn the_enabler_version_implies_the_object_version() {
        let text = |enabler, object| implied_version(enabler, object).to_string();
        for (object, versions) in [
            (1, ["1.0", "1.1", "1.2"]),
            (2, ["1.0", "1.0", "1.1"]),
            (3, ["1.0", "1.1", "1.2"]),
            (4, ["1.0", "1.2", "1.3"]),
            (5, ["1.0", "1.0", "1.1"]),
            (6, ["1.0", "1.0", "1.0"]),
            (21, ["1.0", "1.0", "2.0"]),
            (3303, ["1.0", "1.0", "1.0"]),
        ] {
            assert_eq!(text(Version::V1_0, object), versions[0], "{object}");
            assert_eq!(text(Version::V1_1, object), versions[1], "{object}");
            assert_eq!(text(Version::V1_2, object), versions[2], "{object}");
        }
    }

    #[test]
    fn the_registration_has_the_last_word_on_the_version() {
        let objects = ObjectList {
            versions: vec![(3, "1.4".parse().unwrap())],
            ..objects(&[])
        };
        let device = device(Version::V1_0, &objects, &Models);
        assert_eq!(device.object_version(3).to_string(), "1.4");
        assert_eq!(device.object_version(1).to_string(), "1.0");
    }

    #[test]
    fn resources_of_a_later_minor_version_are_known() {
        let objects = objects(&[]);
        let device = device(Version::V1_0, &objects, &Models);
        let data_type = |object, resource| {
            device
                .resource_type(object, resource)
                .map(|known| known.data_type)
        };
        assert_eq!(data_type(3, 9), Some(DataType::Integer));
        assert_eq!(data_type(1, 23), Some(DataType::Boolean));
        assert_eq!(data_type(3, 999), None);
        assert_eq!(data_type(4242, 0), None);
    }
}
