//! The CBOR structures that keys and ciphertexts are bound to (RFC 8613 §3.2.1, §5.2, §5.4).

use minicbor::Encoder;

use crate::aead::IV_LEN;
use crate::{KeyId, PartialIv};

/// AES-CCM-16-64-128 in the COSE registry.
pub(crate) const AES_CCM_16_64_128: u8 = 10;

/// `[id, id_context, alg_aead, type, L]`
pub(crate) fn info(id: &[u8], id_context: Option<&[u8]>, kind: &str, len: u8) -> Vec<u8> {
    write(|cbor| {
        cbor.array(5)?.bytes(id)?;
        match id_context {
            Some(context) => cbor.bytes(context)?,
            None => cbor.null()?,
        };
        cbor.u8(AES_CCM_16_64_128)?.str(kind)?.u8(len)?.ok()
    })
}

/// `["Encrypt0", h'', << [1, [alg_aead], request_kid, request_piv, h''] >>]`
pub(crate) fn additional_data(kid: &KeyId, partial_iv: PartialIv) -> Vec<u8> {
    let (number, len) = partial_iv.encode();
    let external = write(|cbor| {
        cbor.array(5)?
            .u8(1)?
            .array(1)?
            .u8(AES_CCM_16_64_128)?
            .bytes(kid.as_bytes())?
            .bytes(&number[..len])?
            .bytes(&[])?
            .ok()
    });
    write(|cbor| {
        cbor.array(3)?
            .str("Encrypt0")?
            .bytes(&[])?
            .bytes(&external)?
            .ok()
    })
}

/// The nonce of a message whose Partial IV comes from the peer with this id.
pub(crate) fn nonce(common_iv: &[u8; IV_LEN], id: &KeyId, partial_iv: PartialIv) -> [u8; IV_LEN] {
    let mut nonce = [0; IV_LEN];
    let id = id.as_bytes();
    nonce[0] = id.len() as u8;
    nonce[1 + KeyId::MAX - id.len()..=KeyId::MAX].copy_from_slice(id);
    nonce[1 + KeyId::MAX..].copy_from_slice(&partial_iv.padded());
    for (byte, iv) in nonce.iter_mut().zip(common_iv) {
        *byte ^= iv;
    }
    nonce
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write(with: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(40));
    // Only writing can fail, and a vector grows.
    with(&mut encoder).expect("invariant: writing to a vector does not fail");
    encoder.into_writer()
}
