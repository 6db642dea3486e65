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
    assert!(text.contains("All as expected: 2 calls"), "{text}");
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
        errors.contains("a.rhai:2: fn on_registr is no hook"),
        "{errors}"
    );
    assert!(errors.contains("did you mean on_register?"), "{errors}");
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
        text.contains("All as expected: 2 calls in 1 fixtures."),
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
        "1 of 1 fixtures differ; 1 calls.",
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
    let call = running.next(|line| line["call"] == "on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["seen"], "first");
    assert_eq!(call["input"]["registration"]["endpoint"], "simulated-meter");
    let call = running.next(|line| line["call"] == "transform");
    assert_eq!(
        call["input"]["batch"]["measurements"][0]["path"],
        "/3303/0/5700"
    );
    assert_eq!(call["answer"], "pass");
    let event = running.next(|line| line["event"] == "told");
    assert_eq!(event["told"], "{\"n\":1}");

    std::fs::write(&file, "fn on_registr(r) { }").expect("a file");
    let refused = running.next(|line| line["error"].is_string());
    assert_eq!(refused["generation"], 1, "the one before stays");
    assert_eq!(
        refused["hint"],
        "did you mean on_register? Else give it another name"
    );
    std::fs::write(&file, script("second")).expect("a file");
    running.next(|line| line["generation"] == 2);
    let call = running.next(|line| line["call"] == "on_register");
    assert_eq!(call["answer"]["annotate"]["set"]["seen"], "second");
}

#[test]
fn the_plugins_of_a_running_server_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    let script = "fn on_register(r) { metric_add(\"seen\", 1); pass() }";
    write("plugins/gate.rhai", script);
    write("plugins/broken.rhai", "\nfn on_registr(r) { }");
    write(
        "server.toml",
        "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\nsecurity_mode = \"nosec\"\n\
         [http]\nbind = \"127.0.0.1:0\"",
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
    let answer: Value = serde_json::from_str(&list(&["--json"])).expect("JSON");
    let plugins = answer["plugins"].as_array().expect("a list");
    assert_eq!(plugins.len(), 2, "{answer}");
    let (broken, gate) = (&plugins[0], &plugins[1]);
    assert_eq!(broken["state"], "refused");
    assert_eq!(broken["error"]["line"], 2);
    assert_eq!(gate["state"], "on");
    assert_eq!(gate["figures"][0]["hook"], "on_register");
    assert_eq!(gate["figures"][0]["calls"], 1);
    assert_eq!(gate["figures"][0]["fuel"], 0, "a script has none");
    assert_eq!(gate["waiting"], 0);
    assert_eq!(gate["metrics"][0]["name"], "seen");
    let table = list(&[]);
    for part in [
        "gate",
        "on_register",
        "broken.rhai:2: fn on_registr is no hook",
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
        assert!(
            readme.contains(&format!("plugin test plugins/{name}")),
            "{readme}"
        );
        for file in walk(&place) {
            let text = std::fs::read_to_string(&file).expect("text");
            for left in ["{name}", "{snake}", "{lower}", "{ending}", "{folder}"] {
                assert!(!text.contains(left), "{}: {left}", file.display());
            }
        }
        if language != "rhai" {
            assert_eq!(read("wit/lwm2m-plugin.wit"), contract);
        }
        match language {
            "rust" => drop(toml::from_str::<toml::Table>(&read("Cargo.toml")).expect("TOML")),
            "js" => {
                drop(serde_json::from_str::<Value>(&read("package.json")).expect("JSON"));
                for file in ["plugin.js", "build.mjs"] {
                    looked_at_by("node", &["--check"], &place.join(file));
                }
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    // The versions that the examples are built with, and the crate of this source tree.
    let lock = root.join("plugins/examples/threshold-alarm/Cargo.lock");
    std::fs::copy(lock, place.join("Cargo.lock")).expect("a lock");
    let sdk = root.join("plugins/sdk");
    let patch = format!("patch.crates-io.lwm2m-plugin.path={:?}", sdk);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let build = || {
        let cargo = |network: &[&str]| {
            let status = Command::new(env!("CARGO"))
                .args(["build", "--release", "--target", TARGET, "--config", &patch])
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
