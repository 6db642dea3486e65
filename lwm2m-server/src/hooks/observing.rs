//! What interceptors want observed.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{Attributes, ContentFormat, Path};

/// What to observe on a device, and in which observations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObservePlan {
    /// What is observed; what the device has not registered is left out, and comes when an Update
    /// brings it. At most `limits.observe_targets_max`.
    pub targets: Vec<ObserveTarget>,
    /// Which of it in one observation.
    pub grouping: Grouping,
    /// The format to ask for; what the device's version prefers when none. Left out where a device of
    /// LwM2M 1.0, or a composite, cannot have it.
    pub format: Option<ContentFormat>,
    /// When to start, after the registration; for fleets that come back all at once. At most a day.
    pub delay: Duration,
    /// Who made it, where an interceptor speaks for several; the server hands it back with
    /// [`Interceptor::observe_failed`](crate::Interceptor::observe_failed).
    pub owner: Option<Arc<str>>,
}

/// A path that is observed.
#[derive(Debug, Clone, PartialEq)]
pub struct ObserveTarget {
    /// An object, an instance or a resource.
    pub path: Path,
    /// Written before the observation is made; empty for as they are.
    pub attributes: Attributes,
}

/// Which targets share an observation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Grouping {
    /// None: one Observe for each.
    #[default]
    Single,
    /// All: one Observe-Composite. A device that cannot gets one Observe for each.
    CompositeAll,
    /// Those of one object: one Observe-Composite for each object id.
    CompositeByObject,
    /// As given: indices into the targets; a group of one is a plain Observe.
    Custom(Vec<Vec<u32>>),
}

/// Why a group could not be observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObserveFailure {
    /// 4.04
    NotFound,
    /// 4.05, 4.01 or 4.03
    NotAllowed,
    /// No answer.
    Timeout,
    /// 4.06 or 4.15
    UnsupportedFormat,
    /// Anything else.
    Other,
}

/// What becomes of a group that could not be observed.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Repair {
    /// It stays in the plan and is tried again at the next registration, or when the links or the
    /// plan change.
    #[default]
    Keep,
    /// It leaves the plan for as long as the registration lasts and the plan is the same.
    Drop,
    /// Another plan takes the place of the group; the other groups stay. Its delay does not count.
    Replace(ObservePlan),
}
