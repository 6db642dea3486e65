//! What goes in and out of an [`Endpoint`](super::Endpoint).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use crate::{Code, Message, OptionNumber, SecurityBinding, SecurityContextId, Token};

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'d, P> {
    /// A request to answer with [`Endpoint::respond`](crate::Endpoint::respond).
    Request(IncomingRequest<'d, P>),
    /// The final response to one of our requests. For an observe request it is the first value;
    /// `observing` says whether the peer established the observation.
    Response(IncomingResponse<'d, P>),
    /// A later value of an observation that is fresh (RFC 7641 §3.4). Already acknowledged.
    Notification(Notification<'d, P>),
    /// One of our requests ended without a response. Notifications of ours do not end so, but
    /// with [`Event::ObserverGone`] when they are refused or not acknowledged.
    Failed {
        /// The peer.
        peer: P,
        /// The request.
        request: RequestId,
        /// Why.
        failure: Failure,
    },
    /// An observer of ours cancelled by RST, or did not acknowledge a notification: the device
    /// side forgets it.
    ObserverGone {
        /// The peer.
        peer: P,
        /// The token of its observe request.
        token: Token,
    },
    /// A CoAP ping came, and has been answered.
    Ping {
        /// The peer.
        peer: P,
    },
    /// Our ping was answered.
    Pong {
        /// The peer.
        peer: P,
    },
    /// A datagram was refused or dropped; for the counters and the timeline.
    Refused {
        /// The peer.
        peer: P,
        /// A fact in lower case, as in `option overruns the datagram`.
        reason: &'static str,
    },
}

/// A request from a peer.
#[derive(Debug)]
pub struct IncomingRequest<'d, P> {
    /// Who asks.
    pub peer: P,
    /// For [`Endpoint::respond`](crate::Endpoint::respond).
    pub handle: ResponseHandle<P>,
    /// The message; of a block-wise request, its last one.
    pub message: Message<'d>,
    /// The whole body.
    pub body: Cow<'d, [u8]>,
    /// True for CON; streams have no such thing.
    pub confirmable: bool,
}

/// A response to one of our requests.
#[derive(Debug)]
pub struct IncomingResponse<'d, P> {
    /// Who answers.
    pub peer: P,
    /// Which request.
    pub request: RequestId,
    /// The message; of a block-wise response, its last one.
    pub message: Message<'d>,
    /// The whole body.
    pub body: Cow<'d, [u8]>,
    /// True when an observation now stands under this request id.
    pub observing: bool,
}

/// A later value of an observation.
#[derive(Debug)]
pub struct Notification<'d, P> {
    /// Who notifies.
    pub peer: P,
    /// The observe request.
    pub request: RequestId,
    /// The message; of a block-wise notification, its last one.
    pub message: Message<'d>,
    /// The whole body.
    pub body: Cow<'d, [u8]>,
    /// False when the peer ended the observation with this message (an error, or no Observe
    /// option).
    pub observing: bool,
}

/// Names one of our requests, and the observation that came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Answers one request of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseHandle<P> {
    pub(super) peer: P,
    pub(super) message_id: u16,
    pub(super) token: Token,
    pub(super) confirmable: bool,
    /// True for a request that came over a stream.
    pub(super) stream: bool,
    /// Tells the message from another one with the same id.
    pub(super) content: u32,
    /// The bitmap of RFC 7967, 0 when every response is wanted.
    pub(super) no_response: u8,
    /// The Block1 value to echo in the final response.
    pub(super) block1: Option<u32>,
    /// The Block2 value that the requester asked for.
    pub(super) block2: Option<u32>,
    /// What later requests for blocks of the response have in common with this one.
    pub(super) resource: u64,
    /// Protects the response, when the request was protected.
    pub(super) security: Option<SecurityBinding>,
    /// The outer Block1 value to echo, of a protected request that came in outer blocks.
    pub(super) outer_block1: Option<u32>,
}

impl<P: Copy> ResponseHandle<P> {
    /// Who asked.
    pub fn peer(&self) -> P {
        self.peer
    }

    /// The token of the request.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The security context that the request was protected with; none when it was not.
    pub fn security(&self) -> Option<SecurityContextId> {
        self.security.map(|binding| binding.context)
    }
}

/// The body of a request or response of ours.
pub type Payload = Bytes;

