//! Values on their way out: interceptors in their order, then events, followers, and who asked.
//!
//! ```text
//! on_notification | on_send | on_response ─> hand_on ─> transform ─┬─> finish ─> give_out
//!                                               │           ^      └─> wait ─> question ─> loop ─┐
//!                                               └─> line    └─── transformed <─ Transformed <────┘
//! ```
//!
//! The device has its acknowledgement by then. While an interceptor thinks about values of a device,
//! those that come after them line up behind, and so do what cannot be decoded and the end of an
//! observation.

use std::sync::Arc;

use lwm2m_coap::RequestId;
use lwm2m_core::Path;
use lwm2m_core::codec::Decoded;
use tokio::sync::oneshot;

use super::lines::Ticket;
use super::observations::{Observation, Origin};
use super::questions::{Later, Question};
use super::{Now, Shard, ended, hook};
use crate::event::EventKind;
use crate::follower::{Follower, Reported};
use crate::hooks::{self, Answer, Batch, BatchSource, Hook, Outcome};
use crate::management::CoapAnswer;
use crate::registration::Location;
use crate::{Content, EndpointName, ObservationId, Reason, RequestError, Response};

/// What waits in the line of a device.
#[derive(Debug)]
pub(super) enum Item {
    Values(Box<Delivery>),
    Broken(Box<Broken>),
    End(Box<End>),
}

/// Values that are on their way.
#[derive(Debug)]
pub(super) struct Delivery {
    batch: Arc<Batch>,
    /// What else was decoded; its records are those of the batch.
    rest: Decoded<'static>,
    to: Recipient,
    /// The interceptor to ask next.
    next: usize,
}

/// Whom values are for.
#[derive(Debug)]
pub(super) enum Recipient {
    /// Whoever hears of an observation.
    Notification(Observed),
    /// Whoever hears of a Send.
    Send,
    /// Who has asked; and whoever hears of the observation that this is the first value of.
    Asker {
        answer: oneshot::Sender<Result<Response, RequestError>>,
        response: Response,
        observed: Option<Observed>,
    },
}

/// An observation that has a value.
#[derive(Debug)]
pub(super) struct Observed {
    id: ObservationId,
    origin: Arc<Origin>,
    follower: Option<Follower>,
}

/// What could not be decoded.
#[derive(Debug)]
pub(super) struct Broken {
    endpoint: EndpointName,
    operation: &'static str,
    format: Option<u16>,
    payload: bytes::Bytes,
    reason: Reason,
    /// Who follows the observation that it belongs to.
    follower: Option<Follower>,
}

/// The end of an observation.
#[derive(Debug)]
pub(super) struct End {
    endpoint: EndpointName,
    observed: Observed,
    reason: Reason,
}

impl Delivery {
    /// Takes note of an outcome; gives it back when it is final.
    fn take(&mut self, outcome: Outcome) -> Option<Outcome> {
        match outcome {
            Outcome::Pass => None,
            Outcome::Replace(records) => {
                Arc::make_mut(&mut self.batch).records = records;
                None
            }
            last => Some(last),
        }
    }
}

impl Shard {
    /// Passes values on, in the order in which those of the device came.
    pub(super) fn hand_on(
        &mut self,
        now: Now,
        device: Location,
        (source, path): (BatchSource, Path),
        mut values: Decoded<'static>,
        to: Recipient,
    ) {
        let Some(entry) = self.table.get(device) else {
            if let Recipient::Asker { answer, .. } = to {
                let _ = answer.send(ended());
            }
            return;
        };
        let interceptors = &self.shared.interceptors;
        let waits = self.values.has(&device);
        let untouched =
            interceptors.is_empty() || (!waits && !hooks::any_with(interceptors, Hook::Transform));
        if untouched {
            return self.give_out(now, &entry.endpoint, values, to);
        }
        let snapshot = entry.snapshot(device);
        let delivery = Box::new(Delivery {
            batch: Arc::new(Batch {
                endpoint: snapshot.endpoint,
                registration: snapshot.id,
                annotations: snapshot.annotations,
                source,
                path,
                received: now.wall,
                records: std::mem::take(&mut values.records),
            }),
            rest: values,
            to,
            next: 0,
        });
        match waits {
            false => self.transform(now, device, delivery),
            true => {
                if let Err(Item::Values(delivery)) =
                    self.values.join(&device, Item::Values(delivery))
                {
                    self.lose(now, *delivery);
                }
            }
        }
    }

    /// The observation that a request has established.
    pub(super) fn observed(&mut self, request: RequestId) -> Option<Observed> {
        let observation = self.observations.get(request)?;
        let (id, origin) = (observation.id, Arc::clone(&observation.origin));
        let follower = self.follower(request);
        Some(Observed {
            id,
            origin,
            follower,
        })
    }

