//! AES-CCM-16-64-128 (RFC 9053 §4.2): key of 16 bytes, nonce of 13, tag of 8.

use aes::Aes128;
use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};

pub(crate) const KEY_LEN: usize = 16;
pub(crate) const IV_LEN: usize = 13;
pub(crate) const TAG_LEN: usize = 8;

type Cipher = Ccm<Aes128, U8, U13>;

/// Encrypts in place and appends the tag; false when the plaintext has more than
/// 65535 bytes, which the nonce leaves room for.
#[must_use]
pub(crate) fn seal(
    key: &[u8; KEY_LEN],
    nonce: &[u8; IV_LEN],
    additional_data: &[u8],
    text: &mut Vec<u8>,
) -> bool {
    let cipher = Cipher::new(key.into());
    cipher
        .encrypt_in_place(nonce.into(), additional_data, text)
        .is_ok()
}

/// Decrypts in place and takes the tag off; false when the tag is wrong.
#[must_use]
pub(crate) fn open(
    key: &[u8; KEY_LEN],
    nonce: &[u8; IV_LEN],
    additional_data: &[u8],
    text: &mut Vec<u8>,
) -> bool {
    let cipher = Cipher::new(key.into());
    cipher
        .decrypt_in_place(nonce.into(), additional_data, text)
        .is_ok()
}
