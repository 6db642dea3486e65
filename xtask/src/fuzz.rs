//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, one after the other.
//!
//! The stable compiler can count covered edges too: it is only asked to run LLVM's coverage pass,
//! and libFuzzer comes with its crate. Nothing but Rust and a C++ compiler is needed.
//!
//! What a target has learnt stays in `tests/fuzz/corpus` and is where its next run starts; the
//! first starts from the vectors. An input that fails is kept in `tests/fuzz/artifacts`.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::process;

/// Asks for the coverage that libFuzzer reads: a counter for each edge, a table of the edges, and
/// the operands of comparisons, from which it takes constants.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// The longest input, in bytes: enough for every construct, small enough to be quick.
const INPUT_BYTES_MAX: usize = 4096;

/// An input that takes longer than this, in seconds, is a finding.
const INPUT_SECONDS_MAX: u64 = 5;

/// A target that takes more memory than this, in MiB, is a finding.
const MEMORY_MIB_MAX: u64 = 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only these targets, the names of the files in tests/fuzz/fuzz_targets.
    targets: Vec<String>,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let fuzz = root.join("tests/fuzz");
    let targets = chosen(all(&fuzz)?, &arguments.targets)?;
    let programs = build(root, &fuzz)?;
    let mut rows = Vec::new();
    for target in &targets {
        let seeds = seeds::plant(root, &fuzz, target)?;
        println!("--- {target}: {} s, {seeds} seeds", arguments.seconds);
        let row = run_target(&fuzz, &programs, target, arguments.seconds)?;
        rows.push(row);
    }
    report(&rows)
}

/// What came of a target.
struct Row {
    target: String,
    runs: String,
    edges: String,
    corpus: usize,
    /// The input that failed and what was said about it; none when nothing did.
    finding: Option<String>,
}

/// The targets, by name: one file each.
fn all(fuzz: &Path) -> anyhow::Result<Vec<String>> {
    let directory = fuzz.join("fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&directory).context("cannot list the fuzz targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    targets.sort();
    Ok(targets)
}

fn chosen(all: Vec<String>, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|target| !all.contains(target)) {
        bail!("no fuzz target '{unknown}': use {}", all.join(", "));
    }
    Ok(match wanted {
        [] => all,
        wanted => wanted.to_vec(),
    })
}

/// Builds all targets and says where the programs are. A target triple is named so that build
/// scripts and macros, which run here, are not instrumented.
fn build(root: &Path, fuzz: &Path) -> anyhow::Result<PathBuf> {
    let about = process::capture(root, "rustc", &["--version", "--verbose"])?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    let status = Command::new("cargo")
        .args(["build", "--release", "--target", host])
        .current_dir(fuzz)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"))
        .env("CARGO_TARGET_DIR", fuzz.join("target"))
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the fuzz targets do not build");
    }
    Ok(fuzz.join("target").join(host).join("release"))
}

fn run_target(fuzz: &Path, programs: &Path, target: &str, seconds: u64) -> anyhow::Result<Row> {
    let corpus = fuzz.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    fs::create_dir_all(&artifacts).context("cannot create the folder for findings")?;
    let log_path = artifacts.join("log.txt");
    let log = fs::File::create(&log_path).context("cannot create the log")?;
    let status = Command::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&corpus)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .with_context(|| format!("cannot run {target}"))?;
    let log = fs::read(&log_path).context("cannot read the log")?;
    let log = String::from_utf8_lossy(&log);
    let finding = (!status.success()).then(|| finding(&log));
    let row = Row {
        target: target.to_owned(),
        runs: last_number(&log, "Done ").unwrap_or_default(),
        edges: last_number(&log, "cov: ").unwrap_or_default(),
        corpus: fs::read_dir(&corpus).map_or(0, Iterator::count),
        finding,
    };
    if row.finding.is_none() && row.edges.is_empty() {
        bail!("{target} counts no edges: it is not instrumented");
    }
    Ok(row)
}

/// The word after the last occurrence of `label`.
fn last_number(log: &str, label: &str) -> Option<String> {
    let (_, after) = log.rsplit_once(label)?;
    after.split_whitespace().next().map(str::to_owned)
}

/// The message of a panic and the file that reproduces it, as far as the log has them.
fn finding(log: &str) -> String {
    let is_panic = |line: &&str| line.contains("panicked at") || line.starts_with("==");
    let lines: Vec<&str> = log.lines().collect();
    let start = lines.iter().position(is_panic);
    let said = start.map_or(&lines[..], |start| &lines[start..]);
    // Inputs may hold anything, and terminals obey control characters.
    let plain = |line: &&str| line.replace(|c: char| c.is_control(), "\u{fffd}");
    let said: Vec<String> = said.iter().take(3).map(plain).collect();
    let mut text = said.join("\n    ");
    if let Some((_, path)) = log.rsplit_once("Test unit written to ") {
        text.push_str("\n    input: ");
        text.push_str(path.lines().next().unwrap_or_default());
    }
    text
}

fn report(rows: &[Row]) -> anyhow::Result<()> {
    println!(
        "\n{:<20}{:>12}{:>8}{:>8}  result",
        "target", "runs", "edges", "corpus"
    );
    for row in rows {
        let result = match row.finding {
            None => "no finding",
            Some(_) => "FAILED",
        };
        println!(
            "{:<20}{:>12}{:>8}{:>8}  {result}",
            row.target, row.runs, row.edges, row.corpus
        );
    }
    let findings: Vec<_> = rows.iter().filter(|row| row.finding.is_some()).collect();
    for row in &findings {
        println!(
            "\n{}:\n    {}",
            row.target,
            row.finding.as_deref().unwrap_or_default()
        );
    }
    if !findings.is_empty() {
        bail!("{} of {} targets failed", findings.len(), rows.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_name() {
        let all = || vec!["cbor".to_owned(), "tlv".to_owned()];
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        assert_eq!(chosen(all(), &["tlv".to_owned()]).unwrap(), ["tlv"]);
        assert!(chosen(all(), &["tvl".to_owned()]).is_err());
    }

    #[test]
    fn the_log_is_read_from_its_end() {
        let log = "#2 INITED cov: 10 ft: 3\n#9 DONE cov: 12 ft: 5\nDone 77 runs in 3 second(s)\n";
        assert_eq!(last_number(log, "cov: ").as_deref(), Some("12"));
        assert_eq!(last_number(log, "Done ").as_deref(), Some("77"));
        assert_eq!(last_number("", "Done "), None);
    }

    #[test]
    fn a_finding_names_panic_and_input() {
        let log = "INFO: x\nthread panicked at a.rs:1:\nboom\n==1== ERROR\n\
                   artifact_prefix='a/'; Test unit written to a/crash-1\nBase64: x\n";
        let text = finding(log);
        assert!(text.starts_with("thread panicked at a.rs:1:\n    boom"));
        assert!(text.ends_with("input: a/crash-1"));
    }
}
