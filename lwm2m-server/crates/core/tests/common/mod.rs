//! What the tests of the codecs share.

use lwm2m_core::{DataType, ResourceType, ResourceTypes};

/// Every type, so that a resource id says the type: id modulo 9.
pub(crate) const DATA_TYPES: [DataType; 9] = [
    DataType::String,
    DataType::Integer,
    DataType::Unsigned,
    DataType::Float,
    DataType::Boolean,
    DataType::Opaque,
    DataType::Time,
    DataType::ObjectLink,
    DataType::CoreLink,
];

/// Knows every resource of every object; its type is `DATA_TYPES[id % 9]`.
pub(crate) struct ByResource;

impl ResourceTypes for ByResource {
    fn resource_type(&self, _object: u16, resource: u16) -> Option<ResourceType> {
        Some(ResourceType {
            data_type: DATA_TYPES[usize::from(resource) % DATA_TYPES.len()],
            multiple: true,
        })
    }
}
