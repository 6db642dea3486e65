//! *kv*: what plugins keep.
//!
//! ```text
//! plugin \0 p \0 key               scope plugin
//! plugin \0 d \0 endpoint \0 key   scope device
//!   ─> revision (8 bytes), expiry in Unix milliseconds or 0 (8 bytes), value
//! ```
//!
//! The keys of a device stay when it leaves, and are there when it comes back: what is not to stay
//! is written with a time to live, or taken away in *on_gone*.
//!
//! In memory, or in a data base of the embedded store. It survives a reload and a restart; what was
//! written in the last moments before a power failure may be lost, all or nothing for each key.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Permission;
use crate::context::CallContext;
use crate::services::Clock;

/// What plugins keep.
pub(crate) struct Kv {
    backend: Backend,
    clock: Clock,
    /// How much each plugin keeps; its lock also makes a change of one plugin one step.
    used: Mutex<HashMap<Arc<str>, Arc<Mutex<Used>>>>,
}

/// What a plugin keeps.
struct Used {
    /// Bytes of keys and values. What has expired counts until its room is wanted.
    bytes: u64,
    /// Before this nothing of it expires, in Unix milliseconds.
    expires_ms: u64,
}

enum Backend {
    Memory(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>),
    Disk {
        database: fjall::Database,
        keys: fjall::Keyspace,
    },
}

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The plugin's.
    Plugin,
    /// The device's that the call is about.
    Device,
}

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KvEntry {
    pub(crate) value: Vec<u8>,
    /// From 1, one more with each change.
    pub(crate) revision: u64,
}

/// Why nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KvError {
    #[error("the plugin has no permission: kv; its manifest asks for it: permissions = [\"kv\"]")]
    PermissionDenied,
    #[error("the plugin keeps more than limits.state_bytes_max")]
    Quota,
    #[error("a key has 1 to {KEY_MAX} bytes without zeros, a value at most limits.output_max")]
    TooLarge,
    #[error("the revision is another")]
    Conflict,
    #[error("{0}")]
    Unavailable(String),
}

/// The longest key, in bytes.
const KEY_MAX: usize = 256;

/// Keys that one call lists, at most.
const LIST_MAX: u32 = 1000;

/// The bytes before a value.
const HEADER: usize = 16;

impl Kv {
    /// One that lasts as long as the process.
    pub(crate) fn in_memory() -> Kv {
        Kv {
            backend: Backend::Memory(Mutex::default()),
            clock: Clock::default(),
            used: Mutex::default(),
        }
    }

    /// One in a directory, which is made when it is not there.
    pub(crate) fn open(directory: &Path) -> std::io::Result<Kv> {
        let database = fjall::Database::builder(directory).open();
        let database = database.map_err(std::io::Error::other)?;
        let keys = database.keyspace("plugins", fjall::KeyspaceCreateOptions::default);
        Ok(Kv {
            backend: Backend::Disk {
                keys: keys.map_err(std::io::Error::other)?,
                database,
            },
            clock: Clock::default(),
            used: Mutex::default(),
        })
    }

    /// The same with another clock for what expires.
    pub(crate) fn by(mut self, clock: Clock) -> Kv {
        self.clock = clock;
        self
    }

    /// The lock of a plugin, with how much it keeps.
    fn used(&self, plugin: &Arc<str>) -> Result<Arc<Mutex<Used>>, KvError> {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get(plugin) {
            return Ok(Arc::clone(used));
        }
        let mut used = Used {
            bytes: 0,
            expires_ms: u64::MAX,
        };
        self.backend.each(&prefix(plugin), |key, value| {
            used.bytes += (key.len() + value.len()) as u64;
            used.expires_ms = used.expires_ms.min(expiry_ms(value));
            true
        })?;
        let used = Arc::new(Mutex::new(used));
        all.insert(Arc::clone(plugin), Arc::clone(&used));
        Ok(used)
    }

    fn get(&self, key: &[u8]) -> Result<Option<KvEntry>, KvError> {
        let stored = self.backend.get(key)?;
        Ok(stored
            .as_deref()
            .and_then(|stored| entry(stored, self.clock.now_ms())))
    }

