//! The generated code of two objects, to look at: set `UPDATE_GOLDEN` to write the files anew.

#![allow(clippy::unwrap_used)] // a test

use std::fs;
use std::path::Path;

fn generated(file: &str) -> String {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../objects");
    let xml = fs::read(objects.join(file)).unwrap();
    let models = lwm2m_registry::parse(xml, file).unwrap().models;
    let files = lwm2m_codegen::files(&models, "a test").unwrap();
    assert_eq!(files[0].name, "mod.rs");
    files[1].text.clone()
}

fn is_golden(file: &str, golden: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(golden);
    let generated = generated(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let same = generated
        .lines()
        .zip(expected.lines())
        .position(|(a, b)| a != b);
    assert_eq!(same, None, "{golden}: the first line that differs");
    assert_eq!(generated.lines().count(), expected.lines().count());
}

#[test]
fn device() {
    is_golden("3.xml", "device_3.txt");
}

#[test]
fn temperature() {
    is_golden("3303.xml", "temperature_3303.txt");
}
