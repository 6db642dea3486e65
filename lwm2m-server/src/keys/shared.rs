//! One set of keys for all engines, exchanged as a whole.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{KeyFileError, KeyFiles, KeyMaterial};

/// The server's keys, as all of its listeners share them.
///
/// A handshake takes what is there when it begins, and ends with it; sessions that stand do not
/// notice an exchange, but for those whose certificate was taken back: they end. Clones are handles to
/// the same keys.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    files: KeyFiles,
    current: ArcSwap<KeyMaterial>,
    /// One reload at a time, so that an older state of the files never replaces a newer one.
    reloading: Mutex<()>,
    replaced: watch::Sender<()>,
}

/// What a reload found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files say what they said before.
    Unchanged,
    /// New handshakes use other keys or certificates from now on.
    Replaced,
}

impl Keys {
    /// Keys out of files, for [`Keys::reload`].
    ///
    /// # Errors
    /// [`KeyFileError`] names the first file that cannot be used.
    pub fn load(files: KeyFiles) -> Result<Keys, KeyFileError> {
        let material = files.load()?;
        Ok(Keys::with(files, material))
    }

    /// Keys that come from elsewhere, for [`Keys::replace`].
    pub fn new(material: KeyMaterial) -> Keys {
        Keys::with(KeyFiles::default(), material)
    }

    fn with(files: KeyFiles, material: KeyMaterial) -> Keys {
        Keys(Arc::new(Inner {
            files,
            current: ArcSwap::from_pointee(material),
            reloading: Mutex::new(()),
            replaced: watch::Sender::new(()),
        }))
    }

    /// The keys of now. Two answers are the same `Arc` when nothing was exchanged between them.
    pub fn current(&self) -> Arc<KeyMaterial> {
        self.0.current.load_full()
    }

    /// Exchanges all keys, for handshakes that begin from now on.
    pub fn replace(&self, material: KeyMaterial) {
        self.0.current.store(Arc::new(material));
        self.0.replaced.send_replace(());
    }

    /// Hears of each exchange from now on.
    pub(crate) fn replaced(&self) -> watch::Receiver<()> {
        self.0.replaced.subscribe()
    }

    /// Reads the files again. When one of them cannot be used, the keys stay as they were, all of
    /// them: a chain that was written before its key is no harm.
    ///
    /// # Errors
    /// [`KeyFileError`] names the first file that cannot be used.
    pub fn reload(&self) -> Result<Reloaded, KeyFileError> {
        let _one_at_a_time = self
            .0
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let material = self.0.files.load()?;
        if material.is_same_as(&self.0.current.load()) {
            return Ok(Reloaded::Unchanged);
        }
        self.replace(material);
        Ok(Reloaded::Replaced)
    }

    /// Where the keys come from; no paths when they come from elsewhere.
    pub fn files(&self) -> &KeyFiles {
        &self.0.files
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.current.load()).finish()
    }
}
