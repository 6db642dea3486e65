//! Paths, values, object models, requests and payload codecs of OMA LwM2M.
//!
//! This crate knows LwM2M and nothing else: no transport, no runtime, no clock. Everything above it
//! (CoAP binding, registry, server, device simulator, plugins) speaks in its types.
//!
//! - [`Path`] names an object, an instance, a resource or a resource instance.
//! - [`Value`] is one datum of a [`DataType`]; [`Record`] puts it at a path, with an optional time.
//! - [`ObjectModel`] says what an object's resources are; [`ResourceTypes`] is the narrow look-up
//!   that decoders need.
//! - [`codec`] turns payloads into records and back, for every content format of LwM2M 1.0 to 1.2.
//! - [`Attributes`] are the notification attributes with their scope and validity rules.
//! - [`link`] reads and writes the CoRE link format, [`ObjectList`] the list of a registration.
//! - [`Request`] is what a server asks of a device.
//! - [`typed`] is what objects and resources generated from definitions implement.

mod attributes;
pub mod codec;
mod content_format;
pub mod link;
mod model;
mod object_list;
mod path;
mod record;
mod request;
pub mod typed;
mod value;
mod value_text;
mod version;

pub use attributes::{AttributeError, Attributes, Edge};
pub use content_format::{ContentFormat, ContentFormatError};
pub use model::{
    DataType, ObjectModel, ObjectModels, ObjectVersion, ObjectVersionError, Operations,
    ResourceModel, ResourceType, ResourceTypes, Untyped,
};
pub use object_list::{ObjectList, ObjectListError};
pub use path::{Path, PathError, PathLevel};
pub use record::Record;
pub use request::{ExecuteArgument, ExecuteArguments, ExecuteArgumentsError, Request, WriteMode};
pub use value::{ObjectLink, Value, ValueError};
pub use version::{Version, VersionError};
