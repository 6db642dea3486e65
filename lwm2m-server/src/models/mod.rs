//! *Replace*: object models from a directory, followed while the server runs.
//!
//! A change is seen through the file system's notifications, and by looking again from time to
//! time where there are none (network volumes, files behind symbolic links). It is taken when the
//! directory has been quiet for a moment, and all at once: `Registry::load_dir` swaps the models.

mod directory;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use lwm2m_registry::{LoadError, LoadReport, ObjectKey, Parser, Registry, Severity, Strictness};

use crate::Reason;
use crate::event::{EventKind, EventSender, EventSource};

/// Findings of one load that are logged; the others are counted.
const LOGGED_MAX: usize = 50;

/// A directory of object definitions that the server loads and follows.
///
/// Files are those of [`Registry::load_dir`]. The directory may be missing when the server starts,
/// and may go away: then the models that are there stay in service until it is back. A file that
/// is broken leaves the models that it held before in service.
#[derive(Debug, Clone)]
pub struct ModelsDirectory {
    path: PathBuf,
    registry: Arc<Registry>,
    strictness: Strictness,
    poll_interval: Duration,
    settle_time: Duration,
}

/// Equal when they follow the same directory in the same way, whatever the registry holds.
impl PartialEq for ModelsDirectory {
    fn eq(&self, other: &ModelsDirectory) -> bool {
        let of = |it: &ModelsDirectory| (it.poll_interval, it.settle_time, it.strictness);
        self.path == other.path && of(self) == of(other)
    }
}

/// What a load of the models directory led to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelsLoad {
    /// When.
    pub at: SystemTime,
    /// The directory.
    pub directory: PathBuf,
    /// What changed, and what is wrong in the files; or why the directory could not be loaded:
    /// nothing changed then.
    pub outcome: Result<LoadReport, Reason>,
}

impl ModelsDirectory {
    /// The models of this directory, over the built-in objects.
    pub fn new(path: impl Into<PathBuf>) -> ModelsDirectory {
        let path = path.into();
        ModelsDirectory {
            path: std::path::absolute(&path).unwrap_or(path),
            registry: Arc::new(Registry::embedded()),
            strictness: Strictness::Lenient,
            poll_interval: Duration::from_secs(5),
            settle_time: Duration::from_millis(100),
        }
    }

    /// Loads into this registry, which the embedder may share and load more into.
    pub fn registry(mut self, registry: Arc<Registry>) -> ModelsDirectory {
        self.registry = registry;
        self
    }

    /// Whether files with mistakes are refused; by default what is clear is understood.
    pub fn strictness(mut self, strictness: Strictness) -> ModelsDirectory {
        self.strictness = strictness;
        self
    }

