//! Many devices against one server: CPU time for each request, memory for each device.
//!
//! ```text
//!   generator threads ──UDP──> server process ─ its CPU time and memory from /proc
//!          └───────────UDP──> echo process   ─ the same sizes, nothing else: the baseline
//! ```
//!
//! Wall-clock time says little on a machine that others use, and half of the load is the
//! generator's. CPU time of the server for each request, and its ratio to the echo in the same
//! minute, hardly depend on either.

mod child;
mod echo;
mod fleet;
mod load;
mod serve;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, bail, ensure};
use child::{Cpu, Server};
use echo::EchoTraffic;
use fleet::{Fleet, Phase};
use load::{Generator, Outcome};
use tempfile::TempDir;

pub(crate) use echo::{Arguments as EchoArguments, run as echo};
pub(crate) use serve::{Arguments as ServeArguments, run as serve};

use crate::report::{Cell, Report};

/// How much load.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Simulated devices, each with an address of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(load::DEVICES_MAX)))]
    devices: u32,
    /// Messages on their way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// Threads that generate load, each with a socket; half of the cores when not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Shards of the server; one for each core when not given.
    #[arg(long)]
    shards: Option<usize>,
    /// Subscribes to the events of the server, and drops them.
    #[arg(long, conflicts_with = "binary")]
    subscriber: bool,
    /// Lets the server listen on all addresses; the load still comes over the loopback.
    #[arg(long, conflicts_with = "binary")]
    all_addresses: bool,
    /// Measures the echo against itself, without a server.
    #[arg(long)]
    echo_only: bool,
    /// Stops after a phase.
    #[arg(long, value_enum, default_value_t = Until::Read)]
    until: Until,
    /// Measures this `lwm2m-server` binary, with its log, instead of the framework alone; Register
    /// and Update only.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Runs the server under another program, as in `--under "perf record -g"`.
    #[arg(long, value_name = "COMMAND")]
    under: Option<String>,
}

/// The last phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Until {
    Register,
    Update,
    Observe,
    Notify,
    Read,
}

/// Runs all phases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Vec<Report>> {
    let mut storm = Storm::new(arguments)?;
    if arguments.echo_only {
        for (phase, message_bytes, answer_bytes) in [
            ("register", 480, 24),
            ("update", 40, 12),
            ("notify NON", 40, 0),
            ("notify CON", 40, 4),
        ] {
            let echo = storm.echo(EchoTraffic {
                message_bytes,
                answer_bytes,
            })?;
            storm.row(phase, &echo, &echo);
        }
        return Ok(vec![storm.phases]);
    }
    let (mut server, _folder) = start_server(arguments)?;
    let mut memory = Memory::new(arguments.devices, &server)?;
    storm.run(arguments, &mut server, &mut memory)?;
    storm.phases.note(format!(
        "{} devices, {} messages in flight. cpu_us: CPU time of the server process for each \
         request, user_us the part outside the kernel (ticks, inexact). echo_us: the same of a \
         UDP echo with the same message sizes, a blocking thread for each shard. A ping after \
         each {} NON notifications is part of their cost.",
        arguments.devices,
        arguments.in_flight,
        load::UNANSWERED_RUN
    ));
    Ok(vec![storm.phases, memory.report])
}

/// Starts the framework in a process of its own, or the binary.
fn start_server(arguments: &Arguments) -> anyhow::Result<(Server, Option<TempDir>)> {
    let own = std::env::current_exe()?;
    let program = arguments.binary.as_ref().unwrap_or(&own);
    let mut under = arguments.under.iter().flat_map(|under| under.split(' '));
    let mut command = match under.next() {
        Some(profiler) => {
            let mut command = Command::new(profiler);
            command.args(under).arg(program);
            command
        }
        None => Command::new(program),
    };
    if arguments.binary.is_none() {
        command
            .arg("serve")
            .arg(format!("--in-flight={}", arguments.in_flight))
            .args(arguments.shards.map(|shards| format!("--shards={shards}")))
            .args(arguments.subscriber.then_some("--subscriber"))
            .args(arguments.all_addresses.then_some("--all-addresses"));
        return Ok((Server::start(&mut command)?, None));
    }
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("lwm2m-server.toml");
    let shards = arguments
        .shards
        .map(|shards| format!("shards = {shards}\n"));
    fs::write(&config, format!("{CONFIG}{}", shards.unwrap_or_default()))?;
    // What it logs costs time to write, not to show.
    command.arg("--config").arg(config).stderr(Stdio::null());
    let mut server = Server::start(&mut command)?;
    server.ends_with_stdin = false;
    Ok((server, Some(folder)))
}

