//! A server and its devices, and what it is like for the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::bail;
use serde_json::Value;

use super::child::{Cpu, Server};
use super::fleet::{Fleet, Phase};
use super::load::{Expect, Generator, Outcome, Taken, Traffic};
use super::secure::SecureFleet;

/// How devices and server protect what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Security {
    /// Not at all.
    None,
    /// DTLS with pre-shared keys, AES-128-CCM_8 and Connection IDs towards the server.
    Psk,
}

impl Security {
    pub(super) fn name(self) -> &'static str {
        match self {
            Security::None => "none",
            Security::Psk => "psk",
        }
    }
}

/// A server and its devices.
pub(super) struct Side {
    pub(super) security: Security,
    pub(super) server: Server,
    pub(super) generators: Vec<(Generator, Devices)>,
    pub(super) in_flight: usize,
}

/// What a phase was, and what it cost the server.
pub(super) struct Measured {
    pub(super) outcome: Outcome,
    pub(super) cpu: Cpu,
    /// Messages that were handled: those of devices, or of the server.
    pub(super) count: u64,
}

impl Measured {
    /// Microseconds of CPU time for a message.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu.total_ns as f64 / 1e3 / self.count.max(1) as f64
    }

    /// The same outside the kernel.
    pub(super) fn user_us(&self) -> f64 {
        self.cpu.user_ns() / 1e3 / self.count.max(1) as f64
    }
}

impl Side {
    /// Devices in equal shares, each behind a generator of its own.
    pub(super) fn new(
        security: Security,
        server: Server,
        devices: u32,
        threads: u32,
        in_flight: u32,
    ) -> anyhow::Result<Side> {
        let share = devices.div_ceil(threads);
        let mut generators = Vec::new();
        for first in (0..devices).step_by(share as usize) {
            let count = share.min(devices - first);
            let fleet = Fleet::new(first, count);
            let devices = match security {
                Security::None => Devices::Plain(fleet),
                Security::Psk => Devices::Secure(Box::new(SecureFleet::new(fleet)?)),
            };
            generators.push((Generator::new(first, count)?, devices));
        }
        Ok(Side {
            security,
            server,
            in_flight: (in_flight as usize / generators.len()).max(1),
            generators,
        })
    }

    /// Every device sends a message.
    pub(super) fn send(&mut self, name: &str, phase: Phase) -> anyhow::Result<Measured> {
        let (address, in_flight) = (self.server.address, self.in_flight);
        let before = self.server.cpu()?;
        let outcome = each(&mut self.generators, |generator, devices| {
            devices.fleet_mut().phase = phase;
            generator.run(address, devices, in_flight)
        })?;
        let cpu = self.server.cpu()?.since(before);
        if let Some(code) = outcome.refusal {
            bail!(
                "{name}: {} were refused, the first with {code}",
                outcome.refused
            );
        }
        Ok(Measured {
            outcome,
            cpu,
            count: outcome.requests,
        })
    }

    /// The server asks every device; with what it tells of that.
    pub(super) fn ask(&mut self, name: &str) -> anyhow::Result<(Measured, Value)> {
        let Side {
            server, generators, ..
        } = self;
        let address = server.address;
        let devices = generators.iter().map(|(_, devices)| devices.fleet().len());
        let devices: u64 = devices.sum();
        let before = server.cpu()?;
        let stop = AtomicBool::new(false);
        let command = format!("{name} {devices}");
        let (outcome, answer) = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let answer = server.ask(&command);
                stop.store(true, Ordering::Release);
                answer
            });
            let outcome = each(generators, |generator, devices| {
                devices.fleet_mut().phase = Phase::Answer;
                generator.serve(address, devices, &stop)
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
        let measured = Measured {
            outcome,
            cpu,
            count: devices,
        };
        Ok((measured, answer))
    }

    /// Devices that the server observes.
    pub(super) fn observed(&self) -> usize {
        let fleets = self.generators.iter().map(|(_, devices)| devices.fleet());
        fleets.map(Fleet::observed).sum()
    }
}

/// Drives all generators, each on a thread of its own.
pub(super) fn each(
    generators: &mut [(Generator, Devices)],
    work: impl Fn(&mut Generator, &mut Devices) -> anyhow::Result<Outcome> + Sync,
) -> anyhow::Result<Outcome> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = generators
            .iter_mut()
            .map(|(generator, devices)| scope.spawn(move || work(generator, devices)))
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

/// The devices of a generator.
pub(super) enum Devices {
    Plain(Fleet),
    Secure(Box<SecureFleet>),
}

impl Devices {
    fn fleet(&self) -> &Fleet {
        match self {
            Devices::Plain(fleet) => fleet,
            Devices::Secure(devices) => &devices.fleet,
        }
    }

    fn fleet_mut(&mut self) -> &mut Fleet {
        match self {
            Devices::Plain(fleet) => fleet,
            Devices::Secure(devices) => &mut devices.fleet,
        }
    }
}

impl Traffic for Devices {
    fn message(&mut self, device: usize, again: bool, out: &mut Vec<u8>) -> Expect {
        match self {
            Devices::Plain(fleet) => fleet.message(device, again, out),
            Devices::Secure(devices) => devices.message(device, again, out),
        }
    }

    fn sync(&mut self, device: usize, out: &mut Vec<u8>) {
        match self {
            Devices::Plain(fleet) => fleet.sync(device, out),
            Devices::Secure(devices) => devices.sync(device, out),
        }
    }

    fn take(&mut self, device: usize, datagram: &[u8], reply: &mut Vec<u8>) -> Taken {
        match self {
            Devices::Plain(fleet) => fleet.take(device, datagram, reply),
            Devices::Secure(devices) => devices.take(device, datagram, reply),
        }
    }
}
