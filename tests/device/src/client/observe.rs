//! Observations: from the observe request to the last notification (Core 1.2.2 §6.4).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lwm2m_coap::{Code, IncomingRequest, Response, ResponseHandle, Token};
use lwm2m_core::{Attributes, Path, Record, Version};

use super::operation::Asked;
use super::{Client, DeviceEvent, ObservationId};
use crate::Refusal;
use crate::reporting::{Conditions, Situation, Verdict, evaluate};

/// How soon a notification is tried again when the engine has no room for it.
const RETRY: Duration = Duration::from_secs(1);

/// An observation that stands.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) id: ObservationId,
    handle: ResponseHandle<SocketAddr>,
    target: Target,
    /// Attributes of the observe request, which replace those attached (1.2).
    own: Option<Attributes>,
    reported: Vec<Record<'static>>,
    notified_at: Instant,
    evaluated_at: Instant,
    /// When to look again although nothing changes.
    pub(super) look_at: Option<Instant>,
    /// What could not be told while the server was out of reach.
    stored: VecDeque<Vec<Record<'static>>>,
}

#[derive(Debug, PartialEq)]
enum Target {
    Single { path: Path, accept: Option<u16> },
    Composite { paths: Vec<Path>, accept: u16 },
}

impl Target {
    fn paths(&self) -> &[Path] {
        match self {
            Target::Single { path, .. } => std::slice::from_ref(path),
            Target::Composite { paths, .. } => paths,
        }
    }

    fn is_touched_by(&self, changed: &[Path]) -> bool {
        let touches = |path: &Path| {
            let near = |other: &&Path| path.contains(other) || other.contains(path);
            changed.iter().find(near).is_some()
        };
        self.paths().iter().any(touches)
    }
}

impl Client {
    pub(super) fn observe(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
        asked: &Asked<'_>,
    ) -> Result<Response, Refusal> {
        let path = asked.path;
        let own = self.observe_parameters(&path, &asked.query)?;
        let records = self.tree.read(&path)?;
        let response = self.content(&path, &records, asked.accept)?;
        let accept = asked.accept;
        let target = Target::Single { path, accept };
        Ok(self.begin(now, request.handle, target, own, records, response))
    }

    pub(super) fn observe_composite(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
        asked: &Asked<'_>,
    ) -> Result<Response, Refusal> {
        let own = self.observe_parameters(&Path::ROOT, &asked.query)?;
        let (paths, accept) = self.composite_read(asked)?;
        let records = self.composite_records(&paths);
        let response = self.composite_response(&records, accept)?;
        let target = Target::Composite { paths, accept };
        Ok(self.begin(now, request.handle, target, own, records, response))
    }

    /// The attributes that go with an observe request, none when there are none.
    fn observe_parameters(
        &self,
        path: &Path,
        query: &[&str],
    ) -> Result<Option<Attributes>, Refusal> {
        if query.is_empty() {
            return Ok(None);
        }
        if self.version < Version::V1_2 {
            return Err(Refusal::bad_request("no attributes in observe requests"));
        }
        self.attributes_of(path, query).map(Some)
    }

    fn begin(
        &mut self,
        now: Instant,
        handle: ResponseHandle<SocketAddr>,
        target: Target,
        own: Option<Attributes>,
        reported: Vec<Record<'static>>,
        response: Response,
    ) -> Response {
        // The same token again refreshes.
        self.observations
            .retain(|observation| observation.handle.token() != handle.token());
        if self.config.quirks.one_observation_per_path {
            self.observations
                .retain(|observation| observation.target.paths() != target.paths());
        }
        if self.observations.len() >= self.config.observations_max {
            return response;
        }
        self.next_id += 1;
        let id = ObservationId(self.next_id);
        self.tell(DeviceEvent::ObservationStarted {
            id,
            paths: target.paths().to_vec(),
        });
        let mut observation = Observation {
            id,
            handle,
            target,
            own,
            reported,
            notified_at: now,
            evaluated_at: now,
            look_at: None,
            stored: VecDeque::new(),
        };
        let current = observation.reported.clone();
        observation.look_at = match self.verdict(&observation, now, &current) {
            Verdict::Notify => Some(now),
            Verdict::Wait(at) => at,
        };
        self.observations.push(observation);
        Client::observing(response)
    }

