//! What devices report: notifications of observations, and Send (Core 1.2.2 §6.4).

use std::sync::Arc;

use lwm2m_coap::{Code, Failure, IncomingRequest, IncomingResponse, Notification, RequestId};
use lwm2m_core::codec::Decoded;
use lwm2m_core::{Path, Request};

use super::observations::{self, Observation};
use super::sessions::Origin;
use super::values::Recipient;
use super::{Now, Shard, ended};
use crate::event::EventKind;
use crate::follower::Follower;
use crate::hooks::BatchSource;
use crate::mailbox::Observed;
use crate::management::{self, CoapAnswer, DeviceContext};
use crate::observe::Cause;
use crate::registration::Location;
use crate::transport::Peer;
use crate::{
    ObservationId, ObservationInfo, ObservationTarget, Reason, Refusal, RequestError,
    RequestOptions,
};

impl Shard {
    /// Notes the observation that an answer has established.
    pub(super) fn observe(
        &mut self,
        now: Now,
        device: Location,
        request: &Request,
        options: RequestOptions,
        response: &IncomingResponse<'_, Peer>,
    ) {
        let Some(origin) = self.observations.origin(request, options.definition) else {
            // An observation that nobody asked for: a later notification is answered by a reset.
            return self.endpoint.cancel(response.request);
        };
        let Some(entry) = self.table.get_mut(device) else {
            return self.endpoint.cancel(response.request);
        };
        self.observation_count += 1;
        let id = ObservationId(u64::from(self.id) << 48 | self.observation_count);
        let target = origin.target.clone();
        let mut observation = Observation::new(response.request, id, device, origin);
        observation.planned = options.planned;
        self.observations
            .insert(&mut entry.observations, observation);
        if let Some(follower) = options.follower {
            self.followers.insert(response.request, follower);
        }
        let endpoint = Some(&entry.endpoint);
        self.events
            .emit(now.wall, endpoint, || EventKind::ObservationStarted {
                id,
                target,
            });
    }

    /// Who follows an observation, if anybody still does.
    pub(super) fn follower(&mut self, request: RequestId) -> Option<Follower> {
        if self.followers.is_empty() {
            return None;
        }
        let follower = self.followers.get(&request)?;
        if follower.is_followed() {
            return Some(follower.clone());
        }
        self.followers.remove(&request);
        None
    }

    /// A device notifies.
    pub(super) fn on_notification(&mut self, now: Now, notification: Notification<'_, Peer>) {
        let request = notification.request;
        let Some(observation) = self.observations.get_mut(request) else {
            return self.endpoint.cancel(request);
        };
        let device = observation.device;
        if !self.answers_for(device, notification.peer) {
            return;
        }
        self.contact(now, device);
        let answer = CoapAnswer {
            code: notification.message.code(),
            content_format: notification.message.content_format(),
            message: &notification.message,
            body: &notification.body,
        };
        if answer.code.is_success() {
            self.report(now, request, &answer);
        }
        if !notification.observing {
            let reason = match answer.code.is_success() {
                true => Reason::new("finished", "the device sent a last value"),
                false => Reason::new(
                    "ended-by-device",
                    format!("the device ended it with {:?}", answer.code),
                )
                .hint("the resource is gone or cannot be read any more"),
            };
            if let Some(id) = self.observations.get(request).map(|o| o.id) {
                self.drop_observation(now, device, id, reason);
            }
        }
        self.pump(now, device);
        self.arm(device);
    }

    /// Hands the values of a notification on.
    fn report(&mut self, now: Now, request: RequestId, answer: &CoapAnswer<'_>) {
        let Some(observation) = self.observations.get_mut(request) else {
            return;
        };
        observation.notifications = observation.notifications.saturating_add(1);
        let device = observation.device;
        let origin = Arc::clone(&observation.origin);
        let Some(entry) = self.table.get(device) else {
            return;
        };
        let context = DeviceContext {
            definition: origin.definition,
            ..Shard::context(&self.shared, entry)
        };
        match management::decode_notification(&origin.target, &context, answer) {
            Err(reason) => {
                let told = (reason, self.follower(request));
                self.tell_undecodable(now, device, "notification", answer, told);
            }
            Ok(values) => {
                self.counters.notifications += 1;
                let path = match origin.target {
                    ObservationTarget::Single(path) => path,
                    ObservationTarget::Composite(_) => Path::ROOT,
                };
                if let Some(observed) = self.observed(request) {
                    let about = (BatchSource::Notification, path);
                    self.hand_on(
                        now,
                        device,
                        about,
                        values,
                        Recipient::Notification(observed),
                    );
                }
            }
        }
    }

