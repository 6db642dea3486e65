//! The protection of records in epoch 1: AES-128 CCM, CCM_8, GCM (RFC 5288, 6655, 9146).
//!
//! The nonce is the 4 bytes of the key block and the 8 bytes of epoch and sequence number, which
//! also stand in front of the ciphertext. A sequence number is used once: [`Protection::seal`] is
//! the only place that counts, and a session that is restored jumps ahead.

use aes::Aes128Enc;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::replay::Freshness;
use super::{
    ContentType, Header, Number, PLAINTEXT_MAX, ReplayWindow, StreamProtection, VERSION_1_2,
    write_header,
};
use crate::cid::{Cid, PeerCid};
use crate::codec::{Reader, Write};
use crate::prf::{MasterSecret, Sender};
use crate::suite::{Aead, CipherSuite};

type Ccm8 = ccm::Ccm<Aes128Enc, U8, U12>;
type Ccm16 = ccm::Ccm<Aes128Enc, U16, U12>;

pub(super) const EXPLICIT_NONCE: usize = 8;
const KEY: usize = 16;
const IV: usize = 4;
/// One byte below the highest, so that the counter itself never overflows.
pub(super) const SEQUENCE_MAX: u64 = (1 << 48) - 2;

/// Key and implicit nonce of one direction.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct DirectionKey {
    key: [u8; KEY],
    iv: [u8; IV],
}

/// Keys of both directions.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeyBlock {
    client: DirectionKey,
    server: DirectionKey,
}

impl KeyBlock {
    /// Expands the master secret (RFC 5246 §6.3).
    pub(crate) fn derive(master: &MasterSecret, client: &[u8; 32], server: &[u8; 32]) -> KeyBlock {
        let mut block = [0; 2 * (KEY + IV)];
        master.key_block(client, server, &mut block);
        let direction = |key: usize, iv: usize| {
            let mut direction = DirectionKey {
                key: [0; KEY],
                iv: [0; IV],
            };
            direction.key.copy_from_slice(&block[key..key + KEY]);
            direction.iv.copy_from_slice(&block[iv..iv + IV]);
            direction
        };
        let keys = KeyBlock {
            client: direction(0, 2 * KEY),
            server: direction(KEY, 2 * KEY + IV),
        };
        block.zeroize();
        keys
    }
}

/// Both directions of an epoch: keys, counters, Connection IDs. There is no second one with the
/// same keys, which would use the same numbers.
pub(crate) struct Protection {
    aead: Aead,
    read: DirectionKey,
    write: DirectionKey,
    /// Next number to send.
    sequence: u64,
    window: ReplayWindow,
    /// What the peer must put into its records.
    read_cid: Option<Cid>,
    /// What we must put into ours.
    write_cid: Option<Box<PeerCid>>,
}

/// A record that was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) content_type: ContentType,
    /// Where the plaintext is in the fragment.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Newer than all before.
    pub(crate) newest: bool,
}

impl Protection {
    /// `role` is ours.
    pub(crate) fn new(
        suite: CipherSuite,
        keys: KeyBlock,
        role: Sender,
        read_cid: Option<Cid>,
        write_cid: Option<PeerCid>,
    ) -> Protection {
        let (read, write) = match role {
            Sender::Client => (&keys.server, &keys.client),
            Sender::Server => (&keys.client, &keys.server),
        };
        Protection {
            aead: suite.aead(),
            read: read.clone(),
            write: write.clone(),
            sequence: 0,
            window: ReplayWindow::default(),
            read_cid,
            write_cid: write_cid.filter(|cid| !cid.is_empty()).map(Box::new),
        }
    }

    /// The epoch that this crate protects records in: there is no renegotiation.
    pub(crate) const EPOCH: u16 = 1;

