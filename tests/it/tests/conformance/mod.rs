//! The enabler test specification of LwM2M, row by row: each test has the number of its row, and
//! runs with devices of every version that has the feature, in every format that the row names.
//!
//! The device is the simulator. Periods are shorter than in the rows, and what a row leaves to the
//! user of a device is done through its handle.

mod bootstrap;
mod discover;
mod firmware;
mod objects;
mod read;
mod registration;
mod reporting;
mod write;
