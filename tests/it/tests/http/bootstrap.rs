//! `/bootstrap`: plans come and go, and their keys are never shown.

use std::path::Path;
use std::sync::Arc;

use lwm2m_server::bootstrap::{FileBootstrap, MemoryBootstrap};
use lwm2m_server::{Listener, Server};
use serde_json::json;

use super::api::Api;

const PLANS: &str = "/api/v1/bootstrap/plans";

async fn setup(file: &Path) -> (Server, Api) {
    let plans = FileBootstrap::open(file, None).expect("no file yet");
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()).also_bootstrap())
        .bootstrap(Arc::new(plans))
        .start()
        .await
        .expect("the server starts");
    let api = Api::of(&server).await;
    (server, api)
}

#[tokio::test]
async fn a_plan_is_added_listed_and_removed_and_its_key_is_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, api) = setup(&folder.path().join("bootstrap.toml")).await;
    let account = json!({
        "short_server_id": 101, "uri": "coaps://192.0.2.1:5685", "lifetime": 60,
        "psk_identity": "i"
    });
    let shown = json!({ "endpoint": "meter-*", "server": [account] });
    let mut plan = shown.clone();
    plan["server"][0]["psk_key"] = "00112233445566778899aabbccddeeff".into();
    let added = api.call("POST", PLANS, &plan.to_string()).await;
    assert_eq!(added.status, 201);
    assert_eq!(added.ok(), shown);
    let listed = api.get(PLANS).await.ok();
    assert_eq!(listed, json!({ "plans": [shown] }));
    let one = format!("{PLANS}/meter-%2A");
    assert_eq!(api.get(&one).await.ok(), shown);
    let again = api.call("POST", PLANS, &plan.to_string()).await;
    assert_eq!((again.status, again.problem()), (409, "plan-taken"));
    let removed = api.call("DELETE", &one, "").await;
    assert_eq!(removed.status, 204);
    let gone = api.call("DELETE", &one, "").await;
    assert_eq!((gone.status, gone.problem()), (404, "unknown-plan"));
    assert_eq!(api.get(&one).await.problem(), "unknown-plan");
}

#[tokio::test]
async fn a_file_is_imported_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, api) = setup(&folder.path().join("bootstrap.toml")).await;
    let import = "/api/v1/bootstrap/import";
    let good = "[[device]]\nendpoint = \"a\"\n[[device]]\nendpoint = \"b\"\n";
    for (bad, part) in [
        (format!("{good}[[device]]\nendpoint = 7\n"), "line 6"),
        (
            format!("{good}[[device]]\nendpoint = \"c\"\ndelete = [\"x\"]\n"),
            "device 3 (c)",
        ),
    ] {
        let refused = api.call("POST", import, &bad).await;
        assert_eq!((refused.status, refused.problem()), (400, "invalid-plan"));
        assert!(refused.body.to_string().contains(part), "{}", refused.body);
        assert_eq!(api.get(PLANS).await.ok(), json!({ "plans": [] }));
    }
    assert_eq!(
        api.call("POST", import, good).await.ok(),
        json!({ "added": 2 })
    );
    let twice = api.call("POST", import, good).await;
    assert_eq!((twice.status, twice.problem()), (409, "plan-taken"));
}

#[tokio::test]
async fn a_store_that_keeps_no_documents_says_so() {
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()).also_bootstrap())
        .bootstrap(Arc::new(MemoryBootstrap::default()))
        .start()
        .await
        .expect("the server starts");
    let api = Api::of(&server).await;
    let plan = json!({ "endpoint": "a" }).to_string();
    for refused in [api.get(PLANS).await, api.call("POST", PLANS, &plan).await] {
        assert_eq!((refused.status, refused.problem()), (404, "no-plans"));
    }
}