/// A request of ours.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// The method.
    pub code: Code,
    /// CON or NON.
    pub confirmable: bool,
    /// Options except Observe, Block and Size, in any order.
    pub options: Vec<(OptionNumber, Bytes)>,
    /// The body.
    pub payload: Payload,
    /// `Some(true)` registers an observation.
    pub observe: Option<bool>,
    /// For an active cancel: the token of the observation (RFC 7641 §3.6).
    pub token: Option<Token>,
    /// Instead of [`Config::response_timeout`](crate::Config::response_timeout).
    pub timeout: Option<Duration>,
    /// Instead of [`Config::block_size`](crate::Config::block_size).
    pub block_size: Option<crate::BlockSize>,
    /// The security context to protect the request with; none for a plain request. Only a
    /// protected response answers a protected request.
    pub security: Option<SecurityContextId>,
}

impl OutgoingRequest {
    /// A confirmable request without options.
    pub fn new(code: Code) -> OutgoingRequest {
        OutgoingRequest {
            code,
            confirmable: true,
            options: Vec::new(),
            payload: Payload::new(),
            observe: None,
            token: None,
            timeout: None,
            block_size: None,
            security: None,
        }
    }

    /// Adds an option.
    pub fn option(mut self, number: OptionNumber, value: impl Into<Bytes>) -> OutgoingRequest {
        self.options.push((number, value.into()));
        self
    }

    /// Adds an option with an unsigned value.
    pub fn uint(self, number: OptionNumber, value: u32) -> OutgoingRequest {
        self.option(
            number,
            Bytes::copy_from_slice(crate::Uint::new(value).as_bytes()),
        )
    }

    /// Sets the body.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> OutgoingRequest {
        self.payload = payload.into();
        self
    }
}

/// A response of ours.
#[derive(Debug, Clone)]
pub struct Response {
    /// The code.
    pub code: Code,
    /// Options except Observe in notifications, Block and Size, in any order.
    pub options: Vec<(OptionNumber, Bytes)>,
    /// The body.
    pub payload: Payload,
}

impl Response {
    /// A response without options and body.
    pub fn new(code: Code) -> Response {
        Response {
            code,
            options: Vec::new(),
            payload: Payload::new(),
        }
    }

    /// Adds an option.
    pub fn option(mut self, number: OptionNumber, value: impl Into<Bytes>) -> Response {
        self.options.push((number, value.into()));
        self
    }

    /// Adds an option with an unsigned value.
    pub fn uint(self, number: OptionNumber, value: u32) -> Response {
        self.option(
            number,
            Bytes::copy_from_slice(crate::Uint::new(value).as_bytes()),
        )
    }

    /// Sets the body.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Response {
        self.payload = payload.into();
        self
    }
}

/// A datagram to send, or a message of a stream with its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit<P> {
    /// To whom.
    pub peer: P,
    /// The bytes.
    pub datagram: Bytes,
}

/// Why a request ended without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No acknowledgement after all retransmissions.
    #[error("no acknowledgement after all retransmissions")]
    NotAcknowledged,
    /// Acknowledged, but no response in time.
    #[error("acknowledged, but no response in time")]
    NoResponse,
    /// The peer answered RST.
    #[error("the peer answered with a reset")]
    Reset,
    /// The peer has been forgotten.
    #[error("the peer is gone")]
    PeerGone,
    /// A block-wise body does not fit together or exceeds [`Config::body_max`](crate::Config::body_max).
    #[error("the block-wise transfer failed: {0}")]
    Block(&'static str),
    /// A response with an option that is critical and not understood.
    #[error("the response carries an unknown critical option")]
    BadOption,
    /// The request cannot be protected.
    #[error("the request cannot be protected: {0}")]
    Protection(&'static str),
    /// The peer answered a protected request with an error that is not protected: mostly it has
    /// no such security context, or lost track of it. Anybody on the way may have said so.
    #[error("the peer refused the protected request: {0}")]
    Unprotected(Code),
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// [`Config::peer_queue_max`](crate::Config::peer_queue_max) requests wait for this peer already.
    #[error("too many requests wait for this peer")]
    QueueFull,
    /// The body exceeds what block-wise transfer can carry.
    #[error("the body is too large")]
    TooLarge,
    /// The token names a request that is not answered yet, or has more than 8 bytes.
    #[error("the token cannot be used")]
    Token,
    /// The connection that the answer belongs to has ended.
    #[error("the connection has ended")]
    NotConnected,
}

/// What is outstanding with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStatus {
    /// Requests sent and not answered.
    pub outstanding: usize,
    /// Requests that wait for their turn.
    pub queued: usize,
    /// Observations that stand.
    pub observations: usize,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Datagrams taken.
    pub received: u64,
    /// Datagrams given out.
    pub sent: u64,
    /// Retransmissions among them.
    pub retransmitted: u64,
    /// Duplicates answered or dropped.
    pub duplicates: u64,
    /// Datagrams that are no CoAP message.
    pub malformed: u64,
    /// Messages refused by RST, 4.02, 4.08 or 4.13, or dropped.
    pub refused: u64,
}
