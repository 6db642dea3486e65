//! `plugin new`, `plugin check` and `plugin test`.

use std::path::Path;
use std::process::{Command, Output};

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
    let good = call("a", "'pass'") + &call("b", "{ reject = { code = 'forbidden' } }");
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
