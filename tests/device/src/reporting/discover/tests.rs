//! The outputs of Core 1.2.2 §6.3.3 and of conformance rows 260, 261, 264, 266, 1630 and 1635.

use super::*;
use crate::objects::{DeviceObject, portfolio};

fn set(pmin: Option<u32>, pmax: Option<u32>) -> Attributes {
    Attributes {
        pmin: pmin.map(Some),
        pmax: pmax.map(Some),
        ..Attributes::default()
    }
}

/// The Device object of conformance set C.4.
fn batteries() -> ObjectTree {
    let device = DeviceObject::minimal(Version::V1_1, "model", "serial")
        .with(6, ResourceValue::multiple([(0, 1), (1, 2)]))
        .with(7, ResourceValue::multiple([(0, 0), (1, 0)]))
        .with(8, ResourceValue::multiple([(0, 0), (1, 0)]))
        .with(9, 0);
    let mut tree = ObjectTree::new();
    tree.insert(device);
    tree.insert(portfolio());
    tree
}

const LINKS: Links<'static> = Links {
    version: Version::V1_1,
    prefix: "",
    trailing_slash: false,
};

fn shown(table: &AttributeTable, defaults: &Attributes, path: &str, depth: Option<u8>) -> String {
    let path = path.parse().unwrap();
    discover(&batteries(), table, defaults, LINKS, &path, depth).unwrap()
}

#[test]
fn int_260_attributes_on_object_and_resource() {
    let mut table = AttributeTable::default();
    let none = Attributes::default();
    assert_eq!(
        shown(&table, &none, "/3", None),
        "</3>,</3/0>,</3/0/0>,</3/0/1>,</3/0/2>,</3/0/3>,</3/0/4>,</3/0/5>,</3/0/6>;dim=2,\
         </3/0/7>;dim=2,</3/0/8>;dim=2,</3/0/9>,</3/0/11>;dim=1,</3/0/12>,</3/0/16>"
    );
    table
        .write(Path::object(3), &set(Some(10), Some(200)))
        .unwrap();
    assert!(
        shown(&table, &none, "/3/0", None)
            .starts_with("</3/0>;pmin=10;pmax=200,</3/0/0>,</3/0/1>,")
    );
    let limits = Attributes {
        lt: Some(Some(1.0)),
        gt: Some(Some(6.0)),
        st: Some(Some(1.0)),
        ..Attributes::default()
    };
    table.write(Path::resource(3, 0, 7), &limits).unwrap();
    assert!(
        shown(&table, &none, "/3/0", None).contains(",</3/0/7>;dim=2;gt=6;lt=1;st=1,"),
        "below the target only what is attached there"
    );
    assert_eq!(
        shown(&table, &none, "/3/0/7", None),
        "</3/0/7>;dim=2;pmin=10;pmax=200;gt=6;lt=1;st=1,</3/0/7/0>,</3/0/7/1>"
    );
}

#[test]
fn int_261_attributes_on_every_level() {
    let mut table = AttributeTable::default();
    table
        .write(Path::object(3), &set(Some(10), Some(200)))
        .unwrap();
    table
        .write(Path::instance(3, 0), &set(None, Some(320)))
        .unwrap();
    let item = Attributes {
        pmax: Some(Some(100)),
        epmin: Some(Some(1)),
        epmax: Some(Some(20)),
        ..Attributes::default()
    };
    table
        .write(Path::resource_instance(3, 0, 11, 0), &item)
        .unwrap();
    assert_eq!(
        shown(&table, &Attributes::default(), "/3/0/11", None),
        "</3/0/11>;dim=1;pmin=10;pmax=320,</3/0/11/0>;pmax=100;epmin=1;epmax=20"
    );
}

#[test]
fn int_264_depth_1_and_the_defaults_of_the_server_object() {
    let mut table = AttributeTable::default();
    let defaults = set(Some(1), Some(10));
    assert_eq!(
        shown(&table, &defaults, "/3", Some(1)),
        "</3>;pmin=1;pmax=10,</3/0>"
    );
    table
        .write(Path::instance(3, 0), &set(None, Some(200)))
        .unwrap();
    assert_eq!(
        shown(&table, &defaults, "/3", Some(1)),
        "</3>;pmin=1;pmax=10,</3/0>;pmax=200"
    );
    assert_eq!(
        shown(&table, &defaults, "/3", Some(0)),
        "</3>;pmin=1;pmax=10"
    );
}

#[test]
fn int_266_depth_3_lists_resource_instances() {
    let mut table = AttributeTable::default();
    let gt = Attributes {
        gt: Some(Some(8.0)),
        ..Attributes::default()
    };
    table
        .write(Path::resource_instance(3, 0, 7, 1), &gt)
        .unwrap();
    let all = shown(&table, &Attributes::default(), "/3", Some(3));
    assert!(
        all.contains(",</3/0/7>;dim=2,</3/0/7/0>,</3/0/7/1>;gt=8,</3/0/8>;dim=2,"),
        "{all}"
    );
}

#[test]
fn int_1630_and_1635_portfolio() {
    let table = AttributeTable::default();
    let none = Attributes::default();
    assert_eq!(
        shown(&table, &none, "/16/0", None),
        "</16/0>,</16/0/0>;dim=4,</16/0/1>"
    );
    let mut tree = batteries();
    tree.object_mut(16).unwrap().store_mut().remove_instance(0);
    let links = discover(&tree, &table, &none, LINKS, &Path::object(16), None);
    assert_eq!(links.unwrap(), "</16>");
}

#[test]
fn refuses_what_is_not_there() {
    let (tree, table, none) = (
        batteries(),
        AttributeTable::default(),
        Attributes::default(),
    );
    for (path, code) in [
        ("/4", "4.04"),
        ("/3/1", "4.04"),
        ("/3/0/99", "4.04"),
        ("/0", "4.01"),
        ("/3/0/6/0", "4.05"),
    ] {
        let path = path.parse().unwrap();
        let refused = discover(&tree, &table, &none, LINKS, &path, None).unwrap_err();
        assert_eq!(refused.code.to_string(), code, "{path}");
    }
}

#[test]
fn object_lists_by_version_and_prefix() {
    let mut tree = batteries();
    assert_eq!(object_list(&tree, LINKS, &[]), "</3/0>,</16/0>");
    tree.object_mut(16).unwrap().store_mut().remove_instance(0);
    let links = Links {
        version: Version::V1_0,
        prefix: "/lwm2m",
        trailing_slash: false,
    };
    let formats = [ContentFormat::SenmlCbor, ContentFormat::Tlv];
    assert_eq!(
        object_list(&tree, links, &formats),
        "</lwm2m>;rt=\"oma.lwm2m\";ct=\"112 11542\",</lwm2m/3>;ver=1.1,</lwm2m/3/0>,</lwm2m/16>"
    );
    let slashes = Links {
        trailing_slash: true,
        ..LINKS
    };
    assert_eq!(object_list(&tree, slashes, &[]), "</3/0/>,</16/>");
}
