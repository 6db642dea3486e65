//! What can go wrong, and what the peer is told of it.

use lwm2m_coap::{Code, ProtectionFault};

/// Why no context comes of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// Sender ID and Recipient ID are equal: nonces would repeat.
    #[error("the sender id and the recipient id are equal")]
    EqualIds,
    /// There is no Master Secret.
    #[error("the master secret is empty")]
    EmptySecret,
}

/// Why a message cannot be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectError {
    /// All 2^40 sequence numbers are used: the peers need new keys.
    #[error("all sequence numbers are used")]
    SequenceExhausted,
    /// The reserve of sequence numbers is used up before more of it is durable.
    #[error("no sequence number is reserved")]
    SequenceNotReserved,
    /// The message has an option that cannot be protected: OSCORE itself, or Proxy-Uri.
    #[error("the message has an option that cannot be protected")]
    Option,
    /// The message has more than 65535 bytes.
    #[error("the message is too long to be protected")]
    TooLong,
    /// No such context.
    #[error("the security context is gone")]
    ContextNotFound,
}

impl ProtectError {
    /// The fault as a fact in lower case.
    pub const fn reason(&self) -> &'static str {
        match self {
            ProtectError::SequenceExhausted => "all sequence numbers are used",
            ProtectError::SequenceNotReserved => "no sequence number is reserved",
            ProtectError::Option => "the message has an option that cannot be protected",
            ProtectError::TooLong => "the message is too long to be protected",
            ProtectError::ContextNotFound => "the security context is gone",
        }
    }
}

impl From<ProtectError> for ProtectionFault {
    fn from(error: ProtectError) -> ProtectionFault {
        match error {
            ProtectError::SequenceNotReserved => ProtectionFault::NotYet(error.reason()),
            error => ProtectionFault::Refused(error.reason()),
        }
    }
}

/// Why a protected message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnprotectError {
    /// The OSCORE option or the COSE object cannot be read.
    #[error("failed to decode cose")]
    Malformed,
    /// Nobody has this `kid` and `kid context`.
    #[error("security context not found")]
    ContextNotFound,
    /// The request was received before, or is too old to tell.
    #[error("replay detected")]
    Replay,
    /// The message is not authentic.
    #[error("decryption failed")]
    Decryption,
    /// An authentic message whose content is no CoAP message.
    #[error("the plaintext is no message")]
    Plaintext,
    /// A notification that is not newer than the latest.
    #[error("the notification is not newer")]
    Stale,
    /// That the request was received cannot be made durable, so that it could be replayed later.
    #[error("the replay window cannot be kept")]
    NotNoted,
}

impl UnprotectError {
    /// The code of the unprotected error response to a request (RFC 8613 §8.2).
    pub const fn code(&self) -> Code {
        match self {
            UnprotectError::Malformed => Code::BAD_OPTION,
            UnprotectError::ContextNotFound | UnprotectError::Replay => Code::UNAUTHORIZED,
            UnprotectError::Decryption | UnprotectError::Plaintext | UnprotectError::Stale => {
                Code::BAD_REQUEST
            }
            UnprotectError::NotNoted => Code::SERVICE_UNAVAILABLE,
        }
    }

    /// The diagnostic payload of that response.
    pub const fn diagnostic(&self) -> &'static str {
        match self {
            UnprotectError::Malformed => "Failed to decode COSE",
            UnprotectError::ContextNotFound => "Security context not found",
            UnprotectError::Replay => "Replay detected",
            UnprotectError::Decryption => "Decryption failed",
            UnprotectError::Plaintext | UnprotectError::Stale | UnprotectError::NotNoted => "",
        }
    }

    /// The fault as a fact in lower case.
    pub const fn reason(&self) -> &'static str {
        match self {
            UnprotectError::Malformed => "failed to decode cose",
            UnprotectError::ContextNotFound => "security context not found",
            UnprotectError::Replay => "replay detected",
            UnprotectError::Decryption => "decryption failed",
            UnprotectError::Plaintext => "the plaintext is no message",
            UnprotectError::Stale => "the notification is not newer",
            UnprotectError::NotNoted => "the replay window cannot be kept",
        }
    }
}
