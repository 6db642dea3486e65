//! Each limit takes its value and refuses one more.
//!
//! The limits of the XML itself (depth, elements, attributes, text) are tested beside their code,
//! the limit of a folder with the folders.

use lwm2m_registry::{Limits, ParseFault, Parser, Severity, Strictness};

use crate::{ITEM, file, object};

/// Parses both files with the limits; the second must pass the limit `what` of value `max`.
fn assert_limit(limits: Limits, within: &str, beyond: &str, what: &str, max: usize) {
    let parser = Parser::new(Strictness::Lenient).with_limits(limits);
    let parse = |xml: &str| match xml.starts_with("<DDFList>") {
        true => parser.parse_index(xml, "test.xml").map(|_| ()),
        false => parser.parse(xml, "test.xml").map(|_| ()),
    };
    parse(within).unwrap();
    match parse(beyond).unwrap_err().fault {
        ParseFault::OverLimit {
            what: found_what,
            max: found_max,
        } => assert_eq!((found_what, found_max), (what, max)),
        fault => panic!("{fault:?}"),
    }
}

#[test]
fn of_the_bytes_of_a_file() {
    let within = file("", ITEM);
    let limits = Limits {
        file_bytes_max: within.len(),
        ..Limits::default()
    };
    let beyond = format!("{within} ");
    assert_limit(limits, &within, &beyond, "bytes in a file", within.len());
}

#[test]
fn of_the_text_of_an_element() {
    let limits = Limits {
        text_bytes_max: 30,
        ..Limits::default()
    };
    let described = |length| file("", &ITEM.replace("A state.", &"x".repeat(length)));
    let what = "bytes of text in an element";
    assert_limit(limits, &described(30), &described(31), what, 30);
}

#[test]
fn of_the_objects_of_a_file() {
    let limits = Limits {
        objects_max: 3,
        ..Limits::default()
    };
    let objects = |count| {
        let objects: String = (0..count).map(|id| object(id, "", ITEM)).collect();
        format!("<LWM2M>{objects}</LWM2M>")
    };
    assert_limit(limits, &objects(3), &objects(4), "objects in a file", 3);
}

#[test]
fn of_the_resources_of_an_object() {
    let limits = Limits {
        resources_max: 3,
        ..Limits::default()
    };
    let resources = |count: u16| {
        let id = |id| ITEM.replace("ID=\"1\"", &format!("ID=\"{id}\""));
        file("", &(0..count).map(id).collect::<String>())
    };
    let what = "resources of an object";
    assert_limit(limits.clone(), &resources(3), &resources(4), what, 3);
    // Items that are left out count as well.
    let broken = format!("<LWM2M>{}</LWM2M>", object(1, "", &"<Item/>".repeat(4)));
    assert_limit(limits, &resources(3), &broken, what, 3);
}

#[test]
fn of_the_rows_of_an_index() {
    let limits = Limits {
        rows_max: 3,
        ..Limits::default()
    };
    let rows = |count| format!("<DDFList>{}</DDFList>", "<Item/>".repeat(count));
    assert_limit(limits, &rows(3), &rows(4), "rows in an index", 3);
}

#[test]
fn of_the_findings_about_a_file() {
    let limits = Limits {
        diagnostics_max: 3,
        ..Limits::default()
    };
    let parser = Parser::new(Strictness::Lenient).with_limits(limits);
    let found = |count| {
        let xml = file("", &format!("{ITEM}{}", "<Wrong/>".repeat(count)));
        parser.parse(xml, "test.xml").unwrap().diagnostics
    };
    assert_eq!(found(3).len(), 3);
    for count in [4, 100] {
        let found = found(count);
        assert_eq!(found.len(), 4);
        let last = found.last().unwrap();
        assert_eq!(last.severity, Severity::Warning);
        assert_eq!(last.message, "there are more than 3 findings");
    }
}
