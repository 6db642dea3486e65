//! What a device will refuse for its version or its object models, found before it is asked.

use std::fmt;

use lwm2m_core::codec::EncodeError;
use lwm2m_core::{
    AttributeError, Attributes, ContentFormat, Path, PathLevel, Record, Request, ResourceModel,
    Value, Version, WriteMode,
};

use super::DeviceContext;
use super::formats;
use super::types::Types;
use crate::RequestError;

/// Refuses what the device's version does not have, or its object models rule out. Skipped for
/// [`RequestOptions::unchecked`](crate::RequestOptions).
///
/// Objects and resources without a model pass.
///
/// # Errors
/// [`RequestError::NotInVersion`], [`RequestError::AgainstModel`], and
/// [`RequestError::Unencodable`] for a value of the wrong type.
pub(crate) fn check(request: &Request, device: &DeviceContext<'_>) -> Result<(), RequestError> {
    version(request, device.version)?;
    let checker = Checker {
        device,
        types: Types::new(device),
    };
    checker.closed(request)?;
    checker.model(request)?;
    checker.attributes(request)?;
    checker.accept(request)
}

/// Refuses what came with a later version than the device's.
fn version(request: &Request, version: Version) -> Result<(), RequestError> {
    let operation = match request {
        Request::ReadComposite { .. } => Some((Version::V1_1, "Read-Composite")),
        Request::WriteComposite { .. } => Some((Version::V1_1, "Write-Composite")),
        Request::ObserveComposite { .. } => Some((Version::V1_1, "Observe-Composite")),
        Request::Write {
            path,
            mode: WriteMode::Update,
            ..
        } if path.level() == PathLevel::Resource => {
            Some((Version::V1_2, "partial update of a resource"))
        }
        _ => None,
    };
    let place = match request {
        Request::Read { path, .. }
        | Request::Write { path, .. }
        | Request::WriteAttributes { path, .. }
        | Request::Observe { path, .. }
            if path.level() == PathLevel::ResourceInstance =>
        {
            Some((Version::V1_1, "path to a resource instance"))
        }
        Request::Delete { path } if path.level() == PathLevel::ResourceInstance => {
            Some((Version::V1_2, "Delete of a resource instance"))
        }
        _ => None,
    };
    let parameter = match request {
        Request::Discover { depth: Some(_), .. } => Some((Version::V1_2, "depth of a Discover")),
        Request::Observe { attributes, .. } | Request::ObserveComposite { attributes, .. }
            if !attributes.is_empty() =>
        {
            Some((Version::V1_2, "attributes in an Observe"))
        }
        Request::WriteComposite { records, .. }
            if records.iter().any(|record| record.value == Value::Null) =>
        {
            Some((Version::V1_2, "removal by null in a Write-Composite"))
        }
        _ => None,
    };
    let mut needs = [operation, place, parameter].into_iter().flatten();
    match needs.find(|(since, _)| version < *since) {
        Some((_, operation)) => Err(RequestError::NotInVersion { version, operation }),
        None => Ok(()),
    }
}

struct Checker<'d> {
    device: &'d DeviceContext<'d>,
    types: Types<'d>,
}