    /// Changes what is under a key by what it is now; the answer says what becomes of it.
    fn change<T>(
        &self,
        plugin: &Arc<str>,
        key: &[u8],
        max: u64,
        change: impl FnOnce(Option<&KvEntry>) -> Result<(Change, T), KvError>,
    ) -> Result<(u64, T), KvError> {
        let used = self.used(plugin)?;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.backend.get(key)?;
        let before = stored
            .as_deref()
            .and_then(|stored| entry(stored, self.clock.now_ms()));
        let (change, answer) = change(before.as_ref())?;
        let size = |value: &[u8]| (key.len() + value.len()) as u64;
        let own = stored.as_deref().map_or(0, size);
        match change {
            Change::Remove => {
                self.backend.remove(key)?;
                used.bytes = used.bytes.saturating_sub(own);
                Ok((0, answer))
            }
            Change::Set(value, ttl_s) => {
                let revision = before.map_or(0, |before| before.revision) + 1;
                let expiry = ttl_s.map_or(0, |ttl| self.clock.now_ms() + u64::from(ttl) * 1000);
                let mut record = Vec::with_capacity(HEADER + value.len());
                record.extend_from_slice(&revision.to_be_bytes());
                record.extend_from_slice(&expiry.to_be_bytes());
                record.extend_from_slice(&value);
                let after = |used: &Used| used.bytes.saturating_sub(own) + size(&record);
                if after(&used) > max && used.expires_ms <= self.clock.now_ms() {
                    self.remove_expired(plugin, key, &mut used)?;
                }
                let after = after(&used);
                if after > max {
                    return Err(KvError::Quota);
                }
                self.backend.insert(key, record)?;
                used.bytes = after;
                if expiry > 0 {
                    used.expires_ms = used.expires_ms.min(expiry);
                }
                Ok((revision, answer))
            }
        }
    }

    /// Makes room: takes away what has expired of a plugin, but for the key that is being changed.
    fn remove_expired(
        &self,
        plugin: &Arc<str>,
        but: &[u8],
        used: &mut Used,
    ) -> Result<(), KvError> {
        let now = self.clock.now_ms();
        let mut expired = Vec::new();
        used.expires_ms = u64::MAX;
        self.backend.each(&prefix(plugin), |key, value| {
            let expiry = expiry_ms(value);
            match expiry <= now && key != but {
                true => expired.push((key.to_vec(), value.len())),
                false => used.expires_ms = used.expires_ms.min(expiry),
            }
            true
        })?;
        for (key, value_len) in expired {
            self.backend.remove(&key)?;
            used.bytes = used.bytes.saturating_sub((key.len() + value_len) as u64);
        }
        Ok(())
    }

    /// Names of keys that begin so, in their order.
    fn keys(&self, begin: &[u8], strip: usize, limit: u32) -> Result<Vec<String>, KvError> {
        let mut names = Vec::new();
        let now = self.clock.now_ms();
        self.backend.each(begin, |key, value| {
            if let (Some(_), Some(name)) = (entry(value, now), key.get(strip..)) {
                names.extend(std::str::from_utf8(name).map(str::to_owned));
            }
            names.len() < limit.min(LIST_MAX) as usize
        })?;
        Ok(names)
    }

    /// Makes what was written outlive a power failure.
    pub(crate) fn persist(&self) {
        if let Backend::Disk { database, .. } = &self.backend
            && let Err(error) = database.persist(fjall::PersistMode::SyncAll)
        {
            tracing::error!(%error, "the keys of plugins are not written");
        }
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        self.persist();
    }
}

/// What becomes of a key.
enum Change {
    Set(Vec<u8>, Option<u32>),
    Remove,
}

