//! What the server observes by itself, on simulated devices.

mod changes;
mod repairs;
mod stand;
mod strategies;
mod waiting;
