//! `/credentials`: keys come in and never go out, and what is wrong is named.

use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_server::credentials::{
    CredentialId, CredentialLimits, CredentialStore, LookUp, MemoryCredentials, Proof,
};
use lwm2m_server::{EventKind, Listener, Server};
use serde_json::{Value as Json, json};

use super::api::Api;
use crate::peer::{OBJECTS, Peer, event, server};

const ROOT: &str = "/api/v1/credentials";

async fn setup(limits: CredentialLimits) -> (Server, Api, Arc<MemoryCredentials>) {
    let store = Arc::new(MemoryCredentials::new(limits));
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .credentials(Arc::clone(&store) as Arc<dyn CredentialStore>)
        .start()
        .await
        .expect("the server starts");
    let api = Api::of(&server).await;
    (server, api, store)
}

async fn post(api: &Api, path: &str, body: &Json) -> super::api::Reply {
    api.call("POST", &format!("{ROOT}{path}"), &body.to_string())
        .await
}

#[tokio::test]
async fn a_credential_is_added_listed_and_removed_and_its_key_is_never_shown() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    let key = "00112233445566778899aabbccddeeff";
    let body = json!({
        "id": "m7", "mode": "psk", "identity": "meter-7", "key": key, "endpoints": ["meter-7"]
    });
    let reply = post(&api, "", &body).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.location, format!("{ROOT}/m7"));
    let shown = reply.ok();
    let expected = json!({
        "id": "m7", "mode": "psk", "identity": "meter-7", "endpoints": ["meter-7"],
        "key_bytes": 16
    });
    assert_eq!(shown, expected);
    assert_eq!(api.get(&format!("{ROOT}/m7")).await.ok(), expected);
    let page = api.get(ROOT).await.ok();
    assert_eq!(page, json!({ "credentials": [expected], "next": null }));
    let removed = api.call("DELETE", &format!("{ROOT}/m7"), "").await;
    assert_eq!(removed.status, 204);
    let again = api.call("DELETE", &format!("{ROOT}/m7"), "").await;
    assert_eq!((again.status, again.problem()), (404, "unknown-credential"));
    let gone = api.get(&format!("{ROOT}/m7")).await;
    assert_eq!((gone.status, gone.problem()), (404, "unknown-credential"));
}

#[tokio::test]
async fn every_mode_is_taken_and_weak_keys_with_a_warning() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    let hash = "ab".repeat(32);
    for (body, warnings) in [
        (json!({"identity": "a", "key": "00"}), json!(["short-key"])),
        (
            json!({"identity": "b", "key": "00".repeat(16), "endpoints": ["m-*"]}),
            json!(["shared-key"]),
        ),
        (
            json!({"spki_sha256": hash, "mode": "rpk", "endpoints": ["r"]}),
            json!([]),
        ),
        (
            json!({"common_name": "m-*", "endpoints": ["urn:dev:{cn}"]}),
            json!([]),
        ),
        (
            json!({"master_secret": hash, "sender_id": "srv", "recipient_id": "dev"}),
            json!([]),
        ),
    ] {
        let reply = post(&api, "", &body).await;
        assert_eq!(reply.status, 201, "{body}: {reply:?}");
        let shown = reply.ok();
        let words: Vec<&Json> = shown["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|warning| &warning["code"])
            .collect();
        assert_eq!(json!(words), warnings, "{body}");
        assert!(!shown.to_string().contains("master_secret"), "{shown}");
    }
    let modes = api.get(&format!("{ROOT}?mode=psk")).await.ok();
    assert_eq!(modes["credentials"].as_array().map(Vec::len), Some(2));
    let covering = api.get(&format!("{ROOT}?endpoint=m-9")).await.ok();
    assert_eq!(covering["credentials"][0]["identity"], "b");
}

