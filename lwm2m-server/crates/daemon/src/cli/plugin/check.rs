//! `plugin check`: loads a plugin as the server does.

use std::path::Path;

use anyhow::Context;
use lwm2m_plugins::{LoadError, check};
use lwm2m_server::Hook;
use serde_json::json;

use crate::cli::table;

pub(super) fn run(plugin: &Path, config: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let settings = settings(config)?;
    let checked = check(plugin, &settings).map_err(with_hint)?;
    let hooks: Vec<&str> = checked.hooks.iter().copied().map(Hook::name).collect();
    let manifest = &checked.manifest;
    if json {
        let answer = json!({
            "name": manifest.name,
            "version": manifest.version,
            "language": checked.language,
            "hooks": hooks,
            "permissions": manifest.permissions,
        });
        println!("{}", table::printable_json(&answer));
        return Ok(());
    }
    println!(
        "{} {} ({})",
        manifest.name, manifest.version, checked.language
    );
    println!("  hooks        {}", hooks.join(", "));
    match manifest.permissions.is_empty() {
        true => println!("  permissions  none"),
        false => println!("  permissions  {}", manifest.permissions.join(", ")),
    }
    Ok(())
}

/// What the `init` of a plugin gets: the table of a file, an empty one without.
pub(super) fn settings(file: Option<&Path>) -> anyhow::Result<toml::Table> {
    let Some(file) = file else {
        return Ok(toml::Table::new());
    };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", file.display()))
}

/// The error, and below it how to mend it.
pub(super) fn with_hint(error: LoadError) -> anyhow::Error {
    match &error.hint {
        Some(hint) => anyhow::anyhow!("{error}\n{hint}"),
        None => error.into(),
    }
}
