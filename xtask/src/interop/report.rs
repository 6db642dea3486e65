//! One table: peer, scenario, result.

use anyhow::bail;

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
        let outcome = match scenario() {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        println!("{peer}: {name}: {}", outcome.word());
        self.rows.push((peer.to_owned(), name.to_owned(), outcome));
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

    /// Prints the table; fails when a scenario failed or nothing ran.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
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
        println!("\ninterop: {passed} passed, {failed} failed, {skipped} skipped");
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
