//! What a device refuses an operation with.

use std::fmt;

use lwm2m_coap::Code;

/// The response code of a refused operation and, for people, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The response code, of class 4 or 5.
    pub code: Code,
    /// A fact in lower case; goes out as diagnostic payload.
    pub reason: &'static str,
}

impl Refusal {
    /// A refusal with any code.
    pub const fn new(code: Code, reason: &'static str) -> Refusal {
        Refusal { code, reason }
    }

    /// 4.00: the payload, the arguments or the attributes are wrong.
    pub const fn bad_request(reason: &'static str) -> Refusal {
        Refusal::new(Code::BAD_REQUEST, reason)
    }

    /// 4.01: closed to servers.
    pub const fn unauthorized(reason: &'static str) -> Refusal {
        Refusal::new(Code::UNAUTHORIZED, reason)
    }

    /// 4.04: nothing is there.
    pub const fn not_found(reason: &'static str) -> Refusal {
        Refusal::new(Code::NOT_FOUND, reason)
    }

    /// 4.05: the target does not have this operation, or not now.
    pub const fn not_allowed(reason: &'static str) -> Refusal {
        Refusal::new(Code::METHOD_NOT_ALLOWED, reason)
    }

    /// 4.06: the accepted format cannot carry the answer.
    pub const fn not_acceptable(reason: &'static str) -> Refusal {
        Refusal::new(Code::NOT_ACCEPTABLE, reason)
    }

    /// 4.15: the format of the payload is not read.
    pub const fn unsupported_format(reason: &'static str) -> Refusal {
        Refusal::new(Code::UNSUPPORTED_CONTENT_FORMAT, reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}
