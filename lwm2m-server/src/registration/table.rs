//! The registrations of one shard: a slab with generations, and an index by peer.
//!
//! The endpoint name is found through the [`Directory`](crate::directory::Directory), the
//! registration id says its slot itself, so there is no third index.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hashbrown::{DefaultHashBuilder, HashTable};
use lwm2m_core::{ObjectList, Version};

use super::{Binding, EndpointName, Location, Registration, RegistrationId};
use crate::identity::{Authenticated, PeerIdentity};
use crate::shard::downlink::Downlink;
use crate::shard::observations::ObservationChain;
use crate::transport::Peer;

/// The registrations of one shard.
#[derive(Debug)]
pub(crate) struct Table {
    shard: u16,
    // In chunks, and the index in parts: nothing is copied as a whole when the fleet grows.
    chunks: Vec<Box<[Slot]>>,
    free: Vec<u32>,
    by_peer: Vec<HashTable<u32>>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u16,
    entry: Option<Entry>,
}

/// One registration; kept small, there may be millions.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) endpoint: EndpointName,
    /// The part of the registration id that cannot be guessed.
    pub(crate) secret: u64,
    pub(crate) peer: Peer,
    /// Whose registration it is; none without security.
    pub(crate) authenticated: Option<Arc<Authenticated>>,
    pub(crate) objects: Arc<ObjectList>,
    /// What few devices have.
    pub(crate) details: Option<Box<Details>>,
    /// The requests to the device, none while there are none.
    pub(crate) downlink: Option<Box<Downlink>>,
    /// The observations that stand.
    pub(crate) observations: ObservationChain,
    /// Unix time in milliseconds.
    pub(crate) registered_at: u64,
    /// Unix time in milliseconds.
    pub(crate) updated_at: u64,
    /// The last Register or Update, in milliseconds of the shard's clock.
    pub(crate) last_seen: u64,
    /// Until when a queue-mode device hears, in milliseconds of the shard's clock.
    pub(crate) awake_until: u64,
    pub(crate) lifetime_s: u32,
    pub(crate) version: Version,
    pub(crate) binding: Binding,
    /// True when the device has been reported as asleep.
    pub(crate) asleep: bool,
}

