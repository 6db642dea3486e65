//! The object lists behind profile ids (Core 1.2.2 §6.2.1, `pid`).
//!
//! How a profile id is computed is not defined canonically, so it is an opaque key here:
//! configured by the operator, or learnt from a registration that brings the id together with a
//! list that has the objects every device has (1 and 3). What is known is not learnt anew.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use lwm2m_core::ObjectList;

/// Profile ids and their object lists; shared by all shards, locked only for a `pid`.
#[derive(Debug)]
pub(crate) struct Profiles {
    lists: Mutex<HashMap<Box<str>, Arc<ObjectList>>>,
    max: usize,
}

impl Profiles {
    /// Knows the given profiles, and learns up to `max` in all.
    pub(crate) fn new(known: Vec<(String, ObjectList)>, max: usize) -> Profiles {
        let lists = known
            .into_iter()
            .map(|(profile, list)| (profile.into(), Arc::new(list)))
            .collect();
        Profiles {
            lists: Mutex::new(lists),
            max,
        }
    }

    /// The list of a device that names profiles and brings `own`: the union of all.
    ///
    /// # Errors
    /// The first profile that is not known and cannot be learnt.
    pub(crate) fn resolve<'p>(
        &self,
        profiles: &[&'p str],
        own: Arc<ObjectList>,
    ) -> Result<Arc<ObjectList>, &'p str> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let [profile] = profiles
            && !lists.contains_key(*profile)
            && own.has_object(1)
            && own.has_object(3)
        {
            if lists.len() < self.max {
                lists.insert((*profile).into(), Arc::clone(&own));
            }
            return Ok(own);
        }
        let mut known = Vec::with_capacity(profiles.len());
        for profile in profiles {
            known.push(lists.get(*profile).cloned().ok_or(*profile)?);
        }
        drop(lists);
        Ok(match known.as_slice() {
            [only] if own.paths.is_empty() => Arc::clone(only),
            _ => Arc::new(union(&known, &own)),
        })
    }
}

/// All objects and instances; what the device says itself wins.
fn union(profiles: &[Arc<ObjectList>], own: &ObjectList) -> ObjectList {
    let mut union = own.clone();
    for profile in profiles {
        union.paths.extend_from_slice(&profile.paths);
        for (object, version) in &profile.versions {
            if union.version(*object).is_none() {
                union.versions.push((*object, *version));
                union.versions.sort_unstable_by_key(|(object, _)| *object);
            }
        }
        if union.alternate_path.is_empty() {
            union.alternate_path.clone_from(&profile.alternate_path);
        }
        if union.content_formats.is_empty() {
            union.content_formats.clone_from(&profile.content_formats);
        }
    }
    union.paths.sort_unstable();
    union.paths.dedup();
    union
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_core::Path;

    fn list(paths: &[Path]) -> Arc<ObjectList> {
        Arc::new(ObjectList {
            paths: paths.to_vec(),
            ..ObjectList::default()
        })
    }

    #[test]
    fn unites_what_is_configured_with_what_is_sent() {
        let configured = ObjectList {
            paths: vec![Path::instance(1, 0), Path::instance(3, 0)],
            ..ObjectList::default()
        };
        let profiles = Profiles::new(vec![("6:27354b9a".to_owned(), configured)], 1);
        let alone = profiles.resolve(&["6:27354b9a"], list(&[])).expect("known");
        assert_eq!(alone.paths, [Path::instance(1, 0), Path::instance(3, 0)]);
        let more = profiles
            .resolve(&["6:27354b9a"], list(&[Path::instance(4, 0)]))
            .expect("known");
        assert_eq!(more.paths.len(), 3);
        assert_eq!(profiles.resolve(&["6:0"], list(&[])), Err("6:0"));
    }

    #[test]
    fn learns_from_full_lists_up_to_its_limit() {
        let profiles = Profiles::new(Vec::new(), 1);
        let full = list(&[Path::instance(1, 0), Path::instance(3, 0)]);
        let part = list(&[Path::instance(4, 0)]);
        assert_eq!(profiles.resolve(&["6:1"], part), Err("6:1"));
        assert!(profiles.resolve(&["6:1"], Arc::clone(&full)).is_ok());
        let learnt = profiles.resolve(&["6:1"], list(&[])).expect("learnt");
        assert!(Arc::ptr_eq(&learnt, &full));
        // One more than the limit: served, not learnt.
        assert!(profiles.resolve(&["6:2"], full).is_ok());
        assert_eq!(profiles.resolve(&["6:2"], list(&[])), Err("6:2"));
    }
}
