//! The tools of those who write definitions.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{self, definition, registry};
use crate::program::{pull, run};

#[test]
fn a_new_definition_passes_the_strict_check() {
    let folder = tempfile::tempdir().unwrap();
    let ids = ["800", "9000", "10241", "32768", "32769", "42769", "42800"];
    for id in ids {
        let outcome = run(folder.path(), &["new", id, "Tom & Jerry's <Meter>"]).succeeds();
        assert!(outcome.stdout.contains("note: "), "{outcome:?}");
    }
    let outcome = run(folder.path(), &["check", "--strict", "objects"]).succeeds();
    let counts = "files: 7, objects: 7, resources: 21; errors: 0, warnings: 0, advice: 0\n";
    assert_eq!(outcome.stdout, counts);
    run(folder.path(), &["new", "10242", "Lamp", "--into", "a/b"]).succeeds();
    assert!(folder.path().join("a/b/10242.xml").is_file());
}

#[test]
fn a_new_definition_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(101);
    for (id, name, word) in [
        ("3303", "Heat", "is Temperature already"),
        ("1500", "Heat", "assigned to nobody"),
        ("42801", "Heat", "assigned to nobody"),
        ("65535", "Heat", "assigned to nobody"),
        ("65536", "Heat", "65535"),
        ("10241", " ", "is empty"),
        ("10241", "a\nb", "control characters"),
        ("10241", long.as_str(), "more than 100"),
    ] {
        run(folder.path(), &["new", id, name]).fails_with(&[word]);
    }
    run(folder.path(), &["new", "10241", "Heat"]).succeeds();
    let path = folder.path().join("objects/10241.xml");
    let before = fs::read(&path).unwrap();
    run(folder.path(), &["new", "10241", "Other"]).fails_with(&["is there already"]);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_check_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let good = definition(42769, "1.0", "Meter");
    fs::write(objects.join("a.xml"), &good).unwrap();
    fs::write(objects.join("note.txt"), "no definition").unwrap();
    run(folder.path(), &["check", "--strict", "objects"]).succeeds();

    let doubtful = good.replace("<Type>Float<", "<Type>Flaot<");
    fs::write(objects.join("b.xml"), doubtful.replace("42769", "42770")).unwrap();
    let outcome = run(folder.path(), &["check", "objects"]).fails_with(&["errors: 1"]);
    assert!(outcome.stdout.contains("objects/b.xml:18:"), "{outcome:?}");
    assert!(outcome.stdout.contains("error: `Flaot`"), "{outcome:?}");

    let warned = good.replace(":x:", ":ext:").replace("42769", "42770");
    fs::write(objects.join("b.xml"), &warned).unwrap();
    let outcome = run(folder.path(), &["check", "objects"]).succeeds();
    assert!(
        outcome.stdout.contains("objects/b.xml:7: warning"),
        "{outcome:?}"
    );
    run(folder.path(), &["check", "--strict", "objects"]).fails_with(&["warnings: 1"]);

    fs::write(objects.join("b.xml"), "<LWM2M>").unwrap();
    run(folder.path(), &["check", "objects"]).fails_with(&["errors: 1"]);
    run(folder.path(), &["check", "nowhere"]).fails_with(&["nowhere"]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    run(folder.path(), &["check", "empty"]).fails_with(&["no XML file"]);
}

#[test]
fn the_check_finds_versions_that_disagree() {
    let folder = tempfile::tempdir().unwrap();
    let good = definition(42769, "1.0", "Meter");
    let history = folder.path().join("version_history");
    fs::create_dir(&history).unwrap();
    fs::write(folder.path().join("a.xml"), &good).unwrap();
    fs::write(history.join("a.xml"), &good).unwrap();
    let same = run(folder.path(), &["check", "--strict", "."]).succeeds();
    assert!(same.stdout.contains("advice: 0"), "{same:?}");
    fs::write(folder.path().join("b.xml"), good.replace("Meter", "Metre")).unwrap();
    let other = run(folder.path(), &["check", "--strict", "."]);
    assert!(other.stdout.contains("defined differently in"), "{other:?}");
    other.fails_with(&["warnings: 1"]);
}

