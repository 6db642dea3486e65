//! Scripts at a real server with real devices.

use std::path::Path as File;
use std::time::Duration;

use lwm2m_device::{Device, DeviceHandle};
use lwm2m_plugins::{BreakerState, PluginConfig, PluginHost, PluginsConfig};
use lwm2m_server::{Content, Event, EventKind, Events, Hook, Listener, Server};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    server: Server,
    host: PluginHost,
    events: Events,
    directory: tempfile::TempDir,
}

impl Site {
    /// Plugins in files, the first part of whose paths is the name, with time enough on a busy machine
    /// where their settings do not name another.
    async fn new(files: &[(&str, &str)], mut plugins: Vec<PluginConfig>) -> Site {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            write(&directory.path().join(path), text);
            let name = path.split(['/', '.']).next().expect("a name");
            if plugins.iter().all(|plugin| plugin.name != name) {
                plugins.push(PluginConfig::new(name));
            }
        }
        for plugin in &mut plugins {
            for hook in Hook::ALL {
                let own = plugin.timeout_ms.entry(hook.name().to_owned());
                own.or_insert(PATIENCE.as_millis() as u64);
            }
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

/// Writes a file in one step: the folder is followed, and half of it is another plugin.
fn write(file: &File, text: &str) {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text).expect("a file");
    std::fs::rename(&draft, file).expect("renamed");
}

fn published(event: &Event) -> Option<(String, String)> {
    match &event.kind {
        EventKind::Published { kind, json, .. } => Some((kind.clone(), json.clone())),
        _ => None,
    }
}

fn switched(event: &Event) -> Option<(&'static str, &'static str)> {
    match &event.kind {
        EventKind::ExtensionSwitched { state, reason, .. } => Some((*state, reason.code)),
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
async fn a_plugin_that_was_switched_off_is_tried_again() {
    let script = "fn on_register(registration) { if registration.endpoint == \"bad\" { throw 1; } }
        fn transform(batch) { }";
    let mut gate = PluginConfig::new("gate");
    gate.fail = lwm2m_plugins::FailPolicy::All(lwm2m_plugins::Fail::Open);
    gate.breaker.failures = 1;
    // Its time is over at once.
    gate.breaker.cool_down_s = 0;
    let mut site = Site::new(&[("gate.rhai", script)], vec![gate]).await;
    let status = site.host.list().remove(0);
    let hooks: Vec<_> = status
        .figures
        .iter()
        .map(|it| (it.hook, it.calls))
        .collect();
    assert_eq!(
        hooks,
        [(Hook::OnRegister, 0), (Hook::Transform, 0)],
        "one row each"
    );
    let mut devices = Vec::new();
    for endpoint in ["bad", "bad", "good"] {
        let device = site.device(endpoint).await;
        timeout(PATIENCE, device.wait_registered())
            .await
            .expect("in time")
            .expect("let in");
        devices.push(device);
    }
    let mut told = Vec::new();
    while told.last() != Some(&("on", "plugin-on")) {
        told.push(site.event(switched).await);
    }
    let off = ("off", "plugin-off");
    let trying = ("trying", "plugin-trying");
    assert_eq!(told, [off, trying, off, trying, ("on", "plugin-on")]);
    let status = site.host.list().remove(0);
    let breaker = status.breaker.expect("loaded");
    assert_eq!((breaker.state, breaker.failures), (BreakerState::Closed, 0));
    let last = breaker.last_failure.expect("it has failed");
    assert_eq!((last.hook, last.code), (Hook::OnRegister, "plugin-failed"));
    assert!(last.message.contains("gate.rhai:1:"), "{}", last.message);
    let figures = &status.figures[0];
    assert!(figures.calls == 3 && figures.time_max > Duration::ZERO);
    assert!(figures.time_max <= figures.time);
}

#[tokio::test]
async fn a_script_that_loops_is_stopped_and_switched_off() {
    let script = "fn on_register(registration) { loop {} }";
    let mut open = PluginConfig::new("spin");
    open.fail = lwm2m_plugins::FailPolicy::All(lwm2m_plugins::Fail::Open);
    open.limits.operations_max = 0;
    open.timeout_ms.insert("on_register".to_owned(), 1000);
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
    assert_eq!(site.event(switched).await, ("off", "plugin-off"));
    let breaker = site.host.list()[0].breaker.clone().expect("loaded");
    assert!(matches!(breaker.state, BreakerState::Open { .. }));

    // Mended, it is in service at once.
    let mended = "fn on_register(registration) { annotate(#{ mended: true }) }";
    write(&site.directory.path().join("spin.rhai"), mended);
    let generations = async {
        while site.host.list()[0].generation < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, generations).await.expect("it is loaded");
    let annotated = ("mended".to_owned(), "true".to_owned());
    // On a busy machine it may be late once more, and the device is let in without it.
    let asked = async {
        for n in 0.. {
            let name = format!("late{n}");
            let device = site.device(&name).await;
            device.wait_registered().await.expect("let in");
            let registration = site.server.registration(&name).await;
            if registration
                .expect("registered")
                .annotations
                .contains(&annotated)
            {
                return;
            }
        }
    };
    timeout(PATIENCE, asked).await.expect("it is asked");
}

#[tokio::test]
async fn what_cannot_be_read_any_more_stays_in_service_until_it_is_taken_away() {
    const MANIFEST: &str = "name = \"gate\"\nsource = \"a.rhai\"";
    let files = [
        ("p/folder/plugin.toml", MANIFEST),
        (
            "p/folder/a.rhai",
            "fn on_register(r) { reject(\"forbidden\", \"nobody\") }",
        ),
    ];
    let site = Site::new(&files, Vec::new()).await;
    let directory = site.directory.path().join("p");
    let config = PluginsConfig {
        directory: Some(directory.clone()),
        ..PluginsConfig::default()
    };
    let host = PluginHost::with(config).await.expect("a host");
    let stands = |told: &str| {
        host.reload();
        let list = host.list();
        let gate = list.iter().find(|status| status.name == "gate");
        assert_eq!(gate.expect("it is in service").generation, 1, "{told}");
        let mut errors = list.iter().filter_map(|status| status.error.as_ref());
        let error = errors
            .next()
            .map(|error| format!("{error} ({})", error.hint.as_deref().unwrap_or_default()));
        let error = error.unwrap_or_default();
        assert!(
            error.contains(told) && told.is_empty() == error.is_empty(),
            "{error}"
        );
    };
    stands("");
    let manifest = directory.join("folder/plugin.toml");
    write(&manifest, "nam = \"gate\"\nsource = \"a.rhai\"");
    stands("plugin.toml:1:1: unknown field `nam`");
    write(&manifest, &"#".repeat((256 << 10) + 1));
    stands("it has more than 262144 bytes");
    write(&manifest, MANIFEST);
    stands("");
    let script = directory.join("folder/a.rhai");
    let beside = directory.join("folder/b.rhai");
    std::fs::rename(&script, &beside).expect("renamed");
    stands("a.rhai: there is no such file (plugin.toml names it as its source)");
    std::fs::rename(&beside, &script).expect("renamed");
    let away = site.directory.path().join("away");
    std::fs::rename(&directory, &away).expect("renamed");
    stands("p: there is no such folder (make it again: gate of it stay in service");
    std::fs::rename(&away, &directory).expect("renamed");
    stands("");
    std::fs::remove_dir_all(directory.join("folder")).expect("removed");
    host.reload();
    assert_eq!(host.list(), []);
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_followed_as_the_one_before() {
    let above = tempfile::tempdir().expect("a folder");
    let directory = above.path().join("plugins");
    let host = PluginHost::open(&directory).await.expect("a host");
    let until = async |name: &str| {
        let loaded = async {
            while !host
                .list()
                .iter()
                .any(|it| it.name == name && it.generation > 0)
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, loaded).await.expect("it is loaded");
    };
    let script = "fn on_register(r) { pass() }";
    for name in ["a", "b", "c"] {
        write(&directory.join(format!("{name}.rhai")), script);
        until(name).await;
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}

#[tokio::test]
async fn a_folder_in_which_something_is_written_all_the_time_is_read_all_the_same() {
    let directory = tempfile::tempdir().expect("a folder");
    let host = PluginHost::open(directory.path()).await.expect("a host");
    write(
        &directory.path().join("a.rhai"),
        "fn on_register(r) { pass() }",
    );
    let loaded = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for line in 0.. {
            write(&directory.path().join("beside.log"), &line.to_string());
            ticks.tick().await;
            if host.list().iter().any(|it| it.generation > 0) {
                return;
            }
        }
    };
    timeout(PATIENCE, loaded).await.expect("it is loaded");
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_and_leaves_the_old_version() {
    let good = "fn on_register(registration) { annotate(#{ version: \"1\" }) }";
    let mut site = Site::new(&[("a.rhai", good)], Vec::new()).await;
    for (bad, told) in [
        ("fn on_register(registration) { annotate(#{ }", "a.rhai:1:"),
        (
            "fn on_registr(registration) { }",
            "a.rhai:1:4: fn on_registr is no hook",
        ),
        (
            "fn on_register(a, b) { }",
            "a.rhai:1:4: fn on_register has 2 parameters",
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
