//! Block2 as the sender of a body (RFC 7959 §2.4): large responses, kept for the requests of
//! their later blocks.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::Response;
use super::short::Short;
use super::timers::Millis;
use crate::{Block, BlockSize, Config};

/// A response of which not all blocks have been asked for.
#[derive(Debug)]
pub(super) struct Stored<P> {
    peer: P,
    key: u64,
    pub(super) response: Response,
    /// Set unless the application gave one.
    pub(super) etag: Option<Short>,
    deadline: Millis,
}

/// All responses kept.
#[derive(Debug)]
pub(super) struct StoredResponses<P> {
    slab: Slab<Stored<P>>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<P> Default for StoredResponses<P> {
    fn default() -> StoredResponses<P> {
        StoredResponses {
            slab: Slab::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<P: Copy + Eq + Hash> StoredResponses<P> {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// When the response in a slot expires.
    pub(super) fn deadline(&self, slot: u32) -> Option<Millis> {
        Some(self.slab.get(slot as usize)?.deadline)
    }

    /// Keeps a response until the deadline in place of an earlier one, and gives its slot; none
    /// when there are `max` others.
    pub(super) fn insert(
        &mut self,
        (peer, key): (P, u64),
        response: Response,
        etag: Option<Short>,
        deadline: Millis,
        max: usize,
    ) -> Option<u32> {
        let stored = Stored {
            peer,
            key,
            response,
            etag,
            deadline,
        };
        if let Some(slot) = self.find(peer, key) {
            self.slab[slot as usize] = stored;
            return Some(slot);
        }
        if self.slab.len() >= max {
            return None;
        }
        let slot = self.slab.insert(stored) as u32;
        let (slab, hasher) = (&self.slab, &self.hasher);
        let hash = |slot: &u32| {
            let stored = &slab[*slot as usize];
            hasher.hash_one((stored.peer, stored.key))
        };
        self.table.insert_unique(hash(&slot), slot, hash);
        Some(slot)
    }

    /// The response kept for a request and its slot; it is kept until the deadline from now on.
    pub(super) fn renew(
        &mut self,
        peer: P,
        key: u64,
        deadline: Millis,
    ) -> Option<(u32, &Stored<P>)> {
        let slot = self.find(peer, key)?;
        let stored = &mut self.slab[slot as usize];
        stored.deadline = deadline;
        Some((slot, stored))
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let stored = &self.slab[slot as usize];
        let hash = self.hasher.hash_one((stored.peer, stored.key));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.slab.remove(slot as usize);
    }

    fn find(&self, peer: P, key: u64) -> Option<u32> {
        self.table
            .find(self.hasher.hash_one((peer, key)), |slot| {
                let stored = &self.slab[*slot as usize];
                stored.key == key && stored.peer == peer
            })
            .copied()
    }
}

/// The part of a response that a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slice {
    /// All of it, without Block2.
    Whole,
    /// One block of it.
    Block(Block, std::ops::Range<usize>),
    /// The block asked for lies past the end.
    PastEnd,
}

/// How much of a body fits into a message to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The largest body without blocks, in bytes.
    pub(super) inline_max: usize,
    /// The block size.
    pub(super) block: BlockSize,
    /// Blocks in one message, when the size is BERT.
    pub(super) bert_blocks: usize,
}

impl Sizes {
    /// Those of datagrams.
    pub(super) fn of_datagrams(config: &Config) -> Sizes {
        Sizes {
            inline_max: config.body_inline_max,
            block: config.block_size,
            bert_blocks: 1,
        }
    }

    /// What a message with blocks of a size carries, in bytes.
    pub(super) fn message_bytes(&self, size: BlockSize) -> usize {
        match size {
            BlockSize::BERT => size.bytes() * self.bert_blocks.max(1),
            _ => size.bytes(),
        }
    }
}

/// Divides a body of `length` bytes, `asked` being the Block2 option of the request.
pub(super) fn slice(length: usize, asked: Option<Block>, sizes: &Sizes) -> Slice {
    let size = asked.map_or(sizes.block, |asked| asked.size.min(sizes.block));
    let offset = asked.map_or(0, Block::offset);
    if asked.is_none() && length <= sizes.inline_max {
        return Slice::Whole;
    }
    if offset > 0 && offset >= length {
        return Slice::PastEnd;
    }
    let end = length.min(offset + sizes.message_bytes(size));
    let block = Block {
        number: (offset / size.bytes()) as u32,
        more: end < length,
        size,
    };
    Slice::Block(block, offset..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn asked(number: u32, bytes: usize) -> Option<Block> {
        Some(Block {
            number,
            more: false,
            size: BlockSize::at_most(bytes),
        })
    }

    fn cut(length: usize, asked: Option<Block>) -> (u32, bool, usize, std::ops::Range<usize>) {
        match slice(length, asked, &Sizes::of_datagrams(&Config::default())) {
            Slice::Block(block, range) => (block.number, block.more, block.size.bytes(), range),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_is_divided_as_asked() {
        let config = Sizes::of_datagrams(&Config::default());
        assert_eq!(slice(1024, None, &config), Slice::Whole);
        assert_eq!(cut(1025, None), (0, true, 1024, 0..1024));
        assert_eq!(cut(100, asked(0, 64)), (0, true, 64, 0..64));
        assert_eq!(cut(100, asked(1, 64)), (1, false, 64, 64..100));
        assert_eq!(cut(128, asked(1, 64)), (1, false, 64, 64..128));
        assert_eq!(slice(128, asked(2, 64), &config), Slice::PastEnd);
        assert_eq!(cut(0, asked(0, 64)), (0, false, 64, 0..0));
        assert_eq!(slice(0, asked(1, 64), &config), Slice::PastEnd);
    }

    #[test]
    fn our_block_size_is_the_larger_bound() {
        let config = Config {
            block_size: BlockSize::at_most(256),
            ..Config::default()
        };
        let sizes = Sizes::of_datagrams(&config);
        let Slice::Block(block, range) = slice(5000, asked(1, 1024), &sizes) else {
            panic!("a block");
        };
        assert_eq!((block.number, range), (4, 1024..1280));
    }

    #[test]
    fn several_blocks_go_in_one_message_on_a_stream() {
        let sizes = Sizes {
            inline_max: 4000,
            block: BlockSize::BERT,
            bert_blocks: 3,
        };
        assert_eq!(slice(4000, None, &sizes), Slice::Whole);
        let bert = |number| Block {
            number,
            more: false,
            size: BlockSize::BERT,
        };
        for (asked, number, more, range) in [
            (None, 0, true, 0..3072),
            (Some(bert(3)), 3, false, 3072..4001),
            (asked(1, 1024), 1, true, 1024..2048),
        ] {
            let Slice::Block(block, cut) = slice(4001, asked, &sizes) else {
                panic!("a block");
            };
            assert_eq!((block.number, block.more, cut), (number, more, range));
        }
    }

    #[test]
    fn one_more_than_the_limit_is_not_kept() {
        let mut kept = StoredResponses::default();
        let response = Response::new(Code::CONTENT);
        let mut insert = |key| kept.insert((1_u8, key), response.clone(), None, 9, 2);
        assert_eq!(insert(1), Some(0));
        assert_eq!(insert(2), Some(1));
        assert_eq!(insert(3), None);
        assert_eq!(insert(2), Some(1));
        kept.remove(0);
        assert!(kept.renew(1, 1, 9).is_none() && kept.renew(1, 2, 9).is_some());
        assert_eq!(kept.len(), 1);
    }
}
