//! The memory of the servers, phase by phase.

use super::side::Side;
use crate::report::{Cell, Report};

/// The memory of the servers.
pub(super) struct Memory {
    devices: u32,
    /// Of each side.
    start_bytes: Vec<u64>,
    pub(super) report: Report,
}

impl Memory {
    pub(super) fn new(devices: u32, sides: &[Side]) -> anyhow::Result<Memory> {
        let start_bytes = sides.iter().map(|side| side.server.resident_bytes());
        let columns = ["after", "security", "resident_mib", "device_bytes"];
        let mut memory = Memory {
            devices,
            start_bytes: start_bytes.collect::<anyhow::Result<_>>()?,
            report: Report::new("Memory of the server", &columns),
        };
        memory.row("start", sides)?;
        memory.report.note(
            "device_bytes: what is resident beyond the start, for each device. It holds the \
             answers that are remembered for deduplication, and with security the session; \
             credentials are there at the start.",
        );
        Ok(memory)
    }

    pub(super) fn row(&mut self, after: &str, sides: &[Side]) -> anyhow::Result<()> {
        for (side, start) in sides.iter().zip(&self.start_bytes) {
            let resident = side.server.resident_bytes()?;
            let grown = resident.saturating_sub(*start);
            self.report.row(vec![
                Cell::Text(after.to_owned()),
                Cell::Text(side.security.name().to_owned()),
                Cell::Number(resident as f64 / f64::from(1 << 20), 1),
                Cell::Number(grown as f64 / f64::from(self.devices), 0),
            ]);
        }
        Ok(())
    }
}
