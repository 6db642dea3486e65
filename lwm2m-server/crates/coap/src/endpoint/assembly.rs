//! Block1 as the receiver of a body (RFC 7959 §2.5): bodies of requests put together.
//!
//! A body that is begun may never be finished. So at a limit it is not the new body that goes but
//! the one whose latest block is the oldest: a flood of first blocks keeps nobody out.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::timers::Millis;
use crate::{Block, BlockSize, Code, Config};

/// One block of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'d, P> {
    pub(super) peer: P,
    /// What the blocks of a body have in common: method, path, query, Request-Tag.
    pub(super) key: u64,
    pub(super) block: Block,
    pub(super) payload: &'d [u8],
    pub(super) content_format: Option<u16>,
    /// Size1, the size that the whole will have.
    pub(super) announced: Option<u32>,
}

/// What a block leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartStep {
    /// 2.31 with this Block1 option; the slot's timer is to be armed.
    Continue(Block, u32),
    /// The payload of the block is the whole body.
    Whole,
    /// The body is complete.
    Complete(Vec<u8>),
    /// This code and reason.
    Refuse(Code, &'static str),
}

#[derive(Debug)]
struct Assembly<P> {
    peer: P,
    key: u64,
    body: Vec<u8>,
    /// The block size that may not be exceeded any more.
    size: BlockSize,
    content_format: Option<u16>,
    deadline: Millis,
    /// Tells which body had a block the longest time ago.
    turn: u64,
}

/// All bodies in reception.
#[derive(Debug)]
pub(super) struct Assemblies<P> {
    slab: Slab<Assembly<P>>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Bytes of all bodies.
    bytes: usize,
    /// Blocks taken.
    turn: u64,
}

impl<P> Default for Assemblies<P> {
    fn default() -> Assemblies<P> {
        Assemblies {
            slab: Slab::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            bytes: 0,
            turn: 0,
        }
    }
}

impl<P: Copy + Eq + Hash> Assemblies<P> {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// When the body in a slot expires.
    pub(super) fn deadline(&self, slot: u32) -> Option<Millis> {
        Some(self.slab.get(slot as usize)?.deadline)
    }

    /// Takes a block; the body is dropped at the deadline unless a further block comes.
    pub(super) fn take(
        &mut self,
        part: Part<'_, P>,
        config: &Config,
        deadline: Millis,
    ) -> PartStep {
        if let Some(reason) = part.block.misfit(part.payload.len()) {
            return PartStep::Refuse(Code::BAD_REQUEST, reason);
        }
        let standing = self.find(part.peer, part.key);
        if part.block.number == 0 {
            if let Some(slot) = standing {
                self.remove(slot);
            }
            return self.begin(part, config, deadline);
        }
        let Some(slot) = standing else {
            return incomplete("the blocks before are missing");
        };
        self.append(slot, part, config, deadline)
    }

    /// Drops a body.
    pub(super) fn remove(&mut self, slot: u32) -> Vec<u8> {
        let assembly = &self.slab[slot as usize];
        let hash = self.hasher.hash_one((assembly.peer, assembly.key));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        let body = self.slab.remove(slot as usize).body;
        self.bytes -= body.len();
        body
    }

    fn begin(&mut self, part: Part<'_, P>, config: &Config, deadline: Millis) -> PartStep {
        let announced = part.announced.map_or(0, |size| size as usize);
        if announced.max(part.payload.len()) > config.body_max {
            return too_large();
        }
        if !part.block.more {
            return PartStep::Whole;
        }
        if !self.make_room(part.peer, part.payload.len(), config) {
            return overloaded();
        }
        self.turn += 1;
        let slot = self.slab.insert(Assembly {
            peer: part.peer,
            key: part.key,
            body: part.payload.to_vec(),
            size: part.block.size,
            content_format: part.content_format,
            deadline,
            turn: self.turn,
        }) as u32;
        self.bytes += part.payload.len();
        let (slab, hasher) = (&self.slab, &self.hasher);
        let key = |slot: &u32| {
            let assembly = &slab[*slot as usize];
            hasher.hash_one((assembly.peer, assembly.key))
        };
        self.table.insert_unique(key(&slot), slot, key);
        let echo = Block {
            size: match part.block.size {
                BlockSize::BERT => BlockSize::BERT,
                size => size.min(config.block_size),
            },
            ..part.block
        };
        PartStep::Continue(echo, slot)
    }

