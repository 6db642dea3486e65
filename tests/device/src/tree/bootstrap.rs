//! The operations of a bootstrap server (Core 1.2.2 §6.1.7): access rights do not count, and an
//! instance that is written is as it was written.

use std::fmt::Write;

use lwm2m_core::{Path, PathLevel, Record, ResourceType, ResourceTypes, Value, Version};

use super::ObjectTree;
use crate::{Object, Refusal, ResourceValue, Store};

/// Objects that belong to accounts.
const OF_ACCOUNTS: [u16; 4] = [0, 1, 2, 21];

/// The most records of one write.
const RECORDS_MAX: usize = 4096;

/// The types of all objects, of the closed ones too.
pub(crate) struct AllTypes<'t>(pub(crate) &'t ObjectTree);

impl ResourceTypes for AllTypes<'_> {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        let definition = self.0.store(object)?.definition(resource)?;
        Some(ResourceType {
            data_type: definition.data_type?,
            multiple: definition.multiple,
        })
    }
}

impl ObjectTree {
    /// The store of an object, of a closed one too.
    pub(crate) fn store(&self, object: u16) -> Option<&Store> {
        let mut stores = self.objects().map(Object::store);
        stores.find(|store| store.object() == object)
    }

    /// The single value of a resource, of a closed object too.
    pub fn stored(&self, path: &Path) -> Option<&Value<'static>> {
        let [object, instance, resource] = path.ids() else {
            return None;
        };
        match self.store(*object)?.value(*instance, *resource)? {
            ResourceValue::Single(value) => Some(value),
            ResourceValue::Multiple(_) => None,
        }
    }

    /// Bootstrap-Write: instances that are named in whole are replaced. All or nothing.
    pub(crate) fn bootstrap_write(
        &mut self,
        target: &Path,
        records: Vec<Record<'_>>,
        own: &[Path],
    ) -> Result<(), Refusal> {
        if records.len() > RECORDS_MAX {
            return Err(Refusal::bad_request("too many records"));
        }
        let mut values: Vec<(Path, ResourceValue)> = Vec::new();
        for record in records {
            self.plan_value(target, record, own, &mut values)?;
        }
        let whole = target.level() <= PathLevel::ObjectInstance;
        let mut instances: Vec<Path> = values.iter().map(|(path, _)| path.truncated(2)).collect();
        if target.level() == PathLevel::ObjectInstance {
            instances.push(*target);
        }
        instances.sort_unstable();
        instances.dedup();
        for path in instances {
            let [object, instance] = path.ids() else {
                continue;
            };
            let store = self.object_mut(*object)?.store_mut();
            if whole && store.is_multiple() {
                store.remove_instance(*instance);
            }
            if store.is_multiple() || store.has_instance(*instance) {
                store.add_instance(*instance);
            }
        }
        for (path, value) in values {
            if let [object, instance, resource] = path.ids() {
                let store = self.object_mut(*object)?.store_mut();
                store.set(*instance, *resource, value);
            }
        }
        Ok(())
    }

    fn plan_value(
        &self,
        target: &Path,
        record: Record<'_>,
        own: &[Path],
        values: &mut Vec<(Path, ResourceValue)>,
    ) -> Result<(), Refusal> {
        let path = record.path.truncated(3);
        let [object, _, resource] = path.ids() else {
            return Err(Refusal::bad_request("a record names no resource"));
        };
        if !target.contains(&record.path) {
            return Err(Refusal::bad_request("a record lies outside the target"));
        }
        if own.contains(&path.truncated(2)) {
            return Err(Refusal::bad_request(
                "the account is the bootstrap server's own",
            ));
        }
        let store = self.store(*object);
        let store = store.ok_or(Refusal::not_found("no such object"))?;
        let Some(definition) = store.definition(*resource) else {
            return Ok(()); // resources that a device does not know are not an error
        };
        if record.value.data_type() != definition.data_type {
            return Err(Refusal::bad_request("the value has the wrong type"));
        }
        let value = record.value.into_owned();
        let at = values.iter().position(|(other, _)| *other == path);
        match (record.path.resource_instance_id(), definition.multiple, at) {
            (None, false, None) => values.push((path, ResourceValue::Single(value))),
            (Some(id), true, None) => {
                values.push((path, ResourceValue::Multiple(vec![(id, value)])));
            }
            (Some(id), true, Some(at)) => {
                if let ResourceValue::Multiple(items) = &mut values[at].1 {
                    items.push((id, value));
                    items.sort_by_key(|(id, _)| *id);
                }
            }
            _ => return Err(Refusal::bad_request("a value stands where none can be")),
        }
        Ok(())
    }

    /// Bootstrap-Delete. The bootstrap server's own account stays.
    pub(crate) fn bootstrap_delete(&mut self, path: &Path, own: &[Path]) -> Result<(), Refusal> {
        match *path.ids() {
            [] => {
                for object in OF_ACCOUNTS {
                    self.empty(object, own);
                }
                Ok(())
            }
            [object] if self.store(object).is_none() => Err(Refusal::not_found("no such object")),
            [object] => {
                self.empty(object, own);
                Ok(())
            }
            [object, instance] => {
                if own.contains(path) {
                    return Err(Refusal::bad_request(
                        "the account is the bootstrap server's own",
                    ));
                }
                let store = self.object_mut(object)?.store_mut();
                if !store.is_multiple() {
                    return Err(Refusal::not_allowed("the instance is mandatory"));
                }
                match store.remove_instance(instance) {
                    true => Ok(()),
                    false => Err(Refusal::not_found("no such object instance")),
                }
            }
            _ => Err(Refusal::bad_request(
                "only instances and objects are deleted",
            )),
        }
    }

    fn empty(&mut self, object: u16, own: &[Path]) {
        let Ok(found) = self.object_mut(object) else {
            return;
        };
        let store = found.store_mut();
        if !store.is_multiple() {
            return;
        }
        let instances: Vec<u16> = store.instances().collect();
        for instance in instances {
            if !own.contains(&Path::instance(object, instance)) {
                store.remove_instance(instance);
            }
        }
    }

    /// Bootstrap-Discover of `/` or an object.
    pub(crate) fn bootstrap_discover(
        &self,
        path: &Path,
        version: Version,
    ) -> Result<String, Refusal> {
        let wanted = match *path.ids() {
            [] => None,
            [object] if self.store(object).is_some() => Some(object),
            [_] => return Err(Refusal::not_found("no such object")),
            _ => return Err(Refusal::bad_request("Discover is for objects here")),
        };
        let mut links = match version {
            Version::V1_0 => "lwm2m=\"1.0\"".to_owned(),
            version => format!("</>;lwm2m={version}"),
        };
        // Writing to a String cannot fail.
        for store in self.objects().map(Object::store) {
            let object = store.object();
            if wanted.is_some_and(|wanted| wanted != object) {
                continue;
            }
            if store.instances().next().is_none() || version == Version::V1_0 {
                let _ = write!(links, ",</{object}>");
            }
            for instance in store.instances() {
                let _ = write!(links, ",</{object}/{instance}>");
                if let Some(id) = self.short_server_id(object, instance) {
                    let _ = write!(links, ";ssid={id}");
                }
                let uri = self.stored(&Path::resource(0, instance, 0));
                let tells = object == 0 && version > Version::V1_0;
                let server = self.short_server_id(object, instance).is_some();
                if let (true, true, Some(Value::String(uri))) = (tells, server, uri) {
                    let _ = write!(links, ";uri=\"{uri}\"");
                }
            }
        }
        Ok(links)
    }

    /// The short server id of an instance that belongs to a server's account.
    fn short_server_id(&self, object: u16, instance: u16) -> Option<i64> {
        let number = |path: Path| match self.stored(&path)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        match object {
            0 => number(Path::resource(0, instance, 10)),
            1 => number(Path::resource(1, instance, 0)),
            21 => {
                let links = |security: &u16| {
                    let link = self.stored(&Path::resource(0, *security, 17));
                    matches!(link, Some(Value::ObjectLink(link)) if link.instance == instance)
                };
                let security = self.store(0)?.instances().find(links)?;
                number(Path::resource(0, security, 10))
            }
            _ => None,
        }
    }

    /// Bootstrap-Read of object 1 or 2, or an instance of them.
    pub(crate) fn bootstrap_read(&self, path: &Path) -> Result<Vec<Record<'static>>, Refusal> {
        match path.ids() {
            [1 | 2] | [1 | 2, _] => self.read(path),
            _ => Err(Refusal::not_allowed("only objects 1 and 2 are read here")),
        }
    }
}

/// What a value of a closed object says as bytes; strings of older versions are bytes, too.
pub(crate) fn bytes_of(value: &Value<'static>) -> Vec<u8> {
    match value {
        Value::Opaque(bytes) => bytes.to_vec(),
        Value::String(text) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    }
}
