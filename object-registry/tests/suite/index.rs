//! The index of a registry.

use lwm2m_registry::Severity::{Error, Warning};
use lwm2m_registry::{Index, Origin, Parser, Strictness};

use crate::findings;

const ROW: &str = "<Item>\n<!-- Integer -->\n<ObjectID>3</ObjectID>\
    <URN>urn:oma:lwm2m:oma:3:1.1</URN><Name>Device</Name><Description>A &amp; B</Description>\
    <Owner>OMA</Owner><Source>0</Source><Ver>1.1</Ver><DDF>version_history/3-1_1.xml</DDF>\
    <Vorto></Vorto><DDFLink>1</DDFLink><TS>http://example.org/a.pdf</TS><TSLink>1</TSLink></Item>";

fn index(rows: &str) -> Index {
    let xml = format!("<?xml version=\"1.0\"?>\n<DDFList>{rows}</DDFList>");
    let parser = Parser::new(Strictness::Lenient);
    parser.parse_index(xml, "DDF.xml").unwrap()
}

#[test]
fn a_row_yields_all_fields() {
    let index = index(ROW);
    assert_eq!(index.diagnostics, []);
    let [row] = index.rows.as_slice() else {
        panic!("{:?}", index.rows);
    };
    assert_eq!((row.id, row.version), (3, "1.1".parse().unwrap()));
    assert_eq!((&*row.name, &*row.description), ("Device", "A & B"));
    assert_eq!((&*row.owner, row.origin), ("OMA", Origin::Oma));
    assert_eq!(&*row.urn, "urn:oma:lwm2m:oma:3:1.1");
    assert_eq!(row.definition.as_deref(), Some("version_history/3-1_1.xml"));
    assert_eq!(row.line, 2);
}

#[test]
fn each_row_knows_its_line() {
    let index = index(&format!("\n\n{ROW}{ROW}\n\n\n{ROW}"));
    let lines: Vec<u32> = index.rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [4, 6, 11]);
}

#[test]
fn a_row_may_have_no_definition() {
    let index = index(&ROW.replace("version_history/3-1_1.xml", " "));
    assert_eq!(index.diagnostics, []);
    assert_eq!(index.rows[0].definition, None);
}

#[test]
fn versions_come_from_the_row_else_from_the_urn() {
    let missing = index(&ROW.replace("<Ver>1.1</Ver>", ""));
    assert_eq!(missing.rows[0].version, "1.1".parse().unwrap());
    assert_eq!(missing.diagnostics, []);
    let none = ROW
        .replace("<Ver>1.1</Ver>", "<Ver/>")
        .replace("3:1.1<", "3<");
    assert_eq!(index(&none).rows[0].version, "1.0".parse().unwrap());

    let short = index(&ROW.replace("<Ver>1.1<", "<Ver>1<").replace("3:1.1<", "3<"));
    let message = "`1` in <Ver> has no minor version";
    assert_eq!(findings(&short.diagnostics), [(Warning, message)]);

    let odd = index(&ROW.replace("<Ver>1.1<", "<Ver>one<"));
    assert!(odd.rows.is_empty());
    let message = "`one` is not a version, the row is left out";
    assert_eq!(findings(&odd.diagnostics), [(Error, message)]);

    let other = index(&ROW.replace("<Ver>1.1<", "<Ver>1.2<"));
    assert_eq!(other.rows[0].version, "1.2".parse().unwrap());
    let message = "`urn:oma:lwm2m:oma:3:1.1` is not the URN of object 3 version 1.2";
    assert_eq!(findings(&other.diagnostics), [(Warning, message)]);
}

#[test]
fn paths_that_leave_the_folder_are_ignored() {
    for path in [
        "../3.xml",
        "a/../../3.xml",
        "/etc/3.xml",
        "C:\\3.xml",
        "a\\3.xml",
        "http://example.org/3.xml",
        "./3.xml",
        "a//3.xml",
        ".hidden.xml",
        "3.pdf",
        "3.xml/",
        "%2e%2e/3.xml",
        "3.xml?x",
    ] {
        let index = index(&ROW.replace("version_history/3-1_1.xml", path));
        assert_eq!(index.rows[0].definition, None, "{path}");
        let message = format!("`{path}` is not a path below the index, it is ignored");
        assert_eq!(findings(&index.diagnostics), [(Error, message.as_str())]);
    }
}

#[test]
fn rows_without_object_and_unknown_rows_are_left_out() {
    let index = index(&format!("{ROW}{}<Row/>", ROW.replace(">3<", ">x<")));
    assert_eq!(index.rows.len(), 1);
    assert_eq!(
        findings(&index.diagnostics),
        [
            (Error, "`x` is not an object id, the row is left out"),
            (Warning, "<Row> is not known in <DDFList>"),
        ]
    );
}

#[test]
fn sources_are_kinds_of_organisations() {
    for (source, origin) in [
        ("0", Origin::Oma),
        ("1", Origin::Standards),
        ("2", Origin::Private),
        ("", Origin::Unknown),
        ("7", Origin::Unknown),
    ] {
        let row = ROW.replace("<Source>0<", &format!("<Source>{source}<"));
        assert_eq!(index(&row).rows[0].origin, origin, "{source}");
    }
}
