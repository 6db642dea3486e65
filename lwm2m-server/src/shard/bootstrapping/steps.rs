//! The steps of a bootstrap session: sent, answered or not, and told of.

use lwm2m_coap::{Failure, IncomingResponse, OutgoingRequest, RequestId};

use super::{Running, Stage, too_slow};
use crate::bootstrap::session::{Answer, StepFailure, Turn};
use crate::event::EventKind;
use crate::shard::{Now, Shard};
use crate::transport::Peer;
use crate::{EndpointName, Reason};

impl Shard {
    /// Puts the next step of a session on its way.
    pub(super) fn advance_bootstrap(&mut self, now: Now, id: u64) {
        loop {
            let Some(running) = self.bootstraps.sessions.get_mut(&id) else {
                return;
            };
            let (handle, endpoint) = (running.handle, running.request.endpoint.clone());
            let Stage::Bootstrapping { session, exchange } = &mut running.stage else {
                return;
            };
            let request = match session.next(&*self.shared.models) {
                Ok(request) => request,
                Err(failure) => {
                    let turn = session.failed(&failure);
                    self.tell_failure(now, &endpoint, failure);
                    match turn {
                        Turn::Next => continue,
                        Turn::Finished => return self.end_bootstrap(now, id, Ok(())),
                        Turn::Ended(reason) => return self.end_bootstrap(now, id, Err(reason)),
                    }
                }
            };
            let request = OutgoingRequest {
                security: handle.security(),
                timeout: Some(self.shared.config.bootstrap.step_timeout),
                ..request
            };
            let sent = self.endpoint.request(now.instant, handle.peer(), request);
            match sent {
                Ok(request) => {
                    *exchange = Some(request);
                    self.bootstraps.exchanges.insert(request, id);
                }
                Err(error) => {
                    let reason = Reason::new("not-sent", error.to_string()).hint(
                        "the device has left, or the plan writes more than coap.body_max, or than \
                             the device takes in one message of its connection",
                    );
                    self.end_unanswered(now, id, reason);
                }
            }
            return;
        }
    }

    /// Takes the answer to a request of a bootstrap session; false when it was to another one.
    pub(in crate::shard) fn on_bootstrap_response(
        &mut self,
        now: Now,
        response: &IncomingResponse<'_, Peer>,
    ) -> bool {
        let Some(id) = self.bootstraps.take_exchange(response.request) else {
            return false;
        };
        let Some(running) = self.bootstraps.sessions.get_mut(&id) else {
            return true;
        };
        let Stage::Bootstrapping { session, exchange } = &mut running.stage else {
            return true;
        };
        *exchange = None;
        let answer = Answer {
            code: response.message.code(),
            content_format: response.message.content_format(),
            body: &response.body,
        };
        let (failure, turn) = session.answered(answer, &*self.shared.models);
        if let Some(failure) = failure {
            let endpoint = running.request.endpoint.clone();
            self.tell_failure(now, &endpoint, failure);
        }
        match turn {
            Turn::Next => self.advance_bootstrap(now, id),
            Turn::Finished => self.end_bootstrap(now, id, Ok(())),
            Turn::Ended(reason) => self.end_bootstrap(now, id, Err(reason)),
        }
        true
    }

    /// A request of a bootstrap session ended without an answer; false when it was another one.
    pub(in crate::shard) fn on_bootstrap_failure(
        &mut self,
        now: Now,
        request: RequestId,
        failure: Failure,
    ) -> bool {
        let Some(id) = self.bootstraps.take_exchange(request) else {
            return false;
        };
        self.end_unanswered(now, id, unanswered(failure));
        true
    }

    /// Ends the sessions whose time is over.
    pub(in crate::shard) fn bootstrap_timers(&mut self, now: Now) {
        while let Some((due, id)) = self.bootstraps.deadlines.first().copied()
            && due <= now.instant
        {
            self.bootstraps.deadlines.pop_first();
            let asking = self.bootstraps.sessions.get(&id).is_some_and(Running::asks);
            match asking {
                true => self.refuse_bootstrap(now, id, too_slow()),
                false => {
                    let reason = Reason::new("session-timeout", "the session took too long").hint(
                        "a device gives up after 247 s: write less, or look why it answers slowly",
                    );
                    self.end_unanswered(now, id, reason);
                }
            }
        }
    }

    /// The device has begun anew, on this shard or another one.
    pub(in crate::shard) fn bootstrap_replaced(&mut self, now: Now, id: u64) {
        let reason = Reason::new("begun-anew", "the device has begun another session")
            .hint("it restarted, or did not hear the answer to its request");
        self.end_bootstrap(now, id, Err(reason));
    }

    /// The step under way gets no answer: the session is over.
    fn end_unanswered(&mut self, now: Now, id: u64, reason: Reason) {
        let Some(running) = self.bootstraps.sessions.get(&id) else {
            return;
        };
        if let Stage::Bootstrapping { session, .. } = &running.stage {
            let endpoint = running.request.endpoint.clone();
            let failure = session.unanswered(reason.clone());
            self.tell_failure(now, &endpoint, failure);
        }
        self.end_bootstrap(now, id, Err(reason));
    }

    /// Ends a session, and tells how.
    fn end_bootstrap(&mut self, now: Now, id: u64, outcome: Result<(), Reason>) {
        let Some(running) = self.remove_bootstrap(id) else {
            return;
        };
        let (step, steps, failures) = match &running.stage {
            Stage::Asking(_) => (0, 0, 0),
            Stage::Bootstrapping { session, .. } => {
                (session.step(), session.steps(), session.failures())
            }
        };
        let endpoint = &running.request.endpoint;
        tracing::debug!(shard = self.id, %endpoint, ?outcome, steps, failures, "bootstrap ended");
        self.tell_bootstrapped(now, endpoint, outcome.as_ref().err());
        self.emit(now, Some(endpoint), || match outcome {
            Ok(()) => EventKind::BootstrapFinished { steps, failures },
            Err(reason) => EventKind::BootstrapFailed { step, reason },
        });
    }

    fn tell_failure(&self, now: Now, endpoint: &EndpointName, failure: StepFailure) {
        tracing::debug!(shard = self.id, %endpoint, step = failure.step, reason = %failure.reason.message, "bootstrap step failed");
        let StepFailure {
            step,
            operation,
            path,
            code,
            reason,
        } = failure;
        self.emit(now, Some(endpoint), || EventKind::BootstrapStepFailed {
            step,
            operation,
            path,
            code,
            reason,
        });
    }
}

fn unanswered(failure: Failure) -> Reason {
    let (word, hint) = match failure {
        Failure::NotAcknowledged => (
            "not-acknowledged",
            "the device left, sleeps, or is behind a network that forgot it; it tries again",
        ),
        Failure::NoResponse => (
            "no-response",
            "the device acknowledged and said no more: see its log",
        ),
        Failure::Reset => (
            "reset",
            "the device does not take bootstrap requests: it may have restarted",
        ),
        Failure::PeerGone => ("session-ended", "its session or connection ended"),
        Failure::Protection(_) | Failure::Unprotected(_) => (
            "not-protected",
            "its OSCORE context changed, here or on the device",
        ),
        _ => ("protocol-violation", "see the log of the device"),
    };
    Reason::new(word, failure.to_string()).hint(hint)
}
