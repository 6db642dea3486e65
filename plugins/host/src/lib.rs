//! Plugins in WASM and Rhai behind the hooks of `lwm2m-server`.
//!
//! ```text
//! server ─> PluginHost (an Interceptor) ─> chain: plugins in their order for this hook
//!                                            └─> plugin: breaker, statistics, time limit
//!                                                 └─> here or at a worker ─> Guest::call(Call) ─> Reply
//!                                                                 ├─ wasm: pool of instances, WIT
//!                                                                 └─ rhai: one engine, one script
//!                      host functions <── CallContext (who asks, what it may, what is left)
//! directory ─> watch ─> read manifest, compile, check, init ─> swap between two calls
//! ```
//!
//! A guest answers one [`Call`] with one [`Reply`], or fails with a [`Failure`]; it knows nothing
//! of the server, of order, of other plugins. What a failure means is decided once, here: `fail =
//! "open"` goes on as if the plugin had no opinion, `fail = "closed"` refuses. After several in a
//! row the plugin is switched off for a while.
//!
//! A component begins where it is asked, on a shard even, since the way to a worker costs more than
//! most calls: it is taken off there at the next tick of its clock, and one that is slow is not asked
//! there any more (`pace`). A script cannot give way, and runs on the workers only (`lane`).
//!
//! Waiting for an answer is bounded by the time limit of the hook, from the moment that the server
//! asks: a plugin that holds all its workers costs those who ask it their time limit, and nobody else
//! anything.

mod breaker;
mod call;
mod chain;
mod checksum;
mod config;
mod context;
mod failure;
mod file;
mod find;
mod fixture;
mod form;
mod guest;
mod hook;
mod host;
mod lane;
mod load;
mod manifest;
mod pace;
mod permission;
mod place;
mod plugin;
#[cfg(feature = "rhai")]
mod script;
mod services;
mod spelling;
mod stamp;
mod statistics;
mod stripes;
mod trace;
#[cfg(feature = "wasm")]
mod wasm;
mod watch;
mod workers;

pub use breaker::{BreakerConfig, BreakerState, BreakerStatus, LastFailure};
pub use call::{Call, Reply};
pub use config::{ConfigError, FailPolicy, PluginConfig, PluginLimits, PluginsConfig, check_name};
pub use failure::Failure;
#[cfg(feature = "rhai")]
pub use fixture::run_tests;
pub use fixture::{Asked, CallReport, Difference, Fixture, FixtureReport, run_fixtures};
pub use hook::Fail;
pub use host::{OpenError, PluginHost, PluginStatus};
pub use load::{Checked, LoadError, check};
pub use manifest::Manifest;
pub use permission::{DeviceOperation, PathPattern, Permission, PermissionError, UrlPrefix};
pub use services::PluginMetric;
pub use spelling::unknown_name;
pub use statistics::HookFigures;
pub use trace::CallTrace;