impl Checker<'_> {
    /// Security, OSCORE and COSE objects are for the bootstrap server only.
    fn closed(&self, request: &Request) -> Result<(), RequestError> {
        let target = match request {
            Request::Read { path, .. }
            | Request::Discover { path, .. }
            | Request::Write { path, .. }
            | Request::WriteAttributes { path, .. }
            | Request::Execute { path, .. }
            | Request::Delete { path }
            | Request::Observe { path, .. } => path.object_id(),
            Request::Create { object, .. } => Some(*object),
            Request::WriteComposite { records, .. } => records
                .iter()
                .filter_map(|record| record.path.object_id())
                .find(|object| is_closed(*object)),
            _ => None,
        };
        match target {
            Some(object) if is_closed(object) => Err(refuse(format_args!(
                "object {object} is closed to servers, only a bootstrap server reaches it"
            ))),
            _ => Ok(()),
        }
    }

    fn model(&self, request: &Request) -> Result<(), RequestError> {
        match request {
            Request::Read { path, .. } | Request::Observe { path, .. } => self.readable(path),
            Request::Write { records, .. } | Request::WriteComposite { records, .. } => records
                .iter()
                .try_for_each(|record| self.writable(&record.path).and(self.value(record))),
            // A Create may give read-only resources their first value.
            Request::Create {
                object,
                instance,
                records,
                ..
            } => {
                self.creatable(*object, *instance)?;
                records.iter().try_for_each(|record| self.value(record))
            }
            Request::Execute { path, .. } => self.executable(path),
            Request::Delete { path } => self.deletable(path),
            Request::WriteAttributes { path, .. } => self.instance_of_multiple(path),
            _ => Ok(()),
        }
    }

    fn readable(&self, path: &Path) -> Result<(), RequestError> {
        self.instance_of_multiple(path)?;
        self.resource(path, |model| match model.operations {
            operations if operations.read => Ok(()),
            operations if operations.execute => Err("can only be executed"),
            operations if operations.write => Err("can only be written"),
            _ => Err("is for the bootstrap server only"),
        })
    }

    fn writable(&self, path: &Path) -> Result<(), RequestError> {
        self.resource(path, |model| match model.operations {
            operations if operations.write => Ok(()),
            operations if operations.execute => Err("can only be executed"),
            operations if operations.read => Err("is read-only"),
            _ => Err("is for the bootstrap server only"),
        })
    }

    fn executable(&self, path: &Path) -> Result<(), RequestError> {
        self.resource(path, |model| match model.operations.execute {
            true => Ok(()),
            false => Err("cannot be executed"),
        })
    }

    fn creatable(&self, object: u16, instance: Option<u16>) -> Result<(), RequestError> {
        let model = self.device.object_model(object);
        if model.is_none_or(|model| model.multiple) {
            return Ok(());
        }
        let taken = self.device.objects.instances(object).next().is_some();
        if taken || instance.is_some_and(|instance| instance != 0) {
            return Err(refuse(format_args!(
                "object {object} has one instance only, 0"
            )));
        }
        Ok(())
    }

    fn deletable(&self, path: &Path) -> Result<(), RequestError> {
        self.instance_of_multiple(path)?;
        let Some(object) = path.object_id() else {
            return Ok(());
        };
        let model = self.device.object_model(object);
        match model {
            Some(model)
                if path.level() == PathLevel::ObjectInstance
                    && model.mandatory
                    && !model.multiple =>
            {
                Err(refuse(format_args!(
                    "{path} is an instance that every device has, it cannot be deleted"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The type of a value, and whether it stands at a resource or at an instance of it.
    fn value(&self, record: &Record<'_>) -> Result<(), RequestError> {
        self.instance_of_multiple(&record.path)?;
        let Some(known) = self.types.of(&record.path) else {
            return Ok(());
        };
        if known.multiple && record.path.level() == PathLevel::Resource {
            return Err(refuse(format_args!(
                "{path} has instances: write {path}/0, for example",
                path = record.path
            )));
        }
        match record.value.cast(known.data_type) {
            Ok(_) => Ok(()),
            Err(error) => Err(RequestError::Unencodable(EncodeError::Value {
                path: record.path,
                error,
            })),
        }
    }

    /// A path to a resource instance needs a resource that has instances (Core 1.2.2 §7.3).
    fn instance_of_multiple(&self, path: &Path) -> Result<(), RequestError> {
        if path.level() != PathLevel::ResourceInstance {
            return Ok(());
        }
        self.resource(path, |model| match model.multiple {
            true => Ok(()),
            false => Err("has no instances"),
        })
    }

    fn attributes(&self, request: &Request) -> Result<(), RequestError> {
        let (attributes, level, data_type) = match request {
            Request::WriteAttributes { path, attributes }
            | Request::Observe {
                path, attributes, ..
            } => {
                let data_type = self.types.of(path).map(|known| known.data_type);
                (attributes, path.level(), data_type)
            }
            Request::ObserveComposite { attributes, .. } => {
                of_composite(attributes)?;
                (attributes, PathLevel::Object, None)
            }
            _ => return Ok(()),
        };
        attributes
            .validate(self.device.version, level, data_type)
            .map_err(|error| refuse_attributes(&error))
    }

    /// An Accept that no answer to this request could have.
    fn accept(&self, request: &Request) -> Result<(), RequestError> {
        let accept: Option<ContentFormat> = match request {
            Request::Read { accept, .. }
            | Request::Observe { accept, .. }
            | Request::ReadComposite { accept, .. }
            | Request::ObserveComposite { accept, .. } => *accept,
            _ => None,
        };
        match accept {
            Some(format) if !formats::may_answer(request, &self.types, format) => Err(
                RequestError::Invalid(format!("{format} cannot carry the answer to this request")),
            ),
            _ => Ok(()),
        }
    }

    /// Holds a known resource against a rule; the error says how its name goes on.
    fn resource(
        &self,
        path: &Path,
        rule: impl FnOnce(&ResourceModel) -> Result<(), &'static str>,
    ) -> Result<(), RequestError> {
        let [object, _, resource, ..] = *path.ids() else {
            return Ok(());
        };
        let refusal = self.types.with_resource(object, resource, |model| {
            rule(model)
                .map_err(|fact| refuse(format_args!("{path} ({name}) {fact}", name = model.name)))
        });
        refusal.unwrap_or(Ok(()))
    }
}

/// True for the objects that hold credentials: servers neither see nor touch them.
pub(super) fn is_closed(object: u16) -> bool {
    matches!(object, 0 | 21 | 23)
}

/// Only what makes sense for several paths at once may come with an Observe-Composite.
fn of_composite(attributes: &Attributes) -> Result<(), RequestError> {
    let only_single = [
        ("gt", attributes.gt.is_some()),
        ("lt", attributes.lt.is_some()),
        ("st", attributes.st.is_some()),
        ("edge", attributes.edge.is_some()),
        ("hqmax", attributes.hqmax.is_some()),
    ];
    match only_single.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(RequestError::Invalid(format!(
            "an Observe-Composite takes pmin, pmax, epmin, epmax and con, not {name}"
        ))),
        None => Ok(()),
    }
}

fn refuse(fact: fmt::Arguments<'_>) -> RequestError {
    RequestError::AgainstModel(fact.to_string())
}

fn refuse_attributes(error: &AttributeError) -> RequestError {
    RequestError::Invalid(error.to_string())
}

#[cfg(test)]
mod tests;
