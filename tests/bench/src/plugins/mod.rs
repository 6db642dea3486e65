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
    /// Rounds of the storm, each with servers of its own; the middle one counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=50))]
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

/// Devices register at a server without plugins, then at one with a form of it, again and again: what
/// the machine does otherwise changes more from minute to minute than a plugin costs.
fn storms(forms: &[Form], arguments: &Arguments) -> anyhow::Result<Report> {
    let columns = [
        "plugin", "requests", "lost", "per_s", "cpu_us", "to_none", "least", "most",
    ];
    let mut report = Report::new("A storm of registrations through a plugin", &columns);
    let mut kinds: Vec<(&str, &Form, &str)> = Vec::new();
    for form in forms {
        kinds.extend(match form {
            Form::Text => vec![
                ("wasm, text, on_register alone", form, ALONE),
                ("wasm, text, all hooks", form, "bench"),
            ],
            Form::Source { .. } => vec![
                ("wasm, Rust, on_register alone", form, ALONE),
                ("wasm, Rust, all hooks", form, "bench"),
            ],
            Form::Script => vec![("rhai", form, "bench")],
        });
    }
    let mut without = Vec::new();
    let mut with: Vec<Vec<Paired>> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.storms {
        for ((_, form, case), rounds) in kinds.iter().zip(&mut with) {
            let hosted = Hosted::new(form, case)?;
            let plain = storm::registering(arguments.devices, None)?;
            let measured = storm::registering(arguments.devices, Some(&hosted.settings()))?;
            let (calls, devices) = (measured.plugin_calls, u64::from(arguments.devices));
            ensure!(calls >= devices, "{calls} calls for {devices} devices");
            rounds.push(Paired {
                measured,
                to_none: measured.cpu_us / plain.cpu_us,
            });
            without.push(Paired {
                measured: plain,
                to_none: 1.0,
            });
        }
    }
    let rows = kinds.iter().map(|(name, ..)| *name).zip(with);
    for (name, rounds) in std::iter::once(("none", without)).chain(rows) {
        if let Some(row) = row(name, rounds) {
            report.row(row);
        }
    }
    report.note(
        "cpu_us: CPU time of the server process for each registration with 20 links, of which a \
         plugin counts some and annotates the sum, in the middle one of the rounds; to_none: the ratio \
         to a server without plugins that was measured just before, in the middle one of the rounds, \
         with the least and the most; all hooks: it is told of each registration and asked for a plan of \
         observations as well",
    );
    Ok(report)
}

/// A storm through a plugin, and the ratio to one without just before.
struct Paired {
    measured: storm::Registering,
    to_none: f64,
}

/// The middle of the rounds, by CPU time and by ratio; none without rounds.
fn row(name: &str, mut rounds: Vec<Paired>) -> Option<Vec<Cell>> {
    let mut ratios: Vec<f64> = rounds.iter().map(|round| round.to_none).collect();
    ratios.sort_by(f64::total_cmp);
    rounds.sort_by(|one, other| one.measured.cpu_us.total_cmp(&other.measured.cpu_us));
    let measured = rounds.get(rounds.len() / 2)?.measured;
    Some(vec![
        Cell::Text(name.to_owned()),
        Cell::Number(measured.requests as f64, 0),
        Cell::Number(measured.lost as f64, 0),
        Cell::Number(measured.per_s, 0),
        Cell::Number(measured.cpu_us, 2),
        Cell::Number(*ratios.get(ratios.len() / 2)?, 2),
        Cell::Number(*ratios.first()?, 2),
        Cell::Number(*ratios.last()?, 2),
    ])
}
