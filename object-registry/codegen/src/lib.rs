//! LwM2M object models to Rust types: a pure function.
//!
//! One generator serves the macros of `lwm2m-macros`, the committed core objects of `lwm2m-objects`
//! and `cargo xtask codegen`. The generated code implements the traits of
//! [`lwm2m_core::typed`] and needs `lwm2m-core` as a dependency under its own name.
//!
//! - [`modules`] makes a module for each object: `device_3` with `v1_0`, `v1_1` … inside and the
//!   newest re-exported, so that `device_3::BatteryLevel` is a resource and `device_3::Device` an
//!   instance. Where no other object has the same name, `device` stands for it too.
//! - [`attached`] makes the same of one object around a struct of the caller's.
//! - [`files`] formats the modules as the files of a crate.
//!
//! Names that are the same in Rust all get the id at the end: `object_enabled_4`. A name that
//! starts with a digit gets an underscore in front, a keyword becomes a raw identifier.

mod docs;
mod files;
mod labels;
mod modules;
mod names;
mod object;
mod range;
mod resource;
mod words;

pub use files::{GeneratedFile, files};
pub use modules::{ObjectModule, expand, modules};
pub use object::attached;
