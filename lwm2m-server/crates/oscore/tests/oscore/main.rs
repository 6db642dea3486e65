//! OSCORE from outside: check values, properties, freshness, the table of contexts.

mod common;
mod contexts;
mod freshness;
mod properties;
mod vectors;
