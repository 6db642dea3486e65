//! The values of one object.

use std::borrow::Cow;

use lwm2m_core::{DataType, ObjectLink, ObjectVersion, Path, Value};

use crate::Definition;

/// The value of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceValue {
    /// Of a single-instance resource.
    Single(Value<'static>),
    /// Of a multiple-instance resource: by resource instance id, ascending.
    Multiple(Vec<(u16, Value<'static>)>),
}

macro_rules! single_values {
    ($($source:ty),*) => {
        $(impl From<$source> for ResourceValue {
            fn from(value: $source) -> ResourceValue {
                ResourceValue::Single(value.into())
            }
        })*
    };
}

single_values!(
    &'static str,
    String,
    i32,
    i64,
    u64,
    f64,
    bool,
    &'static [u8],
    Vec<u8>,
    ObjectLink,
    Value<'static>
);

impl ResourceValue {
    /// Values for a multiple-instance resource.
    pub fn multiple<V: Into<Value<'static>>>(
        values: impl IntoIterator<Item = (u16, V)>,
    ) -> ResourceValue {
        let mut values: Vec<(u16, Value<'static>)> =
            values.into_iter().map(|(id, v)| (id, v.into())).collect();
        values.sort_by_key(|(id, _)| *id);
        values.dedup_by_key(|(id, _)| *id);
        ResourceValue::Multiple(values)
    }
}

/// The instances and values of one object, with its table of resources.
///
/// Remembers what has changed since it was last asked, so that observations are evaluated only
/// where something happened.
#[derive(Debug, Clone)]
pub struct Store {
    object: u16,
    version: ObjectVersion,
    multiple: bool,
    definitions: Cow<'static, [Definition]>,
    instances: Vec<Instance>,
    changed: Vec<Path>,
    instances_changed: bool,
}

#[derive(Debug, Clone)]
struct Instance {
    id: u16,
    values: Vec<(u16, ResourceValue)>,
}

impl Store {
    /// The most object instances that a server may create in one object.
    pub const INSTANCES_MAX: usize = 1024;

    /// An object without instances that may have several.
    pub fn new(object: u16, definitions: impl Into<Cow<'static, [Definition]>>) -> Store {
        Store {
            object,
            version: ObjectVersion::V1_0,
            multiple: true,
            definitions: definitions.into(),
            instances: Vec::new(),
            changed: Vec::new(),
            instances_changed: false,
        }
    }

    /// The same, as an object that has instance 0 and no other.
    pub fn single(mut self) -> Store {
        self.multiple = false;
        self
    }

    /// The same, in another version than 1.0.
    pub fn version(mut self, version: ObjectVersion) -> Store {
        self.version = version;
        self
    }

    /// The same, with one instance more.
    pub fn with_instance<V: Into<ResourceValue>>(
        mut self,
        id: u16,
        values: impl IntoIterator<Item = (u16, V)>,
    ) -> Store {
        self.add_instance(id);
        for (resource, value) in values {
            self.set(id, resource, value);
        }
        self.changed = Vec::new();
        self.instances_changed = false;
        self
    }

    /// The same, with values of another kind in an instance that is there.
    pub fn with_values<V: Into<ResourceValue>>(
        mut self,
        instance: u16,
        values: impl IntoIterator<Item = (u16, V)>,
    ) -> Store {
        for (resource, value) in values {
            self.set(instance, resource, value);
        }
        self.changed = Vec::new();
        self
    }

    /// Sets a value; nothing happens when there is no such instance. An equal value is no change.
    pub fn set(&mut self, instance: u16, resource: u16, value: impl Into<ResourceValue>) {
        let value = value.into();
        let path = Path::resource(self.object, instance, resource);
        let Some(found) = self.instance_mut(instance) else {
            return;
        };
        match found.values.binary_search_by_key(&resource, |(id, _)| *id) {
            Ok(at) if found.values[at].1 == value => return,
            Ok(at) => found.values[at].1 = value,
            Err(at) => {
                found.values.reserve_exact(1);
                found.values.insert(at, (resource, value));
            }
        }
        self.note(path);
    }

    /// Removes a value.
    pub fn remove(&mut self, instance: u16, resource: u16) {
        let path = Path::resource(self.object, instance, resource);
        let Some(found) = self.instance_mut(instance) else {
            return;
        };
        if let Ok(at) = found.values.binary_search_by_key(&resource, |(id, _)| *id) {
            found.values.remove(at);
            self.note(path);
        }
    }

    /// Adds an instance without values; false when it is there already.
    pub fn add_instance(&mut self, id: u16) -> bool {
        match self.instances.binary_search_by_key(&id, |i| i.id) {
            Ok(_) => false,
            Err(at) => {
                let values = Vec::new();
                self.instances.reserve_exact(1);
                self.instances.insert(at, Instance { id, values });
                self.instances_changed = true;
                self.note(Path::instance(self.object, id));
                true
            }
        }
    }

    /// Removes an instance; false when there is none.
    pub fn remove_instance(&mut self, id: u16) -> bool {
        match self.instances.binary_search_by_key(&id, |i| i.id) {
            Err(_) => false,
            Ok(at) => {
                self.instances.remove(at);
                self.instances_changed = true;
                self.note(Path::instance(self.object, id));
                true
            }
        }
    }

    /// What has changed since the last call, and whether instances came or went.
    pub fn take_changes(&mut self) -> (Vec<Path>, bool) {
        let instances = std::mem::take(&mut self.instances_changed);
        (std::mem::take(&mut self.changed), instances)
    }

    /// The object id.
    pub fn object(&self) -> u16 {
        self.object
    }

    /// The version of the object.
    pub fn object_version(&self) -> ObjectVersion {
        self.version
    }

    /// True when the object may have several instances.
    pub fn is_multiple(&self) -> bool {
        self.multiple
    }

    /// The table of resources.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The definition of a resource.
    pub fn definition(&self, resource: u16) -> Option<&Definition> {
        self.definitions.iter().find(|d| d.id == resource)
    }

    /// The ids of the instances, ascending.
    pub fn instances(&self) -> impl Iterator<Item = u16> + '_ {
        self.instances.iter().map(|instance| instance.id)
    }

    /// True when the instance is there.
    pub fn has_instance(&self, id: u16) -> bool {
        self.instance(id).is_some()
    }

    /// The value of a resource.
    pub fn value(&self, instance: u16, resource: u16) -> Option<&ResourceValue> {
        let values = &self.instance(instance)?.values;
        let at = values.binary_search_by_key(&resource, |(id, _)| *id).ok()?;
        values.get(at).map(|(_, value)| value)
    }

    /// The value of a single-instance resource as an integer.
    pub fn integer(&self, instance: u16, resource: u16) -> Option<i64> {
        match self.value(instance, resource)? {
            ResourceValue::Single(Value::Integer(number) | Value::Time(number)) => Some(*number),
            ResourceValue::Single(Value::Unsigned(number)) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The value of a single-instance resource as a float.
    pub fn float(&self, instance: u16, resource: u16) -> Option<f64> {
        match self.value(instance, resource)? {
            ResourceValue::Single(Value::Float(number)) => Some(*number),
            _ => None,
        }
    }

    /// The value of a single-instance resource as text.
    pub fn text(&self, instance: u16, resource: u16) -> Option<&str> {
        match self.value(instance, resource)? {
            ResourceValue::Single(Value::String(text) | Value::CoreLink(text)) => Some(text),
            _ => None,
        }
    }

    fn instance(&self, id: u16) -> Option<&Instance> {
        let at = self.instances.binary_search_by_key(&id, |i| i.id).ok()?;
        self.instances.get(at)
    }

    fn instance_mut(&mut self, id: u16) -> Option<&mut Instance> {
        let at = self.instances.binary_search_by_key(&id, |i| i.id).ok()?;
        self.instances.get_mut(at)
    }

    fn note(&mut self, path: Path) {
        if self.changed.last() != Some(&path) {
            self.changed.push(path);
        }
    }
}

/// The value of a type that a new instance starts with when nothing else is given.
pub(crate) fn zero(data_type: DataType) -> Value<'static> {
    match data_type {
        DataType::String => Value::String(Cow::Borrowed("")),
        DataType::Integer => Value::Integer(0),
        DataType::Unsigned => Value::Unsigned(0),
        DataType::Float => Value::Float(0.0),
        DataType::Boolean => Value::Boolean(false),
        DataType::Opaque => Value::Opaque(Cow::Borrowed(&[])),
        DataType::Time => Value::Time(0),
        DataType::ObjectLink => Value::ObjectLink(lwm2m_core::ObjectLink::NULL),
        DataType::CoreLink => Value::CoreLink(Cow::Borrowed("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Definition] = &[
        Definition::read(1, DataType::Integer),
        Definition::read_write(2, DataType::Integer).multiple(),
    ];

    #[test]
    fn an_equal_value_is_no_change() {
        let mut store = Store::new(7, TABLE).with_instance(0, [(1, 5)]);
        store.set(0, 1, 5);
        assert_eq!(store.take_changes(), (vec![], false));
        store.set(0, 1, 6);
        assert_eq!(store.take_changes(), (vec![Path::resource(7, 0, 1)], false));
        assert_eq!(store.take_changes(), (vec![], false));
    }

    #[test]
    fn instances_come_and_go() {
        let mut store = Store::new(7, TABLE);
        assert!(store.add_instance(3));
        assert!(!store.add_instance(3));
        assert!(store.take_changes().1);
        store.set(4, 1, 1);
        assert_eq!(store.value(4, 1), None, "no such instance");
        assert!(store.remove_instance(3));
        assert!(!store.remove_instance(3));
        assert_eq!(store.instances().count(), 0);
    }

    #[test]
    fn multiple_values_are_sorted() {
        let value = ResourceValue::multiple([(4, 1), (1, 2)]);
        let sorted = vec![(1, Value::Integer(2)), (4, Value::Integer(1))];
        assert_eq!(value, ResourceValue::Multiple(sorted));
    }
}
