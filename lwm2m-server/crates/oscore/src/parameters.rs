//! What two peers have agreed on, and how keys come of it (RFC 8613 §3.2).

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::aead::{IV_LEN, KEY_LEN};
use crate::cose;
use crate::{DeriveError, IdContext, KeyId};

/// The input of the derivation: object 21 of LwM2M, seen from either side.
///
/// The algorithms are AES-CCM-16-64-128 and HKDF-SHA-256.
#[derive(Clone)]
pub struct Parameters {
    /// Resource 0, not empty.
    pub master_secret: Zeroizing<Vec<u8>>,
    /// Resource 5, empty by default.
    pub master_salt: Vec<u8>,
    /// Resource 6, none by default.
    pub id_context: Option<IdContext>,
    /// Our Sender ID: for a server resource 2, for a device resource 1.
    pub sender_id: KeyId,
    /// Our Recipient ID: for a server resource 1, for a device resource 2.
    pub recipient_id: KeyId,
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters")
            .field("id_context", &self.id_context)
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .finish_non_exhaustive()
    }
}

impl Parameters {
    /// Tells the keys of these parameters from all others, and gives nothing of them away.
    ///
    /// # Errors
    /// An empty Master Secret.
    pub fn fingerprint(&self) -> Result<KeyFingerprint, DeriveError> {
        Ok(Keys::derive(self)?.fingerprint)
    }
}

/// What is known about the requests that a peer has sent under a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// Nothing: the first request has to be proven fresh by an Echo (RFC 8613 Appendix B.1.2).
    Unknown,
    /// There has been none: the context was never used before.
    Unused,
    /// None with this number or a higher one: those are taken, a lower one has to be proven fresh by
    /// an Echo.
    Below(u64),
    /// Exactly these, and perhaps all before them.
    Received(ReceivedRequests),
}

/// The requests that a replay window remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedRequests {
    /// The highest sequence number.
    pub highest: u64,
    /// Bit `i` is set when `highest - i` was received.
    pub numbers: u32,
}

/// Tells the keys of a context from those of others with the same name: what was received under the
/// one says nothing of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyFingerprint(pub [u8; KeyFingerprint::LEN]);

impl KeyFingerprint {
    /// Its length, in bytes.
    pub const LEN: usize = 8;
}

/// The secrets of a context.
pub(crate) struct Keys {
    pub(crate) sender: Zeroizing<[u8; KEY_LEN]>,
    pub(crate) recipient: Zeroizing<[u8; KEY_LEN]>,
    pub(crate) common_iv: Zeroizing<[u8; IV_LEN]>,
    pub(crate) fingerprint: KeyFingerprint,
}

impl Keys {
    pub(crate) fn derive(parameters: &Parameters) -> Result<Keys, DeriveError> {
        if parameters.sender_id == parameters.recipient_id {
            return Err(DeriveError::EqualIds);
        }
        if parameters.master_secret.is_empty() {
            return Err(DeriveError::EmptySecret);
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &parameters.master_salt);
        let secret = salt.extract(&parameters.master_secret);
        let id_context = parameters.id_context.as_ref().map(IdContext::as_bytes);
        let key = |id: &KeyId| expand(&secret, &cose::info(id.as_bytes(), id_context, "Key", 16));
        // A label of our own, so that it is independent of the keys.
        let recipient_id = parameters.recipient_id.as_bytes();
        let length = KeyFingerprint::LEN as u8;
        let label = cose::info(recipient_id, id_context, "Fingerprint", length);
        Ok(Keys {
            sender: key(&parameters.sender_id),
            recipient: key(&parameters.recipient_id),
            common_iv: expand(&secret, &cose::info(&[], id_context, "IV", 13)),
            fingerprint: KeyFingerprint(*expand(&secret, &label)),
        })
    }
}

fn expand<const N: usize>(secret: &hkdf::Prk, info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    // RFC 5869 allows 255 times the hash, and aws-lc has no other error.
    secret
        .expand(&[info], Length(N))
        .and_then(|output| output.fill(&mut key[..]))
        .expect("invariant: 8 to 16 bytes are within the limit of hkdf");
    key
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
