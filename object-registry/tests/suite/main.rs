//! The tests of the crate from outside: files as they are in the field, and folders of them.

#![allow(clippy::unwrap_used, reason = "a fixture that is wrong ends the test")]

mod embedded;
mod folder;
mod index;
mod limits;
mod mistakes;
mod never_panics;
mod quirks;

use lwm2m_core::ObjectModel;
use lwm2m_registry::{Diagnostic, Parsed, Severity, parse};

/// A resource that has nothing unusual, as an `<Item>`.
const ITEM: &str = "<Item ID=\"1\"><Name>State</Name><Operations>R</Operations>\
    <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
    <Type>Integer</Type><RangeEnumeration>0..255</RangeEnumeration><Units>s</Units>\
    <Description>A state.</Description></Item>";

/// An object that has nothing unusual but, perhaps, its head and its items.
fn object(id: u16, head: &str, items: &str) -> String {
    format!(
        "<Object ObjectType=\"MODefinition\"><Name>Door</Name><Description1>A door.</Description1>\
        <ObjectID>{id}</ObjectID><ObjectURN>urn:oma:lwm2m:x:{id}</ObjectURN>{head}\
        <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>\
        <Resources>{items}</Resources><Description2></Description2></Object>"
    )
}

/// A file with one such object, number 32769.
fn file(head: &str, items: &str) -> String {
    format!("<LWM2M>{}</LWM2M>", object(32769, head, items))
}

fn parsed(xml: impl AsRef<[u8]>) -> Parsed {
    parse(xml, "test.xml").unwrap()
}

/// The only object of a file without findings.
fn model(xml: impl AsRef<[u8]>) -> ObjectModel {
    let mut parsed = parsed(xml);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.models.len(), 1);
    parsed.models.remove(0)
}

/// The severity and the message of each finding.
fn findings(diagnostics: &[Diagnostic]) -> Vec<(Severity, &str)> {
    diagnostics
        .iter()
        .map(|found| (found.severity, found.message.as_str()))
        .collect()
}
