//! Where each endpoint lives: the only table that all shards share.
//!
//! Locked in parts, and only when a device registers or leaves and when an application looks one
//! up by name; never for an Update or a notification. Claims of one name are ordered here, which
//! decides every race between shards: each claim learns whom it replaces, and a registration that
//! leaves removes the name only while it is still its own.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::EndpointName;
use crate::registration::Location;

/// The endpoint names of all shards.
#[derive(Debug)]
pub(crate) struct Directory {
    parts: Vec<Mutex<HashTable<(EndpointName, Location)>>>,
    // Names come from peers: a keyed hash.
    hasher: RandomState,
    len: AtomicUsize,
    max: usize,
}

/// There is no room for another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Directory {
    const PARTS: usize = 256;

    /// A directory of at most `max` endpoints.
    pub(crate) fn new(max: usize) -> Directory {
        Directory {
            parts: (0..Directory::PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            max,
        }
    }

    /// The number of endpoints.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Where an endpoint lives.
    pub(crate) fn find(&self, endpoint: &EndpointName) -> Option<Location> {
        let hash = self.hasher.hash_one(endpoint);
        self.part(hash)
            .find(hash, |(name, _)| name == endpoint)
            .map(|(_, location)| *location)
    }

    /// Gives a name to a registration; answers whom it replaces.
    ///
    /// # Errors
    /// The name is new and the directory full.
    pub(crate) fn claim(
        &self,
        endpoint: &EndpointName,
        location: Location,
    ) -> Result<Option<Location>, Full> {
        let hash = self.hasher.hash_one(endpoint);
        let mut part = self.part(hash);
        if let Some(entry) = part.find_mut(hash, |(name, _)| name == endpoint) {
            // The new registration's copy of the name replaces the old one, which can go.
            entry.0 = endpoint.clone();
            return Ok(Some(std::mem::replace(&mut entry.1, location)));
        }
        if self.len.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        part.insert_unique(hash, (endpoint.clone(), location), |(name, _)| {
            self.hasher.hash_one(name)
        });
        Ok(None)
    }

    /// Takes a name away from a registration; false when another one has it by now.
    pub(crate) fn release(&self, endpoint: &EndpointName, location: Location) -> bool {
        let hash = self.hasher.hash_one(endpoint);
        let mut part = self.part(hash);
        let own = |entry: &(EndpointName, Location)| entry.0 == *endpoint && entry.1 == location;
        match part.find_entry(hash, own) {
            Ok(entry) => {
                entry.remove();
                self.len.fetch_sub(1, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// The first `limit` endpoints in the order of their names, behind `after`, that hold
    /// `contains`. Looks at every name, part by part, and yields to the runtime in between.
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
        contains: Option<&str>,
        limit: usize,
    ) -> Vec<(EndpointName, Location)> {
        let mut first: BinaryHeap<Named> = BinaryHeap::new();
        for part in &self.parts {
            {
                let part = part.lock().unwrap_or_else(PoisonError::into_inner);
                for (name, location) in part.iter() {
                    let text = name.as_str();
                    let wanted = after.is_none_or(|after| text > after)
                        && contains.is_none_or(|contains| text.contains(contains));
                    if wanted && (first.len() < limit || first.peek().is_some_and(|n| *name < n.0))
                    {
                        first.push(Named(name.clone(), *location));
                    }
                    if first.len() > limit {
                        first.pop();
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        let named = first.into_sorted_vec();
        named
            .into_iter()
            .map(|Named(name, at)| (name, at))
            .collect()
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, HashTable<(EndpointName, Location)>> {
        self.parts[(hash >> 40) as usize % Directory::PARTS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that orders by its name.
struct Named(EndpointName, Location);

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.0 == other.0
    }
}

impl Eq for Named {}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Named) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Named) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EndpointName {
        EndpointName::new(text).expect("a name")
    }

    fn at(shard: u16, slot: u32) -> Location {
        Location {
            shard,
            generation: 0,
            slot,
        }
    }

    #[test]
    fn the_last_claim_wins_and_the_loser_cannot_release() {
        let directory = Directory::new(10);
        assert_eq!(directory.claim(&name("a"), at(0, 1)), Ok(None));
        assert_eq!(directory.claim(&name("a"), at(1, 5)), Ok(Some(at(0, 1))));
        assert_eq!(directory.find(&name("a")), Some(at(1, 5)));
        assert!(!directory.release(&name("a"), at(0, 1)));
        assert!(directory.release(&name("a"), at(1, 5)));
        assert_eq!((directory.find(&name("a")), directory.len()), (None, 0));
    }

    #[test]
    fn one_more_than_the_limit_is_refused_and_a_replacement_is_not() {
        let directory = Directory::new(2);
        assert_eq!(directory.claim(&name("a"), at(0, 1)), Ok(None));
        assert_eq!(directory.claim(&name("b"), at(0, 2)), Ok(None));
        assert_eq!(directory.claim(&name("c"), at(0, 3)), Err(Full));
        assert_eq!(directory.claim(&name("b"), at(0, 4)), Ok(Some(at(0, 2))));
        assert_eq!(directory.len(), 2);
    }

    #[test]
    fn racing_claims_leave_one_owner_and_replace_every_other_once() {
        let directory = Directory::new(10);
        let replaced: Vec<Option<Location>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|shard| {
                    let directory = &directory;
                    scope.spawn(move || {
                        (0..100)
                            .map(|slot| directory.claim(&name("a"), at(shard, slot)))
                            .map(|claim| claim.expect("room"))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let owner = directory.find(&name("a")).expect("somebody");
        let mut seen: Vec<_> = replaced.iter().flatten().copied().collect();
        assert_eq!(seen.len(), 399);
        assert!(!seen.contains(&owner));
        seen.sort_by_key(|location| (location.shard, location.slot));
        seen.dedup();
        assert_eq!(seen.len(), 399);
    }

    #[tokio::test]
    async fn pages_go_in_the_order_of_names() {
        let directory = Directory::new(1000);
        for number in (0..300).rev() {
            let claim = directory.claim(&name(&format!("d{number:03}")), at(0, number));
            assert_eq!(claim, Ok(None));
        }
        let names = |page: Vec<(EndpointName, Location)>| -> Vec<String> {
            page.iter().map(|(name, _)| name.to_string()).collect()
        };
        let page = names(directory.page(None, None, 3).await);
        assert_eq!(page, ["d000", "d001", "d002"]);
        let page = names(directory.page(Some("d297"), None, 3).await);
        assert_eq!(page, ["d298", "d299"]);
        let page = names(directory.page(Some("d1"), Some("99"), 10).await);
        assert_eq!(page, ["d199", "d299"]);
    }
}
