//! `/observe/rules`: what is observed on devices changes while they are registered.

use lwm2m_device::Device;
use lwm2m_device::objects::{DeviceObject, Temperature};
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use lwm2m_server::{EventKind, Events, Listener, Reason, Server, ServerConfig};
use serde_json::{Value as Json, json};

use super::api::Api;
use crate::peer::event;
use crate::site::{V1_1, path};

const RULES: &str = "/api/v1/observe/rules";

async fn setup() -> (Server, Api) {
    let mut config = ServerConfig::default();
    config.limits.observe_rules_max = 2;
    let configured = ObserveRule::new(ObserveStrategy::Single).path(path("/3/0/16"));
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .config(config)
        .observe(ObserveStrategies::default().rule(configured))
        .start()
        .await
        .expect("the server starts");
    let api = Api::of(&server).await;
    (server, api)
}

/// Made and cancelled by the next plan.
async fn established(events: &mut Events) -> (usize, usize) {
    event(events, |event| match event.kind {
        EventKind::ObserveEstablished {
            made, cancelled, ..
        } => Some((made, cancelled)),
        _ => None,
    })
    .await
}

fn endpoints(list: &Json) -> Vec<(&str, &str)> {
    let rules = list["rules"].as_array().expect("a list").iter();
    rules
        .map(|rule| {
            let text = |key: &str| rule[key].as_str().expect("text");
            (text("endpoint"), text("set_by"))
        })
        .collect()
}

#[tokio::test]
async fn a_rule_is_set_shown_and_removed_and_devices_follow() {
    let (server, api) = setup().await;
    let mut events = server.events();
    let device = Device::builder("meter-7")
        .server(server.local_addresses()[0])
        .version(V1_1)
        .object(DeviceObject::minimal(V1_1, "Model 500", "000000001"))
        .object(Temperature::new(2));
    let _device = device.start().await.expect("a port");
    assert_eq!(established(&mut events).await, (1, 0));
    let of_configuration = json!({
        "endpoint": "*", "strategy": "SINGLE", "paths": ["/3/0/16"], "set_by": "configuration",
    });
    let listed = api.get(RULES).await.ok();
    assert_eq!(listed["rules"], json!([of_configuration]));
    assert_eq!(
        (&listed["planned"], &listed["refused"]),
        (&json!(1), &Json::Null)
    );

    let meters = format!("{RULES}/meter-%2A");
    let body = json!({
        "strategy": "SINGLE", "paths": ["/3/0/16", "/3303/0/5700"],
        "attributes": { "/3303/0/5700": { "pmin": 1, "pmax": 60 } },
    });
    let set = api.call("PUT", &meters, &body.to_string()).await.ok();
    assert_eq!(
        (&set["endpoint"], &set["set_by"]),
        (&json!("meter-*"), &json!("operator"))
    );
    assert_eq!(established(&mut events).await, (1, 0));
    // The strategy alone.
    let mut composite = body.clone();
    composite["strategy"] = "COMPOSITE_ALL".into();
    api.call("PUT", &meters, &composite.to_string()).await.ok();
    assert_eq!(established(&mut events).await, (1, 2));
    let shown = api.get(&meters).await.ok();
    assert_eq!(shown["strategy"], "COMPOSITE_ALL");
    assert_eq!(shown["attributes"], body["attributes"]);
    let listed = api.get(RULES).await.ok();
    let expected = [("meter-*", "operator"), ("*", "configuration")];
    assert_eq!(endpoints(&listed), expected);
    assert_eq!(api.call("DELETE", &meters, "").await.status, 204);
    assert_eq!(established(&mut events).await, (1, 1));
    let gone = api.call("DELETE", &meters, "").await;
    assert_eq!((gone.status, gone.problem()), (404, "unknown-rule"));
    assert_eq!(api.get(&meters).await.problem(), "unknown-rule");
}

