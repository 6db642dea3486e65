//! Objects of a device from types that were generated from object definitions.

use std::collections::BTreeMap;

use lwm2m_core::typed::{ResourceDefinition, TypedError, TypedObject};

use super::{Definition, ResourceValue, Store};

impl From<&ResourceDefinition> for Definition {
    fn from(resource: &ResourceDefinition) -> Definition {
        Definition {
            id: resource.id,
            data_type: resource.data_type,
            operations: resource.operations,
            multiple: resource.multiple,
            mandatory: resource.mandatory,
        }
    }
}

impl Store {
    /// An object with the table of a generated type, and these instances.
    ///
    /// ```
    /// use lwm2m_device::Store;
    /// use lwm2m_objects::temperature::Temperature;
    ///
    /// let warm = Temperature { sensor_value: Some(23.5), ..Temperature::default() };
    /// let store = Store::typed([(0, warm)])?;
    /// assert_eq!(store.float(0, 5700), Some(23.5));
    /// # Ok::<(), lwm2m_core::typed::TypedError>(())
    /// ```
    ///
    /// # Errors
    /// A value that the definition does not allow.
    pub fn typed<T: TypedObject>(
        instances: impl IntoIterator<Item = (u16, T)>,
    ) -> Result<Store, TypedError> {
        let object = T::DEFINITION;
        let table: Vec<Definition> = object.resources.iter().map(Definition::from).collect();
        let mut store = Store::new(object.id, table).version(object.version);
        if !object.multiple {
            store = store.single();
        }
        for (id, instance) in instances {
            let values = values(id, &instance)?;
            store = store.with_instance(id, values);
        }
        Ok(store)
    }
}

fn values<T: TypedObject>(
    id: u16,
    instance: &T,
) -> Result<BTreeMap<u16, ResourceValue>, TypedError> {
    let mut values: BTreeMap<u16, ResourceValue> = BTreeMap::new();
    for record in instance.to_records(id)? {
        let Some(resource) = record.path.resource_id() else {
            continue;
        };
        let Some(own) = record.path.resource_instance_id() else {
            values.insert(resource, ResourceValue::Single(record.value));
            continue;
        };
        let several = values
            .entry(resource)
            .or_insert_with(|| ResourceValue::Multiple(Vec::new()));
        if let ResourceValue::Multiple(several) = several {
            several.push((own, record.value));
        }
    }
    Ok(values)
}
