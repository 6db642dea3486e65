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

/// Why a text is no list of links; `at` is the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The payload is not UTF-8.
    #[error("the links are not UTF-8")]
    Utf8,
}
