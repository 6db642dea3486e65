//! Sessions that may be continued by an abbreviated handshake: by their id (RFC 5246 §7.3), which
//! the server remembers, or by a ticket (RFC 5077), which the client keeps for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use hashbrown::HashMap;
use zeroize::Zeroizing;

use crate::codec::{Reader, Write};
use crate::peer::Peer;
use crate::prf::MasterSecret;
use crate::random::{Random, SystemRandom, random_array};
use crate::stored::{read_shared_peer, write_peer};

/// What an abbreviated handshake starts from.
#[derive(Clone)]
pub(crate) struct Resumable {
    pub(crate) master: MasterSecret,
    pub(crate) peer: Arc<Peer>,
    /// Not after this second since 1970.
    pub(crate) until_s: u64,
}

/// Sessions by id, the oldest of which go first.
pub(crate) struct SessionCache {
    max: usize,
    by_id: HashMap<[u8; SessionCache::ID], Resumable>,
    order: VecDeque<[u8; SessionCache::ID]>,
}

impl SessionCache {
    /// Bytes of our session ids.
    pub(crate) const ID: usize = 32;

    pub(crate) fn new(max: usize) -> SessionCache {
        SessionCache {
            max,
            by_id: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.max == 0
    }

    pub(crate) fn insert(&mut self, id: [u8; SessionCache::ID], session: Resumable) {
        while self.order.len() >= self.max {
            match self.order.pop_front() {
                Some(oldest) => self.by_id.remove(&oldest),
                None => return,
            };
        }
        self.order.push_back(id);
        self.by_id.insert(id, session);
    }

    /// The session of an id that is not too old.
    pub(crate) fn find(&self, id: &[u8], now_s: u64) -> Option<&Resumable> {
        let id: &[u8; SessionCache::ID] = id.try_into().ok()?;
        let found = self.by_id.get(id);
        found.filter(|session| session.until_s >= now_s)
    }
}

/// The secret that tickets are sealed with. All shards, and all servers that shall take each
/// other's tickets, have the same one.
///
/// Change it after some days: put the old one beside it, so that its tickets are still taken.
#[derive(Clone)]
pub struct TicketKey {
    name: [u8; TicketKey::NAME],
    key: Arc<LessSafeKey>,
}

impl TicketKey {
    const NAME: usize = 16;
    const NONCE: usize = 12;

    /// A new random secret.
    pub fn generate() -> TicketKey {
        let secret = Zeroizing::new(random_array::<32>(&mut SystemRandom));
        TicketKey::new(&secret)
    }

    /// The secret that was made at random when the process first asked for it. All shards of a
    /// server have it, and changes of other settings leave it; a restart ends its tickets.
    pub fn of_process() -> TicketKey {
        static KEY: LazyLock<TicketKey> = LazyLock::new(TicketKey::generate);
        KEY.clone()
    }

    /// A secret of 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> TicketKey {
        let mut named = Zeroizing::new(b"name of a ticket key".to_vec());
        named.extend_from_slice(secret);
        let mut name = [0; TicketKey::NAME];
        let hash = digest::digest(&digest::SHA256, &named);
        name.copy_from_slice(&hash.as_ref()[..TicketKey::NAME]);
        let key = UnboundKey::new(&AES_256_GCM, secret);
        let key = key.expect("invariant: the secret has 32 bytes");
        TicketKey {
            name,
            key: Arc::new(LessSafeKey::new(key)),
        }
    }

    pub(crate) fn seal(&self, session: &Resumable, random: &mut dyn Random) -> Option<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(256));
        plain.put(session.master.as_bytes());
        plain.put(&session.until_s.to_be_bytes());
        write_peer(&mut plain, &session.peer);
        let nonce: [u8; TicketKey::NONCE] = random_array(random);
        let tag = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&self.name),
            &mut plain,
        );
        let tag = tag.ok()?;
        Some([&self.name[..], &nonce, &plain, tag.as_ref()].concat())
    }

    /// The session of a ticket that is ours.
    pub(crate) fn open(&self, ticket: &[u8]) -> Option<Resumable> {
        let mut reader = Reader::new(ticket);
        if reader.array::<{ TicketKey::NAME }>()? != self.name {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(reader.array()?);
        let mut sealed = Zeroizing::new(reader.rest().to_vec());
        let aad = Aad::from(&self.name);
        let plain = self.key.open_in_place(nonce, aad, &mut sealed).ok()?;
        let mut reader = Reader::new(plain);
        let master = MasterSecret::from_bytes(reader.array()?);
        let until_s = reader.u64()?;
        let peer = read_shared_peer(&mut reader)?;
        reader.end(Resumable {
            master,
            peer,
            until_s,
        })
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TicketKey(..)")
    }
}

