//! What a component may use of a running server, and what it is told when it may not.

use axum::routing::get;
use lwm2m_coap::Code;
use lwm2m_server::EventKind;
use serde_json::{Value, json};

use super::{Hosting, PATIENT, failure};
use crate::components::guest::Guest;
use crate::components::text::{Data, HELPERS};
use crate::peer::{OBJECTS, Peer, event};

/// Where host functions put what comes of a call.
const RESULT: &str = "(i32.const 2048)";

/// *on-registered*: reads /3/0/9 of the device, counts it in a key of its own, looks its registration
/// up, asks a URL, and publishes the level, the count, the lifetime and the status as JSON; in the
/// place of each that failed the number of the error, counted from -1 downwards.
fn greeter(url: &str) -> Vec<u8> {
    let mut data = Data::default();
    let paths = data.path([3, 0, 9]);
    let paths = data.words(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let (key, key_len) = data.text("registrations");
    let (url, url_len) = data.text(url);
    let (method, method_len) = data.text("GET");
    let (kind, kind_len) = data.text("greeting");
    let endpoint = "(i32.load offset=8 (local.get $0)) (i32.load offset=12 (local.get $0))";
    let none = "(i32.const 0) (i32.const 0)";
    let calls = [
        (
            "{\"level\":",
            format!("(call $read {endpoint} {paths} (i32.const 1) {RESULT})"),
            "(i64.load offset=40 (i32.load offset=4 (i32.const 2048)))",
            4,
        ),
        (
            ",\"count\":",
            format!("(call $increment (i32.const 1) {key} {key_len} (i64.const 1) {RESULT})"),
            "(i64.load offset=8 (i32.const 2048))",
            8,
        ),
        (
            ",\"lifetime\":",
            format!("(call $registered {endpoint} {RESULT})"),
            "(i64.load32_u offset=36 (i32.const 2048))",
            8,
        ),
        (
            ",\"status\":",
            format!(
                "(call $send {method} {method_len} {url} {url_len} {none} {none} {none} {RESULT})"
            ),
            "(i64.load16_u offset=4 (i32.const 2048))",
            4,
        ),
    ];
    let mut body = "(call $begin)".to_owned();
    for (name, call, value, error_at) in calls {
        let (name, name_len) = data.text(name);
        body += &format!(
            "(call $text {name} {name_len})
             {call}
             (if (i32.load8_u {RESULT})
               (then (call $number (i64.sub (i64.const -1)
                 (i64.load8_u offset={error_at} {RESULT}))))
               (else (call $number {value})))"
        );
    }
    let json = "(i32.const 32768) (call $length)";
    body += &format!(
        "(call $byte (i32.const 125))
         (call $emit {kind} {kind_len} (i32.const 0) {none} {json} {RESULT})
         (if (i32.load8_u {RESULT}) (then unreachable))"
    );
    let imports = ["$read", "$increment", "$registered", "$send", "$emit"];
    Guest::of("devices-plugin")
        .imports(&imports)
        .helpers(HELPERS)
        .does("on-registered", body)
        .data(data.bytes())
        .build()
}

/// A server for one page.
async fn page() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = axum::Router::new().route("/page", get(|| async { "here" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/page")
}

async fn hosting(permissions: &[&str], url: &str) -> Hosting {
    let quoted: Vec<String> = permissions.iter().map(|p| format!("'{p}'")).collect();
    let quoted = quoted.join(", ");
    let manifest = format!("name = 'greeter'\nsource = 'greeter.wasm'\npermissions = [{quoted}]");
    let files = [
        ("greeter/plugin.toml".to_owned(), manifest.into_bytes()),
        ("greeter/greeter.wasm".to_owned(), greeter(url)),
    ];
    let settings =
        format!("[[plugin]]\nname = 'greeter'\ngrant = [{quoted}]\ntimeout_ms = {{ {PATIENT} }}");
    Hosting::new(&files, &settings).await
}

/// The device registers, and says its level when it is asked.
async fn registers(hosting: &Hosting, is_read: bool) {
    let mut device = Peer::new(&hosting.server).await;
    let request = device.request(Code::POST, "rd?ep=a&lwm2m=1.1&lt=777");
    let request = request.format(40).payload(OBJECTS);
    // The plugin may be quicker than its answer.
    device.send(&request.encode()).await;
    let (mut registered, mut read) = (false, !is_read);
    while !(registered && read) {
        let incoming = device.receive().await;
        if incoming.token == request.token && incoming.code.class() == 2 {
            assert_eq!(incoming.code, Code::CREATED);
            registered = true;
        } else if incoming.code == Code::GET {
            assert_eq!(incoming.path(), "3/0/9");
            let answer = device.answer(&incoming, Code::CONTENT);
            device.send(&answer.format(0).payload("42").encode()).await;
            read = true;
        }
    }
}

async fn greeting(hosting: &mut Hosting) -> Value {
    let published = event(&mut hosting.events, |event| match &event.kind {
        EventKind::Published { kind, json, .. } => {
            assert_eq!(event.endpoint.as_ref().map(|e| e.as_str()), Some("a"));
            Some((kind.clone(), json.clone()))
        }
        _ => None,
    });
    let (kind, json) = published.await;
    assert_eq!(kind, "greeting");
    serde_json::from_str(&json).expect("JSON")
}

#[tokio::test]
async fn a_component_uses_what_it_is_granted() {
    let url = page().await;
    let http = format!("http:{url}");
    let all = ["kv", "registry", "device:read:/3/**", &http, "events"];
    let mut hosting = hosting(&all, &url).await;
    for count in 1..=2 {
        registers(&hosting, true).await;
        let told = greeting(&mut hosting).await;
        let expected = json!({ "level": 42, "count": count, "lifetime": 777, "status": 200 });
        assert_eq!(told, expected);
    }
    assert_eq!(hosting.status("greeter").figures[0].failures, []);
}

#[tokio::test]
async fn a_component_is_denied_what_it_does_not_ask_for() {
    let url = page().await;
    let http = format!("http:{url}");
    let all = ["kv", "registry", "device:read:/3/**", http.as_str()];
    let keys = ["count", "lifetime", "level", "status"];
    for (permission, key) in all.into_iter().zip(keys) {
        let others = all.into_iter().filter(|other| *other != permission);
        let others: Vec<&str> = others.chain(["events"]).collect();
        let mut hosting = hosting(&others, &url).await;
        registers(&hosting, key != "level").await;
        let mut told = greeting(&mut hosting).await;
        assert_eq!(told[key], -1, "{permission} is denied: {told}");
        let of_others = told.as_object_mut().expect("an object");
        of_others.remove(key);
        assert!(
            of_others.values().all(|value| value.as_i64() > Some(0)),
            "{told}"
        );
    }
    // Other paths and other URLs than those that are granted.
    let some = [
        "kv",
        "registry",
        "device:read:/3/0/0",
        "http:http://127.0.0.1:1/",
        "events",
    ];
    let mut hosting = hosting(&some, &url).await;
    registers(&hosting, false).await;
    let told = greeting(&mut hosting).await;
    let expected = json!({ "level": -1, "count": 1, "lifetime": 777, "status": -1 });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_component_that_may_not_publish_is_told_so() {
    let url = page().await;
    let mut hosting = hosting(&["device:read:/3/**"], &url).await;
    registers(&hosting, true).await;
    let (code, message) = event(&mut hosting.events, |e| failure(e, "greeter")).await;
    assert_eq!(code, "plugin-failed", "{message}");
}

#[tokio::test]
async fn a_script_that_a_device_waits_for_looks_up_others_and_asks_no_device() {
    let script = r#"
        fn on_register(registration) {
            let first = registry_get("first");
            let lifetime = if first == () { 0 } else { first.lifetime };
            let told = "";
            try { device_read("first", "/3/0/0"); } catch (why) { told = why; }
            annotate(#{ first: lifetime, names: registry_names("", 9).len, told: told })
        }"#;
    let manifest = "name = 'looks'\nsource = 'looks.rhai'\n\
                    permissions = ['registry', 'device:read:/3/**']";
    let files = [
        ("looks/plugin.toml".to_owned(), manifest.as_bytes().to_vec()),
        ("looks/looks.rhai".to_owned(), script.as_bytes().to_vec()),
    ];
    let settings = format!(
        "[[plugin]]\nname = 'looks'\ngrant = ['registry', 'device:read:/3/**']\n\
         timeout_ms = {{ {PATIENT} }}"
    );
    let hosting = Hosting::new(&files, &settings).await;
    for (endpoint, lifetime, names) in [("first", "0", "0"), ("second", "777", "1")] {
        let mut device = Peer::new(&hosting.server).await;
        let query = format!("rd?ep={endpoint}&lwm2m=1.1&lt=777");
        let request = device.request(Code::POST, &query);
        let request = request.format(40).payload(OBJECTS);
        assert_eq!(device.ask(request).await.code, Code::CREATED);
        let annotation = |key| hosting.annotation(endpoint, key);
        assert_eq!(annotation("first").await.as_deref(), Some(lifetime));
        assert_eq!(annotation("names").await.as_deref(), Some(names));
        let told = annotation("told").await.expect("a sentence");
        assert!(
            told.starts_with("this hook answers a device that waits"),
            "{told}"
        );
    }
}
