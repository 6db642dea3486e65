//! `plugin new`: a plugin to begin with, in a folder of its own.

use std::path::Path;

use anyhow::{Context, bail};
use lwm2m_plugins::check_name;
use serde_json::json;

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

pub(super) fn run(name: &str, directory: &Path, json: bool) -> anyhow::Result<()> {
    let folder = directory.join(name);
    if folder.exists() {
        bail!("{} is there already; choose another name", folder.display());
    }
    // The name stands in the files: one that cannot be is refused before anything is written.
    if let Err(why) = check_name(name) {
        bail!("{name:?} is no name of a plugin: {why}");
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
