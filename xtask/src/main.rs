//! Project tasks, run as `cargo xtask TASK`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program speaks to its terminal

mod arrows;
mod bench;
mod codegen;
mod fuzz;
mod interop;
mod plugin;
mod process;
mod registry;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks the conventions: the arrows between crates, files, texts that must not be there.
    Tidy,
    /// Generates the core objects as Rust types, or checks them.
    Codegen(codegen::Arguments),
    /// Drives devices that this project did not write against the running server.
    Interop(interop::Arguments),
    /// Measures CPU time and allocations of operations, and the server under load.
    Bench(bench::Arguments),
    /// Runs the fuzz targets, on the stable compiler.
    Fuzz(fuzz::Arguments),
    /// Builds the example plugins that are components, for wasm32-wasip2.
    Plugin,
    /// Fetches, checks, compares and starts object definitions.
    Registry(registry::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.task, &workspace_root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task, root: &Path) -> anyhow::Result<()> {
    match task {
        Task::Tidy => tidy::run(root),
        Task::Codegen(arguments) => codegen::run(root, arguments),
        Task::Interop(arguments) => interop::run(root, arguments),
        Task::Bench(arguments) => bench::run(root, arguments),
        Task::Fuzz(arguments) => fuzz::run(root, arguments),
        Task::Plugin => plugin::run(root),
        Task::Registry(arguments) => registry::run(arguments),
    }
}

/// The root of the workspace, which is where this crate was built.
fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
