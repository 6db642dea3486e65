//! Which key a ClientHello of TLS 1.3 was made with (RFC 8446 §4.2.11.2, §7.1).
//!
//! OpenSSL checks the binder again; here it only says which of two keys OpenSSL is to be given.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::credentials::SecretKey;
use crate::transport::tls::hello::ClientHello;

/// Bytes of SHA-256.
const HASH_BYTES: usize = 32;

/// True when the holder of this key has made the binder.
pub(super) fn fits(hello: &ClientHello, binder: &[u8], key: &SecretKey) -> bool {
    let end = hello.message.len().checked_sub(hello.binders_bytes);
    let Some(bound) = end.and_then(|end| hello.message.get(..end)) else {
        return false;
    };
    let transcript = digest(&SHA256, bound);
    let early_secret = Salt::new(HKDF_SHA256, &[0; HASH_BYTES]).extract(key.expose());
    let nothing = digest(&SHA256, b"");
    let finished_key = expand(&early_secret, b"ext binder", nothing.as_ref())
        .map(|secret| Prk::new_less_safe(HKDF_SHA256, &secret))
        .and_then(|secret| expand(&secret, b"finished", b""));
    finished_key.is_some_and(|key| {
        let key = hmac::Key::new(HMAC_SHA256, &key);
        hmac::verify(&key, transcript.as_ref(), binder).is_ok()
    })
}

/// HKDF-Expand-Label.
fn expand(secret: &Prk, label: &[u8], context: &[u8]) -> Option<[u8; HASH_BYTES]> {
    const PREFIX: &[u8] = b"tls13 ";
    let info: [&[u8]; 6] = [
        &(HASH_BYTES as u16).to_be_bytes(),
        &[(PREFIX.len() + label.len()) as u8],
        PREFIX,
        label,
        &[context.len() as u8],
        context,
    ];
    let mut out = [0; HASH_BYTES];
    let expanded = secret.expand(&info, Hash).ok()?;
    expanded.fill(&mut out).ok()?;
    Some(out)
}

/// As much as a hash.
struct Hash;

impl KeyType for Hash {
    fn len(&self) -> usize {
        HASH_BYTES
    }
}
