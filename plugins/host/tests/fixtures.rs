//! The fixtures of the examples that are scripts, and what fixtures tell when something differs.

use std::path::{Path, PathBuf};

use lwm2m_plugins::{Fixture, FixtureReport, run_fixtures};
use tempfile::TempDir;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn run(plugin: &Path) -> Vec<FixtureReport> {
    let files = Fixture::beside(plugin);
    let fixtures: Vec<Fixture> = files
        .iter()
        .map(|file| Fixture::read(file).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    run_fixtures(plugin, &fixtures).unwrap_or_else(|error| panic!("{error}"))
}

/// What differs, one a line: where, expected, got.
fn differences(reports: &[FixtureReport]) -> Vec<String> {
    let of = |report: &FixtureReport| {
        let calls = report.calls.iter().flat_map(|call| &call.differences);
        let all = report.loading.iter().chain(calls);
        all.map(ToString::to_string).collect::<Vec<_>>()
    };
    reports.iter().flat_map(of).collect()
}

/// A script in a folder of its own, with one fixture.
fn told(script: &str, fixture: &str) -> Vec<String> {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    write(
        "plugin.toml",
        "name = 'p'\nsource = 'p.rhai'\npermissions = ['kv', 'events', 'registry', \
         'device:read:/3/**', 'device:write:/1/**', 'device:execute:/3/0/4', \
         'device:discover:/3', 'http:https://a.example/']",
    );
    write("p.rhai", script);
    write("tests/one.toml", fixture);
    let reports = run(folder.path());
    assert_eq!(reports.len(), 1);
    differences(&reports)
}

#[test]
fn every_example_that_is_a_script_has_fixtures_that_pass() {
    let mut run_here = 0;
    for entry in std::fs::read_dir(examples()).expect("the examples") {
        let folder = entry.expect("a folder").path();
        let manifest = std::fs::read_to_string(folder.join("plugin.toml")).expect("a manifest");
        // Components are built before, see the tests of components.
        if manifest.contains(".wasm\"") {
            continue;
        }
        let reports = run(&folder);
        let calls: usize = reports.iter().map(|report| report.calls.len()).sum();
        assert!(calls > 0, "{} has no fixture", folder.display());
        let differ = differences(&reports);
        assert!(differ.is_empty(), "{}: {differ:#?}", folder.display());
        run_here += 1;
    }
    assert!(run_here >= 8, "{run_here} examples");
}

#[test]
fn what_differs_is_told_with_its_place() {
    let script = r#"
        fn on_register(registration) {
            log_warn("hm", #{ by: registration.endpoint });
            reject("forbidden", "no " + registration.endpoint)
        }"#;
    let call = "[[call]]\nhook = 'on_register'\nregistration = { endpoint = 'a' }\n";
    assert_eq!(told(script, call), [""; 0]);
    for (expect, differs) in [
        ("answer.reject = { code = 'forbidden' }", ""),
        (
            "answer.reject = { code = 'not-found' }",
            "answer.reject.code: expected \"not-found\", got \"forbidden\"",
        ),
        (
            "answer.reject.reason = 'no b'",
            "answer.reject.reason: expected \"no b\", got \"no a\"",
        ),
        ("log = [{ message = 'hm' }]", ""),
        (
            "log = [{ level = 'info', message = 'hm' }]",
            "log[0].level: expected \"info\", got \"warn\"",
        ),
        (
            "log = [{ message = 'hm', fields = { by = 'b' } }]",
            "log[0].fields.by: expected \"b\", got \"a\"",
        ),
        (
            "log = []",
            "log[0]: expected nothing, got \
             {\"fields\":{\"by\":\"a\"},\"level\":\"warn\",\"message\":\"hm\"}",
        ),
        ("kv = { plugin = {} }", ""),
        (
            "kv = { device = { seen = 'yes' } }",
            "kv.device.seen: expected \"yes\", got nothing",
        ),
        ("metrics = []", ""),
        (
            "fails = 'any'",
            "fails: expected \"any\", got \
             {\"reject\":{\"code\":\"forbidden\",\"reason\":\"no a\"}}",
        ),
    ] {
        let fixture = format!("{call}[call.expect]\n{expect}");
        assert_eq!(told(script, &fixture).join("; "), differs, "{expect}");
    }
}

#[test]
fn a_call_that_fails_differs_unless_it_should() {
    let script = "fn transform(batch) { throw \"no sense\" }";
    let call = "[[call]]\nhook = 'transform'\nbatch = { endpoint = 'a', measurements = [] }\n";
    let differ = told(script, call);
    assert_eq!(differ.len(), 1, "{differ:?}");
    assert!(differ[0].starts_with("answer: expected \"an answer\", got {\"fails\":\"no sense"));
    assert_eq!(
        told(script, &format!("{call}expect = {{ fails = 'no sense' }}")),
        [""; 0]
    );
    let other = told(script, &format!("{call}expect = {{ fails = 'late' }}"));
    assert!(
        other[0].starts_with("fails: expected \"late\""),
        "{other:?}"
    );
    let script = "fn transform(batch) { loop { } }";
    let late = told(
        script,
        &format!("timeout_ms = 5\n{call}expect = {{ fails = 'within 5 ms' }}"),
    );
    assert_eq!(late, [""; 0]);
}

#[test]
fn devices_servers_and_the_registry_answer_as_the_fixture_says() {
    let script = r#"
        fn on_registered(registration) {
            let e = registration.endpoint;
            let made = device_read(e, "/3/0/0")[0].value;
            device_write(e, "/1/0/1", 300);
            device_execute(e, "/3/0/4", "0='a'");
            let links = device_discover(e, "/3");
            let other = registry_get("b");
            let answer = http_post("https://a.example/x", "text/plain", made);
            metric_add("seen", 2.5, #{ made: made });
            emit_event("all", #{
                made: made, links: links, lifetime: other.lifetime,
                names: registry_names("", 10), status: answer.status, body: answer.body
            });
        }"#;
    let fixture = r#"
        registration = { endpoint = "a" }
        registered = [{ endpoint = "b", lifetime = 77 }]
        [[device]]
        read = "/3/0/0"
        value = "Acme"
        [[device]]
        discover = "/3"
        links = "</3/0>"
        [[http]]
        method = "POST"
        url = "https://a.example/x"
        status = 201
        body = "thanks"
        [[call]]
        hook = "on_registered"
        [call.expect]
        answer = "done"
        metrics = [{ name = "seen", labels = { made = "Acme" }, count = 1, sum = 2.5 }]
        device = [
            { endpoint = "a", read = "/3/0/0" },
            { write = "/1/0/1", value = 300 },
            { execute = "/3/0/4", arguments = "0='a'" },
            { discover = "/3" },
        ]
        http = [{ method = "POST", url = "https://a.example/x", body = "Acme",
                  headers = { content-type = "text/plain" } }]
        [[call.expect.events]]
        kind = "all"
        endpoint = "a"
        [call.expect.events.data]
        made = "Acme"
        links = "</3/0>"
        lifetime = 77
        names = ["a", "b"]
        status = 201
        body = "thanks"
    "#;
    assert_eq!(told(script, fixture), [""; 0]);
}

#[test]
fn what_the_fixture_has_no_answer_for_is_told() {
    let script = r#"
        fn on_registered(registration) {
            try { device_read(registration.endpoint, "/3/0/0"); } catch { }
            try { http_get("https://a.example/x"); } catch { }
        }"#;
    let fixture = "[[call]]\nhook = 'on_registered'\nregistration = { endpoint = 'a' }\n";
    assert_eq!(
        told(script, fixture),
        [
            "asked: expected \"[[device]] read = \\\"/3/0/0\\\"\", got nothing",
            "asked: expected \"[[http]] url = \\\"https://a.example/x\\\"\", got nothing",
        ]
    );
}

#[test]
fn permissions_hold_in_fixtures_too() {
    let script = "fn on_registered(r) { kv_set(\"plugin\", \"a\", \"b\"); }";
    let call = "[[call]]\nhook = 'on_registered'\nregistration = { endpoint = 'a' }\n";
    let fixture = format!("{call}expect = {{ kv = {{ plugin = {{ a = 'b' }} }} }}");
    assert_eq!(told(script, &fixture), [""; 0]);
    let refused = told(
        script,
        &format!("grant = []\nrefused = 'it needs kv'\n{call}"),
    );
    assert_eq!(refused, [""; 0]);
    let refused = told(script, &format!("grant = ['kv']\n{call}"));
    assert!(
        refused[0].starts_with("load: expected \"loaded\", got"),
        "{refused:?}"
    );
    let loaded = told(script, &format!("refused = 'anything'\n{call}"));
    assert_eq!(
        loaded,
        ["load: expected \"refused: anything\", got \"loaded\""]
    );
}

#[test]
fn a_hook_that_the_plugin_does_not_have_is_told() {
    let script = "fn on_register(r) { pass() }";
    let fixture = "[[call]]\nhook = 'transform'\nbatch = { endpoint = 'a', measurements = [] }";
    assert_eq!(
        told(script, fixture),
        ["hook: expected \"transform\", got \"the plugin has no transform\""]
    );
}

#[test]
fn every_hook_has_its_fixture() {
    let script = r#"
        fn credentials(r) { psk(from_hex("00ff"), #{ cache: 5 }) }
        fn on_register(r) { accept(#{ a: "1" }, #{ lifetime: 60, remove: ["b"] }) }
        fn on_update(r, u) { if u.links_changed && u.had_object(5) { pass() } else { annotate(#{ u: "1" }) } }
        fn on_registered(r) { }
        fn on_updated(r, u) { log_info(`${u.lifetime_changed}`); }
        fn on_gone(r, reason) { log_info(reason); }
        fn observe_plan(r) { observe([target("/3/0/9", #{ pmin: 10 }), "/1/0/1"], #{ grouping: [[0], [1]] }) }
        fn observe_failed(r, paths, why) { log_info(`${paths[0]} ${why}`); drop() }
        fn transform(b) {
            emit([series(b.source, b.measurements[0], #{ unit: "Cel", tags: #{ at: b.path } })])
        }
        fn bootstrap(r) {
            if r.endpoint == "b" { return refuse("forbidden", r.parameter("why")); }
            configure([delete("/0"), write("/1/0", #{ "0": 101 })], #{ format: 112 })
        }
        fn on_bootstrapped(endpoint, ok, detail) { log_info(`${endpoint} ${ok} ${detail}`); }
        fn firmware(job) { custom(to_blob(job.image_name)) }
        fn firmware_step(job, state, event) {
            if event.kind == "done" && !event.results[0].ok { return failed(event.results[0].error); }
            step(state, [write("/5/0/3", 1), execute("/5/0/2"), wait(500), send_image("/5/0/0")])
        }"#;
    let fixture = r#"
        registration = { endpoint = "a", links = ["/3/0", "/5;ver=1.1"], binding = "UQ" }
        [[call]]
        hook = "credentials"
        request = { identity = { psk = "a" }, address = "192.0.2.7:1" }
        expect = { answer = { psk = { key = "00ff", endpoint = "*", cache = 5 } } }
        [[call]]
        hook = "on_register"
        expect = { answer = { accept = { set = { a = "1" }, remove = ["b"], lifetime = 60 } } }
        [[call]]
        hook = "on_update"
        update = { previous_links = ["/5/0"] }
        expect = { answer = "pass" }
        [[call]]
        hook = "on_update"
        expect = { answer = { annotate = { set = { u = "1" } } } }
        [[call]]
        hook = "on_registered"
        expect = { answer = "done" }
        [[call]]
        hook = "on_updated"
        update = { lifetime_changed = true }
        expect = { log = [{ level = "info", message = "true" }] }
        [[call]]
        hook = "on_gone"
        reason = "lifetime-expired"
        expect = { log = [{ message = "lifetime-expired" }] }
        [[call]]
        hook = "observe_plan"
        [call.expect.answer.observe]
        targets = [{ path = "/3/0/9", attributes = { pmin = 10 } }, "/1/0/1"]
        grouping = [[0], [1]]
        [[call]]
        hook = "observe_failed"
        paths = ["/3/0/9"]
        failure = "not-allowed"
        expect = { answer = "drop", log = [{ message = "/3/0/9 not-allowed" }] }
        [[call]]
        hook = "transform"
        batch = { endpoint = "a", source = "send", measurements = [{ path = "/3303/0/5700", value = 1.5 }] }
        expect.answer.emit = [{ name = "send", path = "/3303/0/5700", value = 1.5, unit = "Cel", tags = { at = "/" } }]
        [[call]]
        hook = "bootstrap"
        bootstrap = { endpoint = "a", scheme = "coaps", identity = { psk = "a" }, preferred_format = 112 }
        [call.expect.answer.configure]
        operations = [{ delete = "/0" }, { write = [{ path = "/1/0/0", value = 101 }] }]
        format = 112
        [[call]]
        hook = "bootstrap"
        bootstrap = { endpoint = "b", parameters = { why = "late" } }
        expect = { answer = { reject = { code = "forbidden", reason = "late" } } }
        [[call]]
        hook = "on_bootstrapped"
        end = { endpoint = "a", failure = "silent" }
        expect = { answer = "done", log = [{ message = "a false silent" }] }
        [[call]]
        hook = "firmware"
        job = { image = { name = "image" } }
        expect = { answer = { custom = "image" } }
        [[call]]
        hook = "firmware_step"
        job = { target = { endpoint = "b" } }
        state = { hex = "0001" }
        event = "started"
        [call.expect.answer.step]
        state = { hex = "0001" }
        verdict = "running"
        actions = [
            { write = [{ path = "/5/0/3", value = 1 }] }, { execute = { path = "/5/0/2" } },
            { wait = 500 }, { send_image = "/5/0/0" },
        ]
        [[call]]
        hook = "firmware_step"
        job = {}
        event = { done = [{ failed = "no room" }] }
        expect = { answer = { step = { verdict = { failed = "no room" } } } }
    "#;
    assert_eq!(told(script, fixture), [""; 0]);
}

#[test]
fn the_fixture_of_the_guide_passes() {
    let guide = include_str!("../../../docs/plugins.md");
    let block = |language: &str, part: &str| {
        let mut blocks = guide.split("```").skip(1).step_by(2);
        let block = blocks.find_map(|block| {
            let text = block.strip_prefix(language)?.strip_prefix('\n')?;
            text.contains(part).then(|| text.to_owned())
        });
        block.unwrap_or_else(|| panic!("the guide has {part} in {language}"))
    };
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    write("plugin.toml", block("toml", "# plugin.toml"));
    write("greeter.rhai", block("rhai", "fn on_registered"));
    write("tests/greets.toml", block("toml", "tests/greets.toml"));
    let reports = run(folder.path());
    assert_eq!(reports[0].calls.len(), 2);
    assert_eq!(differences(&reports), [""; 0]);
}
