//! Plans in a file, for a server whose devices fit into a few kinds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use lwm2m_registry::Registry;
use zeroize::Zeroizing;

use super::document::{BootstrapDocumentError, DevicePlan};
use super::{BootstrapAnswer, BootstrapRequest, BootstrapStore};
use crate::authorizer::refused_name;
use crate::credentials::{CredentialFilter, CredentialStore, LookUp};
use crate::identity::sha256;

/// Plans in a file of TOML, and the credentials that they refer to.
///
/// ```toml
/// [[device]]
/// endpoint = "urn:imei:35*"       # the first that fits counts
///
/// [[device.server]]
/// short_server_id = 101
/// uri             = "coaps://lwm2m.example.com:5685"
/// credential      = "psk"         # the device's own, of the server's credentials
/// ```
///
/// The file is read again when it changes; one that is broken changes nothing.
#[derive(Clone)]
pub struct FileBootstrap {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    credentials: Option<Arc<dyn CredentialStore>>,
    devices: RwLock<Vec<Arc<DevicePlan>>>,
    /// The SHA-256 of the file as it was last read; none when there was none.
    seen: Mutex<Option<[u8; 32]>>,
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
            devices: RwLock::default(),
            seen: Mutex::default(),
        };
        shared.reload()?;
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
        self.shared.reload()
    }

    /// Looks at the file again and again, and takes over what others change, until dropped.
    pub async fn follow(self, interval: Duration) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(interval).await;
            let shared = Arc::clone(&self.shared);
            let looked = tokio::task::spawn_blocking(move || shared.reload()).await;
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
    fn reload(&self) -> Result<bool, BootstrapFileError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let path = self.path.clone();
                return Err(BootstrapFileError::Read { path, source });
            }
        };
        let hash = text.as_ref().map(|text| sha256(text.as_bytes()));
        if hash == *seen {
            return Ok(false);
        }
        let text = text.as_ref().map_or("", |text| text.as_str());
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let devices = DevicePlan::read_all(text, folder, &Registry::embedded());
        let devices = devices.map_err(|error| BootstrapFileError::Content {
            path: self.path.clone(),
            error,
        })?;
        let devices = devices.into_iter().map(Arc::new).collect();
        *self.devices.write().unwrap_or_else(PoisonError::into_inner) = devices;
        *seen = hash;
        Ok(true)
    }

    fn device(&self, request: &BootstrapRequest) -> Option<Arc<DevicePlan>> {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        let name = request.endpoint.as_str();
        let fits = |device: &&Arc<DevicePlan>| device.endpoint.matches(name, &request.identity);
        devices.iter().find(fits).cloned()
    }
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