#[tokio::test]
async fn all_rules_are_replaced_or_none() {
    let (_server, api) = setup().await;
    let rule = |endpoint: &str| json!({ "endpoint": endpoint, "strategy": "plugin" });
    let put = async |rules: Json| {
        api.call("PUT", RULES, &json!({ "rules": rules }).to_string())
            .await
    };
    let both = put(json!([rule("b"), rule("a*")])).await.ok();
    let expected = [
        ("b", "operator"),
        ("a*", "operator"),
        ("*", "configuration"),
    ];
    assert_eq!(endpoints(&both), expected);
    for (rules, status, word) in [
        (json!([rule("b"), rule("a"), rule("c")]), 409, "rules-full"),
        (json!([rule("b"), rule("b")]), 400, "invalid-rule"),
        (json!([rule("{who}")]), 400, "invalid-rule"),
        (
            json!([{ "endpoint": "b", "strategy": "SINGLE" }]),
            400,
            "invalid-rule",
        ),
        (
            json!([{ "endpoint": "b", "strategy": "single" }]),
            400,
            "invalid-body",
        ),
        (
            json!([{ "endpoint": "b", "strategy": "plugin", "path": 1 }]),
            400,
            "invalid-body",
        ),
        (json!("none"), 400, "invalid-body"),
    ] {
        let refused = put(rules.clone()).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (status, word),
            "{rules}"
        );
        assert_eq!(endpoints(&api.get(RULES).await.ok()), expected);
    }
    let refused = put(json!([{ "endpoint": "b", "strategy": "SINGLE", "paths": ["3"] }])).await;
    assert_eq!(refused.body["errors"][0]["field"], "paths");
    let one = rule("*").to_string();
    let other = api.call("PUT", &format!("{RULES}/c"), &one).await;
    assert_eq!((other.status, other.problem()), (400, "invalid-body"));
    assert_eq!(
        endpoints(&put(json!([])).await.ok()),
        [("*", "configuration")]
    );
    let default = format!("{RULES}/%2A");
    let kept = api.call("DELETE", &default, "").await;
    assert_eq!(
        (kept.status, kept.problem()),
        (409, "rule-of-configuration")
    );
    assert!(
        kept.body["hint"]
            .as_str()
            .expect("a hint")
            .contains("[observe]")
    );
    // It can be outvoted.
    let quiet = json!({ "strategy": "plugin" }).to_string();
    api.call("PUT", &default, &quiet).await.ok();
    assert_eq!(endpoints(&api.get(RULES).await.ok()), [("*", "operator")]);
}

#[tokio::test]
async fn a_configuration_that_was_not_taken_is_shown_until_another_is() {
    let (server, api) = setup().await;
    let reason = Reason::new("configuration-unusable", "line 3").hint("mend it");
    server.refuse_observe_strategies(reason);
    let listed = api.get(RULES).await.ok();
    assert_eq!(listed["refused"]["message"], "line 3");
    let same = server.observe_strategies();
    server
        .set_observe_strategies((*same).clone())
        .expect("taken");
    assert_eq!(api.get(RULES).await.ok()["refused"], Json::Null);
}

#[tokio::test]
async fn what_is_cancelled_by_hand_is_shown_as_withdrawn() {
    let (server, api) = setup().await;
    let mut events = server.events();
    let device = Device::builder("meter-7")
        .server(server.local_addresses()[0])
        .version(V1_1)
        .object(DeviceObject::minimal(V1_1, "Model 500", "000000001"));
    let _device = device.start().await.expect("a port");
    assert_eq!(established(&mut events).await, (1, 0));
    let observations = "/api/v1/clients/meter-7/observations";
    let listed = api.get(observations).await.ok();
    assert_eq!(listed["withdrawn"], Json::Null);
    let id = &listed["observations"][0]["id"];
    let cancelled = api
        .call("DELETE", &format!("{observations}/{id}"), "")
        .await;
    assert_eq!(cancelled.status, 204);
    let listed = api.get(observations).await.ok();
    assert_eq!(listed["observations"], json!([]));
    let withdrawn = json!([{ "paths": ["/3/0/16"], "composite": false }]);
    assert_eq!(listed["withdrawn"], withdrawn);
}
