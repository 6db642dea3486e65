//! Plans in a file, for a server whose devices fit into a few kinds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use lwm2m_registry::Registry;
use zeroize::Zeroizing;

use super::document::{BootstrapDocument, BootstrapDocumentError, DevicePlan};
use super::{
    BootstrapAnswer, BootstrapChange, BootstrapRequest, BootstrapStore, BootstrapStoreError,
};
use crate::authorizer::refused_name;
use crate::credentials::{CredentialFilter, CredentialStore, LookUp, replace_file};
use crate::identity::sha256;
use crate::read_text;

/// Plans in a file of TOML, and the credentials that they refer to.
///
/// ```toml
/// [[device]]
/// endpoint = "urn:imei:35*"       # a name, or a pattern
///
/// [[device.server]]
/// short_server_id = 101
/// uri             = "coaps://lwm2m.example.com:5685"
/// credential      = "psk"         # the device's own, of the server's credentials
/// ```
///
/// A plan for exactly the name of a device counts before those for patterns; of these, the first
/// that fits.
///
/// The file is read again when it changes; one that is broken changes nothing. Plans that are added
/// and removed [otherwise](BootstrapStore::change) are written into it; what else stands there
/// stays.
#[derive(Clone)]
pub struct FileBootstrap {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    credentials: Option<Arc<dyn CredentialStore>>,
    plans: RwLock<Plans>,
    /// The SHA-256 of the file as it was last read; none when there was none.
    seen: Mutex<Option<[u8; 32]>>,
}

#[derive(Default)]
struct Plans {
    documents: Vec<BootstrapDocument>,
    /// What they mean, in the same order.
    devices: Vec<Arc<DevicePlan>>,
}

/// Why a file of plans cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapFileError {
    /// The file cannot be read.
    #[error("cannot read the bootstrap plans {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it says is wrong.
    #[error("in {path}: {error}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: BootstrapDocumentError,
    },
}

impl FileBootstrap {
    /// Plans in one file at most.
    pub const PLANS_MAX: usize = 10_000;
    /// Bytes of the file at most; 16 MiB.
    pub const BYTES_MAX: u64 = 16 << 20;

    /// Reads the file; one that is not there yet has no plans. Accounts with `credential` take the
    /// keys of these credentials.
    ///
    /// # Errors
    /// A file that cannot be read, or that is broken.
    pub fn open(
        path: impl Into<PathBuf>,
        credentials: Option<Arc<dyn CredentialStore>>,
    ) -> Result<FileBootstrap, BootstrapFileError> {
        let shared = Shared {
            path: path.into(),
            credentials,
            plans: RwLock::default(),
            seen: Mutex::default(),
        };
        shared.reload(&mut shared.seen())?;
        let shared = Arc::new(shared);
        Ok(FileBootstrap { shared })
    }

    /// True when others than the owner may read or write the file.
    pub fn is_exposed(&self) -> bool {
        crate::credentials::is_exposed(&self.shared.path)
    }

    /// Takes over what has changed in the file; true when something has.
    ///
    /// # Errors
    /// A file that cannot be read, or that is broken: nothing has changed then.
    pub fn reload(&self) -> Result<bool, BootstrapFileError> {
        self.shared.reload(&mut self.shared.seen())
    }

    /// Looks at the file again and again, and takes over what others change, until dropped.
    pub async fn follow(self, interval: Duration) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(interval).await;
            let shared = Arc::clone(&self.shared);
            let looked =
                tokio::task::spawn_blocking(move || shared.reload(&mut shared.seen())).await;
            match looked {
                Ok(Ok(true)) => tracing::info!("bootstrap plans reloaded"),
                Ok(Err(error)) if error.to_string() != told => {
                    tracing::error!(%error, "the bootstrap plans stay as they are");
                    told = error.to_string();
                }
                _ => {}
            }
        }
    }
}

