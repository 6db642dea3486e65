//! Object security: what stands between the message layer and the requests (RFC 8613).
//!
//! An [`Endpoint`](crate::Endpoint) with an [`ObjectSecurity`] takes messages with the OSCORE
//! option. Acknowledgements, retransmission, deduplication and tokens are those of the outer
//! message; so is a body in outer blocks. What comes out of it is the inner message, and methods,
//! options, observation and block-wise transfer go by that one. A message of ours is protected
//! once, when it is encoded, so that what is retransmitted is the same byte for byte.

use std::fmt;

use crate::{Code, Message};

/// Protects and unprotects messages.
///
/// *Content* is what a message has behind its token ([`Message::with_content`]); it is appended
/// to the buffer that is given, which stays as it is when there is an error.
pub trait ObjectSecurity: fmt::Debug + Send + Sync {
    /// Unprotects a request: its method, the content, and what its responses are bound to.
    ///
    /// `body` is the payload, put together when it came in outer blocks.
    ///
    /// # Errors
    /// Why it is not taken, and what the peer is told.
    fn unprotect_request(
        &self,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), SecurityFault>;

    /// Protects a response: the outer code and the content.
    ///
    /// # Errors
    /// Why it cannot.
    fn protect_response(
        &self,
        binding: &SecurityBinding,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<Code, ProtectionFault>;

    /// Protects a request: the outer code, the content, and what its responses are bound to.
    ///
    /// # Errors
    /// Why it cannot.
    fn protect_request(
        &self,
        context: SecurityContextId,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), ProtectionFault>;

    /// Unprotects a response: its code and the content.
    ///
    /// # Errors
    /// Why it is not taken.
    fn unprotect_response(
        &self,
        binding: &mut SecurityBinding,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Code, ResponseFault>;
}

/// Names a security context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityContextId(pub u64);

/// What binds responses to their request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecurityBinding {
    /// The context of the request.
    pub context: SecurityContextId,
    /// What else belongs to it; only the [`ObjectSecurity`] can read it.
    pub words: [u64; 2],
}

/// Why a protected request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityFault {
    /// A fact in lower case.
    pub reason: &'static str,
    /// The code of the response.
    pub code: Code,
    /// Its diagnostic payload.
    pub diagnostic: &'static str,
    /// For a response that is protected; the one without is not.
    pub challenge: Option<Challenge>,
}

/// What the peer has to echo for its request to be taken (RFC 9175 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Protects the response.
    pub binding: SecurityBinding,
    /// The value of the Echo option.
    pub echo: [u8; 8],
}

/// Why a message is not protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionFault {
    /// It may be in a moment, a fact in lower case. A request waits for a second at most; instead of
    /// a response, the peer is told to come again (5.03).
    NotYet(&'static str),
    /// It cannot, a fact in lower case.
    Refused(&'static str),
}

impl ProtectionFault {
    /// The fact.
    pub const fn reason(&self) -> &'static str {
        match self {
            ProtectionFault::NotYet(reason) | ProtectionFault::Refused(reason) => reason,
        }
    }
}

/// Why a protected response is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFault {
    /// It came before, or a later notification did.
    Repeated,
    /// Another reason, a fact in lower case.
    Refused(&'static str),
}
