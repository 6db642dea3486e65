//! `lwm2m-server plugin`: for authors of plugins.

mod check;
mod list;
mod new;
mod run;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use super::ApiArguments;
use super::api::Api;

/// What to do with a plugin.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Begins a plugin in a folder of its own.
    New {
        /// Its name: letters, digits, - and _.
        name: String,
        /// The language that it is written in.
        #[arg(long, value_name = "LANGUAGE", value_enum, default_value = "rhai")]
        lang: new::Language,
        /// The folder in which its folder is made.
        #[arg(long, value_name = "FOLDER", default_value = "plugins")]
        directory: PathBuf,
    },
    /// Loads a plugin as the server does, and says what it has or what is wrong.
    Check {
        /// A script, a component, or the folder of a plugin.
        plugin: PathBuf,
        /// What its init gets: a file with the table that `config` has in [[plugins.plugin]].
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Asks a plugin what its fixtures say, without a server, and says what differs.
    Test {
        /// A script, a component, or the folder of a plugin.
        plugin: PathBuf,
        /// A fixture; all `tests/*.toml` and `fixtures/*.toml` beside the plugin when none is named.
        #[arg(long, value_name = "FILE")]
        fixture: Vec<PathBuf>,
    },
    /// Runs a plugin with a server on loopback and a simulated device, and shows each call, until
    /// Ctrl-C. What is saved is in service at once.
    Run {
        /// A script, a component, or the folder of a plugin.
        plugin: PathBuf,
        /// What its init gets: a file with the table that `config` has in [[plugins.plugin]].
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Lists the plugins of a running server, with their figures.
    List,
}

/// Carries out one command.
pub(crate) fn run(command: &Command, api: &ApiArguments) -> anyhow::Result<ExitCode> {
    let json = api.json;
    match command {
        Command::New {
            name,
            lang,
            directory,
        } => new::run(name, *lang, directory, json)?,
        Command::Check { plugin, config } => check::run(plugin, config.as_deref(), json)?,
        Command::Run { plugin, config } => run::run(plugin, config.as_deref(), json)?,
        Command::List => list::run(&Api::new(&api.server)?, json)?,
        Command::Test { plugin, fixture } => return test::run(plugin, fixture, json),
    }
    Ok(ExitCode::SUCCESS)
}