#[tokio::test]
async fn a_generated_key_is_shown_once_and_is_the_one_that_counts() {
    let (_server, api, store) = setup(CredentialLimits::default()).await;
    let mut keys = Vec::new();
    for (body, identity, bytes) in [
        (json!({"endpoint": "a*b"}), "a*b", 16),
        (
            json!({"endpoint": "c", "identity": "d", "bits": 256, "id": "x"}),
            "d",
            32,
        ),
        (json!({"endpoint": "e", "bits": 512}), "e", 64),
    ] {
        let reply = post(&api, "/generate", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let location = reply.location.clone();
        let generated = reply.ok();
        let key = generated["key"].as_str().expect("a key").to_owned();
        assert_eq!(key.len(), bytes * 2);
        assert_eq!(generated["identity"], identity);
        let id = generated["id"].as_str().expect("an id");
        assert_eq!(location, format!("{ROOT}/{id}"));
        let again = api.get(&location).await.ok();
        assert_eq!(again.get("key"), None);
        let id = CredentialId::new(id).expect("an id");
        let LookUp::Now(Some(kept)) = store.find(&id) else {
            panic!("it is there");
        };
        let Proof::Psk { key: kept, .. } = &kept.proof else {
            panic!("a pre-shared key");
        };
        let kept: String = kept
            .expose()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(kept, key);
        keys.push(key);
    }
    assert!(keys[0] != keys[1][..32] && keys[1] != keys[2][..64]);
    // The name is taken as it stands, star included.
    let covering = api.get(&format!("{ROOT}?endpoint=a-b")).await.ok();
    assert_eq!(covering["credentials"], json!([]));
    for (body, part) in [
        (json!({}), "endpoint"),
        (json!({"endpoint": ""}), "255"),
        (json!({"endpoint": "f", "bits": 120}), "128"),
        (json!({"endpoint": "f", "bits": 520}), "512"),
        (json!({"endpoint": "f", "bits": 129}), "multiple"),
        (json!({"endpoint": "f", "id": "a/b"}), "id"),
        (json!({"endpoint": "f", "key": "00"}), "key"),
    ] {
        let reply = post(&api, "/generate", &body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(
            reply.body["detail"].as_str().unwrap().contains(part),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_credential_is_named() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    for (body, field) in [
        (json!({}), "mode"),
        (json!({"identity": "a"}), "key"),
        (json!({"identity": "a", "key": "secretsecret"}), "key"),
        (json!({"identity": "a", "key": "00".repeat(65)}), "key"),
        (
            json!({"identity": "a".repeat(129), "key": "00"}),
            "identity",
        ),
        (
            json!({"identity": "a", "key": "00", "endpoints": ["x".repeat(256)]}),
            "endpoints",
        ),
        (
            json!({"identity": "a", "key": "00", "endpoints": vec!["x"; 17]}),
            "endpoints",
        ),
        (json!({"identity": "a", "key": "00", "id": "../x"}), "id"),
    ] {
        let reply = post(&api, "", &body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.problem(), "invalid-credential", "{body}");
        assert_eq!(reply.body["errors"][0]["field"], field, "{body}");
        assert!(
            !reply.body.to_string().contains("secretsecret"),
            "{reply:?}"
        );
    }
    for body in ["{", "[]", "{\"kee\": 1}", "{\"key\": 5}", "\u{0}"] {
        let reply = api.call("POST", ROOT, body).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (400, "invalid-body"),
            "{body}"
        );
    }
    for query in [
        "limit=0",
        "limit=1001",
        "mode=nosec",
        "after=a/b",
        "endpoint=",
        "x=1",
    ] {
        let reply = api.get(&format!("{ROOT}?{query}")).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (400, "invalid-parameter"),
            "{query}"
        );
    }
    let odd = api.get(&format!("{ROOT}/%2E%2E%2Fx")).await;
    assert_eq!((odd.status, odd.problem()), (404, "unknown-credential"));
    let put = api.call("PUT", ROOT, "{}").await;
    assert_eq!((put.status, put.problem()), (405, "method-not-allowed"));
}

#[tokio::test]
async fn two_keys_stand_side_by_side_and_a_third_is_refused() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    let psk = |id: &str, key: &str| json!({"id": id, "identity": "a", "key": key});
    assert_eq!(post(&api, "", &psk("old", "01")).await.status, 201);
    for (again, status) in [(psk("old", "02"), 409), (psk("same", "01"), 409)] {
        let reply = post(&api, "", &again).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (status, "credential-taken")
        );
    }
    assert_eq!(post(&api, "", &psk("new", "02")).await.status, 201);
    let third = post(&api, "", &psk("third", "03")).await;
    assert_eq!((third.status, third.problem()), (409, "credential-taken"));
    assert!(third.body["detail"].as_str().unwrap().contains("old, new"));
    assert!(third.body["hint"].is_string());
}

#[tokio::test]
async fn one_more_than_there_is_room_for_is_refused() {
    let mut limits = CredentialLimits::default();
    (limits.credentials_max, limits.patterns_max) = (2, 1);
    let (_server, api, _) = setup(limits).await;
    let rule = |serial: &str| json!({"mode": "x509", "serial": serial, "endpoints": ["m"]});
    assert_eq!(post(&api, "", &rule("01")).await.status, 201);
    let full = post(&api, "", &rule("02")).await;
    assert_eq!((full.status, full.problem()), (409, "credentials-full"));
    let psk = |name: &str| json!({"identity": name, "key": "00"});
    assert_eq!(post(&api, "", &psk("a")).await.status, 201);
    let full = post(&api, "", &psk("b")).await;
    assert_eq!((full.status, full.problem()), (409, "credentials-full"));
    assert!(full.body["detail"].as_str().unwrap().contains('2'));
}

