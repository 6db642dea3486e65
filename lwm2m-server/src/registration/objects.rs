//! Object lists that many devices share.
//!
//! A fleet of one model sends the same list, byte by byte. The list is kept once, under a keyed
//! hash of its bytes, so that a payload that is known is neither parsed nor copied.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashMap;
use lwm2m_core::{ObjectList, ObjectListError};

/// The object lists of the registrations of one shard.
#[derive(Debug)]
pub(crate) struct ObjectLists {
    // The key is unknown to peers (SipHash with a random key), so that nobody can make one list
    // pass for another; the length goes into the key as well.
    lists: HashMap<(u64, u32), Arc<ObjectList>>,
    hasher: RandomState,
    sweep_at: usize,
}

impl ObjectLists {
    const SWEEP_MIN: usize = 1024;

    pub(crate) fn new() -> ObjectLists {
        ObjectLists {
            lists: HashMap::new(),
            hasher: RandomState::new(),
            sweep_at: ObjectLists::SWEEP_MIN,
        }
    }

    /// The list that a payload holds; the same one for the same bytes.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Result<Arc<ObjectList>, ObjectListError> {
        let key = (self.hasher.hash_one(payload), payload.len() as u32);
        if let Some(list) = self.lists.get(&key) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(ObjectList::parse(payload)?);
        if self.lists.len() >= self.sweep_at {
            self.sweep();
        }
        self.lists.insert(key, Arc::clone(&list));
        Ok(list)
    }

    /// Drops the lists that no registration has. Runs when their number has doubled, so that its
    /// cost is spread over as many insertions.
    fn sweep(&mut self) {
        self.lists.retain(|_, list| Arc::strong_count(list) > 1);
        self.sweep_at = (2 * self.lists.len()).max(ObjectLists::SWEEP_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_payloads_share_a_list() {
        let mut lists = ObjectLists::new();
        let first = lists.read(b"</1/0>,</3/0>").expect("a list");
        let second = lists.read(b"</1/0>,</3/0>").expect("a list");
        let other = lists.read(b"</1/0>,</3/0>,</4/0>").expect("a list");
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn lists_without_a_registration_are_dropped() {
        let mut lists = ObjectLists::new();
        let kept = lists.read(b"</3/0>").expect("a list");
        for instance in 0..5 * ObjectLists::SWEEP_MIN {
            let payload = format!("</5/{instance}>");
            lists.read(payload.as_bytes()).expect("a list");
        }
        assert!(lists.lists.len() <= ObjectLists::SWEEP_MIN);
        let again = lists.read(b"</3/0>").expect("a list");
        assert!(Arc::ptr_eq(&kept, &again));
    }
}
