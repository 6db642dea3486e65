//! Credentials in memory: every answer is there at once.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashMap;

use super::{
    Credential, CredentialChange, CredentialChangeSender, CredentialChanges, CredentialError,
    CredentialFilter, CredentialId, CredentialStore, CredentialStoreError, CredentialUpdate,
    KEYS_PER_IDENTITY_MAX, LookUp, NamePattern, Proof,
};
use crate::EndpointName;
use crate::identity::PeerIdentity;

/// Credentials in memory; gone with the process.
#[derive(Debug, Default)]
pub struct MemoryCredentials {
    tables: RwLock<Tables>,
    limits: CredentialLimits,
    changes: CredentialChangeSender,
}

/// Bounds on what a store takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialLimits {
    /// Credentials in all; 2 000 000.
    pub credentials_max: usize,
    /// Credentials that cannot be found by an identity or an endpoint name, because one of them is a
    /// pattern: they are compared with each peer; 1024.
    pub patterns_max: usize,
    /// Bytes of the file of [`FileCredentials`](super::FileCredentials); 1 GiB. A larger one is neither
    /// read nor written.
    pub file_bytes_max: u64,
}

impl Default for CredentialLimits {
    fn default() -> CredentialLimits {
        CredentialLimits {
            credentials_max: 2_000_000,
            patterns_max: 1024,
            file_bytes_max: 1 << 30,
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Tables {
    by_id: BTreeMap<CredentialId, Arc<Credential>>,
    by_key: HashMap<Key, Vec<Arc<Credential>>>,
    /// How many credentials stand for an endpoint name by this very name.
    by_endpoint: HashMap<EndpointName, u32>,
    /// Those with a certificate rule that names no one certificate.
    rules: Vec<Arc<Credential>>,
    /// Those whose endpoint names cannot be listed.
    open: Vec<Arc<Credential>>,
}

/// What a credential is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Psk(Box<[u8]>),
    Rpk([u8; 32]),
    Fingerprint([u8; 32]),
    CommonName(String),
    Oscore(Box<[u8]>),
}

impl MemoryCredentials {
    /// An empty store with limits of its own.
    pub fn new(limits: CredentialLimits) -> MemoryCredentials {
        MemoryCredentials {
            limits,
            ..MemoryCredentials::default()
        }
    }

    /// Every credential, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Credential>> {
        self.tables().by_id.values().cloned().collect()
    }

    /// What an update would leave, without taking it: for those who must keep it elsewhere first.
    ///
    /// # Errors
    /// Those of [`CredentialStore::apply`].
    pub fn preview(
        &self,
        update: &CredentialUpdate,
    ) -> Result<Vec<Arc<Credential>>, CredentialStoreError> {
        let mut tables = self.tables().clone();
        tables.apply(update, &self.limits)?;
        Ok(tables.by_id.into_values().collect())
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, update: &CredentialUpdate) -> Result<(), CredentialStoreError> {
        let change = {
            let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
            tables.apply(update, &self.limits)?
        };
        self.changes.send(change);
        Ok(())
    }
}

impl CredentialStore for MemoryCredentials {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        let tables = self.tables();
        let keys = Key::presented(identity);
        let found = keys.iter().filter_map(|key| tables.by_key.get(key));
        let rules = match identity {
            PeerIdentity::X509(_) => tables.rules.as_slice(),
            _ => &[],
        };
        let candidates = found.flatten().chain(rules);
        let fits = |candidate: &&Arc<Credential>| candidate.identify(identity).is_some();
        LookUp::Now(candidates.filter(fits).cloned().collect())
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        let tables = self.tables();
        let named = tables.by_endpoint.contains_key(endpoint);
        named || tables.open.iter().any(|open| open.covers(endpoint))
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        LookUp::Now(self.tables().by_id.get(id).cloned())
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        let tables = self.tables();
        let after = filter.after.as_deref().and_then(CredentialId::new);
        let from = match &after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Unbounded,
        };
        let behind = tables
            .by_id
            .range::<CredentialId, _>((from, Bound::Unbounded));
        let wanted = behind
            .map(|(_, credential)| credential)
            .filter(|c| filter.wants(c));
        let limit = filter.limit.unwrap_or(CredentialFilter::LIMIT);
        LookUp::Now(wanted.take(limit).cloned().collect())
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        LookUp::Now(self.change(&update))
    }

    fn changes(&self) -> CredentialChanges {
        self.changes.subscribe()
    }
}

impl Tables {
    /// Takes an update as a whole, or leaves everything as it was.
    fn apply(
        &mut self,
        update: &CredentialUpdate,
        limits: &CredentialLimits,
    ) -> Result<CredentialChange, CredentialStoreError> {
        let mut change = CredentialChange::default();
        let outcome = self.try_apply(update, limits, &mut change);
        match outcome {
            Ok(()) => Ok(change),
            Err(error) => {
                for credential in &change.added {
                    self.remove(&credential.id);
                }
                for credential in change.removed {
                    self.insert(credential);
                }
                Err(error)
            }
        }
    }

    fn try_apply(
        &mut self,
        update: &CredentialUpdate,
        limits: &CredentialLimits,
        change: &mut CredentialChange,
    ) -> Result<(), CredentialStoreError> {
        for id in &update.remove {
            let removed = self.remove(id);
            let removed = removed.ok_or_else(|| CredentialStoreError::NotFound(id.clone()))?;
            change.removed.push(removed);
        }
        for (index, credential) in update.add.iter().enumerate() {
            let refused = |error| CredentialStoreError::Refused { index, error };
            credential.check().map_err(refused)?;
            self.check_unique(credential)
                .map_err(|error| CredentialStoreError::Taken { index, error })?;
            if self.by_id.len() >= limits.credentials_max {
                let max = limits.credentials_max;
                return Err(CredentialStoreError::Full { max });
            }
            let places = Places::of(credential);
            let full = (places.key.is_none() && self.rules.len() >= limits.patterns_max)
                || (places.endpoints.is_none() && self.open.len() >= limits.patterns_max);
            if full {
                let max = limits.patterns_max;
                return Err(CredentialStoreError::TooManyPatterns { max });
            }
            let credential = Arc::new(credential.clone());
            change.added.push(Arc::clone(&credential));
            self.insert(credential);
        }
        Ok(())
    }

