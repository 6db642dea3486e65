//! What files do wrong: understood with a finding where the meaning is clear, refused where not.

use lwm2m_core::{DataType, ObjectVersion};
use lwm2m_registry::Severity::{Error, Note, Warning};
use lwm2m_registry::{ParseError, ParseFault, Parser, Severity, Strictness, parse};

use crate::{ITEM, file, findings, object, parsed};

/// Parses a file with one change to its item and expects one finding.
fn resource_with(
    from: &str,
    to: &str,
    severity: Severity,
    message: &str,
) -> Option<lwm2m_core::ResourceModel> {
    assert!(ITEM.contains(from), "{from}");
    let parsed = parsed(file("", &format!("{}{}", ITEM.replace(from, to), LAST)));
    assert_eq!(findings(&parsed.diagnostics), [(severity, message)]);
    let model = &parsed.models[0];
    assert!(model.resource(9).is_some());
    model.resource(1).cloned()
}

/// A second resource, which stays whatever is wrong with the first.
const LAST: &str = "<Item ID=\"9\"><Name>Reset</Name><Operations>E</Operations>\
    <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Type/></Item>";

fn refused(xml: impl AsRef<[u8]>) -> ParseError {
    parse(xml, "test.xml").unwrap_err()
}

#[test]
fn the_first_of_two_resources_with_one_id_stays() {
    let items = format!("{ITEM}{}", ITEM.replace("State", "Other"));
    let parsed = parsed(file("", &items));
    let expected = "resource 1 is defined again, as `Other`";
    assert_eq!(findings(&parsed.diagnostics), [(Error, expected)]);
    assert_eq!(&*parsed.models[0].resource(1).unwrap().name, "State");
}

#[test]
fn the_first_of_two_objects_with_one_version_stays() {
    let first = object(32769, "", ITEM);
    let xml = format!("<LWM2M>{first}{}</LWM2M>", first.replace("Door", "Gate"));
    let parsed = parsed(xml);
    let expected = "object 32769 version 1.0 is defined again";
    assert_eq!(findings(&parsed.diagnostics), [(Error, expected)]);
    assert_eq!((parsed.models.len(), &*parsed.models[0].name), (1, "Door"));
}

#[test]
fn other_spellings_of_words_are_understood() {
    let message = "`CoreLink` is not a type, it is taken for Corelnk";
    let resource = resource_with(">Integer<", ">CoreLink<", Warning, message).unwrap();
    assert_eq!(resource.data_type, Some(DataType::CoreLink));

    let message = "`Yes` is no word for <Mandatory>";
    let resource = resource_with(">Optional<", ">Yes<", Warning, message).unwrap();
    assert!(resource.mandatory);

    let message = "`multiple` is no word for <MultipleInstances>";
    let resource = resource_with(">Single<", ">multiple<", Warning, message).unwrap();
    assert!(resource.multiple);

    let message = "`R,W` are unusual operations";
    let resource = resource_with(">R<", ">R,W<", Warning, message).unwrap();
    assert!(resource.operations.read && resource.operations.write);
}

#[test]
fn unknown_and_missing_words_have_the_careful_meaning() {
    let message = "`Date` is not a type, values stay untyped";
    let resource = resource_with(">Integer<", ">Date<", Error, message).unwrap();
    assert_eq!(resource.data_type, None);

    let message = "`Perhaps` is no word for <Mandatory>";
    let resource = resource_with(">Optional<", ">Perhaps<", Warning, message).unwrap();
    assert!(!resource.mandatory);

    let message = "<MultipleInstances> is missing in <Item>";
    let element = "<MultipleInstances>Single</MultipleInstances>";
    let resource = resource_with(element, "", Warning, message).unwrap();
    assert!(!resource.multiple);

    let message = "`Read` are no operations, none is allowed";
    let resource = resource_with(">R<", ">Read<", Error, message).unwrap();
    assert_eq!(resource.operations, Default::default());

    let message = "the resource has no <Operations>";
    let element = "<Operations>R</Operations>";
    let resource = resource_with(element, "", Warning, message).unwrap();
    assert_eq!(resource.operations, Default::default());

    let message = "there is no name, it is called `Resource 1`";
    let resource = resource_with("<Name>State</Name>", "", Warning, message).unwrap();
    assert_eq!(&*resource.name, "Resource 1");
}

