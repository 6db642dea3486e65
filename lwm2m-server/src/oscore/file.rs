//! Sequence numbers and replay windows that are kept in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hashbrown::HashMap;

use super::{
    ClockSequences, ContextName, IdContext, KeyFingerprint, KeyId, ReceivedRequests, ReplayState,
    SequenceStore,
};
use crate::identity::{hex, sha256};

/// Sequence numbers and replay windows of OSCORE contexts in a file, beyond restarts and power cuts.
///
/// Numbers are reserved in blocks, and a block is on the disk before the first of it is used; after
/// a restart a context goes on behind its last block. A context that the file does not know starts
/// where the clock says, as with [`ClockSequences`], so that a file that is new, or was lost, does
/// not make numbers come again. One that is [introduced](SequenceStore::introduce), as keys
/// that [nobody has used](crate::credentials::Credential::never_used) are while the server runs, starts
/// lower, [`FileSequences::NEW_PER_SECOND`] for each second since 2026
/// began: some clients take no Partial IV of more than 31 bits.
///
/// Of what devices have sent, the file says below which number it may have been received, in steps
/// of [`FileSequences::WINDOW_STEP`] ahead of the numbers. After a crash, requests below that are
/// challenged, and after an orderly end the window is as it was. A context that the file does not
/// know is challenged, unless it was introduced.
///
/// The file has a line for each block: `recipient id, id context or -, end of the block, checksum`;
/// and one for each step: `recipient id, id context or -, fingerprint of the keys, end, received,
/// checksum`, where *received* are the numbers of the window, or `-` for any. The last line of a
/// context counts. A last line that is not whole was never relied upon, and is passed over. Only one
/// process may use the file.
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
    windows: HashMap<(ContextName, KeyFingerprint), Window>,
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

/// What the peer of a context may have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// Requests below this number may have been received, as the disk says.
    below: u64,
    /// Exactly these, while nobody uses the context.
    settled: Option<ReceivedRequests>,
    /// True when the disk says exactly these, too: the next one has to be written.
    exact: bool,
}

impl Window {
    fn below(below: u64) -> Window {
        Window {
            below,
            settled: None,
            exact: false,
        }
    }
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
    #[error("{}, line {line}: not what was kept of a context; to go on without the file, remove it: \
             contexts then start where the clock says, and devices are challenged", path.display())]
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

    /// By how many numbers the file is ahead of what was received; 256. After a crash, a device is
    /// challenged for so many requests at most.
    pub const WINDOW_STEP: u64 = 256;

    /// The first number of new keys, for each second since 2026 began; 4.
    pub const NEW_PER_SECOND: u64 = 4;

    /// Bytes of the longest line that is read: more than any context takes. What is no file of ours is
    /// refused after two of these.
    const LINE_MAX: u64 = 512;

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
        let mut state = read(&path)?;
        // One write for all: a fleet that comes back after a restart needs none.
        for kept in state.contexts.values_mut() {
            kept.durable = kept.next.saturating_add(block);
        }
        for window in state.windows.values_mut() {
            if window.settled.is_some() {
                window.below = window.below.saturating_add(FileSequences::WINDOW_STEP);
            }
        }
        if !state.contexts.is_empty() || !state.windows.is_empty() {
            let written = state.rewrite(&path, Windows::Ahead);
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

    /// The first number of keys that are new.
    fn new_start(&self) -> u64 {
        let of_clock = ClockSequences::number((self.clock)());
        of_clock / ClockSequences::PER_SECOND * FileSequences::NEW_PER_SECOND
    }

    fn failed(&self, error: &io::Error, what: &str) {
        tracing::error!(path = %self.path.display(), %error, "{what} not kept");
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
            if let Err(error) = state.keep(&self.path, &block(context, durable), 1) {
                self.failed(&error, "sequence numbers");
                return kept.next;
            }
        }
        let next = limit.max(kept.next);
        state
            .contexts
            .insert(context.clone(), Kept { next, durable });
        next
    }

