//! Write, Create and Delete: first everything is checked, then everything is done.

use std::time::Instant;

use lwm2m_core::{DataType, ObjectLink, Path, PathLevel, Record, Value, WriteMode};

use super::{ObjectTree, closed, is_present};
use crate::object::zero;
use crate::{Definition, Effect, Object, Refusal, ResourceValue, Store};

/// The most instances of one resource.
const RESOURCE_INSTANCES_MAX: usize = 1024;

/// One resource with its value after the write, none when it is removed.
#[derive(Debug, PartialEq)]
struct Change {
    path: Path,
    value: Option<ResourceValue>,
}

impl ObjectTree {
    /// Writes at an instance, a resource or a resource instance, all or nothing.
    pub(crate) fn write(
        &mut self,
        target: &Path,
        mode: WriteMode,
        records: Vec<Record<'_>>,
        now: Instant,
    ) -> Result<Vec<Effect>, Refusal> {
        self.instance(target)?;
        if target.resource_id().is_some() {
            let definition = self.definition(target)?;
            writable(definition)?;
            let single = !definition.multiple;
            if single
                && (target.level() == PathLevel::ResourceInstance || mode == WriteMode::Update)
            {
                return Err(Refusal::not_allowed("the resource has no instances"));
            }
        }
        let mut changes = self.plan(Some(target), mode, records)?;
        if mode == WriteMode::Replace {
            self.plan_removals(target, &mut changes)?;
        }
        Ok(self.apply(changes, now))
    }

    /// Writes anywhere, all or nothing.
    pub(crate) fn write_composite(
        &mut self,
        records: Vec<Record<'_>>,
        now: Instant,
    ) -> Result<Vec<Effect>, Refusal> {
        for record in &records {
            writable(self.definition(&record.path)?)?;
        }
        let changes = self.plan(None, WriteMode::Update, records)?;
        Ok(self.apply(changes, now))
    }

    /// Creates an object instance; `records` lie below `/object/id`, with 65535 when the device
    /// chooses. Gives the id, and true when the device chose it.
    pub(crate) fn create(
        &mut self,
        object: u16,
        records: Vec<Record<'_>>,
        now: Instant,
    ) -> Result<(u16, bool, Vec<Effect>), Refusal> {
        let store = self.object(&Path::object(object))?.store();
        if !store.is_multiple() {
            return Err(Refusal::not_allowed("the object has one instance only"));
        }
        if store.instances().count() >= Store::INSTANCES_MAX {
            return Err(Refusal::bad_request("the object has too many instances"));
        }
        let asked = single_instance(&records)?;
        let instance = match asked {
            Some(id) if store.has_instance(id) => {
                return Err(Refusal::bad_request("the instance exists already"));
            }
            Some(id) => id,
            None => (0..=Path::MAX_ID)
                .find(|id| !store.has_instance(*id))
                .ok_or(Refusal::bad_request("no free instance id"))?,
        };
        let values = initial_values(self.object(&Path::object(object))?, instance, records)?;
        let mut context = self.context(now);
        let found = self.object_mut(object)?;
        found.store_mut().add_instance(instance);
        for (resource, value) in values {
            found.store_mut().set(instance, resource, value);
        }
        found.created(instance, &mut context);
        Ok((instance, asked.is_none(), context.into_effects()))
    }

    /// Deletes an object instance or a resource instance.
    pub(crate) fn delete(&mut self, path: &Path) -> Result<(), Refusal> {
        match path.level() {
            PathLevel::ObjectInstance => {
                let (object, instance) = self.instance(path)?;
                if !object.store().is_multiple() {
                    return Err(Refusal::not_allowed("the instance is mandatory"));
                }
                object.check_delete(instance)?;
                let object = object.store().object();
                self.object_mut(object)?
                    .store_mut()
                    .remove_instance(instance);
                Ok(())
            }
            PathLevel::ResourceInstance => {
                let definition = self.definition(path)?;
                writable(definition)?;
                self.read_stored(path)?;
                let record = Record::new(*path, Value::Null);
                let changes = self.plan(None, WriteMode::Update, vec![record])?;
                // Removing a value has no effects of its own.
                self.apply_values(changes);
                Ok(())
            }
            _ => {
                if let Some(object) = path.object_id() {
                    closed(object)?;
                }
                self.check_target(path)?;
                Err(Refusal::not_allowed("only instances are deleted"))
            }
        }
    }

