//! Peers and callers that mean harm, or are broken: the server refuses what it has to, stays within
//! its limits, and goes on serving the others.

mod answers;
mod callers;
mod datagrams;
mod names;
pub(crate) mod random;
mod uploads;
