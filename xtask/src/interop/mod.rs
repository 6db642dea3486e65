//! `cargo xtask interop`: devices that this project did not write, against the running binary.
//!
//! Each peer is installed when it is not there, each scenario drives the server through its own
//! command line, and one table at the end says what came of it. A peer that cannot be installed
//! is skipped, and the table says so and why.

mod aiocoap;
mod bootstrap;
mod debian;
mod events;
mod leshan;
mod libcoap;
mod observing;
mod peer;
mod plugins;
mod report;
mod secure;
mod server;

use std::path::Path;
use std::time::Instant;

use anyhow::bail;

use report::Report;
use server::Server;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these parts: libcoap, aiocoap, leshan, observe, plugins, bootstrap, dtls, coaps, tls.
    peers: Vec<String>,
}

/// Installs its peers, then runs their scenarios.
enum Scenarios {
    /// Against the binary.
    Binary(fn(&Path, &Server, &mut Report) -> anyhow::Result<()>),
    /// Against a server of their own.
    Own(fn(&Path, &mut Report) -> anyhow::Result<()>),
}

const PEERS: &[(&str, Scenarios)] = &[
    ("libcoap", Scenarios::Binary(libcoap::run)),
    ("aiocoap", Scenarios::Binary(aiocoap::run)),
    ("leshan", Scenarios::Binary(leshan::run)),
    ("observe", Scenarios::Own(observing::run)),
    ("plugins", Scenarios::Own(plugins::run)),
    ("bootstrap", Scenarios::Binary(bootstrap::run)),
    ("dtls", Scenarios::Own(secure::run)),
    ("coaps", Scenarios::Binary(secure::run_binary)),
    ("tls", Scenarios::Own(secure::run_plain_binary)),
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    for peer in &arguments.peers {
        if !PEERS.iter().any(|(name, _)| name == peer) {
            bail!(
                "no peer '{peer}': use libcoap, aiocoap, leshan, observe, plugins, bootstrap, dtls, \
                 coaps or tls"
            );
        }
    }
    let begun = Instant::now();
    let mut server = None;
    let mut report = Report::default();
    for (name, scenarios) in PEERS {
        if !arguments.peers.is_empty() && !arguments.peers.iter().any(|peer| peer == name) {
            continue;
        }
        println!("--- {name}");
        let outcome = match scenarios {
            Scenarios::Own(scenarios) => scenarios(root, &mut report),
            Scenarios::Binary(scenarios) => {
                let server = match server {
                    Some(ref server) => server,
                    None => server.insert(Server::start(root)?),
                };
                scenarios(root, server, &mut report)
            }
        };
        if let Err(reason) = outcome {
            report.skip(name, "all", &format!("{reason:#}"));
        }
    }
    report.finish(begun)
}
