//! The registration interface, client side (Core 1.2.2 §6.2).

use std::time::{Duration, Instant};

use lwm2m_coap::{Code, Failure, IncomingResponse, OptionNumber, OutgoingRequest, RequestId, Uint};
use lwm2m_core::{ContentFormat, Path, Version};

use super::{Client, DeviceEvent, Formats, RegistrationError};
use crate::reporting::{Links, object_list};

/// Where a client stands with its server.
#[derive(Debug, Default)]
pub(super) struct Registration {
    pub(super) stage: Stage,
    /// The lifetime that the server knows.
    lifetime_s: u32,
    /// Attempts in a row that failed.
    failures: u32,
    /// The next Update carries the object list.
    list_changed: bool,
    /// Something changed while an Update was under way.
    update_again: bool,
    pub(super) reboot_at: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Not started, or stopped for good.
    #[default]
    Stopped,
    /// Registers at this time.
    Waiting { until: Instant },
    /// A Register is under way.
    Registering { request: RequestId },
    /// Registered; perhaps with an Update under way.
    Registered {
        location: Vec<String>,
        update_at: Option<Instant>,
        update: Option<RequestId>,
    },
    /// A De-register is under way; a Register follows after the pause, if one is given.
    Leaving {
        request: RequestId,
        then: Option<Duration>,
    },
}

impl Registration {
    /// True while messages of the server are of interest.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.stage, Stage::Stopped | Stage::Waiting { .. })
    }

    /// What is under way with the server.
    pub(super) fn request(&self) -> Option<RequestId> {
        match &self.stage {
            Stage::Registering { request } | Stage::Leaving { request, .. } => Some(*request),
            Stage::Registered { update, .. } => *update,
            Stage::Stopped | Stage::Waiting { .. } => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Waiting { until } => Some(*until),
            Stage::Registered {
                update_at,
                update: None,
                ..
            } => *update_at,
            _ => None,
        };
        stage.into_iter().chain(self.reboot_at).min()
    }
}

impl Client {
    /// True between the answer to a Register and the end of the registration.
    pub fn is_registered(&self) -> bool {
        matches!(self.registration.stage, Stage::Registered { .. })
    }

    /// True before the start, and after a de-registration or [`Client::stop`].
    pub fn is_stopped(&self) -> bool {
        matches!(self.registration.stage, Stage::Stopped) && !self.bootstrap.is_active()
    }

    /// The location that the server gave, without leading slash.
    pub fn location(&self) -> Option<String> {
        match &self.registration.stage {
            Stage::Registered { location, .. } => Some(location.join("/")),
            _ => None,
        }
    }

    /// Sends a Register, as after a start.
    pub fn register(&mut self, now: Instant) {
        self.registration.lifetime_s = self.lifetime_s();
        self.registration.list_changed = false;
        self.registration.update_again = false;
        let request = self.to_server(self.register_request());
        self.registration.stage = match self.ask_server(now, request) {
            Ok(request) => Stage::Registering { request },
            Err(_) => Stage::Waiting {
                until: now + self.config.retry.first,
            },
        };
        self.settle(now);
    }

    /// Sends an Update: with the lifetime and the object list where they have changed.
    ///
    /// Nothing happens when the client is not registered. While another Update is under way, this
    /// one follows it.
    pub fn update(&mut self, now: Instant) {
        let Stage::Registered { update, .. } = &self.registration.stage else {
            return;
        };
        if self.config.quirks.register_instead_of_update {
            return self.register(now);
        }
        if update.is_some() {
            self.registration.update_again = true;
            return;
        }
        let request = self.update_request();
        let request = self.to_server(request);
        let sent = self.ask_server(now, request).ok();
        if let Stage::Registered {
            update, update_at, ..
        } = &mut self.registration.stage
        {
            *update = sent;
            *update_at = sent.is_none().then(|| now + self.config.retry.first);
        }
        self.settle(now);
    }

