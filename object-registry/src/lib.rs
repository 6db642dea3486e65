//! LwM2M object models from OMA's XML: parsing, versions, look-up.
//!
//! - [`parse`] reads a file of object definitions leniently, [`Parser`] also strictly and with
//!   other limits. What is wrong and understood becomes a [`Diagnostic`] with file, line and
//!   advice; what is not understood a [`ParseError`].
//! - [`Parser::parse_index`] reads the index of a registry, `DDF.xml`.
//! - [`Registry`] holds the models in service: [`Registry::embedded`] knows the core objects and
//!   common sensor objects, [`Registry::load_dir`] adds those of a folder, again and again while
//!   others read. It answers as [`ObjectModels`](lwm2m_core::ObjectModels).
//!
//! ```
//! use lwm2m_core::ObjectModels;
//! use lwm2m_registry::Registry;
//!
//! let registry = Registry::embedded();
//! let device = registry.object(3, Some("1.1".parse()?)).ok_or("no device object")?;
//! let battery = device.resource(9).ok_or("no battery level")?;
//! assert_eq!(&*battery.name, "Battery Level");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Files and folders are the only input and output; there is no runtime and no watching of
//! folders here.

mod diagnostic;
mod embedded;
mod error;
mod fields;
mod folder;
mod index;
mod limits;
mod object;
mod object_set;
mod parser;
mod registry;
mod source;
mod urn;
mod words;
mod xml;

pub use diagnostic::{Diagnostic, Severity};
pub use error::{ParseError, ParseFault};
pub use folder::{LoadError, LoadReport};
pub use index::{Index, IndexRow, Origin};
pub use limits::Limits;
pub use object_set::{ObjectKey, ObjectSet};
pub use parser::{Parsed, Parser, Strictness, parse};
pub use registry::Registry;
