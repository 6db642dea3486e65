//! The bootstrap server: what gives a device its accounts (Core 1.2.2 §6.1).
//!
//! ```text
//! POST /bs?ep=…&pct=… ─> parameters ─> authorizer: may this peer be that endpoint?
//!      └─> BootstrapStore: what is written into it ─> BootstrapPlan
//!            └─> 2.04, and then, one request at a time, each after the answer to the one before:
//!                Discover ─> Delete ─> Write /0, /21, /1, … ─> Read ─> Bootstrap-Finish ─> event
//! GET /bspack?ep=…&acc=… ─> the same checks, the same plan, as one payload (1.2)
//! ```
//!
//! It listens where a [`Listener`](crate::Listener) is [marked](crate::Listener::bootstrap) for it,
//! and goes by the credentials and the [`Authorizer`](crate::Authorizer) of the server: what proves
//! a device to it, over DTLS, TLS or OSCORE, is what decides which endpoint it may be.
//!
//! `session.rs` is one bootstrap from the first operation to the Finish: a step machine without
//! sockets and clock. `shard/bootstrapping.rs` runs it, beside the registrations of the shard.
//! `sessions.rs` knows the sessions of all shards, so that a device has one of them.
//!
//! Where a device keeps the account of the bootstrap server itself is not for the plan to know: a
//! Bootstrap-Discover tells, and what would be written over it gets another instance id.

mod account;
mod document;
mod file;
mod memory;
pub(crate) mod pack;
pub(crate) mod parameters;
mod plan;
pub(crate) mod session;
pub(crate) mod sessions;
mod store;
mod values;

pub use account::{AccountSecurity, DeviceKey, OscoreAccount, ServerAccount};

pub use document::{BootstrapDocument, BootstrapDocumentError};
pub use file::{BootstrapFileError, FileBootstrap};
pub use memory::{BootstrapRule, MemoryBootstrap};
pub use plan::{BootstrapOperation, BootstrapPlan, BootstrapRecords, FailurePolicy};
pub use store::{
    BootstrapAnswer, BootstrapChange, BootstrapRequest, BootstrapStore, BootstrapStoreError,
};
