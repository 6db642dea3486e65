//! The LwM2M server framework: embed it, extend it, run it.
//!
//! ```text
//! datagrams ─> transport ─> coap engine ─> registration ─> interceptors ─> authorizer ─> table ─> event
//!                 │             │
//!                 │             ├─> observation (notify) ─> decode ─> interceptors ─> event
//!                 │             └─> send ─> decode ─> interceptors ─> event
//!                 └── one shard for each core owns all of it; nothing is shared but
//!                     the directory (endpoint -> shard, slot) and the shards' mailboxes
//!
//! Device::read … ─> directory ─> mailbox of the owning shard ─> device queue ─> management (encode)
//!                 ─> coap exchange ─> management (decode) ─> answer
//! ```
//!
//! To follow a message through the code: `shard/run.rs` is the loop that receives it, `shard/mod.rs`
//! takes it and asks the CoAP engine what it is, `shard/uplink.rs` finds the resource that a request
//! is for, and `shard/registering.rs` or `shard/reporting.rs` serve it. A request to a device goes
//! from [`Device::send`] to `shard/downlink.rs`, its answer through `shard/answers.rs`. What must
//! happen later is one timer for each registration, in `shard/wheel.rs`.
//!
//! A device that has no account yet gets one from [`mod@bootstrap`]; what is observed on devices by
//! itself is the business of [`mod@observe`].
//!
//! Three ways to extend, and no fourth: *replace* ([`Authorizer`], models), *intercept*
//! ([`Interceptor`]), *subscribe* ([`Event`]).

mod authorizer;
pub mod bootstrap;
mod bounded_file;
mod builder;
mod capabilities;
mod config;
pub mod conformance;
pub mod credentials;
mod device;
mod directory;
mod error;
mod event;
mod follower;
pub mod hooks;
mod identity;
pub mod keys;
mod mailbox;
mod management;
mod models;
pub mod observe;
pub mod oscore;
mod registration;
mod response;
pub mod secure_datagram;
mod server;
mod shard;
mod start;
mod transport;
mod typed;

pub use lwm2m_coap::Code;

pub use authorizer::{AllowAll, Authorizer, Refusal, RegistrationRequest};
pub use bounded_file::{read_bytes, read_text};
pub use builder::{Listener, ServerBuilder, StartError};
pub use capabilities::{DtlsCapabilities, ServerCapabilities, TlsCapabilities};
pub use config::{
    BootstrapConfig, ClientAuthentication, DtlsBackend, DtlsConfig, Limits, ServerConfig,
};
pub use device::{CancelMode, Device, RequestOptions};
pub use error::{Reason, RequestError};
pub use event::{Event, EventKind, Events, Lagged};
pub use hooks::{Annotations, Answer, Decision, Hook, HookSet, Interceptor};
pub use identity::{
    Authenticated, OscoreIdentity, PeerIdentity, PskIdentity, RpkIdentity, X509Identity,
};
pub use models::{ModelsDirectory, ModelsLoad};
pub use registration::{Binding, EndpointName, Registration, RegistrationId, RegistrationIdError};
pub use response::{Content, ObservationId, ObservationInfo, ObservationTarget, Response};
pub use server::{ClientFilter, Server, Statistics, WeakServer};
pub use typed::{Instance, Observation, ObservationError, TypedRequestError};

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExample;
