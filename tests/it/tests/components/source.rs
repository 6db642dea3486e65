//! The component of `tests/guest`, built from its source where Rust can do that.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of components with a standard library.
const TARGET: &str = "wasm32-wasip2";

/// The component; none where the target is not installed. Says which way it took.
pub(crate) fn built() -> Option<Vec<u8>> {
    build("all", &[])
}

/// The same with the hooks of registration and no other.
#[allow(dead_code)] // for benches
pub(crate) fn alone() -> Option<Vec<u8>> {
    build("alone", &["--features", "alone"])
}

/// Each kind in a folder of its own, so that none takes the place of the other.
fn build(kind: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let libraries = asked.ok().filter(|output| output.status.success());
    let libraries = libraries.and_then(|output| String::from_utf8(output.stdout).ok());
    if !libraries.is_some_and(|path| Path::new(path.trim()).is_dir()) {
        say(&format!(
            "no component from source: `rustup target add {TARGET}` to have one; \
             those of WebAssembly text are run"
        ));
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let target = target.join("guests").join(kind);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--locked", "--quiet"])
        .args(arguments)
        .args(["--target", TARGET, "--manifest-path"])
        .arg(root.join("tests/guest/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "tests/guest is built");
    let component = target.join(TARGET).join("release/test_guest.wasm");
    let component = std::fs::read(component).expect("a component");
    say(&format!(
        "a component from source, built for {TARGET}, is run"
    ));
    Some(component)
}

/// Also when a test passes: what is printed in the usual way is swallowed.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
