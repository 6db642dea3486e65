//! DTLS: what handshakes, records and idle sessions cost a server, in three implementations.
//!
//! ```text
//!   devices (lwm2m-dtls, not measured) ── datagrams in memory ──> lwm2m-dtls | webrtc-dtls | OpenSSL
//! ```
//!
//! All run in one thread, and only what the server does is measured, in CPU time of the thread.
//! No socket is used: what the kernel costs is the same for all, and is measured by `storm`.

mod devices;
mod hold;
mod material;
#[cfg(feature = "openssl")]
mod openssl;
mod own;
mod webrtc;
mod wire;

use std::sync::Arc;

use anyhow::ensure;
use devices::Devices;
use lwm2m_dtls::ClientConfig;
use material::{Material, Mode};
use wire::{Datagrams, Server};

pub(crate) use hold::{Arguments as HoldArguments, run as hold};

use crate::report::{Cell, Report};
use crate::timing::COUNTING;

/// How long to measure, and how much to hold.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds for each figure: the best one counts, and the one in the middle is shown.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Idle sessions of lwm2m-dtls that are held at once.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    sessions: u32,
    /// Idle sessions of the others, which take much more.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    sessions_of_others: u32,
}

/// An implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stack {
    #[value(name = "lwm2m-dtls")]
    Own,
    #[value(name = "webrtc-dtls")]
    Webrtc,
    #[value(name = "openssl")]
    OpenSsl,
}

/// Devices that shake hands at the same time.
const BATCH: u32 = 64;
/// Bytes that a record carries, and its echo.
const RECORD: usize = 100;
/// Records of each device in a round.
const RECORDS: usize = 20;
/// Turns in which nobody says anything, after which a handshake is stuck.
const STUCK: u32 = 100;

const HANDSHAKES: [(&str, Mode, bool); 5] = [
    ("PSK", Mode::Psk, false),
    ("PSK, resumed", Mode::Psk, true),
    ("raw public keys, mutual", Mode::RawPublicKey, false),
    ("X.509, mutual", Mode::X509, false),
    ("X.509, resumed", Mode::X509, true),
];

/// Measures all implementations.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Vec<Report>> {
    let material = Material::new()?;
    let reports = vec![
        handshakes(arguments, &material)?,
        records(arguments, &material)?,
        hold::report(arguments.sessions, arguments.sessions_of_others)?,
    ];
    Ok(reports)
}

impl Stack {
    const ALL: [Stack; 3] = [Stack::Own, Stack::Webrtc, Stack::OpenSsl];

    fn name(self) -> String {
        match self {
            Stack::Own => "lwm2m-dtls".to_owned(),
            Stack::Webrtc => "webrtc-dtls 0.12".to_owned(),
            #[cfg(feature = "openssl")]
            Stack::OpenSsl => openssl::version().to_owned(),
            #[cfg(not(feature = "openssl"))]
            Stack::OpenSsl => "OpenSSL".to_owned(),
        }
    }

    /// Why it cannot be measured.
    fn skipped(self) -> Option<&'static str> {
        match self {
            Stack::OpenSsl if !cfg!(feature = "openssl") => {
                Some("skipped: built without the feature `openssl`")
            }
            Stack::OpenSsl if COUNTING => Some("not counted: it has a heap of its own"),
            _ => None,
        }
    }

    /// What it has.
    fn has(self, mode: Mode, resumed: bool) -> bool {
        match self {
            Stack::Own => true,
            Stack::Webrtc => mode != Mode::RawPublicKey && !resumed,
            Stack::OpenSsl => mode != Mode::RawPublicKey,
        }
    }

    /// A server, and how a device comes to it.
    fn start(self, mode: Mode, material: &Material) -> anyhow::Result<(Box<dyn Server>, Device)> {
        let mut certificate = material.server.0.as_der().to_vec();
        let server: Box<dyn Server> = match self {
            Stack::Own => Box::new(own::Own::new(material)?),
            Stack::Webrtc => {
                let (server, shown) = webrtc::Webrtc::new(mode, material)?;
                certificate = shown;
                Box::new(server)
            }
            #[cfg(feature = "openssl")]
            Stack::OpenSsl => Box::new(openssl::OpenSsl::new(mode, material)?),
            #[cfg(not(feature = "openssl"))]
            Stack::OpenSsl => anyhow::bail!("built without the feature `openssl`"),
        };
        let device = material.device(mode, &certificate)?;
        Ok((server, Arc::new(device)))
    }
}

