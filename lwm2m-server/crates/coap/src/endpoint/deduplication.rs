//! Messages remembered to tell duplicates (RFC 7252 §4.5), with the answers that they got.
//!
//! A ring in order of arrival with one index over it. The oldest goes when the limit is reached.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::timers::Millis;

/// What a duplicate of a message gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet: the application has the request, no acknowledgement is sent.
    Pending,
    /// An empty ACK.
    Acknowledged,
    /// The same datagram again.
    Encoded(Bytes),
    /// Silence: it was non-confirmable.
    Silence,
}

#[derive(Debug)]
struct Remembered<P> {
    peer: P,
    message_id: u16,
    /// False when a newer message took the id over.
    current: bool,
    content: u32,
    expires_s: u32,
    answer: Answer,
}

/// Remembered messages of all peers.
#[derive(Debug)]
pub(super) struct Deduplication<P> {
    ring: VecDeque<Remembered<P>>,
    /// The sequence number of the ring's first entry; numbers wrap.
    base: u32,
    table: HashTable<u32>,
    /// Requests without acknowledgement, in order of their deadlines.
    pending: VecDeque<(Millis, u32)>,
    hasher: DefaultHashBuilder,
    max: usize,
}

impl<P: Copy + Eq + Hash> Deduplication<P> {
    pub(super) fn new(max: usize) -> Deduplication<P> {
        Deduplication {
            ring: VecDeque::new(),
            base: 0,
            table: HashTable::new(),
            pending: VecDeque::new(),
            hasher: DefaultHashBuilder::default(),
            max: max.max(1),
        }
    }

    /// A hash over what makes a message the same: code, token, options and payload.
    pub(super) fn content(&self, datagram: &[u8]) -> u32 {
        let [first, code, _, _, rest @ ..] = datagram else {
            return 0;
        };
        self.hasher.hash_one((first & 0xf, code, rest)) as u32
    }

    /// The answer to a message that is remembered with the same content.
    pub(super) fn find(
        &mut self,
        now_s: u32,
        peer: P,
        message_id: u16,
        content: u32,
    ) -> Option<&mut Answer> {
        let sequence = self.index(peer, message_id)?;
        let entry = self.entry_mut(sequence)?;
        (entry.content == content && now_s < entry.expires_s).then_some(&mut entry.answer)
    }

    /// Remembers a message, in place of another one of the same peer and id.
    ///
    /// An answer that is pending becomes due at `acknowledge_at`.
    pub(super) fn insert(
        &mut self,
        peer: P,
        message_id: u16,
        content: u32,
        expires_s: u32,
        answer: Answer,
        acknowledge_at: Millis,
    ) {
        if let Some(old) = self.index(peer, message_id) {
            self.unlink(old);
        }
        while self.ring.len() >= self.max {
            self.pop();
        }
        let sequence = self.base.wrapping_add(self.ring.len() as u32);
        if answer == Answer::Pending {
            self.pending.push_back((acknowledge_at, sequence));
        }
        self.ring.push_back(Remembered {
            peer,
            message_id,
            current: true,
            content,
            expires_s,
            answer,
        });
        let hash = self.hasher.hash_one((peer, message_id));
        let (ring, base, hasher) = (&self.ring, self.base, &self.hasher);
        self.table.insert_unique(hash, sequence, |sequence| {
            let entry = &ring[sequence.wrapping_sub(base) as usize];
            hasher.hash_one((entry.peer, entry.message_id))
        });
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now_s: u32) {
        while let Some(first) = self.ring.front()
            && (!first.current || first.expires_s <= now_s)
        {
            self.pop();
        }
        self.forget_answered();
    }

    /// When [`Deduplication::expire`] has something to do next, in seconds.
    pub(super) fn next_expiry_s(&self) -> Option<u32> {
        self.ring.front().map(|first| first.expires_s)
    }

    /// When the next empty ACK is due.
    pub(super) fn next_acknowledgement(&mut self) -> Option<Millis> {
        self.forget_answered();
        self.pending.front().map(|(at, _)| *at)
    }

    /// A request that is due for its empty ACK; it counts as acknowledged.
    pub(super) fn acknowledge_due(&mut self, now: Millis) -> Option<(P, u16)> {
        while let Some((at, sequence)) = self.pending.front().copied()
            && at <= now
        {
            self.pending.pop_front();
            if let Some(entry) = self.entry_mut(sequence)
                && entry.answer == Answer::Pending
            {
                entry.answer = Answer::Acknowledged;
                return Some((entry.peer, entry.message_id));
            }
        }
        None
    }

