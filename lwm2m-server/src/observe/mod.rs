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
//! **What was made by hand is not touched.** Observations of a plan are marked. Where an
//! application observes just what the plan wants, its observation counts for both.
//!
//! **A registration is the measure.** When a device registers anew, the run for the older
//! registration ends where it stands, and everything is made anew: the device has forgotten. A group
//! that failed is tried again at the next registration, when the links change and when the
//! strategies do. A device that sleeps or does not answer is waited for: its plan goes on when it is
//! heard of.

mod asking;
mod desk;
mod memory;
mod observer;
mod planning;
mod run;
mod steps;
mod strategies;
mod verdicts;

pub(crate) use desk::Desk;
pub(crate) use observer::{Cause, Observer};
pub use strategies::{
    ObserveRule, ObserveRuleFault, ObserveStrategies, ObserveStrategiesError, ObserveStrategy,
    UnknownObserveStrategy,
};
