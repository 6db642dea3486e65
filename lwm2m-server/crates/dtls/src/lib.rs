//! Sans-IO DTLS 1.2 (RFC 6347) for LwM2M: server and client.
//!
//! No socket, no task, no clock: datagrams and the time come in, datagrams and events go out.
//! One [`Endpoint`] has all sessions of a shard.
//!
//! ```text
//!   datagram, now ──> handle ──> record ──┬─ epoch 0, handshake ──> cookie ──> reassembly ──> role
//!                                         └─ epoch 1 ──> session: open in place, replay window
//!                                                             │
//!   application ──> send / connect / answer / close           ├──> poll_event ──> Data, Up, Down ..
//!   timer ──> on_timeout                                      └──> poll_transmit ──> path, bytes
//! ```
//!
//! Application data never leaves the datagram that it came in: [`Event::Data`] says where it
//! stands. Nothing is allocated for a record.
//!
//! # Who may take what from us
//!
//! | The peer has shown | It has of ours |
//! | --- | --- |
//! | nothing | a HelloVerifyRequest shorter than its ClientHello, no state |
//! | that its address answers (the cookie) | one handshake in flight, with limits and a deadline |
//! | its key (Finished) | a session |
//! | a newest record from elsewhere, by Connection ID | the session moves; three times the bytes that came from there, until [`Endpoint::confirm_path`] |
//!
//! Plain records may have been forged. They can end a handshake, never a session; and what cannot
//! be authenticated is passed over without a word (RFC 6347 §4.1.2.7).
//!
//! # States of a handshake
//!
//! | Server | waits for | then |
//! | --- | --- | --- |
//! | Hello | ClientHello, maybe in pieces | ServerHello .. ServerHelloDone |
//! | ClientKeyExchange | the identity, or the share and proofs of the client | [`Event::Lookup`] |
//! | Verdict | [`Endpoint::answer`]; protected records that come meanwhile are kept | keys |
//! | Finished | the client's Finished, under one of the keys | Finished, [`Event::Up`] |
//!
//! | Client | waits for | then |
//! | --- | --- | --- |
//! | ServerHello | HelloVerifyRequest, or ServerHello | ClientHello again |
//! | ServerHelloDone | what authenticates the server | ClientKeyExchange .. Finished |
//! | Finished | the server's Finished | [`Event::Up`] |
//!
//! Whoever says the last flight keeps it until the other shows that it has it, by sending
//! application data, and repeats it when the other repeats its Finished.
//!
//! # Example
//!
//! A client and a server in one process; what would go through sockets is handed over.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use lwm2m_dtls::{ClientConfig, Config, Endpoint, Event, Psk, SystemRandom, Verdict};
//!
//! let key = Psk::new(b"0123456789abcdef")?;
//! let (device, server): (SocketAddr, SocketAddr) =
//!     ("198.51.100.7:40000".parse()?, "192.0.2.1:5684".parse()?);
//! let mut client = Endpoint::new(Config::default(), SystemRandom);
//! let mut endpoint = Endpoint::new(Config::default(), SystemRandom);
//! let now = Instant::now();
//!
//! let config = ClientConfig::psk(b"urn:imei:350000000000001", key.clone());
//! let session = client.connect(now, server, Arc::new(config))?;
//! let mut received = Vec::new();
//! while let Some(transmit) = client.poll_transmit() {
//!     let mut datagram = transmit.datagram.to_vec();
//!     endpoint.handle(now, device, &mut datagram);
//!     while let Some(event) = endpoint.poll_event() {
//!         match event {
//!             Event::Lookup { session, .. } => {
//!                 let key = key.clone();
//!                 endpoint.answer(now, session, Verdict::Psk { key, alternate: None });
//!             }
//!             Event::Data { range, .. } => received.push(datagram[range].to_vec()),
//!             _ => {}
//!         }
//!     }
//!     while let Some(transmit) = endpoint.poll_transmit() {
//!         client.handle(now, server, &mut transmit.datagram.to_vec());
//!     }
//!     while let Some(event) = client.poll_event() {
//!         if let Event::Up { .. } = event {
//!             client.send(now, session, b"hello")?;
//!         }
//!     }
//! }
//! assert_eq!(received, [b"hello"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`TlsSession`] has the same handshake over a stream, as TLS 1.2.
//!
//! The crate authenticates. Whether an identity may use an endpoint name is for the registration
//! layer to say, which also keys on [`SessionId`], never on an address.

mod alert;
mod certificate;
mod cid;
mod codec;
mod config;
mod cookie;
mod endpoint;
mod failure;
mod handshake;
mod key;
mod peer;
mod prf;
mod psk;
mod random;
mod record;
mod resumption;
mod stored;
mod suite;
mod tls;

pub use alert::Alert;
pub use certificate::{
    Certificate, CertificateChain, CertificateError, CertificateFault, CertificateUsage,
    ChainLimits, Culprit, MatchingType, RevocationListError, RevocationLists, Selection,
    ServerCertificate, ServerCertificateError, ServerCertificates, ServerReference, TrustStore,
    X509Identity, verify_client, verify_server,
};
pub use config::{
    CidOffer, ClientAuthentication, ClientConfig, ClientCredentials, Config, ExtendedMasterSecret,
    Limits, ServerConfig, ServerExpectation, Timing, UnknownPskIdentity, UnknownServerName,
};
pub use endpoint::{
    Capabilities, ConnectError, Endpoint, Event, ImportError, Path, SendError, SessionId,
    Statistics, Transmit,
};
pub use failure::{DownReason, Failure, Overload};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use peer::{Identity, Lookup, Peer, Verdict};
pub use psk::{Psk, PskError};
pub use random::{Random, SeededRandom, SystemRandom};
pub use resumption::{Resumption, ServerResumption, TicketKey};
pub use suite::{CipherSuite, KeyExchange};
pub use tls::{TlsEvent, TlsSession};
