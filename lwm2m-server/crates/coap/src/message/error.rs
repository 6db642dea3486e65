//! Why bytes are no CoAP message.

/// Why bytes are no CoAP message, and what the sender is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    pub(super) kind: ParseErrorKind,
    pub(super) reset: Option<u16>,
}

impl ParseError {
    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// True when the header could be read and the message was confirmable, so that a Reset is
    /// due (RFC 7252 §4.2). All others are dropped in silence.
    pub fn reset(&self) -> bool {
        self.reset.is_some()
    }

    /// The message id for the Reset, when one is due.
    pub fn reset_id(&self) -> Option<u16> {
        self.reset
    }

    /// The fault as a fact in lower case.
    pub fn reason(&self) -> &'static str {
        self.kind.reason()
    }

    pub(super) fn unanswerable(kind: ParseErrorKind) -> ParseError {
        ParseError { kind, reset: None }
    }
}

macro_rules! parse_errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why bytes are no CoAP message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ParseErrorKind {
            $($(#[$doc])* $name,)*
        }

        impl ParseErrorKind {
            /// The fault as a fact in lower case.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(ParseErrorKind::$name => $text,)*
                }
            }
        }
    };
}

parse_errors! {
    /// Fewer than four bytes.
    TooShort = "a message has at least 4 bytes",
    /// The version is not 1.
    Version = "unknown version",
    /// Class 1, 3, 6, or 7 on a datagram transport.
    ReservedClass = "the code is of a reserved class",
    /// An Empty message with a token or bytes behind the header.
    EmptyWithContent = "an empty message has more than its header",
    /// An Empty message as NON.
    EmptyNonConfirmable = "an empty message is non-confirmable",
    /// A Reset that is not Empty.
    ResetWithContent = "a reset is not empty",
    /// An Acknowledgement that carries a request.
    AcknowledgedRequest = "an acknowledgement carries a request",
    /// Token length nibble 15.
    TokenLength = "the token length 15 is reserved",
    /// The token or its extended length is cut.
    TokenCut = "the token overruns the message",
    /// Option delta nibble 15 outside the payload marker.
    OptionDelta = "the option delta 15 is reserved",
    /// Option length nibble 15.
    OptionLength = "the option length 15 is reserved",
    /// An option's extended delta or length, or its value, is cut.
    OptionCut = "an option overruns the message",
    /// The option deltas add up to more than 65535.
    OptionNumber = "an option number exceeds 65535",
    /// A payload marker at the end.
    MarkerWithoutPayload = "a payload marker without payload",
}

impl std::fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for ParseErrorKind {}