    /// Tells of what could not be decoded, behind the values that are still on their way.
    pub(super) fn tell_undecodable(
        &mut self,
        now: Now,
        device: Location,
        operation: &'static str,
        answer: &CoapAnswer<'_>,
        (reason, follower): (Reason, Option<Follower>),
    ) {
        let Some(entry) = self.table.get(device) else {
            return;
        };
        let broken = Box::new(Broken {
            endpoint: entry.endpoint.clone(),
            operation,
            format: answer.content_format,
            payload: bytes::Bytes::copy_from_slice(answer.body),
            reason,
            follower,
        });
        // Where there is no room it comes too early rather than not at all.
        if let Err(Item::Broken(broken)) = self.values.join(&device, Item::Broken(broken)) {
            self.give_broken(now, *broken);
        }
    }

    /// Tells that an observation is over, behind the values of it that are still on their way.
    pub(super) fn tell_over(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        observation: Observation,
        reason: Reason,
    ) {
        let end = Box::new(End {
            endpoint: endpoint.clone(),
            observed: Observed {
                id: observation.id,
                follower: self.followers.remove(&observation.request),
                origin: observation.origin,
            },
            reason,
        });
        let device = observation.device;
        let end = match self.values.has(&device) {
            true => self.values.join(&device, Item::End(end)),
            false => Err(Item::End(end)),
        };
        if let Err(Item::End(end)) = end {
            self.give_end(now, *end);
        }
    }

    /// Takes what an interceptor makes of values; none when it panicked.
    pub(super) fn transformed(&mut self, now: Now, ticket: Ticket, outcome: Option<Outcome>) {
        self.resume(now, ticket, outcome.ok_or_else(panicked));
    }

    /// Values whose interceptor has not answered in time go on as they are.
    pub(super) fn pass_value_deadlines(&mut self, now: Now) {
        let now_ms = self.ms(now.instant);
        while let Some(ticket) = self.values.overdue(now_ms) {
            let reason = Reason::new(
                "extension-timeout",
                "it is too slow: the values go on unchanged",
            )
            .hint("look after the extension, or raise limits.hook_timeout");
            self.resume(now, ticket, Err(reason));
        }
    }

    fn resume(&mut self, now: Now, ticket: Ticket, outcome: Result<Outcome, Reason>) {
        let Some((device, Item::Values(mut delivery))) = self.values.answered(ticket) else {
            return;
        };
        let last = match outcome {
            Ok(outcome) => delivery.take(outcome),
            Err(reason) => {
                self.transform_failed(now, &delivery, reason);
                None
            }
        };
        match last {
            Some(outcome) => self.finish(now, *delivery, outcome),
            None => self.transform(now, device, delivery),
        }
        while let Some(next) = self.values.next(&device) {
            match next {
                Item::Values(delivery) => self.transform(now, device, delivery),
                Item::Broken(broken) => self.give_broken(now, *broken),
                Item::End(end) => self.give_end(now, *end),
            }
        }
    }

    /// Asks the interceptors until one answers later or has the last word.
    fn transform(&mut self, now: Now, device: Location, mut delivery: Box<Delivery>) {
        let shared = Arc::clone(&self.shared);
        let mut last = None;
        while let Some((place, interceptor)) =
            hooks::next_with(&shared.interceptors, delivery.next, Hook::Transform)
        {
            delivery.next = place + 1;
            match hook(|| interceptor.transform(&delivery.batch)) {
                Some(Answer::Later(answer)) => return self.wait(now, device, delivery, answer),
                Some(Answer::Now(outcome)) => last = delivery.take(outcome),
                None => self.transform_failed(now, &delivery, panicked()),
            }
            if last.is_some() {
                break;
            }
        }
        self.finish(now, *delivery, last.unwrap_or_default());
    }

    /// Waits for an interceptor.
    fn wait(
        &mut self,
        now: Now,
        device: Location,
        delivery: Box<Delivery>,
        answer: Later<Outcome>,
    ) {
        let deadline = now.instant + self.shared.config.limits.hook_timeout;
        let deadline_ms = self.ms(deadline);
        match self.values.ask(device, Item::Values(delivery), deadline_ms) {
            Ok((ticket, waiting)) => {
                self.questions
                    .push_back(Question::outcome(ticket, answer, waiting));
            }
            Err(Item::Values(delivery)) => self.lose(now, *delivery),
            Err(Item::Broken(_) | Item::End(_)) => {}
        }
    }