    fn replay(&self, context: &ContextName, keys: &KeyFingerprint) -> ReplayState {
        let state = self.state();
        match state.windows.get(&(context.clone(), *keys)) {
            None => ReplayState::Unknown,
            Some(window) => match window.settled {
                Some(received) => ReplayState::Received(received),
                None => ReplayState::Below(window.below),
            },
        }
    }

    fn received(&self, context: &ContextName, keys: &KeyFingerprint, end: u64) -> Option<u64> {
        let mut state = self.state();
        let key = (context.clone(), *keys);
        let kept = state.windows.get(&key);
        let below = match kept {
            Some(window) if window.below >= end && !window.exact => window.below,
            _ => {
                let below = end.saturating_add(FileSequences::WINDOW_STEP);
                let line = step(&key, below, None);
                if let Err(error) = state.keep(&self.path, &line, 1) {
                    self.failed(&error, "the replay window");
                    return None;
                }
                below
            }
        };
        state.windows.insert(key, Window::below(below));
        Some(below)
    }

    fn settle(&self, context: &ContextName, keys: &KeyFingerprint, received: ReceivedRequests) {
        if let Some(window) = self.state().windows.get_mut(&(context.clone(), *keys)) {
            window.settled = Some(received);
        }
    }

    fn flush(&self) {
        let mut state = self.state();
        if state.windows.is_empty() && state.contexts.is_empty() {
            return;
        }
        if let Err(error) = state.rewrite(&self.path, Windows::Settled) {
            self.failed(&error, "replay windows");
        }
    }

    fn introduce(&self, contexts: &[(ContextName, KeyFingerprint)]) {
        let mut state = self.state();
        let start = self.new_start();
        let mut young = State::default();
        let mut lines = String::new();
        for key in contexts {
            if !state.contexts.contains_key(&key.0) && !young.contexts.contains_key(&key.0) {
                let kept = Kept {
                    next: start,
                    durable: start,
                };
                lines.push_str(&block(&key.0, start));
                young.contexts.insert(key.0.clone(), kept);
            }
            if !state.windows.contains_key(key) && !young.windows.contains_key(key) {
                lines.push_str(&step(key, 0, None));
                young.windows.insert(key.clone(), Window::below(0));
            }
        }
        let count = young.contexts.len() + young.windows.len();
        if count == 0 {
            return;
        }
        match state.keep(&self.path, &lines, count) {
            Ok(()) => {
                state.contexts.extend(young.contexts);
                state.windows.extend(young.windows);
            }
            // They are challenged, then.
            Err(error) => self.failed(&error, "that contexts are new was"),
        }
    }
}

/// What is written of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Windows {
    /// What may be received until the next step.
    Ahead,
    /// What was received, where nobody uses the context.
    Settled,
}

