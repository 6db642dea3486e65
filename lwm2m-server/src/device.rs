//! The handle to a device.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::typed::ObjectDefinition;
use lwm2m_core::{Attributes, Path, Record, Request, WriteMode};

use crate::follower::Follower;
use crate::mailbox::{Canceller, Command};
use crate::server::Handle;
use crate::{
    EndpointName, ObservationId, ObservationInfo, ObservationTarget, RequestError, Response,
};

/// A device by its endpoint name, whether it is registered or not.
///
/// Requests to one device run one at a time, in the order in which they were asked for; those for
/// a sleeping device wait until it wakes up or their deadline passes.
///
/// With types generated from object definitions, `read`, `write`, `observe` and `execute` name the
/// resource by its type; `read_path`, `write_path` and `observe_path` take any path.
#[derive(Clone)]
pub struct Device {
    endpoint: EndpointName,
    handle: Arc<Handle>,
}

/// How a request is carried out.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestOptions {
    /// How long it may wait and run; the server's default when none.
    pub timeout: Option<Duration>,
    /// Sends the request even where the device's version or the object model says that it will
    /// be refused: a Write to a read-only resource, an operation of a later version. Requests
    /// that cannot be expressed at all are refused nevertheless.
    pub unchecked: bool,
    /// What the caller knows of the object: its values are taken by this definition where the
    /// server's models have none or another one. Typed requests set it.
    pub definition: Option<&'static ObjectDefinition>,
    /// Who hears of the observation that the request makes.
    pub(crate) follower: Option<Follower>,
    /// The observation that the request makes is one of an observe plan.
    pub(crate) planned: bool,
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
    pub(crate) fn new(endpoint: EndpointName, handle: Arc<Handle>) -> Device {
        Device { endpoint, handle }
    }

    /// The endpoint name.
    pub fn endpoint(&self) -> &EndpointName {
        &self.endpoint
    }

    /// How many reports wait for the one who follows an observation.
    pub(crate) fn observation_queue_max(&self) -> usize {
        self.handle.shared.config.limits.observation_queue_max
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
        request: Request,
        options: RequestOptions,
    ) -> Result<Response, RequestError> {
        let device = self.handle.find(&self.endpoint)?;
        let command = |answer| Command::Operation {
            device,
            request,
            options,
            answer,
        };
        self.handle.ask(device, command).await
    }

    /// Reads the values at and below a path.
    pub async fn read_path(&self, path: Path) -> Result<Response, RequestError> {
        self.send(
            Request::Read { path, accept: None },
            RequestOptions::default(),
        )
        .await
    }

    /// Writes values at or below a path.
    pub async fn write_path(
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
    pub async fn observe_path(&self, path: Path) -> Result<Response, RequestError> {
        let request = Request::Observe {
            path,
            attributes: Attributes::default(),
            accept: None,
        };
        self.send(request, RequestOptions::default()).await
    }

    /// Cancels an observation. One of an observe plan stays away for as long as the registration
    /// lasts and neither the plan nor the links of the device change.
    ///
    /// # Errors
    /// [`RequestError::NoObservation`], and for [`CancelMode::Active`] what comes of the request.
    /// Once the device has answered, or did not acknowledge, the observation is over on our side.
    pub async fn cancel(&self, id: ObservationId, mode: CancelMode) -> Result<(), RequestError> {
        let device = self.handle.find(&self.endpoint)?;
        let command = |answer| Command::Cancel {
            device,
            observation: id,
            mode,
            by: Canceller::Application,
            answer,
        };
        self.handle.ask(device, command).await
    }

    /// The observations that stand, the oldest first.
    ///
    /// # Errors
    /// [`RequestError::NotRegistered`], [`RequestError::Overloaded`].
    pub async fn observations(&self) -> Result<Vec<ObservationInfo>, RequestError> {
        let device = self.handle.find(&self.endpoint)?;
        let command = |answer| Command::Observations { device, answer };
        let observed = self.handle.ask(device, command).await?;
        Ok(observed.standing)
    }

    /// The observations of its plan that were cancelled by hand, see [`Device::cancel`].
    ///
    /// # Errors
    /// [`RequestError::NotRegistered`], [`RequestError::Overloaded`].
    pub async fn withdrawn_observations(&self) -> Result<Vec<ObservationTarget>, RequestError> {
        let device = self.handle.find(&self.endpoint)?;
        let command = |answer| Command::Observations { device, answer };
        let observed = self.handle.ask(device, command).await?;
        Ok(observed.withdrawn)
    }

    /// Drops the registration without a word to the device, whose next Update is answered 4.04.
    ///
    /// # Errors
    /// [`RequestError::NotRegistered`], [`RequestError::Overloaded`].
    pub async fn forget(&self) -> Result<(), RequestError> {
        let device = self.handle.find(&self.endpoint)?;
        let command = |answer| Command::Forget { device, answer };
        self.handle.ask(device, command).await
    }
}