/// The configuration of the binary; more keys of the last section may follow.
const CONFIG: &str = r#"
[http]
bind = "127.0.0.1:0"
[server]
bind_address = "127.0.0.1"
bind_port = 0
security_mode = "nosec"
"#;

fn notifications(server: &mut Server) -> anyhow::Result<u64> {
    let answer = server.ask("statistics")?;
    answer["notifications"]
        .as_u64()
        .context("the server counts no notifications")
}

/// The load, and what came of it so far.
struct Storm {
    generators: Vec<(Generator, Fleet)>,
    echo: Server,
    in_flight: usize,
    phases: Report,
}

/// What a phase was, and what it cost the server.
struct Measured {
    outcome: Outcome,
    cpu: Cpu,
    /// Messages that were handled: those of devices, or of the server.
    count: u64,
}

impl Storm {
    fn new(arguments: &Arguments) -> anyhow::Result<Storm> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = arguments.threads.unwrap_or(cores / 2).max(1) as u32;
        let share = arguments.devices.div_ceil(threads);
        let mut generators = Vec::new();
        for first in (0..arguments.devices).step_by(share as usize) {
            let count = share.min(arguments.devices - first);
            generators.push((Generator::new(first, count)?, Fleet::new(first, count)));
        }
        let echo_threads = format!("--threads={}", arguments.shards.unwrap_or(cores));
        let columns = [
            "phase", "requests", "lost", "retries", "wall_s", "per_s", "cpu_us", "user_us",
            "echo_us", "ratio",
        ];
        Ok(Storm {
            in_flight: (arguments.in_flight as usize / generators.len()).max(1),
            generators,
            echo: Server::start_own(&["echo", &echo_threads])?,
            phases: Report::new("Devices in a storm", &columns),
        })
    }

    fn run(
        &mut self,
        arguments: &Arguments,
        server: &mut Server,
        memory: &mut Memory,
    ) -> anyhow::Result<()> {
        self.send("register", Phase::Register, server)?;
        memory.row("registered", server)?;
        if arguments.until == Until::Register {
            return Ok(());
        }
        self.send("update", Phase::Update, server)?;
        memory.row("updated", server)?;
        if arguments.until == Until::Update || arguments.binary.is_some() {
            return Ok(());
        }
        self.ask("observe", server)?;
        memory.row("observed", server)?;
        let observed = self.generators.iter().map(|(_, fleet)| fleet.observed());
        let observed: usize = observed.sum();
        ensure!(
            observed == arguments.devices as usize,
            "the server observes {observed} of {} devices",
            arguments.devices
        );
        if arguments.until == Until::Observe {
            return Ok(());
        }
        let before = notifications(server)?;
        self.send("notify NON", Phase::NotifyNon, server)?;
        let between = notifications(server)?;
        self.send("notify CON", Phase::NotifyCon, server)?;
        let after = notifications(server)?;
        self.phases.note(format!(
            "The server decoded {} of the NON and {} of the CON notifications.",
            between - before,
            after - between
        ));
        if arguments.until == Until::Notify {
            return Ok(());
        }
        self.ask("read", server)?;
        memory.row("read", server)
    }

    /// Every device sends a message.
    fn send(&mut self, name: &str, phase: Phase, server: &Server) -> anyhow::Result<()> {
        let (address, in_flight) = (server.address, self.in_flight);
        let before = server.cpu()?;
        let outcome = self.each(|generator, fleet| {
            fleet.phase = phase;
            generator.run(address, fleet, in_flight)
        })?;
        let cpu = server.cpu()?.since(before);
        if let Some(code) = outcome.refusal {
            bail!(
                "{name}: {} were refused, the first with {code}",
                outcome.refused
            );
        }
        let answered = phase != Phase::NotifyNon;
        self.add(name, outcome, cpu, outcome.requests, answered)
    }

    /// The server asks every device.
    fn ask(&mut self, name: &str, server: &mut Server) -> anyhow::Result<()> {
        let address = server.address;
        let devices: u64 = self.generators.iter().map(|(_, fleet)| fleet.len()).sum();
        let before = server.cpu()?;
        let stop = AtomicBool::new(false);
        let command = format!("{name} {devices}");
        let (outcome, answer) = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let answer = server.ask(&command);
                stop.store(true, Ordering::Release);
                answer
            });
            let outcome = self.each(|generator, fleet| {
                fleet.phase = Phase::Answer;
                generator.serve(address, fleet, &stop)
            });
            let answer = asking
                .join()
                .map_err(|_| anyhow::anyhow!("{name} panicked"));
            (outcome, answer)
        });
        let (outcome, answer) = (outcome?, answer??);
        let cpu = server.cpu()?.since(before);
        if answer["failed"] != 0 {
            bail!("{name}: {answer}");
        }
        self.phases.note(format!(
            "{name}: from call to value {:.0} us in the middle, {:.0} us at the 99th percentile.",
            answer["p50_us"].as_f64().unwrap_or_default(),
            answer["p99_us"].as_f64().unwrap_or_default(),
        ));
        self.add(name, outcome, cpu, devices, true)
    }

    fn add(
        &mut self,
        name: &str,
        outcome: Outcome,
        cpu: Cpu,
        count: u64,
        answered: bool,
    ) -> anyhow::Result<()> {
        let mean = |bytes: u64| (bytes / count.max(1)) as usize;
        let echo = self.echo(EchoTraffic {
            message_bytes: mean(outcome.sent_bytes),
            answer_bytes: if answered {
                mean(outcome.received_bytes)
            } else {
                0
            },
        })?;
        let measured = Measured {
            outcome,
            cpu,
            count,
        };
        self.row(name, &measured, &echo);
        Ok(())
    }

    /// What a phase with these sizes costs the echo.
    fn echo(&mut self, traffic: EchoTraffic) -> anyhow::Result<Measured> {
        let (address, in_flight) = (self.echo.address, self.in_flight);
        let before = self.echo.cpu()?;
        let outcome = self.each(|generator, _| {
            let mut traffic = traffic;
            generator.run(address, &mut traffic, in_flight)
        })?;
        let cpu = self.echo.cpu()?.since(before);
        let count = outcome.requests;
        Ok(Measured {
            outcome,
            cpu,
            count,
        })
    }

    fn row(&mut self, name: &str, measured: &Measured, echo: &Measured) {
        let Measured {
            outcome,
            cpu,
            count,
        } = measured;
        let each = |ns: f64, count: u64| ns / 1e3 / count.max(1) as f64;
        let cpu_us = each(cpu.total_ns as f64, *count);
        let echo_us = each(echo.cpu.total_ns as f64, echo.count);
        let wall_s = outcome.elapsed.as_secs_f64();
        self.phases.row(vec![
            Cell::Text(name.to_owned()),
            Cell::Number(*count as f64, 0),
            Cell::Number(outcome.lost as f64, 0),
            Cell::Number(outcome.retries as f64, 0),
            Cell::Number(wall_s, 2),
            Cell::Number(*count as f64 / wall_s, 0),
            Cell::Number(cpu_us, 2),
            Cell::Number(each(cpu.user_ns(), *count), 2),
            Cell::Number(echo_us, 2),
            Cell::Number(cpu_us / echo_us, 2),
        ]);
    }

    /// Drives all generators, each on a thread of its own.
    fn each(
        &mut self,
        work: impl Fn(&mut Generator, &mut Fleet) -> anyhow::Result<Outcome> + Sync,
    ) -> anyhow::Result<Outcome> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .generators
                .iter_mut()
                .map(|(generator, fleet)| scope.spawn(move || work(generator, fleet)))
                .collect();
            let mut all = Outcome::default();
            for thread in threads {
                let outcome = thread.join();
                let outcome = outcome.map_err(|_| anyhow::anyhow!("a generator panicked"))??;
                all = all.and(outcome);
            }
            Ok(all)
        })
    }
}

/// The memory of the server, phase by phase.
struct Memory {
    devices: u32,
    start_bytes: u64,
    report: Report,
}

impl Memory {
    fn new(devices: u32, server: &Server) -> anyhow::Result<Memory> {
        let mut memory = Memory {
            devices,
            start_bytes: server.resident_bytes()?,
            report: Report::new(
                "Memory of the server",
                &["after", "resident_mib", "device_bytes"],
            ),
        };
        memory.row("start", server)?;
        memory.report.note(
            "device_bytes: what is resident beyond the start, for each device. It holds the \
             answers that are remembered for deduplication.",
        );
        Ok(memory)
    }

    fn row(&mut self, after: &str, server: &Server) -> anyhow::Result<()> {
        let resident = server.resident_bytes()?;
        let grown = resident.saturating_sub(self.start_bytes);
        self.report.row(vec![
            Cell::Text(after.to_owned()),
            Cell::Number(resident as f64 / f64::from(1 << 20), 1),
            Cell::Number(grown as f64 / f64::from(self.devices), 0),
        ]);
        Ok(())
    }
}
