//! `plugin new` and `plugin check`.

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
