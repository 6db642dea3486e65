//! The sessions of all shards: how many there may be, and which one a device has.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

use crate::EndpointName;

/// Names a session for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BootstrapId {
    /// The shard that has it.
    pub(crate) shard: u16,
    /// Which of its sessions.
    pub(crate) number: u64,
}

/// Which endpoint has which session. Locked for as long as one session comes or goes.
#[derive(Debug)]
pub(crate) struct BootstrapSessions {
    by_endpoint: Mutex<HashMap<EndpointName, BootstrapId>>,
    max: usize,
}

/// As many sessions as may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl BootstrapSessions {
    /// Room for `max` sessions.
    pub(crate) fn new(max: usize) -> BootstrapSessions {
        BootstrapSessions {
            by_endpoint: Mutex::default(),
            max,
        }
    }

    /// Makes a session that of its endpoint; gives the one that it takes the place of.
    pub(crate) fn claim(
        &self,
        endpoint: &EndpointName,
        session: BootstrapId,
    ) -> Result<Option<BootstrapId>, Full> {
        let mut sessions = self.lock();
        if sessions.len() >= self.max && !sessions.contains_key(endpoint) {
            return Err(Full);
        }
        Ok(sessions.insert(endpoint.clone(), session))
    }

    /// Gives the endpoint back, unless another session has it by now.
    pub(crate) fn release(&self, endpoint: &EndpointName, session: BootstrapId) {
        let mut sessions = self.lock();
        if sessions.get(endpoint) == Some(&session) {
            sessions.remove(endpoint);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointName, BootstrapId>> {
        // What panicked while it held the lock was no change in half.
        self.by_endpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_limit_is_refused_and_a_device_has_one() {
        let sessions = BootstrapSessions::new(2);
        let name = |text| EndpointName::new(text).expect("a name");
        let id = |number| BootstrapId { shard: 0, number };
        assert_eq!(sessions.claim(&name("a"), id(1)), Ok(None));
        assert_eq!(sessions.claim(&name("b"), id(2)), Ok(None));
        assert_eq!(sessions.claim(&name("c"), id(3)), Err(Full));
        assert_eq!(sessions.claim(&name("a"), id(4)), Ok(Some(id(1))));
        // The older one comes too late to give the name back.
        sessions.release(&name("a"), id(1));
        assert_eq!(sessions.len(), 2);
        sessions.release(&name("a"), id(4));
        assert_eq!(sessions.claim(&name("c"), id(3)), Ok(None));
    }
}
