//! *device*: requests to devices.

use std::time::Instant;

use lwm2m_core::{Attributes, ExecuteArguments, Path, Record, Request, Value, WriteMode};
use lwm2m_server::{Content, RequestError, RequestOptions};

use crate::context::CallContext;
use crate::fixture::DeviceAnswer;
use crate::hook::facts;
use crate::{DeviceOperation, PathPattern, Permission};

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error(
        "the plugin has no permission: device:{operation}:{path}; its manifest asks for it, or for \
         a pattern as device:{operation}:/3/**",
        operation = .0.name(), path = .1
    )]
    PermissionDenied(DeviceOperation, Path),
    #[error(
        "this hook answers a device that waits: ask devices in on_registered, on_updated, on_gone"
    )]
    NotAllowedHere,
    #[error("the device is not registered")]
    NotRegistered,
    #[error("the device did not answer in time")]
    Timeout,
    /// As class * 100 + detail.
    #[error("the device answered {0}")]
    Response(u16),
    #[error("{0}")]
    Transport(String),
}

impl CallContext {
    /// Reads paths: one by a Read, several by a Read-Composite where the device has it, else one
    /// after another.
    pub(crate) async fn device_read(
        &self,
        endpoint: &str,
        paths: &[Path],
    ) -> Result<Vec<Record<'static>>, DeviceError> {
        self.may_ask(DeviceOperation::Read, paths)?;
        let mut records = Vec::new();
        for path in paths {
            let request = Request::Read {
                path: *path,
                accept: None,
            };
            records.extend(self.request(endpoint, request).await?.records);
        }
        Ok(records)
    }

    /// Writes single resources, one after another.
    pub(crate) async fn device_write(
        &self,
        endpoint: &str,
        values: Vec<(Path, Value<'static>)>,
    ) -> Result<(), DeviceError> {
        let paths: Vec<Path> = values.iter().map(|(path, _)| *path).collect();
        self.may_ask(DeviceOperation::Write, &paths)?;
        for (path, value) in values {
            let request = Request::Write {
                path,
                mode: WriteMode::Replace,
                records: vec![Record::new(path, value)],
                format: None,
            };
            self.request(endpoint, request).await?;
        }
        Ok(())
    }

    /// Executes a resource.
    pub(crate) async fn device_execute(
        &self,
        endpoint: &str,
        path: Path,
        arguments: Option<String>,
    ) -> Result<(), DeviceError> {
        let paths = std::slice::from_ref(&path);
        self.may_ask(DeviceOperation::Execute, paths)?;
        let arguments = ExecuteArguments::parse(&arguments.unwrap_or_default());
        let arguments = arguments.map_err(|error| DeviceError::Transport(error.to_string()))?;
        let request = Request::Execute { path, arguments };
        self.request(endpoint, request).await.map(|_| ())
    }

    /// Writes attributes.
    pub(crate) async fn device_write_attributes(
        &self,
        endpoint: &str,
        path: Path,
        attributes: Attributes,
    ) -> Result<(), DeviceError> {
        let paths = std::slice::from_ref(&path);
        self.may_ask(DeviceOperation::WriteAttributes, paths)?;
        let request = Request::WriteAttributes { path, attributes };
        self.request(endpoint, request).await.map(|_| ())
    }

    /// Discovers; the answer as link format.
    pub(crate) async fn device_discover(
        &self,
        endpoint: &str,
        path: Path,
    ) -> Result<String, DeviceError> {
        let paths = std::slice::from_ref(&path);
        self.may_ask(DeviceOperation::Discover, paths)?;
        let request = Request::Discover { path, depth: None };
        Ok(self.request(endpoint, request).await?.text)
    }

    /// Whether the plugin may do this with all of these paths, here.
    fn may_ask(&self, operation: DeviceOperation, paths: &[Path]) -> Result<(), DeviceError> {
        for path in paths {
            let wanted = Permission::Device(operation, PathPattern::exactly(path));
            if !self.may(&wanted) {
                return Err(DeviceError::PermissionDenied(operation, *path));
            }
        }
        if !self.hook.is_some_and(|hook| facts(hook).talks) {
            return Err(DeviceError::NotAllowedHere);
        }
        Ok(())
    }

    async fn request(&self, endpoint: &str, request: Request) -> Result<DeviceAnswer, DeviceError> {
        if let Some(stage) = &self.services().stage {
            return stage.device(endpoint, &request);
        }
        self.leave_in_passing().await;
        let server = self.services().server().ok_or(DeviceError::NotRegistered)?;
        let mut options = RequestOptions::default();
        options.timeout = Some(self.deadline.saturating_duration_since(Instant::now()));
        let device = server.device(endpoint);
        let response = device.send(request, options).await.map_err(failed)?;
        Ok(DeviceAnswer {
            text: String::from_utf8_lossy(&response.raw).into_owned(),
            records: match response.content {
                Content::Values(values) => values.records,
                _ => Vec::new(),
            },
        })
    }
}

fn failed(error: RequestError) -> DeviceError {
    match error {
        RequestError::Refused { code, .. } => {
            DeviceError::Response(u16::from(code.class()) * 100 + u16::from(code.detail()))
        }
        RequestError::NotRegistered | RequestError::RegistrationEnded => DeviceError::NotRegistered,
        RequestError::NotAcknowledged | RequestError::NoResponse | RequestError::Deadline => {
            DeviceError::Timeout
        }
        error => DeviceError::Transport(error.to_string()),
    }
}
