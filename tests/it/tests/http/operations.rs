//! Operations: what reaches the device, and what comes back.

use lwm2m_coap::{Code, OptionNumber};
use serde_json::json;

use super::api::{Api, serve, setup};
use crate::peer::{Outgoing, Peer};

/// Calls the API while the device answers with this code, format and payload.
async fn exchanged(
    api: &Api,
    device: &Peer,
    (method, path, body): (&str, &str, &str),
    answer: impl FnOnce(Outgoing) -> Outgoing,
) -> (crate::peer::Incoming, super::api::Reply) {
    let mut reply = api.start(method, &format!("/api/v1/clients/a{path}"), body);
    let request = tokio::select! {
        request = serve(device, answer) => request,
        reply = &mut reply => panic!("answered before the device did: {reply:?}"),
    };
    (request, reply.await.expect("no panic"))
}

fn code(code: Code) -> impl FnOnce(Outgoing) -> Outgoing {
    move |mut answer| {
        answer.code = code;
        answer
    }
}

#[tokio::test]
async fn a_read_shows_values_with_names() {
    let (_server, api, device) = setup("1.1").await;
    let (request, reply) = exchanged(&api, &device, ("GET", "/objects/3/0/9", ""), |answer| {
        answer.format(0).payload("87")
    })
    .await;
    assert_eq!(request.path(), "3/0/9");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["code"], "2.05 Content");
    assert_eq!(reply.body["format"], "text");
    assert!(reply.body["elapsed_ms"].is_number());
    let value = &reply.body["values"][0];
    assert_eq!(value["path"], "/3/0/9");
    assert_eq!(value["value"], 87);
    assert_eq!(value["type"], "integer");
    assert_eq!(value["name"], "Battery Level");
    assert_eq!(reply.body["faults"], json!([]));
}

#[tokio::test]
async fn values_that_cannot_be_decoded_stand_beside_the_others() {
    let (_server, api, device) = setup("1.1").await;
    let pack = br#"[{"bn":"/3/0/","n":"9","v":87},{"n":"0","v":1},{"n":"13","v":5,"t":-10}]"#;
    let (request, reply) = exchanged(&api, &device, ("GET", "/objects/3/0", ""), |answer| {
        answer.format(110).payload(pack)
    })
    .await;
    // The registration lists 112 first among those that carry types.
    assert_eq!(request.uint(OptionNumber::ACCEPT), Some(112));
    assert_eq!(reply.body["values"][0]["value"], 87);
    assert_eq!(reply.body["values"][1]["type"], "time");
    assert!(reply.body["values"][1]["time"].is_string());
    assert_eq!(reply.body["faults"][0]["path"], "/3/0/0");
}

