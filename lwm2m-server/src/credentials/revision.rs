//! What a change of credentials means for those who hold them.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{Credential, CredentialChange, CredentialId};
use crate::identity::Authenticated;

/// What a change of credentials means for those who hold them.
#[derive(Debug)]
pub(crate) struct CredentialRevision {
    now: HashMap<CredentialId, Arc<Credential>>,
    gone: HashSet<CredentialId>,
    /// True when `now` is everything that there is.
    whole: bool,
}

impl CredentialRevision {
    /// Of one change; none when nothing that anybody can hold has changed.
    pub(crate) fn of_change(change: &CredentialChange) -> Option<CredentialRevision> {
        if change.removed.is_empty() {
            return None;
        }
        let named = |c: &Arc<Credential>| (c.id.clone(), Arc::clone(c));
        Some(CredentialRevision {
            now: change.added.iter().map(named).collect(),
            gone: change.removed.iter().map(|c| c.id.clone()).collect(),
            whole: false,
        })
    }

    /// Of everything that there is, after changes were lost.
    pub(crate) fn of_all(all: impl IntoIterator<Item = Arc<Credential>>) -> CredentialRevision {
        let named = |credential: Arc<Credential>| (credential.id.clone(), credential);
        CredentialRevision {
            now: all.into_iter().map(named).collect(),
            gone: HashSet::new(),
            whole: true,
        }
    }

    /// What is left of a session; none when the credentials that proved it are gone.
    pub(crate) fn apply(&self, held: &Arc<Authenticated>) -> Option<Arc<Authenticated>> {
        let touched = |credential: &Arc<Credential>| {
            self.whole
                || self.now.contains_key(&credential.id)
                || self.gone.contains(&credential.id)
        };
        if !held.credentials.iter().any(touched) {
            return Some(Arc::clone(held));
        }
        let left: Vec<Arc<Credential>> = held
            .credentials
            .iter()
            .filter_map(|credential| self.revised(credential))
            .collect();
        (!left.is_empty()).then(|| {
            Arc::new(Authenticated {
                identity: held.identity.clone(),
                credentials: left,
            })
        })
    }

    /// A credential that still proves the same is the same: only the names may have changed.
    fn revised(&self, held: &Arc<Credential>) -> Option<Arc<Credential>> {
        match self.now.get(&held.id) {
            Some(now) => {
                let same = now.proof == held.proof && now.server_name == held.server_name;
                same.then(|| Arc::clone(now))
            }
            None if self.whole && held.granted => Some(Arc::clone(held)),
            None if self.whole || self.gone.contains(&held.id) => None,
            None => Some(Arc::clone(held)),
        }
    }
}
