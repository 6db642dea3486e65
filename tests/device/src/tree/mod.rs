//! All objects of a device, and the operations of device management on them.
//!
//! Knows values and refusals, no messages: payload formats and attributes are the client's.

mod bootstrap;
mod write;

use std::time::Instant;

use lwm2m_core::{
    ExecuteArguments, ObjectVersion, Path, PathLevel, Record, ResourceType, ResourceTypes, Value,
    Version,
};

use crate::object::Context;
pub(crate) use bootstrap::{AllTypes, bytes_of};

use crate::{Definition, Effect, Object, Refusal, ResourceValue};

/// The objects of a device.
#[derive(Default)]
pub struct ObjectTree {
    objects: Vec<Box<dyn Object>>,
    /// Wall-clock time at an instant, in seconds since 1970.
    wall_clock: Option<(Instant, f64)>,
}

impl std::fmt::Debug for ObjectTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.objects.iter().map(|object| object.store().object()))
            .finish()
    }
}

/// What has changed in the tree since the last look.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Resources and instances with other values than before.
    pub(crate) paths: Vec<Path>,
    /// True when object instances came or went.
    pub(crate) instances: bool,
}

impl ObjectTree {
    /// A tree without objects.
    pub fn new() -> ObjectTree {
        ObjectTree::default()
    }

    /// Tells the wall-clock time, in seconds since 1970.
    pub(crate) fn set_wall_clock(&mut self, now: Instant, unix_s: f64) {
        self.wall_clock = Some((now, unix_s));
    }

    /// The wall-clock time in whole seconds since 1970, where it is known.
    pub(crate) fn unix_s(&self, now: Instant) -> Option<i64> {
        let (then, unix_s) = self.wall_clock?;
        Some((unix_s + now.saturating_duration_since(then).as_secs_f64()) as i64)
    }

    /// What objects are told at this time.
    pub(crate) fn context(&self, now: Instant) -> Context {
        let mut context = Context::new(now);
        context.unix_s = self.unix_s(now);
        context
    }

    /// Adds an object, in place of another with the same id.
    pub fn insert(&mut self, object: impl Object) {
        self.insert_boxed(Box::new(object));
    }

    pub(crate) fn insert_boxed(&mut self, object: Box<dyn Object>) {
        let id = object.store().object();
        match self
            .objects
            .binary_search_by_key(&id, |o| o.store().object())
        {
            Ok(at) => self.objects[at] = object,
            Err(at) => self.objects.insert(at, object),
        }
    }

    /// Executes a resource.
    pub(crate) fn execute(
        &mut self,
        path: &Path,
        arguments: &ExecuteArguments,
        now: Instant,
    ) -> Result<Vec<Effect>, Refusal> {
        let [object, instance, resource] = resource_ids(path)?;
        let definition = self.definition(path)?;
        if !definition.operations.execute {
            return Err(Refusal::not_allowed("the resource is not executable"));
        }
        let mut context = self.context(now);
        self.object_mut(object)?
            .execute(instance, resource, arguments, &mut context)?;
        Ok(context.into_effects())
    }

    /// Sets a value as the device itself does: operations are not asked.
    pub fn set(&mut self, path: &Path, value: impl Into<ResourceValue>) {
        let (Ok([object, instance, resource]), value) = (resource_ids(path), value.into()) else {
            return;
        };
        let Ok(object) = self.object_mut(object) else {
            return;
        };
        let store = object.store_mut();
        match (path.resource_instance_id(), value) {
            (None, value) => store.set(instance, resource, value),
            (Some(_), ResourceValue::Multiple(_)) => {}
            (Some(id), ResourceValue::Single(value)) => {
                let mut values = match store.value(instance, resource) {
                    Some(ResourceValue::Multiple(values)) => values.clone(),
                    _ => Vec::new(),
                };
                values.retain(|(other, _)| *other != id);
                values.push((id, value));
                store.set(instance, resource, ResourceValue::multiple(values));
            }
        }
    }

    /// Tells the objects that the device starts.
    pub(crate) fn started(&mut self, now: Instant) -> Vec<Effect> {
        let mut context = self.context(now);
        for object in &mut self.objects {
            object.started(&mut context);
        }
        context.into_effects()
    }

