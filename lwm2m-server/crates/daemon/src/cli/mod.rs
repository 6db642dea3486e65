//! The commands: those that look at devices are clients of the public HTTP API.

mod api;
mod bodies;
mod bootstrap;
mod commands;
mod credentials;
mod events;
mod follow;
pub(crate) mod keygen;
mod observe_rules;
pub(crate) mod plugin;
mod show;
mod table;

pub(crate) use commands::Command;

use api::Api;

/// Where the API is, and how answers are shown.
#[derive(clap::Args)]
pub(crate) struct ApiArguments {
    /// The HTTP API of the server.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "LWM2M_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,

    /// Prints JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Carries out one command.
pub(crate) fn run(arguments: &ApiArguments, command: &Command) -> anyhow::Result<()> {
    let api = Api::new(&arguments.server)?;
    commands::run(&api, command, arguments.json)
}

/// Says what went wrong: a sentence for people, the problem document for programs.
pub(crate) fn print_error(error: &anyhow::Error, json: bool) {
    let problem = error.downcast_ref::<api::Problem>();
    let problem = problem.map(|problem| problem.document.clone());
    let refused = error.downcast_ref::<plugin::Refused>();
    match problem.or_else(|| refused.map(plugin::Refused::document)) {
        Some(document) if json => say!("{}", table::printable_json(&document)),
        _ if json => say!("{}", serde_json::json!({ "title": format!("{error:#}") })),
        _ => remark!("error: {error:#}"),
    }
}
