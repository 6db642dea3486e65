use proptest::prelude::*;

use super::*;
use crate::link::LinkError;

fn parse(text: &str) -> ObjectList {
    ObjectList::parse(text.as_bytes()).unwrap()
}

fn paths(text: &str) -> Vec<String> {
    parse(text).paths.iter().map(Path::to_string).collect()
}

fn version(text: &str) -> ObjectVersion {
    text.parse().unwrap()
}

#[test]
fn reads_the_list_of_every_version() {
    let list = parse("</1/0>,</3/0>,</5>");
    assert_eq!(list.alternate_path, "");
    assert!(list.content_formats.is_empty());
    assert!(list.has_object(5) && list.has_object(3) && !list.has_object(4));
    assert_eq!(list.instances(3).collect::<Vec<_>>(), [0]);

    let list = parse(
        "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\",</1>;ver=1.1,</1/0>,</10>;ver=\"1.2\",</44/0>;ver=2.2",
    );
    assert_eq!(
        list.content_formats,
        [
            ContentFormat::Cbor,
            ContentFormat::SenmlJson,
            ContentFormat::SenmlCbor,
            ContentFormat::Tlv
        ]
    );
    assert_eq!(list.version(1), Some(version("1.1")));
    assert_eq!(list.version(10), Some(version("1.2")));
    assert_eq!(list.version(44), Some(version("2.2")));
    assert_eq!(list.version(3), None);
    assert!(list.ignored.is_empty());
}

#[test]
fn strips_the_alternate_path_wherever_the_root_link_stands() {
    for text in [
        "</lwm2m>;rt=\"oma.lwm2m\";ct=110,</lwm2m/1/0>,</lwm2m/3/0>",
        "</lwm2m/1/0>,</lwm2m/>;rt='oma.lwm2m';ct=110,</lwm2m/3/0/>",
        "<lwm2m>;ct=110;rt=oma.lwm2m,</lwm2m/1/0>,</lwm2m/3/0>",
    ] {
        let list = parse(text);
        assert_eq!(list.alternate_path, "/lwm2m", "{text}");
        assert_eq!(list.content_formats, [ContentFormat::SenmlJson], "{text}");
        assert_eq!(list.paths, [Path::instance(1, 0), Path::instance(3, 0)]);
    }
    let list = parse("</a/b>;rt=\"oma.lwm2m\",</a/b/3>,</3/0>,</a/c/1>");
    assert_eq!(list.paths, [Path::object(3)]);
    assert_eq!(list.ignored, ["/3/0", "/a/c/1"]);
    // A number in it would make paths ambiguous.
    assert_eq!(parse("</4>;rt=\"oma.lwm2m\",</4/3/0>").alternate_path, "");
    for target in ["/a\rb", "/<a", "/a\"b", "/ü", "/a//b"] {
        let text = format!("<{target}>;rt=\"oma.lwm2m\"");
        assert_eq!(parse(&text).alternate_path, "", "{target:?}");
    }
}

#[test]
fn reads_formats_in_every_form() {
    use ContentFormat::{SenmlCbor, SenmlJson, Tlv};
    for (ct, formats) in [
        ("ct=112", vec![SenmlCbor]),
        ("ct=\"110 112\"", vec![SenmlJson, SenmlCbor]),
        ("ct=110 112", vec![SenmlJson, SenmlCbor]),
        ("ct='110 112'", vec![SenmlJson, SenmlCbor]),
        ("ct=\"112,110,112\"", vec![SenmlCbor, SenmlJson]),
        ("ct=\"9999 1542 x\"", vec![Tlv]),
        ("ct=\"\"", vec![]),
        ("ct", vec![]),
    ] {
        assert_eq!(
            parse(&format!("</>;{ct},</3/0>")).content_formats,
            formats,
            "{ct}"
        );
        let list = parse(&format!("</>;rt=\"oma.lwm2m\";{ct},</3/0>"));
        assert_eq!(list.content_formats, formats, "{ct}");
    }
}

#[test]
fn leaves_out_what_no_server_needs() {
    let list = parse(
        "</0/0>,</21/0>,</23>,</24/1>,</3/0/1>,</65535>,</3/65535>,</65536>,</sensors>,</3//0>,</3/0>",
    );
    assert_eq!(list.paths, [Path::instance(3, 0)]);
    assert_eq!(list.ignored.len(), 10);
    assert_eq!(list.ignored[4], "/3/0/1");

    let many: Vec<String> = (0..20).map(|n| format!("</x{n}>")).collect();
    let list = parse(&many.join(","));
    assert_eq!(list.ignored.len(), ObjectList::MAX_IGNORED);
}

