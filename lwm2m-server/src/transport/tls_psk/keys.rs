//! The keys of one handshake: what the store says, for OpenSSL, which asks later.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lwm2m_dtls::{Failure, UnknownPskIdentity};

use super::binder;
use super::recall::{Recall, Who};
use crate::credentials::{Credential, CredentialStore, Proof, SecretKey};
use crate::hooks::CredentialRequest;
use crate::identity::PeerIdentity;
use crate::transport::tls::hello::ClientHello;

/// Bytes of a key that nobody has, for a peer that is not to learn which identities exist.
const NOBODYS_KEY_BYTES: usize = 16;

pub(super) type SharedKeys = Arc<Mutex<HandshakeKeys>>;

/// What the store has said about a handshake.
#[derive(Default)]
pub(super) struct HandshakeKeys {
    keys: Vec<HandshakeKey>,
    /// An identity that nobody knows, and whether the peer may learn that.
    unknown: Option<(Vec<u8>, UnknownPskIdentity)>,
    /// Which of `keys` OpenSSL was given last.
    used: Option<usize>,
}

/// The key for one identity.
struct HandshakeKey {
    identity: Vec<u8>,
    key: SecretKey,
    /// Whose it is; none for a key that nobody has.
    owner: Option<Owner>,
}

struct Owner {
    presented: PeerIdentity,
    credential: Arc<Credential>,
    who: Who,
}

impl HandshakeKeys {
    /// Gives OpenSSL a key; answers its length, 0 for none.
    pub(super) fn give(&mut self, identity: &[u8], buffer: &mut [u8]) -> usize {
        // OpenSSL ends an identity at a zero.
        let is_it =
            |key: &HandshakeKey| key.identity.split(|byte| *byte == 0).next() == Some(identity);
        let Some(index) = self.keys.iter().position(is_it) else {
            return 0;
        };
        let key = self.keys[index].key.expose();
        let Some(room) = buffer.get_mut(..key.len()) else {
            return 0;
        };
        room.copy_from_slice(key);
        self.used = Some(index);
        key.len()
    }

    /// Says so when nobody knows any identity of the peer.
    pub(super) fn nothing_known(&self) -> Option<Failure> {
        if self.keys.iter().any(|key| key.owner.is_some()) {
            return None;
        }
        let (identity, told) = self.unknown.as_ref()?;
        let identity = identity.as_slice().into();
        Some(match told {
            UnknownPskIdentity::Alert => Failure::UnknownPskIdentity { identity },
            UnknownPskIdentity::Conceal => Failure::ConcealedPskIdentity { identity },
        })
    }

    /// Says so when nobody knows any identity of the peer, and it may learn that.
    pub(super) fn nothing_to_try(&self) -> Option<Failure> {
        self.nothing_known().filter(|_| self.keys.is_empty())
    }

    /// What a wrong key is called.
    pub(super) fn wrong_key(&self) -> Option<Failure> {
        let key = self.keys.get(self.used?)?;
        let identity = key.identity.as_slice().into();
        Some(Failure::WrongKey { identity })
    }

    /// Who the peer is when it holds the key that was used, and the credential of that key.
    pub(super) fn into_used(mut self) -> Option<(PeerIdentity, Arc<Credential>)> {
        let owner = self.keys.swap_remove(self.used?).owner?;
        Some((owner.presented, owner.credential))
    }

    /// Whose key was used, as [`Recall`] knows it.
    pub(super) fn user(&self) -> Option<(&Who, &Arc<Credential>)> {
        let owner = self.keys.get(self.used?)?.owner.as_ref()?;
        Some((&owner.who, &owner.credential))
    }
}

/// Asks the store for the keys of one handshake.
pub(super) struct Search {
    pub(super) credentials: Arc<dyn CredentialStore>,
    pub(super) server_name: Option<String>,
    pub(super) unknown: UnknownPskIdentity,
    pub(super) recall: Arc<Mutex<Recall>>,
    pub(super) address: Option<IpAddr>,
    pub(super) keys: SharedKeys,
}

impl Search {
    /// TLS 1.3: the keys that a ClientHello offers.
    pub(super) async fn offered(self, hello: &ClientHello) {
        for offered in &hello.offered {
            let held = |candidate: &SecretKey| binder::fits(hello, &offered.binder, candidate);
            self.look_up(&offered.identity, |candidates| {
                candidates
                    .iter()
                    .position(|(key, _)| held(key))
                    .unwrap_or(0)
            })
            .await;
        }
        self.conceal();
    }

    /// TLS 1.2: the key that a ClientKeyExchange names.
    pub(super) async fn named(self, identity: Vec<u8>) {
        let who = Who::new(&identity, self.address);
        self.look_up(&identity, |candidates| {
            let ids = candidates.iter().map(|(_, credential)| &credential.id);
            lock(&self.recall).choose(&who, ids)
        })
        .await;
        self.conceal();
    }

    async fn look_up(
        &self,
        identity: &[u8],
        choose: impl FnOnce(&[(SecretKey, Arc<Credential>)]) -> usize,
    ) {
        let presented = PeerIdentity::psk(identity, self.server_name.as_deref());
        let request = CredentialRequest {
            presented: presented.clone(),
            scheme: Some("coaps+tcp"),
            peer: None,
        };
        let candidates = self.credentials.look_up_for(&request).await;
        let key_of = |credential: Arc<Credential>| match &credential.proof {
            Proof::Psk { key, .. } if credential.identify(&presented).is_some() => {
                Some((key.clone(), credential))
            }
            _ => None,
        };
        let mut candidates: Vec<_> = candidates.into_iter().filter_map(key_of).collect();
        let mut keys = lock(&self.keys);
        if candidates.is_empty() {
            keys.unknown = Some((identity.to_vec(), self.unknown));
            return;
        }
        let chosen = choose(&candidates).min(candidates.len() - 1);
        let (key, credential) = candidates.swap_remove(chosen);
        keys.keys.push(HandshakeKey {
            identity: identity.to_vec(),
            key,
            owner: Some(Owner {
                who: Who::new(identity, self.address),
                presented,
                credential,
            }),
        });
    }

    /// Gives a peer that is not to learn which identities exist a key that nobody has.
    fn conceal(&self) {
        let mut keys = lock(&self.keys);
        let nobodys = SecretKey::new(&rand::random::<[u8; NOBODYS_KEY_BYTES]>());
        if let (true, Some((identity, UnknownPskIdentity::Conceal)), Some(key)) =
            (keys.keys.is_empty(), keys.unknown.clone(), nobodys)
        {
            keys.keys.push(HandshakeKey {
                identity,
                key,
                owner: None,
            });
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
