//! Sans-IO DTLS 1.2 (RFC 6347) for LwM2M.

mod key;

pub use key::{KeyError, PrivateKey, PublicKey};
