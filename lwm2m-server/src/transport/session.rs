//! SessionTable: peers that are more than an address.
//!
//! A connection gets an id that no other has had, so what was meant for one that has ended reaches
//! nobody else. All shards share the table: a shard may answer over a connection that another one
//! reads.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use slab::Slab;
use tokio::sync::mpsc;

use crate::Reason;

/// Names a session: its place in the table, and which of those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    slot: u32,
    generation: NonZeroU32,
}

impl SessionId {
    /// All bits of it.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.slot)
    }
}

/// The sessions of all shards.
#[derive(Debug)]
pub(crate) struct SessionTable {
    inner: Mutex<Inner>,
    max: usize,
    per_address_max: usize,
}

#[derive(Debug)]
struct Inner {
    slab: Slab<Session>,
    generation: NonZeroU32,
    /// How many there are of each address.
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Session {
    generation: NonZeroU32,
    address: IpAddr,
    /// What waits to be written; none when the session is to end.
    queue: Option<mpsc::Sender<Bytes>>,
    end: SessionEnd,
}

/// Why a session was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The peer does not read what it is sent.
    QueueFull,
    /// Whoever ended it has said why.
    Told,
}

/// Why there is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There are too many.
    All,
    /// There are too many from one address.
    Address,
}

impl SessionTable {
    /// A table of at most `max` sessions, and of `per_address_max` from one IP address.
    pub(crate) fn new(max: usize, per_address_max: usize) -> SessionTable {
        SessionTable {
            inner: Mutex::new(Inner {
                slab: Slab::new(),
                generation: NonZeroU32::MIN,
                by_address: HashMap::new(),
            }),
            max,
            per_address_max,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().slab.len()
    }

    /// Opens a session whose peer is written what comes through `queue`.
    pub(super) fn open(
        &self,
        address: IpAddr,
        queue: mpsc::Sender<Bytes>,
    ) -> Result<SessionId, NoRoom> {
        let mut inner = self.lock();
        if inner.slab.len() >= self.max {
            return Err(NoRoom::All);
        }
        let address = address.to_canonical();
        let count = inner.by_address.entry(address).or_default();
        if *count >= self.per_address_max {
            return Err(NoRoom::Address);
        }
        *count += 1;
        let generation = inner.generation;
        inner.generation = generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let slot = inner.slab.insert(Session {
            generation,
            address,
            queue: Some(queue),
            end: SessionEnd::Told,
        });
        Ok(SessionId {
            slot: slot as u32,
            generation,
        })
    }

    /// Lines a message up; ends the session when its peer has left too many unread.
    pub(crate) fn send(&self, id: SessionId, message: Bytes) {
        let mut inner = self.lock();
        let Some(session) = inner.find(id) else {
            return;
        };
        let sent = session.queue.as_ref().map(|queue| queue.try_send(message));
        if matches!(sent, Some(Err(mpsc::error::TrySendError::Full(_)))) {
            session.queue = None;
            session.end = SessionEnd::QueueFull;
        }
    }

    /// Ends a session; whoever serves it finds its queue closed.
    pub(crate) fn end(&self, id: SessionId) {
        if let Some(session) = self.lock().find(id) {
            session.queue = None;
        }
    }

    /// Takes a session out; answers why it was ended by us, if it was.
    pub(super) fn close(&self, id: SessionId) -> Option<SessionEnd> {
        let mut inner = self.lock();
        inner.find(id)?;
        let session = inner.slab.remove(id.slot as usize);
        if let Some(count) = inner.by_address.get_mut(&session.address) {
            *count -= 1;
            if *count == 0 {
                inner.by_address.remove(&session.address);
            }
        }
        session.queue.is_none().then_some(session.end)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn find(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.slab.get_mut(id.slot as usize)?;
        (session.generation == id.generation).then_some(session)
    }
}

impl NoRoom {
    /// The fact for the operator.
    pub(super) fn reason(self) -> Reason {
        match self {
            NoRoom::All => Reason::new("connections-exhausted", "too many connections")
                .hint("raise limits.connections_max, or add a server"),
            NoRoom::Address => Reason::new(
                "connections-of-address-exhausted",
                "too many connections from one address",
            )
            .hint("raise limits.connections_per_address_max when many devices share an address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max: usize) -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
        mpsc::channel(max)
    }

    #[test]
    fn one_more_than_each_limit_finds_no_room() {
        let sessions = SessionTable::new(3, 2);
        let open = |host: u8| sessions.open([10, 0, 0, host].into(), queue(1).0);
        let first = open(1).expect("room");
        open(1).expect("room");
        assert_eq!(open(1), Err(NoRoom::Address));
        // The same address in its mapped form.
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        assert_eq!(sessions.open(mapped, queue(1).0), Err(NoRoom::Address));
        open(2).expect("room");
        assert_eq!(open(3), Err(NoRoom::All));
        assert_eq!(sessions.close(first), None);
        open(1).expect("room");
        assert_eq!(sessions.len(), 3);
    }

    #[test]
    fn an_id_of_a_session_that_has_ended_names_no_other() {
        let sessions = SessionTable::new(9, 9);
        let first = sessions.open([10, 0, 0, 1].into(), queue(1).0);
        let first = first.expect("room");
        sessions.close(first);
        let (sender, mut receiver) = queue(1);
        let second = sessions.open([10, 0, 0, 1].into(), sender).expect("room");
        assert_eq!(first.slot, second.slot);
        assert_ne!(first, second);
        sessions.send(first, Bytes::from_static(b"late"));
        assert!(receiver.try_recv().is_err());
        assert_eq!(sessions.close(first), None);
        sessions.send(second, Bytes::from_static(b"now"));
        assert_eq!(receiver.try_recv().expect("a message")[..], b"now"[..]);
    }

    #[test]
    fn one_message_too_many_ends_a_session() {
        let sessions = SessionTable::new(9, 9);
        let (sender, mut receiver) = queue(2);
        let id = sessions.open([10, 0, 0, 1].into(), sender).expect("room");
        for _ in 0..3 {
            sessions.send(id, Bytes::from_static(b"x"));
        }
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_ok());
        assert!(receiver.is_closed());
        assert_eq!(sessions.close(id), Some(SessionEnd::QueueFull));
    }
}
