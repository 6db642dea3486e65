//! A client against a scripted server, over datagrams in memory and a clock that tests turn.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod composite;
mod driver;
mod firmware;
mod limits;
mod management;
mod pair;
mod quirks;
mod registration;
mod reporting;
