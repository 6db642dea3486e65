//! The vocabulary of object definitions, with the spellings that files in the field use.

use lwm2m_core::{DataType, ObjectVersion, Operations};

/// How well a text matches the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word<T> {
    /// The word of the schema.
    Exact(T),
    /// Another spelling, whose meaning is clear.
    Meant(T),
    /// No known word.
    Unknown,
}

/// Text with each run of white space as one space, none at the ends.
///
/// White space is what Unicode says it is, no-break spaces included.
pub(crate) fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// Text whose lines are collapsed one by one, without blank ones.
pub(crate) fn collapse_lines(text: &str) -> String {
    let mut lines: Vec<String> = text.split(['\n', '\r']).map(collapse).collect();
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// The type of a resource; none for the empty word.
pub(crate) fn data_type(text: &str) -> Word<Option<DataType>> {
    const TYPES: [DataType; 9] = [
        DataType::String,
        DataType::Integer,
        DataType::Unsigned,
        DataType::Float,
        DataType::Boolean,
        DataType::Opaque,
        DataType::Time,
        DataType::ObjectLink,
        DataType::CoreLink,
    ];
    if text.is_empty() {
        return Word::Exact(None);
    }
    if let Some(exact) = TYPES.iter().find(|known| known.as_str() == text) {
        return Word::Exact(Some(*exact));
    }
    let meant = match squash(text).as_str() {
        "string" | "text" => DataType::String,
        "integer" | "int" => DataType::Integer,
        "unsignedinteger" | "unsigned" | "uint" => DataType::Unsigned,
        "float" | "double" => DataType::Float,
        "boolean" | "bool" => DataType::Boolean,
        "opaque" => DataType::Opaque,
        "time" => DataType::Time,
        "objlnk" | "objlink" | "objectlink" | "objectlnk" => DataType::ObjectLink,
        "corelnk" | "corelink" => DataType::CoreLink,
        "none" => return Word::Meant(None),
        _ => return Word::Unknown,
    };
    Word::Meant(Some(meant))
}

/// What a server may do with a resource.
pub(crate) fn operations(text: &str) -> Word<Operations> {
    let of = |letters: &str| Operations {
        read: letters.contains('R'),
        write: letters.contains('W'),
        execute: letters.contains('E'),
    };
    if matches!(text, "" | "R" | "W" | "RW" | "E") {
        return Word::Exact(of(text));
    }
    let letters: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ',' | '/' | '|'))
        .collect::<String>()
        .to_uppercase();
    if letters == "NONE" {
        return Word::Meant(Operations::default());
    }
    match letters.chars().all(|c| matches!(c, 'R' | 'W' | 'E')) {
        true => Word::Meant(of(&letters)),
        false => Word::Unknown,
    }
}

/// True for `Multiple`, false for `Single`.
pub(crate) fn multiple(text: &str) -> Word<bool> {
    choice(text, "Multiple", "Single")
}

/// True for `Mandatory`, false for `Optional`.
pub(crate) fn mandatory(text: &str) -> Word<bool> {
    choice(text, "Mandatory", "Optional")
}

/// A version of the form `major.minor`, or `major` alone.
pub(crate) fn version(text: &str) -> Word<ObjectVersion> {
    if let Ok(version) = text.parse() {
        return Word::Exact(version);
    }
    match format!("{text}.0").parse() {
        Ok(version) => Word::Meant(version),
        Err(_) => Word::Unknown,
    }
}

/// True for a range of two numbers, the first above the second.
pub(crate) fn is_reversed_range(text: &str) -> bool {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    let Some((low, high)) = text.split_once("..") else {
        return false;
    };
    let high = high.trim_start_matches('.');
    matches!((number(low), number(high)), (Some(low), Some(high)) if low > high)
}

fn choice(text: &str, yes: &str, no: &str) -> Word<bool> {
    if text == yes {
        return Word::Exact(true);
    }
    if text == no {
        return Word::Exact(false);
    }
    let squashed = squash(text);
    if squashed == squash(yes) || matches!(squashed.as_str(), "yes" | "true" | "1") {
        return Word::Meant(true);
    }
    if squashed == squash(no) || matches!(squashed.as_str(), "no" | "false" | "0") {
        return Word::Meant(false);
    }
    Word::Unknown
}

/// Letters and digits only, in lower case.
fn squash(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapses_white_space_of_every_kind() {
        assert_eq!(
            collapse(" Cell\u{a0} ID \r\n\t(serving) "),
            "Cell ID (serving)"
        );
        assert_eq!(collapse("\u{a0} \n"), "");
        assert_eq!(collapse_lines("\r\n 0:  A \r\n\r\n1: B\n"), "0: A\n1: B");
        assert_eq!(collapse_lines("0..255"), "0..255");
    }

    #[test]
    fn knows_types_by_name_and_by_other_spellings() {
        assert_eq!(data_type(""), Word::Exact(None));
        assert_eq!(
            data_type("Unsigned Integer"),
            Word::Exact(Some(DataType::Unsigned))
        );
        assert_eq!(data_type("CoreLink"), Word::Meant(Some(DataType::CoreLink)));
        assert_eq!(
            data_type("unsigned-integer"),
            Word::Meant(Some(DataType::Unsigned))
        );
        assert_eq!(data_type("Date"), Word::Unknown);
    }

    #[test]
    fn knows_operations() {
        let all = Operations {
            read: true,
            write: true,
            execute: true,
        };
        let read_write = Operations {
            execute: false,
            ..all
        };
        assert_eq!(operations("RW"), Word::Exact(read_write));
        assert_eq!(operations("r / w"), Word::Meant(read_write));
        assert_eq!(operations("RWE"), Word::Meant(all));
        assert_eq!(operations(""), Word::Exact(Operations::default()));
        assert_eq!(operations("Read"), Word::Unknown);
    }

    #[test]
    fn knows_choices_and_versions() {
        assert_eq!(mandatory("Mandatory"), Word::Exact(true));
        assert_eq!(mandatory("Yes"), Word::Meant(true));
        assert_eq!(multiple("single"), Word::Meant(false));
        assert_eq!(multiple("Many"), Word::Unknown);
        assert_eq!(version("1.0"), Word::Exact(ObjectVersion::V1_0));
        assert_eq!(version("1"), Word::Meant(ObjectVersion::V1_0));
        assert_eq!(version("1.0.2"), Word::Unknown);
        assert_eq!(version(""), Word::Unknown);
    }

    #[test]
    fn finds_reversed_ranges() {
        for reversed in ["-30..-120", "5 .. 1", "15...1"] {
            assert!(is_reversed_range(reversed), "{reversed}");
        }
        for range in [
            "0..255",
            "1...15",
            "-120..-25",
            "8-Bits",
            "",
            "..",
            "0..1..0",
        ] {
            assert!(!is_reversed_range(range), "{range}");
        }
    }
}
