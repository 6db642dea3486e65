//! Observations of ours, and which of two notifications is newer (RFC 7641 §3.4).

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{Code, SecurityBinding};

/// Seconds after which any notification is newer.
const FRESH_S: u32 = 128;

/// Half of the sequence numbers' range.
const HALF: u32 = 1 << 23;

/// An observation that stands with a peer.
#[derive(Debug)]
pub(super) struct Observation {
    /// The sequence number of the latest notification.
    pub(super) sequence: u32,
    /// When it came.
    pub(super) received_s: u32,
    /// To fetch the rest of a large notification.
    pub(super) template: Arc<Template>,
    /// Binds the notifications to the request, when they are protected.
    pub(super) binding: Option<Box<SecurityBinding>>,
}

/// What the request of an observation was, without its body. The same for many peers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    pub(super) code: Code,
    /// Encoded, without those of the engine.
    pub(super) options: Box<[u8]>,
}

/// Templates in use, each once.
#[derive(Debug, Default)]
pub(super) struct Templates {
    table: HashTable<Arc<Template>>,
    hasher: DefaultHashBuilder,
}

impl Templates {
    /// The shared template of this request.
    pub(super) fn intern(&mut self, code: Code, options: &[u8]) -> Arc<Template> {
        let hash = self.hasher.hash_one((code, options));
        let same = |other: &Arc<Template>| other.code == code && *other.options == *options;
        if let Some(template) = self.table.find(hash, same) {
            return Arc::clone(template);
        }
        let template = Arc::new(Template {
            code,
            options: Box::from(options),
        });
        let hasher = &self.hasher;
        self.table
            .insert_unique(hash, Arc::clone(&template), |other| {
                hasher.hash_one((other.code, &other.options[..]))
            });
        template
    }

    /// Gives a template back; it goes with its last user.
    pub(super) fn release(&mut self, template: Arc<Template>) {
        // One is the table's, one is this.
        if Arc::strong_count(&template) > 2 {
            return;
        }
        let hash = self.hasher.hash_one((template.code, &template.options[..]));
        let same = |other: &Arc<Template>| Arc::ptr_eq(other, &template);
        if let Ok(entry) = self.table.find_entry(hash, same) {
            entry.remove();
        }
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.table.len()
    }
}

impl Observation {
    /// Takes note of a notification; false when it is older than the latest.
    pub(super) fn is_fresh(&mut self, sequence: u32, now_s: u32) -> bool {
        let fresh =
            is_newer(self.sequence, sequence) || now_s > self.received_s.saturating_add(FRESH_S);
        if fresh {
            self.sequence = sequence;
            self.received_s = now_s;
        }
        fresh
    }
}

/// True when `next` follows `last` in numbers of 24 bits that wrap.
fn is_newer(last: u32, next: u32) -> bool {
    (last < next && next - last < HALF) || (last > next && last - next > HALF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_kept_once_and_goes_with_its_last_user() {
        let mut templates = Templates::default();
        let first = templates.intern(Code::GET, b"\xb13");
        let second = templates.intern(Code::GET, b"\xb13");
        let other = templates.intern(Code::FETCH, b"\xb13");
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        templates.release(first);
        assert_eq!(templates.len(), 2);
        templates.release(second);
        assert_eq!(templates.len(), 1);
        templates.release(other);
        assert_eq!(templates.len(), 0);
    }

    #[test]
    fn numbers_wrap_at_24_bits() {
        assert!(is_newer(1, 2) && !is_newer(2, 1) && !is_newer(2, 2));
        assert!(is_newer(0xff_ffff, 0) && !is_newer(0, 0xff_ffff));
        assert!(is_newer(0, HALF - 1) && !is_newer(0, HALF));
        assert!(is_newer(HALF + 1, 0) && !is_newer(HALF, 0));
    }

    #[test]
    fn after_128_seconds_everything_is_newer() {
        let mut observation = Observation {
            sequence: 9,
            received_s: 100,
            template: Templates::default().intern(Code::GET, b""),
            binding: None,
        };
        assert!(!observation.is_fresh(8, 228));
        assert!(observation.is_fresh(8, 229));
        assert!(!observation.is_fresh(8, 300));
        assert!(observation.is_fresh(9, 300));
    }
}
