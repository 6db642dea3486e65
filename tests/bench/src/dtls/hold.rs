//! What idle sessions and unanswered ClientHellos keep of memory: a process of its own for each,
//! since what one has had does not go back to the system.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::devices::Devices;
use super::material::{Material, Mode};
use super::wire::Datagrams;
use super::{BATCH, Device, Server, Stack, echo, shake_hands, turn};
use crate::process::resident_bytes;
use crate::report::{Cell, Report};
use crate::timing::COUNTING;

/// What a process holds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_enum)]
    stack: Stack,
    #[arg(long, value_enum)]
    what: What,
    #[arg(long)]
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Sessions with a pre-shared key, over which a record has gone each way.
    Sessions,
    /// First ClientHellos, whose answers reach nobody.
    Hellos,
}

impl What {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            What::Sessions => ("sessions", "idle PSK session"),
            What::Hellos => ("hellos", "unanswered ClientHello"),
        }
    }
}

/// Lets a process hold, for each implementation.
pub(super) fn report(own: u32, others: u32) -> anyhow::Result<Report> {
    let columns: &[_] = if COUNTING {
        &["held", "implementation", "count", "heap_bytes_each"]
    } else {
        &[
            "held",
            "implementation",
            "count",
            "resident_mib",
            "resident_bytes_each",
        ]
    };
    let mut report = Report::new("Memory of DTLS", columns);
    for what in [What::Sessions, What::Hellos] {
        for stack in Stack::ALL {
            let count = if stack == Stack::Own { own } else { others };
            let mut row = vec![
                Cell::Text(what.words().1.to_owned()),
                Cell::Text(stack.name()),
                Cell::Number(f64::from(count), 0),
            ];
            match stack.skipped() {
                Some(why) => row.push(Cell::Text(why.to_owned())),
                None => row.extend(cells(&held(stack, what, count)?, count)?),
            }
            row.resize(columns.len(), Cell::Text(String::new()));
            report.row(row);
        }
    }
    report.note(
        "What a process holds beyond 64 sessions or hellos, all in one server. A session has \
         carried a record each way. OpenSSL is used as the crate `openssl` offers it, with an \
         object for each ClientHello; its DTLSv1_listen would do without, and is not offered.",
    );
    Ok(report)
}

fn cells(held: &Value, count: u32) -> anyhow::Result<Vec<Cell>> {
    let figure = |name: &str| {
        let figure = held[name].as_f64();
        figure.with_context(|| format!("no {name} in {held}"))
    };
    let each = |bytes: f64| Cell::Number(bytes / f64::from(count), 0);
    if COUNTING {
        return Ok(vec![each(figure("heap_bytes")?)]);
    }
    let resident = figure("resident_bytes")?;
    let mib = Cell::Number(resident / f64::from(1 << 20), 1);
    Ok(vec![mib, each(resident)])
}

/// Runs a process that holds, and reads what it found.
fn held(stack: Stack, what: What, count: u32) -> anyhow::Result<Value> {
    use clap::ValueEnum;
    let stack = stack
        .to_possible_value()
        .context("every stack has a name")?;
    let output = Command::new(std::env::current_exe()?)
        .arg("hold")
        .arg(format!("--stack={}", stack.get_name()))
        .arg(format!("--what={}", what.words().0))
        .arg(format!("--count={count}"))
        .output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        stack.get_name(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Holds, and prints what that takes.
#[allow(clippy::print_stdout, reason = "the answer to the process that asked")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let material = Material::new()?;
    let (mut server, device) = arguments.stack.start(Mode::Psk, &material)?;
    let mut hold = |first: u32, count: u32| match arguments.what {
        What::Sessions => sessions(&mut *server, first, count, &device),
        What::Hellos => hellos(&mut *server, first, count, &device),
    };
    // Buffers and tables begin.
    hold(0, BATCH)?;
    let before = resident_bytes("self")?;
    let mut held = Ok(());
    let heap = retained(|| held = hold(BATCH, arguments.count));
    held?;
    let resident = resident_bytes("self")?.saturating_sub(before);
    println!(
        "{}",
        json!({ "resident_bytes": resident, "heap_bytes": heap })
    );
    Ok(())
}

/// Lets devices come, send a record, and go without a word; the server keeps their sessions.
fn sessions(
    server: &mut dyn Server,
    first: u32,
    count: u32,
    device: &Device,
) -> anyhow::Result<()> {
    for start in (first..first + count).step_by(BATCH as usize) {
        let batch = BATCH.min(first + count - start);
        let (mut devices, _) = shake_hands(server, start, batch, device)?;
        echo(server, &mut devices)?;
    }
    Ok(())
}

/// Lets devices begin, and hear nothing.
fn hellos(server: &mut dyn Server, first: u32, count: u32, device: &Device) -> anyhow::Result<()> {
    let (mut up, mut down) = (Datagrams::default(), Datagrams::default());
    for start in (first..first + count).step_by(BATCH as usize) {
        let batch = BATCH.min(first + count - start);
        Devices::new().connect(start..start + batch, device, &mut up)?;
        turn(server, &mut up, &mut down);
        let mut answers = 0;
        down.drain(|_, _| answers += 1);
        ensure!(
            answers == batch,
            "{answers} answers to {batch} ClientHellos"
        );
    }
    Ok(())
}

/// Bytes of the heap that are kept; none where they are not counted.
#[cfg(not(feature = "count-allocations"))]
fn retained(work: impl FnOnce()) -> Option<i64> {
    work();
    None
}

#[cfg(feature = "count-allocations")]
fn retained(work: impl FnOnce()) -> Option<i64> {
    Some(allocation_counter::measure(work).bytes_current)
}