#[test]
fn a_resource_without_usable_id_is_left_out() {
    for (from, to, message) in [
        ("ID=\"1\"", "", "the resource has no ID, it is left out"),
        (
            "ID=\"1\"",
            "ID=\"XXXX\"",
            "`XXXX` is not a resource id, the resource is left out",
        ),
        (
            "ID=\"1\"",
            "ID=\"65535\"",
            "`65535` is not a resource id, the resource is left out",
        ),
        (
            "ID=\"1\"",
            "ID=\"-1\"",
            "`-1` is not a resource id, the resource is left out",
        ),
    ] {
        assert_eq!(resource_with(from, to, Error, message), None);
    }
}

#[test]
fn combinations_without_sense_are_reported() {
    let message = "the resource has values but no type, they stay untyped";
    let resource = resource_with(">Integer<", "><", Warning, message).unwrap();
    assert_eq!(resource.data_type, None);

    let message = "an executable resource has no values, but a type is given";
    let resource = resource_with(">R<", ">E<", Warning, message).unwrap();
    assert_eq!(resource.data_type, Some(DataType::Integer));

    let message = "the range `-30..-120` is reversed";
    let resource = resource_with("0..255", "-30..-120", Warning, message).unwrap();
    assert_eq!(&*resource.range, "-30..-120");

    let message = "a Boolean has no range";
    resource_with(">Integer<", ">Boolean<", Note, message);

    let items = LAST.replace("Single", "Multiple");
    let parsed = parsed(file("", &items));
    let message = "an executable resource cannot have instances";
    assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
}

#[test]
fn elements_that_do_not_belong_are_reported_and_passed_over() {
    let message = "<Unit> is not known in <Item>";
    let resource = resource_with("<Units>s</Units>", "<Unit>s</Unit>", Warning, message).unwrap();
    assert_eq!(&*resource.units, "");

    let message = "<Name> is there twice";
    let twice = "<Name>State</Name><Name>Other</Name>";
    let resource = resource_with("<Name>State</Name>", twice, Warning, message).unwrap();
    assert_eq!(&*resource.name, "State");

    let message = "<b> is not allowed in the text of <Description>";
    let resource = resource_with("A state.", "A <b>big</b> state.", Warning, message).unwrap();
    assert_eq!(&*resource.description, "A state.");

    let message = "there is stray text in <Item>";
    resource_with("<Type>", "?<Type>", Warning, message);

    let parsed = parsed(file("", &format!("{ITEM}<Entry/>")));
    let message = "<Entry> is not known in <Resources>";
    assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
}

#[test]
fn urns_that_disagree_are_reported() {
    let urn = "urn:oma:lwm2m:x:32769";
    for (other, version, message) in [
        (
            "oma:lwm2mx32769",
            "1.0",
            "`oma:lwm2mx32769` is not the URN of an object",
        ),
        (
            "urn:oma:lwm2m:x:32770",
            "1.0",
            "the URN is of object 32770, the object id is 32769",
        ),
        (
            "urn:oma:lwm2m:x:32769:1.1",
            "1.0",
            "the URN says version 1.1, the object 1.0",
        ),
        ("", "1.0", "the object has no <ObjectURN>"),
    ] {
        let head = format!("<ObjectVersion>{version}</ObjectVersion>");
        let parsed = parsed(file(&head, ITEM).replace(urn, other));
        assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
        assert_eq!(parsed.models[0].version, version.parse().unwrap());
    }
}

#[test]
fn versions_are_completed_where_that_is_clear() {
    let parsed = parsed(file("<ObjectVersion>1</ObjectVersion>", ITEM));
    let message = "`1` in <ObjectVersion> has no minor version";
    assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
    assert_eq!(parsed.models[0].version, ObjectVersion::V1_0);

    let parsed = crate::parsed(file("", ITEM).replace("x:32769<", "x:32769:1.3<"));
    let message = "the object has no version, its URN says 1.3";
    assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
    assert_eq!(parsed.models[0].version, "1.3".parse().unwrap());

    let parsed = crate::parsed(file("<LWM2MVersion>new</LWM2MVersion>", ITEM));
    let message = "`new` is not a version";
    assert_eq!(findings(&parsed.diagnostics), [(Warning, message)]);
}

