//! `lwm2m-server plugin`: for authors of plugins. Needs no running server.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lwm2m_plugins::check;
use lwm2m_server::Hook;
use serde_json::json;

use super::table;

/// What to do with a plugin.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Begins a plugin in a folder of its own.
    New {
        /// Its name: letters, digits, - and _.
        name: String,
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
}

/// Carries out one command.
pub(crate) fn run(command: &Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::New { name, directory } => new(name, directory, json),
        Command::Check { plugin, config } => looked_over(plugin, config.as_deref(), json),
    }
}

const MANIFEST: &str = r#"name = "NAME"
version = "0.1.0"
description = "Says what the plugin is for."
source = "NAME.rhai"
# What it needs, as in ["kv", "events", "device:read:/3/**"]; who runs the server must grant it.
permissions = []
"#;

const SCRIPT: &str = r#"// The hooks of a plugin are functions with their names; see docs/plugins.md for all of them.

// A device registers: pass(), annotate(#{..}), accept() or reject(code, why).
fn on_register(registration) {
    if registration.endpoint == "unwanted" {
        return reject("forbidden", "this device is not wanted here");
    }
    annotate(#{ seen_by: "NAME" })
}

// Values on their way to applications: pass(), drop(), replace([..]), emit([..]) or document(..).
fn transform(batch) {
    pass()
}
"#;

fn new(name: &str, directory: &Path, json: bool) -> anyhow::Result<()> {
    let folder = directory.join(name);
    if folder.exists() {
        bail!("{} is there already; choose another name", folder.display());
    }
    // The name stands in the files: one that cannot be is refused before anything is written.
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        bail!("{name:?} is no name of a plugin: 1 to 64 letters, digits, - and _");
    }
    let write = |file: String, text: &str| {
        let path = folder.join(file);
        std::fs::write(&path, text.replace("NAME", name))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    write("plugin.toml".to_owned(), MANIFEST)?;
    write(format!("{name}.rhai"), SCRIPT)?;
    match json {
        true => println!("{}", json!({ "folder": folder })),
        false => println!(
            "{} is a plugin. Next:\n\n  lwm2m-server plugin check {0}\n\nA server whose folder of \
             plugins is {} loads it at once, and again whenever it is saved.",
            folder.display(),
            directory.display(),
        ),
    }
    Ok(())
}

fn looked_over(plugin: &Path, config: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let settings = match config {
        None => toml::Table::new(),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            toml::from_str(&text).with_context(|| format!("in {}", file.display()))?
        }
    };
    let checked = check(plugin, &settings).map_err(|error| match &error.hint {
        Some(hint) => anyhow::anyhow!("{error}\n{hint}"),
        None => error.into(),
    })?;
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