    /// What the records make of the resources that they name.
    fn plan(
        &self,
        target: Option<&Path>,
        mode: WriteMode,
        records: Vec<Record<'_>>,
    ) -> Result<Vec<Change>, Refusal> {
        let mut changes: Vec<Change> = Vec::new();
        for record in records {
            if target.is_some_and(|target| !target.contains(&record.path)) {
                return Err(Refusal::bad_request("a record lies outside the target"));
            }
            let path = record.path.truncated(3);
            let Ok(definition) = self.definition(&path) else {
                continue; // resources that a device does not know are not an error
            };
            writable(definition)?;
            let at = match changes.iter().position(|change| change.path == path) {
                Some(at) => at,
                None => {
                    let keep = mode == WriteMode::Update
                        || target.is_some_and(|t| t.level() == PathLevel::ResourceInstance);
                    let value = self.initial(definition, &path, keep)?;
                    changes.push(Change { path, value });
                    changes.len() - 1
                }
            };
            self.merge(definition, &mut changes[at].value, record)?;
        }
        for change in &changes {
            if let (Ok((object, instance)), Some(value)) =
                (self.instance(&change.path), &change.value)
            {
                object.check(instance, change.path.ids()[2], value)?;
            }
        }
        Ok(changes)
    }

    /// What a multiple-instance resource starts from; none for a single value.
    fn initial(
        &self,
        definition: &Definition,
        path: &Path,
        keep: bool,
    ) -> Result<Option<ResourceValue>, Refusal> {
        if !definition.multiple {
            return Ok(None);
        }
        let (object, instance) = self.instance(path)?;
        let before = object.store().value(instance, definition.id);
        Ok(Some(match before {
            Some(value @ ResourceValue::Multiple(_)) if keep => value.clone(),
            _ => ResourceValue::Multiple(Vec::new()),
        }))
    }

    fn merge(
        &self,
        definition: &Definition,
        value: &mut Option<ResourceValue>,
        record: Record<'_>,
    ) -> Result<(), Refusal> {
        match (value, record.path.resource_instance_id()) {
            (Some(ResourceValue::Multiple(values)), Some(id)) => {
                let at = values.binary_search_by_key(&id, |(other, _)| *other);
                match (at, record.value) {
                    (Ok(at), Value::Null) => {
                        values.remove(at);
                    }
                    (Err(_), Value::Null) => {
                        return Err(Refusal::not_found("no such resource instance"));
                    }
                    (Ok(at), new) => values[at].1 = self.typed(definition, new)?,
                    (Err(_), _) if values.len() >= RESOURCE_INSTANCES_MAX => {
                        return Err(Refusal::bad_request("too many resource instances"));
                    }
                    (Err(at), new) => values.insert(at, (id, self.typed(definition, new)?)),
                }
                Ok(())
            }
            (Some(ResourceValue::Multiple(_)), None) => {
                Err(Refusal::bad_request("the resource has instances"))
            }
            (_, Some(_)) => Err(Refusal::not_allowed("the resource has no instances")),
            (value, None) => {
                *value = Some(ResourceValue::Single(self.typed(definition, record.value)?));
                Ok(())
            }
        }
    }