    fn append(
        &mut self,
        slot: u32,
        part: Part<'_, P>,
        config: &Config,
        deadline: Millis,
    ) -> PartStep {
        let assembly = &mut self.slab[slot as usize];
        let (block, payload) = (part.block, part.payload);
        if part.content_format != assembly.content_format {
            self.remove(slot);
            return incomplete("the content format changed between blocks");
        }
        if block.size > assembly.size {
            return PartStep::Refuse(Code::BAD_REQUEST, "the block size grew");
        }
        let offset = block.offset();
        self.turn += 1;
        assembly.turn = self.turn;
        if offset + payload.len() == assembly.body.len()
            && block.more
            && assembly.body[offset..] == *payload
        {
            assembly.deadline = deadline;
            return PartStep::Continue(block, slot);
        }
        if offset != assembly.body.len() {
            return incomplete("a block is missing or came twice");
        }
        if offset + payload.len() > config.body_max {
            self.remove(slot);
            return too_large();
        }
        if !self.make_bytes(payload.len(), Some(slot), config) {
            self.remove(slot);
            return overloaded();
        }
        let assembly = &mut self.slab[slot as usize];
        assembly.body.extend_from_slice(payload);
        assembly.size = block.size;
        assembly.deadline = deadline;
        self.bytes += payload.len();
        if block.more {
            PartStep::Continue(block, slot)
        } else {
            PartStep::Complete(self.remove(slot))
        }
    }

    /// Makes room for another body of a peer; false when the limits allow none at all.
    fn make_room(&mut self, peer: P, length: usize, config: &Config) -> bool {
        // Only a body's first block comes here, and the table is small.
        let of_peer = self.slab.iter().filter(|(_, other)| other.peer == peer);
        if of_peer.count() >= config.transfers_per_peer_max
            && !self.drop_oldest(|_, other| other.peer == peer)
        {
            return false;
        }
        if self.slab.len() >= config.transfers_max && !self.drop_oldest(|_, _| true) {
            return false;
        }
        self.make_bytes(length, None, config)
    }

    /// Makes room for so many bytes of a body; false when they are more than the limit allows.
    fn make_bytes(&mut self, length: usize, body: Option<u32>, config: &Config) -> bool {
        while self.bytes + length > config.transfer_bytes_max {
            if !self.drop_oldest(|slot, _| Some(slot) != body) {
                return false;
            }
        }
        true
    }

    /// Drops the body that had a block the longest time ago; false when there is none such.
    fn drop_oldest(&mut self, among: impl Fn(u32, &Assembly<P>) -> bool) -> bool {
        let bodies = self.slab.iter().map(|(slot, body)| (slot as u32, body));
        let among = bodies.filter(|(slot, body)| among(*slot, body));
        let oldest = among
            .min_by_key(|(_, body)| body.turn)
            .map(|(slot, _)| slot);
        match oldest {
            Some(slot) => {
                self.remove(slot);
                true
            }
            None => false,
        }
    }

    fn find(&self, peer: P, key: u64) -> Option<u32> {
        self.table
            .find(self.hasher.hash_one((peer, key)), |slot| {
                let assembly = &self.slab[*slot as usize];
                assembly.key == key && assembly.peer == peer
            })
            .copied()
    }
}

fn incomplete(reason: &'static str) -> PartStep {
    PartStep::Refuse(Code::REQUEST_ENTITY_INCOMPLETE, reason)
}

fn too_large() -> PartStep {
    PartStep::Refuse(Code::REQUEST_ENTITY_TOO_LARGE, "the body exceeds the limit")
}

