//! Names in certificates: how they are read, shown and compared.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::X509Name;

/// Names that are shown to people are cut here, in bytes.
const SHOWN_BYTES_MAX: usize = 256;

/// The common name, whatever kind of string it is. None when there is none, when there are
/// several, since which of them counts is anybody's guess, and when it is no text.
pub(super) fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut names = subject.iter_common_name();
    let (first, second) = (names.next()?, names.next());
    if second.is_some() {
        return None;
    }
    let text = directory_string(first.attr_value())?;
    let usable = !text.is_empty() && !text.chars().any(char::is_control);
    usable.then_some(text)
}

/// A DirectoryString (RFC 5280 §4.1.2.4), and IA5String, which CAs write too.
fn directory_string(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            Some(std::str::from_utf8(bytes).ok()?.to_owned())
        }
        // T.61 in the standard, Latin-1 in the certificates.
        Tag::T61String => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            let text = rest.is_empty().then(|| String::from_utf16(&units).ok());
            text.flatten()
        }
        Tag::UniversalString => {
            let (units, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return None;
            }
            let characters = units.iter().map(|unit| u32::from_be_bytes(*unit));
            characters.map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// A text of a stranger, for a log: without control characters, and not too long.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let character = if character.is_control() {
            '\u{fffd}'
        } else {
            character
        };
        if shown.len() + character.len_utf8() > SHOWN_BYTES_MAX {
            break;
        }
        shown.push(character);
    }
    shown
}

/// Compares a name of a certificate with a host name: without regard to case, `*` for the whole
/// of the first label (RFC 6125 §6.4).
pub(super) fn host_matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    match pattern.strip_prefix("*.") {
        None => !host.is_empty() && pattern.eq_ignore_ascii_case(host),
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(rest)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (pattern, host, matches) in [
            ("coap.example.com", "COAP.example.com", true),
            ("coap.example.com", "coap.example.com.", true),
            ("coap.example.com", "xcoap.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.com", "example.com", false),
            ("*", "example", false),
            ("", "", false),
        ] {
            assert_eq!(host_matches(pattern, host), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_in_one_line() {
        assert_eq!(printable("a\nb\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        let long = "\u{e4}".repeat(SHOWN_BYTES_MAX);
        assert_eq!(printable(&long).len(), SHOWN_BYTES_MAX);
        assert_eq!(printable(&format!("a{long}")).len(), SHOWN_BYTES_MAX - 1);
    }
}
