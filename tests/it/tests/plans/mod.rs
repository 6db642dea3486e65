//! What the server observes by itself, on simulated devices.

mod changes;
mod limits;
mod repairs;
mod retries;
mod rules;
mod stand;
mod strategies;
mod waiting;
mod withdrawn;
