//! Integration tests of the whole server, over real sockets.

mod peer;
mod registration;
mod requests;