    /// Sends a De-register and stops.
    pub fn deregister(&mut self, now: Instant) {
        self.leave(now, None);
        self.settle(now);
    }

    /// Stops without a word, as when the power fails.
    pub fn stop(&mut self) {
        self.bootstrap = Default::default();
        self.registration.stage = Stage::Stopped;
        self.registration.reboot_at = None;
        self.observations.clear();
    }

    /// De-registers and registers again after the Disable Timeout (`/1/x/5`).
    pub(super) fn disable(&mut self, now: Instant) {
        let seconds = self.server_setting(5).unwrap_or(86400);
        let pause = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        self.leave(now, Some(pause));
    }

    fn leave(&mut self, now: Instant, then: Option<Duration>) {
        let Stage::Registered { location, .. } = &self.registration.stage else {
            self.registration.stage = match then {
                Some(pause) => Stage::Waiting { until: now + pause },
                None => Stage::Stopped,
            };
            return;
        };
        let request = at_location(OutgoingRequest::new(Code::DELETE), location);
        let request = self.to_server(request);
        self.registration.stage = match self.ask_server(now, request) {
            Ok(request) => Stage::Leaving { request, then },
            Err(_) => Stage::Stopped,
        };
        self.forget_server();
    }

    /// Registers, updates, reboots when it is time.
    pub(super) fn registration_due(&mut self, now: Instant) {
        if self.registration.reboot_at.is_some_and(|at| at <= now) {
            return self.reboot(now);
        }
        match &self.registration.stage {
            Stage::Waiting { until } if *until <= now => self.register(now),
            Stage::Registered {
                update_at: Some(at),
                update: None,
                ..
            } if *at <= now => self.update(now),
            _ => {}
        }
    }

    /// Starts anew as after a power cycle: nothing is known of the server, message ids and tokens
    /// are others.
    pub fn reboot(&mut self, now: Instant) {
        self.settle(now);
        self.registration.reboot_at = None;
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.endpoint = super::endpoint(&self.config, self.seed);
        self.reset_session(now);
        self.attributes = Default::default();
        self.sends.clear();
        self.delayed.clear();
        self.cancel_download();
        self.forget_server();
        self.version = self.config.version;
        self.formats = Formats::new(&self.config, self.version);
        self.tell(DeviceEvent::Rebooted);
        self.find_server(now);
    }

    /// Object instances came or went: the server is told, attributes on what went are gone.
    pub(super) fn instances_changed(&mut self, now: Instant, paths: &[Path]) {
        for path in paths {
            if self.tree.check_target(path).is_err() {
                self.attributes.forget(path);
            }
        }
        self.registration.list_changed = true;
        self.update(now);
    }

    /// The Server object has another lifetime than the server knows.
    pub(super) fn lifetime_changed(&mut self, now: Instant) {
        if self.registration.lifetime_s != self.lifetime_s() {
            self.update(now);
        }
    }

    /// True when the response was to a request of this interface.
    pub(super) fn registration_response(
        &mut self,
        now: Instant,
        response: &IncomingResponse<'_, std::net::SocketAddr>,
    ) -> bool {
        match &self.registration.stage {
            Stage::Registering { request } if *request == response.request => {
                self.register_response(now, response);
            }
            Stage::Registered {
                update: Some(request),
                ..
            } if *request == response.request => self.update_response(now, response),
            Stage::Leaving { request, then } if *request == response.request => {
                self.left(now, *then);
            }
            _ => return false,
        }
        true
    }

    /// True when the failed request was of this interface.
    pub(super) fn registration_failed(
        &mut self,
        now: Instant,
        failed: RequestId,
        failure: Failure,
    ) -> bool {
        if self.registration.request() != Some(failed) {
            return false;
        }
        // The server may have lost the session.
        self.close_session(now);
        self.give_up(now, RegistrationError::NoAnswer(failure));
        true
    }

