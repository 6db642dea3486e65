//! Read, Write, Execute, Create, Delete, Discover, Write-Attributes.

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Path, Value, Version};
use lwm2m_device::objects::{DeviceObject, Temperature, portfolio, test_object};
use lwm2m_device::{Device, DeviceBuilder};

use crate::pair::{Pair, hex, to, with_body};

fn full(version: Version) -> DeviceBuilder {
    Device::builder("dev")
        .version(version)
        .object(DeviceObject::minimal(version, "model", "serial"))
        .object(portfolio())
        .object(Temperature::new(2))
        .object(test_object())
}

fn pair(version: Version) -> Pair {
    Pair::registered(full(version))
}

#[test]
fn reads_in_the_version_s_default_format() {
    for (version, path, format) in [
        (Version::V1_0, "/1/0/1", ContentFormat::Tlv),
        (Version::V1_0, "/3/0", ContentFormat::Tlv),
        (Version::V1_1, "/1/0/1", ContentFormat::Text),
        (Version::V1_1, "/3442/0/150", ContentFormat::Opaque),
        (Version::V1_1, "/16/0/0/1", ContentFormat::Text),
        (Version::V1_1, "/16/0/0", ContentFormat::SenmlCbor),
        (Version::V1_2, "/3", ContentFormat::SenmlCbor),
    ] {
        let reply = pair(version).get(path, None);
        assert_eq!(
            (reply.code, reply.format),
            (Code::CONTENT, Some(format)),
            "{version} {path}"
        );
    }
}