fn overloaded() -> PartStep {
    PartStep::Refuse(
        Code::SERVICE_UNAVAILABLE,
        "too many bodies are in reception",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(peer: u8, key: u64, number: u32, more: bool, payload: &[u8]) -> Part<'_, u8> {
        Part {
            peer,
            key,
            block: Block {
                number,
                more,
                size: BlockSize::at_most(16),
            },
            payload,
            content_format: Some(40),
            announced: None,
        }
    }

    fn small() -> Config {
        Config {
            body_max: 40,
            transfers_max: 4,
            transfers_per_peer_max: 2,
            transfer_bytes_max: 100,
            ..Config::default()
        }
    }

    fn code(step: PartStep) -> Option<Code> {
        match step {
            PartStep::Refuse(code, _) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn blocks_make_a_body() {
        let mut bodies = Assemblies::default();
        let config = small();
        let mut take = |part| bodies.take(part, &config, 9);
        assert!(matches!(
            take(part(1, 1, 0, true, &[1; 16])),
            PartStep::Continue(..)
        ));
        assert!(matches!(
            take(part(1, 1, 1, true, &[2; 16])),
            PartStep::Continue(..)
        ));
        // The same again with another message id.
        assert!(matches!(
            take(part(1, 1, 1, true, &[2; 16])),
            PartStep::Continue(..)
        ));
        let body = [[1; 16].as_slice(), &[2; 16], &[3; 8]].concat();
        assert_eq!(
            take(part(1, 1, 2, false, &[3; 8])),
            PartStep::Complete(body)
        );
        assert_eq!((bodies.len(), bodies.bytes), (0, 0));
    }

    #[test]
    fn limits_refuse_one_more() {
        let config = small();
        let mut bodies = Assemblies::default();
        let mut take = |part| code(bodies.take(part, &config, 9));
        assert_eq!(take(part(1, 1, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 1, 1, true, &[1; 16])), None);
        assert_eq!(
            take(part(1, 1, 2, false, &[1; 9])),
            Some(Code::REQUEST_ENTITY_TOO_LARGE)
        );
        assert_eq!(
            take(part(1, 0, 0, false, &[1; 17])),
            Some(Code::BAD_REQUEST)
        );
    }

    #[test]
    fn one_more_than_the_limit_takes_the_place_of_the_oldest() {
        let config = small();
        let gone = Some(Code::REQUEST_ENTITY_INCOMPLETE);
        let mut bodies = Assemblies::default();
        let mut take = |part| code(bodies.take(part, &config, 9));
        // Two of one peer, of which the first goes on.
        assert_eq!(take(part(1, 0, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 1, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 0, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 2, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 1, 1, true, &[1; 16])), gone);
        // Four in all; of a fifth peer, and the oldest is the first.
        for peer in 2..4 {
            assert_eq!(take(part(peer, 0, 0, true, &[1; 16])), None);
        }
        assert_eq!(take(part(4, 0, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 0, 1, true, &[1; 16])), gone);
        // 64 bytes are held: two more blocks fit into 100, the third takes the place of a body.
        assert_eq!(take(part(2, 0, 1, true, &[1; 16])), None);
        assert_eq!(take(part(3, 0, 1, true, &[1; 16])), None);
        assert_eq!(take(part(4, 0, 1, true, &[1; 16])), None);
        assert_eq!(take(part(1, 2, 1, true, &[1; 16])), gone);
        assert_eq!((bodies.len(), bodies.bytes), (3, 96));
    }

    #[test]
    fn what_no_room_can_be_made_for_is_refused() {
        let overloaded = Some(Code::SERVICE_UNAVAILABLE);
        for (count, of_peer, bytes) in [(0, 2, 100), (4, 0, 100), (4, 2, 15)] {
            let config = Config {
                transfers_max: count,
                transfers_per_peer_max: of_peer,
                transfer_bytes_max: bytes,
                ..small()
            };
            let mut bodies = Assemblies::default();
            let first = bodies.take(part(1, 1, 0, true, &[1; 16]), &config, 9);
            assert_eq!(code(first), overloaded);
        }
    }

    #[test]
    fn an_announced_size_beyond_the_limit_is_refused_at_once() {
        let mut bodies = Assemblies::default();
        let mut first = part(1, 1, 0, true, &[1; 16]);
        first.announced = Some(40);
        assert_eq!(code(bodies.take(first, &small(), 9)), None);
        first.announced = Some(41);
        assert_eq!(
            code(bodies.take(first, &small(), 9)),
            Some(Code::REQUEST_ENTITY_TOO_LARGE)
        );
        assert_eq!(bodies.len(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut bodies = Assemblies::default();
        let config = small();
        let mut take = |part| code(bodies.take(part, &config, 9));
        let incomplete = Some(Code::REQUEST_ENTITY_INCOMPLETE);
        let bad = Some(Code::BAD_REQUEST);
        assert_eq!(take(part(1, 1, 0xf_ffff, true, &[1; 16])), incomplete);
        assert_eq!(take(part(1, 1, 0, true, &[1; 15])), bad);
        assert_eq!(take(part(1, 1, 0, false, &[1; 17])), bad);
        assert_eq!(take(part(1, 1, 0, true, &[1; 16])), None);
        assert_eq!(take(part(1, 1, 2, true, &[1; 16])), incomplete);
        let mut grown = part(1, 1, 1, false, &[1; 16]);
        grown.block.size = BlockSize::at_most(32);
        assert_eq!(take(grown), bad);
        let mut other = part(1, 1, 1, true, &[1; 16]);
        other.content_format = None;
        assert_eq!(take(other), incomplete);
        assert_eq!(take(part(1, 1, 1, true, &[1; 16])), incomplete);
    }
}
