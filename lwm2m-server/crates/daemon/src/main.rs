//! The `lwm2m-server` binary: runs the server, or talks to a running one.
//!
//! An embedder like any other: configuration, wiring and the command line, nothing else. The
//! commands that look at devices are clients of the public HTTP API.

#[macro_use]
mod output;

mod cli;
mod config;
mod follow;
mod plugin_api;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "tls-psk")]
const AFTER_HELP: &str = "Start here: `lwm2m-server --demo`, then `lwm2m-server clients`.
Pre-shared keys over coaps+tcp://: in TLS 1.2 and 1.3 (feature tls-psk).";
#[cfg(not(feature = "tls-psk"))]
const AFTER_HELP: &str = "Start here: `lwm2m-server --demo`, then `lwm2m-server clients`.
Pre-shared keys over coaps+tcp://: in TLS 1.2 only; build with --features tls-psk for TLS 1.3.";

#[derive(Parser)]
#[command(name = "lwm2m-server", version, about = "An LwM2M 1.0, 1.1 and 1.2 server", long_about = None)]
#[command(after_help = AFTER_HELP)]
struct Program {
    #[command(flatten)]
    run: run::Arguments,

    #[command(flatten)]
    api: cli::ApiArguments,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server; what happens when no command is given.
    Run,
    /// Prints a configuration file with every key and its default.
    Config,
    /// Makes the server's key, certificate and raw public key; also a CA, and keys of devices.
    Keygen(cli::keygen::Arguments),
    /// Begins a plugin, looks one over, tests it.
    #[command(subcommand)]
    Plugin(cli::plugin::Command),
    #[command(flatten)]
    Cli(cli::Command),
}

fn main() -> ExitCode {
    let arguments = Program::parse();
    let outcome = match arguments.command {
        None | Some(Command::Run) => run::run(&arguments.run),
        Some(Command::Config) => {
            output::text(config::REFERENCE);
            Ok(())
        }
        Some(Command::Keygen(what)) => cli::keygen::run(&what, arguments.api.json),
        Some(Command::Plugin(what)) => match cli::plugin::run(&what, &arguments.api) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Some(Command::Cli(command)) => cli::run(&arguments.api, &command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(&error, arguments.api.json);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }
}
