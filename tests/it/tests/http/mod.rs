//! The HTTP API, over real sockets on both sides.

pub(crate) mod api;
mod bootstrap;
mod capabilities;
mod credentials;
mod events;
mod faults;
mod limits;
mod observe;
mod operations;
mod registrations;
