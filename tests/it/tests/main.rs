//! Integration tests of the whole server, over real sockets.

mod http;
mod peer;
mod registration;
mod requests;
