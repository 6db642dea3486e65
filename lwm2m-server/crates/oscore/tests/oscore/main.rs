//! OSCORE from outside: check values, properties, freshness, the table of contexts.

mod common;
mod contexts;
mod engine;
mod freshness;
mod properties;
mod vectors;
