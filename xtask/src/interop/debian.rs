//! Debian packages that peers need.

use std::path::Path;

use anyhow::Context;

use crate::process;

/// Installs packages when a program is not there.
pub(crate) fn install(root: &Path, program: &str, packages: &[&str]) -> anyhow::Result<()> {
    if process::capture(root, "which", &[program]).is_ok() {
        return Ok(());
    }
    fetch(root, packages)
}

/// Installs packages when a library, as pkg-config calls it, cannot be built against.
pub(crate) fn install_library(root: &Path, library: &str, packages: &[&str]) -> anyhow::Result<()> {
    if process::capture(root, "pkg-config", &["--exists", library]).is_ok() {
        return Ok(());
    }
    fetch(root, packages)
}

/// Installs packages that are not there.
pub(crate) fn install_packages(root: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let query = [&["--show", "--showformat=${db:Status-Status}\\n"], packages].concat();
    let installed = process::capture(root, "dpkg-query", &query);
    match installed.is_ok_and(|known| known.lines().all(|status| status == "installed")) {
        true => Ok(()),
        false => fetch(root, packages),
    }
}

fn fetch(root: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let arguments = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    process::capture(root, "apt-get", &["update"])
        .and_then(|_| process::capture(root, "apt-get", &arguments))
        .with_context(|| format!("{} cannot be installed", packages.join(" ")))?;
    Ok(())
}