/// What few devices have.
#[derive(Debug, Default, Clone)]
pub(crate) struct Details {
    pub(crate) sms: Option<Box<str>>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Table {
    const CHUNK: usize = 1024;
    const PARTS: usize = 64;

    pub(crate) fn new(shard: u16) -> Table {
        Table {
            shard,
            chunks: Vec::new(),
            free: Vec::new(),
            by_peer: (0..Table::PARTS).map(|_| HashTable::new()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Takes a registration; from now on it is the one of its peer.
    pub(crate) fn insert(&mut self, entry: Entry) -> Location {
        if self.free.is_empty() {
            self.grow();
        }
        let index = self
            .free
            .pop()
            .expect("invariant: the table has just grown");
        let peer = entry.peer;
        let slot = self.slot_mut(index).expect("invariant: free slots exist");
        slot.generation = slot.generation.wrapping_add(1);
        slot.entry = Some(entry);
        let generation = slot.generation;
        self.index(peer, index);
        Location {
            shard: self.shard,
            generation,
            slot: index,
        }
    }

    /// Takes a registration out.
    pub(crate) fn remove(&mut self, location: Location) -> Option<Entry> {
        self.get(location)?;
        let entry = self.slot_mut(location.slot)?.entry.take()?;
        self.unindex(entry.peer, location.slot);
        self.free.push(location.slot);
        Some(entry)
    }

    /// The registration at a location, when it is still the one that was meant.
    pub(crate) fn get(&self, location: Location) -> Option<&Entry> {
        let slot = self.slot(location.slot)?;
        (location.shard == self.shard && slot.generation == location.generation)
            .then_some(slot.entry.as_ref())
            .flatten()
    }

    /// The registration at a location, when it is still the one that was meant.
    pub(crate) fn get_mut(&mut self, location: Location) -> Option<&mut Entry> {
        let shard = self.shard;
        let slot = self.slot_mut(location.slot)?;
        (location.shard == shard && slot.generation == location.generation)
            .then_some(slot.entry.as_mut())
            .flatten()
    }

    /// The registration in a slot, whoever it is.
    pub(crate) fn at(&self, slot: u32) -> Option<Location> {
        let tenant = self.slot(slot)?;
        tenant.entry.as_ref()?;
        Some(Location {
            shard: self.shard,
            generation: tenant.generation,
            slot,
        })
    }

    /// Shows every registration.
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(Location, &mut Entry)) {
        let shard = self.shard;
        let slots = self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut());
        for (index, slot) in slots.enumerate() {
            if let Some(entry) = &mut slot.entry {
                let location = Location {
                    shard,
                    generation: slot.generation,
                    slot: index as u32,
                };
                each(location, entry);
            }
        }
    }

    /// The registration with this id, secret included.
    pub(crate) fn with_id(&self, id: RegistrationId) -> Option<Location> {
        let location = id.location();
        let entry = self.get(location)?;
        (entry.secret == id.secret()).then_some(location)
    }

    /// The registration that last came from a peer.
    pub(crate) fn of_peer(&self, peer: &Peer) -> Option<Location> {
        let hash = self.hasher.hash_one(peer);
        let slot = *self.by_peer[Table::part(hash)]
            .find(hash, |slot| self.peer_in(*slot) == Some(*peer))?;
        self.at(slot)
    }

    /// Gives a registration a new peer.
    pub(crate) fn set_peer(&mut self, location: Location, peer: Peer) {
        let Some(entry) = self.get_mut(location) else {
            return;
        };
        let before = std::mem::replace(&mut entry.peer, peer);
        // The index compares with what the slots hold, so the old peer is looked for by its slot.
        self.unindex(before, location.slot);
        self.index(peer, location.slot);
    }

    fn grow(&mut self) {
        let first = (self.chunks.len() * Table::CHUNK) as u32;
        let chunk = (0..Table::CHUNK).map(|_| Slot::default()).collect();
        self.chunks.push(chunk);
        self.free.extend((first..first + Table::CHUNK as u32).rev());
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        let index = index as usize;
        self.chunks
            .get(index / Table::CHUNK)?
            .get(index % Table::CHUNK)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        let index = index as usize;
        self.chunks
            .get_mut(index / Table::CHUNK)?
            .get_mut(index % Table::CHUNK)
    }

    fn peer_in(&self, slot: u32) -> Option<Peer> {
        Some(self.slot(slot)?.entry.as_ref()?.peer)
    }

    fn part(hash: u64) -> usize {
        // hashbrown uses the lowest bits for the bucket and the highest for its tag.
        (hash >> 40) as usize % Table::PARTS
    }

    fn index(&mut self, peer: Peer, slot: u32) {
        let hash = self.hasher.hash_one(peer);
        let mut part = std::mem::take(&mut self.by_peer[Table::part(hash)]);
        match part.find_mut(hash, |other| self.peer_in(*other) == Some(peer)) {
            Some(other) => *other = slot,
            None => {
                part.insert_unique(hash, slot, |other| {
                    self.peer_in(*other)
                        .map_or(0, |peer| self.hasher.hash_one(peer))
                });
            }
        }
        self.by_peer[Table::part(hash)] = part;
    }

    fn unindex(&mut self, peer: Peer, slot: u32) {
        let hash = self.hasher.hash_one(peer);
        let part = &mut self.by_peer[Table::part(hash)];
        if let Ok(found) = part.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
    }
}

impl Entry {
    /// The registration as applications see it.
    pub(crate) fn snapshot(&self, location: Location) -> Registration {
        let details = self.details.as_deref();
        Registration {
            endpoint: self.endpoint.clone(),
            id: RegistrationId::new(location, self.secret),
            version: self.version,
            lifetime_s: self.lifetime_s,
            binding: self.binding,
            sms: details.and_then(|details| details.sms.clone()),
            objects: Arc::clone(&self.objects),
            annotations: details
                .map(|details| details.annotations.clone())
                .unwrap_or_default(),
            peer: self.peer.address(),
            identity: match &self.authenticated {
                Some(authenticated) => authenticated.identity.clone(),
                None => PeerIdentity::Anonymous,
            },
            registered_at: from_unix_ms(self.registered_at),
            updated_at: from_unix_ms(self.updated_at),
            awake: !self.asleep,
        }
    }
}

/// A time as the table keeps it.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

fn from_unix_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, port: u16) -> Entry {
        Entry {
            endpoint: EndpointName::new(name).expect("a name"),
            secret: u64::from(port),
            peer: peer(port),
            authenticated: None,
            objects: Arc::default(),
            details: None,
            downlink: None,
            observations: ObservationChain::default(),
            registered_at: 0,
            updated_at: 0,
            last_seen: 0,
            awake_until: 0,
            lifetime_s: 300,
            version: Version::V1_1,
            binding: Binding::UDP,
            asleep: false,
        }
    }

    fn peer(port: u16) -> Peer {
        Peer::new(0, ([127, 0, 0, 1], port).into(), 0)
    }

    #[test]
    fn finds_by_location_id_and_peer() {
        let mut table = Table::new(7);
        let places: Vec<Location> = (1..=3000)
            .map(|port| table.insert(entry(&format!("d{port}"), port)))
            .collect();
        for (port, place) in (1..=3000).zip(&places) {
            assert_eq!(table.of_peer(&peer(port)), Some(*place));
            let id = RegistrationId::new(*place, u64::from(port));
            assert_eq!(table.with_id(id), Some(*place));
            let guessed = RegistrationId::new(*place, u64::from(port) + 1);
            assert_eq!(table.with_id(guessed), None);
        }
        let elsewhere = Location {
            shard: 8,
            ..places[0]
        };
        assert!(table.get(elsewhere).is_none());
    }

    #[test]
    fn a_slot_that_is_taken_anew_is_another_location() {
        let mut table = Table::new(0);
        let first = table.insert(entry("a", 1));
        assert!(table.remove(first).is_some());
        assert!(table.remove(first).is_none());
        let second = table.insert(entry("b", 2));
        assert_eq!(first.slot, second.slot);
        assert!(table.get(first).is_none() && table.get(second).is_some());
        assert_eq!(table.of_peer(&peer(1)), None);
    }

    #[test]
    fn a_peer_moves_and_the_last_registration_of_a_peer_wins() {
        let mut table = Table::new(0);
        let first = table.insert(entry("a", 1));
        table.set_peer(first, peer(9));
        assert_eq!(table.of_peer(&peer(1)), None);
        assert_eq!(table.of_peer(&peer(9)), Some(first));
        let second = table.insert(entry("b", 9));
        assert_eq!(table.of_peer(&peer(9)), Some(second));
        table.remove(first);
        assert_eq!(table.of_peer(&peer(9)), Some(second));
        table.remove(second);
        assert_eq!(table.of_peer(&peer(9)), None);
    }

    #[test]
    fn a_registration_is_small() {
        assert!(size_of::<Slot>() <= 160, "{}", size_of::<Slot>());
    }
}