    /// The interceptors are done with values.
    fn finish(&self, now: Now, delivery: Delivery, outcome: Outcome) {
        let Delivery {
            batch, rest, to, ..
        } = delivery;
        let batch = Arc::unwrap_or_clone(batch);
        let endpoint = &batch.endpoint;
        match outcome {
            Outcome::Drop => answer_with(to, Vec::new()),
            Outcome::Emit(series) => {
                answer_with(to, series.iter().map(|s| s.record.clone()).collect());
                self.emit(now, Some(endpoint), || EventKind::Series {
                    series: Arc::new(series),
                });
            }
            Outcome::Document { content_type, body } => {
                answer_with(to, Vec::new());
                self.emit(now, Some(endpoint), || EventKind::Document {
                    content_type,
                    body,
                });
            }
            Outcome::Pass | Outcome::Replace(_) => {
                let values = Decoded {
                    records: batch.records,
                    ..rest
                };
                self.give_out(now, endpoint, values, to);
            }
        }
    }

    /// Gives values to whom they are for.
    fn give_out(&self, now: Now, endpoint: &EndpointName, values: Decoded<'static>, to: Recipient) {
        match to {
            Recipient::Send => {
                self.emit(now, Some(endpoint), || EventKind::Send {
                    values: Arc::new(values),
                });
            }
            Recipient::Notification(observed) => {
                let values = Arc::new(values);
                let shared = || Arc::clone(&values);
                self.notify(now, endpoint, observed, shared);
            }
            Recipient::Asker {
                answer,
                mut response,
                observed,
            } => {
                if let Some(observed) = observed {
                    self.notify(now, endpoint, observed, || Arc::new(values.clone()));
                }
                response.content = Content::Values(values);
                let _ = answer.send(Ok(response));
            }
        }
    }

    fn notify(
        &self,
        now: Now,
        endpoint: &EndpointName,
        observed: Observed,
        values: impl Fn() -> Arc<Decoded<'static>>,
    ) {
        // Who follows the observation has the values once the event is there.
        if let Some(follower) = observed.follower {
            follower.tell(Reported::Values(values()));
        }
        self.emit(now, Some(endpoint), || EventKind::Notification {
            id: observed.id,
            target: observed.origin.target.clone(),
            values: values(),
        });
    }

    fn give_broken(&self, now: Now, broken: Broken) {
        let Broken {
            endpoint,
            operation,
            format,
            payload,
            reason,
            follower,
        } = broken;
        if let Some(follower) = follower {
            follower.tell(Reported::Undecodable(reason.clone()));
        }
        self.emit(now, Some(&endpoint), || EventKind::Undecodable {
            operation,
            format,
            payload,
            reason,
        });
    }

    fn give_end(&self, now: Now, end: End) {
        let End {
            endpoint,
            observed,
            reason,
        } = end;
        if let Some(follower) = &observed.follower {
            follower.tell(Reported::Ended(reason.clone()));
        }
        self.emit(now, Some(&endpoint), || EventKind::ObservationEnded {
            id: observed.id,
            target: observed.origin.target.clone(),
            reason,
        });
    }

    /// There is no room for more values: who asked is told, and now and then everybody.
    fn lose(&mut self, now: Now, delivery: Delivery) {
        self.counters.values_dropped += 1;
        if let Recipient::Asker { answer, .. } = delivery.to {
            let _ = answer.send(Err(RequestError::Overloaded));
        }
        let now_ms = self.ms(now.instant);
        if now_ms < self.losses_told_ms {
            return;
        }
        self.losses_told_ms = now_ms + LOSSES_TOLD_EACH_MS;
        let lost = self.counters.values_dropped;
        let message = format!("values are lost, {lost} by now: too many wait");
        let reason = Reason::new("extension-overloaded", message).hint(
            "look after the extensions, or raise limits.transforms_max or \
             limits.transforms_per_device_max",
        );
        let endpoint = &delivery.batch.endpoint;
        self.emit(now, Some(endpoint), || {
            hooks::failed("interceptors", Hook::Transform, reason)
        });
    }

    fn transform_failed(&self, now: Now, delivery: &Delivery, reason: Reason) {
        // The one that was asked last.
        let asked = delivery.next.checked_sub(1);
        let interceptor = asked.and_then(|asked| self.shared.interceptors.get(asked));
        let name = interceptor.map_or("", |interceptor| interceptor.name());
        self.emit(now, Some(&delivery.batch.endpoint), || {
            hooks::failed(name, Hook::Transform, reason)
        });
    }
}

/// Events about values that were lost come no closer to each other, on one shard.
const LOSSES_TOLD_EACH_MS: u64 = 1000;

/// Answers who has asked for values that go another way.
fn answer_with(to: Recipient, records: Vec<lwm2m_core::Record<'static>>) {
    if let Recipient::Asker {
        answer, response, ..
    } = to
    {
        let _ = answer.send(Ok(Response {
            content: Content::Values(Decoded {
                records,
                ..Decoded::default()
            }),
            raw: bytes::Bytes::new(),
            ..response
        }));
    }
}

fn panicked() -> Reason {
    Reason::new(
        "extension-panicked",
        "it panicked: the values go on unchanged",
    )
    .hint("its message and place are on the standard error output of the server")
}
