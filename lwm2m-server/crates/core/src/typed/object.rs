//! Object instances as structs.

use super::{Field, Finding, ObjectDefinition, ResourceDefinition, Typed, TypedError};
use crate::codec::{self, Scope};
use crate::{ContentFormat, Operations, Path, Record, Value, ValueError};

/// An object instance as a struct; generated from an object definition.
///
/// Values that are not there are `None`, or missing from the map of a resource with instances:
/// also of mandatory resources, see [`TypedObject::missing_mandatory`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no typed LwM2M object",
    note = "generate one from its XML with `lwm2m_macros::lwm2m_objects!`"
)]
pub trait TypedObject: Default + Send + Sync + 'static {
    /// The definition that this type was generated from.
    const DEFINITION: &'static ObjectDefinition;

    /// The field of a resource; none when the definition does not know it or it has no values.
    fn field(&mut self, resource: u16) -> Option<&mut dyn Field>;

    /// Shows each field with the id of its resource, ascending.
    fn fields(&self, visitor: &mut dyn FnMut(u16, &dyn Field));

    /// Takes a value of a resource, or of a resource instance; false when the definition does not
    /// know the resource or it has no values.
    ///
    /// # Errors
    /// The value has another type.
    fn store(
        &mut self,
        resource: u16,
        resource_instance: Option<u16>,
        value: &Value<'_>,
    ) -> Result<bool, ValueError> {
        match self.field(resource) {
            Some(field) => field.store(resource_instance, value).map(|()| true),
            None => Ok(false),
        }
    }

    /// Shows each value with the ids of its resource and, where there are several, of its resource
    /// instance; by resource id, ascending.
    fn visit(&self, visitor: &mut dyn FnMut(u16, Option<u16>, Value<'_>)) {
        self.fields(&mut |resource, field| {
            field.visit(&mut |own, value| visitor(resource, own, value));
        });
    }

    /// Takes the values at and below `/object/instance` from records; others are passed over.
    ///
    /// Whatever is wrong with one value is a finding; the others are taken.
    fn from_records(instance: u16, records: &[Record<'_>]) -> Typed<Self> {
        let mut value = Self::default();
        let mut findings = Vec::new();
        let home = Path::instance(Self::DEFINITION.id, instance);
        for record in records.iter().filter(|record| home.contains(&record.path)) {
            let path = record.path;
            let Some(resource) = path.resource_id() else {
                continue;
            };
            match value.store(resource, path.resource_instance_id(), &record.value) {
                Ok(true) => findings.extend(out_of_range::<Self>(record)),
                Ok(false) => findings.push(Finding::Unknown { path }),
                Err(error) => findings.push(Finding::Value { path, error }),
            }
        }
        Typed { value, findings }
    }

    /// The values as records below `/object/instance`.
    ///
    /// # Errors
    /// [`TypedError::OutOfRange`] for the first value that the definition does not allow.
    fn to_records(&self, instance: u16) -> Result<Vec<Record<'static>>, TypedError> {
        let mut records = Vec::new();
        self.visit(&mut |resource, resource_instance, value| {
            let id = Self::DEFINITION.id;
            let path = match resource_instance {
                None => Path::resource(id, instance, resource),
                Some(own) => Path::resource_instance(id, instance, resource, own),
            };
            records.push(Record::new(path, value.into_owned()));
        });
        match records.iter().find_map(out_of_range::<Self>) {
            Some(Finding::OutOfRange { path, range }) => {
                Err(TypedError::OutOfRange { path, range })
            }
            _ => Ok(records),
        }
    }

    /// Reads a payload about `/object/instance`.
    ///
    /// # Errors
    /// The payload is broken as a whole, or the format carries no object instances.
    fn decode(
        format: ContentFormat,
        instance: u16,
        payload: &[u8],
    ) -> Result<Typed<Self>, TypedError> {
        let scope = Scope::from(Path::instance(Self::DEFINITION.id, instance));
        let decoded = codec::decode(format, scope, payload, Self::DEFINITION)?;
        let mut typed = Self::from_records(instance, &decoded.records);
        let faults = decoded.faults.into_iter().map(|fault| Finding::Value {
            path: fault.path,
            error: fault.error,
        });
        typed.findings.extend(faults);
        Ok(typed)
    }

    /// Writes a payload about `/object/instance`.
    ///
    /// # Errors
    /// A value out of range, or a format that cannot carry the values.
    fn encode(&self, format: ContentFormat, instance: u16) -> Result<Vec<u8>, TypedError> {
        let records = self.to_records(instance)?;
        let scope = Scope::from(Path::instance(Self::DEFINITION.id, instance));
        let mut payload = Vec::new();
        codec::encode(format, scope, &records, Self::DEFINITION, &mut payload)?;
        Ok(payload)
    }

    /// The ids of mandatory resources with values that are not there; not those that are only
    /// written, since no device gives their values.
    fn missing_mandatory(&self) -> Vec<u16> {
        let is_shown = |resource: &&ResourceDefinition| {
            resource.operations.read || resource.operations == Operations::NONE
        };
        let mut missing: Vec<u16> = Self::DEFINITION
            .resources
            .iter()
            .filter(|resource| resource.mandatory && resource.has_value())
            .filter(is_shown)
            .map(|resource| resource.id)
            .collect();
        self.visit(&mut |present, _, _| missing.retain(|id| *id != present));
        missing
    }
}

