//! `lwm2m-server plugin`: for authors of plugins.

mod check;
mod list;
mod new;
mod run;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use check::Refused;

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
    /// Asks a plugin what its fixtures say, and runs the functions of a script whose names begin with
    /// test_, without a server; says what differs.
    Test {
        /// A script, a component, or the folder of a plugin.
        plugin: PathBuf,
        /// A fixture; all `tests/*.toml` and `fixtures/*.toml` beside the plugin when none is named.
        #[arg(long, value_name = "FILE")]
        fixture: Vec<PathBuf>,
        /// What its init gets while test functions are run, as for `check`; fixtures have their own.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Runs a plugin with a server on loopback and a simulated device, and shows each call, until
    /// Ctrl-C. What is saved is in service at once.
    Run(run::Arguments),
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
        Command::Run(arguments) => run::run(arguments, json)?,
        Command::List => list::run(&Api::new(&api.server)?, json)?,
        Command::Test {
            plugin,
            fixture,
            config,
        } => return test::run(plugin, fixture, config.as_deref(), json),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where compiled components are kept from one command to the next, as those with an engine in them take
/// many seconds: the folder of caches of whoever runs this; none where there is no such folder.
fn cache() -> Option<PathBuf> {
    let folder = |variable| {
        let folder = std::env::var_os(variable).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("lwm2m-server"))
}