#[tokio::test]
async fn a_write_takes_its_type_from_the_model() {
    let (_server, api, device) = setup("1.1").await;
    for (path, body, payload) in [
        ("/objects/3/0/14", r#"{"value":"+02:00"}"#, "+02:00"),
        ("/objects/1/0/1", r#"{"value":60}"#, "60"),
        ("/objects/1/0/6", r#"{"value":"true"}"#, "1"),
        (
            "/objects/3/0/13",
            r#"{"value":"2023-11-14T22:13:20Z"}"#,
            "1700000000",
        ),
        ("/objects/4242/0/1", r#"{"value":5}"#, "5"),
    ] {
        let changed = code(Code::CHANGED);
        let (request, reply) = exchanged(&api, &device, ("PUT", path, body), changed).await;
        assert_eq!(request.code, Code::PUT, "{path}");
        assert_eq!(request.uint(OptionNumber::CONTENT_FORMAT), Some(0));
        assert_eq!(String::from_utf8_lossy(&request.payload), payload);
        assert_eq!(reply.ok()["code"], "2.04 Changed");
    }
}

#[tokio::test]
async fn several_values_go_in_one_message() {
    let (_server, api, device) = setup("1.1").await;
    let body = r#"{"values":{"2":101,"/1/0/3":"1010"}}"#;
    let call = ("POST", "/objects/1/0?format=tlv", body);
    let (request, reply) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
    assert_eq!(request.code, Code::POST);
    assert_eq!(request.uint(OptionNumber::CONTENT_FORMAT), Some(11542));
    assert_eq!(request.payload, b"\xc1\x02\x65\xc2\x03\x03\xf2");
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn bytes_go_as_base64_or_hex() {
    let (_server, api, device) = setup("1.1").await;
    for body in [
        r#"{"value":"AP8="}"#,
        r#"{"value":{"hex":"00ff"}}"#,
        r#"{"value":{"base64":"AP8"}}"#,
    ] {
        let call = ("PUT", "/objects/5/0/0", body);
        let (request, _) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
        assert_eq!(request.uint(OptionNumber::CONTENT_FORMAT), Some(42));
        assert_eq!(request.payload, [0, 255]);
    }
}

#[tokio::test]
async fn execute_delete_discover_and_attributes() {
    let (_server, api, device) = setup("1.2").await;
    let call = ("POST", "/execute/3/0/4", "");
    let (request, _) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
    assert_eq!((request.code, request.payload.len()), (Code::POST, 0));
    let call = ("POST", "/execute/1/0/8", r#"{"arguments":"0='U'"}"#);
    let (request, _) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
    assert_eq!(request.payload, b"0='U'");

    let call = ("DELETE", "/objects/16/0", "");
    let (request, reply) = exchanged(&api, &device, call, code(Code::DELETED)).await;
    assert_eq!(
        (request.code, request.path().as_str()),
        (Code::DELETE, "16/0")
    );
    assert_eq!(reply.ok()["code"], "2.02 Deleted");

    let call = ("GET", "/discover/3?depth=3", "");
    let (request, reply) = exchanged(&api, &device, call, |answer| {
        answer
            .format(40)
            .payload("</3>;pmin=10,</3/0/7>;dim=2;gt=50;lt=42.2")
    })
    .await;
    assert_eq!(request.values(OptionNumber::URI_QUERY), ["depth=3"]);
    let links = &reply.ok()["links"];
    assert_eq!(links[0]["path"], "/3");
    assert_eq!(links[0]["name"], "Device");
    assert_eq!(links[0]["attributes"], json!({ "pmin": 10 }));
    assert_eq!(links[1]["dim"], 2);
    assert_eq!(links[1]["name"], "Power Source Voltage");
    assert_eq!(links[1]["attributes"], json!({ "gt": 50, "lt": 42.2 }));

    let call = ("PUT", "/attributes/3/0/7?pmin=5&pmax=15&st&timeout_s=9", "");
    let (request, _) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
    let query = request.values(OptionNumber::URI_QUERY);
    assert_eq!(query, ["pmin=5", "pmax=15", "st"]);
}

#[tokio::test]
async fn a_create_chooses_the_lowest_free_instance() {
    let (_server, api, device) = setup("1.1").await;
    let body = r#"{"values":{"0/0":"Host"}}"#;
    for (path, body, created) in [
        ("/create/16", body, "/16/0"),
        ("/create/1", r#"{"values":{"7":"U"}}"#, "/1/1"),
        ("/create/16/7", body, "/16/7"),
    ] {
        let path = format!("{path}?format=senml-json");
        let call = ("POST", path.as_str(), body);
        let (request, reply) = exchanged(&api, &device, call, code(Code::CREATED)).await;
        let pack = String::from_utf8_lossy(&request.payload).into_owned();
        assert!(pack.contains(&format!("{created}/")), "{pack}");
        assert_eq!(reply.status, 201);
        assert_eq!(
            reply.location,
            format!("/api/v1/clients/a/objects{created}")
        );
        assert_eq!(reply.body["created"], created);
    }
    let path = "/create/16?instance=device&format=tlv";
    let call = ("POST", path, body);
    let (request, reply) = exchanged(&api, &device, call, |answer| {
        code(Code::CREATED)(answer)
            .option(OptionNumber::LOCATION_PATH, "16")
            .option(OptionNumber::LOCATION_PATH, "9")
    })
    .await;
    assert_eq!(request.payload, b"\x86\x00\x44\x00Host");
    assert_eq!(reply.body["created"], "/16/9");
}

#[tokio::test]
async fn composite_requests_go_to_the_root() {
    let (_server, api, device) = setup("1.1").await;
    let body = r#"{"paths":["/3/0/9","/1/0/1"]}"#;
    let call = ("POST", "/composite/read?format=senml-json", body);
    let (request, reply) = exchanged(&api, &device, call, |answer| {
        answer
            .format(110)
            .payload(r#"[{"n":"/3/0/9","v":87},{"n":"/1/0/1","v":300}]"#)
    })
    .await;
    assert_eq!((request.code, request.path().as_str()), (Code::FETCH, ""));
    assert_eq!(request.uint(OptionNumber::ACCEPT), Some(110));
    assert_eq!(request.payload, br#"[{"n":"/3/0/9"},{"n":"/1/0/1"}]"#);
    assert_eq!(reply.ok()["values"][1]["name"], "Lifetime");

    let body = r#"{"values":{"/1/0/1":300,"/3/0/14":"+02:00"}}"#;
    let call = ("POST", "/composite/write?format=senml-json", body);
    let (request, reply) = exchanged(&api, &device, call, code(Code::CHANGED)).await;
    assert_eq!(request.code, Code::IPATCH);
    let pack = String::from_utf8_lossy(&request.payload).into_owned();
    assert!(pack.contains(r#""v":300"#) && pack.contains(r#""vs":"+02:00""#));
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn what_the_model_rules_out_can_be_sent_nevertheless() {
    let (_server, api, device) = setup("1.1").await;
    let path = "/api/v1/clients/a/objects/1/0/0";
    let reply = api.call("PUT", path, r#"{"value":123}"#).await;
    assert_eq!((reply.status, reply.problem()), (422, "against-model"));
    assert!(reply.body["hint"].as_str().unwrap().contains("unchecked"));
    let call = ("PUT", "/objects/1/0/0?unchecked=true", r#"{"value":123}"#);
    let refusal = code(Code::METHOD_NOT_ALLOWED);
    let (request, reply) = exchanged(&api, &device, call, refusal).await;
    assert_eq!(request.payload, b"123");
    assert_eq!((reply.status, reply.problem()), (405, "device-refused"));
    assert_eq!(reply.body["coap_code"], "4.05");
}
