//! A set of object models that does not change.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use lwm2m_core::{ObjectModel, ObjectModels, ObjectVersion};

/// Object models by id and version.
///
/// It does not change once it is built: a [`Registry`](crate::Registry) replaces it as a whole.
#[derive(Debug, Clone, Default)]
pub struct ObjectSet {
    /// Ascending by key. The keys stand beside the models so that a search stays in one block of
    /// memory.
    models: Vec<(ObjectKey, Arc<ObjectModel>)>,
}

/// The id and the version of an object definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// The object id.
    pub id: u16,
    /// The version of the definition.
    pub version: ObjectVersion,
}

impl ObjectKey {
    /// The key of a model.
    pub fn of(model: &ObjectModel) -> ObjectKey {
        ObjectKey {
            id: model.id,
            version: model.version,
        }
    }

    /// The key as one number, which is compared in one step: each message looks a model up.
    fn rank(self) -> u64 {
        let ObjectVersion { major, minor } = self.version;
        u64::from(self.id) << 32 | u64::from(major) << 16 | u64::from(minor)
    }
}

/// By id, and then by version.
impl Ord for ObjectKey {
    fn cmp(&self, other: &ObjectKey) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &ObjectKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} version {}", self.id, self.version)
    }
}

impl ObjectSet {
    /// The model for an object at a version, as [`ObjectModels::object`] describes it.
    pub fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<&Arc<ObjectModel>> {
        const NEWEST: ObjectVersion = ObjectVersion {
            major: u16::MAX,
            minor: u16::MAX,
        };
        let requested = ObjectKey {
            id,
            version: version.unwrap_or(NEWEST),
        };
        let above = self.models.partition_point(|(key, _)| *key <= requested);
        let answers = |index: Option<usize>| {
            let (key, model) = self.models.get(index?)?;
            let is_same_major = version.is_none_or(|version| version.major == key.version.major);
            (key.id == id && is_same_major).then_some(model)
        };
        answers(above.checked_sub(1)).or_else(|| answers(Some(above)))
    }

    /// The model of exactly this version.
    pub fn exact(&self, id: u16, version: ObjectVersion) -> Option<&Arc<ObjectModel>> {
        let index = self.search(ObjectKey { id, version }).ok()?;
        self.models.get(index).map(|(_, model)| model)
    }

    /// All models, by id and then by version, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<ObjectModel>> {
        self.models.iter().map(|(_, model)| model)
    }

    /// How many models there are; two versions of an object are two.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// True when there is no model.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// Adds a model, in the place of one with the same id and version.
    pub(crate) fn put(&mut self, model: Arc<ObjectModel>) {
        let key = ObjectKey::of(&model);
        match self.search(key) {
            Ok(index) => {
                if let Some(slot) = self.models.get_mut(index) {
                    slot.1 = model;
                }
            }
            Err(index) => self.models.insert(index, (key, model)),
        }
    }

    fn search(&self, key: ObjectKey) -> Result<usize, usize> {
        self.models.binary_search_by_key(&key, |(key, _)| *key)
    }
}

impl ObjectModels for ObjectSet {
    fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<Arc<ObjectModel>> {
        ObjectSet::object(self, id, version).cloned()
    }

    fn all(&self) -> Vec<Arc<ObjectModel>> {
        self.iter().cloned().collect()
    }
}

/// Of two models with the same id and version the later one stays.
impl FromIterator<Arc<ObjectModel>> for ObjectSet {
    fn from_iter<I: IntoIterator<Item = Arc<ObjectModel>>>(models: I) -> ObjectSet {
        let mut models: Vec<_> = models
            .into_iter()
            .map(|model| (ObjectKey::of(&model), model))
            .collect();
        // The sort is stable: reversed first, the last of equal keys leads and survives.
        models.reverse();
        models.sort_by_key(|(key, _)| *key);
        models.dedup_by_key(|(key, _)| *key);
        ObjectSet { models }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: u16, version: &str, name: &str) -> Arc<ObjectModel> {
        Arc::new(ObjectModel {
            id,
            version: version.parse().unwrap(),
            name: name.into(),
            description: "".into(),
            multiple: false,
            mandatory: false,
            resources: Vec::new(),
        })
    }

    fn found(set: &ObjectSet, id: u16, version: Option<&str>) -> Option<String> {
        let version = version.map(|version| version.parse().unwrap());
        let model = set.object(id, version)?;
        assert_eq!(model.id, id);
        Some(model.version.to_string())
    }

    #[test]
    fn answers_with_the_exact_version_or_the_nearest_of_the_same_major() {
        let set: ObjectSet = [
            model(4, "1.3", ""),
            model(4, "1.1", ""),
            model(4, "3.1", ""),
            model(3, "1.0", ""),
            model(5, "1.0", ""),
        ]
        .into_iter()
        .collect();
        for (requested, expected) in [
            (None, Some("3.1")),
            (Some("1.1"), Some("1.1")),
            (Some("1.3"), Some("1.3")),
            (Some("1.2"), Some("1.1")),
            (Some("1.9"), Some("1.3")),
            (Some("1.0"), Some("1.1")),
            (Some("3.0"), Some("3.1")),
            (Some("2.0"), None),
            (Some("0.9"), None),
            (Some("4.0"), None),
        ] {
            let found = found(&set, 4, requested);
            assert_eq!(found.as_deref(), expected, "{requested:?}");
        }
        assert_eq!(found(&set, 6, None), None);
        assert_eq!(found(&set, 0, Some("1.0")), None);
        assert_eq!(found(&ObjectSet::default(), 3, None), None);
    }

    #[test]
    fn the_later_of_two_models_stays() {
        let mut set: ObjectSet = [model(3, "1.0", "a"), model(3, "1.0", "b")]
            .into_iter()
            .collect();
        assert_eq!((set.len(), &*set.iter().next().unwrap().name), (1, "b"));
        set.put(model(3, "1.0", "c"));
        set.put(model(2, "1.0", "d"));
        let names: Vec<_> = set.iter().map(|model| &*model.name).collect();
        assert_eq!(names, ["d", "c"]);
        assert!(set.exact(3, ObjectVersion::V1_0).is_some());
        assert!(set.exact(4, ObjectVersion::V1_0).is_none());
    }
}