impl State {
    /// Puts whole lines on the disk.
    fn keep(&mut self, path: &Path, lines: &str, count: usize) -> io::Result<()> {
        let known = self.contexts.len() + self.windows.len();
        if self.file.is_none() || self.lines > known + FileSequences::LINES_SPARE {
            self.rewrite(path, Windows::Ahead)?;
        }
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("the file is not open"));
        };
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        // Only now: after a failure, half a line may stand at the end.
        self.file = Some(file);
        self.lines += count;
        Ok(())
    }

    /// Writes the lines of each context into a file that takes the place of the one before.
    fn rewrite(&mut self, path: &Path, windows: Windows) -> io::Result<()> {
        self.file = None;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let young = path.with_file_name(name);
        let mut text = String::new();
        for (context, kept) in &self.contexts {
            text.push_str(&block(context, kept.durable));
        }
        for (key, window) in &mut self.windows {
            let settled = window.settled.filter(|_| windows == Windows::Settled);
            text.push_str(&step(key, window.below, settled));
            // Also when the writing fails: then the next one is written at least.
            window.exact |= settled.is_some();
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
        self.lines = self.contexts.len() + self.windows.len();
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        Ok(())
    }

    /// Takes a line; false when it is none of ours.
    fn take(&mut self, line: &str) -> bool {
        let taken = line
            .strip_suffix('\n')
            .and_then(|line| line.rsplit_once(','))
            .filter(|(facts, sum)| checksum(facts) == *sum)
            .and_then(|(facts, _)| {
                let fields: Vec<&str> = facts.split(',').collect();
                match *fields {
                    [recipient_id, id_context, end] => {
                        let name = parse_name(recipient_id, id_context)?;
                        let end = end.parse().ok()?;
                        let kept = self.contexts.entry(name).or_insert(Kept {
                            next: end,
                            durable: end,
                        });
                        kept.next = kept.next.max(end);
                        kept.durable = kept.next;
                    }
                    [recipient_id, id_context, keys, end, received] => {
                        let name = parse_name(recipient_id, id_context)?;
                        let keys = KeyFingerprint(unhex(keys)?.try_into().ok()?);
                        let window = parse_window(end, received)?;
                        self.windows.insert((name, keys), window);
                    }
                    _ => return None,
                }
                Some(())
            });
        taken.is_some()
    }
}

/// The line of a block of numbers.
fn block(context: &ContextName, durable: u64) -> String {
    with_checksum(format!("{},{durable}", name(context)))
}

/// The line of a step of a window.
fn step(
    (context, keys): &(ContextName, KeyFingerprint),
    below: u64,
    settled: Option<ReceivedRequests>,
) -> String {
    let keys = hex(&keys.0);
    let (end, received) = match settled {
        None => (below, "-".to_owned()),
        Some(settled) => (settled.highest + 1, format!("{:08x}", settled.numbers)),
    };
    with_checksum(format!("{},{keys},{end},{received}", name(context)))
}

fn name(context: &ContextName) -> String {
    let recipient_id = hex(context.recipient_id.as_bytes());
    let id_context = context.id_context.as_ref();
    let id_context = id_context.map_or("-".to_owned(), |id| hex(id.as_bytes()));
    format!("{recipient_id},{id_context}")
}

fn with_checksum(facts: String) -> String {
    format!("{facts},{}\n", checksum(&facts))
}

fn checksum(facts: &str) -> String {
    hex(&sha256(facts.as_bytes())[..8])
}

fn read(path: &Path) -> Result<State, SequenceFileError> {
    let refuse = |source| SequenceFileError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(refuse(error)),
    };
    let (mut state, mut line, mut number) = (State::default(), Vec::new(), 0);
    let mut torn = None;
    loop {
        line.clear();
        let mut rest = file.by_ref().take(FileSequences::LINE_MAX);
        if rest.read_until(b'\n', &mut line).map_err(refuse)? == 0 {
            return Ok(state);
        }
        if let Some(line) = torn {
            let path = path.to_owned();
            return Err(SequenceFileError::Damaged { path, line });
        }
        number += 1;
        let taken = std::str::from_utf8(&line).is_ok_and(|line| state.take(line));
        torn = (!taken).then_some(number);
    }
}

fn parse_name(recipient_id: &str, id_context: &str) -> Option<ContextName> {
    Some(ContextName {
        recipient_id: KeyId::new(&unhex(recipient_id)?)?,
        id_context: match id_context {
            "-" => None,
            id => Some(IdContext::new(&unhex(id)?)?),
        },
    })
}

fn parse_window(end: &str, received: &str) -> Option<Window> {
    let below: u64 = end.parse().ok()?;
    let settled = match received {
        "-" => None,
        numbers => Some(ReceivedRequests {
            highest: below.checked_sub(1)?,
            numbers: u32::from_str_radix(numbers, 16).ok()?,
        }),
    };
    Some(Window {
        settled,
        ..Window::below(below)
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
