//! TLV to records.

use super::FORMAT;
use super::header::{Item, Items, Kind};
use super::value;
use crate::codec::sink::Sink;
use crate::codec::{DecodeError, Decoded, Scope};
use crate::{Path, PathLevel, ResourceTypes};

/// Reads items; the path of the request says where they belong.
///
/// - Object: object instances. Bare resources are a Create that leaves the instance to the device;
///   their instance is 65535.
/// - Object instance: resources, with the object instance around them or without.
/// - Resource: the resource, or the bare instances of a multiple one.
/// - Resource instance: the instance, also in the guise of its resource.
///
/// A resource that the model does not know keeps its bytes, borrowed.
pub(in crate::codec) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    if scope.path.is_root() {
        return Err(DecodeError::Target {
            format: FORMAT,
            path: scope.path,
        });
    }
    let mut reader = Reader {
        scope: scope.path,
        sink: Sink::new(FORMAT, scope, types),
    };
    let mut wrapped = None;
    for item in Items::new(payload, 0) {
        let item = item?;
        let is_wrapped = item.kind == Kind::ObjectInstance;
        if wrapped.replace(is_wrapped) == Some(!is_wrapped) {
            return Err(misplaced(&item, "object instances and resources are mixed"));
        }
        reader.top(item)?;
    }
    reader.sink.finish_unique()
}

struct Reader<'a, 't> {
    scope: Path,
    sink: Sink<'a, 't>,
}

impl<'a> Reader<'a, '_> {
    fn top(&mut self, item: Item<'a>) -> Result<(), DecodeError> {
        let instance = match self.scope.instance_id() {
            Some(_) => self.scope.truncated(2),
            None => child(&self.scope, u16::MAX)?,
        };
        match item.kind {
            Kind::ObjectInstance => {
                let instance = child(&self.scope.truncated(1), item.id)?;
                if !self.scope.contains(&instance) && !instance.contains(&self.scope) {
                    return Err(DecodeError::OutsideScope {
                        path: instance,
                        scope: self.scope,
                    });
                }
                for inner in Items::new(item.content, item.content_at) {
                    let inner = inner?;
                    match inner.kind {
                        Kind::Resource | Kind::MultipleResource => {
                            self.resource(&instance, inner)?;
                        }
                        _ => {
                            return Err(misplaced(
                                &inner,
                                "an object instance holds resources only",
                            ));
                        }
                    }
                }
                Ok(())
            }
            Kind::Resource | Kind::MultipleResource => self.resource(&instance, item),
            Kind::ResourceInstance if self.scope.resource_id().is_some() => {
                self.value(child(&self.scope.truncated(3), item.id)?, item)
            }
            Kind::ResourceInstance => Err(misplaced(
                &item,
                "a resource instance stands outside its resource",
            )),
        }
    }

    fn resource(&mut self, instance: &Path, item: Item<'a>) -> Result<(), DecodeError> {
        let resource = child(instance, item.id)?;
        if item.kind == Kind::MultipleResource {
            for inner in Items::new(item.content, item.content_at) {
                let inner = inner?;
                if inner.kind != Kind::ResourceInstance {
                    return Err(misplaced(
                        &inner,
                        "a multiple resource holds resource instances only",
                    ));
                }
                self.value(child(&resource, inner.id)?, inner)?;
            }
            return Ok(());
        }
        // Some devices answer the read of a resource instance with its resource.
        let instance_asked = self.scope.level() == PathLevel::ResourceInstance;
        if instance_asked && resource.contains(&self.scope) {
            return self.value(self.scope, item);
        }
        self.value(resource, item)
    }

    fn value(&mut self, path: Path, item: Item<'a>) -> Result<(), DecodeError> {
        let value = value::read(self.sink.data_type(&path), item.content);
        self.sink.push_value(path, None, value, item.content)
    }
}

fn child(path: &Path, id: u16) -> Result<Path, DecodeError> {
    path.child(id).map_err(|error| DecodeError::Path {
        format: FORMAT,
        at: 0,
        error,
    })
}

fn misplaced(item: &Item<'_>, reason: &'static str) -> DecodeError {
    DecodeError::Malformed {
        format: FORMAT,
        at: item.at,
        reason,
    }
}
