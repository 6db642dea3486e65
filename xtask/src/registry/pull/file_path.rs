//! The names that a pulled file may have.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::registry::definitions::HISTORY;

/// Longest name of a file, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// `NAME.xml` or `version_history/NAME.xml`: nothing else is ever asked for or written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FilePath(String);

impl FilePath {
    /// The index of a registry.
    pub(super) fn index() -> FilePath {
        FilePath("DDF.xml".to_owned())
    }

    /// Files beside the definitions that a registry may have: reusable resources and units.
    pub(super) fn companions() -> [FilePath; 2] {
        ["Common.xml", "LWM2M_senml_units.xml"].map(|name| FilePath(name.to_owned()))
    }

    /// Takes a path relative to the registry; none when it is not of the form.
    pub(super) fn parse(text: &str) -> Option<FilePath> {
        let name = match text.split_once('/') {
            Some((folder, name)) if folder == HISTORY => name,
            Some(_) => return None,
            None => text,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = name.len() <= NAME_BYTES_MAX && name.ends_with(".xml");
        let is_name = starts_plain && fits && name.chars().all(is_plain);
        is_name.then(|| FilePath(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The file in a folder.
    pub(super) fn under(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// The same for names that some file systems do not tell apart.
    pub(super) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_names_of_the_folder_and_its_history() {
        for text in ["3.xml", "water-meter.xml", "version_history/3-1_0.xml"] {
            assert_eq!(FilePath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_every_other_place() {
        let long = format!("{}.xml", "a".repeat(NAME_BYTES_MAX - 3));
        for text in [
            "",
            ".xml",
            "..",
            "../3.xml",
            "/3.xml",
            "/etc/passwd",
            "C:\\3.xml",
            "..\\3.xml",
            "version_history/../3.xml",
            "version_history//3.xml",
            "version_history/a/3.xml",
            "other/3.xml",
            "3.txt",
            "3.xml/",
            "3.XML",
            "3%2e.xml",
            "3 .xml",
            "3.xml?a.xml",
            "-3.xml",
            "registry.lock",
            "http://a/3.xml",
            "\u{0}.xml",
            &long,
        ] {
            assert_eq!(FilePath::parse(text), None, "{text}");
        }
        assert!(FilePath::parse(&long[1..]).is_some());
    }
}
