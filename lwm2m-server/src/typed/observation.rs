//! A stream of typed values.

use std::fmt;
use std::marker::PhantomData;

use futures_util::Stream;
use lwm2m_core::typed::{Readable, Typed, TypedError};
use lwm2m_core::{Attributes, Request};
use tokio::sync::broadcast::error::RecvError;

use super::Instance;
use super::instance::{by, of_values, typed};
use crate::follower::{Followed, Follower, Reported};
use crate::{CancelMode, Content, ObservationId, Reason, RequestError, RequestOptions};

/// The values of an observation, the first one included.
///
/// They wait in a queue of its own, of
/// [`observation_queue_max`](crate::Limits::observation_queue_max): when it is not read, the oldest
/// are dropped, see [`ObservationError::Lagged`]. Dropping it leaves the observation in place;
/// [`Observation::cancel`] ends it.
pub struct Observation<T: Readable> {
    instance: Instance,
    id: Option<ObservationId>,
    /// The answer of a device that gave a value and does not observe.
    only: Option<Content>,
    reports: Followed,
    end: Option<Reason>,
    resource: PhantomData<fn() -> T>,
}

/// Why a value of an observation is missing; the next one may be good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObservationError {
    /// The device reported no value of this type.
    #[error(transparent)]
    Value(#[from] TypedError),
    /// The device reported something that cannot be decoded.
    #[error("{}", .0.message)]
    Undecodable(Reason),
    /// So many reports were dropped because this stream was not read.
    #[error("{0} values were dropped because the stream was not read")]
    Lagged(u64),
}

impl<T: Readable> Observation<T> {
    pub(super) async fn start(instance: Instance) -> Result<Observation<T>, RequestError> {
        let (follower, reports) = Follower::new(instance.device().observation_queue_max());
        let request = Request::Observe {
            path: T::target(instance.id()),
            attributes: Attributes::default(),
            accept: None,
        };
        let options = RequestOptions {
            follower: Some(follower),
            ..by(T::definition())
        };
        let response = instance.device().send(request, options).await?;
        let id = response.observation;
        Ok(Observation {
            only: id.is_none().then_some(response.content),
            instance,
            id,
            reports,
            end: None,
            resource: PhantomData,
        })
    }

    /// Its name; none when the device answered with a value and does not observe.
    pub fn id(&self) -> Option<ObservationId> {
        self.id
    }

    /// Why it has ended, once [`Observation::next`] gave none; nothing when the server has stopped,
    /// or the device never observed.
    pub fn end(&self) -> Option<&Reason> {
        self.end.as_ref()
    }

    /// The next value; none when the observation has ended. What is unusual about the values is
    /// logged.
    ///
    /// # Errors
    /// See [`ObservationError`]; the call after it goes on.
    ///
    /// # Cancel safety
    /// Dropping the future loses no value.
    pub async fn next(&mut self) -> Option<Result<T::Value, ObservationError>> {
        let next = self.next_with_findings().await?;
        Some(next.map(|typed| {
            for finding in &typed.findings {
                let endpoint = self.instance.device().endpoint();
                tracing::warn!(%endpoint, %finding, "unusual value");
            }
            typed.value
        }))
    }

    /// The next value, with what is unusual about it: out of range, not decodable, not in the
    /// definition.
    ///
    /// # Errors
    /// As [`Observation::next`].
    ///
    /// # Cancel safety
    /// Dropping the future loses no value.
    pub async fn next_with_findings(
        &mut self,
    ) -> Option<Result<Typed<T::Value>, ObservationError>> {
        if let Some(content) = self.only.take() {
            let value = typed::<T>(self.instance.id(), &content);
            return Some(value.map_err(ObservationError::from));
        }
        self.id?;
        match self.reports.recv().await {
            Ok(Reported::Values(values)) => {
                let value = of_values::<T>(self.instance.id(), &values);
                Some(value.map_err(ObservationError::from))
            }
            Ok(Reported::Undecodable(reason)) => Some(Err(ObservationError::Undecodable(reason))),
            Err(RecvError::Lagged(dropped)) => Some(Err(ObservationError::Lagged(dropped))),
            Ok(Reported::Ended(reason)) => {
                self.end = Some(reason);
                self.id = None;
                None
            }
            Err(RecvError::Closed) => {
                self.id = None;
                None
            }
        }
    }

    /// The same values as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<T::Value, ObservationError>> {
        futures_util::stream::unfold(self, |mut observation| async {
            let value = observation.next().await?;
            Some((value, observation))
        })
    }

    /// Ends the observation; nothing is asked of the device when it has ended already.
    ///
    /// # Errors
    /// What comes of the request. The observation is over on our side once the device has answered
    /// or did not acknowledge.
    pub async fn cancel(self) -> Result<(), RequestError> {
        match self.id {
            None => Ok(()),
            Some(id) => match self.instance.device().cancel(id, CancelMode::Active).await {
                Err(RequestError::NoObservation) => Ok(()),
                outcome => outcome,
            },
        }
    }
}

impl<T: Readable> fmt::Debug for Observation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("endpoint", self.instance.device().endpoint())
            .field("path", &T::target(self.instance.id()))
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
