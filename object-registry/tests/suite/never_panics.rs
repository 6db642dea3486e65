//! No bytes make the parser panic, and what it says points into the file.

use lwm2m_registry::{Diagnostic, ParseError, Parser, Strictness};
use proptest::prelude::*;

const SEED: &str = include_str!("../../objects/3303.xml");

/// Pieces that markup is made of, in any order.
const PIECES: [&str; 28] = [
    "<LWM2M>",
    "</LWM2M>",
    "<Object ObjectType=\"MODefinition\">",
    "<Object ObjectType='CommonResources'>",
    "</Object>",
    "<ObjectID>3</ObjectID>",
    "<ObjectID>",
    "<Resources>",
    "</Resources>",
    "<Item ID=\"1\">",
    "<Item ID='&#49;' ID='2'/>",
    "</Item>",
    "<Type>Integer</Type>",
    "<DDFList>",
    "</DDFList>",
    "<DDF>../a.xml</DDF>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version=\"1.0\"?>",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "&amp;",
    "&#xFFFF;",
    "&",
    "<",
    "é\u{a0}\u{feff}",
    "\r\n",
];

/// Parses as both kinds of file in both modes.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    for strictness in [Strictness::Lenient, Strictness::Strict] {
        let parser = Parser::new(strictness);
        let objects = parser
            .parse(bytes, "a.xml")
            .map(|parsed| parsed.diagnostics);
        let index = parser.parse_index(bytes, "a.xml");
        for result in [objects, index.map(|index| index.diagnostics)] {
            let found = result.unwrap_or_else(ParseError::into_diagnostics);
            for Diagnostic { line, column, .. } in found {
                let (line, column) = (line as usize, column as usize);
                prop_assert!((1..=lines).contains(&line), "line {line} of {lines}");
                prop_assert!((1..=bytes.len() + 1).contains(&column), "column {column}");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        check(&bytes)?;
    }

    #[test]
    fn on_markup_in_any_order(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        check(pieces.concat().as_bytes())?;
        check(format!("<LWM2M>{}</LWM2M>", pieces.concat()).as_bytes())?;
        check(format!("<DDFList><Item>{}</Item></DDFList>", pieces.concat()).as_bytes())?;
    }

    #[test]
    fn on_a_damaged_file(
        cuts in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..40, prop::collection::vec(any::<u8>(), 0..4)),
            1..6,
        ),
    ) {
        let mut bytes = SEED.as_bytes().to_vec();
        for (place, length, put) in cuts {
            let start = place.index(bytes.len());
            let end = bytes.len().min(start + length);
            bytes.splice(start..end, put);
        }
        check(&bytes)?;
    }

    #[test]
    fn on_a_file_with_exchanged_characters(
        places in prop::collection::vec((any::<prop::sample::Index>(), "[<>&/!?;\\]\\[a-z0-9 .:-]"), 1..12),
    ) {
        let mut bytes = SEED.as_bytes().to_vec();
        for (place, put) in places {
            let at = place.index(bytes.len());
            bytes.splice(at..=at, put.bytes());
        }
        check(&bytes)?;
    }
}
