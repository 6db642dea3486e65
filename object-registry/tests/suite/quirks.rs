//! What files in the field do and may do: understood without a finding.

use lwm2m_core::{DataType, ObjectVersion, Operations};
use lwm2m_registry::{Parser, Strictness};

use crate::{ITEM, file, model, object, parsed};

#[test]
fn a_plain_file_yields_all_fields() {
    let xml = file("<ObjectVersion>1.0</ObjectVersion>", ITEM);
    let object = model(&xml);
    assert_eq!((object.id, object.version), (32769, ObjectVersion::V1_0));
    assert_eq!((&*object.name, &*object.description), ("Door", "A door."));
    assert!(object.multiple && !object.mandatory);
    let resource = object.resource(1).unwrap();
    assert_eq!(
        (&*resource.name, &*resource.description),
        ("State", "A state.")
    );
    assert_eq!(resource.data_type, Some(DataType::Integer));
    assert_eq!((&*resource.range, &*resource.units), ("0..255", "s"));
    let read = Operations {
        read: true,
        ..Operations::default()
    };
    assert_eq!(resource.operations, read);
    assert!(!resource.multiple && !resource.mandatory);
    let strict = Parser::new(Strictness::Strict);
    assert_eq!(strict.parse(&xml, "test.xml").unwrap().models, [object]);
}

#[test]
fn byte_order_mark_declaration_and_licence_do_not_matter() {
    let plain = file("", ITEM);
    let expected = model(&plain);
    for before in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!--\r\nCopyright & <b>\r\n-->\r\n\r\n",
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n",
        "\u{feff}",
        "<?editor setting?>\n<!-- a comment first -->",
    ] {
        assert_eq!(
            model(format!("{before}{plain}\r\n\r\n")),
            expected,
            "{before:?}"
        );
    }
}

#[test]
fn cdata_references_and_line_ends_are_text() {
    let item = ITEM.replace(
        "A state.",
        "\r\n    <![CDATA[ Files in <dir>\r\n\r\n        & [a]: ]]> 1 &lt; 2 &amp;&#38; &#x20AC;\r\n",
    );
    let description = &model(file("", &item)).resources[0].description;
    assert_eq!(&**description, "Files in <dir> & [a]: 1 < 2 && €");
}

#[test]
fn items_inside_comments_are_none() {
    let items = format!(
        "<!-- {} -->{ITEM}<!--{}-->",
        ITEM.replace("--", ""),
        "<Item ID=\"3\">"
    );
    assert_eq!(model(file("", &items)).resources.len(), 1);
}

#[test]
fn the_order_of_elements_does_not_matter() {
    let xml = "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Door</Name>\
        <Description1>A door.</Description1><Description2>More.</Description2>\
        <Resources><Item ID=\"1\"><Units>s</Units><Description>A state.</Description>\
        <Type>Integer</Type><RangeEnumeration>0..255</RangeEnumeration>\
        <Mandatory>Optional</Mandatory><MultipleInstances>Single</MultipleInstances>\
        <Operations>R</Operations><Name>State</Name></Item></Resources>\
        <Mandatory>Optional</Mandatory><MultipleInstances>Multiple</MultipleInstances>\
        <ObjectURN>urn:oma:lwm2m:x:32769</ObjectURN><ObjectID>32769</ObjectID></Object></LWM2M>";
    assert_eq!(model(xml), model(file("", ITEM)));
}

#[test]
fn range_units_and_description_may_be_missing() {
    let item = "<Item ID=\"1\"><Name>A</Name><Operations>R</Operations>\
        <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
        <Type>String</Type></Item>";
    let resource = &model(file("", item)).resources[0];
    assert_eq!((&*resource.range, &*resource.units), ("", ""));
    assert_eq!(&*resource.description, "");
}

#[test]
fn missing_and_empty_versions_are_1_0() {
    for head in [
        "",
        "<LWM2MVersion></LWM2MVersion><ObjectVersion></ObjectVersion>",
        "<LWM2MVersion/><ObjectVersion> \n </ObjectVersion>",
        "<LWM2MVersion>1.2</LWM2MVersion>",
    ] {
        assert_eq!(
            model(file(head, ITEM)).version,
            ObjectVersion::V1_0,
            "{head}"
        );
    }
}