type Device = Arc<ClientConfig>;

fn handshakes(arguments: &Arguments, material: &Material) -> anyhow::Result<Report> {
    let columns: &[_] = if COUNTING {
        &["handshake", "implementation", "allocations"]
    } else {
        &[
            "handshake",
            "implementation",
            "cpu_us",
            "cpu_median_us",
            "per_core_s",
        ]
    };
    let mut report = Report::new("DTLS handshakes, the server's part", columns);
    for (name, mode, resumed) in HANDSHAKES {
        for stack in Stack::ALL {
            let mut row = vec![Cell::Text(name.to_owned()), Cell::Text(stack.name())];
            if let Some(why) = stack.skipped() {
                row.push(Cell::Text(why.to_owned()));
            } else if !stack.has(mode, resumed) {
                row.push(Cell::Text("it has none".to_owned()));
            } else {
                let costs = handshake_costs(arguments.rounds, stack, mode, resumed, material)?;
                row.extend(figures(costs));
                if let (false, Some(Cell::Number(cpu_us, _))) = (COUNTING, row.get(2)) {
                    row.push(Cell::Number(1e6 / cpu_us, 0));
                }
            }
            row.resize(columns.len(), Cell::Text(String::new()));
            report.row(row);
        }
    }
    report.note(
        "CPU time of the server for a handshake with a stateless cookie, extended master secret \
         and AES-128-CCM_8, without sockets, in batches of 64 devices, which are lwm2m-dtls for \
         all. The cookie, which OpenSSL leaves to the application, is a constant there. \
         webrtc-dtls runs on a tokio runtime of the same thread, which is part of its figures.",
    );
    Ok(report)
}

/// The cost of a handshake in each round, in microseconds or allocations.
fn handshake_costs(
    rounds: usize,
    stack: Stack,
    mode: Mode,
    resumed: bool,
    material: &Material,
) -> anyhow::Result<Vec<f64>> {
    let (mut server, mut device) = stack.start(mode, material)?;
    let mut first = 0;
    // Warms up, and gives what is needed to continue a session.
    let (devices, _) = shake_hands(&mut *server, first, BATCH, &device)?;
    if resumed {
        device = material::resuming(&device, devices.resumption()?);
    }
    let mut costs = Vec::new();
    for _ in 0..rounds.max(1) {
        first += BATCH;
        let (devices, cost) = shake_hands(&mut *server, first, BATCH, &device)?;
        ensure!(
            devices.resumed == if resumed { BATCH as usize } else { 0 },
            "{} of {BATCH} sessions of {} were continued",
            devices.resumed,
            stack.name()
        );
        costs.push(cost / f64::from(BATCH));
    }
    Ok(costs)
}

fn records(arguments: &Arguments, material: &Material) -> anyhow::Result<Report> {
    let columns: &[_] = if COUNTING {
        &["implementation", "allocations"]
    } else {
        &["implementation", "cpu_us", "cpu_median_us"]
    };
    let mut report = Report::new("Records opened and sealed", columns);
    for stack in Stack::ALL {
        let mut row = vec![Cell::Text(stack.name())];
        match stack.skipped() {
            Some(why) => row.push(Cell::Text(why.to_owned())),
            None => row.extend(figures(record_costs(arguments.rounds, stack, material)?)),
        }
        row.resize(columns.len(), Cell::Text(String::new()));
        report.row(row);
    }
    report.note(
        "A record of 100 bytes is opened, and one with the same bytes is sealed, in turn for 64 \
         sessions with AES-128-CCM_8. Those of lwm2m-dtls come with a Connection ID.",
    );
    Ok(report)
}

