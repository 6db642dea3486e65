//! The LwM2M core objects and common sensor objects as Rust types.
//!
//! A module for each object: [`device::BatteryLevel`] is a resource, for `read`, `write`, `observe`
//! and `execute` of the server, and [`device::Device`] an instance with all its values. Older
//! versions are in [`device::v1_0`], [`device::v1_1`] …; [`device_3`] is the same module by name
//! and id, and the only name where two objects have the same one, as [`location_6`] and
//! [`location_3336`] do.
//!
//! ```
//! use lwm2m_core::ContentFormat;
//! use lwm2m_core::typed::TypedObject;
//! use lwm2m_objects::temperature::Temperature;
//!
//! let warm = Temperature { sensor_value: Some(23.5), ..Temperature::default() };
//! let payload = warm.encode(ContentFormat::SenmlCbor, 0)?;
//! let read = Temperature::decode(ContentFormat::SenmlCbor, 0, &payload)?;
//! assert_eq!(read.value, warm);
//! # Ok::<(), lwm2m_core::typed::TypedError>(())
//! ```
//!
//! `cargo xtask codegen` makes this code from `object-registry/objects`.

#[rustfmt::skip]
#[allow(non_camel_case_types, rustdoc::bare_urls, clippy::all)]
mod generated;

#[doc(inline)]
pub use generated::*;
