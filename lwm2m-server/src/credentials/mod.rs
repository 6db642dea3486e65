//! Credentials: what proves a device, and which endpoint names it may then use.
//!
//! ```text
//! handshake ─> look_up(what the peer presents) ─> a key, hash or rule to check it by
//!           ─> identify ─> PeerIdentity of the session, and the id of the credential
//! Register  ─> CredentialAuthorizer: may this identity use this endpoint name?
//! remove    ─> changes ─> the shards end the sessions and registrations of the credential
//! ```

mod check;
mod credential;
mod document;
mod file;
mod import;
mod memory;
mod pattern;
mod revision;
mod secret;
mod store;
mod watch;

pub use check::CredentialAuthorizer;
pub use credential::{
    CertificateRule, Credential, CredentialError, CredentialId, OscoreCredential, Proof,
};
pub(crate) use document::from_hex;
pub use document::{CredentialDocument, SecretText};
pub use file::{CredentialFileError, FileCredentials};
pub(crate) use file::{is_exposed, replace_file};
pub use import::{Import, ImportError, ImportFormat};
pub use memory::{CredentialLimits, MemoryCredentials};
pub use pattern::{NamePattern, NamePatternError};
pub(crate) use revision::CredentialRevision;
pub use secret::SecretKey;
pub use store::{
    CredentialChange, CredentialChangeSender, CredentialChanges, CredentialFilter, CredentialStore,
    CredentialStoreError, CredentialUpdate, KEYS_PER_IDENTITY_MAX, LookUp,
};
pub(crate) use watch::watch;
