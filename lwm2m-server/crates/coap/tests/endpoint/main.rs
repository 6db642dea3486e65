//! The protocol engine as two endpoints with a network between them.

mod blockwise;
mod deduplication;
mod limits;
mod observation;
mod pair;
mod peers;
mod reliability;
mod simulation;
mod stream;
