//! Sequence numbers that are kept in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hashbrown::HashMap;

use super::{ClockSequences, ContextName, IdContext, KeyId, SequenceStore};
use crate::identity::{hex, sha256};

/// Sequence numbers of OSCORE contexts in a file, beyond restarts and power cuts.
///
/// Numbers are reserved in blocks, and a block is on the disk before the first of it is used; after
/// a restart a context goes on behind its last block. A context that the file does not know starts
/// where the clock says, as with [`ClockSequences`], so that a file that is new, or was lost, does
/// not make numbers come again.
///
/// The file has a line for each block: `recipient id, id context or -, end of the block, checksum`.
/// A last line that is not whole was never relied upon, and is passed over. Only one process may use
/// the file.
#[derive(Debug)]
pub struct FileSequences {
    path: PathBuf,
    block: u64,
    clock: fn() -> SystemTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    contexts: HashMap<ContextName, Kept>,
    /// None until something is written, and after a failure: then the file is written anew.
    file: Option<File>,
    lines: usize,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Where the context goes on when it is derived anew.
    next: u64,
    /// The first number that is not on the disk.
    durable: u64,
}

/// Why the file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceFileError {
    /// It cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line before the last one is none of ours.
    #[error("{}, line {line}: not a reserved block of sequence numbers; to go on without the file, \
             remove it: contexts then start where the clock says", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

impl FileSequences {
    /// Numbers of one block; 4096.
    pub const BLOCK: u64 = 4096;

    /// Lines beyond one for each context before the file is written anew.
    const LINES_SPARE: usize = 4096;

    /// Reads the file, which may be missing; it is written when there is something to keep.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub fn open(path: impl Into<PathBuf>, block: u64) -> Result<FileSequences, SequenceFileError> {
        FileSequences::open_with(path, block, SystemTime::now)
    }

    pub(super) fn open_with(
        path: impl Into<PathBuf>,
        block: u64,
        clock: fn() -> SystemTime,
    ) -> Result<FileSequences, SequenceFileError> {
        let path = path.into();
        let block = block.max(1);
        let mut contexts = read(&path)?;
        for kept in contexts.values_mut() {
            // One write for all: a fleet that comes back after a restart needs none.
            kept.durable = kept.next.saturating_add(block);
        }
        let mut state = State {
            contexts,
            ..State::default()
        };
        if !state.contexts.is_empty() {
            let written = state.rewrite(&path);
            written.map_err(|source| SequenceFileError::Io {
                path: path.clone(),
                source,
            })?;
        }
        Ok(FileSequences {
            path,
            block,
            clock,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SequenceStore for FileSequences {
    fn start(&self, context: &ContextName) -> u64 {
        let state = self.state();
        let known = state.contexts.get(context).map(|kept| kept.next);
        known.unwrap_or_else(|| ClockSequences::number((self.clock)()))
    }

    fn reserve(&self, context: &ContextName, limit: u64) -> u64 {
        let mut state = self.state();
        let kept = state.contexts.get(context).copied();
        let kept = kept.unwrap_or(Kept {
            next: 0,
            durable: 0,
        });
        let mut durable = kept.durable;
        if limit > durable {
            durable = limit.saturating_add(self.block);
            if let Err(error) = state.keep(&self.path, context, durable) {
                tracing::error!(path = %self.path.display(), %error, "sequence numbers not kept");
                return kept.next;
            }
        }
        let next = limit.max(kept.next);
        state
            .contexts
            .insert(context.clone(), Kept { next, durable });
        next
    }
}

impl State {
    /// Puts the end of a block on the disk.
    fn keep(&mut self, path: &Path, context: &ContextName, durable: u64) -> io::Result<()> {
        if self.file.is_none() || self.lines > self.contexts.len() + FileSequences::LINES_SPARE {
            self.rewrite(path)?;
        }
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("the file is not open"));
        };
        file.write_all(line(context, durable).as_bytes())?;
        file.sync_data()?;
        // Only now: after a failure, half a line may stand at the end.
        self.file = Some(file);
        self.lines += 1;
        Ok(())
    }

    /// Writes a line for each context into a file that takes the place of the one before.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        self.file = None;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let young = path.with_file_name(name);
        let mut text = String::new();
        for (context, kept) in &self.contexts {
            text.push_str(&line(context, kept.durable));
        }
        let mut file = File::create(&young)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&young, path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        // Where a folder cannot be opened, the rename is as durable as the system makes it.
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            folder.sync_all()?;
        }
        self.lines = self.contexts.len();
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        Ok(())
    }
}

fn line(context: &ContextName, durable: u64) -> String {
    let recipient_id = hex(context.recipient_id.as_bytes());
    let id_context = context.id_context.as_ref();
    let id_context = id_context.map_or("-".to_owned(), |id| hex(id.as_bytes()));
    let facts = format!("{recipient_id},{id_context},{durable}");
    format!("{facts},{}\n", checksum(&facts))
}

fn checksum(facts: &str) -> String {
    hex(&sha256(facts.as_bytes())[..8])
}

