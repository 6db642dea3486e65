//! Handles to resources.

use super::object::out_of_range;
use super::{Data, Field, ObjectDefinition, Typed, TypedError, TypedObject};
use crate::{Path, Record};

/// A resource as a type that is only named, never made; generated from an object definition.
pub trait Resource: Sized + 'static {
    /// The object that it belongs to.
    type Object: TypedObject;

    /// What it holds; `()` for one that is only executed.
    type Value: Data;

    /// The resource id.
    const ID: u16;

    /// `/object/instance/resource`
    fn path(instance: u16) -> Path {
        Path::resource(Self::Object::DEFINITION.id, instance, Self::ID)
    }
}

/// What a server may read and observe: a readable resource, or an object instance.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read: its object definition does not have the operation R",
    label = "not a readable resource"
)]
pub trait Readable {
    /// What a Read gives.
    type Value;

    /// The definition of its object; what is read is decoded by it.
    fn definition() -> &'static ObjectDefinition;

    /// The path of a request about it.
    fn target(instance: u16) -> Path;

    /// Takes its value from records.
    ///
    /// # Errors
    /// For a resource: there is no value, or one of another type.
    fn read_records(
        instance: u16,
        records: &[Record<'_>],
    ) -> Result<Typed<Self::Value>, TypedError>;
}

/// What a server may write: a writable resource, or the writable resources of an object instance.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written: its object definition does not have the operation W",
    label = "not a writable resource"
)]
pub trait Writable {
    /// What a Write takes.
    type Value;

    /// The definition of its object.
    fn definition() -> &'static ObjectDefinition;

    /// The path of a request about it.
    fn target(instance: u16) -> Path;

    /// The records of a Write.
    ///
    /// # Errors
    /// [`TypedError::OutOfRange`] for a value that the definition does not allow.
    fn write_records(instance: u16, value: Self::Value)
    -> Result<Vec<Record<'static>>, TypedError>;
}

/// A resource that a server may execute.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be executed: its object definition does not have the operation E",
    label = "not an executable resource"
)]
pub trait Executable: Resource {}

/// A resource with the operation R.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read: its object definition does not have the operation R",
    label = "not a readable resource"
)]
pub trait ReadResource: Resource {}

/// A resource with the operation W.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written: its object definition does not have the operation W",
    label = "not a writable resource"
)]
pub trait WriteResource: Resource {}

impl<R: ReadResource> Readable for R {
    type Value = <R as Resource>::Value;

    fn definition() -> &'static ObjectDefinition {
        R::Object::DEFINITION
    }

    fn target(instance: u16) -> Path {
        R::path(instance)
    }

    fn read_records(
        instance: u16,
        records: &[Record<'_>],
    ) -> Result<Typed<Self::Value>, TypedError> {
        let home = R::path(instance);
        let mut field = <R::Value as Data>::Field::default();
        let mut findings = Vec::new();
        let mut is_empty = true;
        for record in records.iter().filter(|record| home.contains(&record.path)) {
            let path = record.path;
            field
                .store(path.resource_instance_id(), &record.value)
                .map_err(|error| TypedError::Value { path, error })?;
            findings.extend(out_of_range::<R::Object>(record));
            is_empty = false;
        }
        let multiple = R::Object::DEFINITION
            .resource(R::ID)
            .is_some_and(|known| known.multiple);
        let value = R::Value::from_field(field).filter(|_| multiple || !is_empty);
        let value = value.ok_or(TypedError::Absent { path: home })?;
        Ok(Typed { value, findings })
    }
}

impl<R: WriteResource> Writable for R {
    type Value = <R as Resource>::Value;

    fn definition() -> &'static ObjectDefinition {
        R::Object::DEFINITION
    }

    fn target(instance: u16) -> Path {
        R::path(instance)
    }

    fn write_records(
        instance: u16,
        value: Self::Value,
    ) -> Result<Vec<Record<'static>>, TypedError> {
        let mut instance_with_one = R::Object::default();
        let mut refused = None;
        let path = R::path(instance);
        value.into_field().visit(&mut |own, value| {
            if let Err(error) = instance_with_one.store(R::ID, own, &value) {
                refused = Some(TypedError::Value { path, error });
            }
        });
        match refused {
            Some(error) => Err(error),
            None => instance_with_one.to_records(instance),
        }
    }
}
