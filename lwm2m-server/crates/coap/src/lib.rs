//! Sans-IO CoAP for servers and devices with many peers.
//!
//! No socket, no runtime, no clock: bytes and the time come in, bytes and events go out.
//!
//! - [`Message`] is a validated view over a datagram; parsing borrows and allocates nothing.
//! - [`MessageBuilder`] writes messages.
//! - [`Endpoint`] is the protocol engine for datagram transports: reliability, deduplication,
//!   tokens, block-wise transfer both ways, observation (RFC 7252, 7641, 7959, 8132, 8974, 7967).
//! - [`ObjectSecurity`] is what protects messages end to end, when the engine has it (RFC 8613).
//! - [`tcp`] frames messages for stream transports (RFC 8323).
//!
//! The packet types of `coap-lite` stand at the edges: [`Message::to_packet`] and
//! [`MessageBuilder::from_packet`] convert, and property tests hold our parser equal to it.

pub mod block;
mod builder;
mod code;
mod config;
mod endpoint;
mod message;
mod option;
mod packet;
mod security;
pub mod tcp;
mod token;

pub use block::{Block, BlockError, BlockSize};
pub use builder::MessageBuilder;
pub use code::Code;
pub use config::{Config, TransmissionParameters};
pub use endpoint::{
    Endpoint, Event, Failure, IncomingRequest, IncomingResponse, Notification, OutgoingRequest,
    Payload, PeerStatus, RequestError, RequestId, Response, ResponseHandle, Statistics, Transmit,
};
pub use message::{Message, MessageType, ParseError, ParseErrorKind};
pub use option::{OptionFault, OptionFormat, OptionIter, OptionNumber, OptionRef, Uint};
pub use packet::PacketError;
pub use security::{
    Challenge, ObjectSecurity, ProtectionFault, ResponseFault, SecurityBinding, SecurityContextId,
    SecurityFault,
};
pub use token::Token;
