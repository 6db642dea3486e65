//! Credentials in a file, for a server whose fleet fits into one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{
    Credential, CredentialChanges, CredentialDocument, CredentialFilter, CredentialId,
    CredentialLimits, CredentialStore, CredentialStoreError, CredentialUpdate, Import, ImportError,
    ImportFormat, LookUp, MemoryCredentials,
};
use crate::identity::{PeerIdentity, sha256};
use crate::{EndpointName, read_text};

/// Credentials in a file of JSON; in memory while the server runs.
///
/// The file is written as a whole, beside the old one, and takes its place at once; only its owner
/// may read it. When somebody else changes it, what has changed is taken over, and the sessions of
/// the credentials that are as they were go on. A file that is broken changes nothing.
#[derive(Debug, Clone)]
pub struct FileCredentials {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    file_bytes_max: u64,
    memory: MemoryCredentials,
    /// The file as it was last read or written; who holds it may change the file and the memory.
    seen: Mutex<Seen>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Seen {
    /// None when there was no file.
    hash: Option<[u8; 32]>,
    /// What is cheap to look at.
    stamp: Option<(u64, Option<SystemTime>)>,
}

/// Why a file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialFileError {
    /// The file cannot be read.
    #[error("cannot read the credentials {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it says is wrong; one error a line.
    #[error("in {path}: {}", join(errors))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        errors: Vec<ImportError>,
    },
}

