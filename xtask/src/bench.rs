//! `cargo xtask bench`: builds the benches in release, and runs them one after the other.
//!
//! Where OpenSSL and its headers are installed, it is measured too.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::process;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these: parse, codecs, registry, dtls, plugins, storm, binary (the storm against
    /// `lwm2m-server`).
    names: Vec<String>,
    /// A folder of definitions for `registry`, which compiles all of them into one crate.
    #[arg(long, env = "LWM2M_REGISTRY", value_name = "FOLDER")]
    registry: Option<PathBuf>,
    /// A tenth of the devices, and short rounds.
    #[arg(long)]
    quick: bool,
    /// Prints JSON: a line for each run.
    #[arg(long)]
    json: bool,
}

struct Bench {
    name: &'static str,
    arguments: &'static [&'static str],
    quick: &'static [&'static str],
    /// Run once more in a build that counts allocations.
    allocations: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "parse",
        arguments: &[],
        quick: &["--rounds=10", "--round-ms=2"],
        allocations: true,
    },
    Bench {
        name: "codecs",
        arguments: &[],
        quick: &["--rounds=10", "--round-ms=2"],
        allocations: true,
    },
    Bench {
        name: "registry",
        arguments: &[],
        quick: &["--rounds=3", "--round-ms=2"],
        allocations: false,
    },
    Bench {
        name: "dtls",
        arguments: &[],
        quick: &["--rounds=5", "--sessions=10000", "--sessions-of-others=500"],
        allocations: true,
    },
    Bench {
        name: "plugins",
        arguments: &[],
        quick: &["--rounds=3", "--devices=10000", "--late=200"],
        allocations: false,
    },
    Bench {
        name: "storm",
        arguments: &["--security=psk", "--rounds=3"],
        quick: &["--devices=10000"],
        allocations: false,
    },
    Bench {
        name: "binary",
        arguments: &[],
        quick: &["--devices=10000"],
        allocations: false,
    },
];

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    for name in &arguments.names {
        if !BENCHES.iter().any(|bench| bench.name == name) {
            let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
            bail!("no bench '{name}': use {}", known.join(", "));
        }
    }
    for bench in BENCHES {
        let all = arguments.names.is_empty();
        if !all && !arguments.names.iter().any(|name| name == bench.name) {
            continue;
        }
        let openssl = has_openssl().then_some("openssl");
        run_bench(root, arguments, bench, openssl.as_slice())?;
        if bench.allocations {
            let features = ["count-allocations"].into_iter().chain(openssl);
            run_bench(root, arguments, bench, &features.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// True when there is an OpenSSL to link with.
fn has_openssl() -> bool {
    let mut command = Command::new("pkg-config");
    command.args(["--exists", "openssl"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    std::env::var_os("OPENSSL_DIR").is_some() || status.is_ok_and(|status| status.success())
}

fn run_bench(
    root: &Path,
    arguments: &Arguments,
    bench: &Bench,
    features: &[&str],
) -> anyhow::Result<()> {
    let mut all = vec!["run", "--release", "--quiet", "--package", "lwm2m-bench"];
    let features = features.join(",");
    if !features.is_empty() {
        all.extend(["--features", &features]);
    }
    all.push("--");
    let binary;
    if bench.name == "binary" {
        process::run(
            root,
            "cargo",
            &["build", "--release", "--package", "lwm2m-daemon"],
        )?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        binary = format!("--binary={}", target.join("release/lwm2m-server").display());
        all.extend(["storm", &binary]);
    } else {
        all.push(bench.name);
    }
    all.extend(bench.arguments);
    let folder;
    if let ("registry", Some(path)) = (bench.name, &arguments.registry) {
        // The bench runs in the root of the workspace.
        folder = path
            .canonicalize()
            .with_context(|| format!("no folder {}", path.display()))?;
        let text = folder
            .to_str()
            .context("the path of the folder is not Unicode")?;
        all.extend(["--registry", text]);
    }
    if arguments.json {
        all.push("--json");
    }
    if arguments.quick {
        all.extend(bench.quick);
    }
    process::run(root, "cargo", &all)
}
