//! Whether bytes are those that were there before.
//!
//! That is asked of files of this server, whoever changes which could as well change what they are
//! compared with: no cipher is needed, and reading them is not to take longer than compiling them
//! saves. Compiled code itself is found by a SHA-256 of the component, which wasmtime makes.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// XXH3 of 128 bits, which no two contents share by chance.
pub(crate) type Checksum = u128;

/// The checksum of these bytes.
pub(crate) fn checksum(bytes: &[u8]) -> Checksum {
    xxh3_128(bytes)
}

/// The checksum of one thing and what comes with it.
pub(crate) fn combined(first: Checksum, rest: &str) -> Checksum {
    let mut sum = Xxh3::new();
    sum.update(&first.to_be_bytes());
    sum.update(rest.as_bytes());
    sum.digest128()
}
