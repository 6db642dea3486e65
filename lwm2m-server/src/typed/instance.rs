//! An object instance of a device.

use lwm2m_core::codec::Decoded;
use lwm2m_core::typed::{
    Executable, Finding, ObjectDefinition, Readable, Typed, TypedError, TypedObject, Writable,
};
use lwm2m_core::{ExecuteArguments, Request, WriteMode};

use super::{Observation, TypedRequestError};
use crate::{Content, Device, RequestError, RequestOptions};

/// An instance of any object of a device.
#[derive(Clone)]
pub struct Instance {
    device: Device,
    id: u16,
}

impl Instance {
    pub(super) fn new(device: Device, id: u16) -> Instance {
        Instance { device, id }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The instance id.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Reads a resource, or the whole instance. What is unusual about the values is logged.
    ///
    /// # Errors
    /// The request failed, or the answer has no value of this type.
    pub async fn read<T: Readable>(&self) -> Result<T::Value, TypedRequestError> {
        let typed = self.read_with_findings::<T>().await?;
        for finding in &typed.findings {
            tracing::warn!(endpoint = %self.device.endpoint(), %finding, "unusual value");
        }
        Ok(typed.value)
    }

    /// Reads, and says what is unusual about the values: out of range, not in the definition.
    ///
    /// # Errors
    /// As [`Instance::read`].
    pub async fn read_with_findings<T: Readable>(
        &self,
    ) -> Result<Typed<T::Value>, TypedRequestError> {
        let request = Request::Read {
            path: T::target(self.id),
            accept: None,
        };
        let response = self.device.send(request, by(T::definition())).await?;
        Ok(typed::<T>(self.id, &response.content)?)
    }

    /// Writes a resource, or the writable resources of the instance. What is there and not named
    /// is removed or reset.
    ///
    /// # Errors
    /// The value is out of range, or the request failed.
    pub async fn write<T: Writable>(&self, value: T::Value) -> Result<(), TypedRequestError> {
        self.write_as::<T>(value, WriteMode::Replace).await
    }

    /// Writes what is named and leaves the rest: resources of an instance, or instances of a
    /// resource.
    ///
    /// # Errors
    /// The value is out of range, or the request failed.
    pub async fn update<T: Writable>(&self, value: T::Value) -> Result<(), TypedRequestError> {
        self.write_as::<T>(value, WriteMode::Update).await
    }

    /// Executes a resource without arguments.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn execute<T: Executable>(&self) -> Result<(), RequestError> {
        self.execute_with::<T>(ExecuteArguments::default()).await
    }

    /// Executes a resource.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn execute_with<T: Executable>(
        &self,
        arguments: ExecuteArguments,
    ) -> Result<(), RequestError> {
        let path = T::path(self.id);
        let request = Request::Execute { path, arguments };
        let options = by(T::Object::DEFINITION);
        self.device.send(request, options).await?;
        Ok(())
    }

    /// Observes a resource, or the whole instance.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn observe<T: Readable>(&self) -> Result<Observation<T>, RequestError> {
        Observation::start(self.clone()).await
    }

    async fn write_as<T: Writable>(
        &self,
        value: T::Value,
        mode: WriteMode,
    ) -> Result<(), TypedRequestError> {
        let path = T::target(self.id);
        let request = Request::Write {
            path,
            mode,
            records: T::write_records(self.id, value)?,
            format: None,
        };
        self.device.send(request, by(T::definition())).await?;
        Ok(())
    }
}

/// Requests about an object go by the definition that its type carries, whatever the models of the
/// server say.
pub(super) fn by(definition: &'static ObjectDefinition) -> RequestOptions {
    RequestOptions {
        definition: Some(definition),
        ..RequestOptions::default()
    }
}

/// The typed value of an answer.
pub(super) fn typed<T: Readable>(
    instance: u16,
    content: &Content,
) -> Result<Typed<T::Value>, TypedError> {
    match content {
        Content::Values(decoded) => of_values::<T>(instance, decoded),
        _ => Err(TypedError::Absent {
            path: T::target(instance),
        }),
    }
}

/// The typed value of decoded values; what could not be decoded is a finding.
pub(super) fn of_values<T: Readable>(
    instance: u16,
    decoded: &Decoded<'_>,
) -> Result<Typed<T::Value>, TypedError> {
    let target = T::target(instance);
    let mut faults = decoded
        .faults
        .iter()
        .filter(|fault| target.contains(&fault.path));
    match T::read_records(instance, &decoded.records) {
        Ok(mut typed) => {
            typed.findings.extend(faults.map(|fault| Finding::Value {
                path: fault.path,
                error: fault.error,
            }));
            Ok(typed)
        }
        // A value that could not be decoded says more than that there is none.
        Err(TypedError::Absent { path }) => Err(match faults.next() {
            Some(fault) => TypedError::Value {
                path: fault.path,
                error: fault.error,
            },
            None => TypedError::Absent { path },
        }),
        Err(error) => Err(error),
    }
}
