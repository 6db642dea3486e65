//! Scripts at a real server with real devices.

use std::path::Path as File;
use std::time::Duration;

use lwm2m_device::{Device, DeviceHandle};
use lwm2m_plugins::{PluginConfig, PluginHost, PluginsConfig};
use lwm2m_server::{Content, Event, EventKind, Events, Listener, Server};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    server: Server,
    host: PluginHost,
    events: Events,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new(files: &[(&str, &str)], plugins: Vec<PluginConfig>) -> Site {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            write(&directory.path().join(name), text);
        }
        let config = PluginsConfig {
            directory: Some(directory.path().to_owned()),
            plugin: plugins,
            ..PluginsConfig::default()
        };
        let host = PluginHost::with(config).await.expect("a host");
        let server = Server::builder()
            .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
            .intercept(host.clone())
            .start()
            .await
            .expect("the server starts");
        let events = server.events();
        Site {
            server,
            host,
            events,
            directory,
        }
    }

    async fn device(&self, endpoint: &str) -> DeviceHandle {
        let device = Device::builder(endpoint).server(self.server.local_addresses()[0]);
        device.start().await.expect("a port")
    }

    async fn event<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.next().await.expect("it runs").expect("in time");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event comes")
    }
}

fn write(file: &File, text: &str) {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(file, text).expect("a file");
}

fn published(event: &Event) -> Option<(String, String)> {
    match &event.kind {
        EventKind::Published { kind, json, .. } => Some((kind.clone(), json.clone())),
        _ => None,
    }
}

