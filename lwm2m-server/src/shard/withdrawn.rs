//! Observations of plans that an application has cancelled: their plans leave them alone.

use hashbrown::HashMap;

use super::Shard;
use super::observations::Observation;
use crate::mailbox::Canceller;
use crate::registration::Location;
use crate::{ObservationTarget, Reason};

/// What was cancelled by hand, for the devices where something was.
#[derive(Debug, Default)]
pub(crate) struct Withdrawn(HashMap<Location, Vec<ObservationTarget>>);

impl Withdrawn {
    /// Keeps at most `max` of a device, the youngest.
    fn add(&mut self, device: Location, target: &ObservationTarget, max: usize) {
        let targets = self.0.entry(device).or_default();
        if !targets.contains(target) {
            targets.push(target.clone());
        }
        if targets.len() > max {
            targets.remove(0);
        }
    }

    pub(super) fn of(&self, device: Location) -> Vec<ObservationTarget> {
        self.0.get(&device).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&mut self, device: Location) {
        self.0.remove(&device);
    }
}

impl Shard {
    /// Notes it when an observation has ended that is one of a plan, and that an application has
    /// cancelled.
    pub(super) fn note_withdrawn(&mut self, observation: &Observation, reason: Reason) -> Reason {
        if !(observation.planned && reason == Canceller::Application.reason()) {
            return reason;
        }
        let max = self.shared.config.limits.observations_max;
        self.withdrawn
            .add(observation.device, &observation.origin.target, max);
        reason.hint("its plan leaves it alone until the plan or the links of the device change")
    }
}

impl Canceller {
    const CANCELLED: &str = "cancelled";
    const PLAN_CHANGED: &str = "plan-changed";
    const REPLACED: &str = "replaced";

    pub(super) fn reason(self) -> Reason {
        match self {
            Canceller::Application => {
                Reason::new(Canceller::CANCELLED, "the application cancelled it")
            }
            Canceller::Plan => Reason::new(
                Canceller::PLAN_CHANGED,
                "the observe plan of the device does not have it like this any more",
            ),
            Canceller::Successor => {
                Reason::new(Canceller::REPLACED, "another observation takes its place")
            }
        }
    }

    /// True when an observation has ended since we wanted it.
    pub(super) fn caused(reason: &Reason) -> bool {
        [
            Canceller::CANCELLED,
            Canceller::PLAN_CHANGED,
            Canceller::REPLACED,
        ]
        .contains(&reason.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_core::Path;

    #[test]
    fn one_more_than_the_limit_pushes_out_the_oldest() {
        let device = Location {
            shard: 0,
            generation: 1,
            slot: 2,
        };
        let target = |object| ObservationTarget::Single(Path::object(object));
        let mut withdrawn = Withdrawn::default();
        for object in [3, 4, 4, 5] {
            withdrawn.add(device, &target(object), 2);
        }
        assert_eq!(withdrawn.of(device), [target(4), target(5)]);
        withdrawn.forget(device);
        assert!(withdrawn.of(device).is_empty());
    }
}
