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
mod memory;
mod registering;
mod secure;
mod serve;
mod side;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, ensure};
use child::Server;
use echo::EchoTraffic;
use fleet::Phase;
use memory::Memory;
use side::{Measured, Security, Side, each};
use tempfile::TempDir;

pub(crate) use echo::{Arguments as EchoArguments, run as echo};
pub(crate) use registering::{Registering, registering};
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
    /// Measures a second server, whose devices come with this, beside one without.
    #[arg(long, value_enum, default_value_t = Security::None, conflicts_with = "binary")]
    security: Security,
    /// Rounds of the phases that can be repeated, Update, notify and read; the best one counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
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
            storm.row(phase, Security::None, &echo, &echo, None);
        }
        return Ok(vec![storm.phases]);
    }
    storm.run()?;
    storm.phases.note(format!(
        "{} devices, {} messages in flight. cpu_us: CPU time of the server process for each \
         request, user_us the part outside the kernel (ticks, inexact). echo_us: the same of a \
         UDP echo with the same message sizes, a blocking thread for each shard. A ping after \
         each {} NON notifications is part of their cost.",
        arguments.devices,
        arguments.in_flight,
        load::UNANSWERED_RUN
    ));
    let memory = storm.memory.map(|memory| memory.report);
    Ok([storm.phases].into_iter().chain(memory).collect())
}

/// Starts the framework in a process of its own, or the binary.
fn start_server(
    arguments: &Arguments,
    security: Security,
) -> anyhow::Result<(Server, Option<TempDir>)> {
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
        if security == Security::Psk {
            command.arg(format!("--credentials={}", arguments.devices));
        }
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

/// The load, and what came of it so far.
struct Storm<'a> {
    arguments: &'a Arguments,
    /// Without security, and with it.
    sides: Vec<Side>,
    echo: Side,
    phases: Report,
    memory: Option<Memory>,
    /// The files of a binary.
    _folder: Option<TempDir>,
}

impl<'a> Storm<'a> {
    fn new(arguments: &'a Arguments) -> anyhow::Result<Storm<'a>> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = arguments.threads.unwrap_or(cores / 2).max(1) as u32;
        let side = |security: Security, server: Server| {
            let Arguments {
                devices, in_flight, ..
            } = *arguments;
            Side::new(security, server, devices, threads, in_flight)
        };
        let mut securities = vec![Security::None];
        securities.extend((arguments.security != Security::None).then_some(arguments.security));
        let (mut sides, mut files) = (Vec::new(), None);
        if !arguments.echo_only {
            for security in securities {
                let (server, folder) = start_server(arguments, security)?;
                files = files.or(folder);
                sides.push(side(security, server)?);
            }
        }
        let echo_threads = format!("--threads={}", arguments.shards.unwrap_or(cores));
        let echo = Server::start_own(&["echo", &echo_threads])?;
        let columns = [
            "phase", "security", "requests", "lost", "retries", "wall_s", "per_s", "cpu_us",
            "user_us", "to_none", "echo_us", "ratio",
        ];
        Ok(Storm {
            arguments,
            memory: match sides.is_empty() {
                true => None,
                false => Some(Memory::new(arguments.devices, &sides)?),
            },
            sides,
            echo: side(Security::None, echo)?,
            phases: Report::new("Devices in a storm", &columns),
            _folder: files,
        })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let Arguments { until, rounds, .. } = *self.arguments;
        self.shake_hands()?;
        self.send("register", Phase::Register, 1, Some("registered"))?;
        if until == Until::Register {
            return Ok(());
        }
        self.send("update", Phase::Update, rounds, Some("updated"))?;
        if until == Until::Update || self.arguments.binary.is_some() {
            return Ok(());
        }
        self.ask("observe", 1, "observed")?;
        for side in &self.sides {
            let observed = side.observed();
            ensure!(
                observed == self.arguments.devices as usize,
                "the server observes {observed} of {} devices",
                self.arguments.devices
            );
        }
        if until == Until::Observe {
            return Ok(());
        }
        for (name, phase) in [
            ("notify NON", Phase::NotifyNon),
            ("notify CON", Phase::NotifyCon),
        ] {
            let before = self.notifications()?;
            self.send(name, phase, rounds, None)?;
            let decoded = self.notifications()? - before;
            self.phases.note(format!(
                "{name}: {decoded} of {} were decoded.",
                u64::from(rounds) * u64::from(self.arguments.devices) * self.sides.len() as u64
            ));
        }
        if until == Until::Notify {
            return Ok(());
        }
        self.ask("read", rounds, "read")
    }

    /// Every device with security has a session.
    fn shake_hands(&mut self) -> anyhow::Result<()> {
        let Some(side) = self.sides.get_mut(1) else {
            return Ok(());
        };
        let name = "handshake";
        let measured = side.send(name, Phase::Handshake)?;
        ensure!(
            measured.outcome.lost == 0,
            "{} devices have no session",
            measured.outcome.lost
        );
        let security = side.security;
        // A handshake is three messages and their answers.
        let echo = self.echo_of(&measured, true)?;
        self.row(name, security, &measured, &echo, None);
        self.remember(name)
    }