    /// Appends a record. False, and nothing appended, when the sequence numbers are used up.
    #[must_use]
    pub(crate) fn seal(
        &mut self,
        out: &mut Vec<u8>,
        content_type: ContentType,
        plaintext: &[u8],
    ) -> bool {
        debug_assert!(plaintext.len() <= PLAINTEXT_MAX);
        if !self.can_send() {
            return false;
        }
        let number = Number::new(Protection::EPOCH, self.sequence);
        self.sequence += 1;
        let cid = self.write_cid.as_deref();
        let (outer, cid) = match cid {
            Some(cid) => (ContentType::Tls12Cid, cid.as_bytes()),
            None => (content_type, &[][..]),
        };
        let inner = plaintext.len() + usize::from(!cid.is_empty());
        write_header(out, outer, number, cid);
        out.put_u16((EXPLICIT_NONCE + inner + self.aead.tag_bytes()) as u16);
        out.put(&number.to_bytes());
        let start = out.len();
        out.put(plaintext);
        if !cid.is_empty() {
            out.put_u8(content_type.code());
        }
        let aad = AdditionalData::new(outer, VERSION_1_2, number, cid, inner);
        let nonce = nonce(&self.write, number.to_bytes());
        encrypt(self.aead, &self.write, nonce, aad.as_bytes(), out, start);
        true
    }

    /// Opens a record in place, checks it against the window and marks it there. None when it is
    /// not authentic or a replay; `fragment` is then of no use any more.
    pub(crate) fn open(&mut self, header: &Header, fragment: &mut [u8]) -> Option<Opened> {
        if header.number.epoch() != Protection::EPOCH
            || header.version != VERSION_1_2
            || header.cid != self.read_cid
        {
            return None;
        }
        let freshness = self.window.check(header.number.sequence())?;
        let tag = self.aead.tag_bytes();
        let length = fragment.len().checked_sub(EXPLICIT_NONCE + tag)?;
        let (explicit, body) = fragment.split_first_chunk_mut::<EXPLICIT_NONCE>()?;
        let nonce = nonce(&self.read, *explicit);
        let cid = self.read_cid.as_ref().map_or(&[][..], |cid| cid.as_bytes());
        let aad = AdditionalData::new(
            header.content_type,
            header.version,
            header.number,
            cid,
            length,
        );
        decrypt(self.aead, &self.read, nonce, aad.as_bytes(), body)?;
        self.window.mark(header.number.sequence());
        let newest = freshness == Freshness::Newest;
        let (content_type, length) = match header.cid {
            None => (header.content_type, length),
            // RFC 9146 §4: the content, its type, zeros.
            Some(_) => {
                let at = body[..length].iter().rposition(|byte| *byte != 0)?;
                let inner = ContentType::from_code(body[at]);
                (inner.filter(|inner| *inner != ContentType::Tls12Cid)?, at)
            }
        };
        (length <= PLAINTEXT_MAX).then_some(Opened {
            content_type,
            start: EXPLICIT_NONCE,
            end: EXPLICIT_NONCE + length,
            newest,
        })
    }

    /// Numbers that an imported session leaves out: more than can have been sent since its export.
    pub(crate) const JUMP: u64 = 1 << 24;

    /// Appends keys, counters and Connection IDs.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for direction in [&self.read, &self.write] {
            out.put(&direction.key);
            out.put(&direction.iv);
        }
        let (next, seen) = self.window.state();
        for number in [self.sequence, next, seen] {
            out.put(&number.to_be_bytes());
        }
        out.put_vector8(self.read_cid.as_ref().map_or(&[], |cid| cid.as_bytes()));
        out.put_vector8(self.write_cid.as_ref().map_or(&[], |cid| cid.as_bytes()));
    }

    /// Reads what [`Protection::write_to`] wrote, and jumps ahead.
    pub(crate) fn read_from(reader: &mut Reader<'_>, suite: CipherSuite) -> Option<Protection> {
        let mut direction = || {
            Some(DirectionKey {
                key: reader.array()?,
                iv: reader.array()?,
            })
        };
        let (read, write) = (direction()?, direction()?);
        let sequence = reader.u64()?.checked_add(Protection::JUMP)?;
        let window = ReplayWindow::restore(reader.u64()?, reader.u64()?);
        let read_cid = match reader.vector8()? {
            [] => None,
            cid => Some(Cid::from_bytes(cid.try_into().ok()?)),
        };
        let write_cid = PeerCid::new(reader.vector8()?)?;
        Some(Protection {
            aead: suite.aead(),
            read,
            write,
            sequence,
            window,
            read_cid,
            write_cid: (!write_cid.is_empty()).then(|| Box::new(write_cid)),
        })
    }

    /// The same keys for a stream. Only one of the two may be used.
    pub(crate) fn to_stream(&self) -> StreamProtection {
        StreamProtection::new(self.aead, self.read.clone(), self.write.clone())
    }

    /// False when the sequence numbers are used up.
    pub(crate) fn can_send(&self) -> bool {
        self.sequence <= SEQUENCE_MAX
    }

    /// True for a number that has come, or is too old to tell.
    pub(crate) fn has_seen(&self, sequence: u64) -> bool {
        self.window.check(sequence).is_none()
    }

    /// Bytes that protection adds to a plaintext, the header included.
    pub(crate) fn overhead(&self) -> usize {
        let cid = self
            .write_cid
            .as_ref()
            .map_or(0, |cid| cid.as_bytes().len() + 1);
        Header::BYTES + cid + EXPLICIT_NONCE + self.aead.tag_bytes()
    }

    pub(crate) fn read_cid(&self) -> Option<Cid> {
        self.read_cid
    }
}