#[test]
fn the_check_speaks_json() {
    let folder = tempfile::tempdir().unwrap();
    let text = definition(1500, "1.0", "Meter").replace("For tests.", "");
    fs::write(folder.path().join("a.xml"), text).unwrap();
    let outcome = run(folder.path(), &["check", "--json", "a.xml"]).succeeds();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let counts = [
        "files",
        "objects",
        "resources",
        "errors",
        "warnings",
        "notes",
    ];
    let counts = counts.map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts[..4], [1, 1, 1, 0]);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len() as u64, counts[4] + counts[5]);
    let unassigned = findings
        .iter()
        .find(|finding| finding["message"] == "object id 1500 is assigned to nobody")
        .unwrap();
    assert_eq!(unassigned["severity"], "warning");
    assert_eq!(
        (&unassigned["file"], &unassigned["line"]),
        (&"a.xml".into(), &6.into())
    );
}

#[test]
fn the_difference_is_told_resource_by_resource() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["old", "new"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
    let first = definition(42769, "1.0", "Meter");
    write("old/a.xml", &first);
    write(
        "new/a.xml",
        &first.replace("<Units></Units>", "<Units>Cel</Units>"),
    );
    let second = definition(42769, "1.1", "Meter").replace(">Float<", ">Integer<");
    write("new/b.xml", &second);
    write("old/c.xml", &definition(42770, "1.0", "Gone"));
    let outcome = run(folder.path(), &["diff", "old", "new"]).succeeds();
    let expected = "\
~ object 42769 version 1.0: Meter
    resource 0 unit: `` -> `Cel` [breaking]
+ object 42769 version 1.1: Meter
    since 1.0:
    resource 0 type: `Float` -> `Integer` [breaking]
- object 42770 version 1.0: Gone
versions added: 1, removed: 1, changed: 1; breaking changes: 2
";
    assert_eq!(outcome.stdout, expected);
    let outcome = run(folder.path(), &["diff", "--json", "old", "new"]).succeeds();
    let difference: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let change = |text: &str| json!({ "resource": 0, "change": text, "breaking": true });
    let expected = json!({
        "versions": [
            {
                "what": "changed", "object": 42769, "version": "1.0", "name": "Meter",
                "changes": [change("unit: `` -> `Cel`")],
            },
            {
                "what": "added", "object": 42769, "version": "1.1", "name": "Meter",
                "since": "1.0", "changes": [change("type: `Float` -> `Integer`")],
            },
            {
                "what": "removed", "object": 42770, "version": "1.0", "name": "Gone",
                "changes": [],
            },
        ],
        "added": 1, "removed": 1, "changed": 1, "breaking": 2,
    });
    assert_eq!(difference, expected);
    write("new/b.xml", "<LWM2M>");
    run(folder.path(), &["diff", "old", "new"]).fails_with(&["new/b.xml:1:"]);
}

#[test]
fn the_check_compares_with_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    fixture::write(&folder.path().join("source"), &registry());
    pull(folder.path(), "source", &[]).succeeds();
    let before = run(folder.path(), &["check", "objects"]).succeeds();
    assert!(!before.stdout.contains("pulled"), "{before:?}");
    let objects = folder.path().join("objects");
    fs::write(objects.join("3.xml"), definition(3, "1.1", "Edited")).unwrap();
    fs::remove_file(objects.join("5.xml")).unwrap();
    let outcome = run(folder.path(), &["check", "objects"]).succeeds();
    for line in [
        "objects/3.xml: warning: it was edited since it was pulled",
        "objects/5.xml: warning: it was pulled, and is gone",
    ] {
        assert!(outcome.stdout.contains(line), "{outcome:?}");
    }
}
