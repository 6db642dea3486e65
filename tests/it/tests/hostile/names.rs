//! Parameters of a Register that mean harm (N5, N9 to N11), and names on their way to people.

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::Path;
use lwm2m_server::EventKind;
use serde_json::Value as Json;

use crate::http::api::Api;
use crate::peer::{OBJECTS, Peer, event, server};

/// Registers with these Uri-Query items, byte by byte.
async fn register(peer: &mut Peer, query: &[&[u8]]) -> Code {
    let request = peer.request(Code::POST, "rd").format(40).payload(OBJECTS);
    let request = query.iter().fold(request, |request, item| {
        request.option(OptionNumber::URI_QUERY, item)
    });
    peer.exchange(request).await.code
}

#[tokio::test]
async fn lifetimes_and_versions() {
    let server = server(|_| {}).await;
    let mut peer = Peer::new(&server).await;
    let no = Code::BAD_REQUEST;
    for (query, code) in [
        (&["lt=0"][..], Code::CREATED),
        (&["lt=1"], Code::CREATED),
        (&["lt=4294967295"], Code::CREATED),
        (&["lt=-1"], no),
        (&["lt=4294967296"], no),
        (&["lt=99999999999"], no),
        (&["lt=abc"], no),
        (&["lt="], no),
        (&["lt"], no),
        (&["lt=+5"], no),
        (&["lt=5 "], no),
        (&["lt=5", "lt=6"], no),
        (&["lwm2m=1.0"], Code::CREATED),
        (&["lwm2m=1.2"], Code::CREATED),
        (&["lwm2m=1.3"], Code::PRECONDITION_FAILED),
        (&["lwm2m=2.0"], Code::PRECONDITION_FAILED),
        (&["lwm2m=1"], no),
        (&["lwm2m=1.1.1"], no),
        (&["lwm2m=1.x"], no),
        (&["lwm2m="], no),
        (&["ep=b"], no),
        (&["Q=maybe"], no),
    ] {
        let mut items: Vec<&[u8]> = vec![b"ep=a"];
        items.extend(query.iter().map(|item| item.as_bytes()));
        assert_eq!(register(&mut peer, &items).await, code, "{query:?}");
    }
    let registration = server.registration("a").await.expect("registered");
    assert_eq!(registration.version.to_string(), "1.2");
}

#[tokio::test]
async fn locations_that_do_not_exist() {
    let server = server(|_| {}).await;
    let mut peer = Peer::new(&server).await;
    let location = peer.register("ep=a").await;
    let long = format!("rd/{}", vec!["x".repeat(200); 5].join("/"));
    for path in [
        "rd/0000000000000000000000",
        "rd/zzzzzzzzzzzzzzzzzzzzzz",
        "rd/x",
        "rd/0000000000000000000000/0",
        &long,
    ] {
        for code in [Code::POST, Code::DELETE] {
            let request = peer.request(code, path);
            let answer = peer.exchange(request).await.code;
            assert!(
                matches!(answer, Code::NOT_FOUND | Code::BAD_REQUEST),
                "{path}: {answer:?}"
            );
        }
    }
    assert_eq!(peer.post(&location).await, Code::CHANGED);
}

/// Names that somebody may take for something else.
const NAMES: [&str; 9] = [
    "'; drop table devices; --",
    "two\nlines\r\nevent: forged\n\ndata: {}",
    "a%2fb",
    "../../clients/b",
    "\u{1f600}",
    "\u{1b}[2J\u{9b}31m\u{7}",
    "nul\0inside",
    "<script>alert(1)</script>",
    "\u{202e}desrever?x=1&y#z",
];

#[tokio::test]
async fn names_go_through_unharmed() {
    let server = server(|_| {}).await;
    let api = Api::of(&server).await;
    let mut stream = api.events("/api/v1/events").await;
    let mut peer = Peer::new(&server).await;
    for name in NAMES {
        let item = format!("ep={name}");
        assert_eq!(register(&mut peer, &[item.as_bytes()]).await, Code::CREATED);
        let registered = async {
            loop {
                let (event, data) = stream.recv().await.expect("the stream goes on");
                assert_ne!(event, "forged");
                if event == "registered" {
                    return data;
                }
            }
        };
        assert_eq!(crate::site::in_time(registered).await["endpoint"], name);
        let path = format!("/api/v1/clients/{}", percent(name));
        let one = api.get(&path).await.ok();
        assert_eq!(one["endpoint"], name);
    }
    let all = api.get("/api/v1/clients").await.ok();
    let listed: Vec<&str> = all["clients"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|client| client["endpoint"].as_str())
        .collect();
    let mut names = NAMES;
    names.sort_unstable();
    assert_eq!(listed, names);
    for name in NAMES {
        let path = format!("/api/v1/clients/{}", percent(name));
        assert_eq!(api.call("DELETE", &path, "").await.status, 204);
    }
    assert!(server.registration(NAMES[0]).await.is_none());
}

fn percent(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn names_that_are_none() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut peer = Peer::new(&server).await;
    let too_long = [&b"ep="[..], &[b'x'; 252]].concat();
    for query in [&b"ep="[..], b"ep", b"ep=\xff\xfe", b"ep=a\xc3", b"\xff=1"] {
        assert_eq!(register(&mut peer, &[query]).await, Code::BAD_REQUEST);
    }
    assert_eq!(register(&mut peer, &[]).await, Code::BAD_REQUEST);
    // The longest that fits into a Uri-Query; one byte more is no such option.
    assert_eq!(register(&mut peer, &[&too_long]).await, Code::CREATED);
    let longer = [&too_long[..], b"x"].concat();
    assert_eq!(register(&mut peer, &[&longer]).await, Code::BAD_OPTION);
    let reason = event(&mut events, |event| match &event.kind {
        EventKind::Refused { reason, .. } => Some(reason.message.to_string()),
        _ => None,
    });
    assert!(!reason.await.contains(char::is_control));
}

/// What a device says of itself reaches applications as it is, in one piece.
#[tokio::test]
async fn values_and_diagnostics_go_through_unharmed() {
    let (_server, api, device) = crate::http::api::setup("1.1").await;
    let text = "\u{1b}]0;x\u{7}\r\n\r\ndata: x\u{2028}\u{0}\"}";
    let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/0", "");
    crate::http::api::serve(&device, |answer| answer.format(0).payload(text)).await;
    let body: Json = reply.await.expect("no panic").ok();
    assert_eq!(body["values"][0]["value"], text);
    assert_eq!(
        body["values"][0]["path"],
        Path::resource(3, 0, 0).to_string()
    );
    let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/0", "");
    crate::http::api::serve(&device, |mut answer| {
        answer.code = Code::NOT_FOUND;
        answer.payload(text)
    })
    .await;
    let reply = reply.await.expect("no panic");
    assert_eq!(reply.problem(), "device-refused");
    let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/0", "");
    crate::http::api::serve(&device, |answer| answer.format(0).payload([0xff, 0xfe])).await;
    let body: Json = reply.await.expect("no panic").ok();
    assert!(body["faults"][0]["raw"].is_string(), "{body}");
}