#[test]
fn reads_every_level_in_every_format() {
    use ContentFormat::{Cbor, Json, Lwm2mCbor, Opaque, SenmlCbor, SenmlJson, Text, Tlv};
    for (version, path, formats) in [
        (Version::V1_0, "/3/0/0", &[Text, Tlv, Json][..]),
        (Version::V1_0, "/3", &[Tlv, Json]),
        (
            Version::V1_1,
            "/3/0/0",
            &[Text, Cbor, Tlv, SenmlJson, SenmlCbor],
        ),
        (
            Version::V1_2,
            "/3442/0/150",
            &[Opaque, Cbor, Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
        ),
        (
            Version::V1_2,
            "/3442/0/1150",
            &[Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
        ),
        (
            Version::V1_2,
            "/3442/0",
            &[Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
        ),
        (
            Version::V1_2,
            "/3442",
            &[Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
        ),
        (
            Version::V1_2,
            "/3/0/11/0",
            &[Text, Cbor, Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
        ),
    ] {
        let mut pair = pair(version);
        for format in formats {
            let reply = pair.get(path, Some(*format));
            assert_eq!(
                (reply.code, reply.format),
                (Code::CONTENT, Some(*format)),
                "{version} {path} {format}"
            );
            assert!(!reply.body.is_empty());
        }
    }
}

#[test]
fn refuses_formats_that_do_not_fit() {
    use ContentFormat::{Json, Lwm2mCbor, SenmlCbor, Text};
    for (version, path, format) in [
        (Version::V1_0, "/3/0/0", SenmlCbor),
        (Version::V1_1, "/3/0/0", Lwm2mCbor),
        (Version::V1_1, "/3/0", Json),
        (Version::V1_1, "/3/0", Text),
    ] {
        let reply = pair(version).get(path, Some(format));
        assert_eq!(
            reply.code,
            Code::NOT_ACCEPTABLE,
            "{version} {path} {format}"
        );
    }
    let mut pair = pair(Version::V1_0);
    assert_eq!(
        pair.put("/1/0/1", ContentFormat::Cbor, [0x18, 60]),
        Code::BAD_REQUEST
    );
    let mut pair = crate::management::pair(Version::V1_1);
    let unsupported = Code::UNSUPPORTED_CONTENT_FORMAT;
    assert_eq!(
        pair.put("/1/0/1", ContentFormat::Lwm2mCbor, [0xa0]),
        unsupported
    );
}

#[test]
fn int_215_writes_tlv_partially() {
    let mut pair = pair(Version::V1_1);
    let tlv = hex("c10265 c20303f2 c20507d0 c10601 c10755");
    assert_eq!(
        pair.post("/1/0", ContentFormat::Tlv, tlv).code,
        Code::CHANGED
    );
    for (resource, text) in [(0, "1"), (1, "300"), (2, "101"), (3, "1010"), (5, "2000")] {
        assert_eq!(pair.get(&format!("/1/0/{resource}"), None).text(), text);
    }
    let replace = hex("c10105 c10600 c10755");
    assert_eq!(pair.put("/1/0", ContentFormat::Tlv, replace), Code::CHANGED);
    assert_eq!(pair.get("/1/0/1", None).text(), "5");
    assert_eq!(
        pair.get("/1/0/2", None).code,
        Code::NOT_FOUND,
        "optional, not named"
    );
}

#[test]
fn int_221_closed_objects() {
    let mut pair = pair(Version::V1_1);
    for path in ["/0", "/21/0", "/0/0/0"] {
        assert_eq!(pair.get(path, None).code, Code::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        pair.put("/0/0/0", ContentFormat::Text, "x"),
        Code::UNAUTHORIZED
    );
    assert_eq!(
        pair.write_attributes("/0?pmin=30&pmax=45"),
        Code::UNAUTHORIZED
    );
    assert_eq!(pair.delete("/21/0"), Code::UNAUTHORIZED);
}

#[test]
fn int_228_and_256_resource_instances_and_refused_writes() {
    let mut pair = pair(Version::V1_1);
    assert_eq!(
        pair.put("/16/0/0/1", ContentFormat::Text, "test"),
        Code::CHANGED
    );
    assert_eq!(pair.get("/16/0/0/1", None).text(), "test");
    assert_eq!(
        pair.put("/1/0/0", ContentFormat::Text, "123"),
        Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(pair.get("/1/0/0", None).text(), "1");
}

#[test]
fn response_codes_by_table() {
    let mut pair = pair(Version::V1_1);
    for (path, code) in [
        ("/", Code::METHOD_NOT_ALLOWED),
        ("/99", Code::NOT_FOUND),
        ("/3/1", Code::NOT_FOUND),
        ("/3/0/99", Code::NOT_FOUND),
        ("/3/0/9", Code::NOT_FOUND),
        ("/3/0/4", Code::METHOD_NOT_ALLOWED),
        ("/3/0/0/0", Code::METHOD_NOT_ALLOWED),
        ("/16/0/0/9", Code::NOT_FOUND),
        ("/1/0/17", Code::METHOD_NOT_ALLOWED),
        ("/well-known", Code::NOT_FOUND),
        ("/3/00", Code::NOT_FOUND),
        ("/1/2/3/4/5", Code::NOT_FOUND),
    ] {
        assert_eq!(pair.get(path, None).code, code, "{path}");
    }
    for (path, text, code) in [
        ("/1/0/1", "abc", Code::BAD_REQUEST),
        ("/1/0/1", "-1", Code::BAD_REQUEST),
        ("/1/0/7", "X", Code::BAD_REQUEST),
        ("/1/0/99", "1", Code::NOT_FOUND),
        ("/16/0/0", "1", Code::BAD_REQUEST),
        ("/3442/0/170", "3:7", Code::BAD_REQUEST),
        ("/3442/0/170", "3:65535", Code::CHANGED),
        ("/3442/0/170", "65535:65535", Code::CHANGED),
    ] {
        assert_eq!(
            pair.put(path, ContentFormat::Text, text),
            code,
            "{path} {text}"
        );
    }
    for (path, code) in [
        ("/3/0", Code::METHOD_NOT_ALLOWED),
        ("/16", Code::METHOD_NOT_ALLOWED),
        ("/16/0/0", Code::METHOD_NOT_ALLOWED),
        ("/16/5", Code::NOT_FOUND),
        ("/16/0/0/1", Code::DELETED),
        ("/16/0/0/1", Code::NOT_FOUND),
        ("/16/0", Code::DELETED),
        ("/16/0", Code::NOT_FOUND),
    ] {
        assert_eq!(pair.delete(path), code, "DELETE {path}");
    }
    assert_eq!(
        pair.post("/3", ContentFormat::Tlv, []).code,
        Code::METHOD_NOT_ALLOWED
    );
}

#[test]
fn a_failed_write_changes_nothing() {
    let mut pair = pair(Version::V1_1);
    // Lifetime 61 would be fine, resource 0 is not writable.
    let tlv = hex("c1013d c10002");
    assert_eq!(
        pair.post("/1/0", ContentFormat::Tlv, tlv).code,
        Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(pair.get("/1/0/1", None).text(), "300");
}

#[test]
fn executes_with_arguments() {
    let mut pair = pair(Version::V1_1);
    let reply = pair.post("/3442/0/3", ContentFormat::Text, "2='10.3',7");
    assert_eq!(reply.code, Code::CHANGED);
    assert_eq!(pair.get("/3442/0/4/2", None).text(), "10.3");
    assert_eq!(pair.get("/3442/0/4/7", None).text(), "");
    let reply = pair.post("/3442/0/3", ContentFormat::Text, "2=10.3");
    assert_eq!(reply.code, Code::BAD_REQUEST);
    assert_eq!(pair.execute("/3/0/0"), Code::METHOD_NOT_ALLOWED);
    let tlv = pair.post("/3/0/12", ContentFormat::Tlv, [1]);
    assert_eq!(tlv.code, Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn int_1630_and_1635_creates_and_deletes() {
    let mut pair = pair(Version::V1_1);
    assert_eq!(
        pair.discover("/16/0").text(),
        "</16/0>,</16/0/0>;dim=4,</16/0/1>"
    );
    let instance = hex("08 01 17  88 00 14  47 00 486f7374202332  48 01 08 4d6f64656c202332");
    let reply = pair.post("/16", ContentFormat::Tlv, instance.clone());
    assert_eq!((reply.code, reply.location.as_str()), (Code::CREATED, ""));
    assert_eq!(
        pair.discover("/16/1").text(),
        "</16/1>,</16/1/0>;dim=2,</16/1/1>"
    );
    assert_eq!(pair.get("/16/1/0/1", None).text(), "Model #2");
    let again = pair.post("/16", ContentFormat::Tlv, instance);
    assert_eq!(again.code, Code::BAD_REQUEST, "it exists");

    let bare = hex("88 00 09 47 00 486f7374202332");
    let reply = pair.post("/16", ContentFormat::Tlv, bare);
    assert_eq!(
        (reply.code, reply.location.as_str()),
        (Code::CREATED, "16/2")
    );
    let empty = pair.post("/16", ContentFormat::Tlv, []);
    assert_eq!(
        empty.code,
        Code::BAD_REQUEST,
        "a mandatory resource is missing"
    );
    for instance in 0..3 {
        assert_eq!(pair.delete(&format!("/16/{instance}")), Code::DELETED);
    }
    assert_eq!(pair.discover("/16").text(), "</16>");
    let nothing = pair.get("/16", Some(ContentFormat::Tlv));
    assert_eq!((nothing.code, nothing.body.len()), (Code::CONTENT, 0));
}

#[test]
fn writes_attributes_and_discovers_them() {
    let mut pair = pair(Version::V1_1);
    for (path, code) in [
        ("/3?pmin=10&pmax=200", Code::CHANGED),
        ("/3/0?pmax=320", Code::CHANGED),
        ("/3/0/11/0?pmax=100&epmin=1&epmax=20", Code::CHANGED),
        ("/3303/0/5700?gt=30&lt=10&st=2", Code::CHANGED),
        ("/3303/0/5700?st=10", Code::BAD_REQUEST),
        ("/3303/0/5700?lt=31", Code::BAD_REQUEST),
        ("/3303/0/5701?gt=1", Code::BAD_REQUEST),
        ("/3303?gt=1", Code::BAD_REQUEST),
        ("/3303/0/5700?con=1", Code::BAD_REQUEST),
        ("/3303/0/5700?unknown=1", Code::BAD_REQUEST),
        ("/3303/0/5700?pmin=x", Code::BAD_REQUEST),
        ("/3303/9?pmin=1", Code::NOT_FOUND),
        ("/3303/0/5700?gt", Code::CHANGED),
    ] {
        assert_eq!(pair.write_attributes(path), code, "{path}");
    }
    assert_eq!(
        pair.discover("/3/0/11").text(),
        "</3/0/11>;dim=1;pmin=10;pmax=320,</3/0/11/0>;pmax=100;epmin=1;epmax=20"
    );
    assert_eq!(
        pair.discover("/3303/0/5700").text(),
        "</3303/0/5700>;lt=10;st=2"
    );
    assert_eq!(
        pair.discover("/3/0/11?depth=0").text(),
        "</3/0/11>;dim=1;pmin=10;pmax=320,</3/0/11/0>;pmax=100;epmin=1;epmax=20",
        "1.1 does not know depth"
    );
    let mut pair = crate::management::pair(Version::V1_2);
    assert_eq!(pair.discover("/3?depth=0").text(), "</3>");
    assert_eq!(pair.discover("/3?depth=4").code, Code::BAD_REQUEST);
}

#[test]
fn an_empty_string_is_written_by_its_content_format() {
    let mut pair = pair(Version::V1_1);
    let empty = with_body(to(Code::PUT, "/3442/0/110"), ContentFormat::Text, []);
    assert_eq!(pair.ask(empty).code, Code::CHANGED);
    assert_eq!(
        pair.client.value(&Path::resource(3442, 0, 110)),
        Some(Value::from(""))
    );
    assert_eq!(
        pair.ask(to(Code::PUT, "/3442/0/110")).code,
        Code::BAD_REQUEST,
        "attributes, but none"
    );
}

#[test]
fn lwm2m_1_0_has_no_resource_instances_and_no_composites() {
    let mut pair = pair(Version::V1_0);
    assert_eq!(pair.get("/16/0/0/1", None).code, Code::METHOD_NOT_ALLOWED);
    let fetch = with_body(to(Code::FETCH, "/"), ContentFormat::SenmlJson, "[]");
    assert_eq!(pair.ask(fetch).code, Code::METHOD_NOT_ALLOWED);
}