    /// The engine has given an observation up.
    pub(super) fn on_observation_failure(
        &mut self,
        now: Now,
        request: RequestId,
        failure: Failure,
    ) {
        let Some(observation) = self.observations.get(request) else {
            return;
        };
        let (device, id) = (observation.device, observation.id);
        let reason = match failure {
            Failure::PeerGone => Reason::new("connection-ended", "its connection has ended")
                .hint("observe again: an observation goes with its connection"),
            failure => Reason::new("failed", failure.to_string()),
        };
        self.drop_observation(now, device, id, reason);
    }

    /// Ends an observation on our side; a later notification is answered by a reset.
    pub(super) fn drop_observation(
        &mut self,
        now: Now,
        device: Location,
        id: ObservationId,
        reason: Reason,
    ) {
        let Some(request) = self.find_observation(device, id).map(|o| o.request) else {
            return;
        };
        self.endpoint.cancel(request);
        let Some(entry) = self.table.get_mut(device) else {
            return;
        };
        let endpoint = entry.endpoint.clone();
        let removed = self.observations.remove(&mut entry.observations, request);
        if let Some(observation) = removed {
            let reason = self.note_withdrawn(&observation, reason);
            self.look_after(&endpoint, &observation, &reason);
            self.tell_over(now, &endpoint, observation, reason);
        }
    }

    /// The observation of this id, when it is one of the device's.
    pub(super) fn find_observation(
        &self,
        device: Location,
        id: ObservationId,
    ) -> Option<&Observation> {
        let entry = self.table.get(device)?;
        self.observations
            .chain(entry.observations)
            .find(|observation| observation.id == id)
    }

    /// The observations of a device.
    pub(super) fn observations_of(&self, device: Location) -> Result<Observed, RequestError> {
        let Some(entry) = self.table.get(device) else {
            return ended();
        };
        let info = |observation: &Observation| ObservationInfo {
            id: observation.id,
            target: observation.origin.target.clone(),
            format: observations::format(&observation.origin.request),
            notifications: u64::from(observation.notifications),
            planned: observation.planned,
        };
        let mut standing: Vec<ObservationInfo> = self
            .observations
            .chain(entry.observations)
            .map(info)
            .collect();
        standing.reverse();
        let mut withdrawn = self.withdrawn.of(device);
        withdrawn.retain(|target| !standing.iter().any(|o| o.target == *target));
        Ok(Observed {
            standing,
            withdrawn,
        })
    }

    /// A device sends values by itself: `POST /dp`.
    pub(super) fn on_send(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        let origin = Origin::of(&request);
        let Some(device) = self.registration_of(origin) else {
            let refusal = Refusal {
                code: Code::NOT_FOUND,
                reason: Reason::new("not-registered", "nobody is registered from this address")
                    .hint("register, or update the registration after a change of address"),
            };
            return self.refuse(now, "send", None, &request, refusal);
        };
        if !origin.is_protected() && self.table.of_peer(&request.handle.peer()) != Some(device) {
            // A new session of the device: the old one is no way to it any more.
            let reconnected = self.move_to(now, device, request.handle.peer());
            if let (true, Some(entry)) = (reconnected, self.table.get(device)) {
                // The observations went with the connection.
                self.look(&entry.endpoint, Cause::Changed);
            }
        }
        self.contact(now, device);
        match self.read_send(device, &request) {
            Err((code, reason)) => {
                let endpoint = self.table.get(device).map(|entry| entry.endpoint.clone());
                let refusal = Refusal { code, reason };
                self.refuse(now, "send", endpoint.as_ref(), &request, refusal);
            }
            Ok(values) => {
                self.counters.sends += 1;
                let about = (BatchSource::Send, Path::ROOT);
                self.hand_on(now, device, about, values, Recipient::Send);
                let changed = lwm2m_coap::Response::new(Code::CHANGED);
                self.endpoint.respond(now.instant, request.handle, changed);
            }
        }
        self.pump(now, device);
        self.arm(device);
    }

    fn read_send(
        &self,
        device: Location,
        request: &IncomingRequest<'_, Peer>,
    ) -> Result<Decoded<'static>, (Code, Reason)> {
        let Some(entry) = self.table.get(device) else {
            return Err((
                Code::NOT_FOUND,
                Reason::new("not-registered", "it just left"),
            ));
        };
        let context = Shard::context(&self.shared, entry);
        let format = request.message.content_format();
        management::decode_send(&context, format, &request.body)
    }
}