/// How a server lets clients continue their sessions.
#[derive(Debug, Clone)]
pub struct ServerResumption {
    /// How long a session may be continued; 24 h.
    pub lifetime: Duration,
    /// For new tickets; [`TicketKey::of_process`]. None: only session ids are used.
    pub ticket_key: Option<TicketKey>,
    /// For the tickets of before; none.
    pub previous_ticket_key: Option<TicketKey>,
}

impl Default for ServerResumption {
    fn default() -> ServerResumption {
        ServerResumption {
            lifetime: Duration::from_secs(24 * 3600),
            ticket_key: Some(TicketKey::of_process()),
            previous_ticket_key: None,
        }
    }
}

impl ServerResumption {
    /// The session of a ticket; none when it is too old or not ours.
    pub(crate) fn open(&self, ticket: &[u8], unix_s: u64) -> Option<Resumable> {
        let keys = [&self.ticket_key, &self.previous_ticket_key];
        let mut keys = keys.into_iter().flatten();
        let session = keys.find_map(|key| key.open(ticket))?;
        (session.until_s >= unix_s).then_some(session)
    }
}

/// What a client continues a session with, see
/// [`Endpoint::resumption`](crate::Endpoint::resumption). It holds secrets and is not printed.
#[derive(Clone)]
pub struct Resumption {
    pub(crate) master: MasterSecret,
    pub(crate) peer: Arc<Peer>,
    /// What the server knows it by, when there is no ticket.
    pub(crate) session_id: Vec<u8>,
    pub(crate) ticket: Vec<u8>,
}

impl fmt::Debug for Resumption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Resumption")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Identity;
    use crate::random::SeededRandom;
    use crate::suite::CipherSuite;

    fn session(until_s: u64) -> Resumable {
        Resumable {
            master: MasterSecret::from_bytes([7; MasterSecret::BYTES]),
            peer: Arc::new(Peer {
                identity: Identity::Psk(b"identity".as_slice().into()),
                certificate: None,
                suite: CipherSuite::PskCcm8,
                server_name: None,
                extended_master_secret: true,
                cid: true,
                resumed: false,
                key_label: 0,
            }),
            until_s,
        }
    }

    #[test]
    fn a_ticket_is_good_for_its_key_and_its_time_and_unchanged() {
        let (old, new) = (TicketKey::new(&[1; 32]), TicketKey::new(&[2; 32]));
        let sealed = old.seal(&session(100), &mut SeededRandom::new(1));
        let ticket = sealed.expect("a ticket");
        let server = ServerResumption {
            ticket_key: Some(new.clone()),
            previous_ticket_key: Some(old.clone()),
            ..ServerResumption::default()
        };
        let opened = server.open(&ticket, 100).expect("good");
        assert_eq!(opened.master.as_bytes(), &[7; 48]);
        assert_eq!(opened.peer, session(100).peer);
        assert!(server.open(&ticket, 101).is_none(), "too old");
        assert!(new.open(&ticket).is_none(), "another key");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(old.open(&changed).is_none(), "{at}");
        }
    }

    #[test]
    fn the_cache_keeps_the_newest_up_to_its_limit() {
        let mut cache = SessionCache::new(2);
        for id in [1, 2, 3] {
            cache.insert([id; 32], session(10));
        }
        assert!(cache.find(&[1; 32], 0).is_none());
        assert!(cache.find(&[2; 32], 10).is_some());
        assert!(cache.find(&[3; 32], 11).is_none(), "too old");
        assert!(cache.find(&[3; 31], 0).is_none());
        assert_eq!((cache.by_id.len(), cache.order.len()), (2, 2));
        let mut off = SessionCache::new(0);
        off.insert([1; 32], session(10));
        assert!(off.is_off() && off.find(&[1; 32], 0).is_none());
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(
            format!("{:?}", TicketKey::new(&[0x41; 32])),
            "TicketKey(..)"
        );
    }
}
