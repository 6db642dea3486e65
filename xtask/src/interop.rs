//! `cargo xtask interop`: devices that this project did not write, against the running server.

use std::path::Path;

#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_root: &Path, _arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::bail!("interop comes next")
}
