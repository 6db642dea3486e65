//! *Observe strategies*: what the server observes on devices by itself.
//!
//! ```text
//! registered, links changed, new strategies ─> desk ─> run of one device
//!                                                       │ plan: interceptors, else the strategies
//!                                                       │ planning: the groups that it comes to
//!                                                       │ steps: what of them is missing
//!                                                       └ requests through the device's queue
//! ```
//!
//! A plan is a wish: its paths, which of them share an observation, and the attributes that are
//! written before. `planning` holds it against what the device has registered, `steps` against
//! what stands; both are functions without sockets and clock. What follows from them is carried out
//! by a `run`, one for each device, as requests like those of applications: they wait for their
//! turn behind others, and never run on the thread of a shard. The `desk` says when: so many
//! devices side by side as `limits.observe_plans_parallel_max`, the others in line.
//!
//! **What stands is the shard's to know.** Each run asks it anew, so that nothing has to be kept in
//! step; a device whose plan stands costs what the run has to remember: the plan, shared where it
//! comes from a rule, and the attributes that were written. Without strategies, and without
//! interceptors that make plans, a device costs nothing.
//!
//! **Rules are of two kinds.** Those of the configuration, and before them those that operators have
//! set at run time; the file that keeps these is followed. A change has all devices looked at anew, so
//! many in a second as `limits.observe_replans_per_second`.
//!
//! **What was made by hand is not touched.** Observations of a plan are marked. Where an
//! application observes just what the plan wants, its observation counts for both. One of the plan
//! that an application cancels stays away until the plan or the links change.
//!
//! **A registration is the measure.** When a device registers anew, the run for the older
//! registration ends where it stands, and everything is made anew: the device has forgotten. A group
//! that failed is tried again at the next registration, when the links change and when the
//! strategies do. A device that sleeps or does not acknowledge is waited for: its plan goes on when it
//! is heard of. What it acknowledges and does not answer, it is asked again, later each time. That a
//! device answered no composite at all is known to its next registrations as well, for a while.

mod asking;
mod changes;
mod desk;
mod document;
mod in_service;
mod memory;
mod observer;
mod pace;
mod planning;
mod rule;
mod rules_file;
mod run;
mod steps;
mod strategies;
mod sweep;
mod unanswered;
mod verdicts;

pub use changes::{ObserveRuleChange, ObserveRuleError};
pub use document::{ObserveDocumentError, ObserveRuleDocument, line_of};
pub use in_service::ObserveRuleSource;
pub use rule::{ObserveRule, ObserveRuleFault};
pub use rules_file::ObserveFileError;
pub(crate) use rules_file::RulesFile;

pub(crate) use desk::Desk;
pub use observer::ObserveProgress;
pub(crate) use observer::{Cause, Observer};
pub use strategies::{
    ObserveStrategies, ObserveStrategiesError, ObserveStrategy, UnknownObserveStrategy,
};