#[tokio::test]
async fn an_import_is_taken_as_a_whole_or_told_what_is_wrong_line_by_line() {
    let (_server, api, store) = setup(CredentialLimits::default()).await;
    let import = async |query: &str, body: &str| {
        api.call("POST", &format!("{ROOT}/import{query}"), body)
            .await
    };
    let csv = "id,identity,key,endpoints\na,a,00,\nb,b,00112233445566778899aabbccddeeff,x|y\n";
    let reply = import("?format=csv", csv).await.ok();
    assert_eq!(reply["added"], 2);
    assert_eq!(reply["warnings"][0]["id"], "a");
    assert_eq!(reply["warnings"].as_array().map(Vec::len), Some(1));
    let reply = import("", r#"[{"id":"c","identity":"c","key":"00"}]"#)
        .await
        .ok();
    assert_eq!(reply["added"], 1);
    assert_eq!(import("", "").await.ok()["added"], 0);

    let broken = "id,identity,key\nd,d,00\ne,e,zz\n,f,\n";
    let reply = import("?format=csv", broken).await;
    assert_eq!((reply.status, reply.problem()), (400, "invalid-import"));
    let hex = "use hexadecimal digits, two for each byte";
    assert_eq!(
        reply.body["errors"],
        json!([
            {"line": 3, "field": "key", "message": hex},
            {"line": 4, "field": "key", "message": "it is missing"},
        ])
    );
    // The last line is at odds with what is there already.
    let reply = import("?format=csv", "id,identity,key\nd,d,00\nx,a,00\n").await;
    assert_eq!((reply.status, reply.problem()), (400, "invalid-import"));
    assert_eq!(reply.body["errors"][0]["line"], 3);
    let reply = import("", "[{\"id\": 1}]").await;
    assert_eq!(reply.body["errors"][0]["line"], 1);
    let reply = import("?format=xml", "").await;
    assert_eq!(reply.problem(), "invalid-parameter");
    let ids: Vec<String> = store.all().iter().map(|c| c.id.to_string()).collect();
    assert_eq!(ids, ["a", "b", "c"], "nothing of the broken ones was added");
}

#[tokio::test]
async fn an_import_may_be_larger_than_other_bodies_and_has_an_end() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    let padding = format!("#{}\n", "x".repeat(lwm2m_admin::BODY_MAX));
    let csv = format!("identity,key\n{padding}a,00\n");
    let path = format!("{ROOT}/import?format=csv");
    assert_eq!(api.call("POST", &path, &csv).await.ok()["added"], 1);
    let most = "#".repeat(lwm2m_admin::IMPORT_MAX + 1);
    let reply = api.call("POST", &path, &most).await;
    assert_eq!((reply.status, reply.problem()), (413, "body-too-large"));
}

#[tokio::test]
async fn pages_have_all_credentials_once() {
    let (_server, api, _) = setup(CredentialLimits::default()).await;
    let lines: String = (0..25).map(|n| format!("c{n:02},d{n},00\n")).collect();
    let path = format!("{ROOT}/import?format=csv");
    api.call("POST", &path, &format!("id,identity,key\n{lines}"))
        .await
        .ok();
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("{ROOT}?limit=10{after}")).await.ok();
        for credential in page["credentials"].as_array().expect("a list") {
            seen.push(credential["id"].as_str().expect("an id").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).map(|n| format!("c{n:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_name_with_credentials_is_closed_to_devices_without_security_until_they_go() {
    let (server, api, _) = setup(CredentialLimits::default()).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let mut register = async |name: &str| {
        let request = device.request(Code::POST, &format!("rd?ep={name}&lwm2m=1.1"));
        let request = request.format(40).payload(OBJECTS);
        device.exchange(request).await.code
    };
    assert_eq!(register("meter-7").await, Code::CREATED);
    let body = json!({"id": "m", "identity": "meter-7", "key": "00"});
    assert_eq!(post(&api, "", &body).await.status, 201);
    assert_eq!(register("meter-7").await, Code::BAD_REQUEST);
    assert_eq!(register("meter-8").await, Code::CREATED);
    let refused = event(&mut events, |event| match &event.kind {
        EventKind::Refused { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let reason = refused.await;
    assert_eq!(reason.code, "nosec-refused");
    assert!(reason.hint.expect("a hint").contains("meter-7"));
    let removed = api.call("DELETE", &format!("{ROOT}/m"), "").await;
    assert_eq!(removed.status, 204);
    assert_eq!(register("meter-7").await, Code::CREATED);
    let client = api.get("/api/v1/clients/meter-7").await.ok();
    assert_eq!(client["identity"], json!({ "mode": "nosec" }));
}

#[tokio::test]
async fn a_server_without_a_store_says_so() {
    let server = server(|_| {}).await;
    let api = Api::of(&server).await;
    for (method, path) in [
        ("GET", ""),
        ("GET", "/a"),
        ("DELETE", "/a"),
        ("POST", "/import"),
    ] {
        let reply = api.call(method, &format!("{ROOT}{path}"), "").await;
        assert_eq!((reply.status, reply.problem()), (404, "no-credentials"));
    }
}
