//! The fixtures of the examples that are scripts, and what fixtures tell when something differs.

use std::path::{Path, PathBuf};

use lwm2m_plugins::{Fixture, FixtureReport, check, run_fixtures, run_tests};
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
    run_fixtures(plugin, &fixtures, None).unwrap_or_else(|error| panic!("{error}"))
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
    let (mut run_here, mut tested) = (0, 0);
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
        let report = run_tests(&folder, &toml::Table::new());
        if let Some(report) = report.unwrap_or_else(|error| panic!("{error}")) {
            assert!(report.passed() && !report.calls.is_empty(), "{report:#?}");
            tested += 1;
        }
        run_here += 1;
    }
    assert!(run_here >= 8, "{run_here} examples");
    assert!(tested > 0, "no example has test functions");
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
fn a_fixture_says_what_time_it_is() {
    let script = r#"
        fn init(config) { kv_set("plugin", "loaded", `${now_ms()}`); }
        fn on_registered(r) {
            let since = now_ms() - parse_int(kv_get("plugin", "loaded"));
            emit_event("time", #{ now: now_ms(), since: since, registered: r.registered_ms });
            if kv_get("plugin", "short") == () { kv_set("plugin", "short", "lived", 60); }
        }
        fn transform(batch) { emit_event("received", #{ at: batch.received_ms }); }"#;
    let fixture = r#"
        clock = "2026-01-02T03:04:05Z"
        registration = { endpoint = "a" }
        [[call]]
        hook = "on_registered"
        [call.expect]
        kv = { plugin = { loaded = "1767323045000", short = "lived" } }
        [[call.expect.events]]
        kind = "time"
        data = { now = 1767323045000, since = 0, registered = 1767323045000 }
        [[call]]
        hook = "transform"
        after_s = 59.5
        batch = { endpoint = "a", measurements = [] }
        expect.events = [{ kind = "received", data = { at = 1767323104500 } }]
        expect.kv = { plugin = { loaded = "1767323045000", short = "lived" } }
        [[call]]
        hook = "transform"
        after_s = 1
        batch = { endpoint = "a", measurements = [] }
        expect.kv = { plugin = { loaded = "1767323045000" } }
        [[call]]
        hook = "on_registered"
        clock = 2026-01-03T03:04:05Z
        [[call.expect.events]]
        kind = "time"
        data = { now = 1767409445000, since = 86400000, registered = 1767323045000 }
    "#;
    assert_eq!(told(script, fixture), [""; 0]);
    // A fixture that says nothing has the same time each time it is run.
    let fixture = "[[call]]\nhook = 'on_registered'\nregistration = { endpoint = 'a' }\n\
         expect = { events = [{ kind = 'time', data = { now = 1767225600000, since = 0, \
         registered = 1767225600000 } }] }";
    assert_eq!(told(script, fixture), [""; 0]);
}

#[test]
fn a_script_has_no_clock_of_its_own() {
    let call = "[[call]]\nhook = 'transform'\nbatch = { endpoint = 'a', measurements = [] }\n";
    for (script, why) in [
        ("sleep(3600)", "a script does not sleep"),
        ("sleep(0.1)", "a script does not sleep"),
        ("timestamp()", "now_ms() has the time"),
    ] {
        let script = format!("fn transform(batch) {{ {script}; }}");
        let fixture = format!("{call}expect = {{ fails = '{why}' }}");
        assert_eq!(told(&script, &fixture), [""; 0]);
    }
}

/// What the tests of a script tell: name, line, and why one fails.
fn tests(script: &str, settings: &str) -> Vec<String> {
    let folder = TempDir::new().expect("a folder");
    let manifest = "name = 'p'\nsource = 'p.rhai'\npermissions = ['kv', 'events', \
                    'device:read:/3/**']";
    std::fs::write(folder.path().join("plugin.toml"), manifest).expect("a file");
    std::fs::write(folder.path().join("p.rhai"), script).expect("a file");
    let settings = toml::from_str(settings).expect("settings");
    let report = run_tests(folder.path(), &settings).unwrap_or_else(|error| panic!("{error}"));
    let report = report.expect("tests");
    let calls = report.calls.iter().map(|call| {
        let error = call.error.as_ref().map(|error| {
            let told = error.to_string();
            let place = told.rfind("p.rhai").unwrap_or_default();
            format!(": {}", &told[place..])
        });
        assert_eq!(call.passed(), error.is_none());
        let error = error.unwrap_or_default();
        format!("{} {}{error}", call.line, call.asked.name())
    });
    let loading = report.loading.iter().map(ToString::to_string);
    loading.chain(calls).collect()
}

#[test]
fn test_functions_ask_and_assert() {
    let script = r#"
fn init(config) { if config.bad == true { throw "bad"; } }
fn on_register(r) {
    if r.endpoint == "stranger" { return reject("forbidden", "who is " + r.endpoint); }
    if !r.has_object(3) { throw "no device"; }
    annotate(#{ kind: "meter" })
}
fn on_registered(r) {
    let made = device_read(r.endpoint, "/3/0/0")[0].value;
    emit_event("made", #{ by: made, count: kv_increment("device", "seen", 1), now: now_ms() });
    log_info("told");
}
fn test_meters() {
    let meter = #{ registration: #{ endpoint: "a", links: ["/3/0"] } };
    assert_eq(ask("on_register", meter).annotate.set, #{ kind: "meter" });
    meter.device = [#{ read: "/3/0/0", value: "Acme" }];
    meter.kv = #{ device: #{ seen: "6" } };
    meter.clock = "2026-01-02T03:04:05Z";
    assert_eq(ask("on_registered", meter), "done");
    assert_eq(seen().events[0].data, #{ by: "Acme", count: 7, now: 1767323045000 });
    assert_eq(seen().log[0].message, "told");
    meter.remove("kv");
    meter.remove("clock");
    meter.after_s = 1.5;
    ask("on_registered", meter);
    assert_eq(seen().events[0].data.now, 1767323046500);
}
fn test_starts_with_nothing() {
    let device = #{ registration: #{ endpoint: "a" }, device: [#{ read: "/3/0/0", value: "B" }] };
    ask("on_registered", device);
    assert_eq(seen().events[0].data.count, 1);
    assert(ask("on_register", #{ registration: #{ endpoint: "stranger" } }).reject.code == "forbidden");
}
fn test_asserts() {
    assert(1 + 1 == 2);
    assert(1 + 1 == 3, "they are two");
}
fn test_compares() { assert_eq(#{ a: [1, 2] }, #{ a: [1, 3] }, "a list"); }
fn helper(x) { throw `not ${x}`; }
fn test_throws() {
    helper(4);
}
fn test_hook_fails() { ask("on_register", #{ registration: #{ endpoint: "a" } }); }
fn test_misspelt() { ask("on_registr", #{ registration: #{ endpoint: "a" } }); }
fn test_wrong_key() { ask("on_register", #{ registraton: #{ endpoint: "a" } }); }
fn test_not_there() { on_registr(1); }
fn test_unanswered() { try { ask("on_registered", #{ registration: #{ endpoint: "a" } }); } catch(e) { throw e; } }
fn test_never_ends() { loop { } }
"#;
    let told = tests(script, "");
    let expected = [
        "13 test_meters",
        "28 test_starts_with_nothing",
        "34 test_asserts: p.rhai:36:5: they are two",
        "38 test_compares: p.rhai:38:22: a list: expected {\"a\":[1,3]}, got {\"a\":[1,2]}",
        "40 test_throws: p.rhai:39:16: not 4",
        "43 test_hook_fails: p.rhai:5:27: no device",
        "44 test_misspelt: p.rhai:44:22: ask: hook: there is no \"on_registr\"; did you mean \
         on_register?",
        "45 test_wrong_key: p.rhai:45:23: ask: unknown field `registraton`, expected one of",
        "46 test_not_there: p.rhai:46:23: Function not found: on_registr (i64)",
        "47 test_unanswered: p.rhai:47:104: the fixture has no answer for read = \"/3/0/0\"",
        "48 test_never_ends: p.rhai: it went over its limit operations_max",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert!(
        told[7].ends_with("did you mean registration?"),
        "{}",
        told[7]
    );
    let told = tests(script, "bad = true");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("load: expected \"loaded\"") && told[0].contains("init: bad"));
}

#[test]
fn tests_take_nothing_and_are_no_hooks() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("p.rhai");
    let loaded = |script: &str| {
        std::fs::write(&file, script).expect("a file");
        check(&file, &toml::Table::new(), None)
    };
    let checked = loaded("fn transform(b) { pass() }\nfn test_on_register() { }").expect("good");
    assert_eq!(checked.hooks.len(), 1);
    let error = loaded("fn transform(b) { pass() }\nfn test_it(x) { }").expect_err("one too many");
    assert!(
        error
            .to_string()
            .ends_with("p.rhai:2:4: fn test_it has 1 parameters")
    );
    let error = loaded("fn test_it() { }").expect_err("no hook");
    assert!(error.to_string().ends_with("it has no hook"), "{error}");
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
    // So do its test functions.
    assert_eq!(
        tests(&block("rhai", "fn test_"), ""),
        ["6 test_only_meters_come_in"]
    );
}