impl std::fmt::Debug for FileBootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBootstrap")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plans(&self) -> RwLockReadGuard<'_, Plans> {
        self.plans.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<Option<Zeroizing<String>>, BootstrapFileError> {
        match read_text(&self.path, FileBootstrap::BYTES_MAX) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let path = self.path.clone();
                let source = match error.kind() {
                    io::ErrorKind::FileTooLarge => {
                        io::Error::new(error.kind(), format!("{error}; {MEND}"))
                    }
                    _ => error,
                };
                Err(BootstrapFileError::Read { path, source })
            }
        }
    }

    fn reload(&self, seen: &mut Option<[u8; 32]>) -> Result<bool, BootstrapFileError> {
        let text = self.read()?;
        let hash = text.as_ref().map(|text| sha256(text.as_bytes()));
        if hash == *seen {
            return Ok(false);
        }
        let text = text.as_ref().map_or("", |text| text.as_str());
        let plans = BootstrapDocument::read_all(text).and_then(|documents| self.made(documents));
        let plans = plans.map_err(|error| BootstrapFileError::Content {
            path: self.path.clone(),
            error,
        })?;
        *self.plans.write().unwrap_or_else(PoisonError::into_inner) = plans;
        *seen = hash;
        Ok(true)
    }

    /// What documents mean.
    fn made(&self, documents: Vec<BootstrapDocument>) -> Result<Plans, BootstrapDocumentError> {
        let max = FileBootstrap::PLANS_MAX;
        if documents.len() > max {
            return Err(BootstrapDocumentError {
                place: format!("device {}", max + 1),
                message: format!("there is no room for more than {max} plans"),
            });
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let devices = DevicePlan::read_all(&documents, folder, &Registry::embedded())?;
        Ok(Plans {
            documents,
            devices: devices.into_iter().map(Arc::new).collect(),
        })
    }

    /// Writes the file, then takes it over; or neither.
    fn change(&self, change: BootstrapChange) -> Result<(), BootstrapStoreError> {
        let unavailable = |error: String| BootstrapStoreError::Unavailable(error);
        let mut seen = self.seen();
        // What somebody else has written meanwhile is not lost.
        self.reload(&mut seen)
            .map_err(|error| unavailable(error.to_string()))?;
        let before = self.plans().documents.clone();
        let mut gone = vec![false; before.len()];
        for name in &change.remove {
            let at = before
                .iter()
                .position(|document| document.endpoint() == name);
            let at = at.ok_or_else(|| BootstrapStoreError::NotFound(name.clone()))?;
            gone[at] = true;
        }
        let kept = before.iter().zip(&gone).filter(|(_, gone)| !**gone);
        let mut after: Vec<BootstrapDocument> = kept.map(|(kept, _)| kept.clone()).collect();
        for document in &change.add {
            let same = |other: &BootstrapDocument| other.endpoint() == document.endpoint();
            if after.iter().any(same) {
                return Err(BootstrapStoreError::Taken(document.endpoint().to_owned()));
            }
            after.push(document.clone());
        }
        let max = FileBootstrap::PLANS_MAX;
        if after.len() > max {
            return Err(BootstrapStoreError::Full { max });
        }
        // What is added is looked at by itself, so that its places are those of the caller.
        self.made(change.add.clone())?;
        let plans = self.made(after)?;
        let text = self
            .read()
            .map_err(|error| unavailable(error.to_string()))?;
        let text = text.as_ref().map_or("", |text| text.as_str());
        let edited = edited(text, &gone, &change.add)
            .filter(|text| BootstrapDocument::read_all(text).as_ref() == Ok(&plans.documents))
            .or_else(|| BootstrapDocument::write_all(&plans.documents))
            .ok_or_else(|| unavailable("the plans cannot be written as TOML".to_owned()))?;
        let edited = Zeroizing::new(edited);
        if edited.len() as u64 > FileBootstrap::BYTES_MAX {
            let (path, size) = (self.path.display(), edited.len());
            return Err(unavailable(format!(
                "{path} would have {size} bytes; {MEND}"
            )));
        }
        replace_file(&self.path, edited.as_bytes()).map_err(|error| {
            unavailable(format!("cannot write {}: {error}", self.path.display()))
        })?;
        *seen = Some(sha256(edited.as_bytes()));
        *self.plans.write().unwrap_or_else(PoisonError::into_inner) = plans;
        Ok(())
    }

    fn device(&self, request: &BootstrapRequest) -> Option<Arc<DevicePlan>> {
        let plans = self.plans();
        let name = request.endpoint.as_str();
        let is_its = |device: &&Arc<DevicePlan>| device.endpoint.literal() == Some(name);
        let fits = |device: &&Arc<DevicePlan>| device.endpoint.matches(name, &request.identity);
        let mut devices = plans.devices.iter();
        let own = devices.clone().find(is_its);
        own.or_else(|| devices.find(fits)).cloned()
    }
}

