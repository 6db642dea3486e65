//! A stream of typed values.

use std::fmt;
use std::marker::PhantomData;

use futures_util::Stream;
use lwm2m_core::typed::{Readable, TypedError};
use lwm2m_core::{Attributes, Request};

use super::Instance;
use super::instance::typed;
use crate::{
    CancelMode, Content, EventKind, Events, Lagged, ObservationId, RequestError, RequestOptions,
};

/// The values of an observation, the first one included.
///
/// It follows the events of the server, and must be read as fast as they come: see
/// [`ObservationError::Lagged`]. Dropping it leaves the observation in place; [`Observation::cancel`]
/// ends it.
pub struct Observation<T: Readable> {
    instance: Instance,
    id: Option<ObservationId>,
    /// The answer of a device that gave a value and does not observe.
    only: Option<Content>,
    events: Events,
    resource: PhantomData<fn() -> T>,
}

/// Why a value of an observation is missing; the next one may be good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObservationError {
    /// The device reported no value of this type.
    #[error(transparent)]
    Value(#[from] TypedError),
    /// Events were dropped because this stream was not read; values may have been among them.
    #[error(transparent)]
    Lagged(#[from] Lagged),
}

impl<T: Readable> Observation<T> {
    pub(super) async fn start(instance: Instance) -> Result<Observation<T>, RequestError> {
        // From before the request on, so that no value comes in between.
        let events = instance.device().events();
        let request = Request::Observe {
            path: T::target(instance.id()),
            attributes: Attributes::default(),
            accept: None,
        };
        let options = RequestOptions::default();
        let response = instance.device().send(request, options).await?;
        let id = response.observation;
        Ok(Observation {
            only: id.is_none().then_some(response.content),
            instance,
            id,
            events,
            resource: PhantomData,
        })
    }

    /// Its name; none when the device answered with a value and does not observe.
    pub fn id(&self) -> Option<ObservationId> {
        self.id
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
        let Some(own) = self.id else {
            let content = self.only.take()?;
            return Some(self.value(&content));
        };
        loop {
            let event = match self.events.next().await? {
                Ok(event) => event,
                Err(lagged) => return Some(Err(lagged.into())),
            };
            match &event.kind {
                EventKind::Notification { id, values, .. } if *id == own => {
                    let content = Content::Values(values.as_ref().clone());
                    return Some(self.value(&content));
                }
                EventKind::ObservationEnded { id, .. } if *id == own => {
                    self.id = None;
                    return None;
                }
                _ => {}
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

    fn value(&self, content: &Content) -> Result<T::Value, ObservationError> {
        let typed = typed::<T>(self.instance.id(), content)?;
        for finding in &typed.findings {
            let endpoint = self.instance.device().endpoint();
            tracing::warn!(%endpoint, %finding, "unusual value");
        }
        Ok(typed.value)
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
