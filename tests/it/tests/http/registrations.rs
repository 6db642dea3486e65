//! Who is registered, what the server knows of objects, and how it is.

use lwm2m_coap::Code;
use serde_json::{Value as Json, json};

use super::api::{Api, serve, setup};
use crate::peer::{Peer, server};

#[tokio::test]
async fn a_registration_is_shown_with_its_objects() {
    let (_server, api, _device) = setup("1.1").await;
    let client = api.get("/api/v1/clients/a").await.ok();
    assert_eq!(client["endpoint"], "a");
    assert_eq!(client["version"], "1.1");
    assert_eq!(client["lifetime_s"], 300);
    assert_eq!(client["binding"], "U");
    assert_eq!(client["queue_mode"], false);
    assert_eq!(client["awake"], true);
    assert!(client["address"].as_str().unwrap().starts_with("127."));
    assert!(client["registered_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        client["formats"],
        json!(["cbor", "senml-json", "senml-cbor"])
    );
    assert_eq!(
        client["objects"][1],
        json!({ "id": 3, "name": "Device", "version": "1.1", "instances": [0] })
    );
}

#[tokio::test]
async fn endpoint_names_are_any_text() {
    let server = server(|_| {}).await;
    let api = Api::of(&server).await;
    for (name, segment) in [
        ("a/b", "a%2Fb"),
        ("\u{1f50c} \"plug\"", "%F0%9F%94%8C%20%22plug%22"),
        ("..", "%2E%2E"),
        ("%2f", "%252f"),
        ("'; drop table", "%27%3B%20drop%20table"),
        ("<b>&amp;", "%3Cb%3E%26amp%3B"),
    ] {
        let mut device = Peer::new(&server).await;
        // A query of the test's own, since names may hold what separates it.
        let request = device
            .request(Code::POST, "rd?lt=300&lwm2m=1.1")
            .option(lwm2m_coap::OptionNumber::URI_QUERY, format!("ep={name}"))
            .format(40)
            .payload("</3/0>");
        assert_eq!(device.exchange(request).await.code, Code::CREATED);
        let path = format!("/api/v1/clients/{segment}");
        assert_eq!(api.get(&path).await.ok()["endpoint"], name);
        let read = api.start("GET", &format!("{path}/objects/3/0/9"), "");
        serve(&device, |answer| answer.format(0).payload("1")).await;
        let reply = read.await.expect("no panic");
        assert_eq!(reply.ok()["values"][0]["value"], 1, "{name}");
        let create = api.start("POST", &format!("{path}/create/16/2"), "");
        serve(&device, |mut answer| {
            answer.code = Code::CREATED;
            answer
        })
        .await;
        let location = create.await.expect("no panic").location;
        assert!(location.ends_with("/objects/16/2") && !location.contains(' '));
        assert!(api.get(&location.replace("/objects/16/2", "")).await.status == 200);
    }
}

#[tokio::test]
async fn the_list_has_pages() {
    let server = server(|_| {}).await;
    let api = Api::of(&server).await;
    for name in ["d", "b", "a", "c", "x-b"] {
        let mut device = Peer::new(&server).await;
        device
            .register(&format!("ep={name}&lt=300&lwm2m=1.0&b=U"))
            .await;
    }
    let names = |page: &Json| -> Vec<String> {
        let clients = page["clients"].as_array().expect("a list");
        let name = |client: &Json| client["endpoint"].as_str().unwrap().to_owned();
        clients.iter().map(name).collect()
    };
    let page = api.get("/api/v1/clients?limit=2").await.ok();
    assert_eq!(
        (names(&page), &page["next"]),
        (vec!["a".to_owned(), "b".to_owned()], &json!("b"))
    );
    let page = api.get("/api/v1/clients?limit=3&after=b").await.ok();
    assert_eq!(names(&page), ["c", "d", "x-b"]);
    assert_eq!(page["next"], Json::Null);
    let page = api.get("/api/v1/clients?contains=b").await.ok();
    assert_eq!(names(&page), ["b", "x-b"]);
    let page = api.get("/api/v1/clients?contains=nobody").await.ok();
    assert_eq!(page, json!({ "clients": [], "next": null }));
}

#[tokio::test]
async fn a_registration_can_be_forgotten() {
    let (_server, api, mut device) = setup("1.1").await;
    let reply = api.call("DELETE", "/api/v1/clients/a", "").await;
    assert_eq!(reply.status, 204);
    let reply = api.call("DELETE", "/api/v1/clients/a", "").await;
    assert_eq!((reply.status, reply.problem()), (404, "not-registered"));
    let reply = api.get("/api/v1/clients/a").await;
    assert_eq!((reply.status, reply.problem()), (404, "not-registered"));
    // The device may come back.
    device.register("ep=a&lt=300&lwm2m=1.1&b=U").await;
    assert_eq!(api.get("/api/v1/clients/a").await.status, 200);
}

#[tokio::test]
async fn object_models_and_status_are_shown() {
    let (server, api, _device) = setup("1.1").await;
    let object = api.get("/api/v1/objects/3").await.ok();
    assert_eq!(object["name"], "Device");
    let resources = object["resources"].as_array().unwrap();
    let battery = resources.iter().find(|r| r["id"] == 9).expect("resource 9");
    assert_eq!(battery["name"], "Battery Level");
    assert_eq!(battery["operations"], "R");
    assert_eq!(battery["type"], "integer");
    let old = api.get("/api/v1/objects/3?version=1.0").await.ok();
    assert_eq!(old["version"], "1.0");
    for path in ["/api/v1/objects/64999", "/api/v1/objects/70000"] {
        let reply = api.get(path).await;
        assert_eq!((reply.status, reply.problem()), (404, "unknown-object"));
    }
    let status = api.get("/api/v1/status").await.ok();
    assert_eq!(status["registrations"], 1);
    assert_eq!(
        status["listeners"],
        json!([format!("coap://{}", server.local_addresses()[0])])
    );
    assert!(status["coap"]["received"].is_number());
}
