//! `cargo xtask codegen`: what is made of definitions and committed. The core objects as Rust types, and
//! the contract of plugins as C.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use lwm2m_codegen::GeneratedFile;
use lwm2m_registry::{Parser, Strictness};

use crate::process;

/// The definitions.
const DEFINITIONS: &str = "object-registry/objects";

/// Where the generated crate has its code.
const GENERATED: &str = "object-registry/generated/src/generated";

/// What makes C of the contract of plugins: its own workspace, as nothing else needs it. That what it has
/// made is of the contract is for the tests of the plugin host.
const BINDINGS: [&str; 9] = [
    "run",
    "--quiet",
    "--locked",
    "--manifest-path=plugins/bindings/Cargo.toml",
    "--target-dir=target/bindings",
    "--",
    "plugins/wit",
    "registration-plugin",
    "lwm2m-server/crates/daemon/templates/plugin/c/bindings",
];

/// What to do with the generated code.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only says whether the committed code is what would be generated.
    #[arg(long)]
    check: bool,
}

/// Writes the generated crate, or checks it.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    if !arguments.check {
        process::run(root, "cargo", &BINDINGS)?;
    }
    let files = generate(&root.join(DEFINITIONS))?;
    let folder = root.join(GENERATED);
    let stale = stale(&folder, &files)?;
    if stale.is_empty() {
        println!("codegen: {} files, up to date", files.len());
        return Ok(());
    }
    if arguments.check {
        bail!(
            "not up to date, run `cargo xtask codegen`: {}",
            stale.join(", ")
        );
    }
    for name in &stale {
        let path = folder.join(name);
        match files.iter().find(|file| file.name == *name) {
            Some(file) => fs::write(&path, &file.text),
            None => fs::remove_file(&path),
        }
        .with_context(|| format!("cannot change {}", path.display()))?;
    }
    println!("codegen: {} of {} files changed", stale.len(), files.len());
    Ok(())
}

/// The files that the definitions of a folder make.
fn generate(definitions: &Path) -> anyhow::Result<Vec<GeneratedFile>> {
    let parser = Parser::new(Strictness::Strict);
    let mut models = Vec::new();
    let entries = fs::read_dir(definitions)
        .with_context(|| format!("cannot read {}", definitions.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let xml = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = parser.parse(xml, &path.display().to_string())?;
        models.extend(parsed.models);
    }
    Ok(lwm2m_codegen::files(&models, "cargo xtask codegen")?)
}

/// The names of files that differ, are missing, or should not be there.
fn stale(folder: &Path, files: &[GeneratedFile]) -> anyhow::Result<Vec<String>> {
    let mut stale: Vec<String> = files
        .iter()
        .filter(|file| {
            let found = fs::read_to_string(folder.join(&file.name));
            !found.is_ok_and(|found| found.replace("\r\n", "\n") == file.text)
        })
        .map(|file| file.name.clone())
        .collect();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !files.iter().any(|file| file.name == name) {
            stale.push(name);
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_is_up_to_date() {
        let checked = run(&crate::workspace_root(), &Arguments { check: true });
        assert!(checked.is_ok(), "{checked:?}");
    }

    #[test]
    fn finds_what_is_missing_changed_and_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = generate(&crate::workspace_root().join(DEFINITIONS)).unwrap();
        for file in files.iter().skip(1) {
            fs::write(folder.path().join(&file.name), &file.text).unwrap();
        }
        fs::write(folder.path().join("device_3.rs"), "old").unwrap();
        fs::write(folder.path().join("gone_99.rs"), "").unwrap();
        let stale = stale(folder.path(), &files).unwrap();
        assert_eq!(stale, ["mod.rs", "device_3.rs", "gone_99.rs"]);
    }
}
