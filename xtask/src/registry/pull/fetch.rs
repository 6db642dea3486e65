//! Many files at once, handed over one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::plan::Planned;
use super::source::{FetchError, Source};

/// Fetches the files with `jobs` threads and gives each to `take`, in the order of arrival.
///
/// Stops at the first error of `take`.
pub(super) fn each(
    source: &Source,
    files: &[Planned],
    jobs: usize,
    mut take: impl FnMut(&Planned, Result<Vec<u8>, FetchError>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Without room: a thread goes on when its file is taken.
        let (sender, receiver) = mpsc::sync_channel(0);
        for _ in 0..jobs.min(files.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((file, source.fetch(&file.path))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (file, answer) in receiver {
            take(file, answer)?;
        }
        Ok(())
    })
}