#[test]
fn tolerates_what_devices_send() {
    assert_eq!(paths("<6/0>, <10256/0>"), ["/6/0", "/10256/0"]);
    assert_eq!(
        paths("</1/0/>, </3/0>;ver=\"1.1\" ,</5>"),
        ["/1/0", "/3/0", "/5"]
    );
    assert_eq!(paths("</3/0>,</1/0>,</3/0>,</3>"), ["/1/0", "/3", "/3/0"]);
    assert_eq!(paths("</03/00>"), ["/3/0"]);
    assert!(paths("").is_empty());
    assert_eq!(parse("</3>;ver='1.1'").version(3), Some(version("1.1")));
    assert_eq!(parse("</3>;ver=new").version(3), None);
}

#[test]
fn the_version_of_the_object_link_wins() {
    let list = parse("</3/0>;ver=1.0,</3>;ver=1.2,</5/0>;ver=1.1,</5/1>;ver=1.0");
    assert_eq!(list.version(3), Some(version("1.2")));
    assert_eq!(list.version(5), Some(version("1.1")));
    assert_eq!(list.versions.len(), 2);
}

#[test]
fn refuses_one_link_too_many() {
    let links = |count: usize| vec!["</3/0>"; count].join(",");
    assert!(ObjectList::parse(links(ObjectList::MAX_LINKS).as_bytes()).is_ok());
    assert_eq!(
        ObjectList::parse(links(ObjectList::MAX_LINKS + 1).as_bytes()),
        Err(ObjectListError::TooMany)
    );
}

#[test]
fn refuses_what_is_no_list() {
    for (text, error) in [
        ("/3/0", LinkError::NotOpened { at: 0 }),
        ("</3/0>,</4", LinkError::NotClosed { at: 7 }),
        (
            "</x>;rt=\"oma.lwm2m",
            LinkError::UnterminatedQuote { at: 8 },
        ),
    ] {
        let result = ObjectList::parse(text.as_bytes());
        assert_eq!(result, Err(ObjectListError::Link(error)), "{text}");
    }
}

#[test]
fn writes_versions_where_they_belong() {
    for text in [
        "</1/0>,</3/0>,</5>",
        "</>;rt=\"oma.lwm2m\";ct=112,</1/0>;ver=1.1,</3/0>",
        "</lwm2m>;rt=\"oma.lwm2m\";ct=\"110 112\",</lwm2m/10>;ver=1.1,</lwm2m/10/0>,</lwm2m/10/1>",
    ] {
        assert_eq!(parse(text).to_link_format(), text);
    }
    let mut list = parse("</10/0>,</10/1>");
    list.versions.push((10, version("1.1")));
    assert_eq!(list.to_link_format(), "</10>;ver=1.1,</10/0>,</10/1>");
}

proptest! {
    #[test]
    fn a_written_list_is_read_again(
        alternate in "(/[a-z]{1,5}){0,2}",
        formats in proptest::sample::subsequence(ContentFormat::ALL.to_vec(), 0..4),
        objects in proptest::collection::btree_map(
            25u16..=Path::MAX_ID,
            (any::<bool>(), proptest::collection::btree_set(0..=Path::MAX_ID, 0..3)),
            0..5,
        ),
    ) {
        let mut list = ObjectList { alternate_path: alternate, content_formats: formats,
            ..ObjectList::default() };
        for (object, (versioned, instances)) in objects {
            list.paths.push(Path::object(object));
            list.paths.extend(instances.into_iter().map(|id| Path::instance(object, id)));
            if versioned {
                list.versions.push((object, ObjectVersion { major: object, minor: 7 }));
            }
        }
        let written = list.to_link_format();
        prop_assert_eq!(ObjectList::parse(written.as_bytes()), Ok(list));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[</>;,=\"'a13 rtoma.lwm2ct]{0,60}") {
        let _ = ObjectList::parse(&bytes);
        if let Ok(list) = ObjectList::parse(text.as_bytes()) {
            prop_assert!(list.paths.is_sorted_by(|a, b| a < b));
            prop_assert!(list.paths.iter().all(|path| (1..=2).contains(&path.ids().len())));
        }
    }
}