impl Backend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        match self {
            Backend::Memory(map) => {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(map.get(key).cloned())
            }
            Backend::Disk { keys, .. } => {
                let value = keys.get(key).map_err(unavailable)?;
                Ok(value.map(|value| value.to_vec()))
            }
        }
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> Result<(), KvError> {
        match self {
            Backend::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.insert(key.to_vec(), value);
                Ok(())
            }
            Backend::Disk { keys, .. } => keys.insert(key, value).map_err(unavailable),
        }
    }

    fn remove(&self, key: &[u8]) -> Result<(), KvError> {
        match self {
            Backend::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.remove(key);
                Ok(())
            }
            Backend::Disk { keys, .. } => keys.remove(key).map_err(unavailable),
        }
    }

    /// Visits keys that begin so, in their order, until the visitor has enough.
    fn each(
        &self,
        begin: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), KvError> {
        match self {
            Backend::Memory(map) => {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let from = (Bound::Included(begin), Bound::Unbounded);
                for (key, value) in map.range::<[u8], _>(from) {
                    if !key.starts_with(begin) || !visit(key, value) {
                        break;
                    }
                }
            }
            Backend::Disk { keys, .. } => {
                for guard in keys.prefix(begin) {
                    let (key, value) = guard.into_inner().map_err(unavailable)?;
                    if !visit(&key, &value) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl CallContext {
    /// Comes back on a thread that may wait for a disk, where there is one to wait for.
    #[cfg(feature = "wasm")]
    pub(crate) async fn kv_reached(&self) {
        if matches!(self.services().kv.backend, Backend::Disk { .. }) {
            self.leave_in_passing().await;
        }
    }

    /// What is under a key.
    pub(crate) fn kv_get(&self, scope: Scope, key: &str) -> Result<Option<KvEntry>, KvError> {
        self.services().kv.get(&self.full_key(scope, key)?)
    }

    /// Puts a value under a key, for so many seconds or for ever; the revision that it has.
    pub(crate) fn kv_set(
        &self,
        scope: Scope,
        key: &str,
        value: Vec<u8>,
        ttl_s: Option<u32>,
    ) -> Result<u64, KvError> {
        let change = |_: Option<&KvEntry>| Ok((Change::Set(value, ttl_s), ()));
        self.kv_change(scope, key, change)
            .map(|(revision, ())| revision)
    }

    /// The same, but only when the revision is still this one; 0 for a key that must not be there.
    pub(crate) fn kv_compare_and_set(
        &self,
        scope: Scope,
        key: &str,
        expected: u64,
        value: Vec<u8>,
        ttl_s: Option<u32>,
    ) -> Result<u64, KvError> {
        let change = |before: Option<&KvEntry>| match before.map_or(0, |b| b.revision) == expected {
            true => Ok((Change::Set(value, ttl_s), ())),
            false => Err(KvError::Conflict),
        };
        self.kv_change(scope, key, change)
            .map(|(revision, ())| revision)
    }

    /// Takes a key away.
    pub(crate) fn kv_delete(&self, scope: Scope, key: &str) -> Result<(), KvError> {
        let change = |_: Option<&KvEntry>| Ok((Change::Remove, ()));
        self.kv_change(scope, key, change).map(|_| ())
    }

    /// Adds to a number, which is 0 when it is not there, and is kept as decimal text.
    pub(crate) fn kv_increment(&self, scope: Scope, key: &str, by: i64) -> Result<i64, KvError> {
        let change = |before: Option<&KvEntry>| {
            let before = before.map_or(Ok(0), |before| {
                let text = std::str::from_utf8(&before.value).ok();
                let number = text.and_then(|text| text.parse::<i64>().ok());
                number.ok_or_else(|| KvError::Unavailable(format!("{key} is no number")))
            })?;
            let after = before.saturating_add(by);
            Ok((Change::Set(after.to_string().into_bytes(), None), after))
        };
        self.kv_change(scope, key, change).map(|(_, after)| after)
    }

    /// Names of keys that begin so.
    pub(crate) fn kv_keys(
        &self,
        scope: Scope,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, KvError> {
        let begin = self.begin_of(scope)?;
        let strip = begin.len();
        self.services()
            .kv
            .keys(&[&begin, prefix.as_bytes()].concat(), strip, limit)
    }

    fn kv_change<T>(
        &self,
        scope: Scope,
        key: &str,
        change: impl FnOnce(Option<&KvEntry>) -> Result<(Change, T), KvError>,
    ) -> Result<(u64, T), KvError> {
        let limits = &self.allowance.limits;
        let bounded = |before: Option<&KvEntry>| match change(before)? {
            (Change::Set(value, _), _) if value.len() > limits.output_max as usize => {
                Err(KvError::TooLarge)
            }
            change => Ok(change),
        };
        let key = self.full_key(scope, key)?;
        let plugin = &self.allowance.plugin;
        self.services()
            .kv
            .change(plugin, &key, limits.state_bytes_max, bounded)
    }

    fn full_key(&self, scope: Scope, key: &str) -> Result<Vec<u8>, KvError> {
        if !(1..=KEY_MAX).contains(&key.len()) || key.contains('\0') {
            return Err(KvError::TooLarge);
        }
        Ok([&self.begin_of(scope)?, key.as_bytes()].concat())
    }

    /// What the keys of a scope begin with.
    fn begin_of(&self, scope: Scope) -> Result<Vec<u8>, KvError> {
        if !self.may(&Permission::Kv) {
            return Err(KvError::PermissionDenied);
        }
        let plugin = prefix(&self.allowance.plugin);
        match (scope, &self.endpoint) {
            (Scope::Plugin, _) => Ok([&plugin, &b"p\0"[..]].concat()),
            (Scope::Device, Some(endpoint)) => {
                // A zero in a name would lead into the keys of another.
                let endpoint = endpoint.as_str().replace('\0', "\u{fffd}");
                Ok([&plugin, &b"d\0"[..], endpoint.as_bytes(), b"\0"].concat())
            }
            (Scope::Device, None) => {
                let what = "this call is about no device: use the scope of the plugin";
                Err(KvError::Unavailable(what.to_owned()))
            }
        }
    }
}

/// What all keys of a plugin begin with.
fn prefix(plugin: &str) -> Vec<u8> {
    [plugin.as_bytes(), b"\0"].concat()
}

/// What a record holds; none when it has expired, or is none of ours.
fn entry(stored: &[u8], now_ms: u64) -> Option<KvEntry> {
    let (revision, rest) = stored.split_first_chunk::<8>()?;
    let (expiry, value) = rest.split_first_chunk::<8>()?;
    let expiry = u64::from_be_bytes(*expiry);
    (expiry == 0 || now_ms < expiry).then(|| KvEntry {
        value: value.to_vec(),
        revision: u64::from_be_bytes(*revision),
    })
}

/// When a record expires, in Unix milliseconds; the largest number for never.
fn expiry_ms(stored: &[u8]) -> u64 {
    let expiry = stored
        .get(8..HEADER)
        .and_then(|bytes| bytes.try_into().ok());
    match expiry.map_or(0, u64::from_be_bytes) {
        0 => u64::MAX,
        expiry => expiry,
    }
}

fn unavailable(error: fjall::Error) -> KvError {
    KvError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
