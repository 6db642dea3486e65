//! Records to TLV.

use super::FORMAT;
use super::header::{self, CONTENT_MAX, Kind, item_len};
use super::value;
use crate::codec::sink::first_duplicate;
use crate::codec::{EncodeError, Scope, source};
use crate::{Path, PathLevel, Record, ResourceTypes, Value};

/// Writes records by ascending path, with the shortest identifiers and lengths.
///
/// For an object, resources stand in their object instance, except those of instance 65535 (a
/// Create that leaves the instance to the device). No records for a multiple resource is the
/// resource without instances.
pub(in crate::codec) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    source::check(scope, records)?;
    source::check_timeless(FORMAT, records)?;
    let leaves = leaves(records, types)?;
    check_lengths(&leaves, scope.path.level())?;
    match scope.path.level() {
        PathLevel::Root => return Err(EncodeError::Format(FORMAT)),
        PathLevel::Object => write_instances(&leaves, out)?,
        PathLevel::ResourceInstance => {
            for leaf in &leaves {
                leaf.write(Kind::ResourceInstance, out);
            }
        }
        PathLevel::Resource if leaves.is_empty() => {
            if let Some(resource) = empty_multiple(&scope.path, types) {
                header::write(Kind::MultipleResource, resource, 0, out);
            }
        }
        PathLevel::ObjectInstance | PathLevel::Resource => write_resources(&leaves, out),
    }
    Ok(())
}

/// A value with its path, in the model's type.
struct Leaf<'r> {
    path: Path,
    value: Value<'r>,
    length: usize,
}

impl Leaf<'_> {
    fn write(&self, kind: Kind, out: &mut Vec<u8>) {
        header::write(kind, last_id(&self.path), self.length, out);
        if let Some(bytes) = value::bytes(&self.value) {
            out.extend_from_slice(bytes.as_slice());
        }
    }

    fn item_len(&self) -> usize {
        item_len(last_id(&self.path), self.length)
    }
}

fn leaves<'r>(
    records: &'r [Record<'_>],
    types: &dyn ResourceTypes,
) -> Result<Vec<Leaf<'r>>, EncodeError> {
    let mut leaves = Vec::with_capacity(records.len());
    for record in records {
        let path = record.path;
        let value = source::typed(record, types)?;
        let length = value::bytes(&value)
            .map(|bytes| bytes.as_slice().len())
            .ok_or(EncodeError::Unsupported {
                format: FORMAT,
                path,
            })?;
        if length > CONTENT_MAX {
            return Err(too_long(path));
        }
        leaves.push(Leaf {
            path,
            value,
            length,
        });
    }
    leaves.sort_by_key(|leaf| leaf.path);
    if let Some(path) = first_duplicate(leaves.iter().map(|leaf| leaf.path)) {
        return Err(EncodeError::Duplicate { path });
    }
    Ok(leaves)
}

/// Refuses containers that are longer than a length field can say: multiple resources, and object
/// instances where the request is for the object.
fn check_lengths(leaves: &[Leaf<'_>], level: PathLevel) -> Result<(), EncodeError> {
    for resource in leaves.chunk_by(|a, b| a.path.truncated(3) == b.path.truncated(3)) {
        let wrapped = level != PathLevel::ResourceInstance
            && resource[0].path.level() == PathLevel::ResourceInstance;
        if wrapped && content_len(resource) > CONTENT_MAX {
            return Err(too_long(resource[0].path.truncated(3)));
        }
    }
    if level != PathLevel::Object {
        return Ok(());
    }
    for instance in leaves.chunk_by(|a, b| a.path.truncated(2) == b.path.truncated(2)) {
        let path = instance[0].path.truncated(2);
        if path.instance_id() != Some(u16::MAX) && resources_len(instance) > CONTENT_MAX {
            return Err(too_long(path));
        }
    }
    Ok(())
}

fn write_instances(leaves: &[Leaf<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    for instance in leaves.chunk_by(|a, b| a.path.truncated(2) == b.path.truncated(2)) {
        let path = instance[0].path.truncated(2);
        match path.instance_id() {
            Some(u16::MAX) if instance.len() < leaves.len() => {
                return Err(EncodeError::Format(FORMAT));
            }
            Some(u16::MAX) => {}
            _ => {
                let length = resources_len(instance);
                header::write(Kind::ObjectInstance, last_id(&path), length, out);
            }
        }
        write_resources(instance, out);
    }
    Ok(())
}

fn write_resources(leaves: &[Leaf<'_>], out: &mut Vec<u8>) {
    for resource in leaves.chunk_by(|a, b| a.path.truncated(3) == b.path.truncated(3)) {
        match resource {
            [leaf] if leaf.path.level() == PathLevel::Resource => {
                leaf.write(Kind::Resource, out);
            }
            instances => {
                let id = last_id(&instances[0].path.truncated(3));
                header::write(Kind::MultipleResource, id, content_len(instances), out);
                for instance in instances {
                    instance.write(Kind::ResourceInstance, out);
                }
            }
        }
    }
}

/// How long the items of these resources are.
fn resources_len(leaves: &[Leaf<'_>]) -> usize {
    leaves
        .chunk_by(|a, b| a.path.truncated(3) == b.path.truncated(3))
        .map(|resource| match resource {
            [leaf] if leaf.path.level() == PathLevel::Resource => leaf.item_len(),
            instances => {
                let id = last_id(&instances[0].path.truncated(3));
                item_len(id, content_len(instances))
            }
        })
        .sum()
}

/// How long the items of these values are, side by side.
fn content_len(leaves: &[Leaf<'_>]) -> usize {
    leaves.iter().map(Leaf::item_len).sum()
}

fn empty_multiple(path: &Path, types: &dyn ResourceTypes) -> Option<u16> {
    let (object, resource) = (path.object_id()?, path.resource_id()?);
    types
        .resource_type(object, resource)
        .filter(|known| known.multiple)
        .map(|_| resource)
}

fn last_id(path: &Path) -> u16 {
    path.ids().last().copied().unwrap_or_default()
}

fn too_long(path: Path) -> EncodeError {
    EncodeError::TooLong {
        format: FORMAT,
        path,
    }
}