/// The cost of a record and its echo in each round.
fn record_costs(rounds: usize, stack: Stack, material: &Material) -> anyhow::Result<Vec<f64>> {
    let (mut server, device) = stack.start(Mode::Psk, material)?;
    let (mut devices, _) = shake_hands(&mut *server, 0, BATCH, &device)?;
    echo(&mut *server, &mut devices)?;
    let mut costs = Vec::new();
    for _ in 0..rounds.max(1) {
        let mut cost = 0.0;
        for _ in 0..RECORDS {
            cost += echo(&mut *server, &mut devices)?;
        }
        costs.push(cost / RECORDS as f64 / f64::from(BATCH));
    }
    Ok(costs)
}

/// Lets devices come to the server; what that costs it.
fn shake_hands(
    server: &mut dyn Server,
    first: u32,
    count: u32,
    device: &Device,
) -> anyhow::Result<(Devices, f64)> {
    let (mut up, mut down) = (Datagrams::default(), Datagrams::default());
    let mut devices = Devices::new();
    devices.connect(first..first + count, device, &mut up)?;
    let (mut spent, mut silent) = (0.0, 0);
    while devices.up.len() < count as usize || !up.is_empty() {
        silent = if up.is_empty() { silent + 1 } else { 0 };
        ensure!(silent < STUCK, "a handshake is stuck");
        spent += turn(server, &mut up, &mut down);
        devices.take(&mut down, &mut up)?;
    }
    Ok((devices, spent))
}

/// Lets every device send a record and have it back; what that costs the server.
fn echo(server: &mut dyn Server, devices: &mut Devices) -> anyhow::Result<f64> {
    let (mut up, mut down) = (Datagrams::default(), Datagrams::default());
    // The buffers are there before anything is measured.
    down.reserve(devices.up.len() * 2 * RECORD, devices.up.len());
    let due = devices.echoed + devices.up.len();
    devices.send(&[7; RECORD], &mut up)?;
    let (mut spent, mut silent) = (0.0, 0);
    while devices.echoed < due {
        silent = if up.is_empty() { silent + 1 } else { 0 };
        ensure!(silent < STUCK, "a record has no echo");
        spent += turn(server, &mut up, &mut down);
        devices.take(&mut down, &mut up)?;
    }
    Ok(spent)
}

/// The server takes what came; what that costs it.
fn turn(server: &mut dyn Server, up: &mut Datagrams, down: &mut Datagrams) -> f64 {
    cost(|| {
        up.drain(|device, datagram| server.take(device, datagram, down));
        server.settle(down);
    })
}

/// Microseconds of CPU time.
#[cfg(not(feature = "count-allocations"))]
fn cost(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
    };
    let before = now();
    work();
    now() - before
}

/// Allocations.
#[cfg(feature = "count-allocations")]
fn cost(work: impl FnOnce()) -> f64 {
    allocation_counter::measure(work).count_total as f64
}

/// The best round, and the one in the middle where time is measured.
fn figures(mut costs: Vec<f64>) -> Vec<Cell> {
    costs.sort_by(f64::total_cmp);
    let best = costs.first().copied().unwrap_or_default();
    let middle = costs.get(costs.len() / 2).copied().unwrap_or_default();
    match COUNTING {
        true => vec![Cell::Number(middle, 1)],
        false => vec![Cell::Number(best, 2), Cell::Number(middle, 2)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every handshake that an implementation is said to have, and records over it.
    #[test]
    fn devices_come_to_every_server_and_have_their_records_back() {
        let material = Material::new().unwrap();
        let stacks = Stack::ALL.into_iter().filter(|it| it.skipped().is_none());
        for stack in stacks {
            for (name, mode, resumed) in HANDSHAKES {
                if stack.has(mode, resumed) {
                    let costs = handshake_costs(1, stack, mode, resumed, &material);
                    assert_eq!(costs.expect(name).len(), 1, "{stack:?}");
                }
            }
            assert_eq!(record_costs(1, stack, &material).unwrap().len(), 1);
        }
    }
}
