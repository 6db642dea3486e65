//! Objects and resources as Rust types.
//!
//! What generated code implements, and what servers and devices ask of it:
//!
//! - [`TypedObject`] is an object instance as a struct, with its table of resources; it goes to
//!   records and payloads and comes back from them.
//! - [`Resource`] is a handle to one resource: a type that is never made, only named.
//! - [`Readable`], [`Writable`] and [`Executable`] say what a server may do with it, so that
//!   anything else does not compile.

mod data;
mod definition;
mod error;
mod object;
mod range;
mod resource;
mod scalar;

pub use data::{Data, Field};
pub use definition::{ObjectDefinition, ResourceDefinition};
pub use error::{Finding, TypedError};
pub use object::TypedObject;
pub use range::ValueRange;
pub use resource::{Executable, ReadResource, Readable, Resource, Writable, WriteResource};
pub use scalar::{CoreLink, Scalar, Time};

/// A value that was read, and what was unusual about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed<T> {
    /// The value.
    pub value: T,
    /// What was left out of it or lies outside its range.
    pub findings: Vec<Finding>,
}
