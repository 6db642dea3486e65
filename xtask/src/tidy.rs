//! `cargo xtask tidy`: the conventions that a program can check.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use cargo_metadata::MetadataCommand;

use crate::{arrows, process};

/// The longest source file, in lines; tests and generated code are free.
const FILE_LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason.
const LONGER_FILES: &[(&str, &str)] = &[];

/// Words that have no place in finished code.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Checks everything and names every finding at once.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let mut findings = arrows::wrong(&metadata);
    let tracked = process::capture(root, "git", &["ls-files"])?;
    for file in tracked.lines().filter(|file| file.ends_with(".rs")) {
        let text =
            fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        check_source(file, &text, &mut findings);
    }
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ] {
        if !root.join(file).is_file() {
            findings.push(format!("{file} is missing"));
        }
    }
    if findings.is_empty() {
        println!(
            "tidy: {} crates, no findings",
            metadata.workspace_packages().len()
        );
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("{} findings", findings.len())
}

fn check_source(file: &str, text: &str, findings: &mut Vec<String>) {
    if file.starts_with("xtask/src/tidy.rs") {
        return;
    }
    let lines = text.lines().count();
    let excused = LONGER_FILES.iter().any(|(longer, _)| *longer == file);
    let test =
        file.contains("/tests/") || file.ends_with("/tests.rs") || file.starts_with("tests/it");
    let generated = file.starts_with("object-registry/generated/");
    if lines > FILE_LINES_MAX && !excused && !test && !generated {
        findings.push(format!(
            "{file} has {lines} lines, more than {FILE_LINES_MAX}: split it"
        ));
    }
    for word in UNFINISHED {
        if let Some(line) = text.lines().position(|line| line.contains(word)) {
            findings.push(format!("{file}:{}: {word} in finished code", line + 1));
        }
    }
    if file.ends_with("/lib.rs") && !text.starts_with("//!") {
        findings.push(format!("{file} does not start with what the crate is for"));
    }
}