    /// Runs the timers of the objects.
    pub(crate) fn elapsed(&mut self, now: Instant) -> Vec<Effect> {
        let mut context = self.context(now);
        for object in &mut self.objects {
            if object.deadline().is_some_and(|at| at <= now) {
                object.elapsed(&mut context);
            }
        }
        context.into_effects()
    }

    /// When [`ObjectTree::elapsed`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.objects.iter().filter_map(|o| o.deadline()).min()
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for object in &mut self.objects {
            let (paths, instances) = object.store_mut().take_changes();
            changes.paths.extend(paths);
            changes.instances |= instances;
        }
        changes
    }

    /// The readable values at and below a path.
    ///
    /// # Errors
    /// 4.01 for a closed object, 4.04 where nothing is, 4.05 for what is not readable and for
    /// paths that contradict the definition.
    pub fn read(&self, path: &Path) -> Result<Vec<Record<'static>>, Refusal> {
        let mut records = Vec::new();
        match path.level() {
            PathLevel::Root => {
                for object in &self.objects {
                    read_object(object.as_ref(), &mut records);
                }
            }
            PathLevel::Object => read_object(self.object(path)?, &mut records),
            PathLevel::ObjectInstance => {
                let (object, instance) = self.instance(path)?;
                read_instance(object, instance, &mut records);
            }
            PathLevel::Resource | PathLevel::ResourceInstance => {
                let definition = *self.definition(path)?;
                if !definition.operations.read {
                    return Err(Refusal::not_allowed("the resource is not readable"));
                }
                let (object, instance) = self.instance(path)?;
                read_resource(object, instance, definition.id, &mut records);
                if records.is_empty() && object.read(instance, definition.id).is_none() {
                    return Err(Refusal::not_found("no such resource"));
                }
                if path.level() == PathLevel::ResourceInstance {
                    if !definition.multiple {
                        return Err(Refusal::not_allowed("the resource has no instances"));
                    }
                    records.retain(|record| record.path == *path);
                    if records.is_empty() {
                        return Err(Refusal::not_found("no such resource instance"));
                    }
                }
            }
        }
        Ok(records)
    }

    /// The value of a single-instance resource, or of a resource instance.
    pub fn value(&self, path: &Path) -> Option<Value<'static>> {
        let [_, instance, resource] = resource_ids(path).ok()?;
        match self.object(path).ok()?.read(instance, resource)? {
            ResourceValue::Single(value) => (path.level() == PathLevel::Resource).then_some(value),
            ResourceValue::Multiple(values) => {
                let id = path.resource_instance_id()?;
                let found = values.into_iter().find(|(other, _)| *other == id);
                found.map(|(_, value)| value)
            }
        }
    }

    /// An integer value, for the settings of the Server object.
    pub(crate) fn integer(&self, path: &Path) -> Option<i64> {
        match self.value(path)? {
            Value::Integer(number) => Some(number),
            Value::Unsigned(number) => i64::try_from(number).ok(),
            Value::Boolean(truth) => Some(i64::from(truth)),
            _ => None,
        }
    }

    /// Checks that the target of an operation is there.
    pub(crate) fn check_target(&self, path: &Path) -> Result<(), Refusal> {
        match path.level() {
            PathLevel::Root => Ok(()),
            PathLevel::Object => self.object(path).map(|_| ()),
            PathLevel::ObjectInstance => self.instance(path).map(|_| ()),
            PathLevel::Resource => {
                let definition = self.definition(path)?;
                let (object, instance) = self.instance(path)?;
                is_present(object, instance, definition)
                    .then_some(())
                    .ok_or(Refusal::not_found("no such resource"))
            }
            PathLevel::ResourceInstance => self.read(path).map(|_| ()),
        }
    }

    /// The object that a path lies in.
    pub(crate) fn object(&self, path: &Path) -> Result<&dyn Object, Refusal> {
        let id = path
            .object_id()
            .ok_or(Refusal::not_allowed("not on the root path"))?;
        closed(id)?;
        let at = self
            .objects
            .binary_search_by_key(&id, |o| o.store().object());
        at.map(|at| self.objects[at].as_ref())
            .map_err(|_| Refusal::not_found("no such object"))
    }

    /// The object and instance that a path lies in.
    pub(crate) fn instance(&self, path: &Path) -> Result<(&dyn Object, u16), Refusal> {
        let object = self.object(path)?;
        match path.instance_id() {
            Some(id) if object.store().has_instance(id) => Ok((object, id)),
            _ => Err(Refusal::not_found("no such object instance")),
        }
    }

    /// The definition of the resource that a path lies in, in an instance that is there.
    pub(crate) fn definition(&self, path: &Path) -> Result<&Definition, Refusal> {
        let (object, _) = self.instance(path)?;
        path.resource_id()
            .and_then(|resource| object.store().definition(resource))
            .ok_or(Refusal::not_found("no such resource"))
    }

    /// The objects by id.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &dyn Object> {
        self.objects.iter().map(AsRef::as_ref)
    }

    pub(crate) fn object_mut(&mut self, id: u16) -> Result<&mut dyn Object, Refusal> {
        let at = self
            .objects
            .binary_search_by_key(&id, |o| o.store().object());
        match at {
            Ok(at) => Ok(self.objects[at].as_mut()),
            Err(_) => Err(Refusal::not_found("no such object")),
        }
    }
}

