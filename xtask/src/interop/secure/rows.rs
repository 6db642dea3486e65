//! The rows of one peer in one direction, some of which it cannot do.

use super::super::report::Report;

/// What a peer cannot do: what the names of the scenarios begin with, and why.
pub(super) type Lacks = &'static [(&'static str, &'static str)];

/// Where the scenarios of one peer in one direction go.
pub(super) struct Rows<'r> {
    report: &'r mut Report,
    peer: String,
    /// The first words of each name.
    direction: &'static str,
    lacks: Lacks,
    /// Of `lacks`, those that stand in the report.
    told: Vec<&'static str>,
}

impl<'r> Rows<'r> {
    pub(super) fn new(
        report: &'r mut Report,
        peer: &str,
        direction: &'static str,
        lacks: Lacks,
    ) -> Rows<'r> {
        Rows {
            report,
            peer: peer.to_owned(),
            direction,
            lacks,
            told: Vec::new(),
        }
    }

    /// Runs a scenario, or says why the peer cannot.
    pub(super) fn row(&mut self, name: &str, scenario: impl FnOnce() -> anyhow::Result<()>) {
        let lack = self.lacks.iter().find(|(words, _)| name.starts_with(words));
        match lack {
            None => {
                let name = format!("{} {name}", self.direction);
                self.report.scenario(&self.peer, &name, scenario);
            }
            Some((words, reason)) if !self.told.contains(words) => {
                self.told.push(words);
                let name = format!("{} {words}", self.direction);
                self.report.skip(&self.peer, &name, reason);
            }
            Some(_) => {}
        }
    }
}
