//! Object models in service, replaceable while they are read.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use lwm2m_core::{ObjectModel, ObjectModels, ObjectVersion};

use crate::embedded;
use crate::folder::Folders;
use crate::object_set::ObjectSet;

/// The object models in service: built-in ones and those of folders.
///
/// Readers see one [`ObjectSet`] or the next, never something between; loading does not block
/// them. Later sources win: a model of a folder stands in the place of a built-in one with the
/// same id and version, until its file is gone.
#[derive(Debug)]
pub struct Registry {
    current: ArcSwap<ObjectSet>,
    /// The models that no folder can take away.
    base: Arc<ObjectSet>,
    /// Also keeps two loads from replacing each other's result.
    folders: Mutex<Folders>,
}

impl Registry {
    /// The core objects and the common sensor objects that this crate contains.
    ///
    /// Their files are parsed once in a process, at the first call.
    pub fn embedded() -> Registry {
        Registry::of(embedded::objects())
    }

    /// The built-in objects and `models`; these win over built-in ones of the same version.
    pub fn with(models: impl IntoIterator<Item = ObjectModel>) -> Registry {
        let built_in = embedded::objects();
        let all = built_in.iter().cloned();
        Registry::of(Arc::new(
            all.chain(models.into_iter().map(Arc::new)).collect(),
        ))
    }

    /// No objects at all.
    pub fn empty() -> Registry {
        Registry::of(Arc::default())
    }

    /// The models of this moment.
    ///
    /// Holding them does not keep newer ones from coming into service.
    pub fn snapshot(&self) -> Arc<ObjectSet> {
        self.current.load_full()
    }

    fn of(base: Arc<ObjectSet>) -> Registry {
        Registry {
            current: ArcSwap::new(Arc::clone(&base)),
            base,
            folders: Mutex::default(),
        }
    }

    /// Runs a change of the folders alone, and puts the set that it answers with into service.
    pub(crate) fn replace<T, E>(
        &self,
        change: impl FnOnce(&mut Folders, &ObjectSet) -> Result<(ObjectSet, T), E>,
    ) -> Result<T, E> {
        // A change that panicked left the folders as they were before or after a file: both serve.
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let (objects, answer) = change(&mut folders, &self.base)?;
        self.current.store(Arc::new(objects));
        Ok(answer)
    }
}

impl Default for Registry {
    /// As [`Registry::embedded`].
    fn default() -> Registry {
        Registry::embedded()
    }
}

impl ObjectModels for Registry {
    fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<Arc<ObjectModel>> {
        self.current.load().object(id, version).cloned()
    }

    fn all(&self) -> Vec<Arc<ObjectModel>> {
        self.current.load().iter().cloned().collect()
    }
}
