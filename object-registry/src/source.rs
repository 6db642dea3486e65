//! The text of a file, and where in it something is.

use crate::error::{ParseError, ParseFault};
use crate::limits::Limits;

/// A file's text without byte order mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'x> {
    /// The file's name, for messages.
    pub(crate) file: &'x str,
    /// The whole text.
    pub(crate) text: &'x str,
}

impl<'x> Source<'x> {
    /// Takes the bytes of a file as UTF-8 text of characters that XML allows.
    pub(crate) fn new(
        bytes: &'x [u8],
        file: &'x str,
        limits: &Limits,
    ) -> Result<Source<'x>, ParseError> {
        let whole = |fault| ParseError {
            file: file.into(),
            line: 1,
            column: 1,
            fault,
        };
        if bytes.len() > limits.file_bytes_max {
            return Err(whole(ParseFault::OverLimit {
                what: "bytes in a file",
                max: limits.file_bytes_max,
            }));
        }
        if bytes.starts_with(&[0xfe, 0xff]) || bytes.starts_with(&[0xff, 0xfe]) {
            return Err(whole(ParseFault::NotUtf8));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let readable = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let text = std::str::from_utf8(readable).unwrap_or_default();
            Source { file, text }.error(text.len(), ParseFault::NotUtf8)
        })?;
        let source = Source { file, text };
        match find_forbidden(text) {
            Some((at, c)) => {
                let message = format!("the character U+{:04X} is not allowed in XML", c as u32);
                Err(source.error(at, ParseFault::IllFormed(message)))
            }
            None => Ok(source),
        }
    }

    /// The line and the column of a byte offset, both counted from 1.
    pub(crate) fn position(&self, at: usize) -> (u32, u32) {
        let bytes = self.text.as_bytes();
        let before = bytes.get(..at).unwrap_or(bytes);
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |newline| newline + 1);
        let lines = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before
            .iter()
            .skip(line_start)
            .filter(|b| !is_utf8_continuation(**b))
            .count()
            + 1;
        (saturating_u32(lines), saturating_u32(column))
    }

    /// An error at a byte offset.
    pub(crate) fn error(&self, at: usize, fault: ParseFault) -> ParseError {
        let (line, column) = self.position(at);
        ParseError {
            file: self.file.into(),
            line,
            column,
            fault,
        }
    }
}

/// True for the characters of XML 1.0 §2.2.
pub(crate) fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => c >= ' ',
    }
}

/// The first character that XML does not allow.
fn find_forbidden(text: &str) -> Option<(usize, char)> {
    // All of them start with one of these bytes: most files are done after one quick pass.
    let is_suspicious = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let suspicious = text.bytes().fold(false, |found, byte| {
        found | is_suspicious(byte) | (byte == 0xef)
    });
    let mut characters = text.char_indices();
    suspicious.then(|| characters.find(|(_, c)| !is_xml_char(*c)))?
}

fn is_utf8_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn saturating_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = Source {
            file: "a.xml",
            text: "ab\r\nçd\n",
        };
        let positions: Vec<_> = [0, 1, 4, 6, 7, 8, 99]
            .iter()
            .map(|at| source.position(*at))
            .collect();
        assert_eq!(
            positions,
            [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 1)]
        );
    }

    #[test]
    fn says_where_text_stops_being_utf8() {
        let error = Source::new(b"<a>\n x\xff</a>", "a.xml", &Limits::default()).unwrap_err();
        assert_eq!((error.line, error.column), (2, 3));
        assert_eq!(error.fault, ParseFault::NotUtf8);
    }

    #[test]
    fn refuses_control_characters_and_takes_a_byte_order_mark() {
        let limits = Limits::default();
        let error = Source::new(b"<a>\x01</a>", "a.xml", &limits).unwrap_err();
        assert_eq!((error.line, error.column), (1, 4));
        let error = Source::new("<a>\u{fffd}\n\u{ffff}</a>".as_bytes(), "a.xml", &limits);
        assert_eq!(error.unwrap_err().line, 2);
        let source = Source::new(b"\xef\xbb\xbf<a/>", "a.xml", &limits).unwrap();
        assert_eq!(source.text, "<a/>");
        assert!(Source::new(b"\xff\xfe<\0a\0", "a.xml", &limits).is_err());
    }
}
