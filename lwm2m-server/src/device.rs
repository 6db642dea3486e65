//! The handle to a device.

use std::time::Duration;

use lwm2m_core::{Attributes, Path, Record, Request, WriteMode};

use crate::{EndpointName, ObservationId, ObservationInfo, RequestError, Response};

/// A device by its endpoint name, whether it is registered or not.
///
/// Requests to one device run one at a time, in the order in which they were asked for; those for
/// a sleeping device wait until it wakes up or their deadline passes.
#[derive(Clone)]
pub struct Device {
    endpoint: EndpointName,
}

/// How a request is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestOptions {
    /// How long it may wait and run; the server's default when none.
    pub timeout: Option<Duration>,
    /// Sends the request even where the device's version or the object model says that it will
    /// be refused: a Write to a read-only resource, an operation of a later version. Requests
    /// that cannot be expressed at all are refused nevertheless.
    pub unchecked: bool,
}

/// How an observation is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CancelMode {
    /// A request with Observe 1.
    #[default]
    Active,
    /// A reset as the answer to its next notification.
    Passive,
}

impl Device {
    /// The endpoint name.
    pub fn endpoint(&self) -> &EndpointName {
        &self.endpoint
    }

    /// Carries out any operation; the methods below are shorthands.
    ///
    /// # Errors
    /// See [`RequestError`].
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the request when it still waits; one on its way goes on, and
    /// its answer is dropped.
    pub async fn send(
        &self,
        _request: Request,
        _options: RequestOptions,
    ) -> Result<Response, RequestError> {
        todo!()
    }

    /// Reads the values at and below a path.
    pub async fn read(&self, path: Path) -> Result<Response, RequestError> {
        self.send(
            Request::Read { path, accept: None },
            RequestOptions::default(),
        )
        .await
    }

    /// Writes values at or below a path.
    pub async fn write(
        &self,
        path: Path,
        mode: WriteMode,
        records: Vec<Record<'static>>,
    ) -> Result<Response, RequestError> {
        let request = Request::Write {
            path,
            mode,
            records,
            format: None,
        };
        self.send(request, RequestOptions::default()).await
    }

    /// Observes a path. Values come as [`EventKind::Notification`](crate::EventKind), the first
    /// one also as the response.
    pub async fn observe(&self, path: Path) -> Result<Response, RequestError> {
        let request = Request::Observe {
            path,
            attributes: Attributes::default(),
            accept: None,
        };
        self.send(request, RequestOptions::default()).await
    }

    /// Cancels an observation.
    pub async fn cancel(&self, _id: ObservationId, _mode: CancelMode) -> Result<(), RequestError> {
        todo!()
    }

    /// The observations that stand.
    pub async fn observations(&self) -> Result<Vec<ObservationInfo>, RequestError> {
        todo!()
    }
}
