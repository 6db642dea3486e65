//! `cargo xtask interop`: devices that this project did not write, against the running binary.
//!
//! Each peer is installed when it is not there, each scenario drives the server through its own
//! command line, and one table at the end says what came of it. A peer that cannot be installed
//! is skipped, and the table says so and why.

mod aiocoap;
mod leshan;
mod libcoap;
mod peer;
mod report;
mod server;

use std::path::Path;

use anyhow::bail;

use report::Report;
use server::Server;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these peers: libcoap, aiocoap, leshan.
    peers: Vec<String>,
}

/// A peer: installs itself, then runs its scenarios.
type Scenarios = fn(&Path, &Server, &mut Report) -> anyhow::Result<()>;

const PEERS: &[(&str, Scenarios)] = &[
    ("libcoap", libcoap::run),
    ("aiocoap", aiocoap::run),
    ("leshan", leshan::run),
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    for peer in &arguments.peers {
        if !PEERS.iter().any(|(name, _)| name == peer) {
            bail!("no peer '{peer}': use libcoap, aiocoap or leshan");
        }
    }
    let server = Server::start(root)?;
    let mut report = Report::default();
    for (name, scenarios) in PEERS {
        if !arguments.peers.is_empty() && !arguments.peers.iter().any(|peer| peer == name) {
            continue;
        }
        println!("--- {name}");
        if let Err(reason) = scenarios(root, &server, &mut report) {
            report.skip(name, "all", &format!("{reason:#}"));
        }
    }
    drop(server);
    report.finish()
}
