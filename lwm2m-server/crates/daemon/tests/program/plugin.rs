//! `plugin new`, `check`, `test`, `run` and `list`.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo::BINARY;

fn plugin(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("caches"))
        .arg("plugin")
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn done(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn a_plugin_is_begun_and_looked_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = done(&plugin(folder.path(), &["new", "first"]));
    assert!(text.contains("plugin check plugins/first"), "{text}");
    let text = done(&plugin(folder.path(), &["check", "plugins/first"]));
    assert!(text.contains("on_register, transform"), "{text}");
    let json = done(&plugin(
        folder.path(),
        &["check", "plugins/first", "--json"],
    ));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["language"], "rhai");
    let text = done(&plugin(folder.path(), &["test", "plugins/first"]));
    let told = "All as expected: 2 calls in 1 fixture, 1 test.";
    assert!(text.contains(told), "{text}");
    for (arguments, part) in [
        (["new", "first"], "is there already"),
        (["new", "../up"], "1 to 64 letters"),
        (["check", "nowhere.rhai"], "nowhere.rhai"),
    ] {
        let output = plugin(folder.path(), &arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(part),
            "{errors}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "\nfn on_registr(registration) { }\n";
    std::fs::write(folder.path().join("a.rhai"), script).expect("a file");
    let output = plugin(folder.path(), &["check", "a.rhai"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("a.rhai:2:4: fn on_registr is no hook"),
        "{errors}"
    );
    assert!(errors.contains("did you mean on_register?"), "{errors}");

    // What loads and will fail is noted.
    let script = "fn on_register(r) {\n    log_inf(r.endpoint);\n    kv_get(\"plugin\", \"a\");\n}";
    std::fs::write(folder.path().join("a.rhai"), script).expect("a file");
    let text = done(&plugin(folder.path(), &["check", "a.rhai"]));
    for note in [
        "note         a.rhai:2:5: there is no function log_inf; did you mean log_info?",
        "note         a.rhai:3:5: kv_get fails without a permission: permissions = [\"kv\"]",
    ] {
        assert!(text.contains(note), "{text}");
    }
    let json = done(&plugin(folder.path(), &["check", "a.rhai", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["notes"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_a_newcomer_gets_wrong_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &[u8]| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    let good = b"fn on_register(r) { pass() }";
    write("empty/x", b"");
    write("broken.rhai", b"fn on_register(r) { pass( }");
    write("bytes.rhai", b"// a\n\xff");
    write("my plugin.rhai", good);
    write(
        "outside.rhai",
        b"const URL = \"a\";\nfn on_register(r) { URL }",
    );
    write("typo.rhai", b"fn on_register(registration) { registraton }");
    write(
        "loop.rhai",
        b"fn init(c) { loop { } }\nfn on_register(r) { }",
    );
    write(
        "m/plugin.toml",
        b"name = \"m\"\nsource = \"m.wasm\"\npermissions = [\"kvv\"]",
    );
    write("n/plugin.toml", b"name = \"n\"\nsource = \"n.wasm\"");
    write("o/plugin.toml", b"name = \"o\"");
    for (file, parts) in [
        (
            "none.rhai",
            &["none.rhai: there is no such file", "plugin new"][..],
        ),
        (
            "empty",
            &["empty/plugin.toml: there is no such file", "plugin new"],
        ),
        ("broken.rhai", &["broken.rhai:1:27: Unexpected '}'"]),
        (
            "bytes.rhai",
            &["bytes.rhai:2: this is no text", "save it as UTF-8"],
        ),
        (
            "my plugin.rhai",
            &["1 to 64 letters", "call it something else"],
        ),
        (
            "outside.rhai",
            &[
                "outside.rhai:2:21: Undefined variable: URL",
                "fn url() { .. }",
            ],
        ),
        (
            "typo.rhai",
            &["typo.rhai:1:32", "did you mean registration?"],
        ),
        (
            "loop.rhai",
            &[
                "init: it is over limits.operations_max",
                "loop without an end",
            ],
        ),
        (
            "m",
            &["plugin.toml:3:16: permissions: \"kvv\" is no permission"],
        ),
        ("n", &["n.wasm: there is no such file", "README.md"]),
        (
            "o",
            &[
                "plugin.toml:1:1: missing field `source`",
                "source = \"NAME.rhai\"",
            ],
        ),
    ] {
        for command in ["check", "test"] {
            let output = plugin(folder.path(), &[command, file]);
            assert!(!output.status.success());
            let errors = String::from_utf8_lossy(&output.stderr);
            for part in parts {
                assert!(errors.contains(part), "{command} {file}: {part}: {errors}");
            }
        }
    }
    let output = plugin(folder.path(), &["check", "m", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&error["line"], &error["column"]), (&3.into(), &16.into()));
    let output = plugin(folder.path(), &["check", "n", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(
        error["file"].as_str().expect("a file").ends_with("n.wasm"),
        "{error}"
    );
    assert!(error["hint"].is_string(), "{error}");

    // What is not run is noted; and what is not loaded is not tested.
    write(
        "note.rhai",
        b"log_info(\"a\");\nfn on_register(r) { Fn(\"anotate\").call() }",
    );
    let text = done(&plugin(folder.path(), &["check", "note.rhai"]));
    for part in [
        "note (rhai)",
        "note.rhai:1:1: what stands outside of functions is not run",
        "note.rhai:2:21: there is no function anotate; did you mean annotate?",
    ] {
        assert!(text.contains(part), "{text}");
    }
    write("t.rhai", b"fn on_register(r) { URL }\nfn test_it() { }");
    let output = plugin(folder.path(), &["test", "t.rhai"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && text.contains("the tests are not run"),
        "{text}"
    );
}

#[test]
fn fixtures_say_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "fn on_register(r) { if r.endpoint == \"a\" { pass() } else { reject(\"forbidden\", r.endpoint) } }";
    std::fs::create_dir(folder.path().join("tests")).expect("a folder");
    std::fs::write(folder.path().join("gate.rhai"), script).expect("a file");
    let call = |endpoint: &str, expect: &str| {
        format!(
            "[[call]]\nhook = 'on_register'\nregistration = {{ endpoint = '{endpoint}' }}\n\
             expect = {{ answer = {expect} }}\n"
        )
    };
    let good = [
        call("a", "'pass'"),
        call("b", "{ reject = { code = 'forbidden' } }"),
    ]
    .concat();
    std::fs::write(folder.path().join("tests/good.toml"), good).expect("a file");
    let text = done(&plugin(folder.path(), &["test", "gate.rhai"]));
    assert!(
        text.contains("All as expected: 2 calls in 1 fixture."),
        "{text}"
    );

    let bad = call("b", "{ reject = { code = 'not-found' } }");
    std::fs::write(folder.path().join("bad.toml"), bad).expect("a file");
    let arguments = ["test", "gate.rhai", "--fixture", "bad.toml"];
    let output = plugin(folder.path(), &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{text}");
    for part in [
        "DIFFERS  line 2    on_register",
        "answer.reject.code",
        "expected  \"not-found\"",
        "got       \"forbidden\"",
        "1 of 1 fixtures differ; 1 call.",
    ] {
        assert!(text.contains(part), "{text}\n{part}");
    }
    let output = plugin(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert!(!output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["passed"], false);
    let call = &json["fixtures"][0]["calls"][0];
    assert_eq!(call["differences"][0]["path"], "answer.reject.code");

    std::fs::write(folder.path().join("bad.toml"), "[[call]]\nhok = 'x'").expect("a file");
    let output = plugin(folder.path(), &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in ["bad.toml:2:1: unknown field `hok`", "did you mean hook?"] {
        assert!(errors.contains(part), "{errors}\n{part}");
    }
    let output = plugin(
        folder.path(),
        &["test", "gate.rhai", "--fixture", "none.toml"],
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.toml"));
    std::fs::remove_file(folder.path().join("tests/good.toml")).expect("a file");
    // Functions do as well.
    let tests = "\nfn test_b() {\n    assert(false, \"never\");\n}\nfn test_a() { assert(true); }";
    let file = folder.path().join("gate.rhai");
    std::fs::write(&file, format!("{script}{tests}")).expect("a file");
    let output = plugin(folder.path(), &["test", "gate.rhai"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{text}");
    for part in [
        "FAILS    line 2    test_b",
        "gate.rhai:3:5: never",
        "ok       line 5    test_a",
        "\n1 of 2 tests fail.",
    ] {
        assert!(text.contains(part), "{text}\n{part}");
    }
    let output = plugin(folder.path(), &["test", "gate.rhai", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["passed"], false);
    let call = &json["tests"]["calls"][0];
    assert_eq!(
        (&call["test"], &call["passed"]),
        (&"test_b".into(), &false.into())
    );
    assert_eq!(
        (&call["error"]["line"], &call["error"]["column"]),
        (&3.into(), &5.into())
    );
    std::fs::write(&file, script).expect("a file");
    let output = plugin(folder.path(), &["test", "gate.rhai"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("gate.rhai has no fixture"), "{errors}");
}

/// A program that runs until it is dropped, and what it prints.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Running {
        let mut child = Command::new(BINARY)
            .current_dir(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = child.stdout.take().expect("its output is piped");
        let lines = BufReader::new(output).lines();
        Running { child, lines }
    }

    /// The next line of JSON that is so.
    fn next(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let line = self.lines.next().expect("it goes on").expect("text");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if is_so(&line) {
                return line;
            }
            assert!(Instant::now() < deadline, "the last line is {line}");
        }
    }

    /// The next call of a hook, whatever came of it. Where others have the machine for longer than the
    /// call has, there is no answer, and the device comes again.
    fn call(&mut self, hook: &str) -> Value {
        let out_of_time = |line: &Value| {
            let fails = line["fails"].as_str();
            fails.is_some_and(|fails| fails.contains("did not answer within"))
        };
        self.next(|line| line["call"] == hook && !out_of_time(line))
    }
}

/// Writes a file in one step, as it is read while it is written.
fn save(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text).expect("a file");
    std::fs::rename(&draft, file).expect("renamed");
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_plugin_is_run_and_loaded_again_when_it_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gate.rhai");
    let script = |what: &str| {
        format!(
            "fn on_register(r) {{ annotate(#{{ seen: \"{what}\" }}) }}\n\
             fn transform(b) {{ emit_event(\"told\", #{{ n: 1 }}); pass() }}\n"
        )
    };
    // A file alone asks for nothing, and its event is refused; a manifest asks for it.
    let manifest = "name = 'gate'\nsource = 'gate.rhai'\npermissions = ['events']";
    std::fs::write(folder.path().join("plugin.toml"), manifest).expect("a file");
    std::fs::write(&file, script("first")).expect("a file");
    let place = folder.path().to_str().expect("text");
    let mut running = Running::start(folder.path(), &["plugin", "run", place, "--json"]);
    let call = running.call("on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["seen"], "first");
    assert_eq!(call["input"]["registration"]["endpoint"], "simulated-meter");
    let call = running.call("transform");
    assert_eq!(
        call["input"]["batch"]["measurements"][0]["path"],
        "/3303/0/5700"
    );
    assert_eq!(call["answer"], "pass");
    let event = running.next(|line| line["event"] == "told");
    assert_eq!(event["told"], "{\"n\":1}");

    save(&file, "fn on_registr(r) { }");
    let refused = running.next(|line| line["error"].is_string());
    assert_eq!(refused["generation"], 1, "the one before stays");
    assert_eq!(
        refused["hint"],
        "did you mean on_register? Else give it another name"
    );
    save(&file, &script("second"));
    running.next(|line| line["generation"] == 2);
    let call = running.call("on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["seen"], "second");
}

#[test]
fn the_simulated_device_does_what_the_plugin_has_hooks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleet.rhai");
    let keys = "fn credentials(r) {
            if r.name == \"meter-7\" { psk(from_hex(\"000102030405060708090a0b0c0d0e0f\")) }
        }
        fn on_register(r) { annotate(#{ mode: r.identity.mode, by: r.identity.name }) }
        fn firmware(job) { object5_push() }\n";
    std::fs::write(&file, keys).expect("a file");
    let run = ["plugin", "run", "fleet.rhai", "--json"];
    let mut running = Running::start(
        folder.path(),
        &[&run[..], &["--endpoint", "meter-7"]].concat(),
    );
    let loaded = running.next(|line| line["generation"] == 1);
    let note = loaded["note"].as_str().expect("firmware is not asked");
    assert!(
        note.contains("not called here: firmware.") && note.contains("plugin test"),
        "{note}"
    );
    let given = running.next(|line| line["call"] == "credentials");
    assert_eq!(given["for_the_device"], true);
    assert_eq!(given["answer"]["psk"]["key"], "(hidden)");
    let asked = running.next(|line| line["call"] == "credentials");
    assert_eq!(asked["input"]["request"]["scheme"], "coaps");
    let call = running.call("on_register");
    let set = serde_json::json!({ "mode": "psk", "by": "meter-7" });
    assert_eq!(call["answer"]["annotate"]["set"], set);

    // What is written names a server far away, with a key that the plugin does not know.
    let bootstrap = r#"fn bootstrap(request) {
            configure([
                delete("/0"), delete("/1"),
                write("/0/1", #{ "0": "coaps://far.example.com", "1": false, "2": 0,
                    "3": to_blob("written"), "4": to_blob(""), "5": to_blob("sixteen bytes ok"),
                    "10": 5 }),
                write("/1/0", #{ "0": 5, "1": 60, "6": false, "7": "U" }),
            ])
        }
        fn on_bootstrapped(endpoint, success, detail) { }"#;
    save(&file, &format!("{keys}{bootstrap}"));
    running.next(|line| line["generation"] == 2);
    let call = running.call("bootstrap");
    assert_eq!(call["input"]["bootstrap"]["identity"]["psk"], "meter-7");
    let call = running.call("on_bootstrapped");
    assert_eq!(call["input"]["end"]["failure"], Value::Null);
    let call = running.call("on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["by"], "written");
    assert_eq!(call["endpoint"], "meter-7");

    // Without an opinion about keys, the device stays outside, and it is said why.
    let nobody = ["--endpoint", "meter-7", "--identity", "nobody"];
    let mut running = Running::start(folder.path(), &[&run[..], &nobody].concat());
    let device = running.next(|line| line["device"].is_string());
    let told = device["device"].as_str().expect("text");
    assert!(
        told.contains("the plugin has none for \"nobody\""),
        "{told}"
    );
    let event = running.next(|line| line["event"] == "handshake");
    let told = event["told"].as_str().expect("text");
    assert!(told.contains("identity nobody is not known"), "{told}");
}

#[test]
fn a_plugin_that_has_a_key_later_is_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    // It knows no key when it is asked first, like one whose key server is down.
    let script = "fn credentials(r) {
            if kv_increment(\"plugin\", \"asked\", 1) > 1 { psk(to_blob(\"sixteen bytes ok\")) }
        }
        fn on_register(r) { annotate(#{ mode: r.identity.mode }) }";
    std::fs::write(folder.path().join("late.rhai"), script).expect("a file");
    let manifest = "name = \"late\"\nversion = \"1.0.0\"\nsource = \"late.rhai\"\n\
                    permissions = [\"kv\"]\n";
    std::fs::write(folder.path().join("plugin.toml"), manifest).expect("a file");
    let mut running = Running::start(folder.path(), &["plugin", "run", ".", "--json"]);
    let told = |running: &mut Running| {
        let line = running.next(|line| line["device"].is_string());
        line["device"].as_str().expect("text").to_owned()
    };
    let first = told(&mut running);
    assert!(first.contains("with a key of its own"), "{first}");
    let second = told(&mut running);
    assert!(
        second.contains("with the key that the plugin has"),
        "{second}"
    );
    let call = running.call("on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["mode"], "psk");
}

#[test]
fn the_simulated_device_proves_itself_with_keys_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "fn credentials(r) {
            switch r.mode { \"rpk\" => accept_rpk(), \"x509\" => accept_x509() }
        }
        fn on_register(r) { annotate(#{ mode: r.identity.mode, by: r.identity.common_name ?? \"\" }) }";
    std::fs::write(folder.path().join("keys.rhai"), script).expect("a file");
    for (security, by) in [("rpk", ""), ("x509", "meter-7")] {
        let run = [
            "plugin",
            "run",
            "keys.rhai",
            "--json",
            "--endpoint",
            "meter-7",
        ];
        let arguments = [&run[..], &["--security", security]].concat();
        let mut running = Running::start(folder.path(), &arguments);
        let asked = running.next(|line| line["call"] == "credentials");
        assert_eq!(asked["for_the_device"], false);
        let call = running.call("on_register");
        let set = serde_json::json!({ "mode": security, "by": by });
        assert_eq!(call["answer"]["annotate"]["set"], set);
    }
}

#[test]
fn the_plugins_of_a_running_server_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    let script = "fn on_register(r) { metric_add(\"seen\", 1); pass() }
fn on_registered(r) { throw \"no sense\"; }
fn transform(b) { }";
    write("plugins/gate.rhai", script);
    write("plugins/broken.rhai", "\nfn on_registr(r) { }");
    write(
        "server.toml",
        "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\nsecurity_mode = \"nosec\"\n\
         [http]\nbind = \"127.0.0.1:0\"\n\
         [[plugins.plugin]]\nname = \"gate\"\n\
         # Time enough on a busy machine.\ntimeout_ms = { on_register = 60000 }",
    );
    let mut running = Running::start(folder.path(), &["--config", "server.toml"]);
    let mut address = |scheme: &str| {
        let lines = running.lines.by_ref().map(|line| line.expect("text"));
        let mut lines = lines.filter(|line| line.starts_with(scheme));
        lines.next().expect("an address")
    };
    let coap = address("coap://");
    let http = address("http://").trim_end_matches("/api/v1").to_owned();
    let list = |arguments: &[&str]| {
        let all = [&["--server", http.as_str(), "plugin", "list"], arguments].concat();
        let output = Command::new(BINARY).args(all).output().expect("it starts");
        done(&output)
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = coap
        .trim_start_matches("coap://")
        .parse()
        .expect("an address");
    let device = runtime.block_on(async {
        let device = lwm2m_device::Device::builder("meter-7")
            .server(server)
            .start()
            .await;
        let device = device.expect("a device");
        device.wait_registered().await.expect("registered");
        device
    });
    // It hears of the device a little later.
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        let answer: Value = serde_json::from_str(&list(&["--json"])).expect("JSON");
        if answer["plugins"][1]["breaker"]["last_failure"].is_object() {
            break answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
    };
    let plugins = answer["plugins"].as_array().expect("a list");
    assert_eq!(plugins.len(), 2, "{answer}");
    let (broken, gate) = (&plugins[0], &plugins[1]);
    assert_eq!(broken["state"], "refused");
    assert_eq!(broken["error"]["line"], 2);
    assert_eq!(gate["state"], "on");
    assert_eq!(gate["figures"][0]["hook"], "on_register");
    assert_eq!(gate["figures"][0]["calls"], 1);
    assert_eq!(gate["figures"][0]["fuel"], 0, "a script has none");
    assert_eq!(gate["memory_bytes"], Value::Null, "nor one of its memory");
    assert_eq!(gate["figures"][0]["memory_max_bytes"], Value::Null);
    assert!(gate["figures"][0]["max_us"].is_u64(), "{gate}");
    let transform = &gate["figures"][2];
    assert_eq!(transform["hook"], "transform");
    assert_eq!(transform["calls"], 0, "a row for each hook");
    assert_eq!(
        (&transform["p99_us"], &transform["max_us"]),
        (&Value::Null, &Value::Null)
    );
    let breaker = &gate["breaker"];
    assert_eq!(
        (&breaker["state"], &breaker["until"]),
        (&"closed".into(), &Value::Null)
    );
    assert_eq!(breaker["failures_in_a_row"], 1);
    let last = &breaker["last_failure"];
    assert_eq!(
        (&last["hook"], &last["code"]),
        (&"on_registered".into(), &"plugin-failed".into())
    );
    assert_eq!(last["message"], "no sense (gate.rhai:2:23)");
    assert_eq!(gate["waiting"], 0);
    assert_eq!(gate["metrics"][0]["name"], "seen");
    let table = list(&[]);
    for part in [
        "gate",
        "on_register",
        "broken.rhai:2:4: fn on_registr is no hook",
        "transform",
        "gate: failed on_registered at 20",
        "no sense (gate.rhai:2:23)\n  1 failures in a row",
        "did you mean",
    ] {
        assert!(table.contains(part), "{table}");
    }
    let get = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut answer = agent
            .get(format!("{http}/api/v1{path}"))
            .call()
            .expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        (
            answer.status().as_u16(),
            serde_json::from_str::<Value>(&text).expect("JSON"),
        )
    };
    let (status, gate) = get("/plugins/gate");
    assert_eq!(
        (status, &gate["figures"][0]["histogram"][0]["calls"]),
        (200, &Value::from(1))
    );
    let (status, problem) = get("/plugins/nobody");
    assert_eq!(status, 404);
    assert_eq!(problem["type"], "urn:lwm2m:problem:unknown-plugin");
    let (_, status) = get("/status");
    assert_eq!(status["values_dropped"], 0);
    assert_eq!(status["device_hooks_dropped"], 0);
    runtime.block_on(device.stop());
}

/// Says which way a test went, also when it passes: what is printed in the usual way is swallowed.
fn say(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// True when a program is there and is content; says so when it is not there.
fn looked_at_by(program: &str, arguments: &[&str], file: &Path) -> bool {
    match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", file.display());
            true
        }
        Err(_) => {
            say(&format!(
                "{} is not looked at: there is no {program}",
                file.display()
            ));
            false
        }
    }
}

#[test]
fn there_is_a_beginning_in_every_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let contract = include_str!("../../../../../plugins/wit/lwm2m-plugin.wit");
    for language in ["rhai", "rust", "c", "js", "python"] {
        let name = format!("in-{language}");
        let text = done(&plugin(folder.path(), &["new", &name, "--lang", language]));
        assert!(text.contains("plugin test"), "{text}");
        let place = folder.path().join("plugins").join(&name);
        let read = |file: &str| {
            let text = std::fs::read_to_string(place.join(file));
            text.unwrap_or_else(|error| panic!("{name}/{file}: {error}"))
        };
        let manifest: toml::Table = toml::from_str(&read("plugin.toml")).expect("TOML");
        assert_eq!(manifest["name"].as_str(), Some(name.as_str()));
        let fixture = place.join("tests/registration.toml");
        lwm2m_plugins::Fixture::read(&fixture).unwrap_or_else(|error| panic!("{error}"));
        let readme = read("README.md");
        assert!(readme.contains("plugin test ."), "{readme}");
        let generated = place.join("bindings");
        for file in walk(&place) {
            if file.starts_with(&generated) {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("text");
            for left in ["{name}", "{snake}", "{lower}", "{ending}"] {
                assert!(!text.contains(left), "{}: {left}", file.display());
            }
        }
        if language != "rhai" {
            assert_eq!(read("wit/lwm2m-plugin.wit"), contract);
            let output = plugin(folder.path(), &["check", &format!("plugins/{name}")]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(errors.contains("build it first"), "{errors}");
        }
        match language {
            "rust" => {
                drop(toml::from_str::<toml::Table>(&read("Cargo.toml")).expect("TOML"));
                let sdk = include_str!("../../../../../plugins/sdk/src/lib.rs");
                assert_eq!(read("sdk/src/lib.rs"), sdk);
            }
            "js" => {
                drop(serde_json::from_str::<Value>(&read("package.json")).expect("JSON"));
                looked_at_by("node", &["--check"], &place.join("plugin.js"));
            }
            "python" => {
                let parse = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
                looked_at_by("python3", &["-c", parse], &place.join("app.py"));
            }
            _ => {}
        }
    }
    let output = plugin(folder.path(), &["new", "1st", "--lang", "rust"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("begins with a letter"), "{errors}");
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let below = |path: std::path::PathBuf| match path.is_dir() {
        true => walk(&path),
        false => vec![path],
    };
    paths.flat_map(below).collect()
}

/// Tells the time in each way that a component has, in seconds.
const CLOCKS: &str = r#"
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lwm2m_plugin::registration::{Annotations, Decision, Guest, Registration, Update};
use lwm2m_plugin::{Attribute, Plugin, clock};

struct Clocks;

static BEGUN: OnceLock<Instant> = OnceLock::new();

impl Plugin for Clocks {}

impl Guest for Clocks {
    fn on_register(_: Registration) -> Decision {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let passed = BEGUN.get_or_init(Instant::now).elapsed().as_secs();
        let told = [("system", system), ("host", clock::now_ms() / 1000), ("passed", passed)];
        let attribute = |(name, value): (&str, u64)| Attribute {
            name: name.to_owned(),
            value: value.to_string(),
        };
        Decision::Annotate(Annotations {
            set: told.map(attribute).into(),
            remove: Vec::new(),
            lifetime_s: None,
        })
    }

    fn on_update(_: Registration, _: Update) -> Decision {
        Decision::Pass
    }
}

lwm2m_plugin::export!(Clocks: registration);
"#;

#[test]
fn the_beginning_in_rust_is_built_and_tested() {
    const TARGET: &str = "wasm32-wasip2";
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let libraries = libraries.ok().filter(|output| output.status.success());
    let libraries = libraries.and_then(|output| String::from_utf8(output.stdout).ok());
    if !libraries.is_some_and(|path| Path::new(path.trim()).is_dir()) {
        say(&format!(
            "in-rust is not built: `rustup target add {TARGET}` to have it built"
        ));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    done(&plugin(
        folder.path(),
        &["new", "in-rust", "--lang", "rust"],
    ));
    let place = folder.path().join("plugins/in-rust");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let build = || {
        let cargo = |network: &[&str]| {
            let status = Command::new(env!("CARGO"))
                .args(["build", "--release", "--target", TARGET])
                .args(network)
                .arg("--manifest-path")
                .arg(place.join("Cargo.toml"))
                .arg("--target-dir")
                .arg(&target)
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .status();
            status.expect("cargo runs").success()
        };
        // Mostly what it takes is there from building the examples.
        assert!(cargo(&["--offline"]) || cargo(&[]), "it is built");
        let component = target.join(TARGET).join("release/in_rust.wasm");
        std::fs::copy(component, place.join("in-rust.wasm")).expect("a component");
    };
    build();
    let text = done(&plugin(folder.path(), &["test", "plugins/in-rust"]));
    assert!(text.contains("All as expected: 2 calls"), "{text}");
    // Nothing but what was written is needed: what cargo has resolved is what was locked.
    let lock = std::fs::read_to_string(place.join("Cargo.lock")).expect("a lock");
    let locked = include_str!("../../templates/plugin/rust/Cargo.lock");
    let packages = |lock: &str| -> Vec<String> {
        let names = lock.split("[[package]]").skip(1);
        let mut names: Vec<String> = names
            .map(|package| package.replace("{name}", "in-rust").trim().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(packages(&lock), packages(locked));
    // The clocks of a system are those of the fixture.
    std::fs::write(place.join("src/lib.rs"), CLOCKS).expect("a file");
    let fixture = "clock = '2026-01-02T03:04:05Z'
        registration = { endpoint = 'a' }
        [[call]]
        hook = 'on_register'
        expect.answer.annotate.set = { system = '1767323045', host = '1767323045', passed = '0' }
        [[call]]
        hook = 'on_register'
        after_s = 90
        expect.answer.annotate.set = { system = '1767323135', host = '1767323135', passed = '90' }";
    std::fs::write(place.join("tests/registration.toml"), fixture).expect("a file");
    build();
    let text = done(&plugin(folder.path(), &["test", "plugins/in-rust"]));
    assert!(text.contains("All as expected: 2 calls"), "{text}");
    // The one of the guide is a plugin as well.
    let guide = include_str!("../../../../../docs/plugins.md");
    let rust = guide.split("```rust\n").nth(1).expect("the guide has one");
    let rust = rust.split("```").next().expect("it ends");
    std::fs::write(place.join("src/lib.rs"), rust).expect("a file");
    build();
    let text = done(&plugin(folder.path(), &["check", "plugins/in-rust"]));
    assert!(text.contains("hooks        transform"), "{text}");
    say(&format!("in-rust is built for {TARGET} and run"));
}

#[test]
fn the_commands_of_the_guide_work() {
    let guide = include_str!("../../../../../docs/plugins.md");
    let folder = tempfile::tempdir().expect("a folder");
    let block = |language: &str, part: &str| {
        let mut blocks = guide.split("```").skip(1).step_by(2);
        let found = blocks.find_map(|block| {
            let text = block.strip_prefix(language)?.strip_prefix('\n')?;
            text.contains(part).then_some(text)
        });
        found.unwrap_or_else(|| panic!("the guide has {part}"))
    };
    for (file, text) in [
        ("plugin.toml", block("toml", "# plugin.toml")),
        ("greeter.rhai", block("rhai", "fn on_registered")),
        ("tests/greets.toml", block("toml", "tests/greets.toml")),
    ] {
        let file = folder.path().join("plugins/greeter").join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    let lines = guide.lines();
    let commands: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("$ lwm2m-server plugin "))
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        done(&plugin(folder.path(), &arguments));
    }
    let readme = std::fs::read_to_string(folder.path().join("plugins/meters/README.md"));
    let readme = readme.expect("a README");
    for line in block("sh", "cargo build").lines() {
        assert!(readme.contains(line), "{line} is not in {readme}");
    }
}