    /// How often to look where the file system does not notify; 5 s.
    pub fn poll_interval(mut self, interval: Duration) -> ModelsDirectory {
        self.poll_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How long the directory must be quiet before it is loaded; 100 ms. Ten times that at most:
    /// a directory that is never quiet is loaded nevertheless.
    pub fn settle_time(mut self, time: Duration) -> ModelsDirectory {
        self.settle_time = time;
        self
    }

    /// The directory, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The models in service.
    pub(crate) fn models(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Loads for the first time, so that the first device finds the models.
    pub(crate) fn open(self) -> Models {
        let seen = directory::fingerprint(&self.path);
        let load = self.load();
        Models {
            last: Arc::new(ArcSwap::from_pointee(load)),
            directory: self,
            seen,
        }
    }

    fn load(&self) -> ModelsLoad {
        let parser = Parser::new(self.strictness);
        let outcome = self.registry.load_dir_with(&self.path, &parser);
        ModelsLoad {
            at: SystemTime::now(),
            directory: self.path.clone(),
            outcome: outcome.map_err(|error| refusal(&error)),
        }
    }
}

/// A models directory that was loaded and is not followed yet.
pub(crate) struct Models {
    directory: ModelsDirectory,
    last: Arc<ArcSwap<ModelsLoad>>,
    /// The directory before it was loaded.
    seen: u64,
}

/// A models directory that is followed, until this is dropped.
pub(crate) struct Following {
    last: Arc<ArcSwap<ModelsLoad>>,
    watch: watch::Watch,
}

impl Models {
    /// Tells of the first load and follows the directory from now on.
    pub(crate) fn follow(self, sender: &EventSender, events: EventSource) -> io::Result<Following> {
        let load = self.last.load_full();
        tell(&load, sender);
        let last = Arc::clone(&self.last);
        let watch = watch::start(self, events)?;
        Ok(Following { last, watch })
    }

    /// Loads again, and tells of it when there is something to tell.
    fn reload(&self, events: &EventSource) {
        let before = self.last.load_full();
        let load = Arc::new(self.directory.load());
        let is_news = match (&before.outcome, &load.outcome) {
            (Ok(before), Ok(after)) => {
                let moved = [&after.added, &after.changed, &after.removed];
                moved.iter().any(|keys| !keys.is_empty())
                    || (&before.kept, &before.diagnostics) != (&after.kept, &after.diagnostics)
            }
            (before, after) => before != after,
        };
        if !is_news {
            return;
        }
        self.last.store(Arc::clone(&load));
        if let Some(sender) = events.sender() {
            tell(&load, &sender);
        }
    }
}

impl Following {
    /// The last load that changed something or found something.
    pub(crate) fn last(&self) -> Arc<ModelsLoad> {
        self.last.load_full()
    }

    /// Stops following.
    pub(crate) fn stop(&self) {
        self.watch.stop();
    }
}

impl ModelsLoad {
    /// How many findings are errors: parts of files, or whole files, that were left out.
    pub fn errors(&self) -> usize {
        let report = self.outcome.iter();
        let found = report.flat_map(|report| &report.diagnostics);
        found
            .filter(|found| found.severity == Severity::Error)
            .count()
    }
}

/// Logs a load, and makes an event of it.
fn tell(load: &Arc<ModelsLoad>, sender: &EventSender) {
    let directory = load.directory.display();
    match &load.outcome {
        Err(reason) if reason.code == "models-missing" => {
            tracing::info!(%directory, "no object models here: {}", reason.message);
        }
        Err(reason) => {
            let hint = reason.hint.as_deref().unwrap_or_default();
            tracing::warn!(%directory, reason = %reason.message, hint, "object models not loaded");
        }
        Ok(report) => {
            let grave = report.diagnostics.iter();
            let grave = grave.filter(|found| found.severity > Severity::Note);
            for finding in grave.clone().take(LOGGED_MAX) {
                tracing::warn!(%finding, "object models");
            }
            tracing::info!(
                %directory,
                files = report.files,
                added = %list(&report.added),
                changed = %list(&report.changed),
                removed = %list(&report.removed),
                kept = %list(&report.kept),
                findings = grave.count(),
                "object models loaded"
            );
        }
    }
    sender.emit(load.at, None, || EventKind::ModelsLoaded {
        load: Arc::clone(load),
    });
}

/// As in `3/1.1 3303/1.0`.
fn list(keys: &[ObjectKey]) -> String {
    let short = |key: &ObjectKey| format!("{}/{}", key.id, key.version);
    keys.iter().map(short).collect::<Vec<_>>().join(" ")
}

fn refusal(error: &LoadError) -> Reason {
    let missing = |path: &Path| format!("there is no directory {}", path.display());
    match error {
        LoadError::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
            Reason::new("models-missing", missing(path))
                .hint("it is loaded once it is there; until then the models stay as they are")
        }
        LoadError::Unreadable { path, source } => {
            let message = format!("{} cannot be listed: {source}", path.display());
            Reason::new("models-unreadable", message).hint("make it readable for the server")
        }
        error => Reason::new("models-too-many", error.to_string())
            .hint("keep in it only the objects that your devices have"),
    }
}
