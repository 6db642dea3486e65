//! The answers to our requests: what comes of them for the caller, and for the registration.

use std::sync::Arc;

use lwm2m_coap::{Failure, IncomingResponse, RequestId};
use lwm2m_core::{Path, Request};
use tokio::sync::oneshot;

use super::downlink::Task;
use super::values::Recipient;
use super::{Now, Shard, ended};
use crate::hooks::BatchSource;
use crate::mailbox::Canceller;
use crate::management::{self, CoapAnswer, DeviceContext};
use crate::observe::Cause;
use crate::registration::Location;
use crate::transport::Peer;
use crate::{Content, ObservationId, Reason, RequestError, RequestOptions, Response};

impl Shard {
    /// A device has answered one of our requests.
    pub(super) fn on_response(&mut self, now: Now, response: IncomingResponse<'_, Peer>) {
        if self.on_bootstrap_response(now, &response) {
            return;
        }
        let asked = self.exchanges.get(&response.request);
        if asked.is_some_and(|device| !self.answers_for(*device, response.peer)) {
            // Somebody else has taken the place of the device.
            self.endpoint.cancel(response.request);
            return self.on_failure(now, response.request, Failure::PeerGone);
        }
        let Some((device, job)) = self.take_active(response.request) else {
            // Nobody waits any more, so no observation shall stand either.
            return self.endpoint.cancel(response.request);
        };
        self.contact(now, device);
        match job.task {
            Task::Operation {
                request,
                options,
                answer,
            } => {
                let outcome = self.outcome(now, device, &request, options, &response);
                self.answer_asker(now, device, &request, response.request, outcome, answer);
            }
            Task::Cancel {
                observation,
                by,
                answer,
            } => {
                let code = response.message.code();
                let outcome = match code.is_success() {
                    true => Ok(()),
                    false => Err(RequestError::Refused {
                        code,
                        diagnostic: String::from_utf8(response.body.to_vec()).ok(),
                    }),
                };
                self.end_cancel(now, device, (observation, by), answer, outcome);
            }
        }
        self.pump(now, device);
        self.arm(device);
    }

    /// One of our requests ended without an answer, or an observation without a word.
    pub(super) fn on_failure(&mut self, now: Now, request: RequestId, failure: Failure) {
        if self.on_bootstrap_failure(now, request, failure) {
            return;
        }
        let Some((device, job)) = self.take_active(request) else {
            return self.on_observation_failure(now, request, failure);
        };
        let sleeps = self.table.get_mut(device).is_some_and(|entry| {
            let sleeps = failure == Failure::NotAcknowledged && entry.binding.queue;
            if sleeps {
                // It does not hear although it should: the rest waits until it says something.
                entry.awake_until = 0;
            }
            sleeps
        });
        tracing::debug!(shard = self.id, ?failure, sleeps, "request failed");
        match job.task {
            Task::Operation { answer, .. } => {
                let _ = answer.send(Err(failure_error(failure)));
            }
            Task::Cancel {
                observation,
                by,
                answer,
            } => {
                let outcome = Err(failure_error(failure));
                self.end_cancel(now, device, (observation, by), answer, outcome);
            }
        }
        self.pump(now, device);
        self.arm(device);
    }

    /// Ends the observation that was to be cancelled. Whatever the device said, it is over on our
    /// side; a later notification is answered by a reset.
    fn end_cancel(
        &mut self,
        now: Now,
        device: Location,
        (observation, by): (ObservationId, Canceller),
        answer: Option<oneshot::Sender<Result<(), RequestError>>>,
        outcome: Result<(), RequestError>,
    ) {
        self.drop_observation(now, device, observation, by.reason());
        if let Some(answer) = answer {
            let _ = answer.send(outcome);
        }
    }

