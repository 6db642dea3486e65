//! The protocol engine as two endpoints with a network between them.

mod blockwise;
mod pair;
mod reliability;
