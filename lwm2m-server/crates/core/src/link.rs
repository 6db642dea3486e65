//! The CoRE link format (RFC 6690) as LwM2M devices write it.

use std::borrow::Cow;

/// One link: a target and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The text between `<` and `>`.
    pub target: Cow<'a, str>,
    /// The parameters in their order; none for a key without `=`.
    pub params: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
}

impl<'a> Link<'a> {
    /// The value of the first parameter of this name; `Some("")` for a key without a value.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_deref().unwrap_or(""))
    }
}

/// Reads a list of links.
///
/// Tolerates white space around `,` and `;`, unquoted values, keys without value.
///
/// # Errors
/// Missing brackets, an unterminated quote, no comma between links, an empty item, no UTF-8.
pub fn parse(_payload: &[u8]) -> Result<Vec<Link<'_>>, LinkError> {
    todo!()
}

/// Writes a list of links, quoting where the grammar asks for it.
pub fn write(_links: &[Link<'_>], _out: &mut String) {
    todo!()
}

/// One link of the answer to a Discover (Core 1.2.2 §6.3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveredLink {
    /// What is there.
    pub path: crate::Path,
    /// The notification attributes that are attached.
    pub attributes: crate::Attributes,
    /// The number of instances of a multiple-instance resource.
    pub dim: Option<u32>,
    /// The version of the object.
    pub version: Option<crate::ObjectVersion>,
    /// The other parameters, as they stood.
    pub params: Vec<(String, Option<String>)>,
}

/// Reads the answer to a Discover; `prefix` is the alternate path, empty for none. Links that are
/// no LwM2M paths are left out.
///
/// # Errors
/// As [`parse`].
pub fn parse_discover(_payload: &[u8], _prefix: &str) -> Result<Vec<DiscoveredLink>, LinkError> {
    todo!()
}

/// Why a text is no list of links; `at` is the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The payload is not UTF-8.
    #[error("the links are not UTF-8")]
    Utf8,
}
