//! What a server asks of a device: the operations of device management and reporting.

use crate::{Attributes, ContentFormat, Path, Record};

/// How a Write treats what it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// PUT: what is not named is removed or reset.
    Replace,
    /// POST: only what is named changes.
    Update,
}

/// An operation of device management or information reporting (Core 1.2.2 §6.3, §6.4).
///
/// `format` and `accept` are what the caller insists on; `None` lets the server choose by what
/// the device's version and registration allow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// GET: the values at and below a path.
    Read {
        path: Path,
        accept: Option<ContentFormat>,
    },
    /// GET with Accept 40: what is there, with its attributes. `depth` 0 to 3 (1.2).
    Discover { path: Path, depth: Option<u8> },
    /// PUT or POST: values at or below `path`.
    Write {
        path: Path,
        mode: WriteMode,
        records: Vec<Record<'static>>,
        format: Option<ContentFormat>,
    },
    /// PUT with a query: notification attributes.
    WriteAttributes { path: Path, attributes: Attributes },
    /// POST on a resource.
    Execute {
        path: Path,
        arguments: ExecuteArguments,
    },
    /// POST on an object. `instance` none: the device chooses. Records lie below
    /// `/object/instance`, with instance 65535 when the device chooses.
    Create {
        object: u16,
        instance: Option<u16>,
        records: Vec<Record<'static>>,
        format: Option<ContentFormat>,
    },
    /// DELETE: an object instance, or a resource instance (1.2).
    Delete { path: Path },
    /// FETCH: several paths at once (1.1).
    ReadComposite {
        paths: Vec<Path>,
        format: Option<ContentFormat>,
        accept: Option<ContentFormat>,
    },
    /// iPATCH: several values at once, all or nothing (1.1).
    WriteComposite {
        records: Vec<Record<'static>>,
        format: Option<ContentFormat>,
    },
    /// GET with Observe. `attributes` go with the request (1.2).
    Observe {
        path: Path,
        attributes: Attributes,
        accept: Option<ContentFormat>,
    },
    /// FETCH with Observe (1.1).
    ObserveComposite {
        paths: Vec<Path>,
        attributes: Attributes,
        format: Option<ContentFormat>,
        accept: Option<ContentFormat>,
    },
}

/// One argument of an Execute: a digit and, where given, a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecuteArgument {
    /// 0 to 9.
    pub digit: u8,
    /// The text between the quotes.
    pub value: Option<String>,
}

/// The arguments of an Execute, `5` or `2='10.3',7` (Core 1.2.2 §6.3.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecuteArguments(Vec<ExecuteArgument>);

impl ExecuteArguments {
    /// Reads the text form; empty text is no arguments.
    ///
    /// # Errors
    /// Anything outside the grammar, a digit named twice.
    pub fn parse(_text: &str) -> Result<ExecuteArguments, ExecuteArgumentsError> {
        todo!()
    }

    /// The arguments in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ExecuteArgument> {
        self.0.iter()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for ExecuteArguments {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// Why a text is no list of Execute arguments; `at` is the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("arguments have the form 0='text',1 with each digit once (at byte {at})")]
pub struct ExecuteArgumentsError {
    /// Where it goes wrong.
    pub at: usize,
}
