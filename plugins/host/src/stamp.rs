//! Whether a file may have changed, without reading it.
//!
//! A reload looks at all plugins and finds mostly one that has changed; reading and hashing the others
//! would be most of its work. A file that looks as it did is taken for the same. Times of files have
//! steps, of a few milliseconds or of two seconds, and within one a file may change twice and look the
//! same. So only the looks of a file count that had been left alone for a while.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file looked like when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: SystemTime,
    /// On Unix: the file itself, and its last change, which nobody can set back.
    #[cfg(unix)]
    inode: (u64, u64, Duration),
}

/// For how long a file had been left alone: longer than a step of times that have more than seconds.
const SETTLED: Duration = Duration::from_millis(100);

/// The same where times seem to have whole seconds, or two of them.
const SETTLED_SECONDS: Duration = Duration::from_secs(5);

impl Stamp {
    /// Looks at a file, before it is read; none for one that may change and look the same.
    pub(crate) fn of(metadata: &Metadata, now: SystemTime) -> Option<Stamp> {
        let stamp = Stamp {
            length: metadata.len(),
            modified: metadata.modified().ok()?,
            #[cfg(unix)]
            inode: inode(metadata),
        };
        stamp.is_settled(now).then_some(stamp)
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let last = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        #[cfg(unix)]
        let last = last.max(self.inode.2);
        let settled = match last.subsec_nanos() {
            0 => SETTLED_SECONDS,
            _ => SETTLED,
        };
        let since = now.duration_since(UNIX_EPOCH + last);
        since.is_ok_and(|since| since >= settled)
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> (u64, u64, Duration) {
    use std::os::unix::fs::MetadataExt;

    let seconds = metadata.ctime().unsigned_abs();
    let changed = Duration::new(seconds, metadata.ctime_nsec().unsigned_abs() as u32);
    (metadata.dev(), metadata.ino(), changed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn changed_at(path: &Path) -> SystemTime {
        let metadata = fs::metadata(path).expect("a file");
        let modified = metadata.modified().expect("a time");
        #[cfg(unix)]
        let modified = modified.max(UNIX_EPOCH + inode(&metadata).2);
        modified
    }

    fn look(path: &Path, later: Duration) -> Option<Stamp> {
        let metadata = fs::metadata(path).expect("a file");
        Stamp::of(&metadata, changed_at(path) + later)
    }

    #[test]
    fn a_file_that_has_just_changed_has_no_stamp() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plugin.rhai");
        fs::write(&path, "one").expect("a file");
        let millisecond = Duration::from_millis(1);
        assert_eq!(look(&path, Duration::ZERO), None);
        // Whichever steps the times of this disk have.
        assert_eq!(look(&path, SETTLED - millisecond), None);
        let settled = look(&path, SETTLED_SECONDS);
        assert!(settled.is_some());
        assert_eq!(look(&path, 2 * SETTLED_SECONDS), settled);
        // A clock that was set back.
        let metadata = fs::metadata(&path).expect("a file");
        assert_eq!(Stamp::of(&metadata, UNIX_EPOCH), None);
    }

    #[test]
    fn another_file_of_the_same_length_looks_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plugin.rhai");
        fs::write(&path, "one").expect("a file");
        let before = look(&path, SETTLED_SECONDS);
        let other = folder.path().join("other");
        fs::write(&other, "two").expect("a file");
        // With the times of the one that it takes the place of.
        let times = fs::FileTimes::new().set_modified(changed_at(&path));
        let file = fs::File::options().write(true).open(&other);
        file.and_then(|file| file.set_times(times)).expect("times");
        fs::rename(&other, &path).expect("a file");
        let after = look(&path, SETTLED_SECONDS);
        if cfg!(unix) {
            assert_ne!(before, after);
        }
        fs::write(&path, "longer").expect("a file");
        assert_ne!(look(&path, SETTLED_SECONDS), before);
    }
}