    /// A value of the type that the definition gives.
    fn typed(&self, definition: &Definition, value: Value<'_>) -> Result<Value<'static>, Refusal> {
        if value.data_type() != definition.data_type {
            return Err(Refusal::bad_request("the value has the wrong type"));
        }
        if let Value::ObjectLink(link) = &value {
            let instance = Path::instance(link.object, link.instance);
            let there = *link == ObjectLink::NULL
                || link.instance == u16::MAX
                || self.instance(&instance).is_ok();
            if !there {
                return Err(Refusal::bad_request("the link leads to no object instance"));
            }
        }
        Ok(value.into_owned())
    }

    /// Replace removes what an instance may lack and the payload does not name.
    fn plan_removals(&self, target: &Path, changes: &mut Vec<Change>) -> Result<(), Refusal> {
        let (object, instance) = self.instance(target)?;
        for definition in object.store().definitions() {
            let path = Path::resource(object.store().object(), instance, definition.id);
            let named = changes.iter().any(|change| change.path == path);
            let gone = definition.operations.write
                && !definition.mandatory
                && target.level() == PathLevel::ObjectInstance
                && is_present(object, instance, definition);
            // An array without items is written by a payload without records.
            let emptied = *target == path && definition.multiple;
            if !named && emptied {
                let value = Some(ResourceValue::Multiple(Vec::new()));
                changes.push(Change { path, value });
            } else if !named && gone {
                changes.push(Change { path, value: None });
            }
        }
        Ok(())
    }

    fn apply(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Effect> {
        let written: Vec<Path> = changes
            .iter()
            .filter(|change| change.value.is_some())
            .map(|change| change.path)
            .collect();
        self.apply_values(changes);
        let mut context = self.context(now);
        for path in written {
            if let (Ok(object), [_, instance, resource]) =
                (self.object_mut(path.ids()[0]), path.ids())
            {
                object.written(*instance, *resource, &mut context);
            }
        }
        context.into_effects()
    }

    fn apply_values(&mut self, changes: Vec<Change>) {
        for change in changes {
            let [object, instance, resource] = change.path.ids() else {
                continue;
            };
            let Ok(object) = self.object_mut(*object) else {
                continue;
            };
            match change.value {
                Some(value) => object.store_mut().set(*instance, *resource, value),
                None => object.store_mut().remove(*instance, *resource),
            }
        }
    }

    fn read_stored(&self, path: &Path) -> Result<(), Refusal> {
        match self.value(path) {
            Some(_) => Ok(()),
            None => Err(Refusal::not_found("no such resource instance")),
        }
    }
}

fn writable(definition: &Definition) -> Result<(), Refusal> {
    if definition.operations.write {
        Ok(())
    } else {
        Err(Refusal::not_allowed("the resource is not writable"))
    }
}

/// The one instance that all records lie in; none for 65535 and for no records.
fn single_instance(records: &[Record<'_>]) -> Result<Option<u16>, Refusal> {
    let mut ids = records.iter().map(|record| record.path.instance_id());
    let Some(first) = ids.next() else {
        return Ok(None);
    };
    if ids.any(|id| id != first) {
        return Err(Refusal::bad_request("one instance is created at a time"));
    }
    Ok(first.filter(|id| *id != u16::MAX))
}

/// The values of a new instance: those given, and zeros where something is mandatory that no
/// server may write.
fn initial_values(
    object: &dyn Object,
    instance: u16,
    records: Vec<Record<'_>>,
) -> Result<Vec<(u16, ResourceValue)>, Refusal> {
    let mut values: Vec<(u16, ResourceValue)> = Vec::new();
    for record in records {
        let Some(definition) = record
            .path
            .resource_id()
            .and_then(|resource| object.store().definition(resource))
        else {
            continue;
        };
        if !definition.operations.write {
            continue; // read-only values of a Create are ignored
        }
        if record.value.data_type() != definition.data_type {
            return Err(Refusal::bad_request("the value has the wrong type"));
        }
        add(
            &mut values,
            definition,
            &record.path,
            record.value.into_owned(),
        )?;
    }
    for definition in object.store().definitions() {
        let given = values.iter().any(|(id, _)| *id == definition.id);
        let operations = definition.operations;
        if given || !definition.mandatory || operations.execute {
            continue;
        }
        if operations.write {
            return Err(Refusal::bad_request("a mandatory resource is missing"));
        }
        let value = zero(definition.data_type.unwrap_or(DataType::String));
        values.push((
            definition.id,
            if definition.multiple {
                ResourceValue::Multiple(vec![(0, value)])
            } else {
                ResourceValue::Single(value)
            },
        ));
    }
    for (resource, value) in &values {
        object.check(instance, *resource, value)?;
    }
    Ok(values)
}

fn add(
    values: &mut Vec<(u16, ResourceValue)>,
    definition: &Definition,
    path: &Path,
    value: Value<'static>,
) -> Result<(), Refusal> {
    match (path.resource_instance_id(), definition.multiple) {
        (None, false) => {
            values.push((definition.id, ResourceValue::Single(value)));
            Ok(())
        }
        (Some(id), true) => {
            let at = values.iter().position(|(other, _)| *other == definition.id);
            let at = at.unwrap_or_else(|| {
                values.push((definition.id, ResourceValue::Multiple(Vec::new())));
                values.len() - 1
            });
            if let ResourceValue::Multiple(items) = &mut values[at].1 {
                if items.len() >= RESOURCE_INSTANCES_MAX {
                    return Err(Refusal::bad_request("too many resource instances"));
                }
                let place = items.partition_point(|(other, _)| *other < id);
                items.insert(place, (id, value));
            }
            Ok(())
        }
        _ => Err(Refusal::bad_request("the path contradicts the definition")),
    }
}
