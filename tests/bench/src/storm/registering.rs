//! A storm of registrations alone, for benches of what stands in their way.

use std::path::Path;
use std::thread;

use super::child::Server;
use super::fleet::Phase;
use super::side::{Security, Side};

/// What registrations cost a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registering {
    pub(crate) requests: u64,
    pub(crate) lost: u64,
    pub(crate) per_s: f64,
    /// Microseconds of CPU time for each.
    pub(crate) cpu_us: f64,
    /// How often plugins were asked.
    pub(crate) plugin_calls: u64,
}

/// Messages on their way at once.
const IN_FLIGHT: u32 = 64;

/// Lets devices register at a server of its own, with the plugins of a settings file.
pub(crate) fn registering(devices: u32, plugins: Option<&Path>) -> anyhow::Result<Registering> {
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(plugins.map(|file| format!("--plugins={}", file.display())));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Server::start_own(&arguments)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / 2).max(1) as u32;
    let mut side = Side::new(Security::None, server, devices, threads, IN_FLIGHT)?;
    let measured = side.send("register", Phase::Register)?;
    let statistics = side.server.ask("statistics")?;
    let outcome = &measured.outcome;
    Ok(Registering {
        requests: outcome.requests,
        lost: outcome.lost,
        per_s: measured.count as f64 / outcome.elapsed.as_secs_f64(),
        cpu_us: measured.cpu_us(),
        plugin_calls: statistics["plugin_calls"].as_u64().unwrap_or_default(),
    })
}