    /// Every device of every side sends a message, some times over.
    fn send(
        &mut self,
        name: &str,
        phase: Phase,
        rounds: u32,
        after: Option<&str>,
    ) -> anyhow::Result<()> {
        let answered = phase != Phase::NotifyNon;
        self.each_side(name, rounds, after, answered, |side| side.send(name, phase))
    }

    /// The servers ask every device, some times over.
    fn ask(&mut self, name: &str, rounds: u32, after: &str) -> anyhow::Result<()> {
        let mut told = Vec::new();
        self.each_side(name, rounds, Some(after), true, |side| {
            let (measured, answer) = side.ask(name)?;
            told.push(format!(
                "{name}, security {}: from call to value {:.0} us in the middle, {:.0} us at the \
                 99th percentile.",
                side.security.name(),
                answer["p50_us"].as_f64().unwrap_or_default(),
                answer["p99_us"].as_f64().unwrap_or_default(),
            ));
            Ok(measured)
        })?;
        let last = told.len().saturating_sub(self.sides.len());
        told.drain(last..).for_each(|note| self.phases.note(note));
        Ok(())
    }

    /// Measures the sides in turn, and takes the best round of each. Their memory is looked at
    /// after the first, since each round is remembered for deduplication.
    fn each_side(
        &mut self,
        name: &str,
        rounds: u32,
        after: Option<&str>,
        answered: bool,
        mut work: impl FnMut(&mut Side) -> anyhow::Result<Measured>,
    ) -> anyhow::Result<()> {
        let mut best: Vec<Option<Measured>> = self.sides.iter().map(|_| None).collect();
        for round in 0..rounds {
            for (side, best) in self.sides.iter_mut().zip(&mut best) {
                let measured = work(side)?;
                let cpu_us = measured.cpu_us();
                if best.as_ref().is_none_or(|best| cpu_us < best.cpu_us()) {
                    *best = Some(measured);
                }
            }
            if let (0, Some(after)) = (round, after) {
                self.remember(after)?;
            }
        }
        let plain_us = best.first().and_then(Option::as_ref).map(Measured::cpu_us);
        let securities: Vec<_> = self.sides.iter().map(|side| side.security).collect();
        for (security, measured) in securities.into_iter().zip(best.into_iter().flatten()) {
            let mut echo = self.echo_of(&measured, answered)?;
            for _ in 1..rounds {
                let again = self.echo_of(&measured, answered)?;
                if again.cpu_us() < echo.cpu_us() {
                    echo = again;
                }
            }
            self.row(name, security, &measured, &echo, plain_us);
        }
        Ok(())
    }

    fn echo_of(&mut self, measured: &Measured, answered: bool) -> anyhow::Result<Measured> {
        let mean = |bytes: u64| (bytes / measured.count.max(1)) as usize;
        self.echo(EchoTraffic {
            message_bytes: mean(measured.outcome.sent_bytes),
            answer_bytes: match answered {
                true => mean(measured.outcome.received_bytes),
                false => 0,
            },
        })
    }

    /// What a phase with these sizes costs the echo.
    fn echo(&mut self, traffic: EchoTraffic) -> anyhow::Result<Measured> {
        let (address, in_flight) = (self.echo.server.address, self.echo.in_flight);
        let before = self.echo.server.cpu()?;
        let outcome = each(&mut self.echo.generators, |generator, _| {
            let mut traffic = traffic;
            generator.run(address, &mut traffic, in_flight)
        })?;
        let cpu = self.echo.server.cpu()?.since(before);
        let count = outcome.requests;
        Ok(Measured {
            outcome,
            cpu,
            count,
        })
    }

    fn row(
        &mut self,
        name: &str,
        security: Security,
        measured: &Measured,
        echo: &Measured,
        plain_us: Option<f64>,
    ) {
        let Measured { outcome, count, .. } = measured;
        let (cpu_us, echo_us) = (measured.cpu_us(), echo.cpu_us());
        let wall_s = outcome.elapsed.as_secs_f64();
        self.phases.row(vec![
            Cell::Text(name.to_owned()),
            Cell::Text(security.name().to_owned()),
            Cell::Number(*count as f64, 0),
            Cell::Number(outcome.lost as f64, 0),
            Cell::Number(outcome.retries as f64, 0),
            Cell::Number(wall_s, 2),
            Cell::Number(*count as f64 / wall_s, 0),
            Cell::Number(cpu_us, 2),
            Cell::Number(measured.user_us(), 2),
            match plain_us {
                Some(plain_us) => Cell::Number(cpu_us / plain_us, 2),
                None => Cell::Text(String::new()),
            },
            Cell::Number(echo_us, 2),
            Cell::Number(cpu_us / echo_us, 2),
        ]);
    }

    fn remember(&mut self, after: &str) -> anyhow::Result<()> {
        match &mut self.memory {
            Some(memory) => memory.row(after, &self.sides),
            None => Ok(()),
        }
    }

    /// Notifications that the servers have decoded.
    fn notifications(&mut self) -> anyhow::Result<u64> {
        let decoded = self.sides.iter_mut().map(|side| {
            let answer = side.server.ask("statistics")?;
            let decoded = answer["notifications"].as_u64();
            decoded.context("the server counts no notifications")
        });
        decoded.sum()
    }
}