impl ResourceTypes for ObjectTree {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        let object = self.object(&Path::object(object)).ok()?;
        let definition = object.store().definition(resource)?;
        Some(ResourceType {
            data_type: definition.data_type?,
            multiple: definition.multiple,
        })
    }
}

/// The objects that no server reaches (Core 1.2.2 §6.3, §8).
pub(crate) fn closed(object: u16) -> Result<(), Refusal> {
    if matches!(object, 0 | 21 | 23) {
        return Err(Refusal::unauthorized("the object is closed to servers"));
    }
    Ok(())
}

/// True when an instance has a resource: it has a value, or one that is not read.
pub(crate) fn is_present(object: &dyn Object, instance: u16, definition: &Definition) -> bool {
    let unread = !definition.operations.read
        && (definition.operations.execute || definition.operations.write);
    unread || object.read(instance, definition.id).is_some()
}

/// The version of an object when `ver` is absent (Core 1.2.2 §7.2, Appendix E).
pub(crate) fn implied_version(version: Version, object: u16) -> ObjectVersion {
    let minor = match (version, object) {
        (Version::V1_1, 0 | 1 | 3) => 1,
        (Version::V1_1, 4) => 2,
        (Version::V1_2, 0 | 1 | 3) => 2,
        (Version::V1_2, 2 | 5) => 1,
        (Version::V1_2, 4) => 3,
        (Version::V1_2, 21) => return ObjectVersion { major: 2, minor: 0 },
        _ => 0,
    };
    ObjectVersion { major: 1, minor }
}

fn resource_ids(path: &Path) -> Result<[u16; 3], Refusal> {
    match path.ids() {
        [object, instance, resource, ..] => Ok([*object, *instance, *resource]),
        _ => Err(Refusal::not_allowed("not on an object or instance")),
    }
}

fn read_object(object: &dyn Object, records: &mut Vec<Record<'static>>) {
    for instance in object.store().instances() {
        read_instance(object, instance, records);
    }
}

fn read_instance(object: &dyn Object, instance: u16, records: &mut Vec<Record<'static>>) {
    for definition in object.store().definitions() {
        if definition.operations.read {
            read_resource(object, instance, definition.id, records);
        }
    }
}

fn read_resource(
    object: &dyn Object,
    instance: u16,
    resource: u16,
    records: &mut Vec<Record<'static>>,
) {
    let path = Path::resource(object.store().object(), instance, resource);
    match object.read(instance, resource) {
        None => {}
        Some(ResourceValue::Single(value)) => records.push(Record {
            path,
            time: None,
            value,
        }),
        Some(ResourceValue::Multiple(values)) => {
            let record = |(id, value)| Record {
                path: Path::resource_instance(path.ids()[0], instance, resource, id),
                time: None,
                value,
            };
            records.extend(values.into_iter().map(record));
        }
    }
}

#[cfg(test)]
mod tests;
