//! What plugins cost: their calls, loading and keeping them, a storm through one, one that loops.
//!
//! The same plugin in three forms: a script, a component from source where Rust can build it, and a
//! component of WebAssembly text, which needs no toolchain.

mod calls;
mod guests;
mod late;

use anyhow::ensure;

use crate::report::{Cell, Report};
use crate::storm;
use guests::{ALONE, Form, Hosted};

/// How much of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds for each figure; the best one counts.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Devices of the storm; 0 to leave it out.
    #[arg(long, default_value_t = 100_000)]
    devices: u32,
    /// Rounds of the storm, each with a server of its own; the best one counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    storms: u32,
    /// Devices that register while a plugin loops; 0 to leave it out.
    #[arg(long, default_value_t = 1000)]
    late: u32,
}

/// Runs all of them.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Vec<Report>> {
    let forms = Form::all();
    let mut reports = calls::run(&forms, arguments.rounds)?;
    if arguments.devices > 0 {
        reports.push(storms(&forms, arguments)?);
    }
    if arguments.late > 0 {
        reports.push(late::run(&forms, arguments.late)?);
    }
    for report in &mut reports {
        for form in &forms {
            report.note(format!("{}: {}", form.name(), form.told()));
        }
    }
    Ok(reports)
}

/// Devices register at a server without plugins, and at one with each form.
fn storms(forms: &[Form], arguments: &Arguments) -> anyhow::Result<Report> {
    let columns = ["plugin", "requests", "lost", "per_s", "cpu_us", "to_none"];
    let mut report = Report::new("A storm of registrations through a plugin", &columns);
    let mut kinds: Vec<(&str, Option<(&Form, &str)>)> = vec![("none", None)];
    for form in forms {
        match form {
            Form::Text => {
                kinds.push(("wasm, text, on_register alone", Some((form, ALONE))));
                kinds.push(("wasm, text, all hooks", Some((form, "bench"))));
            }
            Form::Source(_) => kinds.push(("wasm, Rust, all hooks", Some((form, "bench")))),
            Form::Script => kinds.push(("rhai", Some((form, "bench")))),
        }
    }
    let mut best: Vec<Option<storm::Registering>> = vec![None; kinds.len()];
    for _ in 0..arguments.storms {
        for ((_, hosted), best) in kinds.iter().zip(&mut best) {
            let hosted = hosted
                .map(|(form, case)| Hosted::new(form, case))
                .transpose()?;
            let settings = hosted.as_ref().map(Hosted::settings);
            let measured = storm::registering(arguments.devices, settings.as_deref())?;
            if hosted.is_some() {
                let (calls, devices) = (measured.plugin_calls, u64::from(arguments.devices));
                ensure!(calls >= devices, "{calls} calls for {devices} devices");
            }
            if best
                .as_ref()
                .is_none_or(|best| measured.cpu_us < best.cpu_us)
            {
                *best = Some(measured);
            }
        }
    }
    let plain_us = best
        .first()
        .and_then(Option::as_ref)
        .map(|best| best.cpu_us);
    for ((name, _), measured) in kinds.iter().zip(best.into_iter().flatten()) {
        report.row(vec![
            Cell::Text((*name).to_owned()),
            Cell::Number(measured.requests as f64, 0),
            Cell::Number(measured.lost as f64, 0),
            Cell::Number(measured.per_s, 0),
            Cell::Number(measured.cpu_us, 2),
            Cell::Number(measured.cpu_us / plain_us.unwrap_or(measured.cpu_us), 2),
        ]);
    }
    report.note(
        "cpu_us: CPU time of the server process for each registration with 20 links, of which a \
         plugin counts some and annotates the sum; to_none: the ratio to a server without plugins; all \
         hooks: it is told of each registration and asked for a plan of observations as well",
    );
    Ok(report)
}
