//! Connection IDs (RFC 9146): those that we give out, and those that peers ask us to use.

/// A Connection ID of ours. Eight bytes name the shard and the slot of the session; what is
/// random in them keeps others from guessing the rest.
///
/// ```text
/// 0       1               4           6          8
/// | shard | slot, 24 bits | generation | random |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cid([u8; Cid::BYTES]);

impl Cid {
    pub(crate) const BYTES: usize = 8;

    /// The highest slot that fits.
    pub(crate) const SLOT_MAX: u32 = (1 << 24) - 1;

    pub(crate) fn new(shard: u8, slot: u32, generation: u32, random: [u8; 2]) -> Cid {
        debug_assert!(slot <= Cid::SLOT_MAX);
        let [_, a, b, c] = slot.to_be_bytes();
        let [_, _, d, e] = generation.to_be_bytes();
        Cid([shard, a, b, c, d, e, random[0], random[1]])
    }

    pub(crate) fn from_bytes(bytes: [u8; Cid::BYTES]) -> Cid {
        Cid(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Cid::BYTES] {
        &self.0
    }

    pub(crate) fn shard(&self) -> u8 {
        self.0[0]
    }

    pub(crate) fn slot(&self) -> u32 {
        u32::from_be_bytes([0, self.0[1], self.0[2], self.0[3]])
    }
}

/// A Connection ID of the peer, kept in place up to [`PeerCid::BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerCid {
    length: u8,
    bytes: [u8; PeerCid::BYTES_MAX],
}

impl PeerCid {
    /// The longest one that we write into records, in bytes.
    pub(crate) const BYTES_MAX: usize = 32;

    /// None when it is too long.
    pub(crate) fn new(cid: &[u8]) -> Option<PeerCid> {
        let mut bytes = [0; PeerCid::BYTES_MAX];
        bytes.get_mut(..cid.len())?.copy_from_slice(cid);
        Some(PeerCid {
            length: cid.len() as u8,
            bytes,
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_names_its_shard_and_slot() {
        let cid = Cid::new(3, 0x0a_0b_0c, 0xdead_0102, [9, 8]);
        assert_eq!(cid.as_bytes(), &[3, 0x0a, 0x0b, 0x0c, 1, 2, 9, 8]);
        assert_eq!((cid.shard(), cid.slot()), (3, 0x0a_0b_0c));
    }

    #[test]
    fn a_cid_of_a_peer_has_at_most_32_bytes() {
        assert_eq!(
            PeerCid::new(&[7; 32]).map(|cid| cid.as_bytes().len()),
            Some(32)
        );
        assert_eq!(PeerCid::new(&[7; 33]), None);
        assert!(PeerCid::new(&[]).is_some_and(|cid| cid.is_empty()));
    }
}
