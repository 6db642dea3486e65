//! The records of a plan as the device at hand takes them: where there is room, in its version, in
//! the types of its models.

use std::borrow::Cow;

use lwm2m_core::codec::{self, EncodeError, Scope};
use lwm2m_core::link::DiscoveredLink;
use lwm2m_core::{
    ContentFormat, DataType, ObjectLink, ObjectList, ObjectModels, Path, PathLevel, Record,
    ResourceTypes, Untyped, Value, Version,
};

use super::{BootstrapPlan, BootstrapRecords};
use crate::management::DeviceContext;

/// The Security object.
pub(super) const SECURITY: u16 = 0;
/// The Server object.
pub(super) const SERVER: u16 = 1;
/// The OSCORE object.
pub(super) const OSCORE: u16 = 21;

/// Objects whose instances belong to accounts and may be the bootstrap server's own.
const OF_ACCOUNTS: [u16; 4] = [SECURITY, OSCORE, 23, 24];

/// What is known of a device.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) version: Version,
    /// The versions of its objects, as far as it has told them.
    objects: ObjectList,
    /// The instances of the bootstrap server's own account.
    own: Vec<Path>,
    /// Where instances of the plan go because theirs is taken.
    moves: Vec<(Path, Path)>,
}

impl Device {
    /// A device that has this version at least.
    pub(super) fn new(version: Version) -> Device {
        Device {
            version,
            objects: ObjectList::default(),
            own: Vec::new(),
            moves: Vec::new(),
        }
    }

    /// Takes the versions of the objects that a Bootstrap-Discover gives (`ver`).
    pub(super) fn learn_versions(&mut self, links: &[DiscoveredLink]) {
        for link in links {
            let (Some(object), Some(version)) = (link.path.object_id(), link.version) else {
                continue;
            };
            let versions = &mut self.objects.versions;
            match versions.binary_search_by_key(&object, |(object, _)| *object) {
                Ok(at) => versions[at].1 = version,
                Err(at) => versions.insert(at, (object, version)),
            }
        }
    }

    /// Keeps these instances free of what the plan writes.
    pub(super) fn spare(&mut self, own: Vec<Path>, plan: &BootstrapPlan) {
        self.moves.clear();
        for object in OF_ACCOUNTS {
            let mut used: Vec<Path> = plan
                .instances_of(object)
                .map(|id| Path::instance(object, id))
                .collect();
            used.sort_unstable();
            used.dedup();
            for from in used.clone() {
                if !own.contains(&from) {
                    continue;
                }
                let mut free = (0..=Path::MAX_ID).map(|id| Path::instance(object, id));
                if let Some(to) = free.find(|to| !own.contains(to) && !used.contains(to)) {
                    used.push(to);
                    self.moves.push((from, to));
                }
            }
        }
        self.own = own;
    }

