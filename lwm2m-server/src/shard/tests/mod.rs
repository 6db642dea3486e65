//! Shards without sockets and with a clock of their own: what depends on time and on the order in
//! which things happen.

mod admitting;
mod bootstrapping;
mod gate;
mod identities;
mod observing;
mod oscore;
mod queueing;
mod sharding;
mod sleeping;
mod values;
mod world;
