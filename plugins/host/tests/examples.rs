//! The examples and the scripts of the guide: they load, and some of them at work.

use std::path::{Path, PathBuf};

use lwm2m_plugins::{LoadError, check};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The settings that each example says it needs.
fn settings(example: &str) -> toml::Table {
    let text = match example {
        "allow-list" => "prefixes = ['urn:']",
        "observe-by-manufacturer" => "plans = { Acme = ['/3/0/9'] }",
        "alarm" => "limit = 30.0",
        "psk-over-http" => "url = 'https://keys.example/psk/'",
        "quarantine" => "broken = ['2.1.0']",
        _ => "",
    };
    toml::from_str(text).expect("a table")
}

#[test]
fn every_example_loads() {
    let mut count = 0;
    for entry in std::fs::read_dir(examples()).expect("the examples") {
        let folder = entry.expect("a folder").path();
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let manifest = std::fs::read_to_string(folder.join("plugin.toml")).expect("a manifest");
        // Components have to be built before, see the tests of components.
        if manifest.contains(".wasm\"") {
            continue;
        }
        let checked =
            check(&folder, &settings(name), None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(checked.manifest.name, name);
        assert_eq!(checked.doubts, [], "{name}");
        assert!(
            !checked.manifest.description.is_empty() && !checked.hooks.is_empty(),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 8, "{count} examples");
}

#[test]
fn an_example_without_its_settings_says_which() {
    for (example, told) in [
        ("allow-list", "init: prefixes: a list of texts is missing"),
        ("alarm", "init: limit: a number as 30.0 is missing"),
        (
            "observe-by-manufacturer",
            "init: plans: a table of lists is missing",
        ),
    ] {
        let refused = check(&examples().join(example), &toml::Table::new(), None);
        let error = refused.expect_err(example);
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.line.is_some(), "{error}");
    }
}

#[test]
fn every_script_of_the_guide_loads() {
    let guide = include_str!("../../../docs/plugins.md");
    let scripts: Vec<&str> = guide
        .split("```rhai\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert!(scripts.len() >= 3, "{} scripts", scripts.len());
    let folder = tempfile::tempdir().expect("a folder");
    for (n, script) in scripts.into_iter().enumerate() {
        let file = folder.path().join(format!("script{n}.rhai"));
        std::fs::write(&file, script).expect("a file");
        let checked = check(&file, &toml::Table::new(), None);
        let checked = checked.unwrap_or_else(|error| panic!("{error}\n{script}"));
        // A single file cannot ask for permissions.
        let of_functions = |doubt: &&LoadError| !doubt.message.contains("permissions = ");
        let doubts: Vec<&LoadError> = checked.doubts.iter().filter(of_functions).collect();
        assert!(doubts.is_empty(), "{doubts:?}\n{script}");
    }
}
