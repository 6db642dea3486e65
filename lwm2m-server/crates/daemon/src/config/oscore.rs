//! `[oscore]`: where sequence numbers are kept.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use lwm2m_server::oscore::{FileSequences, SequenceStore};
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OscoreSection {
    pub(super) sequences_file: PathBuf,
    sequences_block: u64,
}

impl Default for OscoreSection {
    fn default() -> OscoreSection {
        OscoreSection {
            sequences_file: PathBuf::from("oscore-sequences"),
            sequences_block: FileSequences::BLOCK,
        }
    }
}

impl OscoreSection {
    /// Holds the values to their ranges.
    pub(super) fn checked(self) -> anyhow::Result<OscoreSection> {
        let block = self.sequences_block;
        if !(64..=1 << 24).contains(&block) {
            bail!("[oscore] sequences_block = {block}: use 64 to 16777216");
        }
        if self.sequences_file.as_os_str().is_empty() {
            bail!("[oscore] sequences_file = \"\": name a file, as in \"oscore-sequences\"");
        }
        Ok(self)
    }

    /// Reads the file; it is written when the first device with OSCORE comes.
    pub(crate) fn open(&self) -> anyhow::Result<Arc<dyn SequenceStore>> {
        let file = FileSequences::open(&self.sequences_file, self.sequences_block)?;
        Ok(Arc::new(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> anyhow::Result<OscoreSection> {
        toml::from_str::<OscoreSection>(text)?.checked()
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (text, part) in [
            ("sequences_block = 63", "64 to 16777216"),
            ("sequences_block = 16777217", "64 to 16777216"),
            ("sequences_file = \"\"", "name a file"),
        ] {
            let error = checked(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_are_kept_in_the_file_in_blocks() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut section = checked("sequences_file = \"s\"\nsequences_block = 100").expect("good");
        section.sequences_file = folder.path().join(section.sequences_file);
        let (recipient_id, id_context) = Default::default();
        let name = lwm2m_server::oscore::ContextName {
            recipient_id,
            id_context,
        };
        let store = section.open().expect("no file yet");
        let limit = store.start(&name) + 64;
        assert_eq!(store.reserve(&name, limit), limit);
        assert!(section.sequences_file.is_file());
        assert_eq!(section.open().expect("sound").start(&name), limit + 100);
    }
}
