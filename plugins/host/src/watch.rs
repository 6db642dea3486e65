//! Looks at the files of plugins again when the system tells that they changed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::host::Inner;

/// Follows the files for as long as it lives.
pub(crate) struct Watch {
    told: Sender<Told>,
}

/// What the thread that follows is told.
enum Told {
    Change(notify::Result<notify::Event>),
    Over,
}

/// How long nothing may have changed before the files are read: editors and deployments write in
/// several steps.
const QUIET: Duration = Duration::from_millis(150);

/// After how long they are read all the same: something beside them may be written all the time, as a
/// log is.
const QUIET_WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked whether a folder was taken away, made or exchanged, of which the system does
/// not tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Watch {
    /// Follows the files of a host; the thread ends with the watch or with the host.
    ///
    /// # Errors
    /// The system gives no thread or does not tell.
    pub(crate) fn new(host: &Arc<Inner>) -> std::io::Result<Watch> {
        let (sender, told) = mpsc::channel();
        let changes = sender.clone();
        let watcher = notify::recommended_watcher(move |change| {
            // The thread has ended otherwise.
            let _ = changes.send(Told::Change(change));
        })
        .map_err(std::io::Error::other)?;
        let followed = Followed::new(watcher, host.places());
        let host = Arc::downgrade(host);
        std::thread::Builder::new()
            .name("lwm2m-plugin-watch".to_owned())
            .spawn(move || run(&host, followed, &told))?;
        Ok(Watch { told: sender })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread has ended otherwise.
        let _ = self.told.send(Told::Over);
    }
}

fn run(host: &Weak<Inner>, mut followed: Followed, told: &Receiver<Told>) {
    loop {
        let is_told = match told.recv_timeout(LOOK_EVERY) {
            Ok(Told::Change(change)) if change.as_ref().is_ok_and(|it| it.kind.is_access()) => {
                continue;
            }
            Ok(Told::Change(change)) => {
                followed.hear(&change);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Ok(Told::Over) | Err(RecvTimeoutError::Disconnected) => return,
        };
        if is_told {
            let latest = Instant::now() + QUIET_WITHIN;
            while let left = latest.saturating_duration_since(Instant::now())
                && !left.is_zero()
            {
                match told.recv_timeout(QUIET.min(left)) {
                    Ok(Told::Change(change)) => followed.hear(&change),
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Told::Over) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
        // First, so that what changes from here on is told.
        let is_other = followed.again();
        match host.upgrade() {
            Some(host) if is_told || is_other => drop(host.reload()),
            Some(_) => {}
            None => return,
        }
    }
}

/// The places that are followed.
struct Followed {
    watcher: RecommendedWatcher,
    places: Vec<Place>,
}

struct Place {
    path: PathBuf,
    /// What of it is followed, and which folder that was: another one may come in its place.
    now: Option<(PathBuf, Identity)>,
    /// It was taken away, although what is there now may look the same.
    is_gone: bool,
}

/// What tells a folder from another one of the same name. A new one may get the number of the old one.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    number: (u64, u64),
    created: Option<SystemTime>,
}

impl Followed {
    fn new(watcher: RecommendedWatcher, places: Vec<PathBuf>) -> Followed {
        let place = |path| Place {
            path,
            now: None,
            is_gone: false,
        };
        let mut followed = Followed {
            watcher,
            places: places.into_iter().map(place).collect(),
        };
        followed.again();
        followed
    }

    /// Takes note of a folder that was taken away or renamed.
    fn hear(&mut self, change: &notify::Result<notify::Event>) {
        let Ok(change) = change else {
            return;
        };
        if !change.kind.is_remove()
            && !matches!(change.kind, EventKind::Modify(ModifyKind::Name(_)))
        {
            return;
        }
        for place in &mut self.places {
            let folder = place.now.as_ref().map(|(folder, _)| folder);
            place.is_gone |= folder.is_some_and(|folder| change.paths.contains(folder));
        }
    }

    /// Follows what is at the places now; true when that is another folder than before at one of them.
    fn again(&mut self) -> bool {
        let mut is_other = false;
        for place in &mut self.places {
            let (folder, mode) = followed(&place.path);
            let now = identity(&folder).map(|identity| (folder, identity));
            if now == place.now && !std::mem::take(&mut place.is_gone) {
                continue;
            }
            is_other = true;
            if let Some((before, _)) = place.now.take() {
                // It may be gone, and is not followed any more then.
                let _ = self.watcher.unwatch(&before);
            }
            if let Some((folder, _)) = &now
                && let Err(error) = self.watcher.watch(folder, mode)
            {
                let place = place.path.display();
                tracing::warn!(%place, %error, "plugins are not followed here");
            }
            place.now = now;
            place.is_gone = false;
        }
        is_other
    }
}

/// A folder is followed with what is in it; a file with its folder, since it may be replaced by another
/// one of its name.
fn followed(place: &Path) -> (PathBuf, RecursiveMode) {
    if place.is_dir() {
        return (place.to_owned(), RecursiveMode::Recursive);
    }
    let parent = place.parent();
    let parent = parent.filter(|parent| parent.components().count() > 0);
    let parent = parent.unwrap_or(Path::new("."));
    (parent.to_owned(), RecursiveMode::NonRecursive)
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(folder).ok()?;
    Some(Identity {
        number: number(&metadata),
        created: metadata.created().ok(),
    })
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
