//! The thread that follows the files of the keys.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind as Change, RecommendedWatcher, RecursiveMode, Watcher};

use super::files::key_files;
use super::{KeyFileError, KeyFiles, KeyWarning, Keys, Reloaded};
use crate::Reason;
use crate::event::{EventKind, EventSource};

/// How often to look where the file system does not notify.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Files are read when nothing happens for this long: a chain and its key are written one by one.
const SETTLE_TIME: Duration = Duration::from_millis(100);
/// Files that are never quiet are read after this many times [`SETTLE_TIME`].
const SETTLE_MAX: u32 = 10;

/// Keys whose files are followed, until this is dropped.
pub(crate) struct KeysWatch {
    stopped: Arc<AtomicBool>,
    waker: SyncSender<()>,
}

impl KeysWatch {
    /// Stops following.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // When it is full, the thread is about to wake up anyway.
        let _ = self.waker.try_send(());
    }
}

impl Drop for KeysWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Follows the files of the keys; none when they are not out of files.
pub(crate) fn follow(keys: Keys, events: EventSource) -> io::Result<Option<KeysWatch>> {
    log_warnings(&keys.current().warnings(now_unix_s()));
    if keys.files().paths().is_empty() {
        return Ok(None);
    }
    let (waker, wakes) = sync_channel(1);
    let watch = KeysWatch {
        stopped: Arc::default(),
        waker: waker.clone(),
    };
    let follower = Follower {
        // What was written since the keys were loaded is seen by looking at once.
        seen: 0,
        keys,
        events,
        stopped: Arc::clone(&watch.stopped),
        waker,
        watched: BTreeSet::new(),
        watcher: None,
        is_blind: false,
    };
    std::thread::Builder::new()
        .name("lwm2m-keys".to_owned())
        .spawn(move || follower.run(&wakes))?;
    Ok(Some(watch))
}

struct Follower {
    keys: Keys,
    events: EventSource,
    stopped: Arc<AtomicBool>,
    /// The files as they were before the last reload.
    seen: u64,
    waker: SyncSender<()>,
    watched: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// The system does not notify, and that has been said.
    is_blind: bool,
}

impl Follower {
    fn run(mut self, wakes: &Receiver<()>) {
        loop {
            self.watch();
            let seen = fingerprint(self.keys.files());
            if seen != self.seen {
                self.seen = seen;
                self.reload();
            }
            match wakes.recv_timeout(POLL_INTERVAL) {
                Ok(()) => self.settle(wakes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn settle(&self, wakes: &Receiver<()>) {
        let begun = Instant::now();
        while begun.elapsed() < SETTLE_TIME * SETTLE_MAX
            && !self.stopped.load(Ordering::Relaxed)
            && wakes.recv_timeout(SETTLE_TIME).is_ok()
        {}
    }

    fn reload(&self) {
        let outcome = match self.keys.reload() {
            Ok(Reloaded::Unchanged) => return,
            Ok(Reloaded::Replaced) => {
                let warnings = self.keys.current().warnings(now_unix_s());
                tracing::info!("keys and certificates replaced");
                log_warnings(&warnings);
                Ok(warnings)
            }
            Err(error) => {
                let reason = refusal(&error);
                let hint = reason.hint.as_deref().unwrap_or_default();
                tracing::warn!(%error, hint, "keys and certificates stay as they were");
                Err(reason)
            }
        };
        if let Some(sender) = self.events.sender() {
            sender.emit(SystemTime::now(), None, || EventKind::KeysReloaded {
                outcome,
            });
        }
    }

    /// Watches the folders that the files are in now, by their names and by what these lead to:
    /// orchestrators turn a symbolic link instead of writing a file.
    fn watch(&mut self) {
        let wanted = folders(self.keys.files());
        if wanted == self.watched && self.watcher.is_some() {
            return;
        }
        let outcome = self.watcher(&wanted);
        if let (Err(error), false) = (&outcome, self.is_blind) {
            tracing::warn!(%error, "no notifications of changed keys: looking instead");
            self.is_blind = true;
        }
        self.watcher = outcome.ok();
        self.watched = wanted;
    }

    fn watcher(&self, wanted: &BTreeSet<PathBuf>) -> notify::Result<RecommendedWatcher> {
        let waker = self.waker.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading is no change, and we read. What was lost may have been a change.
            let is_change = match event.map(|event| event.kind) {
                Ok(Change::Access(access)) => access == AccessKind::Close(AccessMode::Write),
                Ok(_) | Err(_) => true,
            };
            if is_change {
                let _ = waker.try_send(());
            }
        })?;
        for folder in wanted {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// The folders that are there: of each path, and of what it leads to.
fn folders(files: &KeyFiles) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in files.paths() {
        for path in [Some(path.to_owned()), fs::canonicalize(path).ok()] {
            let Some(path) = path else { continue };
            if path.is_dir() {
                folders.insert(path.clone());
            }
            let above = path.parent().filter(|above| above.is_dir());
            folders.extend(above.map(Path::to_owned));
            // A bare file name has the empty path above it.
            if path
                .parent()
                .is_some_and(|above| above.as_os_str().is_empty())
            {
                folders.insert(PathBuf::from("."));
            }
        }
    }
    folders
}

/// A number that changes when one of the files is written, comes or goes, symbolic links followed.
fn fingerprint(files: &KeyFiles) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in files.paths() {
        for file in key_files(path).unwrap_or_default() {
            let metadata = fs::metadata(&file).ok();
            let state = metadata.map(|it| (identity(&it), it.len(), it.modified().ok()));
            (file, state).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;

    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

fn log_warnings(warnings: &[KeyWarning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn refusal(error: &KeyFileError) -> Reason {
    Reason::new("keys-unusable", error.to_string())
        .hint("mend this file; until then the server goes on with the keys that it has")
}

/// Certificates are checked against the time of day.
fn now_unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