    /// Ends what is under way with the server; a Register follows after a pause.
    pub(super) fn give_up(&mut self, now: Instant, reason: RegistrationError) {
        if let Some(request) = self.registration.request() {
            self.endpoint.cancel(request);
        }
        match &self.registration.stage {
            Stage::Registering { .. } => {
                self.retry(now, None, DeviceEvent::RegistrationFailed(reason));
            }
            Stage::Registered { .. } => {
                self.retry(now, None, DeviceEvent::UpdateFailed(reason));
            }
            Stage::Leaving { then, .. } => self.left(now, *then),
            Stage::Stopped | Stage::Waiting { .. } => {}
        }
    }

    fn register_response(
        &mut self,
        now: Instant,
        response: &IncomingResponse<'_, std::net::SocketAddr>,
    ) {
        let message = &response.message;
        if message.code() == Code::CREATED {
            let segments = message.values(OptionNumber::LOCATION_PATH);
            let location: Vec<String> = segments
                .map(|segment| String::from_utf8_lossy(segment).into_owned())
                .collect();
            self.registration.failures = 0;
            self.statistics.registered += 1;
            self.forget_server();
            self.tell(DeviceEvent::Registered {
                location: location.join("/"),
                version: self.version,
            });
            self.registration.stage = Stage::Registered {
                location,
                update_at: self.next_update(now),
                update: None,
            };
            self.lifetime_changed(now);
            return;
        }
        let lower = match self.version {
            Version::V1_2 => Some(Version::V1_1),
            Version::V1_1 => Some(Version::V1_0),
            Version::V1_0 => None,
        };
        if let (Code::PRECONDITION_FAILED, Some(version)) = (message.code(), lower) {
            self.version = version;
            self.formats = Formats::new(&self.config, version);
            return self.register(now);
        }
        let reason = refused(response);
        let pause = max_age(response);
        self.retry(now, pause, DeviceEvent::RegistrationFailed(reason));
    }

    fn update_response(
        &mut self,
        now: Instant,
        response: &IncomingResponse<'_, std::net::SocketAddr>,
    ) {
        let code = response.message.code();
        if code == Code::CHANGED {
            self.statistics.updated += 1;
            self.tell(DeviceEvent::Updated);
            self.rest_until(self.next_update(now));
            if std::mem::take(&mut self.registration.update_again) {
                self.update(now);
            } else {
                self.lifetime_changed(now);
            }
            return;
        }
        self.statistics.failed += 1;
        self.tell(DeviceEvent::UpdateFailed(refused(response)));
        if code.class() == 5 {
            let pause = max_age(response).unwrap_or(self.config.retry.first);
            self.rest_until(Some(now + pause));
        } else {
            self.register(now);
        }
    }

    /// No Update under way; the next one at this time.
    fn rest_until(&mut self, at: Option<Instant>) {
        if let Stage::Registered {
            update, update_at, ..
        } = &mut self.registration.stage
        {
            *update = None;
            *update_at = at;
        }
    }

    pub(super) fn left(&mut self, now: Instant, then: Option<Duration>) {
        self.registration.stage = match then {
            Some(pause) => Stage::Waiting { until: now + pause },
            None => {
                self.close_session(now);
                Stage::Stopped
            }
        };
        self.tell(DeviceEvent::Deregistered);
    }

    pub(super) fn retry(&mut self, now: Instant, pause: Option<Duration>, event: DeviceEvent) {
        self.registration.failures = self.registration.failures.saturating_add(1);
        self.statistics.failed += 1;
        let pause = pause.unwrap_or_else(|| self.config.retry.pause(self.registration.failures));
        self.registration.stage = Stage::Waiting { until: now + pause };
        self.tell(event);
    }

    /// When the next Update is due; none with a lifetime of 0, which never ends.
    fn next_update(&self, now: Instant) -> Option<Instant> {
        let lifetime = Duration::from_secs(u64::from(self.registration.lifetime_s));
        let share = self.config.update_after.clamp(0.0, 1.0);
        (!lifetime.is_zero()).then(|| now + lifetime.mul_f64(share))
    }

