//! `cargo xtask bench`: builds the benches in release, and runs them one after the other.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these: parse, codecs, registry, storm, binary (the storm against `lwm2m-server`).
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
    quick: &'static [&'static str],
    /// Run once more in a build that counts allocations.
    allocations: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "parse",
        quick: &["--rounds=10", "--round-ms=2"],
        allocations: true,
    },
    Bench {
        name: "codecs",
        quick: &["--rounds=10", "--round-ms=2"],
        allocations: true,
    },
    Bench {
        name: "registry",
        quick: &["--rounds=3", "--round-ms=2"],
        allocations: false,
    },
    Bench {
        name: "storm",
        quick: &["--devices=10000"],
        allocations: false,
    },
    Bench {
        name: "binary",
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
        run_bench(root, arguments, bench, &[])?;
        if bench.allocations {
            let features = ["--features", "count-allocations"];
            run_bench(root, arguments, bench, &features)?;
        }
    }
    Ok(())
}

fn run_bench(
    root: &Path,
    arguments: &Arguments,
    bench: &Bench,
    features: &[&str],
) -> anyhow::Result<()> {
    let mut all = vec!["run", "--release", "--quiet", "--package", "lwm2m-bench"];
    all.extend(features);
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
