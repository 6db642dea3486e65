//! The pseudorandom function of RFC 5246 §5 with SHA-256, and what is derived with it.

use aws_lc_rs::{digest, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::psk::Psk;

/// The master secret of a session.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct MasterSecret([u8; MasterSecret::BYTES]);

impl MasterSecret {
    pub(crate) const BYTES: usize = 48;

    /// From both randoms, RFC 5246 §8.1.
    pub(crate) fn from_randoms(
        premaster: &[u8],
        client: &[u8; 32],
        server: &[u8; 32],
    ) -> MasterSecret {
        let mut secret = MasterSecret([0; MasterSecret::BYTES]);
        prf(
            premaster,
            b"master secret",
            &[client, server],
            &mut secret.0,
        );
        secret
    }

    /// From the transcript up to the ClientKeyExchange, RFC 7627 §4.
    pub(crate) fn extended(premaster: &[u8], transcript: &[u8]) -> MasterSecret {
        let mut secret = MasterSecret([0; MasterSecret::BYTES]);
        let hash = digest::digest(&digest::SHA256, transcript);
        prf(
            premaster,
            b"extended master secret",
            &[hash.as_ref()],
            &mut secret.0,
        );
        secret
    }

    pub(crate) fn from_bytes(bytes: [u8; MasterSecret::BYTES]) -> MasterSecret {
        MasterSecret(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; MasterSecret::BYTES] {
        &self.0
    }

    /// Expands to the key block, RFC 5246 §6.3.
    pub(crate) fn key_block(&self, client: &[u8; 32], server: &[u8; 32], block: &mut [u8]) {
        prf(&self.0, b"key expansion", &[server, client], block);
    }

    /// The contents of a Finished message, RFC 5246 §7.4.9.
    pub(crate) fn verify_data(&self, sender: Sender, transcript: &[u8]) -> [u8; 12] {
        let label: &[u8] = match sender {
            Sender::Client => b"client finished",
            Sender::Server => b"server finished",
        };
        let hash = digest::digest(&digest::SHA256, transcript);
        let mut data = [0; 12];
        prf(&self.0, label, &[hash.as_ref()], &mut data);
        data
    }
}

/// Who sends a Finished message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// The premaster secret of a pre-shared key, RFC 4279 §2.
pub(crate) fn psk_premaster(psk: &Psk) -> Zeroizing<Vec<u8>> {
    let key = psk.as_bytes();
    let length = (key.len() as u16).to_be_bytes();
    let mut secret = Zeroizing::new(Vec::with_capacity(4 + 2 * key.len()));
    secret.extend_from_slice(&length);
    secret.resize(2 + key.len(), 0);
    secret.extend_from_slice(&length);
    secret.extend_from_slice(key);
    secret
}

fn prf(secret: &[u8], label: &[u8], seed: &[&[u8]], output: &mut [u8]) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let seeded = |mut context: hmac::Context| {
        context.update(label);
        for part in seed {
            context.update(part);
        }
        context.sign()
    };
    let mut a = seeded(hmac::Context::with_key(&key));
    let chunks = output.len().div_ceil(32);
    for (index, chunk) in output.chunks_mut(32).enumerate() {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        chunk.copy_from_slice(&seeded(context).as_ref()[..chunk.len()]);
        if index + 1 < chunks {
            a = hmac::sign(&key, a.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect()
    }

    #[test]
    fn the_prf_agrees_with_the_published_vector_for_sha256() {
        // Published on the mailing list of the TLS working group for P_SHA256.
        let mut output = [0; 100];
        prf(
            &bytes("9bbe436ba940f017b17652849a71db35"),
            b"test label",
            &[&bytes("a0ba9f936cda311827a6f796ffd5198c")],
            &mut output,
        );
        assert_eq!(
            output.to_vec(),
            bytes(
                "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
                 6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
                 4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
                 87347b66"
            )
        );
    }

    #[test]
    fn the_premaster_secret_of_a_key_has_zeros_of_its_length() {
        let psk = Psk::new(b"sect").expect("four bytes");
        assert_eq!(
            psk_premaster(&psk).to_vec(),
            b"\x00\x04\0\0\0\0\x00\x04sect"
        );
    }
}
