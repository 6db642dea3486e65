//! Tables for people.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

/// Prints rows under a header, without the columns that are empty in every row; a sentence when
/// there is no row.
pub(crate) fn print(header: &[&str], rows: Vec<Vec<String>>, nothing: &str) {
    if rows.is_empty() {
        say!("{nothing}");
        return;
    }
    let filled = |column: usize| {
        rows.iter()
            .any(|row| row.get(column).is_some_and(|c| !c.is_empty()))
    };
    let kept: Vec<usize> = (0..header.len()).filter(|column| filled(*column)).collect();
    let mut table = empty_table();
    table.set_header(kept.iter().filter_map(|column| header.get(*column)));
    for row in &rows {
        table.add_row(kept.iter().filter_map(|column| row.get(*column)));
    }
    say!("{table}");
}

/// Prints facts, one a row, name and value.
pub(crate) fn print_facts(facts: Vec<(String, String)>) {
    let mut table = empty_table();
    for (name, value) in facts {
        table.add_row(vec![name, value]);
    }
    say!("{table}");
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// A field of an answer as people read it, safe for a terminal.
pub(crate) fn text(record: &Value, key: &str) -> String {
    match record.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(other) => printable(&other.to_string()),
    }
}

/// Devices choose their names and values: control characters, and those that turn the direction of
/// writing, must not reach the terminal.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character| {
        if is_safe(character) {
            character
        } else {
            '\u{fffd}'
        }
    };
    text.chars().map(shown).collect()
}

/// JSON on one line, safe for a terminal as well: what JSON does not escape by itself is escaped.
pub(crate) fn printable_json(value: &Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        if is_safe(character) {
            out.push(character);
        } else {
            // All of them lie below U+10000.
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
    }
    out
}

fn is_safe(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = "a\u{1b}[31m\nb\u{9b}\u{202e}c";
        let shown = printable(text);
        assert_eq!(shown, "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}c");
        let value = Value::from(text);
        let shown = printable_json(&value);
        assert!(!shown.contains(|character| !is_safe(character)), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
