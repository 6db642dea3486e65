//! Which of two keys a device does not hold, for the next handshake of TLS 1.2.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::keys::HandshakeKeys;
use crate::credentials::CredentialId;
use crate::identity::sha256;

/// Devices that are remembered, at most: those that change their key and have just failed.
const RECALLED_MAX: usize = 1024;

/// A device: its identity and where it is, so that nobody elsewhere can steer which key is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who([u8; 32]);

impl Who {
    pub(super) fn new(identity: &[u8], address: Option<IpAddr>) -> Who {
        let address = match address {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(ip)) => ip.octets(),
            None => [0; 16],
        };
        Who(sha256(&[&address, identity].concat()))
    }
}

/// The keys that have failed.
#[derive(Debug, Default)]
pub(super) struct Recall {
    /// The oldest first.
    failed: VecDeque<(Who, CredentialId)>,
}

impl Recall {
    /// The one to try: the first that has not failed.
    pub(super) fn choose<'c>(
        &self,
        who: &Who,
        mut candidates: impl Iterator<Item = &'c CredentialId>,
    ) -> usize {
        let failed = self.failed.iter().find(|(of, _)| of == who);
        let has_not_failed = |id: &CredentialId| failed.is_none_or(|(_, failed)| failed != id);
        candidates.position(has_not_failed).unwrap_or(0)
    }

    /// A handshake has failed with the key that it used.
    pub(super) fn failed(&mut self, keys: &HandshakeKeys) {
        if let Some((who, credential)) = keys.user() {
            self.note(who.clone(), credential.id.clone());
        }
    }

    fn note(&mut self, who: Who, id: CredentialId) {
        self.failed.retain(|(of, _)| *of != who);
        if self.failed.len() >= RECALLED_MAX {
            self.failed.pop_front();
        }
        self.failed.push_back((who, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CredentialId {
        CredentialId::new(text).expect("an id")
    }

    #[test]
    fn the_key_that_has_failed_gives_way_to_the_other() {
        let mut recall = Recall::default();
        let (old, new) = (id("old"), id("new"));
        let here = Who::new(b"meter", Some([10, 0, 0, 1].into()));
        let elsewhere = Who::new(b"meter", Some([10, 0, 0, 2].into()));
        assert_eq!(recall.choose(&here, [&old, &new].into_iter()), 0);
        recall.note(here.clone(), old.clone());
        assert_eq!(recall.choose(&here, [&old, &new].into_iter()), 1);
        assert_eq!(recall.choose(&elsewhere, [&old, &new].into_iter()), 0);
        recall.note(here.clone(), new.clone());
        assert_eq!(recall.choose(&here, [&old, &new].into_iter()), 0);
        // The only one there is.
        assert_eq!(recall.choose(&here, [&new].into_iter()), 0);
    }

    #[test]
    fn one_device_more_than_the_limit_forgets_the_oldest() {
        let mut recall = Recall::default();
        let who = |n: usize| Who::new(&n.to_be_bytes(), None);
        for n in 0..=RECALLED_MAX {
            recall.note(who(n), id("old"));
        }
        assert_eq!(recall.failed.len(), RECALLED_MAX);
        let (old, new) = (id("old"), id("new"));
        assert_eq!(recall.choose(&who(0), [&old, &new].into_iter()), 0);
        assert_eq!(recall.choose(&who(1), [&old, &new].into_iter()), 1);
    }
}
