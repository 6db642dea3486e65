//! Compiled components on disk, so that a restart does not compile them again.
//!
//! wasmtime keeps them, by the SHA-256 of the component and of everything that its code depends on:
//! the version of wasmtime, its settings, the processor. What it reads back runs as it is, so two
//! things are added. The folder belongs to the server's user, and nobody else may look into it or
//! write to it. And each file has a seal, the checksum of its bytes, made when it was written: a
//! file that is damaged, and one that nobody here has written, is thrown away and the component is
//! compiled again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig};

use crate::checksum::{Checksum, checksum};

/// Compiled components on disk.
pub(super) struct CompileCache {
    cache: Cache,
    /// What wasmtime writes.
    compiled: PathBuf,
    /// For each component, what it has been compiled to.
    seals: PathBuf,
    /// One at a time, so that a file that comes belongs to what was compiled.
    turn: Mutex<()>,
}

impl CompileCache {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// A sentence: the folder cannot be made, or it is not the server's own.
    pub(super) fn open(directory: &Path) -> Result<CompileCache, String> {
        let refuse = |error: io::Error| format!("plugins.cache {}: {error}", directory.display());
        make_own(directory).map_err(refuse)?;
        // wasmtime wants a path that does not depend on where it is looked at from.
        let directory = directory.canonicalize().map_err(refuse)?;
        let seals = directory.join("checksums");
        fs::create_dir_all(&seals).map_err(refuse)?;
        // It removes what it does not know from its folder, so that one is its alone.
        let of_wasmtime = directory.join("wasmtime");
        let mut config = CacheConfig::new();
        config
            .with_directory(&of_wasmtime)
            // Files stay as they were written: their seals say so.
            .with_baseline_compression_level(1)
            .with_optimized_compression_level(1);
        let cache = Cache::new(config).map_err(|error| format!("plugins.cache: {error:#}"))?;
        let opened = CompileCache {
            cache,
            compiled: of_wasmtime.join("modules"),
            seals,
            turn: Mutex::default(),
        };
        opened.remove_strangers();
        Ok(opened)
    }

    /// What the engine is told of it.
    pub(super) fn store(&self) -> Cache {
        self.cache.clone()
    }

    /// Compiles a component, whose bytes have this checksum, or takes what it was compiled to.
    ///
    /// # Errors
    /// It cannot be compiled. A cache that does not work costs time, and is no error.
    pub(super) fn through(
        &self,
        component: Checksum,
        compile: impl FnOnce() -> wasmtime::Result<Component>,
    ) -> wasmtime::Result<Component> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let seal = self.seals.join(hex(component));
        if !self.is_whole(&seal) {
            self.forget(&seal);
            self.remove_strangers();
        }
        let before = self.files();
        let misses = self.cache.cache_misses();
        let compiled = compile()?;
        if self.cache.cache_misses() > misses {
            let new: Vec<PathBuf> = self.files().difference(&before).cloned().collect();
            if let Err(error) = self.write_seal(&seal, &new) {
                tracing::warn!(%error, "a compiled plugin is not kept");
                new.iter().for_each(|file| remove(file));
            }
        }
        Ok(compiled)
    }

    /// True when there is a seal and everything that it names is as it was.
    fn is_whole(&self, seal: &Path) -> bool {
        let Ok(text) = fs::read_to_string(seal) else {
            return false;
        };
        let is_as_it_was = |(sum, file): (&str, &str)| {
            let bytes = fs::read(self.compiled.join(file));
            bytes.is_ok_and(|bytes| hex(checksum(&bytes)) == sum)
        };
        !text.is_empty() && sealed(&text).all(is_as_it_was)
    }

    fn forget(&self, seal: &Path) {
        if let Ok(text) = fs::read_to_string(seal) {
            for (_, file) in sealed(&text) {
                tracing::warn!(file, "a compiled plugin is damaged, and is compiled again");
                remove(&self.compiled.join(file));
            }
            remove(seal);
        }
    }

    /// Files that no seal names were written by somebody else.
    fn remove_strangers(&self) {
        let mut known = BTreeSet::new();
        for seal in entries(&self.seals) {
            let text = fs::read_to_string(&seal).unwrap_or_default();
            known.extend(sealed(&text).map(|(_, file)| self.compiled.join(file)));
        }
        for stranger in self.files().difference(&known) {
            tracing::warn!(file = %stranger.display(), "not a compiled plugin of this server");
            remove(stranger);
        }
    }

    /// What wasmtime has written and will read: files of other endings are its notes.
    fn files(&self) -> BTreeSet<PathBuf> {
        let of_versions = entries(&self.compiled);
        let files = of_versions.iter().flat_map(|version| entries(version));
        files.filter(|file| file.extension().is_none()).collect()
    }

    fn write_seal(&self, seal: &Path, files: &[PathBuf]) -> io::Result<()> {
        let mut text = String::new();
        for file in files {
            let sum = hex(checksum(&fs::read(file)?));
            let name = file
                .strip_prefix(&self.compiled)
                .map_err(io::Error::other)?;
            text.push_str(&format!("{sum} {}\n", name.display()));
        }
        if text.is_empty() {
            return Ok(());
        }
        // Whole or not at all.
        let unfinished = seal.with_extension("new");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, seal)
    }
}

/// The lines of a seal: the checksum of a file, and the file.
fn sealed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(' '))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "a compiled plugin cannot be removed");
    }
}

fn hex(sum: Checksum) -> String {
    format!("{sum:032x}")
}

/// Makes a folder that is the server's alone, or checks that it is.
#[cfg(unix)]
fn make_own(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made?;
    let metadata = fs::metadata(directory)?;
    if metadata.mode() & 0o077 != 0 {
        let what = "others may use it, and what is in it runs as a part of the server: chmod 700";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let what = "it belongs to another user, and what is in it runs as a part of the server";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(())
}

/// Makes a folder; that it is the server's alone is up to where it is.
#[cfg(not(unix))]
fn make_own(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}
