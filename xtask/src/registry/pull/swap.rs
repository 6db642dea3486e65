//! Putting one folder into the place of another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::staging;

/// More files than this are no folder of definitions.
const FILES_MAX: usize = 20_000;

/// Puts `new` into the place of `target`, and removes what was there.
pub(super) fn replace(new: &Path, target: &Path) -> anyhow::Result<()> {
    if !target.exists() {
        return Ok(fs::rename(new, target)?);
    }
    if exchange(new, target)? {
        fs::remove_dir_all(new).context("cannot remove the old folder")?;
        return Ok(());
    }
    let before = before(target)?;
    fs::rename(target, &before)?;
    if let Err(error) = fs::rename(new, target) {
        fs::rename(&before, target)?;
        return Err(error.into());
    }
    fs::remove_dir_all(&before).context("cannot remove the old folder")
}

/// Brings back a target that [`replace`] had to move away when it was interrupted.
pub(super) fn recover(target: &Path) -> anyhow::Result<()> {
    let before = before(target)?;
    if !before.exists() {
        return Ok(());
    }
    match target.exists() {
        true => fs::remove_dir_all(&before),
        false => fs::rename(&before, target),
    }
    .with_context(|| format!("cannot clear {} away", before.display()))
}

fn before(target: &Path) -> anyhow::Result<PathBuf> {
    let (parent, name) = staging::parts(target)?;
    Ok(parent.join(format!(".{name}.before")))
}

/// Exchanges two folders in one step; false where the system cannot.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<bool> {
    Ok(false)
}

/// The files in a folder and its sub-folders, relative to it.
///
/// A link is a file here, wherever it leads.
pub(super) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let shown = folder.join(&relative);
        let entries =
            fs::read_dir(&shown).with_context(|| format!("cannot list {}", shown.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
            if files.len() + folders.len() > FILES_MAX {
                let shown = folder.display();
                bail!("{shown} has more than {FILES_MAX} files: is it the right folder?");
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a file appear in another folder too.
pub(super) fn carry(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if from.is_symlink() {
        return carry_link(from, to);
    }
    match fs::hard_link(from, to) {
        Err(_) => fs::copy(from, to).map(drop),
        linked => linked,
    }
}

#[cfg(unix)]
fn carry_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn carry_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path, name: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join(name), name).unwrap();
    }

    #[test]
    fn the_new_folder_stands_where_the_old_one_was() {
        let root = tempfile::tempdir().unwrap();
        let (new, target) = (root.path().join("new"), root.path().join("objects"));
        for name in ["first", "second"] {
            folder(&new, name);
            replace(&new, &target).unwrap();
            assert_eq!(files_below(&target).unwrap(), [PathBuf::from(name)]);
            assert!(!new.exists());
        }
    }

    #[test]
    fn an_interrupted_replacement_is_undone_or_finished() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("objects");
        let before = before(&target).unwrap();
        folder(&before, "old");
        recover(&target).unwrap();
        assert_eq!(files_below(&target).unwrap(), [PathBuf::from("old")]);
        folder(&before, "older");
        recover(&target).unwrap();
        assert_eq!(files_below(&target).unwrap(), [PathBuf::from("old")]);
        assert!(!before.exists());
    }
}
