//! The stream of events, and observations.

use std::time::Duration;

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::Receiver;

use super::api::{Api, serve, setup};
use crate::peer::{Peer, server};

/// The next event of this name.
async fn next(events: &mut Receiver<(String, Json)>, name: &str) -> Json {
    let search = async {
        loop {
            let (found, data) = events.recv().await.expect("the stream goes on");
            if found == name {
                return data;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .expect("the event comes")
}

#[tokio::test]
async fn an_observation_is_started_followed_and_cancelled() {
    let (_server, api, device) = setup("1.1").await;
    let mut events = api.events("/api/v1/events?endpoint=a").await;
    let path = "/api/v1/clients/a/observations";
    let reply = api.start("POST", path, r#"{"path":"/3/0/9"}"#);
    let request = serve(&device, |answer| {
        answer
            .option(OptionNumber::OBSERVE, [1])
            .format(0)
            .payload("87")
    })
    .await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(0));
    let reply = reply.await.expect("no panic");
    assert_eq!(reply.status, 201);
    let id = reply.body["observation"].as_u64().expect("an id");
    assert_eq!(reply.location, format!("{path}/{id}"));
    assert_eq!(reply.body["values"][0]["value"], 87);

    let started = next(&mut events, "observation_started").await;
    assert_eq!(started["observation"], id);
    assert_eq!(started["paths"], json!(["/3/0/9"]));
    assert_eq!(started["composite"], false);
    assert_eq!(started["endpoint"], "a");
    assert!(started["at"].as_str().unwrap().ends_with('Z'));

    let mut notification = device.answer(&request, Code::CONTENT);
    notification.message_type = MessageType::NonConfirmable;
    notification.message_id = 4711;
    let notification = notification
        .option(OptionNumber::OBSERVE, [2])
        .format(0)
        .payload("86");
    device.send(&notification.encode()).await;
    // The first value is a notification, too.
    for value in [87, 86] {
        let data = next(&mut events, "notification").await;
        assert_eq!(data["observation"], id);
        assert_eq!(data["values"][0]["value"], value);
        assert_eq!(data["values"][0]["name"], "Battery Level");
        assert_eq!(data["faults"], json!([]));
    }

    let list = api.get(path).await.ok();
    let observation = &list["observations"][0];
    assert_eq!(observation["id"], id);
    assert_eq!(observation["paths"], json!(["/3/0/9"]));
    assert_eq!(observation["notifications"], 1);

    let cancel = api.start("DELETE", &format!("{path}/{id}"), "");
    let request = serve(&device, |answer| answer.format(0).payload("86")).await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(1));
    assert_eq!(cancel.await.expect("no panic").status, 204);
    let ended = next(&mut events, "observation_ended").await;
    assert_eq!(ended["observation"], id);
    assert!(ended["reason"]["message"].is_string());
    assert_eq!(api.get(path).await.ok(), json!({ "observations": [] }));
}

#[tokio::test]
async fn a_composite_observation_names_its_paths() {
    let (_server, api, device) = setup("1.2").await;
    let path = "/api/v1/clients/a/observations?format=senml-json";
    let body = r#"{"paths":["/3/0/9","/1/0/1"],"attributes":{"pmin":5,"con":true}}"#;
    let reply = api.start("POST", path, body);
    let request = serve(&device, |answer| {
        answer
            .option(OptionNumber::OBSERVE, [1])
            .format(110)
            .payload(r#"[{"n":"/3/0/9","v":87}]"#)
    })
    .await;
    assert_eq!(request.code, Code::FETCH);
    assert_eq!(request.values(OptionNumber::URI_QUERY), ["pmin=5", "con=1"]);
    let reply = reply.await.expect("no panic");
    assert_eq!(reply.status, 201);
    let list = api.get("/api/v1/clients/a/observations").await.ok();
    assert_eq!(
        list["observations"][0]["paths"],
        json!(["/3/0/9", "/1/0/1"])
    );
    assert_eq!(list["observations"][0]["composite"], true);
    let id = reply.body["observation"].as_u64().expect("an id");
    let path = format!("/api/v1/clients/a/observations/{id}?mode=passive");
    assert_eq!(api.call("DELETE", &path, "").await.status, 204);
}

#[tokio::test]
async fn a_device_that_does_not_observe_still_answers() {
    let (_server, api, device) = setup("1.1").await;
    let path = "/api/v1/clients/a/observations";
    let reply = api.start("POST", path, r#"{"path":"/3/0/9"}"#);
    serve(&device, |answer| answer.format(0).payload("87")).await;
    let reply = reply.await.expect("no panic");
    assert_eq!((reply.status, reply.body.get("observation")), (200, None));
}

#[tokio::test]
async fn the_life_of_a_registration_is_told() {
    let server = server(|_| {}).await;
    let api = Api::of(&server).await;
    let mut events = api.events("/api/v1/events").await;
    let mut other = api.events("/api/v1/events?endpoint=b").await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lt=300&lwm2m=1.1&b=U").await;
    let data = next(&mut events, "registered").await;
    assert_eq!(data["endpoint"], "a");
    assert_eq!(data["replaced"], false);
    assert_eq!(data["registration"]["lifetime_s"], 300);
    assert_eq!(
        device.post(&format!("{location}?lt=60")).await,
        Code::CHANGED
    );
    let data = next(&mut events, "updated").await;
    assert_eq!(data["registration"]["lifetime_s"], 60);
    assert_eq!(data["objects_changed"], false);
    let send = device
        .request(Code::POST, "dp")
        .format(110)
        .payload(r#"[{"n":"/3/0/9","v":85,"t":-5}]"#);
    assert_eq!(device.exchange(send).await.code, Code::CHANGED);
    let data = next(&mut events, "send").await;
    assert_eq!(data["values"][0]["value"], 85);
    assert!(data["values"][0]["time"].is_string());
    let send = device.request(Code::POST, "dp").format(110).payload("[{");
    assert_eq!(device.exchange(send).await.code, Code::BAD_REQUEST);
    let data = next(&mut events, "refused").await;
    assert_eq!(data["operation"], "send");
    assert_eq!(data["code"], "4.00 Bad Request");
    assert_eq!(data["reason"]["code"], "send-malformed");
    assert_eq!(device.delete(&location).await, Code::DELETED);
    let data = next(&mut events, "deregistered").await;
    assert_eq!(data["registration"]["endpoint"], "a");
    // The other stream has seen nothing of it.
    let mut device = Peer::new(&server).await;
    device.register("ep=b&lt=300&lwm2m=1.1&b=U").await;
    let (name, data) = other.recv().await.expect("the stream goes on");
    assert_eq!(
        (name.as_str(), &data["endpoint"]),
        ("registered", &json!("b"))
    );
}

#[tokio::test]
async fn what_the_server_observes_by_itself_is_told_and_marked() {
    let (server, api, device) = setup("1.1").await;
    let mut events = api.events("/api/v1/events?endpoint=a").await;
    let rule = ObserveRule::new(ObserveStrategy::Single);
    let paths = ["/3/0/9", "/4/0/2", "/9/0/7"].map(|path| path.parse().expect("a path"));
    let rule = paths.into_iter().fold(rule, ObserveRule::path);
    let strategies = ObserveStrategies::default().rule(rule);
    server.set_observe_strategies(strategies).expect("taken");
    serve(&device, |answer| {
        answer
            .option(OptionNumber::OBSERVE, [1])
            .format(0)
            .payload("87")
    })
    .await;
    let refused = device.receive().await;
    let answer = device.answer(&refused, Code::NOT_FOUND);
    device.send(&answer.encode()).await;
    let planned = next(&mut events, "observe_planned").await;
    assert_eq!(planned["owner"], "configuration");
    let observations = json!([
        { "paths": ["/3/0/9"], "composite": false },
        { "paths": ["/4/0/2"], "composite": false },
    ]);
    assert_eq!(planned["observations"], observations);
    assert_eq!(planned["left_out"], json!(["/9/0/7"]));
    let failed = next(&mut events, "observe_failed").await;
    assert_eq!(failed["operation"], "observe");
    assert_eq!(failed["paths"], json!(["/4/0/2"]));
    assert_eq!(failed["code"], "4.04 Not Found");
    assert_eq!(failed["reason"]["code"], "observe-refused");
    let established = next(&mut events, "observe_established").await;
    let counts = ["made", "cancelled", "failed"].map(|count| established[count].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(1)]);
    let list = api.get("/api/v1/clients/a/observations").await.ok();
    assert_eq!(list["observations"][0]["planned"], true);
}
