//! Generates a module tree from the definitions of a folder:
//! `cargo run -p lwm2m-codegen --example generate -- FOLDER... OUT`

#![allow(clippy::print_stdout)] // a program speaks to its terminal

use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let out = folders.pop().ok_or("usage: generate FOLDER... OUT")?;
    let start = Instant::now();
    let mut models = Vec::new();
    for folder in &folders {
        models.extend(read(folder)?);
    }
    let parsed = start.elapsed();
    let start = Instant::now();
    let modules = lwm2m_codegen::modules(&models);
    let generated = start.elapsed();
    let start = Instant::now();
    let files = lwm2m_codegen::files(&models, "the example `generate`")?;
    let formatted = start.elapsed();
    std::fs::create_dir_all(&out)?;
    let mut bytes = 0;
    for file in &files {
        bytes += file.text.len();
        std::fs::write(out.join(&file.name), &file.text)?;
    }
    println!(
        "{} models in {} modules, {bytes} bytes: parsed in {parsed:?}, generated in {generated:?}, \
         generated and formatted in {formatted:?}",
        models.len(),
        modules.len(),
    );
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<lwm2m_core::ObjectModel>, Box<dyn std::error::Error>> {
    let mut models = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_object = name.starts_with(|c: char| c.is_ascii_digit()) && name.ends_with(".xml");
        if is_object {
            models.extend(lwm2m_registry::parse(std::fs::read(&path)?, &name)?.models);
        }
    }
    Ok(models)
}