fn join(errors: &[ImportError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl FileCredentials {
    /// Reads the file; one that is not there yet has no credentials.
    ///
    /// # Errors
    /// A file that cannot be read, or that is broken.
    pub fn open(
        path: impl Into<PathBuf>,
        limits: CredentialLimits,
    ) -> Result<FileCredentials, CredentialFileError> {
        let shared = Shared {
            path: path.into(),
            file_bytes_max: limits.file_bytes_max,
            memory: MemoryCredentials::new(limits),
            seen: Mutex::default(),
        };
        shared.reload(&mut shared.seen())?;
        let shared = Arc::new(shared);
        Ok(FileCredentials { shared })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// True when others than the owner may read or write the file.
    pub fn is_exposed(&self) -> bool {
        is_exposed(&self.shared.path)
    }

    /// Takes over what has changed in the file; true when something has.
    ///
    /// # Errors
    /// A file that cannot be read, or that is broken: nothing has changed then.
    pub fn reload(&self) -> Result<bool, CredentialFileError> {
        self.shared.reload(&mut self.shared.seen())
    }

    /// Looks at the file again and again, and takes over what others change, until dropped.
    pub async fn follow(self, interval: Duration) {
        let mut failed = None;
        loop {
            tokio::time::sleep(interval).await;
            let shared = Arc::clone(&self.shared);
            let looked = tokio::task::spawn_blocking(move || shared.look(failed)).await;
            failed = looked.unwrap_or_default();
        }
    }
}

impl CredentialStore for FileCredentials {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        self.shared.memory.look_up(identity)
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.shared.memory.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        self.shared.memory.find(id)
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.shared.memory.list(filter)
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        let shared = Arc::clone(&self.shared);
        LookUp::Later(Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || shared.apply(update)).await;
            written
                .unwrap_or_else(|error| Err(CredentialStoreError::Unavailable(error.to_string())))
        }))
    }

    fn changes(&self) -> CredentialChanges {
        self.shared.memory.changes()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file, then changes the memory; or neither.
    fn apply(&self, update: CredentialUpdate) -> Result<(), CredentialStoreError> {
        let unavailable = |error: String| CredentialStoreError::Unavailable(error);
        let mut seen = self.seen();
        // What somebody else has written meanwhile is not lost.
        self.reload(&mut seen)
            .map_err(|error| unavailable(error.to_string()))?;
        let after = self.memory.preview(&update)?;
        let documents: Vec<CredentialDocument> = after
            .iter()
            .map(|credential| CredentialDocument::with_key(credential))
            .collect();
        let file = serde_json::json!({ "credentials": documents });
        let text = serde_json::to_string_pretty(&file).map_err(|e| unavailable(e.to_string()))?;
        let text = zeroize::Zeroizing::new(text);
        if text.len() as u64 > self.file_bytes_max {
            let (path, size) = (self.path.display(), text.len());
            let mend = self.mend();
            return Err(unavailable(format!(
                "{path} would have {size} bytes; {mend}"
            )));
        }
        replace_file(&self.path, text.as_bytes()).map_err(|error| {
            unavailable(format!("cannot write {}: {error}", self.path.display()))
        })?;
        *seen = Seen {
            hash: Some(sha256(text.as_bytes())),
            stamp: stamp(&self.path),
        };
        match self.memory.apply(update) {
            LookUp::Now(outcome) => outcome,
            LookUp::Later(_) => unreachable!("invariant: memory answers at once"),
        }
    }

    /// Reads the file when it looks different; what was wrong is told once.
    fn look(&self, failed: Option<Seen>) -> Option<Seen> {
        let mut seen = self.seen();
        let stamp = stamp(&self.path);
        let same = |seen: &Seen| seen.stamp == stamp;
        if same(&seen) || failed.as_ref().is_some_and(same) {
            return failed;
        }
        match self.reload(&mut seen) {
            Ok(changed) => {
                if changed {
                    tracing::info!(path = %self.path.display(), "credentials reloaded");
                }
                None
            }
            Err(error) => {
                tracing::error!(%error, "the credentials stay as they are");
                let hash = None;
                Some(Seen { hash, stamp })
            }
        }
    }

    fn reload(&self, seen: &mut Seen) -> Result<bool, CredentialFileError> {
        let stamp = stamp(&self.path);
        let text = match read_text(&self.path, self.file_bytes_max) {
            Ok(text) => Some(zeroize::Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let path = self.path.clone();
                let source = self.explained(source);
                return Err(CredentialFileError::Read { path, source });
            }
        };
        let hash = text.as_ref().map(|text| sha256(text.as_bytes()));
        let changed = hash != seen.hash;
        if changed {
            let text = text.as_ref().map_or("", |text| text.as_str());
            self.take(text).map_err(|errors| {
                let path = self.path.clone();
                CredentialFileError::Content { path, errors }
            })?;
        }
        *seen = Seen { hash, stamp };
        Ok(changed)
    }

    fn explained(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::FileTooLarge => {
                io::Error::new(error.kind(), format!("{error}; {}", self.mend()))
            }
            _ => error,
        }
    }

    /// What to do about a file that is too large.
    fn mend(&self) -> String {
        let max = self.file_bytes_max;
        format!(
            "at most {max} are read: remove what no device uses, or raise [credentials] \
             file_bytes_max"
        )
    }

    /// Makes the memory what the file says, by what is different.
    fn take(&self, text: &str) -> Result<(), Vec<ImportError>> {
        let import = Import::read(text, ImportFormat::Json)?;
        let before = self.memory.all();
        let mut lines = Vec::new();
        let mut update = CredentialUpdate::default();
        let mut kept = hashbrown::HashSet::new();
        for (credential, line) in import.credentials.into_iter().zip(import.lines) {
            let old = before.binary_search_by(|old| old.id.cmp(&credential.id));
            let same = old.is_ok_and(|at| *before[at] == credential);
            if !(same && kept.insert(credential.id.clone())) {
                update.add.push(credential);
                lines.push(line);
            }
        }
        let gone = before.iter().filter(|old| !kept.contains(&old.id));
        update.remove = gone.map(|old| old.id.clone()).collect();
        if update == CredentialUpdate::default() {
            return Ok(());
        }
        let LookUp::Now(outcome) = self.memory.apply(update) else {
            unreachable!("invariant: memory answers at once");
        };
        let placed = Import {
            lines,
            ..Import::default()
        };
        outcome.map_err(|error| vec![placed.refused(error)])
    }
}

/// Writes a file for its owner only, beside the old one, and lets it take its place.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link leads to is replaced, and not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", rand::random::<u64>()));
    let beside = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn stamp(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

#[cfg(unix)]
pub(crate) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_exposed(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests;
