//! `cargo xtask registry` as its users see it: the program, folders, and a server on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod author;
mod faults;
mod fixture;
mod program;
mod pull;
mod readme;
mod resume;
mod server;