/// What is authenticated and not encrypted: 13 bytes, with a Connection ID more (RFC 9146 §5.3).
pub(super) struct AdditionalData {
    bytes: [u8; AdditionalData::MAX],
    length: usize,
}

impl AdditionalData {
    const MAX: usize = 23 + PeerCid::BYTES_MAX;

    pub(super) fn new(
        content_type: ContentType,
        version: u16,
        number: Number,
        cid: &[u8],
        inner: usize,
    ) -> AdditionalData {
        let mut data = AdditionalData {
            bytes: [0; AdditionalData::MAX],
            length: 0,
        };
        let code = content_type.code();
        if cid.is_empty() {
            data.push(&number.to_bytes());
            data.push(&[code]);
            data.push(&version.to_be_bytes());
        } else {
            data.push(&[0xff; 8]);
            data.push(&[code, cid.len() as u8, code]);
            data.push(&version.to_be_bytes());
            data.push(&number.to_bytes());
            data.push(cid);
        }
        data.push(&(inner as u16).to_be_bytes());
        data
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

pub(super) fn nonce(
    direction: &DirectionKey,
    explicit: [u8; EXPLICIT_NONCE],
) -> [u8; IV + EXPLICIT_NONCE] {
    let mut nonce = [0; IV + EXPLICIT_NONCE];
    nonce[..IV].copy_from_slice(&direction.iv);
    nonce[IV..].copy_from_slice(&explicit);
    nonce
}

/// Encrypts `out[start..]` and appends the tag.
pub(super) fn encrypt(
    aead: Aead,
    direction: &DirectionKey,
    nonce: [u8; 12],
    aad: &[u8],
    out: &mut Vec<u8>,
    start: usize,
) {
    const REASON: &str = "invariant: a record is shorter than what the cipher takes";
    let body = &mut out[start..];
    match aead {
        Aead::Ccm8 => {
            let cipher = Ccm8::new((&direction.key).into());
            let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, body.into());
            out.put(&tag.expect(REASON));
        }
        Aead::Ccm => {
            let cipher = Ccm16::new((&direction.key).into());
            let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, body.into());
            out.put(&tag.expect(REASON));
        }
        Aead::Gcm => {
            let key = gcm(direction);
            let nonce = Nonce::assume_unique_for_key(nonce);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body);
            out.put(tag.expect(REASON).as_ref());
        }
    }
}

/// Decrypts `body`, whose end is the tag; none when it is not authentic.
pub(super) fn decrypt(
    aead: Aead,
    direction: &DirectionKey,
    nonce: [u8; 12],
    aad: &[u8],
    body: &mut [u8],
) -> Option<()> {
    match aead {
        Aead::Ccm8 => {
            let (body, tag) = body.split_last_chunk_mut::<8>()?;
            let cipher = Ccm8::new((&direction.key).into());
            let tag = (&*tag).into();
            cipher.decrypt_inout_detached(&nonce.into(), aad, body.into(), tag)
        }
        Aead::Ccm => {
            let (body, tag) = body.split_last_chunk_mut::<16>()?;
            let cipher = Ccm16::new((&direction.key).into());
            let tag = (&*tag).into();
            cipher.decrypt_inout_detached(&nonce.into(), aad, body.into(), tag)
        }
        Aead::Gcm => {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let opened = gcm(direction).open_in_place(nonce, Aad::from(aad), body);
            return opened.ok().map(|_| ());
        }
    }
    .ok()
}

fn gcm(direction: &DirectionKey) -> LessSafeKey {
    let key = UnboundKey::new(&AES_128_GCM, &direction.key);
    LessSafeKey::new(key.expect("invariant: the key has 16 bytes"))
}

#[cfg(test)]
mod tests;
