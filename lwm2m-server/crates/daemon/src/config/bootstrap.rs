//! `[bootstrap]`: what is written into devices, and the limits of their sessions.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use lwm2m_server::BootstrapConfig;
use lwm2m_server::bootstrap::{BootstrapStore, FileBootstrap};
use lwm2m_server::credentials::CredentialStore;
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BootstrapSection {
    pub(super) listen: bool,
    pub(super) file: PathBuf,
    poll_interval_s: u64,
    sessions_max: usize,
    operations_max: usize,
    session_timeout_s: u64,
    step_timeout_s: u64,
    lookup_timeout_s: u64,
}

impl Default for BootstrapSection {
    fn default() -> BootstrapSection {
        let limits = BootstrapConfig::default();
        BootstrapSection {
            listen: true,
            file: PathBuf::from("bootstrap.toml"),
            poll_interval_s: 1,
            sessions_max: limits.sessions_max,
            operations_max: limits.operations_max,
            session_timeout_s: limits.session_timeout.as_secs(),
            step_timeout_s: limits.step_timeout.as_secs(),
            lookup_timeout_s: limits.lookup_timeout.as_secs(),
        }
    }
}

impl BootstrapSection {
    /// Holds the values to their ranges.
    pub(super) fn checked(self) -> anyhow::Result<BootstrapSection> {
        for (key, seconds, most) in [
            ("poll_interval_s", self.poll_interval_s, 86_400),
            ("session_timeout_s", self.session_timeout_s, 3600),
            ("step_timeout_s", self.step_timeout_s, 3600),
            ("lookup_timeout_s", self.lookup_timeout_s, 3600),
        ] {
            if !(1..=most).contains(&seconds) {
                bail!("[bootstrap] {key} = {seconds}: use 1 to {most}");
            }
        }
        if self.file.as_os_str().is_empty() {
            bail!("[bootstrap] file = \"\": name a file, as in \"bootstrap.toml\"");
        }
        Ok(self)
    }

    pub(super) fn apply(&self, config: &mut BootstrapConfig) {
        config.sessions_max = self.sessions_max;
        config.operations_max = self.operations_max;
        config.session_timeout = Duration::from_secs(self.session_timeout_s);
        config.step_timeout = Duration::from_secs(self.step_timeout_s);
        config.lookup_timeout = Duration::from_secs(self.lookup_timeout_s);
    }

    /// Reads the file, and follows it from now on; within a runtime.
    pub(crate) fn open(
        &self,
        credentials: &Arc<dyn CredentialStore>,
    ) -> anyhow::Result<Arc<dyn BootstrapStore>> {
        let store = FileBootstrap::open(&self.file, Some(Arc::clone(credentials)))?;
        if store.is_exposed() {
            let path = self.file.display();
            tracing::warn!("others than the owner may read what is in {path}: chmod 600 {path}");
        }
        let interval = Duration::from_secs(self.poll_interval_s);
        tokio::spawn(store.clone().follow(interval));
        Ok(Arc::new(store))
    }
}
