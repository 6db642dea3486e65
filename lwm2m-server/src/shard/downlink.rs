//! Requests to devices: one line for each device, one request at a time.
//!
//! ```text
//! command ──> submit ──> (awake and idle?) ──> start ──> endpoint.request
//!                │ no                            ^            │
//!                └──> device queue ──> pump ─────┘            └──> on_response | on_failure ──> answer
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_coap::{OutgoingRequest, RequestId};
use lwm2m_core::Request;
use tokio::sync::oneshot;

use super::{Now, Shard, ended, observations};
use crate::mailbox::Canceller;
use crate::management::{self, DeviceContext};
use crate::registration::Location;
use crate::{CancelMode, ObservationId, RequestError, RequestOptions, Response};

/// The requests to one device.
#[derive(Debug, Default)]
pub(crate) struct Downlink {
    active: Option<Active>,
    waiting: VecDeque<Job>,
}

/// The request that is on its way.
#[derive(Debug)]
struct Active {
    exchange: RequestId,
    job: Job,
}

/// A request and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) task: Task,
    deadline_ms: u64,
}

#[derive(Debug)]
pub(super) enum Task {
    Operation {
        request: Request,
        options: RequestOptions,
        answer: oneshot::Sender<Result<Response, RequestError>>,
    },
    /// The active cancel of an observation; nobody waits when another one replaces it.
    Cancel {
        observation: ObservationId,
        by: Canceller,
        answer: Option<oneshot::Sender<Result<(), RequestError>>>,
    },
}

impl Downlink {
    /// When the first of the requests runs out of time.
    pub(crate) fn next_deadline_ms(&self) -> u64 {
        let active = self.active.as_ref().map(|active| &active.job);
        let jobs = self.waiting.iter().chain(active);
        jobs.map(|job| job.deadline_ms).min().unwrap_or(u64::MAX)
    }

    /// Takes the request that is on its way.
    pub(super) fn take_active(&mut self) -> Option<(RequestId, Task)> {
        let active = self.active.take()?;
        Some((active.exchange, active.job.task))
    }

    /// Fails everything; answers the exchange that was on its way.
    pub(super) fn fail_all(self, error: &RequestError) -> Option<RequestId> {
        let exchange = self.active.as_ref().map(|active| active.exchange);
        let active = self.active.map(|active| active.job);
        for job in active.into_iter().chain(self.waiting) {
            job.task.fail(error.clone());
        }
        exchange
    }
}