    /// True for an instance of the bootstrap server's own account.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        self.own.contains(path)
    }

    /// Where a path of the plan is on this device.
    pub(super) fn placed(&self, path: &Path) -> Path {
        let instance = path.truncated(2);
        let Some((_, to)) = self.moves.iter().find(|(from, _)| *from == instance) else {
            return *path;
        };
        let below = path.ids().iter().skip(2);
        below.fold(*to, |path, id| path.child(*id).unwrap_or(path))
    }

    /// The types of the device's objects.
    fn types<'m>(&'m self, models: &'m dyn ObjectModels) -> DeviceContext<'m> {
        DeviceContext {
            version: self.version,
            objects: &self.objects,
            models,
            definition: None,
        }
    }

    /// The records as they are written into this device.
    pub(super) fn adapted(
        &self,
        records: &[Record<'static>],
        models: &dyn ObjectModels,
    ) -> BootstrapRecords {
        let types = self.types(models);
        let mut adapted: Vec<Record<'static>> = Vec::with_capacity(records.len());
        for record in records {
            if self.version == Version::V1_0 && is_younger_than_1_0(&record.path) {
                continue;
            }
            adapted.push(Record {
                path: self.placed(&record.path),
                time: None,
                value: self.fitting(record, &types),
            });
        }
        if self.version == Version::V1_0 {
            fill_mandatory(&mut adapted);
        }
        adapted.into()
    }

    /// A value of the type that the device has for it, where strings and bytes are told apart by the
    /// version of the object only.
    fn fitting(&self, record: &Record<'static>, types: &dyn ResourceTypes) -> Value<'static> {
        let [object, _, resource, ..] = record.path.ids() else {
            return record.value.clone();
        };
        let known = types.resource_type(*object, *resource);
        match (known.map(|known| known.data_type), &record.value) {
            (_, Value::ObjectLink(link)) => {
                let placed = self.placed(&Path::instance(link.object, link.instance));
                Value::ObjectLink(match placed.ids() {
                    [object, instance] => ObjectLink {
                        object: *object,
                        instance: *instance,
                    },
                    _ => *link,
                })
            }
            (Some(DataType::String), Value::Opaque(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::String(Cow::Owned(text.to_owned())),
                Err(_) => record.value.clone(),
            },
            (Some(DataType::Opaque), Value::String(text)) => {
                Value::Opaque(Cow::Owned(text.as_bytes().to_vec()))
            }
            _ => record.value.clone(),
        }
    }

    /// Writes records, which lie at or below a path, as a payload.
    ///
    /// # Errors
    /// The format cannot carry them.
    pub(super) fn encode(
        &self,
        format: ContentFormat,
        path: Path,
        records: &[Record<'static>],
        models: &dyn ObjectModels,
    ) -> Result<Vec<u8>, EncodeError> {
        let types = self.types(models);
        let mut payload = Vec::new();
        let scope = Scope::from(path);
        match codec::encode(format, scope, records, &types, &mut payload) {
            // A value of another type than the model's goes as it is: the device judges.
            Err(EncodeError::Value { .. }) => {
                codec::encode(format, scope, records, &Untyped, &mut payload)?;
            }
            result => result?,
        }
        Ok(payload)
    }

    /// Compares what the device says with what the plan has written: the first path at which the two
    /// differ. What the device does not tell is not compared.
    ///
    /// # Errors
    /// The payload cannot be read.
    pub(super) fn difference(
        &self,
        format: ContentFormat,
        path: Path,
        payload: &[u8],
        plan: &BootstrapPlan,
        models: &dyn ObjectModels,
    ) -> Result<Option<Path>, codec::DecodeError> {
        let types = self.types(models);
        let read = codec::decode(format, Scope::from(path), payload, &types)?;
        let differs = |written: &Record<'static>| {
            let at = self.placed(&written.path);
            let said = read.records.iter().find(|record| record.path == at)?;
            let same = match said.value.data_type() {
                Some(data_type) => written.value.cast(data_type).as_ref() == Ok(&said.value),
                None => false,
            };
            (!same).then_some(at)
        };
        Ok(plan.records().find_map(differs))
    }
}

/// Resources that 1.0 does not have; devices of it may refuse the whole instance for them.
fn is_younger_than_1_0(path: &Path) -> bool {
    match path.ids() {
        [SECURITY, _, resource, ..] => *resource > 12,
        [SERVER, _, resource, ..] => *resource > 8,
        _ => false,
    }
}

/// Keys and identities are mandatory in 1.0, even where there are none: they are empty then.
fn fill_mandatory(records: &mut Vec<Record<'static>>) {
    let has = |records: &[Record<'static>], path: Path| records.iter().any(|r| r.path == path);
    let instances: Vec<Path> = records
        .iter()
        .map(|record| record.path)
        .filter(|path| path.level() == PathLevel::Resource && path.ids().starts_with(&[SECURITY]))
        .filter(|path| path.resource_id() == Some(2))
        .map(|path| path.truncated(2))
        .collect();
    for instance in instances {
        for resource in [3, 4, 5] {
            if let Ok(path) = instance.child(resource)
                && !has(records, path)
            {
                records.push(Record::new(path, Vec::new()));
            }
        }
    }
}

/// The instances of the bootstrap server's own account, among those of a Bootstrap-Discover: the
/// ones without short server id.
pub(super) fn own_instances(links: &[DiscoveredLink]) -> Vec<Path> {
    let own = links.iter().filter(|link| {
        let of_account = link
            .path
            .object_id()
            .is_some_and(|id| OF_ACCOUNTS.contains(&id));
        of_account
            && link.path.level() == PathLevel::ObjectInstance
            && link.short_server_id.is_none()
    });
    own.map(|link| link.path).collect()
}

/// True for the objects that an account is made of.
pub(super) fn is_of_account(path: &Path) -> bool {
    matches!(path.object_id(), Some(SECURITY | SERVER | OSCORE))
}