fn read(path: &Path) -> Result<HashMap<ContextName, Kept>, SequenceFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => {
            return Err(SequenceFileError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let mut contexts: HashMap<ContextName, Kept> = HashMap::new();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let Some((context, durable)) = parse(line) else {
            if lines.peek().is_none() {
                break;
            }
            return Err(SequenceFileError::Damaged {
                path: path.to_owned(),
                line: index + 1,
            });
        };
        let kept = contexts.entry(context).or_insert(Kept {
            next: durable,
            durable,
        });
        kept.next = kept.next.max(durable);
        kept.durable = kept.next;
    }
    Ok(contexts)
}

fn parse(line: &str) -> Option<(ContextName, u64)> {
    let (facts, sum) = line.strip_suffix('\n')?.rsplit_once(',')?;
    if checksum(facts) != sum {
        return None;
    }
    let mut fields = facts.split(',');
    let (recipient_id, id_context, durable) = (fields.next()?, fields.next()?, fields.next()?);
    let name = ContextName {
        recipient_id: KeyId::new(&unhex(recipient_id)?)?,
        id_context: match id_context {
            "-" => None,
            id => Some(IdContext::new(&unhex(id)?)?),
        },
    };
    Some((name, durable.parse().ok()?))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: u64 = 7 * 1024;

    fn clock() -> SystemTime {
        super::super::tests::at(7)
    }

    fn name(id: &[u8], context: Option<&[u8]>) -> ContextName {
        ContextName {
            recipient_id: KeyId::new(id).expect("an id"),
            id_context: context.map(|id| IdContext::new(id).expect("a context")),
        }
    }

    fn open(path: &Path) -> FileSequences {
        FileSequences::open_with(path, 100, clock).expect("sound")
    }

    fn length(path: &Path) -> u64 {
        std::fs::metadata(path).expect("there").len()
    }

    #[test]
    fn whatever_was_granted_does_not_come_again_after_a_kill() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sequences");
        let names = [
            name(b"", None),
            name(b"a", Some(b"")),
            name(b"a", Some(b"c")),
        ];
        let mut granted = [0; 3];
        for life in 0..5 {
            // Never closed: dropping it writes nothing.
            let store = open(&path);
            for (name, granted) in names.iter().zip(&mut granted) {
                let start = store.start(name);
                assert!(start >= *granted, "life {life}: {start} < {granted}");
                for step in 1..10 {
                    let limit = start + 64 * step;
                    assert_eq!(store.reserve(name, limit), limit);
                    *granted = limit;
                }
                assert_eq!(store.start(name), *granted, "dropped and derived anew");
            }
        }
    }

    #[test]
    fn a_block_is_written_once_and_a_restart_spares_the_first_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sequences");
        let store = open(&path);
        assert!(!path.exists(), "nothing to keep");
        let a = name(b"a", None);
        let start = store.start(&a);
        assert_eq!(start, LATE, "where the clock says");
        store.reserve(&a, start + 1);
        let one = length(&path);
        store.reserve(&a, start + 101);
        assert_eq!(length(&path), one, "within the block");
        store.reserve(&a, start + 102);
        assert!(length(&path) > one, "the next one");
        drop(store);

        let store = open(&path);
        let before = length(&path);
        let start = store.start(&a);
        assert_eq!(store.reserve(&a, start + 100), start + 100);
        assert_eq!(length(&path), before);
    }

    #[test]
    fn half_a_line_at_the_end_is_passed_over_and_a_damaged_file_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sequences");
        let (a, b) = (name(b"a", None), name(b"b", None));
        let store = open(&path);
        store.reserve(&a, 20_000);
        let good = std::fs::read_to_string(&path).expect("text");
        store.reserve(&b, 30_000);
        let both = std::fs::read_to_string(&path).expect("text");
        for cut in good.len()..both.len() {
            std::fs::write(&path, &both[..cut]).expect("written");
            let store = open(&path);
            assert_eq!(store.start(&a), 20_100);
            assert_eq!(store.start(&b), LATE, "never granted");
        }
        std::fs::write(&path, both.replacen("20", "10", 1)).expect("written");
        let refused = FileSequences::open(&path, 100).expect_err("damaged");
        assert!(
            matches!(refused, SequenceFileError::Damaged { line: 1, .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_grants_nothing_and_one_that_can_again_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none").join("sequences");
        let store = open(&path);
        let a = name(b"a", None);
        let start = store.start(&a);
        assert!(store.reserve(&a, start + 64) <= start, "nothing to use");
        std::fs::create_dir(path.parent().expect("a folder")).expect("made");
        assert_eq!(store.reserve(&a, start + 64), start + 64);
        drop(store);
        assert!(open(&path).start(&a) >= start + 64);
    }

    #[test]
    fn many_blocks_do_not_make_a_long_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sequences");
        let a = name(b"a", None);
        let store = FileSequences::open_with(&path, 1, clock).expect("sound");
        store.reserve(&a, LATE);
        store.state().lines = FileSequences::LINES_SPARE + 2;
        for step in 1..10 {
            store.reserve(&a, LATE + 10 * step);
        }
        // Written anew with one line, and nine behind it.
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), 10);
        drop(store);
        assert!(open(&path).start(&a) >= LATE + 90);
    }
}
