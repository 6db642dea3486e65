//! A LwM2M client: a library, the `lwm2m-device` binary and a fleet simulator.

mod client;
mod demo;
mod device;
mod fleet;
mod object;
pub mod objects;
mod refusal;
mod reporting;
mod tree;

pub use client::{
    Client, ClientConfig, ClientStatistics, DeviceEvent, ObservationId, Quirks, RegistrationError,
    Retry, SendError, SendId,
};
pub use demo::demo_devices;
pub use device::{Device, DeviceBuilder, DeviceError, DeviceHandle, DeviceStatus, StartError};
pub use fleet::{
    Fleet, FleetConfig, FleetCounters, FleetError, FleetStatus, Job, Storm, StormConfig,
    StormError, StormOutcome,
};
pub use object::{
    Context, Definition, DownloadError, Effect, Object, ResourceValue, SimpleObject, Store,
};
pub use refusal::Refusal;
pub use reporting::{Conditions, Situation, Verdict, evaluate};
pub use tree::ObjectTree;
