//! The folder that a pull fills.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file_path::FilePath;
use super::lock::{LOCK_NAME, Lock};
use super::swap;

/// Most files that a refusal names one by one.
const NAMED_MAX: usize = 5;

/// The folder as it was when the pull began.
#[derive(Debug)]
pub(super) struct Target {
    /// Absolute, links followed.
    pub(super) path: PathBuf,
    pub(super) lock: Option<Lock>,
}

impl Target {
    pub(super) fn open(path: &Path) -> anyhow::Result<Target> {
        let shown = path.display();
        let path = match path.exists() {
            true => fs::canonicalize(path),
            false => std::path::absolute(path),
        }
        .with_context(|| format!("cannot find {shown}"))?;
        swap::recover(&path)?;
        if !path.exists() {
            return Ok(Target { path, lock: None });
        }
        if !path.is_dir() {
            bail!("{shown} is a file: name a folder");
        }
        let is_inside = env::current_dir().is_ok_and(|current| current.starts_with(&path));
        if is_inside || path.join(".git").exists() {
            bail!(
                "{shown} would be replaced as a whole, with what else is in it: name a folder of \
                 its own, such as objects"
            );
        }
        let lock = Lock::read(&path)?;
        Ok(Target { path, lock })
    }

    /// Refuses to replace work of the user's.
    pub(super) fn may_replace(&self, names: &[&FilePath], overwrite: bool) -> anyhow::Result<()> {
        if overwrite || !self.path.exists() {
            return Ok(());
        }
        let edited = match &self.lock {
            Some(lock) => lock.edited(&self.path)?,
            None => Vec::new(),
        };
        let is_ours = |name: &FilePath| {
            let lock = self.lock.as_ref();
            lock.is_some_and(|lock| lock.files.contains_key(name))
        };
        let of_others = names
            .iter()
            .filter(|name| !is_ours(name) && name.under(&self.path).exists());
        let mut kept: Vec<String> = edited.iter().map(ToString::to_string).collect();
        kept.extend(of_others.map(ToString::to_string));
        if kept.is_empty() {
            return Ok(());
        }
        let count = kept.len();
        let more = if count > NAMED_MAX { ", ..." } else { "" };
        kept.truncate(NAMED_MAX);
        bail!(
            "{count} files in {} were edited or did not come from a pull: {}{more}; move them \
             away, or give --overwrite to lose them",
            self.path.display(),
            kept.join(", ")
        )
    }

    /// The files that are the user's, and stay: all that no pull has brought or brings now.
    pub(super) fn carried(&self, now: &Lock) -> anyhow::Result<Vec<PathBuf>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let mut files = swap::files_below(&self.path)?;
        files.retain(|path| {
            let name = path.to_str().and_then(FilePath::parse);
            let is_pulled = name.is_some_and(|name| {
                let before = self.lock.as_ref();
                now.files.contains_key(&name)
                    || before.is_some_and(|lock| lock.files.contains_key(&name))
            });
            !is_pulled && path != Path::new(LOCK_NAME)
        });
        Ok(files)
    }
}
