//! How calls and answers are written: in the fixtures of plugins, and where they are shown.
//!
//! The same words serve both ways, so that what `plugin run` shows can be put into a fixture. In
//! what is expected, a key that is left out is not compared.

mod answer;
mod bootstrap;
mod delivery;
mod device;
mod input;
mod value;

pub(crate) use answer::AnswerForm;
pub(crate) use bootstrap::{BootstrapEndForm, BootstrapForm};
pub(crate) use delivery::{EventForm, JobForm};
pub(crate) use device::{RegistrationForm, RequestForm};
pub(crate) use input::{BatchForm, CallForm, EndReasonForm, FailureForm, UpdateForm};
pub(crate) use value::{BytesForm, MeasurementForm, PathForm, ValueForm};
