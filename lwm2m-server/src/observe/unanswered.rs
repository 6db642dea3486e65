//! Devices that have answered no composite, for their next registrations.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use crate::hooks::Grouping;
use crate::{EndpointName, Registration};

/// The devices that are known, by their names.
#[derive(Debug)]
pub(super) struct Unanswered {
    max: usize,
    /// How long one is known.
    time: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    devices: HashMap<EndpointName, Entry>,
    /// The names by their age, the oldest first.
    ages: BTreeMap<u64, EndpointName>,
    /// The age of the next one.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    since: Instant,
    age: u64,
}

/// What a device was when it did not answer, and how it was to be observed: with another one it is
/// asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u64);

impl Kind {
    /// Of a device that is to be observed in this way.
    pub(super) fn of(registration: &Registration, grouping: &Grouping) -> Kind {
        let mut hasher = DefaultHasher::new();
        registration.version.hash(&mut hasher);
        registration.objects.paths.hash(&mut hasher);
        for (object, version) in &registration.objects.versions {
            (object, version.to_string()).hash(&mut hasher);
        }
        std::mem::discriminant(grouping).hash(&mut hasher);
        if let Grouping::Custom(groups) = grouping {
            groups.hash(&mut hasher);
        }
        Kind(hasher.finish())
    }
}

impl Unanswered {
    pub(super) fn new(max: usize, time: Duration) -> Unanswered {
        Unanswered {
            max,
            time,
            known: Mutex::default(),
        }
    }

    /// A device has answered no composite. One more than the limit pushes out the oldest.
    pub(super) fn remember(&self, endpoint: &EndpointName, kind: Kind, now: Instant) {
        let mut known = self.known();
        known.forget(endpoint);
        while known.devices.len() >= self.max {
            let Some((_, oldest)) = known.ages.pop_first() else {
                return;
            };
            known.devices.remove(&oldest);
        }
        let (age, since) = (known.next, now);
        known.next += 1;
        known.ages.insert(age, endpoint.clone());
        let entry = Entry { kind, since, age };
        known.devices.insert(endpoint.clone(), entry);
    }

    /// True for a device that answers no composite; one that has become another kind, or is known for
    /// too long, is forgotten.
    pub(super) fn recalls(&self, endpoint: &EndpointName, kind: Kind, now: Instant) -> bool {
        let mut known = self.known();
        let Some(entry) = known.devices.get(endpoint) else {
            return false;
        };
        let known_for = now.saturating_duration_since(entry.since);
        let holds = entry.kind == kind && known_for < self.time;
        if !holds {
            known.forget(endpoint);
        }
        holds
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.known().devices.len()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, endpoint: &EndpointName) {
        if let Some(entry) = self.devices.remove(endpoint) {
            self.ages.remove(&entry.age);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lwm2m_core::{ObjectList, Version};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn name(text: &str) -> EndpointName {
        EndpointName::new(text).expect("a name")
    }

    fn registration(links: &str) -> Registration {
        let mut registration = Registration::new(name("a"), ([127, 0, 0, 1], 1).into());
        let objects = ObjectList::parse(links.as_bytes()).expect("links");
        registration.objects = Arc::new(objects);
        registration
    }

    #[test]
    fn one_device_more_than_the_limit_pushes_out_the_oldest() {
        let (unanswered, now) = (Unanswered::new(2, DAY), Instant::now());
        let kind = Kind::of(&registration("</3/0>"), &Grouping::CompositeAll);
        for endpoint in ["a", "b", "a", "c"] {
            unanswered.remember(&name(endpoint), kind, now);
        }
        assert_eq!(unanswered.len(), 2);
        for (endpoint, holds) in [("a", true), ("b", false), ("c", true)] {
            assert_eq!(
                unanswered.recalls(&name(endpoint), kind, now),
                holds,
                "{endpoint}"
            );
        }
        assert_eq!(unanswered.known().ages.len(), 2);
        let none = Unanswered::new(0, DAY);
        none.remember(&name("a"), kind, now);
        assert_eq!(none.len(), 0);
    }

    #[test]
    fn a_device_is_known_for_its_time() {
        let (unanswered, now) = (Unanswered::new(2, DAY), Instant::now());
        let kind = Kind::of(&registration("</3/0>"), &Grouping::CompositeAll);
        unanswered.remember(&name("a"), kind, now);
        let last = now + DAY - Duration::from_millis(1);
        assert!(unanswered.recalls(&name("a"), kind, last));
        assert!(!unanswered.recalls(&name("a"), kind, now + DAY));
        assert_eq!(unanswered.len(), 0);
    }

    #[test]
    fn another_kind_of_device_or_strategy_is_not_recalled() {
        let known = registration("</3/0>;ver=1.1,</3303/0>");
        let kind = Kind::of(&known, &Grouping::CompositeAll);
        let mut newer = known.clone();
        newer.version = Version::V1_2;
        for (other, grouping) in [
            (known.clone(), Grouping::CompositeByObject),
            (known.clone(), Grouping::Single),
            (newer, Grouping::CompositeAll),
            (registration("</3/0>;ver=1.1"), Grouping::CompositeAll),
            (
                registration("</3/0>;ver=1.2,</3303/0>"),
                Grouping::CompositeAll,
            ),
        ] {
            let now = Instant::now();
            let unanswered = Unanswered::new(2, DAY);
            unanswered.remember(&name("a"), kind, now);
            assert!(unanswered.recalls(&name("a"), kind, now));
            let other = Kind::of(&other, &grouping);
            assert!(!unanswered.recalls(&name("a"), other, now));
            assert!(
                !unanswered.recalls(&name("a"), kind, now),
                "it is forgotten"
            );
        }
    }
}