#[test]
fn a_urn_may_state_version_1_0() {
    let xml = file("", ITEM).replace("x:32769<", "x:32769:1.0<");
    assert_eq!(model(xml).version, ObjectVersion::V1_0);
}

#[test]
fn a_version_above_1_0_stands_in_the_urn_as_well() {
    let xml = file("<ObjectVersion>2.1</ObjectVersion>", ITEM).replace("32769<", "32769:2.1<");
    let xml = xml.replace("<ObjectID>32769:2.1<", "<ObjectID>32769<");
    assert_eq!(model(xml).version, "2.1".parse().unwrap());
}

#[test]
fn names_lose_odd_white_space() {
    let item = ITEM.replace("State", " \tFirst\u{a0}and\n  second ");
    assert_eq!(
        &*model(file("", &item)).resources[0].name,
        "First and second"
    );
}

#[test]
fn labelled_ranges_keep_their_lines() {
    let item = ITEM.replace("0..255", "\r\n  0: RELEASED\r\n  1:  PRESSED\r\n");
    let range = &model(file("", &item)).resources[0].range;
    assert_eq!(&**range, "0: RELEASED\n1: PRESSED");
}

#[test]
fn resources_are_sorted() {
    let items =
        ["7", "5700", "0", "65534"].map(|id| ITEM.replace("ID=\"1\"", &format!("ID=\"{id}\"")));
    let object = model(file("", &items.concat()));
    let ids: Vec<u16> = object
        .resources
        .iter()
        .map(|resource| resource.id)
        .collect();
    assert_eq!(ids, [0, 7, 5700, 65534]);
    assert!(object.resource(5700).is_some());
}

#[test]
fn every_type_and_every_operation_has_its_word() {
    for (word, data_type) in [
        ("String", DataType::String),
        ("Integer", DataType::Integer),
        ("Unsigned Integer", DataType::Unsigned),
        ("Float", DataType::Float),
        ("Boolean", DataType::Boolean),
        ("Opaque", DataType::Opaque),
        ("Time", DataType::Time),
        ("Objlnk", DataType::ObjectLink),
        ("Corelnk", DataType::CoreLink),
    ] {
        let item = ITEM
            .replace(">Integer<", &format!(">{word}<"))
            .replace("0..255", "");
        let found = model(file("", &item)).resources[0].data_type;
        assert_eq!(found, Some(data_type), "{word}");
    }
    for (word, bits) in [("", 0), ("R", 1), ("W", 2), ("RW", 3)] {
        let item = ITEM.replace(">R<", &format!(">{word}<"));
        let found = model(file("", &item)).resources[0].operations;
        let found = u8::from(found.read) + 2 * u8::from(found.write) + 4 * u8::from(found.execute);
        assert_eq!(found, bits, "{word}");
    }
    let item = ITEM.replace(">R<", ">E<").replace(">Integer<", "><");
    let resource = &model(file("", &item)).resources[0];
    assert!(resource.operations.execute && resource.data_type.is_none());
}

#[test]
fn a_file_may_hold_several_objects() {
    let xml = format!(
        "<LWM2M>{}{}</LWM2M>",
        object(32770, "", ITEM),
        object(32769, "", ITEM)
    );
    let ids: Vec<u16> = parsed(xml).models.iter().map(|model| model.id).collect();
    assert_eq!(ids, [32770, 32769]);
}

#[test]
fn common_resources_are_no_object() {
    let parsed = parsed(
        "<LWM2M><Object ObjectType=\"CommonResources\"><Resources>\
        <Item ID=\"5700\"><Name>Sensor Value</Name><Operations>R</Operations><Type>Float</Type>\
        <RangeEnumeration></RangeEnumeration><Units></Units><Submitter>A</Submitter>\
        <Description><![CDATA[A value.]]></Description><TS></TS><TSLink>0</TSLink></Item>\
        <Item ID=\"4000\"><Name>Handle</Name><Operations>R</Operations><Type>Objlnk</Type></Item>\
        </Resources></Object></LWM2M>",
    );
    assert_eq!(
        (parsed.models.len(), parsed.diagnostics.as_slice()),
        (0, [].as_slice())
    );
    let ids: Vec<u16> = parsed.reusable.iter().map(|resource| resource.id).collect();
    assert_eq!(ids, [4000, 5700]);
    assert_eq!(parsed.reusable[1].data_type, Some(DataType::Float));
}
