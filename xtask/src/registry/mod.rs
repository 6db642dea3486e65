//! `cargo xtask registry`: the tool for those who bring their own object definitions.

mod check;
mod compare;
mod definitions;
mod diff;
mod finding;
mod id_class;
mod pull;
mod template;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Fetches object definitions from a registry into a folder.
    Pull(pull::Arguments),
    /// Checks object definitions: errors, warnings and advice, with file and line.
    Check(check::Arguments),
    /// Shows what changed between two folders of object definitions.
    Diff(diff::Arguments),
    /// Writes the definition of an object of your own, to start from.
    New(template::Arguments),
}

/// Runs a task; paths are relative to where the command was given.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.task {
        Task::Pull(arguments) => pull::run(arguments),
        Task::Check(arguments) => check::run(arguments),
        Task::Diff(arguments) => diff::run(arguments),
        Task::New(arguments) => template::run(arguments),
    }
}
