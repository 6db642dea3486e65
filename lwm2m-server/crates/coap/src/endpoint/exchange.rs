//! Our requests and observations, found by their tokens without a table.
//!
//! A token of ours is 32 random bits and the slot of its exchange, the latter veiled. A peer
//! that guesses has to meet the random bits *and* to be the peer of that exchange.

use bytes::Bytes;
use hashbrown::HashMap;
use rand::RngExt;
use rand::rngs::StdRng;
use slab::Slab;

use super::RequestId;
use super::download::Download;
use super::observation::Observation;
use super::peer::NONE;
use super::short::Short;
use super::timers::Millis;
use super::upload::Upload;
use crate::{BlockSize, Code, SecurityBinding, SecurityContextId};

/// A request, an observation, or both: the rest of a large notification being fetched.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Slot of the peer.
    pub(super) peer: u32,
    /// With the slot, the request id.
    pub(super) serial: u32,
    /// Neighbours in the peer's list.
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The token of the request, and of the observation that comes of it.
    pub(super) token: Short,
    pub(super) active: Option<Box<Active>>,
    pub(super) observation: Option<Observation>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) code: Code,
    pub(super) confirmable: bool,
    /// Encoded, without those of the engine.
    pub(super) options: Box<[u8]>,
    pub(super) payload: Bytes,
    pub(super) observe: Option<bool>,
    pub(super) timeout: Millis,
    /// When the response is due.
    pub(super) deadline: Millis,
    pub(super) block_size: Option<BlockSize>,
    /// True while it waits for its turn.
    pub(super) queued: bool,
    /// True when the engine asks, for the rest of a notification.
    pub(super) fetches_rest: bool,
    /// The token of the latest message.
    pub(super) token: Short,
    /// Slot of the unacknowledged message.
    pub(super) transmission: u32,
    pub(super) upload: Option<Upload>,
    pub(super) download: Option<Download>,
    /// The context that protects the messages.
    pub(super) security: Option<SecurityContextId>,
    /// What binds the response to the latest message, when it is protected.
    pub(super) binding: Option<SecurityBinding>,
    /// How often the message in hand was to be protected and could not be yet; 0 when it is sent.
    pub(super) attempts: u16,
    /// True when the peer has been given the Echo that it asked for.
    pub(super) echoed: bool,
}

/// What a token of a response names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The request that is under way.
    Active(u32),
    /// The observation.
    Observation(u32),
}

/// All exchanges.
#[derive(Debug)]
pub(super) struct Exchanges {
    slab: Slab<Exchange>,
    /// Exchanges whose token the application chose, by peer and token.
    chosen: HashMap<(u32, Short), u32>,
    serial: u32,
    veil: u32,
}

// Each observation costs one entry, and there may be a million of them.
const _: () = assert!(size_of::<Exchange>() <= 64);

impl Exchanges {
    pub(super) fn new(random: &mut StdRng) -> Exchanges {
        Exchanges {
            slab: Slab::new(),
            chosen: HashMap::new(),
            serial: 0,
            veil: random.random(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds an exchange with the token, or with a random one.
    pub(super) fn insert(
        &mut self,
        random: &mut StdRng,
        peer: u32,
        token: Option<Short>,
        active: Option<Box<Active>>,
    ) -> u32 {
        let slot = self.slab.vacant_key() as u32;
        if let Some(token) = token {
            self.chosen.insert((peer, token), slot);
        }
        let token = token.unwrap_or_else(|| self.token(random, slot));
        let serial = self.next_serial();
        self.slab.insert(Exchange {
            peer,
            serial,
            previous: NONE,
            next: NONE,
            token,
            active,
            observation: None,
        });
        slot
    }

    /// A fresh token for an exchange.
    pub(super) fn token(&self, random: &mut StdRng, slot: u32) -> Short {
        let high: u32 = random.random();
        Short::from_u64((u64::from(high) << 32) | u64::from(slot ^ self.veil))
    }

    /// Gives an exchange a new request id: a later request has its token.
    pub(super) fn renew(&mut self, slot: u32) {
        let serial = self.next_serial();
        self.at_mut(slot).serial = serial;
    }

    pub(super) fn remove(&mut self, slot: u32) -> Exchange {
        let exchange = self.slab.remove(slot as usize);
        if self.chosen.get(&(exchange.peer, exchange.token)) == Some(&slot) {
            self.chosen.remove(&(exchange.peer, exchange.token));
        }
        exchange
    }

    /// Hands an exchange to another peer.
    pub(super) fn rehome(&mut self, slot: u32, peer: u32) {
        let exchange = &mut self.slab[slot as usize];
        let key = (exchange.peer, exchange.token);
        exchange.peer = peer;
        if self.chosen.get(&key) == Some(&slot) {
            self.chosen.remove(&key);
            self.chosen.insert((peer, key.1), slot);
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Exchange> {
        self.slab.get(slot as usize)
    }

    pub(super) fn at(&self, slot: u32) -> &Exchange {
        &self.slab[slot as usize]
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Exchange {
        &mut self.slab[slot as usize]
    }

    /// The request under way in a slot.
    pub(super) fn active_mut(&mut self, slot: u32) -> Option<&mut Active> {
        self.slab.get_mut(slot as usize)?.active.as_deref_mut()
    }

    /// The id of an exchange.
    pub(super) fn id(&self, slot: u32) -> RequestId {
        let serial = self.at(slot).serial;
        RequestId((u64::from(serial) << 32) | u64::from(slot))
    }

    /// The exchange of an id, none when it has ended.
    pub(super) fn find_id(&self, id: RequestId) -> Option<u32> {
        let slot = id.0 as u32;
        (self.get(slot)?.serial == (id.0 >> 32) as u32).then_some(slot)
    }

    /// An id that belongs to no exchange.
    pub(super) fn detached_id(&mut self) -> RequestId {
        RequestId((u64::from(self.next_serial()) << 32) | u64::from(NONE))
    }

    /// When the response to a request is due.
    pub(super) fn deadline(&self, slot: u32) -> Option<Millis> {
        Some(self.get(slot)?.active.as_deref()?.deadline)
    }

    /// What a token from a peer names.
    pub(super) fn find_token(&self, peer: u32, token: &[u8]) -> Option<Match> {
        let token = Short::new(token)?;
        token
            .to_u64()
            .and_then(|bits| self.match_slot(bits as u32 ^ self.veil, peer, token))
            .or_else(|| {
                let slot = self.chosen.get(&(peer, token))?;
                self.match_slot(*slot, peer, token)
            })
    }

    fn match_slot(&self, slot: u32, peer: u32, token: Short) -> Option<Match> {
        let exchange = self.get(slot).filter(|exchange| exchange.peer == peer)?;
        let awaited = |active: &Active| active.token == token && !active.queued;
        if exchange.active.as_deref().is_some_and(awaited) {
            Some(Match::Active(slot))
        } else {
            let observed = exchange.observation.is_some() && exchange.token == token;
            observed.then_some(Match::Observation(slot))
        }
    }

    /// The exchange that has a token, whether it waits, is under way or observes.
    pub(super) fn find_owner(&self, peer: u32, token: Short) -> Option<u32> {
        let own = token.to_u64().map(|bits| bits as u32 ^ self.veil);
        let chosen = || self.chosen.get(&(peer, token)).copied();
        let owns = |slot: &u32| {
            self.get(*slot)
                .is_some_and(|exchange| exchange.peer == peer && exchange.token == token)
        };
        own.filter(owns).or_else(|| chosen().filter(owns))
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}
