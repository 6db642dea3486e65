//! Read-Composite, Write-Composite, Observe-Composite.

use lwm2m_coap::{Code, RequestId};
use lwm2m_core::codec;
use lwm2m_core::{ContentFormat, Path, Version};
use lwm2m_device::Device;
use lwm2m_device::objects::{DeviceObject, portfolio};

use crate::pair::{Pair, Reply, hex, to, with_accept, with_body};

fn pair(version: Version) -> Pair {
    let device =
        DeviceObject::minimal(version, "model", "serial").with(13, lwm2m_core::Value::Time(5));
    let builder = Device::builder("dev")
        .version(version)
        .lifetime_s(0)
        .object(device)
        .object(portfolio());
    Pair::registered(builder)
}

fn names(paths: &[&str]) -> Vec<u8> {
    let paths: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
    let mut body = Vec::new();
    codec::encode_paths(ContentFormat::SenmlCbor, "", &paths, &mut body).unwrap();
    body
}

fn fetch(pair: &mut Pair, paths: &[&str]) -> Reply {
    let request = with_body(to(Code::FETCH, "/"), ContentFormat::SenmlCbor, names(paths));
    pair.ask(with_accept(request, Some(ContentFormat::SenmlJson)))
}

fn observe(pair: &mut Pair, query: &str, paths: &[&str]) -> (RequestId, Reply) {
    let mut request = with_body(
        to(Code::FETCH, query),
        ContentFormat::SenmlCbor,
        names(paths),
    );
    request.observe = Some(true);
    let id = pair.send(with_accept(request, Some(ContentFormat::SenmlJson)));
    let reply = pair.reply(id).unwrap().unwrap();
    (id, reply)
}

fn ipatch(pair: &mut Pair, format: ContentFormat, body: impl Into<Vec<u8>>) -> Code {
    pair.ask(with_body(to(Code::IPATCH, "/"), format, body))
        .code
}

#[test]
fn int_235_root_is_everything_open() {
    let mut pair = pair(Version::V1_1);
    let reply = fetch(&mut pair, &["/"]);
    assert_eq!(reply.code, Code::CONTENT);
    for base in ["/1/0/", "/3/0/", "/16/0/"] {
        assert!(reply.text().contains(base), "{base}: {}", reply.text());
    }
}

#[test]
fn int_236_and_281_leave_out_what_cannot_be_read() {
    let mut pair = pair(Version::V1_1);
    let reply = fetch(
        &mut pair,
        &["/1/0/1", "/1/0/8", "/3/0/11/0", "/3339/0/5522", "/0/0/0"],
    );
    let records = codec::decode(
        ContentFormat::SenmlJson,
        Path::ROOT.into(),
        &reply.body,
        pair.client.objects(),
    );
    let paths: Vec<String> = records
        .unwrap()
        .records
        .iter()
        .map(|record| record.path.to_string())
        .collect();
    assert_eq!(paths, ["/1/0/1", "/3/0/11/0"]);
    assert_eq!(fetch(&mut pair, &["/0", "/21/0"]).code, Code::UNAUTHORIZED);
    let nothing = fetch(&mut pair, &["/3339"]);
    assert_eq!((nothing.code, nothing.text()), (Code::CONTENT, "[]"));
}

#[test]
fn the_answer_comes_in_the_family_of_the_body() {
    let mut pair = pair(Version::V1_2);
    for (body, format, answer) in [
        (
            names(&["/3/0/0"]),
            ContentFormat::SenmlCbor,
            ContentFormat::SenmlCbor,
        ),
        (
            names(&["/3/0/0"]),
            ContentFormat::SenmlEtchCbor,
            ContentFormat::SenmlCbor,
        ),
        (
            br#"[{"n":"/3/0/0"}]"#.to_vec(),
            ContentFormat::SenmlJson,
            ContentFormat::SenmlJson,
        ),
    ] {
        let reply = pair.ask(with_body(to(Code::FETCH, "/"), format, body));
        assert_eq!((reply.code, reply.format), (Code::CONTENT, Some(answer)));
    }
    let tlv = with_body(to(Code::FETCH, "/"), ContentFormat::Tlv, [1]);
    assert_eq!(pair.ask(tlv).code, Code::UNSUPPORTED_CONTENT_FORMAT);
    let request = with_body(
        to(Code::FETCH, "/"),
        ContentFormat::SenmlCbor,
        names(&["/3"]),
    );
    let text = with_accept(request, Some(ContentFormat::Text));
    assert_eq!(pair.ask(text).code, Code::NOT_ACCEPTABLE);
}

