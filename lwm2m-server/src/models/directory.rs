//! What a directory of definitions looks like from outside.

use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The sub-folder with older versions, as in the public registry.
pub(super) const HISTORY: &str = "version_history";

/// A number that changes when a definition comes, goes or is written, symbolic links followed.
///
/// A file that is written twice within the granularity of its time may look the same.
pub(super) fn fingerprint(directory: &Path) -> u64 {
    let of_folders = [directory.to_owned(), directory.join(HISTORY)].map(|folder| {
        let Ok(entries) = fs::read_dir(&folder) else {
            return 0;
        };
        // Added up: the system lists in any order.
        entries.flatten().fold(1_u64, |sum, entry| {
            let path = entry.path();
            match is_definition(&path) {
                true => sum.wrapping_add(entry_hash(&path)),
                false => sum,
            }
        })
    });
    hash(of_folders)
}

/// The real directories that notifications come from, with what tells them from others of the
/// same name: the one above, the directory itself and its history, those that are there.
pub(super) fn real_directories(directory: &Path) -> Vec<(PathBuf, u64)> {
    let above = directory.parent().map(Path::to_owned);
    let wanted = [
        above,
        Some(directory.to_owned()),
        Some(directory.join(HISTORY)),
    ];
    wanted
        .into_iter()
        .flatten()
        .filter_map(|path| {
            let real = fs::canonicalize(path).ok()?;
            let metadata = fs::metadata(&real).ok().filter(Metadata::is_dir)?;
            Some((real, identity(&metadata)))
        })
        .collect()
}

/// True for the name of a file that may hold definitions.
pub(super) fn is_definition(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

fn entry_hash(path: &Path) -> u64 {
    let metadata = fs::metadata(path).ok();
    let seen = metadata.map(|it| (identity(&it), it.len(), it.modified().ok()));
    hash((path, seen))
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    hash((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> u64 {
    0
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