    fn lifetime_s(&self) -> u32 {
        let lifetime = self.server_setting(1).unwrap_or(86400);
        u32::try_from(lifetime).unwrap_or(86400)
    }

    fn register_request(&self) -> OutgoingRequest {
        let (config, quirks) = (&self.config, &self.config.quirks);
        let mut request = OutgoingRequest::new(Code::POST).option(OptionNumber::URI_PATH, "rd");
        let mut query = |item: String| {
            let item = bytes::Bytes::from(item);
            request.options.push((OptionNumber::URI_QUERY, item));
        };
        query(format!("ep={}", config.endpoint_name));
        query(format!("lt={}", self.registration.lifetime_s));
        if !quirks.no_version {
            query(format!("lwm2m={}", self.version));
        }
        if !quirks.no_binding {
            query(format!("b={}", self.binding()));
        }
        if config.queue_mode && self.version > Version::V1_0 {
            query("Q".to_owned());
        }
        for item in &config.extra_query {
            query(item.clone());
        }
        self.with_list(request, quirks.register_without_content_format)
    }

    fn update_request(&mut self) -> OutgoingRequest {
        let lifetime_s = self.lifetime_s();
        let request = OutgoingRequest::new(Code::POST);
        let mut request = match &self.registration.stage {
            Stage::Registered { location, .. } => at_location(request, location),
            _ => request,
        };
        if self.registration.lifetime_s != lifetime_s {
            self.registration.lifetime_s = lifetime_s;
            request = request.option(OptionNumber::URI_QUERY, format!("lt={lifetime_s}"));
        }
        if std::mem::take(&mut self.registration.list_changed) {
            request = self.with_list(request, self.config.quirks.update_without_content_format);
        }
        request
    }

    fn with_list(&self, request: OutgoingRequest, bare: bool) -> OutgoingRequest {
        let list = match &self.config.quirks.object_list {
            Some(list) => list.clone(),
            None => object_list(&self.tree, self.links(), self.formats.registered()),
        };
        let request = request.payload(list);
        if bare {
            return request;
        }
        let format = u32::from(ContentFormat::Link.number());
        request.uint(OptionNumber::CONTENT_FORMAT, format)
    }

    pub(super) fn links(&self) -> Links<'_> {
        Links {
            version: self.version,
            prefix: &self.config.alternate_path,
            trailing_slash: self.config.quirks.trailing_slashes,
        }
    }

    fn binding(&self) -> String {
        let path = Path::resource(1, self.config.server_instance, 7);
        let binding = match self.tree.value(&path) {
            Some(lwm2m_core::Value::String(binding)) => binding.into_owned(),
            _ => "U".to_owned(),
        };
        if self.version == Version::V1_0 && self.config.queue_mode && !binding.contains('Q') {
            return format!("{binding}Q");
        }
        binding
    }

    /// What ends with a registration.
    pub(super) fn forget_server(&mut self) {
        for observation in std::mem::take(&mut self.observations) {
            let id = observation.id;
            self.tell(DeviceEvent::ObservationEnded { id });
        }
    }
}

fn at_location(mut request: OutgoingRequest, location: &[String]) -> OutgoingRequest {
    for segment in location {
        request = request.option(OptionNumber::URI_PATH, segment.clone());
    }
    request
}

pub(super) fn refused(response: &IncomingResponse<'_, std::net::SocketAddr>) -> RegistrationError {
    RegistrationError::Refused {
        code: response.message.code(),
        reason: String::from_utf8_lossy(&response.body).into_owned(),
    }
}

/// The pause that an overloaded server asks for.
pub(super) fn max_age(response: &IncomingResponse<'_, std::net::SocketAddr>) -> Option<Duration> {
    let busy = [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS];
    let value = response.message.value(OptionNumber::MAX_AGE)?;
    let seconds = Uint::decode(value).filter(|_| busy.contains(&response.message.code()))?;
    Some(Duration::from_secs(u64::from(seconds)))
}
