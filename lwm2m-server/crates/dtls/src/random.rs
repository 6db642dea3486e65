//! Where random bytes come from.

use aws_lc_rs::digest;

/// Gives random bytes: hellos, session ids, Connection IDs, cookie secrets.
///
/// [`SystemRandom`] is the one for production. Ephemeral ECDH keys and signatures do not go
/// through this trait: the crypto library makes them from the system.
pub trait Random: Send {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Randomness of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        // aws-lc ends the process itself when the system gives none; there is no other failure.
        aws_lc_rs::rand::fill(bytes).expect("invariant: the system has randomness");
    }
}

/// The same bytes for the same seed, for simulations. Never for production.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    seed: u64,
    counter: u64,
}

impl SeededRandom {
    /// Begins the sequence of a seed.
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom { seed, counter: 0 }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(digest::SHA256_OUTPUT_LEN) {
            let mut input = [0; 16];
            input[..8].copy_from_slice(&self.seed.to_be_bytes());
            input[8..].copy_from_slice(&self.counter.to_be_bytes());
            self.counter += 1;
            let output = digest::digest(&digest::SHA256, &input);
            chunk.copy_from_slice(&output.as_ref()[..chunk.len()]);
        }
    }
}

/// An array of random bytes.
pub(crate) fn random_array<const N: usize>(random: &mut dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_no_other() {
        let draw = |seed| random_array::<48>(&mut SeededRandom::new(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut random = SeededRandom::new(1);
        assert_ne!(
            random_array::<16>(&mut random),
            random_array::<16>(&mut random)
        );
    }
}
