//! What a run tells of itself: events.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;

use super::super::memory::Tally;
use super::super::planning::{Planned, Wanted};
use super::Run;
use crate::event::EventKind;
use crate::{Reason, RequestError};

impl Run {
    fn tell(&self, kind: impl FnOnce() -> EventKind) {
        self.context.asking.tell(&self.endpoint, kind);
    }

    pub(super) fn tell_plan(&self, planned: Option<&Arc<Planned>>, wanted: &Wanted) {
        self.tell(|| EventKind::ObservePlanned {
            owner: planned.map(|planned| planned.name.to_string()),
            targets: wanted.groups.iter().map(|g| g.target.clone()).collect(),
            left_out: wanted.left_out.clone(),
        });
        if wanted.version_splits {
            let fact =
                "the device's version has no composite operations: one Observe for each path";
            let reason = Reason::new("composite-unsupported", fact)
                .hint("the strategy SINGLE is what such a device gets anyway");
            self.tell_failed("observe-composite", &[], None, reason);
        }
        if wanted.recalled_splits {
            let fact =
                "the device has answered no Observe-Composite before: one Observe for each path";
            let reason = Reason::new("composite-skipped", fact).hint(
                "the strategy SINGLE is what it gets; composites are tried again when its objects, \
                 its version or the strategy change, or after limits.observe_unanswered_time",
            );
            self.tell_failed("observe-composite", &[], None, reason);
        }
    }

    pub(super) fn tell_established(&self, tally: Tally) {
        self.tell(|| EventKind::ObserveEstablished {
            made: tally.made,
            cancelled: tally.cancelled,
            failed: tally.failed,
        });
    }

    pub(super) fn tell_unreachable(&self, paths: &[Path], fact: &'static str) {
        let reason =
            Reason::new("device-unreachable", fact).hint("its plan goes on when it is heard of");
        self.tell_failed("plan", paths, None, reason);
    }

    pub(super) fn tell_failed(
        &self,
        operation: &'static str,
        paths: &[Path],
        code: Option<Code>,
        reason: Reason,
    ) {
        self.tell(|| EventKind::ObserveFailed {
            operation,
            paths: paths.to_vec(),
            code,
            reason,
        });
    }

    /// A request was not answered, or not in earnest: it goes out again.
    pub(super) fn tell_retry(
        &self,
        operation: &'static str,
        paths: &[Path],
        (error, code): (&RequestError, Option<Code>),
        (attempts, delay): (u32, Duration),
    ) {
        let all = self.context.back_off.retries_max.saturating_add(1);
        let seconds = delay.as_secs_f64().ceil();
        let fact = format!("{error}: attempt {attempts} of {all}, the next one in {seconds} s");
        let reason = match code {
            Some(_) => Reason::new("device-busy", fact)
                .hint("nothing to do, unless it goes on: then observe less of the device"),
            None => Reason::new("not-answered", fact)
                .hint("if it is only slow, raise server.request_timeout_s; see limits.observe_retries_max"),
        };
        self.tell_failed(operation, paths, code, reason);
    }
}