#[test]
fn objects_with_gaps_are_named_and_reported() {
    let xml = "<LWM2M><Object><ObjectID>32769</ObjectID></Object><Extra/></LWM2M>";
    let parsed = parsed(xml);
    let messages: Vec<_> = findings(&parsed.diagnostics);
    assert_eq!(
        messages,
        [
            (Warning, "the object's ObjectType is not MODefinition"),
            (Warning, "the object has no <ObjectURN>"),
            (Warning, "there is no name, it is called `Object 32769`"),
            (Warning, "<MultipleInstances> is missing in <Object>"),
            (Warning, "<Mandatory> is missing in <Object>"),
            (Warning, "there is no <Resources>"),
            (Warning, "<Extra> is not known in <LWM2M>"),
        ]
    );
    assert_eq!(&*parsed.models[0].name, "Object 32769");
}

#[test]
fn objects_without_identity_are_refused() {
    let id = "<ObjectID>32769</ObjectID>";
    for (other, fault) in [
        ("", ParseFault::Missing("ObjectID")),
        ("<ObjectID> </ObjectID>", ParseFault::Missing("ObjectID")),
        (
            "<ObjectID>22:1.1</ObjectID>",
            ParseFault::BadObjectId("22:1.1".into()),
        ),
        (
            "<ObjectID>65535</ObjectID>",
            ParseFault::BadObjectId("65535".into()),
        ),
        (
            "<ObjectID>+3</ObjectID>",
            ParseFault::BadObjectId("+3".into()),
        ),
    ] {
        assert_eq!(refused(file("", ITEM).replace(id, other)).fault, fault);
    }
    let error = refused(file("<ObjectVersion>1.0.2</ObjectVersion>", ITEM));
    assert_eq!(error.fault, ParseFault::BadVersion("1.0.2".into()));
    assert_eq!(refused("<LWM2M/>").fault, ParseFault::NoObject);
    let other = ParseFault::OtherRoot {
        expected: "LWM2M",
        found: "DDFList".into(),
    };
    assert_eq!(refused("<DDFList/>").fault, other);
}

#[test]
fn errors_and_findings_say_where() {
    let xml = "<?xml version=\"1.0\"?>\n<LWM2M>\n  <Object>\n    <Name>A < B</Name>\n";
    let error = refused(xml);
    assert_eq!(
        (&*error.file, error.line, error.column),
        ("test.xml", 4, 13)
    );
    assert_eq!(
        error.to_string(),
        "test.xml:4:13: the XML is not well-formed: \
        a `<` that starts no tag must be written `&lt;`"
    );
    let xml = format!(
        "\n{}",
        file("", &format!("\n  {}", ITEM.replace(">R<", ">r<")))
    );
    let diagnostics = parsed(xml).diagnostics;
    assert_eq!(
        diagnostics[0].to_string(),
        "test.xml:3:34: warning: `r` are unusual operations \
        (write R, W, RW, E, or nothing for bootstrap only)"
    );
    let as_diagnostics = error.into_diagnostics();
    assert_eq!((as_diagnostics.len(), as_diagnostics[0].line), (1, 4));
    assert!(!as_diagnostics[0].advice.is_empty());
}

#[test]
fn findings_are_in_the_order_of_the_file() {
    let xml = "<LWM2M>\n<Object>\n<ObjectID>3</ObjectID>\n<Wrong/>\n<Resources>\n<Wrong/>\n\
        </Resources>\n</Object>\n<Wrong/>\n</LWM2M>";
    let lines: Vec<u32> = parsed(xml)
        .diagnostics
        .iter()
        .map(|found| found.line)
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn strict_mode_refuses_warnings_and_takes_notes() {
    let strict = Parser::new(Strictness::Strict);
    let warned = file(
        "",
        &ITEM.replace(">R<", ">r<").replace(">Optional<", ">No<"),
    );
    let column = warned.find("<Operations>").unwrap() + 1;
    let error = strict.parse(&warned, "test.xml").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("test.xml:1:{column}: `r` are unusual operations, and 1 more")
    );
    assert_eq!(error.into_diagnostics(), parsed(&warned).diagnostics);

    let noted = file("", &ITEM.replace(">Integer<", ">Boolean<"));
    let taken = strict.parse(&noted, "test.xml").unwrap();
    assert_eq!(taken, parsed(&noted));
    assert_eq!(taken.diagnostics.len(), 1);

    let error = strict
        .parse_index("<DDFList><Row/></DDFList>", "i.xml")
        .unwrap_err();
    assert!(matches!(error.fault, ParseFault::Rejected(found) if found.len() == 1));
}
