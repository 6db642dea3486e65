//! Builds the example plugins that are written in Rust, and puts each beside its manifest.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::process;

/// The target of components with a standard library.
const TARGET: &str = "wasm32-wasip2";

/// Builds all of them.
///
/// # Errors
/// The target is not installed, an example does not build.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("plugins/examples");
    let mut built = 0;
    for entry in fs::read_dir(&folder).context("plugins/examples")? {
        let example = entry?.path();
        let manifest = example.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let manifest = manifest.to_string_lossy();
        let build = ["build", "--release", "--locked", "--target", TARGET];
        let whereto = [
            "--target-dir",
            "target/guests",
            "--manifest-path",
            &manifest,
        ];
        process::run(root, "cargo", &[&build[..], &whereto].concat())
            .with_context(|| format!("is the target there? `rustup target add {TARGET}`"))?;
        let name = example.file_name().unwrap_or_default().to_string_lossy();
        let file = format!("{}.wasm", name.replace('-', "_"));
        let target = root.join("target/guests");
        let component = target.join(TARGET).join("release").join(&file);
        let size = fs::copy(&component, example.join(&file)).context("the component")?;
        println!("{name}: {} KiB", size.div_ceil(1024));
        built += 1;
    }
    if built == 0 {
        bail!("there is no example in Rust in {}", folder.display());
    }
    Ok(())
}
