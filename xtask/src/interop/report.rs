//! One table: peer, scenario, result.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::bail;

/// Parts that run at once: most of their time they wait.
const SIDE_BY_SIDE: usize = 4;

/// What came of the scenarios.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, String, Outcome)>,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Report {
    /// Runs one scenario and notes what came of it.
    pub(crate) fn scenario(
        &mut self,
        peer: &str,
        name: &str,
        scenario: impl FnOnce() -> anyhow::Result<()>,
    ) {
        let begun = Instant::now();
        let outcome = match scenario() {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        println!(
            "{peer}: {name}: {}, {:.1} s",
            outcome.word(),
            begun.elapsed().as_secs_f32()
        );
        self.rows.push((peer.to_owned(), name.to_owned(), outcome));
    }

    /// Runs parts side by side, [`SIDE_BY_SIDE`] at a time, and notes what came of them in their
    /// order.
    pub(crate) fn side_by_side<P: Send>(
        &mut self,
        parts: Vec<P>,
        run: impl Fn(&P, &mut Report) + Sync,
    ) {
        let count = parts.len();
        let parts = Mutex::new(parts.into_iter().enumerate());
        let done: Mutex<Vec<(usize, Report)>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..SIDE_BY_SIDE.min(count) {
                scope.spawn(|| {
                    loop {
                        let next = lock(&parts).next();
                        let Some((place, part)) = next else { return };
                        let mut report = Report::default();
                        run(&part, &mut report);
                        lock(&done).push((place, report));
                    }
                });
            }
        });
        let mut done = std::mem::take(&mut *lock(&done));
        done.sort_by_key(|(place, _)| *place);
        self.rows
            .extend(done.into_iter().flat_map(|(_, report)| report.rows));
    }

    /// Notes what could not be run.
    pub(crate) fn skip(&mut self, peer: &str, name: &str, reason: &str) {
        println!("{peer}: {name}: skipped: {reason}");
        self.rows.push((
            peer.to_owned(),
            name.to_owned(),
            Outcome::Skipped(reason.to_owned()),
        ));
    }

    /// Prints the table and how long it took since `begun`; fails when a scenario failed or nothing
    /// ran.
    pub(crate) fn finish(self, begun: Instant) -> anyhow::Result<()> {
        let width = self
            .rows
            .iter()
            .map(|(_, name, _)| name.len())
            .max()
            .unwrap_or(0);
        let peers = self.rows.iter().map(|(peer, _, _)| peer.len());
        let first = peers.max().unwrap_or(0);
        println!("\n{:<first$}  {:<width$}  result", "peer", "scenario");
        for (peer, name, outcome) in &self.rows {
            let detail = match outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(reason) | Outcome::Skipped(reason) => format!(": {reason}"),
            };
            println!("{peer:<first$}  {name:<width$}  {}{detail}", outcome.word());
        }
        let count = |word| {
            self.rows
                .iter()
                .filter(|(_, _, outcome)| outcome.word() == word)
                .count()
        };
        let (passed, failed, skipped) = (count("passed"), count("FAILED"), count("skipped"));
        println!(
            "\ninterop: {passed} passed, {failed} failed, {skipped} skipped, in {} s",
            begun.elapsed().as_secs()
        );
        if failed > 0 {
            bail!("{failed} scenarios failed");
        }
        if passed == 0 {
            bail!("no scenario ran");
        }
        Ok(())
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "skipped",
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