impl Task {
    pub(super) fn fail(self, error: RequestError) {
        match self {
            Task::Operation { answer, .. } => {
                let _ = answer.send(Err(error));
            }
            Task::Cancel { answer, .. } => {
                if let Some(answer) = answer {
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    /// True when the caller has dropped its future.
    fn is_withdrawn(&self) -> bool {
        match self {
            Task::Operation { answer, .. } => answer.is_closed(),
            Task::Cancel { answer, .. } => answer.as_ref().is_some_and(oneshot::Sender::is_closed),
        }
    }
}

/// What came of an attempt to put a request on its way.
enum Start {
    OnItsWay,
    /// It has been answered; the next one may go.
    Over,
}

impl Shard {
    /// Takes a request for a device.
    pub(super) fn submit_operation(
        &mut self,
        now: Now,
        device: Location,
        request: Request,
        options: RequestOptions,
        answer: oneshot::Sender<Result<Response, RequestError>>,
    ) {
        let Some(entry) = self.table.get(device) else {
            let _ = answer.send(ended());
            return;
        };
        // A request that can never be sent is refused now, not when the device wakes up.
        let context = DeviceContext {
            definition: options.definition,
            ..Shard::context(&self.shared, entry)
        };
        let checked = match options.unchecked {
            true => Ok(()),
            false => management::check(&request, &context),
        };
        if let Err(error) = checked.and_then(|()| management::encode(&request, &context)) {
            let _ = answer.send(Err(error));
            return;
        }
        let timeout = options.timeout;
        let task = Task::Operation {
            request,
            options,
            answer,
        };
        self.submit(now, device, task, timeout);
    }

    /// Takes the cancellation of an observation.
    pub(super) fn submit_cancel(
        &mut self,
        now: Now,
        device: Location,
        observation: ObservationId,
        (mode, by): (CancelMode, Canceller),
        answer: oneshot::Sender<Result<(), RequestError>>,
    ) {
        if self.find_observation(device, observation).is_none() {
            let _ = answer.send(match self.table.get(device) {
                Some(_) => Err(RequestError::NoObservation),
                None => ended(),
            });
            return;
        }
        match mode {
            CancelMode::Passive => {
                self.drop_observation(now, device, observation, by.reason());
                let _ = answer.send(Ok(()));
            }
            CancelMode::Active => {
                let answer = Some(answer);
                let task = Task::Cancel {
                    observation,
                    by,
                    answer,
                };
                self.submit(now, device, task, None);
            }
        }
    }

    fn submit(&mut self, now: Now, device: Location, task: Task, timeout: Option<Duration>) {
        let timeout = timeout.unwrap_or(self.shared.config.request_timeout);
        let deadline_ms = self
            .ms(now.instant)
            .saturating_add(timeout.as_millis().try_into().unwrap_or(u64::MAX));
        let max = self.shared.config.limits.device_queue_max;
        let Some(entry) = self.table.get_mut(device) else {
            return task.fail(RequestError::RegistrationEnded);
        };
        let downlink = entry.downlink.get_or_insert_default();
        if downlink.waiting.len() >= max {
            downlink.waiting.retain(|job| !job.task.is_withdrawn());
        }
        if downlink.waiting.len() >= max {
            return task.fail(RequestError::QueueFull);
        }
        downlink.waiting.push_back(Job { task, deadline_ms });
        self.pump(now, device);
        self.arm(device);
    }

    /// Puts the next request of a device on its way, when none is and the device hears.
    pub(super) fn pump(&mut self, now: Now, device: Location) {
        self.note_sleep(now, device);
        let now_ms = self.ms(now.instant);
        loop {
            let reachable = (self.table.get(device)).is_some_and(|entry| self.is_reachable(entry));
            let Some(entry) = self.table.get_mut(device) else {
                return;
            };
            let Some(downlink) = &mut entry.downlink else {
                return;
            };
            // A device whose session is over is waited for like one that sleeps.
            if !reachable && !downlink.waiting.is_empty() {
                return;
            }
            if downlink.active.is_some() || (entry.asleep && !downlink.waiting.is_empty()) {
                return;
            }
            let Some(job) = downlink.waiting.pop_front() else {
                entry.downlink = None;
                return;
            };
            if job.task.is_withdrawn() {
                continue;
            }
            if job.deadline_ms <= now_ms {
                job.task.fail(RequestError::Deadline);
                continue;
            }
            match self.start(now, device, job) {
                Start::OnItsWay => return,
                Start::Over => continue,
            }
        }
    }

    fn start(&mut self, now: Now, device: Location, job: Job) -> Start {
        let job = match self.make_way(now, device, job) {
            Ok(job) => job,
            Err(over) => return over,
        };
        let Some(entry) = self.table.get(device) else {
            job.task.fail(RequestError::RegistrationEnded);
            return Start::Over;
        };
        let (peer, security) = (entry.peer, self.context_for(entry));
        let context = Shard::context(&self.shared, entry);
        let encoded = match &job.task {
            Task::Operation {
                request, options, ..
            } => {
                let context = DeviceContext {
                    definition: options.definition,
                    ..context
                };
                management::encode(request, &context)
            }
            Task::Cancel {
                observation, by, ..
            } => {
                let standing = self.find_observation(device, *observation);
                let token = standing.and_then(|o| self.endpoint.request_token(o.request));
                let (Some(standing), Some(token)) = (standing, token) else {
                    // It ended while its cancellation waited: that is what was asked for.
                    self.drop_observation(now, device, *observation, by.reason());
                    job.task.succeed_cancel();
                    return Start::Over;
                };
                let request = management::encode(&standing.origin.request, &context);
                request.map(|mut request| {
                    request.observe = Some(false);
                    request.token = Some(token);
                    request
                })
            }
        };
        let sent = encoded.and_then(|request| {
            let request = OutgoingRequest {
                security,
                ..request
            };
            self.endpoint
                .request(now.instant, peer, request)
                .map_err(request_error)
        });
        match sent {
            Err(error) => {
                if let Task::Cancel {
                    observation, by, ..
                } = &job.task
                {
                    // What cannot be cancelled by a request is cancelled by a reset.
                    self.drop_observation(now, device, *observation, by.reason());
                }
                job.task.fail(error);
                Start::Over
            }
            Ok(exchange) => {
                self.exchanges.insert(exchange, device);
                if let Some(entry) = self.table.get_mut(device) {
                    let downlink = entry.downlink.get_or_insert_default();
                    downlink.active = Some(Active { exchange, job });
                }
                Start::OnItsWay
            }
        }
    }

    /// Before an observe request: the limit, and the end of an observation of the same target,
    /// which the new one replaces (a device keeps one for each path).
    fn make_way(&mut self, now: Now, device: Location, job: Job) -> Result<Job, Start> {
        let Task::Operation { request, .. } = &job.task else {
            return Ok(job);
        };
        let Some(target) = observations::target(request) else {
            return Ok(job);
        };
        let Some(entry) = self.table.get_mut(device) else {
            return Ok(job);
        };
        let mut standing = 0;
        let mut same = None;
        for observation in self.observations.chain(entry.observations) {
            standing += 1;
            if observation.origin.target == target {
                same = Some(observation.id);
            }
        }
        if let Some(observation) = same {
            let deadline_ms = job.deadline_ms;
            let downlink = entry.downlink.get_or_insert_default();
            downlink.waiting.push_front(job);
            let cancel = Job {
                task: Task::Cancel {
                    observation,
                    by: Canceller::Successor,
                    answer: None,
                },
                deadline_ms,
            };
            return Err(self.start(now, device, cancel));
        }
        let max = self.shared.config.limits.observations_max;
        if standing >= max {
            job.task.fail(RequestError::TooManyObservations { max });
            return Err(Start::Over);
        }
        Ok(job)
    }

    /// Fails the requests of a device whose deadline has passed.
    pub(super) fn pass_deadlines(&mut self, now: Now, device: Location) {
        let now_ms = self.ms(now.instant);
        let connected = self
            .table
            .get(device)
            .is_none_or(|entry| self.is_connected(entry));
        let Some(entry) = self.table.get_mut(device) else {
            return;
        };
        let Some(downlink) = &mut entry.downlink else {
            return;
        };
        let waiting = match (connected, entry.asleep) {
            (false, _) => RequestError::NotConnected,
            (true, true) => RequestError::Asleep,
            (true, false) => RequestError::Deadline,
        };
        let line = std::mem::take(&mut downlink.waiting);
        let passed = |job: &Job| job.deadline_ms <= now_ms;
        let (late, rest): (VecDeque<Job>, VecDeque<Job>) = line.into_iter().partition(passed);
        downlink.waiting = rest;
        let active = downlink
            .active
            .take_if(|active| active.job.deadline_ms <= now_ms);
        for job in late {
            job.task.fail(waiting.clone());
        }
        if let Some(Active { exchange, job }) = active {
            self.exchanges.remove(&exchange);
            self.endpoint.cancel(exchange);
            if let Task::Cancel {
                observation, by, ..
            } = &job.task
            {
                // The cancellation has taken the place of the observation in the engine.
                self.drop_observation(now, device, *observation, by.reason());
            }
            job.task.fail(RequestError::Deadline);
        }
        self.pump(now, device);
    }

    pub(super) fn take_active(&mut self, request: RequestId) -> Option<(Location, Job)> {
        let device = self.exchanges.remove(&request)?;
        let downlink = self.table.get_mut(device)?.downlink.as_mut()?;
        let active = downlink
            .active
            .take_if(|active| active.exchange == request)?;
        Some((device, active.job))
    }
}

impl Task {
    fn succeed_cancel(self) {
        if let Task::Cancel {
            answer: Some(answer),
            ..
        } = self
        {
            let _ = answer.send(Ok(()));
        }
    }
}

fn request_error(error: lwm2m_coap::RequestError) -> RequestError {
    match error {
        lwm2m_coap::RequestError::QueueFull => RequestError::QueueFull,
        error => RequestError::Invalid(error.to_string()),
    }
}