    /// One id for one credential, and one credential for one identity; while pre-shared keys
    /// change, two.
    fn check_unique(&self, credential: &Credential) -> Result<(), CredentialError> {
        if self.by_id.contains_key(&credential.id) {
            return Err(CredentialError {
                field: "id",
                message: format!("there is a credential {} already", credential.id),
            });
        }
        let Some(identity) = credential.own_identity() else {
            return Ok(());
        };
        let others = Key::presented(&identity).into_iter();
        let others = others.filter_map(|key| self.by_key.get(&key)).flatten();
        let same: Vec<&Arc<Credential>> = others
            .filter(|other| other.own_identity().as_ref() == Some(&identity))
            .collect();
        let (field, max) = match &credential.proof {
            Proof::Psk { .. } => ("identity", KEYS_PER_IDENTITY_MAX),
            Proof::Oscore(_) => ("recipient_id", 1),
            _ => ("spki_sha256", 1),
        };
        if same.iter().any(|other| other.proof == credential.proof) {
            return Err(CredentialError {
                field,
                message: format!("{} has the same identity and key", same[0].id),
            });
        }
        if same.len() >= max {
            let ids: Vec<&str> = same.iter().map(|other| other.id.as_str()).collect();
            let message = format!("{} has this identity: remove it first", ids.join(", "));
            return Err(CredentialError { field, message });
        }
        Ok(())
    }

    fn insert(&mut self, credential: Arc<Credential>) {
        let places = Places::of(&credential);
        match places.key {
            Some(key) => self
                .by_key
                .entry(key)
                .or_default()
                .push(Arc::clone(&credential)),
            None => self.rules.push(Arc::clone(&credential)),
        }
        match places.endpoints {
            Some(endpoints) => {
                for endpoint in endpoints {
                    *self.by_endpoint.entry(endpoint).or_default() += 1;
                }
            }
            None => self.open.push(Arc::clone(&credential)),
        }
        self.by_id.insert(credential.id.clone(), credential);
    }

    fn remove(&mut self, id: &CredentialId) -> Option<Arc<Credential>> {
        let credential = self.by_id.remove(id)?;
        let others = |other: &Arc<Credential>| other.id != *id;
        let places = Places::of(&credential);
        match places.key {
            Some(key) => {
                if let Some(same) = self.by_key.get_mut(&key) {
                    same.retain(others);
                    if same.is_empty() {
                        self.by_key.remove(&key);
                    }
                }
            }
            None => self.rules.retain(others),
        }
        match places.endpoints {
            Some(endpoints) => {
                for endpoint in endpoints {
                    if let Some(count) = self.by_endpoint.get_mut(&endpoint) {
                        *count -= 1;
                        if *count == 0 {
                            self.by_endpoint.remove(&endpoint);
                        }
                    }
                }
            }
            None => self.open.retain(others),
        }
        Some(credential)
    }
}

/// Where a credential stands in the tables.
struct Places {
    /// None when it is compared with every certificate.
    key: Option<Key>,
    /// None when its endpoint names cannot be listed.
    endpoints: Option<Vec<EndpointName>>,
}

impl Places {
    fn of(credential: &Credential) -> Places {
        let key = match &credential.proof {
            Proof::Psk { identity, .. } => Some(Key::Psk(identity.clone())),
            Proof::Rpk { spki_sha256 } => Some(Key::Rpk(*spki_sha256)),
            Proof::Oscore(oscore) => Some(Key::Oscore(oscore.recipient_id.as_slice().into())),
            Proof::X509(rule) => {
                let name = rule.common_name.as_ref().and_then(NamePattern::literal);
                let fingerprint = rule.fingerprint.map(Key::Fingerprint);
                fingerprint.or_else(|| name.map(|name| Key::CommonName(name.to_owned())))
            }
        };
        let identity = credential.own_identity();
        let mut endpoints = Some(Vec::new());
        for pattern in &credential.endpoints {
            let known = identity.is_some() || !pattern.has_fields();
            match &mut endpoints {
                Some(names) if known && !pattern.is_open() => {
                    let listed =
                        pattern.names(identity.as_ref().unwrap_or(&PeerIdentity::Anonymous));
                    names.extend(listed.iter().filter_map(|name| EndpointName::new(name)));
                }
                _ => endpoints = None,
            }
        }
        Places { key, endpoints }
    }
}

impl Key {
    /// What the credentials of a peer may be found by.
    fn presented(identity: &PeerIdentity) -> Vec<Key> {
        match identity {
            PeerIdentity::Anonymous => Vec::new(),
            PeerIdentity::Psk(psk) => vec![Key::Psk(psk.identity.clone())],
            PeerIdentity::Rpk(rpk) => vec![Key::Rpk(rpk.sha256)],
            PeerIdentity::Oscore(oscore) => vec![Key::Oscore(oscore.sender_id.clone())],
            PeerIdentity::X509(x509) => {
                let name = x509.common_name.clone().map(Key::CommonName);
                let fingerprint = Key::Fingerprint(x509.fingerprint);
                std::iter::once(fingerprint).chain(name).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
