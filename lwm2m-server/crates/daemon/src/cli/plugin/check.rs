//! `plugin check`: loads a plugin as the server does.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use lwm2m_plugins::{LoadError, check};
use lwm2m_server::Hook;
use serde_json::json;

use super::cache;
use crate::cli::table;

pub(super) fn run(plugin: &Path, config: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let settings = settings(config)?;
    let checked = check(plugin, &settings, cache().as_deref()).map_err(with_hint)?;
    let hooks: Vec<&str> = checked.hooks.iter().copied().map(Hook::name).collect();
    let manifest = &checked.manifest;
    if json {
        let answer = json!({
            "name": manifest.name,
            "version": manifest.version,
            "language": checked.language,
            "hooks": hooks,
            "permissions": manifest.permissions,
            "notes": checked.doubts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        say!("{}", table::printable_json(&answer));
        return Ok(());
    }
    let name = [manifest.name.as_str(), manifest.version.as_str()];
    let name: Vec<&str> = name.into_iter().filter(|it| !it.is_empty()).collect();
    say!("{} ({})", name.join(" "), checked.language);
    say!("  hooks        {}", hooks.join(", "));
    match manifest.permissions.is_empty() {
        true => say!("  permissions  none"),
        false => say!("  permissions  {}", manifest.permissions.join(", ")),
    }
    for doubt in &checked.doubts {
        say!("  note         {}", table::printable(&doubt.to_string()));
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

/// A plugin or a fixture that is refused: the error, and below it how to mend it.
#[derive(Debug)]
pub(crate) struct Refused(LoadError);

impl Refused {
    /// For programs.
    pub(crate) fn document(&self) -> serde_json::Value {
        let Refused(error) = self;
        json!({
            "title": error.to_string(),
            "file": error.file,
            "line": error.line,
            "column": error.column,
            "message": error.message,
            "hint": error.hint,
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused(error) = self;
        write!(f, "{}", table::printable(&error.to_string()))?;
        match &error.hint {
            Some(hint) => write!(f, "\n{}", table::printable(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

pub(super) fn with_hint(error: LoadError) -> anyhow::Error {
    Refused(error).into()
}
