//! Sans-IO OSCORE: object security for CoAP (RFC 8613), with the freshness of RFC 9175.
//!
//! No socket, no runtime, no clock: messages go in, messages come out.
//!
//! ```text
//!   Parameters ──derive──> SecurityContext          one for each pair of peers
//!
//!   plain Message ──protect_request──> outer content, RequestBinding ──┐
//!   outer Message ──unprotect_response(binding)──> plain content  <────┤ what binds a response
//!   outer Message ──unprotect_request──> plain content, RequestBinding ┤ to its request
//!   plain Message ──protect_response(binding)──> outer content    <────┘
//! ```
//!
//! *Content* is what follows the token of a message: options and payload. Type, message id and
//! token are the message layer's and stay as they are ([`Message::with_content`]).
//!
//! - [`SecurityContext`] protects and unprotects. One algorithm: AES-CCM-16-64-128 with
//!   HKDF-SHA-256, the mandatory ones.
//! - [`Contexts`] finds the context of a message by `kid` and `kid context`, in bounds.
//! - [`OscoreOption`] is the value of option 9.
//!
//! **No nonce is used twice.** Own sequence numbers are taken from a reserve
//! ([`SecurityContext::reserve`]) whose end the caller has made durable, and a restart continues
//! behind it. A response takes the nonce of its request once, and only within the replay window;
//! every other message takes a number of its own.
//!
//! **No request is taken twice.** The replay window has 32 numbers. Before a request is acted upon,
//! it is durable that its number was reached ([`SequenceStore::received`]), now and then and ahead of
//! the numbers. After a crash, requests below what is durable have to be proven fresh by an echo of a
//! challenge (RFC 8613 Appendix B.1.2), as all have under a context of which nothing is known; after
//! an orderly end the window is as it was.
//!
//! [`Message::with_content`]: lwm2m_coap::Message::with_content

mod aead;
mod classes;
mod context;
mod contexts;
mod cose;
mod error;
mod header;
mod identifier;
mod parameters;
mod sequence;
mod window;

pub use context::{Freshness, RequestBinding, SecurityContext, UnprotectedRequest};
pub use contexts::{ContextName, Contexts, ContextsError, SequenceStore};
pub use error::{DeriveError, ProtectError, UnprotectError};
pub use header::{HeaderError, OscoreOption};
pub use identifier::{IdContext, KeyId};
pub use parameters::{KeyFingerprint, Parameters, ReceivedRequests, ReplayState};
pub use sequence::{PARTIAL_IV_MAX, PartialIv};