    /// Drops deadlines of requests that are answered, from both ends: most answers come at once.
    pub(super) fn forget_answered(&mut self) {
        while let Some((_, sequence)) = self.pending.back().copied()
            && !self.is_pending(sequence)
        {
            self.pending.pop_back();
        }
        while let Some((_, sequence)) = self.pending.front().copied()
            && !self.is_pending(sequence)
        {
            self.pending.pop_front();
        }
    }

    /// How many messages are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    fn is_pending(&mut self, sequence: u32) -> bool {
        self.entry_mut(sequence)
            .is_some_and(|entry| entry.answer == Answer::Pending)
    }

    fn index(&self, peer: P, message_id: u16) -> Option<u32> {
        let hash = self.hasher.hash_one((peer, message_id));
        self.table
            .find(hash, |sequence| {
                let entry = &self.ring[sequence.wrapping_sub(self.base) as usize];
                entry.message_id == message_id && entry.peer == peer
            })
            .copied()
    }

    fn entry_mut(&mut self, sequence: u32) -> Option<&mut Remembered<P>> {
        self.ring.get_mut(sequence.wrapping_sub(self.base) as usize)
    }

    /// Takes an entry out of the index; it leaves the ring in its turn.
    fn unlink(&mut self, sequence: u32) {
        let Some(entry) = self.entry_mut(sequence) else {
            return;
        };
        entry.current = false;
        entry.answer = Answer::Silence;
        let key = (entry.peer, entry.message_id);
        let hash = self.hasher.hash_one(key);
        if let Ok(found) = self.table.find_entry(hash, |other| *other == sequence) {
            found.remove();
        }
    }

    fn pop(&mut self) {
        if self.ring.front().is_some_and(|first| first.current) {
            self.unlink(self.base);
        }
        if self.ring.pop_front().is_some() {
            self.base = self.base.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(max: usize, count: u16) -> Deduplication<u8> {
        let mut memory = Deduplication::new(max);
        for id in 0..count {
            memory.insert(1, id, 7, 247, Answer::Acknowledged, 0);
        }
        memory
    }

    #[test]
    fn the_oldest_goes_at_the_limit() {
        let mut memory = filled(4, 5);
        assert_eq!(memory.len(), 4);
        assert_eq!(memory.find(0, 1, 0, 7), None);
        assert_eq!(memory.find(0, 1, 1, 7), Some(&mut Answer::Acknowledged));
        assert_eq!(memory.find(0, 1, 4, 7), Some(&mut Answer::Acknowledged));
    }

    #[test]
    fn another_content_is_another_message() {
        let mut memory = filled(4, 1);
        assert_eq!(memory.find(0, 1, 0, 8), None);
        memory.insert(1, 0, 8, 247, Answer::Silence, 0);
        assert_eq!(memory.find(0, 1, 0, 7), None);
        assert_eq!(memory.find(0, 1, 0, 8), Some(&mut Answer::Silence));
        assert_eq!(memory.len(), 2);
        memory.expire(246);
        assert_eq!(memory.len(), 1);
        memory.expire(247);
        assert_eq!(memory.len(), 0);
        assert!(memory.table.is_empty());
    }

    #[test]
    fn numbers_wrap() {
        let mut memory = Deduplication::new(3);
        memory.base = u32::MAX - 1;
        for id in 0..10 {
            memory.insert(1_u8, id, 0, 10, Answer::Silence, 0);
            assert!(memory.find(0, 1, id, 0).is_some());
        }
        assert_eq!((memory.len(), memory.table.len()), (3, 3));
    }

    #[test]
    fn an_answered_request_needs_no_acknowledgement() {
        let mut memory = Deduplication::new(8);
        for id in 0..3 {
            memory.insert(1_u8, id, 0, 10, Answer::Pending, 1000 + u64::from(id));
        }
        *memory.find(0, 1, 1, 0).expect("remembered") = Answer::Silence;
        assert_eq!(memory.acknowledge_due(999), None);
        assert_eq!(memory.acknowledge_due(5000), Some((1, 0)));
        assert_eq!(memory.acknowledge_due(5000), Some((1, 2)));
        assert_eq!(memory.acknowledge_due(5000), None);
        assert_eq!(memory.next_acknowledgement(), None);
    }
}