/// What to do about a file that is too large.
const MEND: &str = "at most 16777216 are read: one plan with a pattern, as in urn:imei:35*, stands \
                    for many devices";

/// The text of a file without the plans that are gone, and with others behind; all else in it stays.
/// None when the plans of the text cannot be told apart.
fn edited(text: &str, gone: &[bool], add: &[BootstrapDocument]) -> Option<String> {
    let mut blocks = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("[[device]]") {
            blocks.push(String::new());
        }
        blocks.last_mut()?.push_str(line);
    }
    if blocks.len() != gone.len() + 1 {
        return None;
    }
    // Before the first one, there is none that could be gone.
    let gone = std::iter::once(&false).chain(gone);
    let kept = blocks.iter().zip(gone).filter(|(_, gone)| !**gone);
    let mut text: String = kept.map(|(block, _)| block.as_str()).collect();
    if !add.is_empty() {
        if !text.is_empty() {
            text.truncate(text.trim_end().len());
            text.push_str("\n\n");
        }
        text.push_str(&BootstrapDocument::write_all(add)?);
    }
    Some(text)
}

impl BootstrapStore for FileBootstrap {
    fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        let Some(device) = self.shared.device(request) else {
            return LookUp::Now(BootstrapAnswer::Unknown);
        };
        let credentials = self.shared.credentials.clone();
        let Some(credentials) = credentials.filter(|_| device.wants_credentials()) else {
            return LookUp::Now(answer(&device, request, &[]));
        };
        let request = request.clone();
        // Going through all of them takes its time where there are many.
        LookUp::Later(Box::pin(async move {
            let filter = CredentialFilter {
                endpoint: Some(request.endpoint.clone()),
                ..CredentialFilter::default()
            };
            let listed = tokio::task::spawn_blocking(move || credentials.list(filter)).await;
            let listed = match listed {
                Ok(listed) => listed.await,
                Err(_) => Vec::new(),
            };
            answer(&device, &request, &listed)
        }))
    }

    fn documents(&self) -> Option<Vec<BootstrapDocument>> {
        Some(self.shared.plans().documents.clone())
    }

    fn change(&self, change: BootstrapChange) -> LookUp<Result<(), BootstrapStoreError>> {
        let shared = Arc::clone(&self.shared);
        LookUp::Later(Box::pin(async move {
            let changed = tokio::task::spawn_blocking(move || shared.change(change)).await;
            changed.unwrap_or_else(|error| Err(BootstrapStoreError::Unavailable(error.to_string())))
        }))
    }
}

fn answer(
    device: &DevicePlan,
    request: &BootstrapRequest,
    credentials: &[Arc<crate::credentials::Credential>],
) -> BootstrapAnswer {
    match device.plan(Some(request), credentials) {
        Some(plan) => BootstrapAnswer::Configure(Arc::new(plan)),
        None => {
            let endpoint = &request.endpoint;
            let hint = format!(
                "its plan gives it a credential that the server does not have: `lwm2m-server \
                 credentials generate {endpoint}` makes one"
            );
            BootstrapAnswer::Refuse(refused_name("credential-missing", hint))
        }
    }
}

#[cfg(test)]
mod tests;
