//! The protocol engine as two endpoints with a network between them.

mod pair;
mod reliability;
