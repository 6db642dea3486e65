//! Texts of definitions as documentation.

use proc_macro2::TokenStream;
use quote::quote;

/// Documentation lines stay within this many characters.
const COLUMNS: usize = 88;

/// Paragraphs as `#[doc]` attributes. Each is plain text: nothing in it is a link, a tag, a list
/// or code that rustdoc would run.
pub(crate) fn paragraphs<'t>(texts: impl IntoIterator<Item = &'t str>) -> TokenStream {
    let mut lines: Vec<String> = Vec::new();
    for text in texts {
        let wrapped = wrapped(text);
        if !wrapped.is_empty() && !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(wrapped);
    }
    quote!(#(#[doc = #lines])*)
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut last_columns = 0;
    for word in text.split_whitespace() {
        let word = escaped(word);
        let columns = word.chars().count();
        match lines.last_mut() {
            Some(line) if last_columns + 1 + columns <= COLUMNS => {
                line.push(' ');
                line.push_str(&word);
                last_columns += 1 + columns;
            }
            _ => {
                lines.push(format!(" {word}"));
                last_columns = columns;
            }
        }
    }
    lines
}

/// A word without meaning to Markdown, wherever a line begins.
fn escaped(word: &str) -> String {
    let number = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbering = number.len() < word.len() && matches!(number, "." | ")");
    let is_rule = word.chars().all(|c| matches!(c, '-' | '+' | '='));
    let mut escaped = String::with_capacity(word.len());
    for c in word.chars() {
        let is_markup = matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>');
        let is_markup = is_markup || matches!(c, '#' | '|' | '&' | '~');
        if is_markup || is_rule || is_numbering && !c.is_ascii_digit() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_code_or_markup() {
        let text = "Use <dir> [x]:\n\n    let a = 1.5;\n```\n- one -1\n1. two 2) *b* a_b";
        let expected = " Use \\<dir\\> \\[x\\]: let a \\= 1.5; \\`\\`\\` \\- one -1 1\\. two 2\\) \\*b\\* a\\_b";
        assert_eq!(wrapped(text), [expected]);
    }

    #[test]
    fn long_texts_are_wrapped() {
        let lines = wrapped(&"word ".repeat(40));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS + 1));
        assert!(wrapped(" \u{a0}\n").is_empty());
    }
}