#[test]
fn int_257_writes_all_or_nothing() {
    let mut pair = pair(Version::V1_1);
    let body = hex(
        "83 a3 21 61 2f 00 65 312f302f32 02 1865  a2 00 65 312f302f36 04 f5 \
                    a2 00 66 332f302f3133 02 00",
    );
    assert_eq!(
        ipatch(&mut pair, ContentFormat::SenmlCbor, body),
        Code::CHANGED
    );
    for (path, text) in [("/1/0/2", "101"), ("/1/0/6", "1"), ("/3/0/13", "0")] {
        assert_eq!(pair.get(path, None).text(), text);
    }
    for (bad, code) in [
        (
            r#"[{"n":"/1/0/2","v":7},{"n":"/1/0/0","v":7}]"#,
            Code::METHOD_NOT_ALLOWED,
        ),
        (
            r#"[{"n":"/1/0/2","v":7},{"n":"/99/0/0","v":7}]"#,
            Code::NOT_FOUND,
        ),
        (
            r#"[{"n":"/1/0/2","v":7},{"n":"/1/0/6","v":7}]"#,
            Code::BAD_REQUEST,
        ),
        (
            r#"[{"n":"/1/0/2","v":7},{"n":"/0/0/0","v":7}]"#,
            Code::UNAUTHORIZED,
        ),
        ("[]", Code::BAD_REQUEST),
        ("{", Code::BAD_REQUEST),
    ] {
        assert_eq!(
            ipatch(&mut pair, ContentFormat::SenmlJson, bad),
            code,
            "{bad}"
        );
        assert_eq!(pair.get("/1/0/2", None).text(), "101", "{bad}");
    }
}

#[test]
fn etch_null_removes_a_resource_instance() {
    let mut pair = pair(Version::V1_2);
    let etch = r#"[{"n":"/16/0/0/1","v":null},{"n":"/16/0/0/2","vs":"new"}]"#;
    assert_eq!(
        ipatch(&mut pair, ContentFormat::SenmlEtchJson, etch),
        Code::CHANGED
    );
    assert_eq!(pair.get("/16/0/0/1", None).code, Code::NOT_FOUND);
    assert_eq!(pair.get("/16/0/0/2", None).text(), "new");
    assert_eq!(
        ipatch(&mut pair, ContentFormat::SenmlEtchJson, etch),
        Code::NOT_FOUND,
        "it is gone already"
    );
}

#[test]
fn int_304_observes_with_the_attributes_of_each_path() {
    let mut pair = pair(Version::V1_1);
    assert_eq!(
        pair.write_attributes("/1/0/1?pmin=30&pmax=45"),
        Code::CHANGED
    );
    let paths = ["/1/0/1", "/3/0/11/0", "/3/0/16"];
    let (id, first) = observe(&mut pair, "/", &paths);
    assert!(first.observing);
    pair.advance(50);
    let notified = pair.take_notified();
    assert_eq!(notified.len(), 1);
    assert_eq!(notified[0].second, 45);
    assert_eq!(notified[0].body, first.body, "all three again");

    let mut cancel = with_body(
        to(Code::FETCH, "/"),
        ContentFormat::SenmlCbor,
        names(&paths),
    );
    cancel.observe = Some(false);
    cancel.token = pair.server.request_token(id);
    assert_eq!(pair.ask(cancel).code, Code::CONTENT);
    assert_eq!(pair.client.observation_count(), 0);
}

#[test]
fn int_308_and_309_instances_appear_and_vanish() {
    let mut pair = pair(Version::V1_1);
    let (_, first) = observe(&mut pair, "/", &["/16/0", "/16/1"]);
    assert!(!first.text().contains("/16/1"));
    let instance = hex("08 01 0c 88 00 09 47 00 486f7374202332");
    assert_eq!(
        pair.post("/16", ContentFormat::Tlv, instance).code,
        Code::CREATED
    );
    let notified = pair.take_notified();
    let body = String::from_utf8_lossy(&notified.last().unwrap().body).into_owned();
    assert!(body.contains("/16/1/"), "{body}");
    assert_eq!(pair.delete("/16/1"), Code::DELETED);
    let notified = pair.take_notified();
    let body = String::from_utf8_lossy(&notified.last().unwrap().body).into_owned();
    assert!(!body.contains("/16/1/"), "{body}");
}

#[test]
fn int_310_attributes_may_change_meanwhile() {
    let mut pair = pair(Version::V1_1);
    observe(&mut pair, "/", &["/1/0/3", "/3/0"]);
    assert_eq!(pair.write_attributes("/3?pmax=5"), Code::CHANGED);
    pair.advance(16);
    let seconds: Vec<u64> = pair.take_notified().iter().map(|n| n.second).collect();
    assert_eq!(seconds, [5, 10, 15]);
}

#[test]
fn parameters_of_a_composite_observe() {
    let mut pair = pair(Version::V1_2);
    assert_eq!(pair.write_attributes("/3?pmax=5"), Code::CHANGED);
    let (_, reply) = observe(&mut pair, "/?pmax=20", &["/3/0/0", "/3/0/1"]);
    assert!(reply.observing);
    pair.advance(45);
    let seconds: Vec<u64> = pair.take_notified().iter().map(|n| n.second).collect();
    assert_eq!(seconds, [20, 40], "what is attached does not count");
    let (_, refused) = observe(&mut pair, "/?gt=1", &["/3/0/0"]);
    assert_eq!(refused.code, Code::BAD_REQUEST);
}
