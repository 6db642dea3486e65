//! The CoRE link format (RFC 6690) as LwM2M devices write it.

mod discover;
mod scan;

use std::borrow::Cow;

pub use discover::{DiscoveredLink, parse_discover};
pub(crate) use scan::{RawLink, scan};

/// One link: a target and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The text between `<` and `>`, without trailing slash; empty for the parameter without link
    /// (`lwm2m="1.0"`) that starts the Bootstrap-Discover of LwM2M 1.0.
    pub target: Cow<'a, str>,
    /// The parameters in their order; none for a key without `=`.
    pub params: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
}

impl<'a> Link<'a> {
    /// A link without parameters.
    pub fn new(target: impl Into<Cow<'a, str>>) -> Link<'a> {
        Link {
            target: target.into(),
            params: Vec::new(),
        }
    }

    /// The same link with one more parameter.
    pub fn with(mut self, key: &'a str, value: impl Into<Cow<'a, str>>) -> Link<'a> {
        self.params.push((Cow::Borrowed(key), Some(value.into())));
        self
    }

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
/// Tolerates white space around `,` and `;`, unquoted values, keys without value, a slash at the
/// end of a target, a comma at the end of the list.
///
/// # Errors
/// Missing brackets, an unterminated quote, no comma between links, an empty item, no UTF-8.
pub fn parse(payload: &[u8]) -> Result<Vec<Link<'_>>, LinkError> {
    let text = text(payload)?;
    scan(text)
        .map(|link| {
            let link = link?;
            Ok(Link {
                target: Cow::Borrowed(link.target),
                params: link
                    .params()
                    .map(|param| (Cow::Borrowed(param.key), param.value()))
                    .collect(),
            })
        })
        .collect()
}

/// Writes a list of links: numbers bare, every other value in quotes.
///
/// Targets and keys are written as they are.
pub fn write(links: &[Link<'_>], out: &mut String) {
    for (index, link) in links.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push('<');
        out.push_str(&link.target);
        out.push('>');
        for (key, value) in &link.params {
            out.push(';');
            out.push_str(key);
            if let Some(value) = value {
                out.push('=');
                write_value(value, out);
            }
        }
    }
}

fn write_value(value: &str, out: &mut String) {
    let number = |b: u8| b.is_ascii_digit() || b == b'.' || b == b'-';
    if !value.is_empty() && value.bytes().all(number) {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// The payload as text, without the NULs and line ends that C programs leave at its end.
pub(crate) fn text(payload: &[u8]) -> Result<&str, LinkError> {
    let text = str::from_utf8(payload).map_err(|_| LinkError::Utf8)?;
    Ok(text.trim_end_matches(|c: char| c == '\0' || c.is_ascii_whitespace()))
}

/// Why a text is no list of links; `at` is the byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The payload is not UTF-8.
    #[error("the links are not UTF-8")]
    Utf8,
    /// A link does not start with `<`.
    #[error("a link starts with '<' (at byte {at})")]
    NotOpened {
        /// Where the link starts.
        at: usize,
    },
    /// A target without `>`.
    #[error("a link target ends with '>' (at byte {at})")]
    NotClosed {
        /// Where the target starts.
        at: usize,
    },
    /// A quoted value without its second quote.
    #[error("a quoted value does not end (at byte {at})")]
    UnterminatedQuote {
        /// Where the value starts.
        at: usize,
    },
    /// Something else than `,` or `;` after a link or a quoted value.
    #[error("links are separated by ',' and their parameters by ';' (at byte {at})")]
    NotSeparated {
        /// Where the separator is missing.
        at: usize,
    },
    /// Two commas in a row.
    #[error("an empty item in the list of links (at byte {at})")]
    Empty {
        /// Where the item is missing.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn targets(text: &str) -> Result<Vec<String>, LinkError> {
        let links = parse(text.as_bytes())?;
        Ok(links.iter().map(|link| link.target.to_string()).collect())
    }

    #[test]
    fn reads_what_devices_send() {
        for (text, expected) in [
            ("", vec![]),
            (" \n\0", vec![]),
            (
                "</1/0/>, </3/0>\r\n;ver=1.1 ,</5>\0",
                vec!["/1/0", "/3/0", "/5"],
            ),
            ("<6/0>, <10256/0>", vec!["6/0", "10256/0"]),
            ("</1>,</3>,", vec!["/1", "/3"]),
            ("< /1 >", vec!["/1"]),
            ("</>", vec!["/"]),
        ] {
            assert_eq!(targets(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn reads_parameters_in_every_form() {
        let payload = br#"</>;rt="oma.lwm2m";ct=110 112; obs ;;x = y;e="a\\\"b,;";q='1 2'"#;
        let links = parse(payload).unwrap();
        let params: Vec<(&str, Option<&str>)> = links[0]
            .params
            .iter()
            .map(|(key, value)| (&**key, value.as_deref()))
            .collect();
        assert_eq!(
            params,
            [
                ("rt", Some("oma.lwm2m")),
                ("ct", Some("110 112")),
                ("obs", None),
                ("x", Some("y")),
                ("e", Some("a\\\"b,;")),
                ("q", Some("'1 2'")),
            ]
        );
        assert_eq!(links[0].param("obs"), Some(""));
        assert_eq!(links[0].param("no"), None);
    }

    #[test]
    fn says_where_a_list_goes_wrong() {
        for (text, error) in [
            ("/3/0", LinkError::NotOpened { at: 0 }),
            ("</3/0>,x", LinkError::NotOpened { at: 7 }),
            ("</3/0", LinkError::NotClosed { at: 0 }),
            ("</1>;a=\"b", LinkError::UnterminatedQuote { at: 7 }),
            ("</1>;a=\"b\\\"", LinkError::UnterminatedQuote { at: 7 }),
            ("</1></2>", LinkError::NotSeparated { at: 4 }),
            ("</1>;a=\"b\"c", LinkError::NotSeparated { at: 10 }),
            ("</1>,,</2>", LinkError::Empty { at: 5 }),
            (",</2>", LinkError::Empty { at: 0 }),
            ("</1>,,", LinkError::Empty { at: 5 }),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(parse(b"</\xff>"), Err(LinkError::Utf8));
    }

    fn any_link() -> impl Strategy<Value = Link<'static>> {
        let value = proptest::option::of("[^\0]{0,12}");
        let params = proptest::collection::vec(("[a-z]{1,6}", value), 0..4);
        ("(/[a-z0-9]{1,5}){0,4}", params).prop_map(|(target, params)| Link {
            target: Cow::Owned(if target.is_empty() {
                "/".into()
            } else {
                target
            }),
            params: params
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key), value.map(Cow::Owned)))
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(links in proptest::collection::vec(any_link(), 0..5)) {
            let mut out = String::new();
            write(&links, &mut out);
            prop_assert_eq!(parse(out.as_bytes()), Ok(links));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[</>;,=\"\\\\ a1]{0,40}") {
            let _ = parse(&bytes);
            let _ = parse_discover(text.as_bytes(), "/a");
            if let Ok(links) = parse(text.as_bytes()) {
                prop_assert!(links.len() <= text.len());
            }
        }
    }
}
