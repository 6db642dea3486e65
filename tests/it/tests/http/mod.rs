//! The HTTP API, over real sockets on both sides.

mod api;
mod events;
mod faults;
mod operations;
mod registrations;