    pub(super) fn end_observation(&mut self, token: &Token) {
        let found = |observation: &Observation| observation.handle.token() == *token;
        if let Some(at) = self.observations.iter().position(found) {
            let id = self.observations.remove(at).id;
            self.tell(DeviceEvent::ObservationEnded { id });
        }
    }

    /// Values have changed, for whatever reason.
    pub(super) fn values_changed(&mut self, now: Instant, paths: &[Path]) {
        if paths.contains(&Path::resource(1, self.config.server_instance, 1)) {
            self.lifetime_changed(now);
        }
        for at in (0..self.observations.len()).rev() {
            if self.observations[at].target.is_touched_by(paths) {
                self.evaluate_one(now, at);
            }
        }
    }

    /// Attributes have changed: each observation is looked at anew.
    pub(super) fn conditions_changed(&mut self, now: Instant) {
        for at in (0..self.observations.len()).rev() {
            self.evaluate_one(now, at);
        }
    }

    /// Looks at the observations whose time has come.
    pub(super) fn evaluate_due(&mut self, now: Instant) {
        for at in (0..self.observations.len()).rev() {
            if self.observations[at].look_at.is_some_and(|due| due <= now) {
                self.evaluate_one(now, at);
            }
        }
    }

    fn evaluate_one(&mut self, now: Instant, at: usize) {
        let observation = &self.observations[at];
        let current = match self.current(&observation.target) {
            Ok(records) => records,
            Err(refusal) => return self.end_with_error(now, at, refusal),
        };
        match self.verdict(observation, now, &current) {
            Verdict::Notify => self.notify(now, at, current),
            Verdict::Wait(look_at) => self.observations[at].look_at = look_at,
        }
    }

