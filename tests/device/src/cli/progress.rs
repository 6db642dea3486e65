//! How far a fleet is: a bar on a terminal, a line a second elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use lwm2m_device::FleetStatus;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    count: u64,
    last: FleetStatus,
}

impl Progress {
    pub(super) fn new(count: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30} {pos}/{len} registered  {msg}  [{elapsed_precise}]",
            );
            let bar = ProgressBar::new(count);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Progress {
            bar,
            count,
            last: FleetStatus::default(),
        }
    }

    /// Shows the counters; called once a second.
    pub(super) fn show(&mut self, status: FleetStatus) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(status.registered);
                bar.set_message(summary(&self.last, &status));
            }
            None => println!("{}", line(self.count, &self.last, &status)),
        }
        self.last = status;
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(count: u64, last: &FleetStatus, now: &FleetStatus) -> String {
    let registered = now.registered;
    format!("{registered}/{count} registered  {}", summary(last, now))
}

fn summary(last: &FleetStatus, now: &FleetStatus) -> String {
    let rate = |now: u64, last: u64| now.saturating_sub(last);
    format!(
        "registers {} (+{})  updates {} (+{})  notifications {} (+{})  requests {} (+{})  errors {}",
        now.registrations,
        rate(now.registrations, last.registrations),
        now.updates,
        rate(now.updates, last.updates),
        now.notifications,
        rate(now.notifications, last.notifications),
        now.requests,
        rate(now.requests, last.requests),
        now.errors,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_totals_and_what_the_last_second_brought() {
        let last = FleetStatus {
            updates: 10,
            ..FleetStatus::default()
        };
        let now = FleetStatus {
            registered: 7,
            registrations: 8,
            updates: 12,
            errors: 1,
            ..FleetStatus::default()
        };
        assert_eq!(
            line(9, &last, &now),
            "7/9 registered  registers 8 (+8)  updates 12 (+2)  notifications 0 (+0)  \
             requests 0 (+0)  errors 1"
        );
    }
}
