//! The folder beside the target in which a pull is put together.
//!
//! Its lock is written line by line as files arrive, so that an interrupted pull goes on where it
//! stopped; the finished folder takes the target's place in one step.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file_path::FilePath;
use super::lock::{self, LOCK_NAME, Lock};
use super::sum::Sum;
use super::swap;
use crate::registry::definitions::HISTORY;

/// A pull in the making.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    target: PathBuf,
    /// The lock, growing.
    journal: File,
    /// The folder around both, locked so that no second pull works there.
    _alone: Option<File>,
}

impl Staging {
    /// Opens the staging folder of a target, and says which files are in it already.
    ///
    /// They count when they came from the same place, from a registry with the same index, and
    /// are as the lock says; everything else in the folder goes away.
    pub(super) fn open(
        target: &Path,
        header: &Lock,
        index: &Sum,
    ) -> anyhow::Result<(Staging, BTreeMap<FilePath, Sum>)> {
        let (parent, name) = parts(target)?;
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        let alone = alone_in(parent)?;
        swap::recover(target)?;
        let folder = parent.join(format!(".{name}.pulling"));
        let resumed = resume(&folder, header, index);
        if resumed.is_empty() && folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let context = || format!("cannot write into {}", folder.display());
        fs::create_dir_all(folder.join(HISTORY)).with_context(context)?;
        remove_others(&folder, &resumed).with_context(context)?;
        let begun = Lock {
            files: resumed.clone(),
            ..header.clone()
        };
        let mut journal = File::create(folder.join(LOCK_NAME)).with_context(context)?;
        journal
            .write_all(begun.text().as_bytes())
            .with_context(context)?;
        let staging = Staging {
            folder,
            target: target.to_owned(),
            journal,
            _alone: alone,
        };
        Ok((staging, resumed))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a file into the folder: whole, and then into the lock.
    pub(super) fn store(
        &mut self,
        path: &FilePath,
        content: &[u8],
        sum: &Sum,
    ) -> anyhow::Result<()> {
        let whole = path.under(&self.folder);
        let part = whole.with_extension("part");
        fs::write(&part, content)
            .and_then(|()| fs::rename(&part, &whole))
            .and_then(|()| self.journal.write_all(lock::line(path, sum).as_bytes()))
            .with_context(|| format!("cannot write {}: is the disk full?", whole.display()))
    }

    /// Puts the folder into the target's place, with `carried`, which are files of the target.
    pub(super) fn finish(self, lock: &Lock, carried: &[PathBuf]) -> anyhow::Result<()> {
        for path in carried {
            swap::carry(&self.target.join(path), &self.folder.join(path))
                .with_context(|| format!("cannot keep {}", path.display()))?;
        }
        let context = || format!("cannot finish {}", self.folder.display());
        drop(self.journal);
        fs::write(self.folder.join(LOCK_NAME), lock.text()).with_context(context)?;
        // Fails when there are definitions in it, and then it is to stay.
        let _ = fs::remove_dir(self.folder.join(HISTORY));
        for path in lock.files.keys() {
            let file = File::open(path.under(&self.folder)).with_context(context)?;
            file.sync_all().with_context(context)?;
        }
        swap::replace(&self.folder, &self.target)
            .with_context(|| format!("cannot replace {}", self.target.display()))
    }

    /// Removes the folder: the target is as it should be.
    pub(super) fn discard(self) -> anyhow::Result<()> {
        drop(self.journal);
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

/// The folder that a target is in, and the target's name.
pub(super) fn parts(target: &Path) -> anyhow::Result<(&Path, &str)> {
    let name = target.file_name().and_then(|name| name.to_str());
    let parent = target.parent();
    match (parent, name) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => bail!("{} cannot be replaced: name a folder", target.display()),
    }
}

/// Keeps other pulls out of a folder as long as the answer lives.
///
/// Not every system can lock folders: then two pulls at once are the user's care.
fn alone_in(parent: &Path) -> anyhow::Result<Option<File>> {
    let Ok(folder) = File::open(parent) else {
        return Ok(None);
    };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => bail!(
            "another pull is at work in {}: wait until it is done",
            parent.display()
        ),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// The files of an earlier pull that can stay.
fn resume(folder: &Path, header: &Lock, index: &Sum) -> BTreeMap<FilePath, Sum> {
    let text = fs::read_to_string(folder.join(LOCK_NAME)).unwrap_or_default();
    // The last line may be cut off.
    let whole = text.rfind('\n').and_then(|end| text.get(..=end));
    let Ok(staged) = Lock::parse(whole.unwrap_or_default()) else {
        return BTreeMap::new();
    };
    let is_same_place = staged.source.is_some()
        && staged.source == header.source
        && staged.commit == header.commit
        && staged.files.get(&FilePath::index()) == Some(index);
    if !is_same_place {
        return BTreeMap::new();
    }
    let files = staged.files.into_iter();
    files
        .filter(|(path, sum)| {
            let found = lock::sum_of(&path.under(folder));
            found.is_ok_and(|found| found.as_ref() == Some(sum))
        })
        .collect()
}

/// Removes what is in a staging folder and does not belong there.
fn remove_others(folder: &Path, files: &BTreeMap<FilePath, Sum>) -> anyhow::Result<()> {
    for path in swap::files_below(folder)? {
        let known = path.to_str().and_then(FilePath::parse);
        if known.is_none_or(|known| !files.contains_key(&known)) {
            fs::remove_file(folder.join(path))?;
        }
    }
    Ok(())
}
