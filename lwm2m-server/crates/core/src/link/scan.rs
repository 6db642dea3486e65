//! A walk over a list of links that allocates nothing.

use std::borrow::Cow;

use super::LinkError;

/// The links of a text, one after the other, checked as they come.
pub(crate) fn scan(text: &str) -> Links<'_> {
    Links { text, at: 0 }
}

/// Yields links until the first error.
pub(crate) struct Links<'a> {
    text: &'a str,
    at: usize,
}

/// One link whose parameters are well-formed, but not taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLink<'a> {
    /// Without trailing slash, except for `/`.
    pub(crate) target: &'a str,
    params: &'a str,
}

/// One parameter as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawParam<'a> {
    pub(crate) key: &'a str,
    /// The value without its quotes, none for a key without `=`.
    raw: Option<&'a str>,
    quoted: bool,
}

impl<'a> RawLink<'a> {
    /// The parameters; those without a key are left out.
    pub(crate) fn params(&self) -> impl Iterator<Item = RawParam<'a>> + use<'a> {
        let text = self.params;
        let mut at = 0;
        std::iter::from_fn(move || {
            let (param, next) = read_param(text, skip_separators(text, at)?).ok()?;
            at = next;
            Some(param)
        })
        .filter(|param| !param.key.is_empty())
    }

    /// The value of the first parameter of this name as it stands, escapes included; empty for a
    /// key without a value.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        if self.params.is_empty() {
            return None;
        }
        self.params()
            .find(|param| param.key == key)
            .map(|param| param.raw.unwrap_or(""))
    }
}

impl<'a> RawParam<'a> {
    /// The value with its escapes resolved.
    pub(crate) fn value(&self) -> Option<Cow<'a, str>> {
        let raw = self.raw?;
        if !self.quoted || !raw.contains('\\') {
            return Some(Cow::Borrowed(raw));
        }
        let mut value = String::with_capacity(raw.len());
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            value.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        Some(Cow::Owned(value))
    }
}

impl<'a> Iterator for Links<'a> {
    type Item = Result<RawLink<'a>, LinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_space(self.text, self.at);
        if start == self.text.len() {
            return None;
        }
        let link = self.read(start);
        if link.is_err() {
            self.at = self.text.len();
        }
        Some(link)
    }
}

impl<'a> Links<'a> {
    fn read(&mut self, start: usize) -> Result<RawLink<'a>, LinkError> {
        let text = self.text;
        let rest = &text[start..];
        let (target, params_at) = match rest.as_bytes().first() {
            Some(b'<') => {
                let end = rest.bytes().position(|b| b == b'>');
                let end = end.ok_or(LinkError::NotClosed { at: start })?;
                (without_slash(rest[1..end].trim_ascii()), start + end + 1)
            }
            Some(b',') => return Err(LinkError::Empty { at: start }),
            // The Bootstrap-Discover of LwM2M 1.0 starts with a parameter of no link.
            _ if start == 0 && rest.starts_with("lwm2m=") => ("", start),
            _ => return Err(LinkError::NotOpened { at: start }),
        };
        let bare = params_at == start;
        // Most links have no parameters.
        let params_end = match text.as_bytes().get(params_at) {
            None | Some(b',') => params_at,
            Some(_) => params_end(text, params_at, bare)?,
        };
        self.at = params_end;
        if text.as_bytes().get(params_end) == Some(&b',') {
            self.at += 1;
        }
        Ok(RawLink {
            target,
            params: &text[params_at..params_end],
        })
    }
}

/// Where the parameters that start at `at` end: at a comma or the end of the text.
fn params_end(text: &str, mut at: usize, mut bare: bool) -> Result<usize, LinkError> {
    loop {
        at = skip_space(text, at);
        match text.as_bytes().get(at) {
            None | Some(b',') => return Ok(at),
            Some(b';') => at = skip_space(text, at + 1),
            Some(_) if bare => bare = false,
            Some(_) => return Err(LinkError::NotSeparated { at }),
        }
        at = read_param(text, at)?.1;
    }
}

/// Reads the parameter that starts at `at`, and says where it ends.
fn read_param(text: &str, at: usize) -> Result<(RawParam<'_>, usize), LinkError> {
    let ends_key = |b: &u8| matches!(b, b'=' | b';' | b',');
    let key_end = find(text, at, ends_key);
    let key = text[at..key_end].trim_ascii();
    if text.as_bytes().get(key_end) != Some(&b'=') {
        let raw = None;
        let quoted = false;
        return Ok((RawParam { key, raw, quoted }, key_end));
    }
    let value_at = skip_space(text, key_end + 1);
    if text.as_bytes().get(value_at) == Some(&b'"') {
        let end = closing_quote(text, value_at)?;
        let raw = Some(&text[value_at + 1..end]);
        let quoted = true;
        return Ok((RawParam { key, raw, quoted }, end + 1));
    }
    let end = find(text, value_at, |b| matches!(b, b';' | b','));
    let raw = Some(text[value_at..end].trim_ascii_end());
    let quoted = false;
    Ok((RawParam { key, raw, quoted }, end))
}

fn closing_quote(text: &str, open: usize) -> Result<usize, LinkError> {
    let mut at = open + 1;
    loop {
        match text.as_bytes().get(at) {
            None => return Err(LinkError::UnterminatedQuote { at: open }),
            Some(b'"') => return Ok(at),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The start of the next parameter, none at the end.
fn skip_separators(text: &str, at: usize) -> Option<usize> {
    let separator = |b: &u8| *b == b';' || b.is_ascii_whitespace();
    let start = find(text, at, |b| !separator(b));
    (start < text.len()).then_some(start)
}

fn skip_space(text: &str, at: usize) -> usize {
    if text.as_bytes().get(at).is_some_and(u8::is_ascii_graphic) {
        return at;
    }
    find(text, at, |b| !b.is_ascii_whitespace())
}

/// The next byte at or after `at` for which `wanted` holds, or the end.
///
/// Everything looked for is ASCII, or the first byte after ASCII: both start a character.
fn find(text: &str, at: usize, wanted: impl Fn(&u8) -> bool) -> usize {
    let bytes = text.as_bytes().get(at..).unwrap_or_default();
    bytes
        .iter()
        .position(wanted)
        .map_or(text.len(), |offset| at + offset)
}

fn without_slash(target: &str) -> &str {
    match target.strip_suffix('/') {
        Some(stripped) if !stripped.is_empty() => stripped,
        _ => target,
    }
}