fn failed(event: &Event) -> Option<(&'static str, String)> {
    match &event.kind {
        EventKind::ExtensionFailed { reason, .. } => {
            assert!(reason.hint.is_some(), "{reason:?}");
            Some((reason.code, reason.message.to_string()))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_script_decides_who_may_register() {
    let script = r#"
        fn on_register(registration) {
            if !registration.endpoint.starts_with("meter-") {
                return reject("forbidden", "only meters");
            }
            if !registration.has_object(3) { return reject("bad-request", "no object 3"); }
            annotate(#{ tenant: "north" }, #{ lifetime: 777 })
        }
    "#;
    let mut site = Site::new(&[("gate.rhai", script)], Vec::new()).await;
    let _stranger = site.device("stranger").await;
    let refused = site.event(|event| match &event.kind {
        EventKind::Refused { code, reason, .. } => Some((*code, reason.clone())),
        _ => None,
    });
    let (code, reason) = refused.await;
    assert_eq!(code, lwm2m_server::Code::FORBIDDEN);
    assert_eq!(
        (reason.code, &*reason.message),
        ("plugin-rejected", "plugin gate: only meters")
    );

    let meter = site.device("meter-1").await;
    timeout(PATIENCE, meter.wait_registered())
        .await
        .expect("in time")
        .expect("registered");
    let registration = site
        .server
        .registration("meter-1")
        .await
        .expect("registered");
    assert_eq!(registration.lifetime_s, 777);
    assert!(
        registration
            .annotations
            .contains(&("tenant".to_owned(), "north".to_owned()))
    );
    let [gate] = &site.host.list()[..] else {
        panic!("one plugin");
    };
    assert_eq!(
        (gate.name.as_str(), gate.language, gate.generation),
        ("gate", "rhai", 1)
    );
    assert!(
        gate.figures[0].calls >= 2 && gate.figures[0].failures.is_empty(),
        "{gate:?}"
    );
}

#[tokio::test]
async fn a_script_that_loops_is_stopped_and_switched_off() {
    let script = "fn on_register(registration) { loop {} }";
    let mut open = PluginConfig::new("spin");
    open.fail = lwm2m_plugins::FailPolicy::All(lwm2m_plugins::Fail::Open);
    open.limits.operations_max = 0;
    open.breaker.failures = 3;
    let mut site = Site::new(&[("spin.rhai", script)], vec![open]).await;
    for n in 0..4 {
        let device = site.device(&format!("d{n}")).await;
        timeout(PATIENCE, device.wait_registered())
            .await
            .expect("in time")
            .expect("let in");
    }
    let (code, message) = site.event(failed).await;
    assert_eq!(code, "plugin-timeout", "{message}");
    site.event(|event| failed(event).filter(|(code, _)| *code == "plugin-off"))
        .await;
    assert!(site.host.list()[0].off);

    // Mended, it is in service at once.
    let mended = "fn on_register(registration) { annotate(#{ mended: true }) }";
    write(&site.directory.path().join("spin.rhai"), mended);
    let generations = async {
        while site.host.list()[0].generation < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, generations).await.expect("it is loaded");
    let device = site.device("late").await;
    timeout(PATIENCE, device.wait_registered())
        .await
        .expect("in time")
        .expect("let in");
    let registration = site.server.registration("late").await.expect("registered");
    assert!(
        registration
            .annotations
            .contains(&("mended".to_owned(), "true".to_owned()))
    );
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_and_leaves_the_old_version() {
    let good = "fn on_register(registration) { annotate(#{ version: \"1\" }) }";
    let mut site = Site::new(&[("a.rhai", good)], Vec::new()).await;
    for (bad, told) in [
        ("fn on_register(registration) { annotate(#{ }", "a.rhai:1:"),
        (
            "fn on_registr(registration) { }",
            "a.rhai:1: fn on_registr is no hook",
        ),
        (
            "fn on_register(a, b) { }",
            "a.rhai:1: fn on_register has 2 parameters",
        ),
        ("fn helper() { }", "it has no hook"),
        (
            "fn init(c) { throw \"no prefix\" }\nfn on_register(r) { }",
            "init: no prefix",
        ),
        ("fn on_register(r) { nosuch }", "a.rhai:1:"),
    ] {
        write(&site.directory.path().join("a.rhai"), bad);
        site.host.reload();
        let told_in_event =
            site.event(|event| failed(event).filter(|(c, _)| *c == "plugin-refused"));
        let (_, message) = told_in_event.await;
        assert!(message.contains(told), "{message}");
        let status = &site.host.list()[0];
        assert_eq!(status.generation, 1);
        assert!(status.error.is_some());
    }
    let device = site.device("d").await;
    timeout(PATIENCE, device.wait_registered())
        .await
        .expect("in time")
        .expect("let in");
    let registration = site.server.registration("d").await.expect("registered");
    assert!(
        registration
            .annotations
            .contains(&("version".to_owned(), "1".to_owned()))
    );
}

#[tokio::test]
async fn a_permission_that_is_not_granted_keeps_a_plugin_out() {
    let manifest = "name = 'a'\nsource = 'a.rhai'\npermissions = ['kv']";
    let files = [
        ("a/plugin.toml", manifest),
        ("a/a.rhai", "fn on_register(r) { }"),
    ];
    let site = Site::new(&files, Vec::new()).await;
    let status = &site.host.list()[0];
    let error = status.error.as_ref().expect("it is refused");
    assert!(error.message.contains("it needs kv"), "{error}");
    let hint = error.hint.as_deref().expect("a hint");
    assert!(hint.contains("grant = [\"kv\"]"), "{hint}");
}

#[tokio::test]
async fn a_script_reads_a_device_keeps_a_count_and_tells_applications() {
    let manifest = r#"
        name = "greeter"
        source = "greeter.rhai"
        permissions = ["kv", "events", "device:read:/3/**"]
    "#;
    let script = r#"
        fn on_registered(registration) {
            let values = device_read(registration.endpoint, "/3/0/0");
            let count = kv_increment("device", "registrations", 1);
            emit_event("greeting", #{ manufacturer: values[0].value, count: count });
            try { device_read(registration.endpoint, "/1/0/1"); }
            catch (error) { emit_event("denied", #{ error: `${error}` }); }
        }
    "#;
    let files = [
        ("greeter/plugin.toml", manifest),
        ("greeter/greeter.rhai", script),
    ];
    let mut config = PluginConfig::new("greeter");
    config.grant = vec!["kv".into(), "events".into(), "device:read:/3/**".into()];
    let mut site = Site::new(&files, vec![config]).await;
    let _device = site.device("a").await;
    let (kind, json) = site.event(published).await;
    assert_eq!(kind, "greeting");
    let greeting: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(greeting["manufacturer"].is_string(), "{json}");
    assert_eq!(greeting["count"], 1);
    let (kind, json) = site.event(published).await;
    assert_eq!(kind, "denied");
    assert!(json.contains("no permission: device:read:/1/0/1"), "{json}");
}

#[tokio::test]
async fn a_script_changes_what_devices_report() {
    let script = r#"
        fn transform(batch) {
            let changed = [];
            for m in batch.measurements {
                if m.path == "/3/0/9" { m.value = m.value * 2; }
                changed.push(m);
            }
            replace(changed)
        }
    "#;
    let site = Site::new(&[("double.rhai", script)], Vec::new()).await;
    let device = site.device("a").await;
    timeout(PATIENCE, device.wait_registered())
        .await
        .expect("in time")
        .expect("registered");
    let path: lwm2m_core::Path = "/3/0/9".parse().expect("a path");
    device.set(&path, 21i64).await.expect("a resource");
    let read = timeout(PATIENCE, site.server.device("a").read_path(path)).await;
    let Content::Values(values) = read.expect("in time").expect("an answer").content else {
        panic!("values");
    };
    assert_eq!(values.records[0].value, lwm2m_core::Value::Integer(42));
}
