//! Request methods and response codes.

#![expect(
    clippy::zero_prefixed_literal,
    reason = "codes read as the RFCs write them, as in 2.04"
)]

use std::fmt;

/// A CoAP code: class in three bits, detail in five.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

macro_rules! codes {
    ($($name:ident = $class:literal, $detail:literal, $text:literal;)*) => {
        impl Code {
            $(#[doc = concat!(stringify!($class), ".", stringify!($detail), " ", $text)]
            pub const $name: Code = Code::new($class, $detail);)*

            /// The name of a registered code, as in `Bad Request`; empty for others.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                    _ => "",
                }
            }
        }
    };
}

codes! {
    EMPTY = 0, 00, "Empty";
    GET = 0, 01, "GET";
    POST = 0, 02, "POST";
    PUT = 0, 03, "PUT";
    DELETE = 0, 04, "DELETE";
    FETCH = 0, 05, "FETCH";
    PATCH = 0, 06, "PATCH";
    IPATCH = 0, 07, "iPATCH";
    CREATED = 2, 01, "Created";
    DELETED = 2, 02, "Deleted";
    VALID = 2, 03, "Valid";
    CHANGED = 2, 04, "Changed";
    CONTENT = 2, 05, "Content";
    CONTINUE = 2, 31, "Continue";
    BAD_REQUEST = 4, 00, "Bad Request";
    UNAUTHORIZED = 4, 01, "Unauthorized";
    BAD_OPTION = 4, 02, "Bad Option";
    FORBIDDEN = 4, 03, "Forbidden";
    NOT_FOUND = 4, 04, "Not Found";
    METHOD_NOT_ALLOWED = 4, 05, "Method Not Allowed";
    NOT_ACCEPTABLE = 4, 06, "Not Acceptable";
    REQUEST_ENTITY_INCOMPLETE = 4, 08, "Request Entity Incomplete";
    CONFLICT = 4, 09, "Conflict";
    PRECONDITION_FAILED = 4, 12, "Precondition Failed";
    REQUEST_ENTITY_TOO_LARGE = 4, 13, "Request Entity Too Large";
    UNSUPPORTED_CONTENT_FORMAT = 4, 15, "Unsupported Content-Format";
    UNPROCESSABLE_ENTITY = 4, 22, "Unprocessable Entity";
    TOO_MANY_REQUESTS = 4, 29, "Too Many Requests";
    INTERNAL_SERVER_ERROR = 5, 00, "Internal Server Error";
    NOT_IMPLEMENTED = 5, 01, "Not Implemented";
    BAD_GATEWAY = 5, 02, "Bad Gateway";
    SERVICE_UNAVAILABLE = 5, 03, "Service Unavailable";
    GATEWAY_TIMEOUT = 5, 04, "Gateway Timeout";
    PROXYING_NOT_SUPPORTED = 5, 05, "Proxying Not Supported";
    HOP_LIMIT_REACHED = 5, 08, "Hop Limit Reached";
    CSM = 7, 01, "CSM";
    PING = 7, 02, "Ping";
    PONG = 7, 03, "Pong";
    RELEASE = 7, 04, "Release";
    ABORT = 7, 05, "Abort";
}

impl Code {
    /// The code `class.detail`; both are cut to their bits.
    pub const fn new(class: u8, detail: u8) -> Code {
        Code((class << 5) | (detail & 0x1f))
    }

    /// The class: 0 request, 2 success, 4 client error, 5 server error, 7 signaling.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The detail.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// True for 0.01 to 0.31.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// True for the classes 2, 4 and 5.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// True for the class 7, which only streams have (RFC 8323 §5).
    pub const fn is_signaling(self) -> bool {
        self.class() == 7
    }

    /// True for the class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "{self}"),
            name => write!(f, "{self} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_field_writes_it() {
        assert_eq!(Code::CONTENT.0, 0x45);
        assert_eq!(Code::IPATCH.0, 0x07);
        assert_eq!(Code::UNSUPPORTED_CONTENT_FORMAT.to_string(), "4.15");
        assert_eq!(format!("{:?}", Code::NOT_FOUND), "4.04 Not Found");
        assert!(Code::GET.is_request() && !Code::EMPTY.is_request());
    }
}
