//! Looks at the files of plugins again when the system tells that they changed.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::host::Inner;

/// Follows the files for as long as it lives.
pub(crate) struct Watch {
    /// Its end is the end of the thread.
    _watcher: RecommendedWatcher,
}

/// How long nothing may have changed before the files are read: editors and deployments write in
/// several steps.
const QUIET: Duration = Duration::from_millis(150);

impl Watch {
    /// Follows the files of a host; the thread ends with the watch or with the host.
    ///
    /// # Errors
    /// The system gives no thread or does not tell.
    pub(crate) fn new(host: &Arc<Inner>) -> std::io::Result<Watch> {
        let (sender, changes) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |change| {
            // The thread has ended otherwise.
            let _ = sender.send(change);
        })
        .map_err(std::io::Error::other)?;
        for place in host.places() {
            follow(&mut watcher, &place);
        }
        let host = Arc::downgrade(host);
        std::thread::Builder::new()
            .name("lwm2m-plugin-watch".to_owned())
            .spawn(move || {
                while let Ok(change) = changes.recv() {
                    if change.is_ok_and(|change| change.kind.is_access()) {
                        continue;
                    }
                    loop {
                        match changes.recv_timeout(QUIET) {
                            Ok(_) => {}
                            Err(RecvTimeoutError::Timeout) => break,
                            Err(RecvTimeoutError::Disconnected) => return,
                        }
                    }
                    match host.upgrade() {
                        Some(host) => host.reload(),
                        None => return,
                    };
                }
            })?;
        Ok(Watch { _watcher: watcher })
    }
}

/// Follows a folder with what is in it. A file is followed with its folder, since it may be replaced
/// by another one of its name.
fn follow(watcher: &mut RecommendedWatcher, place: &Path) {
    let (place, mode) = match place.is_dir() {
        true => (place, RecursiveMode::Recursive),
        false => {
            let parent = place
                .parent()
                .filter(|parent| parent.components().count() > 0);
            let parent = parent.unwrap_or(Path::new("."));
            (parent, RecursiveMode::NonRecursive)
        }
    };
    if let Err(error) = watcher.watch(place, mode) {
        tracing::warn!(place = %place.display(), %error, "plugins are not followed here");
    }
}
