//! All definitions as one crate: how long cargo builds it, and how large it is.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use lwm2m_core::ObjectModel;

use super::workspace;
use crate::report::{Cell, Report};

const MANIFEST: &str = r#"[package]
name = "all-objects"
edition = "2024"

[dependencies]
lwm2m-core.path = "#;

/// What a crate of generated modules allows them.
const LIB: &str = "#[allow(non_camel_case_types, clippy::all)]\nmod generated;\n\
    pub use generated::*;\n";

/// Generates the crate and builds it with the cargo that is found.
///
/// # Errors
/// The crate does not compile: then what the compiler says.
pub(super) fn run(models: &[ObjectModel]) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "All definitions as one crate, built for development",
        &["step", "seconds", "bytes"],
    );
    let mut add = |name: String, seconds: f64, bytes: u64| {
        report.row(vec![
            Cell::Text(name),
            Cell::Number(seconds, 2),
            Cell::Number(bytes as f64, 0),
        ]);
    };
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let start = Instant::now();
    let files = lwm2m_codegen::files(models, "lwm2m-bench registry")?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = files.iter().map(|file| file.text.len() as u64).sum();
    let modules = files.len() - 1;
    add(
        format!("generate and format {modules} objects"),
        seconds,
        bytes,
    );

    let generated = folder.join("src/generated");
    fs::create_dir_all(&generated)?;
    for file in &files {
        fs::write(generated.join(&file.name), &file.text)?;
    }
    fs::write(folder.join("src/lib.rs"), LIB)?;
    let root = workspace();
    let core = root.join("lwm2m-server/crates/core");
    let manifest = format!("{MANIFEST}{core:?}\n\n[workspace]\n");
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;

    // What the crate depends on is not part of its figures.
    cargo(folder, &["build", "--package", "lwm2m-core"])?;
    cargo(folder, &["check", "--package", "lwm2m-core"])?;
    let start = Instant::now();
    cargo(folder, &["check"])?;
    let seconds = start.elapsed().as_secs_f64();
    let built = folder.join("target/debug/deps");
    add(
        "check".to_owned(),
        seconds,
        size_of(&built, "all_objects", "rmeta")?,
    );
    let start = Instant::now();
    cargo(folder, &["build"])?;
    let seconds = start.elapsed().as_secs_f64();
    add(
        "build".to_owned(),
        seconds,
        size_of(&built, "all_objects", "rlib")?,
    );
    let definitions = models.len();
    report.note(format!(
        "all {definitions} definitions compile; bytes of the text, of the metadata, of the library"
    ));
    Ok(report)
}

fn cargo(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("cargo")
        .args(arguments)
        .args(["--offline", "--target-dir", "target"])
        .current_dir(folder)
        .output()
        .context("cannot run cargo: is it installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo {arguments:?} failed: {said}"
    );
    Ok(())
}

/// The size of `lib{name}-….{extension}`.
fn size_of(folder: &Path, name: &str, extension: &str) -> anyhow::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_named = path
            .file_stem()
            .and_then(OsStr::to_str)
            .is_some_and(|stem| stem.starts_with(&format!("lib{name}-")));
        if is_named && path.extension() == Some(OsStr::new(extension)) {
            size = size.max(fs::metadata(&path)?.len());
        }
    }
    Ok(size)
}
