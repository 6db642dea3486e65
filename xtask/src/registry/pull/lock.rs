//! `registry.lock`: what was pulled, from where, with the sum of each file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::file_path::FilePath;
use super::sum::{self, Sum};
use crate::registry::definitions;

/// The name of the lock in a folder of definitions.
pub(super) const LOCK_NAME: &str = "registry.lock";

/// Larger locks are refused, in bytes.
const LOCK_BYTES_MAX: usize = 4 << 20;

/// The version of this file's form.
const FORMAT: u32 = 1;

/// What a folder of pulled definitions holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lock {
    /// The base URL; none when it came from a folder.
    pub(super) source: Option<String>,
    pub(super) commit: Option<String>,
    /// The selection, as it is given to `--only`.
    pub(super) only: Option<String>,
    pub(super) files: BTreeMap<FilePath, Sum>,
}

impl Lock {
    /// The lock of a folder; none when there is none.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Lock>> {
        let path = folder.join(LOCK_NAME);
        let bytes = match definitions::read_bounded(&path, LOCK_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        if bytes.len() > LOCK_BYTES_MAX {
            bail!("{} has more than {LOCK_BYTES_MAX} bytes", path.display());
        }
        let lock = std::str::from_utf8(&bytes)
            .context("it is not UTF-8")
            .and_then(Lock::parse)
            .with_context(|| format!("{} is no lock of a registry", path.display()))?;
        Ok(Some(lock))
    }

    /// Reads what [`Lock::text`] wrote.
    pub(super) fn parse(text: &str) -> anyhow::Result<Lock> {
        let Form {
            format,
            source,
            commit,
            only,
            files,
        } = toml::from_str(text)?;
        if format != FORMAT {
            bail!("its format is {format}, this program knows {FORMAT}");
        }
        let files = files
            .iter()
            .map(|(path, sum)| {
                let path = FilePath::parse(path).with_context(|| format!("bad path `{path}`"))?;
                let sum = Sum::parse(sum).with_context(|| format!("bad sum of {path}"))?;
                Ok((path, sum))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Lock {
            source,
            commit,
            only,
            files,
        })
    }

    /// The lock as a file; more files may follow as lines of [`line()`].
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# Written by `cargo xtask registry pull`.\n\
             # The sums are SHA-256 of the files with LF as line end.\n\
             format = {FORMAT}\n"
        );
        let fields = [
            ("source", &self.source),
            ("commit", &self.commit),
            ("only", &self.only),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                let value = toml::Value::from(value.as_str());
                // Into a String: cannot fail.
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        text.push_str("\n[files]\n");
        for (path, sum) in &self.files {
            text.push_str(&line(path, sum));
        }
        text
    }

    /// The files that are there with another content.
    pub(super) fn edited(&self, folder: &Path) -> anyhow::Result<Vec<FilePath>> {
        let mut edited = Vec::new();
        for (path, sum) in &self.files {
            if sum_of(&path.under(folder))?.is_some_and(|found| found != *sum) {
                edited.push(path.clone());
            }
        }
        Ok(edited)
    }

    /// True when each file is there as the lock says.
    pub(super) fn is_true_of(&self, folder: &Path) -> anyhow::Result<bool> {
        for (path, sum) in &self.files {
            if sum_of(&path.under(folder))?.as_ref() != Some(sum) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// One file in a lock.
pub(super) fn line(path: &FilePath, sum: &Sum) -> String {
    format!("\"{path}\" = \"{sum}\"\n")
}

/// The sum of a file; none when there is none.
pub(super) fn sum_of(path: &Path) -> anyhow::Result<Option<Sum>> {
    match definitions::read_bounded(path, LOCK_BYTES_MAX) {
        Ok(bytes) => Ok(Some(Sum::of(&sum::normalised(bytes)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: u32,
    source: Option<String>,
    commit: Option<String>,
    only: Option<String>,
    files: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_lines_after_it() {
        let path = |text| FilePath::parse(text).unwrap();
        let mut lock = Lock {
            source: Some("http://a/\"b\"".to_owned()),
            commit: None,
            only: Some("3,5..7".to_owned()),
            files: BTreeMap::new(),
        };
        assert_eq!(Lock::parse(&lock.text()).unwrap(), lock);
        let mut text = lock.text();
        for name in ["3.xml", "version_history/3-1_0.xml"] {
            text.push_str(&line(&path(name), &Sum::of(name.as_bytes())));
            lock.files.insert(path(name), Sum::of(name.as_bytes()));
        }
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        assert_eq!(lock.text(), text);
    }

    #[test]
    fn refuses_locks_of_others() {
        let sum = Sum::of(b"");
        for text in [
            String::new(),
            "format = 2\n[files]\n".to_owned(),
            "format = 1\nother = 1\n[files]\n".to_owned(),
            format!("format = 1\n[files]\n\"../3.xml\" = \"{sum}\"\n"),
            "format = 1\n[files]\n\"3.xml\" = \"00\"\n".to_owned(),
        ] {
            assert!(Lock::parse(&text).is_err(), "{text}");
        }
    }
}
