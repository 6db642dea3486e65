//! Where something is wrong in a file of TOML, and what its author may have meant.

use std::path::Path;

use crate::LoadError;
use crate::spelling::unknown_name;

/// What a file of TOML has wrong, with its line, its key, and what may have been meant.
pub(crate) fn explained(file: &Path, text: &str, error: &toml::de::Error) -> LoadError {
    let message = error.message();
    let start = error.span().map_or(0, |span| span.start);
    let unknown = unknown_name(message);
    let told = match (unknown, key_before(text, start)) {
        (None, Some(key)) => format!("{key}: {message}"),
        _ => message.to_owned(),
    };
    let error = match error.span() {
        Some(_) => at(file, text, start, told),
        None => LoadError::new(file, told),
    };
    match unknown {
        Some((_, Some(meant))) => error.hint(format!("did you mean {meant}?")),
        _ => error,
    }
}

/// The key whose value starts here.
fn key_before(text: &str, start: usize) -> Option<&str> {
    let before = text.get(..start)?.trim_end().strip_suffix('=')?.trim_end();
    let key = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '{' | ',' | '['));
    key.into_iter().next().filter(|key| !key.is_empty())
}

/// What is wrong at this byte of a text.
pub(crate) fn at(file: &Path, text: &str, offset: usize, what: impl Into<String>) -> LoadError {
    let (line, column) = place(text, offset);
    LoadError::new(file, what).at(Some(line), Some(column))
}

/// Line and column of a byte, from 1.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[begin..].chars().count() + 1)
}
