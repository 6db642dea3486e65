//! A LwM2M client: a library, the `lwm2m-device` binary and a fleet simulator.
//!
//! - [`Device`] puts a device together and runs it on tokio; [`DeviceHandle`] is its owner's side.
//! - [`Object`] is what a device is made of; [`objects`] has ready-made ones.
//! - [`Client`] is the state machine below, without sockets and clock, for tests that hold the wire
//!   themselves.
//! - [`Quirks`] are deviations that real devices show.
//! - [`Fleet`] runs thousands of devices, [`Storm`] as many as a server can take.
//! - [`evaluate`] decides when a value is reported: a pure function over [`Conditions`].
//!
//! LwM2M 1.0, 1.1 and 1.2 over UDP and TCP, with DTLS, TLS (feature `tls-psk`), OSCORE, both or
//! neither, one server account, which a bootstrap server may give. Access control and further
//! transports are not simulated.

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
    BootstrapAccount, Client, ClientConfig, ClientStatistics, DeviceEvent, DtlsAccount,
    ObservationId, OscoreAccount, Quirks, RegistrationError, Retry, SendError, SendId, StandIn,
};
pub use demo::demo_devices;
pub use device::{Device, DeviceBuilder, DeviceError, DeviceHandle, DeviceStatus, StartError};
#[cfg(feature = "tls-psk")]
pub use device::{TlsAccount, TlsVersion};
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
