//! The tables of generated objects.

use super::ValueRange;
use crate::{
    DataType, ObjectModel, ObjectVersion, Operations, ResourceModel, ResourceType, ResourceTypes,
};

/// One version of an object definition, as generated code holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectDefinition {
    /// The object id.
    pub id: u16,
    /// The version of the definition.
    pub version: ObjectVersion,
    /// The name, as in `Device`.
    pub name: &'static str,
    /// True when there may be more than one instance.
    pub multiple: bool,
    /// The resources, by id, ascending.
    pub resources: &'static [ResourceDefinition],
}

/// The definition of a resource, as generated code holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ResourceDefinition {
    /// The resource id.
    pub id: u16,
    /// The name, as in `Battery Level`.
    pub name: &'static str,
    /// What a server may do with it.
    pub operations: Operations,
    /// The type of its values; none when it has no value or the definition gives no type.
    pub data_type: Option<DataType>,
    /// True when it may have more than one instance.
    pub multiple: bool,
    /// True when every instance of the object has it.
    pub mandatory: bool,
    /// Which values are allowed.
    pub range: ValueRange,
    /// The unit, as in `%`; empty for none.
    pub units: &'static str,
}

impl ObjectDefinition {
    /// The definition of a resource.
    pub fn resource(&self, id: u16) -> Option<&'static ResourceDefinition> {
        let found = self.resources.binary_search_by_key(&id, |known| known.id);
        self.resources.get(found.ok()?)
    }
}

/// The model of a definition that the program carries, for a server that has no XML of it. It has
/// no descriptions, and is mandatory in no device.
impl From<&ObjectDefinition> for ObjectModel {
    fn from(definition: &ObjectDefinition) -> ObjectModel {
        let resources = definition.resources.iter();
        ObjectModel {
            id: definition.id,
            version: definition.version,
            name: definition.name.into(),
            description: "".into(),
            multiple: definition.multiple,
            mandatory: false,
            resources: resources.map(ResourceModel::from).collect(),
        }
    }
}

impl From<&ResourceDefinition> for ResourceModel {
    fn from(definition: &ResourceDefinition) -> ResourceModel {
        ResourceModel {
            id: definition.id,
            name: definition.name.into(),
            description: "".into(),
            operations: definition.operations,
            multiple: definition.multiple,
            mandatory: definition.mandatory,
            data_type: definition.data_type,
            range: match definition.range {
                ValueRange::Any => "".into(),
                range => range.to_string().into(),
            },
            units: definition.units.into(),
        }
    }
}

impl ResourceTypes for ObjectDefinition {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        let definition = self.resource(resource).filter(|_| object == self.id)?;
        Some(ResourceType {
            data_type: definition.data_type?,
            multiple: definition.multiple,
        })
    }
}

impl ResourceDefinition {
    /// A resource with at most one instance, optional, of any value and without unit.
    pub const fn new(
        id: u16,
        name: &'static str,
        operations: Operations,
        data_type: Option<DataType>,
    ) -> ResourceDefinition {
        ResourceDefinition {
            id,
            name,
            operations,
            data_type,
            multiple: false,
            mandatory: false,
            range: ValueRange::Any,
            units: "",
        }
    }

    /// A resource that is read.
    pub const fn read(id: u16, name: &'static str, data_type: DataType) -> ResourceDefinition {
        ResourceDefinition::new(id, name, Operations::R, Some(data_type))
    }

    /// A resource that is written, and never read.
    pub const fn write(id: u16, name: &'static str, data_type: DataType) -> ResourceDefinition {
        ResourceDefinition::new(id, name, Operations::W, Some(data_type))
    }

    /// A resource that is read and written.
    pub const fn read_write(
        id: u16,
        name: &'static str,
        data_type: DataType,
    ) -> ResourceDefinition {
        ResourceDefinition::new(id, name, Operations::RW, Some(data_type))
    }

    /// A resource that is executed.
    pub const fn execute(id: u16, name: &'static str) -> ResourceDefinition {
        ResourceDefinition::new(id, name, Operations::E, None)
    }

    /// A resource that no server reaches, only a bootstrap server.
    pub const fn hidden(id: u16, name: &'static str, data_type: DataType) -> ResourceDefinition {
        ResourceDefinition::new(id, name, Operations::NONE, Some(data_type))
    }

    /// The same, with instances.
    pub const fn multiple(mut self) -> ResourceDefinition {
        self.multiple = true;
        self
    }

    /// The same, present in every object instance.
    pub const fn mandatory(mut self) -> ResourceDefinition {
        self.mandatory = true;
        self
    }

    /// The same, with these values only.
    pub const fn range(mut self, range: ValueRange) -> ResourceDefinition {
        self.range = range;
        self
    }

    /// The same, in this unit.
    pub const fn units(mut self, units: &'static str) -> ResourceDefinition {
        self.units = units;
        self
    }

    /// True for what has values: everything but a resource that is only executed.
    pub const fn has_value(&self) -> bool {
        let Operations {
            read,
            write,
            execute,
        } = self.operations;
        read || write || !execute
    }
}
