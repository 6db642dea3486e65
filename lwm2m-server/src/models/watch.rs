//! The thread that follows a models directory.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Models, directory};
use crate::event::EventSource;

/// How many times the settle time a load waits for a directory that is never quiet.
const SETTLE_MAX: u32 = 10;

/// How long it takes at least to the next look when a directory went while the watch was made.
const MISSING_MIN: Duration = Duration::from_millis(10);

/// A models directory that is followed, until this is dropped.
pub(super) struct Watch {
    stopped: Arc<AtomicBool>,
    waker: SyncSender<()>,
}

impl Watch {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // When it is full, the thread is about to wake up anyway.
        let _ = self.waker.try_send(());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the thread.
pub(super) fn start(models: Models, events: EventSource) -> io::Result<Watch> {
    let (waker, wakes) = sync_channel(1);
    let watch = Watch {
        stopped: Arc::default(),
        waker: waker.clone(),
    };
    let follower = Follower {
        seen: models.seen,
        models,
        events,
        stopped: Arc::clone(&watch.stopped),
        is_touched: Arc::default(),
        is_replaced: Arc::default(),
        waker,
        watched: Vec::new(),
        watcher: None,
        is_blind: false,
    };
    std::thread::Builder::new()
        .name("lwm2m-models".to_owned())
        .spawn(move || follower.run(&wakes))?;
    Ok(watch)
}

struct Follower {
    models: Models,
    events: EventSource,
    stopped: Arc<AtomicBool>,
    /// The directory as it was before the last load.
    seen: u64,
    /// A definition was touched since the last load.
    is_touched: Arc<AtomicBool>,
    /// One of the directories was made, renamed or removed: what is there now may be another one, also
    /// when it has the number of the one before.
    is_replaced: Arc<AtomicBool>,
    waker: SyncSender<()>,
    watched: Vec<(PathBuf, u64)>,
    watcher: Option<RecommendedWatcher>,
    /// The system does not notify, and that has been said.
    is_blind: bool,
}

impl Follower {
    fn run(mut self, wakes: &Receiver<()>) {
        loop {
            // What was written before the watch began is seen by looking at once.
            if !self.watch() {
                match wakes.recv_timeout(self.models.directory.poll_interval) {
                    Ok(()) => self.settle(wakes),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let is_touched = self.is_touched.swap(false, Ordering::Relaxed);
            let seen = directory::fingerprint(&self.models.directory.path);
            if is_touched || seen != self.seen {
                self.seen = seen;
                self.models.reload(&self.events);
            }
        }
    }

    /// Waits until nothing happens for a moment: files are copied one by one, and editors write
    /// in several steps.
    fn settle(&self, wakes: &Receiver<()>) {
        let pause = self.models.directory.settle_time;
        let begun = Instant::now();
        while begun.elapsed() < pause * SETTLE_MAX
            && !self.stopped.load(Ordering::Relaxed)
            && wakes.recv_timeout(pause).is_ok()
        {}
    }

    /// Watches the directories that the path leads to now; false when it does so already.
    ///
    /// The directory may be a symbolic link that is turned, and may come and go: it is watched from
    /// above as well.
    fn watch(&mut self) -> bool {
        let is_replaced = self.is_replaced.swap(false, Ordering::Relaxed);
        let wanted = directory::real_directories(&self.models.directory.path);
        if wanted == self.watched && !is_replaced {
            return false;
        }
        let outcome = self.watcher(&wanted);
        if outcome.as_ref().is_err_and(is_missing) {
            // One of them went while the watch was made: the next look is soon, and no load for the
            // processor where a file system never finds them.
            self.watcher = None;
            self.watched.clear();
            std::thread::sleep(self.models.directory.settle_time.max(MISSING_MIN));
            return true;
        }
        if let (Err(error), false) = (&outcome, self.is_blind) {
            let directory = self.models.directory.path.display();
            tracing::warn!(%directory, %error, "no notifications of changes: looking instead");
            self.is_blind = true;
        }
        self.watcher = outcome.ok();
        self.watched = wanted;
        true
    }

    fn watcher(&self, wanted: &[(PathBuf, u64)]) -> notify::Result<RecommendedWatcher> {
        let path = &self.models.directory.path;
        let own = std::fs::canonicalize(path).ok();
        let name: Option<OsString> = path.file_name().map(ToOwned::to_owned);
        let is_touched = Arc::clone(&self.is_touched);
        let is_replaced = Arc::clone(&self.is_replaced);
        let directories: Vec<PathBuf> = wanted.iter().map(|(real, _)| real.clone()).collect();
        let waker = self.waker.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<_>| {
            let Ok(notify::Event { kind, paths, .. }) = event else {
                // Events were lost, or the watch was: look.
                let _ = waker.try_send(());
                return;
            };
            let is_directory = |path: &PathBuf| {
                path.file_name() == name.as_deref()
                    || path.file_name() == Some(OsStr::new(directory::HISTORY))
                    || directories.contains(path)
            };
            let is_own = |path: &PathBuf| {
                own.as_ref().is_some_and(|own| path.starts_with(own)) || is_directory(path)
            };
            if !is_change(kind) || !(paths.is_empty() || paths.iter().any(is_own)) {
                return;
            }
            if comes_or_goes(kind) && paths.iter().any(is_directory) {
                is_replaced.store(true, Ordering::Relaxed);
            }
            if paths.iter().any(|path| directory::is_definition(path)) {
                is_touched.store(true, Ordering::Relaxed);
            }
            let _ = waker.try_send(());
        })?;
        for (directory, _) in wanted {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// True when what was to be watched is not there.
fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// True for what is made, renamed or removed.
fn comes_or_goes(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// True for what may have changed a file; reading it is no change, and loading reads it.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