/// The finding about a value that the definition does not allow.
pub(super) fn out_of_range<O: TypedObject>(record: &Record<'_>) -> Option<Finding> {
    let definition = O::DEFINITION.resource(record.path.resource_id()?)?;
    // A device may send an Integer as an Unsigned; the range is about the type of the definition.
    let value = match definition.data_type {
        Some(data_type) => record.value.cast(data_type).ok()?,
        None => record.value.borrowed(),
    };
    (!definition.range.contains(&value)).then_some(Finding::OutOfRange {
        path: record.path,
        range: definition.range,
    })
}

/// Makes an object struct readable and writable as a whole; for generated code.
#[doc(hidden)]
#[macro_export]
macro_rules! typed_instance {
    ($object:ty) => {
        impl $crate::typed::Readable for $object {
            type Value = $object;

            fn definition() -> &'static $crate::typed::ObjectDefinition {
                <$object as $crate::typed::TypedObject>::DEFINITION
            }

            fn target(instance: u16) -> $crate::Path {
                let definition = <$object as $crate::typed::TypedObject>::DEFINITION;
                $crate::Path::instance(definition.id, instance)
            }

            fn read_records(
                instance: u16,
                records: &[$crate::Record<'_>],
            ) -> ::core::result::Result<$crate::typed::Typed<$object>, $crate::typed::TypedError>
            {
                ::core::result::Result::Ok(<$object as $crate::typed::TypedObject>::from_records(
                    instance, records,
                ))
            }
        }

        impl $crate::typed::Writable for $object {
            type Value = $object;

            fn definition() -> &'static $crate::typed::ObjectDefinition {
                <$object as $crate::typed::TypedObject>::DEFINITION
            }

            fn target(instance: u16) -> $crate::Path {
                <$object as $crate::typed::Readable>::target(instance)
            }

            fn write_records(
                instance: u16,
                value: $object,
            ) -> ::core::result::Result<
                ::std::vec::Vec<$crate::Record<'static>>,
                $crate::typed::TypedError,
            > {
                let definition = <$object as $crate::typed::TypedObject>::DEFINITION;
                let mut records =
                    <$object as $crate::typed::TypedObject>::to_records(&value, instance)?;
                records.retain(|record| {
                    let resource = record.path.resource_id();
                    let resource = resource.and_then(|id| definition.resource(id));
                    resource.is_some_and(|resource| resource.operations.write)
                });
                ::core::result::Result::Ok(records)
            }
        }
    };
}
