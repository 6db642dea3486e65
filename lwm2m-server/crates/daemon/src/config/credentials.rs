//! `[credentials]`: where they are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use lwm2m_server::credentials::{CredentialLimits, CredentialStore, FileCredentials};
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CredentialsSection {
    pub(super) file: PathBuf,
    poll_interval_s: u64,
    credentials_max: usize,
    patterns_max: usize,
    file_bytes_max: u64,
}

impl Default for CredentialsSection {
    fn default() -> CredentialsSection {
        let limits = CredentialLimits::default();
        CredentialsSection {
            file: PathBuf::from("credentials.json"),
            poll_interval_s: 1,
            credentials_max: limits.credentials_max,
            patterns_max: limits.patterns_max,
            file_bytes_max: limits.file_bytes_max,
        }
    }
}

impl CredentialsSection {
    /// Holds the values to their ranges.
    pub(super) fn checked(self) -> anyhow::Result<CredentialsSection> {
        if !(1..=86_400).contains(&self.poll_interval_s) {
            let seconds = self.poll_interval_s;
            bail!("[credentials] poll_interval_s = {seconds}: use 1 to 86400");
        }
        if self.file.as_os_str().is_empty() {
            bail!("[credentials] file = \"\": name a file, as in \"credentials.json\"");
        }
        Ok(self)
    }

    /// Reads the file, and follows it from now on; within a runtime.
    pub(crate) fn open(&self) -> anyhow::Result<Arc<dyn CredentialStore>> {
        let mut limits = CredentialLimits::default();
        limits.credentials_max = self.credentials_max;
        limits.patterns_max = self.patterns_max;
        limits.file_bytes_max = self.file_bytes_max;
        let store = FileCredentials::open(&self.file, limits)?;
        if store.is_exposed() {
            let path = self.file.display();
            tracing::warn!("others than the owner may read the keys in {path}: chmod 600 {path}");
        }
        let interval = Duration::from_secs(self.poll_interval_s);
        tokio::spawn(store.clone().follow(interval));
        Ok(Arc::new(store))
    }
}
