//! `plugin test`: runs the fixtures and the test functions of a plugin, and says what differs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use lwm2m_plugins::{
    Asked, CallReport, Difference, Fixture, FixtureReport, LoadError, check, run_fixtures,
    run_tests,
};
use serde_json::{Value, json};

use super::cache;
use super::check::{settings, with_hint};
use crate::cli::table::{printable, printable_json};

pub(super) fn run(
    plugin: &Path,
    named: &[PathBuf],
    config: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let beside;
    let files = match named {
        [] => {
            beside = Fixture::beside(plugin);
            beside.as_slice()
        }
        named => named,
    };
    let read = |file: &PathBuf| Fixture::read(file).map_err(with_hint);
    let fixtures: Vec<Fixture> = files.iter().map(read).collect::<anyhow::Result<_>>()?;
    let tests = match named {
        [] => run_tests(plugin, &settings(config)?).map_err(with_hint)?,
        _ => None,
    };
    if files.is_empty() && tests.is_none() {
        check(plugin, &settings(config)?, cache().as_deref()).map_err(with_hint)?;
        bail!(
            "{} has no fixture: write tests/NAME.toml beside it, or name one with --fixture; a \
             script may have functions called test_ and something instead",
            plugin.display()
        );
    }
    let reports = run_fixtures(plugin, &fixtures, cache().as_deref()).map_err(with_hint)?;
    let failed = reports.iter().chain(&tests).any(|report| !report.passed());
    match json {
        true => say!("{}", printable_json(&document(&reports, tests.as_ref()))),
        false => print(&reports, tests.as_ref()),
    }
    Ok(match failed {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

fn document(reports: &[FixtureReport], tests: Option<&FixtureReport>) -> Value {
    let differences = |all: &[Difference]| -> Vec<Value> {
        let one =
            |it: &Difference| json!({ "path": it.path, "expected": it.expected, "got": it.got });
        all.iter().map(one).collect()
    };
    let error = |error: &LoadError| {
        json!({
            "file": error.file, "line": error.line, "column": error.column,
            "message": error.message,
        })
    };
    let call = |call: &CallReport| {
        let what = match &call.asked {
            Asked::Test(_) => "test",
            _ => "hook",
        };
        json!({
            what: call.asked.name(),
            "line": call.line,
            "passed": call.passed(),
            "took_us": call.took.as_micros() as u64,
            "limit_us": call.limit.map(|limit| limit.as_micros() as u64),
            "differences": differences(&call.differences),
            "error": call.error.as_ref().map(error),
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
        "passed": reports.iter().chain(tests).all(FixtureReport::passed),
        "fixtures": reports.iter().map(fixture).collect::<Vec<_>>(),
        "tests": tests.map(fixture),
    })
}

fn print(reports: &[FixtureReport], tests: Option<&FixtureReport>) {
    for report in reports.iter().chain(tests) {
        say!("{}", report.file.display());
        tell(&report.loading);
        for call in &report.calls {
            let verdict = match (call.passed(), &call.error) {
                (true, _) => "ok     ",
                (false, None) => "DIFFERS",
                (false, Some(_)) => "FAILS  ",
            };
            let late = match call.limit.filter(|limit| call.took > *limit) {
                Some(limit) => format!(", a server waits {} ms", limit.as_millis()),
                None => String::new(),
            };
            let took = call.took.as_secs_f64() * 1000.0;
            say!(
                "  {verdict}  line {:<4} {:<15} {took:.1} ms{late}",
                call.line,
                call.asked.name()
            );
            if let Some(error) = &call.error {
                say!("           {}", printable(&error.to_string()));
            }
            tell(&call.differences);
        }
    }
    let calls: usize = reports.iter().map(|report| report.calls.len()).sum();
    let fixtures = reports.len();
    let differ = reports.iter().filter(|report| !report.passed()).count();
    let run = tests.map_or(0, |tests| tests.calls.len());
    let fail = tests.map_or(0, |tests| {
        tests.calls.iter().filter(|call| !call.passed()).count()
    });
    let is_loaded = tests.is_none_or(|tests| tests.loading.is_empty());
    let in_fixtures = counted(fixtures, "fixture");
    let of_calls = (fixtures > 0).then(|| format!("{} in {in_fixtures}", counted(calls, "call")));
    let of_tests = tests.map(|_| counted(run, "test"));
    let all: Vec<String> = of_calls.into_iter().chain(of_tests).collect();
    if differ + fail == 0 && is_loaded {
        say!("\nAll as expected: {}.", all.join(", "));
        return;
    }
    let mut wrong = Vec::new();
    if differ > 0 {
        wrong.push(format!(
            "{differ} of {fixtures} fixtures differ; {}",
            counted(calls, "call")
        ));
    }
    if fail > 0 {
        wrong.push(format!("{fail} of {run} tests fail"));
    }
    if !is_loaded {
        wrong.push("the tests are not run, as the plugin is not loaded".to_owned());
    }
    say!("\n{}.", wrong.join("; "));
}

/// As in `1 call` and `2 calls`.
fn counted(count: usize, of: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {of}{ending}")
}

fn tell(differences: &[Difference]) {
    let shown = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        value => printable(&value.to_string()),
    };
    for it in differences {
        say!("           {}", printable(&it.path));
        say!("             expected  {}", shown(&it.expected));
        say!("             got       {}", shown(&it.got));
    }
}
