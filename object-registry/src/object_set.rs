//! A set of object models that does not change.

use std::fmt;
use std::num::NonZero;
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
    starts: Starts,
}

/// The id and the version of an object definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} version {}", self.id, self.version)
    }
}

impl ObjectSet {
    /// The model for an object at a version, as [`ObjectModels::object`] describes it.
    pub fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<&Arc<ObjectModel>> {
        let versions = self.models.get(self.starts.of(id)?..)?.iter();
        let mut answer = None;
        // Ascending: each one that may answer does so better than those before it.
        for (key, model) in versions.take_while(|(key, _)| key.id == id) {
            let is_better = version.is_none_or(|version| {
                let is_same_major = key.version.major == version.major;
                is_same_major && (answer.is_none() || key.version <= version)
            });
            if is_better {
                answer = Some(model);
            }
        }
        answer
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
        let starts = Starts::of_sorted(&models);
        ObjectSet { models, starts }
    }
}

/// Where the versions of each object begin: found in two steps, for each message looks models up.
///
/// One page for each 256 ids of which some are in use; ids come in clusters.
#[derive(Debug, Clone, Default)]
struct Starts {
    /// By the upper byte of an id; empty when no object is known.
    page_of: Vec<Option<u8>>,
    pages: Vec<[Option<NonZero<u32>>; 256]>,
}

impl Starts {
    fn of_sorted(models: &[(ObjectKey, Arc<ObjectModel>)]) -> Starts {
        let mut starts = Starts {
            page_of: vec![None; 256],
            pages: Vec::new(),
        };
        // Backwards, so that the first version of an object has the last word.
        for (index, (key, _)) in models.iter().enumerate().rev() {
            let [upper, lower] = key.id.to_be_bytes().map(usize::from);
            let next = starts.pages.len();
            let Some(page) = starts.page_of.get_mut(upper) else {
                continue;
            };
            let page = *page.get_or_insert_with(|| {
                starts.pages.push([None; 256]);
                u8::try_from(next).unwrap_or(u8::MAX)
            });
            let page = starts.pages.get_mut(usize::from(page));
            if let Some(start) = page.and_then(|page| page.get_mut(lower)) {
                // Counted from 1, which takes no more room than a number without `None`.
                *start = u32::try_from(index + 1).ok().and_then(NonZero::new);
            }
        }
        starts
    }

    /// The index of the first version of an object.
    fn of(&self, id: u16) -> Option<usize> {
        let [upper, lower] = id.to_be_bytes().map(usize::from);
        let page = self.page_of.get(upper).copied().flatten()?;
        let start = self.pages.get(usize::from(page))?.get(lower)?;
        usize::try_from(start.as_ref()?.get() - 1).ok()
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
        let set: ObjectSet = [model(3, "1.0", "a"), model(3, "1.0", "b")]
            .into_iter()
            .collect();
        assert_eq!((set.len(), &*set.iter().next().unwrap().name), (1, "b"));
        assert!(set.exact(3, ObjectVersion::V1_0).is_some());
        assert!(set.exact(4, ObjectVersion::V1_0).is_none());
    }
    #[test]
    fn every_id_is_found_when_all_are_in_use() {
        let ids = 0..=u16::MAX;
        let set: ObjectSet = ids.clone().map(|id| model(id, "1.0", "")).collect();
        for id in ids {
            assert_eq!(found(&set, id, None).as_deref(), Some("1.0"), "{id}");
        }
        let ends: ObjectSet = [0, 255, 256, 65535]
            .map(|id| model(id, "2.1", ""))
            .into_iter()
            .collect();
        for id in [1, 254, 257, 65279, 65280, 65534] {
            assert_eq!(found(&ends, id, None), None, "{id}");
        }
        for id in [0, 255, 256, 65535] {
            assert_eq!(found(&ends, id, Some("2.0")).as_deref(), Some("2.1"));
        }
    }
}
