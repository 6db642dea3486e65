//! `plugin test`: runs the fixtures of a plugin, and says what differs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use lwm2m_plugins::{CallReport, Difference, Fixture, FixtureReport, run_fixtures};
use serde_json::{Value, json};

use super::check::with_hint;
use crate::cli::table::{printable, printable_json};

pub(super) fn run(plugin: &Path, named: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let beside;
    let files = match named {
        [] => {
            beside = Fixture::beside(plugin);
            beside.as_slice()
        }
        named => named,
    };
    if files.is_empty() {
        bail!(
            "{} has no fixture: write tests/NAME.toml beside it, or name one with --fixture",
            plugin.display()
        );
    }
    let read = |file: &PathBuf| Fixture::read(file).map_err(with_hint);
    let fixtures: Vec<Fixture> = files.iter().map(read).collect::<anyhow::Result<_>>()?;
    let reports = run_fixtures(plugin, &fixtures).map_err(with_hint)?;
    let failed = reports.iter().filter(|report| !report.passed()).count();
    match json {
        true => println!("{}", printable_json(&document(&reports))),
        false => print(&reports, failed),
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn document(reports: &[FixtureReport]) -> Value {
    let differences = |all: &[Difference]| -> Vec<Value> {
        let one =
            |it: &Difference| json!({ "path": it.path, "expected": it.expected, "got": it.got });
        all.iter().map(one).collect()
    };
    let call = |call: &CallReport| {
        json!({
            "hook": call.hook.name(),
            "line": call.line,
            "passed": call.differences.is_empty(),
            "took_us": call.took.as_micros() as u64,
            "limit_us": call.limit.as_micros() as u64,
            "differences": differences(&call.differences),
        })
    };
    let fixture = |report: &FixtureReport| {
        json!({
            "file": report.file,
            "passed": report.passed(),
            "loading": differences(&report.loading),
            "calls": report.calls.iter().map(call).collect::<Vec<_>>(),
        })
    };
    json!({
        "passed": reports.iter().all(FixtureReport::passed),
        "fixtures": reports.iter().map(fixture).collect::<Vec<_>>(),
    })
}

fn print(reports: &[FixtureReport], failed: usize) {
    let mut calls = 0;
    for report in reports {
        println!("{}", report.file.display());
        tell(&report.loading);
        for call in &report.calls {
            calls += 1;
            let verdict = match call.differences.is_empty() {
                true => "ok     ",
                false => "DIFFERS",
            };
            let late = match call.took > call.limit {
                true => format!(", a server waits {} ms", call.limit.as_millis()),
                false => String::new(),
            };
            let took = call.took.as_secs_f64() * 1000.0;
            println!(
                "  {verdict}  line {:<4} {:<15} {took:.1} ms{late}",
                call.line,
                call.hook.name()
            );
            tell(&call.differences);
        }
    }
    let fixtures = reports.len();
    match failed {
        0 => println!("\nAll as expected: {calls} calls in {fixtures} fixtures."),
        failed => println!("\n{failed} of {fixtures} fixtures differ; {calls} calls."),
    }
}

fn tell(differences: &[Difference]) {
    let shown = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        value => printable(&value.to_string()),
    };
    for it in differences {
        println!("           {}", printable(&it.path));
        println!("             expected  {}", shown(&it.expected));
        println!("             got       {}", shown(&it.got));
    }
}
