//! Certificates as CAs of all sorts make them, and what we think of them.

mod client;
mod make;
mod revocation;
mod selection;
mod server;
mod wire;