    fn current(&self, target: &Target) -> Result<Vec<Record<'static>>, Refusal> {
        match target {
            Target::Single { path, .. } => self.tree.read(path),
            Target::Composite { paths, .. } => Ok(self.composite_records(paths)),
        }
    }

    /// Each path of a composite observation has its own conditions; one that holds suffices.
    fn verdict(
        &self,
        observation: &Observation,
        now: Instant,
        current: &[Record<'static>],
    ) -> Verdict {
        let defaults = self.default_attributes();
        let mut earliest = None;
        for path in observation.target.paths() {
            let attributes = match &observation.own {
                Some(own) => own.clone(),
                None => self.attributes.effective(path, &defaults),
            };
            let reported = below(path, &observation.reported);
            let current = below(path, current);
            let situation = Situation {
                now,
                notified_at: observation.notified_at,
                evaluated_at: observation.evaluated_at,
                reported: &reported,
                current: &current,
            };
            let conditions = Conditions::new(&attributes, path.level());
            match evaluate(&conditions, &situation) {
                Verdict::Notify => return Verdict::Notify,
                Verdict::Wait(at) => earliest = earliest.into_iter().chain(at).min(),
            }
        }
        Verdict::Wait(earliest)
    }

    fn notify(&mut self, now: Instant, at: usize, current: Vec<Record<'static>>) {
        if self.offline {
            return self.store(now, at, current);
        }
        let confirmable = self.confirmable(&self.observations[at]);
        let response = match self.notification(&self.observations[at].target, &current) {
            Ok(response) => response,
            Err(refusal) => return self.end_with_error(now, at, refusal),
        };
        let observation = &mut self.observations[at];
        let sent = self
            .endpoint
            .notify(now, observation.handle, confirmable, response);
        if sent.is_err() {
            observation.look_at = Some(now + RETRY);
            return;
        }
        let id = observation.id;
        self.reported(now, at, current);
        self.statistics.notified += 1;
        self.tell(DeviceEvent::Notified { id, confirmable });
    }

    fn notification(
        &self,
        target: &Target,
        records: &[Record<'static>],
    ) -> Result<Response, Refusal> {
        match target {
            Target::Single { path, accept } => self.content(path, records, *accept),
            Target::Composite { accept, .. } => self.composite_response(records, *accept),
        }
    }

    fn reported(&mut self, now: Instant, at: usize, current: Vec<Record<'static>>) {
        let observation = &mut self.observations[at];
        observation.reported = current;
        observation.notified_at = now;
        observation.evaluated_at = now;
        observation.look_at = None;
        let observation = &self.observations[at];
        let look_at = match self.verdict(observation, now, &observation.reported) {
            Verdict::Notify => Some(now + RETRY),
            Verdict::Wait(look_at) => look_at,
        };
        self.observations[at].look_at = look_at;
    }

    /// What is observed is gone: the last notification says so.
    fn end_with_error(&mut self, now: Instant, at: usize, refusal: Refusal) {
        let observation = self.observations.remove(at);
        let response = Response::new(refusal.code).payload(refusal.reason.as_bytes());
        // Without room in the engine the observation ends in silence.
        let _ = self
            .endpoint
            .notify(now, observation.handle, true, response);
        let id = observation.id;
        self.tell(DeviceEvent::ObservationEnded { id });
    }

    /// CON by the attribute, then by the Server object (`/1/x/26`), else NON.
    fn confirmable(&self, observation: &Observation) -> bool {
        let attached = observation.target.paths().iter().find_map(|path| {
            let none = Attributes::default();
            self.attributes.effective(path, &none).con.flatten()
        });
        let own = observation.own.as_ref();
        own.map_or(attached, |own| own.con.flatten())
            .unwrap_or_else(|| self.server_setting(26) == Some(1))
    }

    /// Keeps a notification until the server is back, when the Server object asks for it.
    fn store(&mut self, now: Instant, at: usize, current: Vec<Record<'static>>) {
        let keeps = self.server_setting(6) == Some(1);
        let time = self.tree.unix_s(now).map(|seconds| seconds as f64);
        let max = self.history_max(&self.observations[at]);
        let stored = &mut self.observations[at].stored;
        if keeps && max > 0 {
            while stored.len() >= max {
                stored.pop_front();
            }
            let timed = current.iter().cloned();
            stored.push_back(timed.map(|record| Record { time, ..record }).collect());
            self.reported(now, at, current);
        } else {
            self.observations[at].look_at = Some(now + RETRY);
        }
    }

    fn history_max(&self, observation: &Observation) -> usize {
        let limit = observation.target.paths().iter().filter_map(|path| {
            let none = Attributes::default();
            let attached = self.attributes.effective(path, &none);
            observation
                .own
                .as_ref()
                .unwrap_or(&attached)
                .hqmax
                .flatten()
        });
        let limit = limit.min().map_or(usize::MAX, |limit| limit as usize);
        limit.min(self.config.stored_max)
    }

    /// The server is back: each observation tells what it has kept, in one notification where
    /// the format carries times.
    pub(super) fn flush_stored(&mut self, now: Instant) {
        for at in 0..self.observations.len() {
            let stored = std::mem::take(&mut self.observations[at].stored);
            let together: Vec<Record<'static>> = stored.iter().flatten().cloned().collect();
            let mut batches: Vec<Vec<Record<'static>>> = vec![together];
            let timed = self.notification(&self.observations[at].target, &batches[0]);
            let in_one = timed.as_ref().is_ok_and(carries_times) && self.tree.unix_s(now).is_some();
            if !in_one {
                batches = stored.into_iter().collect();
            }
            for records in batches.into_iter().filter(|records| !records.is_empty()) {
                let confirmable = self.confirmable(&self.observations[at]);
                let target = &self.observations[at].target;
                let Ok(response) = self.notification(target, &records) else {
                    continue;
                };
                let handle = self.observations[at].handle;
                let id = self.observations[at].id;
                if self
                    .endpoint
                    .notify(now, handle, confirmable, response)
                    .is_ok()
                {
                    self.statistics.notified += 1;
                    self.tell(DeviceEvent::Notified { id, confirmable });
                }
            }
        }
        self.conditions_changed(now);
    }
}

/// True for the formats in which a record may have a time.
fn carries_times(response: &Response) -> bool {
    use lwm2m_core::ContentFormat;
    let number = response.options.iter().find_map(|(number, value)| {
        let format = *number == lwm2m_coap::OptionNumber::CONTENT_FORMAT;
        format.then(|| lwm2m_coap::Uint::decode(value)).flatten()
    });
    let senml = [ContentFormat::SenmlJson, ContentFormat::SenmlCbor];
    response.code == Code::CONTENT
        && number.is_some_and(|n| senml.iter().any(|format| u32::from(format.number()) == n))
}

fn below(path: &Path, records: &[Record<'static>]) -> Vec<Record<'static>> {
    let lies_below = |record: &&Record<'static>| path.contains(&record.path);
    records.iter().filter(lies_below).cloned().collect()
}
