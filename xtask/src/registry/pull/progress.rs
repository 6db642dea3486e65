//! How far a pull is: a bar on a terminal, now and then a line elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, a line after each so many files.
const FILES_PER_LINE: u64 = 50;

/// Files that are done, out of all.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    all: u64,
}

impl Progress {
    pub(super) fn new(done: usize, all: usize) -> Progress {
        let (done, all) = (count(done), count(all));
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}");
            let bar = ProgressBar::new(all).with_position(done);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress { bar, done, all }
    }

    /// One file more is done.
    pub(super) fn step(&mut self, name: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.set_message(name.to_owned());
                bar.set_position(self.done);
            }
            None if self.done.is_multiple_of(FILES_PER_LINE) => {
                eprintln!("{} of {} files", self.done, self.all);
            }
            None => {}
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn count(files: usize) -> u64 {
    u64::try_from(files).unwrap_or(u64::MAX)
}
