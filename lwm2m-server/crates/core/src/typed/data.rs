//! What resources hold: one value or several by resource instance.

use std::collections::BTreeMap;

use super::Scalar;
use crate::{Value, ValueError};

/// What a resource holds: one value, or several by the id of the resource instance.
pub trait Data: Sized {
    /// The field of an object struct that holds it, absent or present.
    type Field: Field + Default;

    /// What the field holds; none when it holds nothing.
    fn from_field(field: Self::Field) -> Option<Self>;

    /// A field that holds it.
    fn into_field(self) -> Self::Field;
}

/// A field of an object struct.
pub trait Field {
    /// Takes a value that came for the resource or for one of its instances.
    ///
    /// # Errors
    /// The value has another type.
    fn store(
        &mut self,
        resource_instance: Option<u16>,
        value: &Value<'_>,
    ) -> Result<(), ValueError>;

    /// Shows each value, with the id of its resource instance where there are several.
    fn visit(&self, visitor: &mut dyn FnMut(Option<u16>, Value<'_>));
}

impl<S: Scalar> Data for S {
    type Field = Option<S>;

    fn from_field(field: Option<S>) -> Option<S> {
        field
    }

    fn into_field(self) -> Option<S> {
        Some(self)
    }
}

impl<S: Scalar> Data for BTreeMap<u16, S> {
    type Field = BTreeMap<u16, S>;

    fn from_field(field: BTreeMap<u16, S>) -> Option<BTreeMap<u16, S>> {
        Some(field)
    }

    fn into_field(self) -> BTreeMap<u16, S> {
        self
    }
}

/// What an executable resource holds: nothing.
impl Data for () {
    type Field = ();

    fn from_field((): ()) -> Option<()> {
        None
    }

    fn into_field(self) {}
}

impl<S: Scalar> Field for Option<S> {
    fn store(
        &mut self,
        _resource_instance: Option<u16>,
        value: &Value<'_>,
    ) -> Result<(), ValueError> {
        *self = Some(S::from_value(value)?);
        Ok(())
    }

    fn visit(&self, visitor: &mut dyn FnMut(Option<u16>, Value<'_>)) {
        if let Some(value) = self {
            visitor(None, value.to_value());
        }
    }
}

impl<S: Scalar> Field for BTreeMap<u16, S> {
    /// A value without the id of a resource instance is the one of instance 0.
    fn store(
        &mut self,
        resource_instance: Option<u16>,
        value: &Value<'_>,
    ) -> Result<(), ValueError> {
        self.insert(resource_instance.unwrap_or(0), S::from_value(value)?);
        Ok(())
    }

    fn visit(&self, visitor: &mut dyn FnMut(Option<u16>, Value<'_>)) {
        for (id, value) in self {
            visitor(Some(*id), value.to_value());
        }
    }
}

impl Field for () {
    fn store(
        &mut self,
        _resource_instance: Option<u16>,
        _value: &Value<'_>,
    ) -> Result<(), ValueError> {
        Ok(())
    }

    fn visit(&self, _visitor: &mut dyn FnMut(Option<u16>, Value<'_>)) {}
}