    /// Reads the answer to an operation, and acts on what it means for the registration.
    fn outcome(
        &mut self,
        now: Now,
        device: Location,
        request: &Request,
        options: RequestOptions,
        response: &IncomingResponse<'_, Peer>,
    ) -> Result<Response, RequestError> {
        let Some(entry) = self.table.get(device) else {
            return ended();
        };
        let answer = CoapAnswer {
            code: response.message.code(),
            content_format: response.message.content_format(),
            message: &response.message,
            body: &response.body,
        };
        let context = DeviceContext {
            definition: options.definition,
            ..Shard::context(&self.shared, entry)
        };
        let decoded = management::decode(request, &context, &answer);
        let is_followed = options.follower.is_some();
        if response.observing {
            self.observe(now, device, request, options, response);
        }
        let mut outcome = match decoded {
            Ok(outcome) => outcome,
            Err(error) => {
                if let RequestError::Undecodable(cause) = &error {
                    let reason = Reason::new("undecodable", cause.to_string());
                    // The observation stands: who follows it hears of the value and of the next.
                    let observation = self.observations.get(response.request);
                    let observation = observation.map(|o| o.id).filter(|_| is_followed);
                    let follower = observation.and_then(|_| self.follower(response.request));
                    let told = (reason, follower);
                    self.tell_undecodable(now, device, "response", &answer, told);
                    if observation.is_some() {
                        return Ok(Response {
                            code: answer.code,
                            content: Content::None,
                            format: None,
                            raw: bytes::Bytes::copy_from_slice(answer.body),
                            observation,
                        });
                    }
                }
                return Err(error);
            }
        };
        self.follow(device, request, &outcome);
        if response.observing {
            let observation = self.observations.get(response.request);
            outcome.observation = observation.map(|observation| observation.id);
        }
        Ok(outcome)
    }

    /// Answers who has asked: with values, when interceptors have seen them.
    fn answer_asker(
        &mut self,
        now: Now,
        device: Location,
        asked: &Request,
        request: RequestId,
        outcome: Result<Response, RequestError>,
        answer: oneshot::Sender<Result<Response, RequestError>>,
    ) {
        let (response, values) = match outcome {
            Ok(Response {
                content: Content::Values(values),
                code,
                format,
                raw,
                observation,
            }) => {
                let content = Content::None;
                let response = Response {
                    code,
                    content,
                    format,
                    raw,
                    observation,
                };
                (response, values)
            }
            other => {
                let _ = answer.send(other);
                return;
            }
        };
        // The first value of an observation is its first notification as well.
        let observed = response.observation.and_then(|_| self.observed(request));
        let source = match observed {
            Some(_) => BatchSource::Notification,
            None => BatchSource::Read,
        };
        self.counters.notifications += u64::from(observed.is_some());
        let to = Recipient::Asker {
            answer,
            response,
            observed,
        };
        self.hand_on(now, device, (source, asked_path(asked)), values, to);
    }

    /// Keeps the object list in step with what a Create or Delete did; the device may also send
    /// its new list.
    fn follow(&mut self, device: Location, request: &Request, outcome: &Response) {
        let (path, exists) = match (request, &outcome.content) {
            (Request::Create { .. }, Content::Created(path)) => (*path, true),
            (
                Request::Create {
                    object,
                    instance: Some(instance),
                    ..
                },
                _,
            ) => (Path::instance(*object, *instance), true),
            (Request::Delete { path }, _) if path.ids().len() == 2 => (*path, false),
            _ => return,
        };
        let Some(entry) = self.table.get_mut(device) else {
            return;
        };
        let place = entry.objects.paths.binary_search(&path);
        if place.is_ok() == exists {
            return;
        }
        let objects = Arc::make_mut(&mut entry.objects);
        match place {
            Ok(at) => {
                objects.paths.remove(at);
                // The object stays known without an instance.
                if let (false, Some(object)) = (objects.has_object(path.ids()[0]), path.parent()) {
                    objects.paths.insert(at, object);
                }
            }
            Err(at) => objects.paths.insert(at, path),
        }
        if let Some(entry) = self.table.get(device) {
            self.look(&entry.endpoint, Cause::Links);
        }
    }
}

/// The path that an operation asked for, `/` for composites.
fn asked_path(request: &Request) -> Path {
    match request {
        Request::Read { path, .. } | Request::Observe { path, .. } => *path,
        _ => Path::ROOT,
    }
}

fn failure_error(failure: Failure) -> RequestError {
    match failure {
        Failure::NotAcknowledged => RequestError::NotAcknowledged,
        Failure::NoResponse => RequestError::NoResponse,
        Failure::Reset => RequestError::Reset,
        Failure::PeerGone => RequestError::NotConnected,
        other => RequestError::Protocol(other.to_string()),
    }
}
