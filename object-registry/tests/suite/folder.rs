//! Folders that are loaded again while their models are in service.

use std::fs;
use std::path::Path;

use lwm2m_core::ObjectModels;
use lwm2m_registry::{
    Limits, LoadError, LoadReport, ObjectKey, Parser, Registry, Severity, Strictness,
};
use tempfile::TempDir;

use crate::{ITEM, object};

fn write(folder: &Path, name: &str, id: u16, title: &str) {
    let xml = format!(
        "<LWM2M>{}</LWM2M>",
        object(id, "", ITEM).replace("Door", title)
    );
    fs::write(folder.join(name), xml).unwrap();
}

fn keys(ids: &[u16]) -> Vec<ObjectKey> {
    let version = "1.0".parse().unwrap();
    ids.iter()
        .map(|id| ObjectKey { id: *id, version })
        .collect()
}

fn name(registry: &Registry, id: u16) -> Option<String> {
    Some(registry.object(id, None)?.name.to_string())
}

fn load(registry: &Registry, folder: &TempDir) -> LoadReport {
    registry.load_dir(folder.path()).unwrap()
}

#[test]
fn a_load_reports_what_is_new_changed_and_gone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.xml", 40001, "A");
    write(folder.path(), "b.xml", 40002, "B");
    let registry = Registry::embedded();
    let first = load(&registry, &folder);
    assert_eq!((first.files, first.added), (2, keys(&[40001, 40002])));
    assert_eq!((first.changed, first.removed), (vec![], vec![]));
    assert_eq!(first.diagnostics, []);
    assert_eq!(name(&registry, 40001).as_deref(), Some("A"));

    write(folder.path(), "a.xml", 40001, "Z");
    fs::remove_file(folder.path().join("b.xml")).unwrap();
    write(folder.path(), "c.xml", 40003, "C");
    let second = load(&registry, &folder);
    assert_eq!(second.added, keys(&[40003]));
    assert_eq!(second.changed, keys(&[40001]));
    assert_eq!(second.removed, keys(&[40002]));
    assert_eq!(name(&registry, 40001).as_deref(), Some("Z"));
    assert_eq!(name(&registry, 40002), None);

    let third = load(&registry, &folder);
    let moved = [third.added, third.changed, third.removed, third.kept];
    assert_eq!((third.files, moved.concat()), (2, vec![]));
}

#[test]
fn a_broken_file_leaves_its_models_in_service() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.xml", 40001, "A");
    let registry = Registry::embedded();
    load(&registry, &folder);

    fs::write(folder.path().join("a.xml"), "<LWM2M>\n<Object>").unwrap();
    fs::write(folder.path().join("b.xml"), "nothing").unwrap();
    for _ in 0..2 {
        let report = load(&registry, &folder);
        assert_eq!((report.files, report.kept), (0, keys(&[40001])));
        assert_eq!((report.changed, report.removed), (vec![], vec![]));
        let places: Vec<_> = report
            .diagnostics
            .iter()
            .map(|found| (found.severity, found.file.rsplit('/').next(), found.line))
            .collect();
        assert_eq!(
            places,
            [
                (Severity::Error, Some("a.xml"), 2),
                (Severity::Error, Some("b.xml"), 1),
            ]
        );
        assert_eq!(name(&registry, 40001).as_deref(), Some("A"));
    }

    write(folder.path(), "a.xml", 40001, "Mended");
    assert_eq!(load(&registry, &folder).changed, keys(&[40001]));
    assert_eq!(name(&registry, 40001).as_deref(), Some("Mended"));
}

#[test]
fn a_file_stands_in_for_a_built_in_object_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "6.xml", 6, "Own Location");
    let registry = Registry::embedded();
    assert_eq!(load(&registry, &folder).changed, keys(&[6]));
    assert_eq!(name(&registry, 6).as_deref(), Some("Own Location"));
    fs::remove_file(folder.path().join("6.xml")).unwrap();
    assert_eq!(load(&registry, &folder).changed, keys(&[6]));
    assert_eq!(name(&registry, 6).as_deref(), Some("Location"));
}

#[test]
fn whoever_holds_a_snapshot_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::empty();
    let before = registry.snapshot();
    write(folder.path(), "a.xml", 40001, "A");
    load(&registry, &folder);
    assert!(before.is_empty());
    assert_eq!(registry.snapshot().len(), 1);
}

#[test]
fn the_first_of_two_files_wins_and_copies_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("version_history");
    fs::create_dir(&history).unwrap();
    write(folder.path(), "z.xml", 40001, "Root");
    write(&history, "40001-1_0.xml", 40001, "Root");
    let registry = Registry::empty();
    assert_eq!(load(&registry, &folder).diagnostics, []);

    write(&history, "40001-1_0.xml", 40001, "History");
    write(folder.path(), "y.xml", 40002, "Y");
    write(folder.path(), "x.xml", 40002, "X");
    let report = load(&registry, &folder);
    let messages: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| &found.message)
        .collect();
    assert_eq!(
        messages,
        [
            "object 40002 version 1.0 is defined in x.xml as well, and differently",
            "object 40001 version 1.0 is defined in z.xml as well, and differently",
        ]
    );
    assert_eq!(name(&registry, 40001).as_deref(), Some("Root"));
    assert_eq!(name(&registry, 40002).as_deref(), Some("X"));
}

#[test]
fn a_later_folder_wins_over_an_earlier_one() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(one.path(), "a.xml", 40001, "One");
    write(two.path(), "a.xml", 40001, "Two");
    let registry = Registry::empty();
    load(&registry, &one);
    load(&registry, &two);
    load(&registry, &one);
    assert_eq!(name(&registry, 40001).as_deref(), Some("Two"));
}

#[test]
fn companions_and_other_files_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("DDF.xml", "<DDFList/>");
    put("units.xml", "<units/>");
    put(
        "Common.xml",
        "<LWM2M><Object ObjectType=\"CommonResources\"><Resources/></Object></LWM2M>",
    );
    put("notes.txt", "<broken");
    put(".a.xml.swp", "<broken");
    put(".hidden.xml", "<broken");
    fs::create_dir(folder.path().join("folder.xml")).unwrap();
    let registry = Registry::empty();
    let report = load(&registry, &folder);
    assert_eq!(report.files, 3);
    let severities: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| found.severity)
        .collect();
    assert_eq!(
        severities,
        [Severity::Warning, Severity::Note, Severity::Note]
    );
    assert!(registry.snapshot().is_empty());

    put("other.xml", "<html/>");
    let report = load(&registry, &folder);
    let last = report.diagnostics.last().unwrap();
    assert_eq!(last.message, "a <units> file has no object definitions");
    assert!(
        report
            .diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error
                && found.message == "the root element is <html>, not <LWM2M>")
    );
}

#[test]
fn a_folder_that_cannot_be_loaded_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.xml", 40001, "A");
    let registry = Registry::empty();
    load(&registry, &folder);
    let missing = registry.load_dir(folder.path().join("missing"));
    assert!(matches!(missing, Err(LoadError::Unreadable { .. })));
    assert_eq!(registry.snapshot().len(), 1);
}

#[test]
fn the_limits_hold_for_folders() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        files_max: 2,
        file_bytes_max: 2000,
        ..Limits::default()
    };
    let parser = Parser::new(Strictness::Strict).with_limits(limits);
    let registry = Registry::empty();
    write(folder.path(), "a.xml", 40001, "A");
    fs::write(folder.path().join("b.xml"), " ".repeat(3000)).unwrap();
    let report = registry.load_dir_with(folder.path(), &parser).unwrap();
    let messages: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| &found.message)
        .collect();
    assert_eq!(messages, ["there are more than 2000 bytes in a file"]);
    assert_eq!(report.added, keys(&[40001]));

    write(folder.path(), "c.xml", 40003, "C");
    let result = registry.load_dir_with(folder.path(), &parser);
    assert!(matches!(
        result,
        Err(LoadError::TooManyFiles { max: 2, .. })
    ));
    assert_eq!(registry.snapshot().len(), 1);
}

#[test]
fn versions_of_an_object_come_and_go_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, version: &str, title: &str| {
        let head =
            format!("<LWM2MVersion>1.1</LWM2MVersion><ObjectVersion>{version}</ObjectVersion>");
        let urn = format!("urn:oma:lwm2m:x:40001:{version}");
        let xml = object(40001, &head, ITEM)
            .replace("urn:oma:lwm2m:x:40001", urn.trim_end_matches(":1.0"))
            .replace("Door", title);
        fs::write(folder.path().join(name), format!("<LWM2M>{xml}</LWM2M>")).unwrap();
    };
    let key = |version: &str| {
        let version = version.parse().unwrap();
        ObjectKey { id: 40001, version }
    };
    let registry = Registry::embedded();
    put("a.xml", "1.0", "First");
    put("b.xml", "1.1", "Second");
    let report = load(&registry, &folder);
    assert_eq!(report.diagnostics, []);
    assert_eq!(report.added, [key("1.0"), key("1.1")]);
    let at = |version: &str| {
        let model = registry.object(40001, Some(version.parse().unwrap()))?;
        Some(model.name.to_string())
    };
    assert_eq!(at("1.0").as_deref(), Some("First"));
    assert_eq!(at("1.9").as_deref(), Some("Second"));
    assert_eq!(at("2.0"), None);

    put("b.xml", "2.0", "Third");
    let report = load(&registry, &folder);
    assert_eq!(
        (report.added, report.removed),
        (vec![key("2.0")], vec![key("1.1")])
    );
    assert_eq!(at("1.9").as_deref(), Some("First"));
    assert_eq!(name(&registry, 40001).as_deref(), Some("Third"));
}

#[test]
fn a_file_that_strict_mode_refuses_leaves_its_models_in_service() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.xml", 40001, "A");
    let registry = Registry::empty();
    let strict = Parser::new(Strictness::Strict);
    registry.load_dir_with(folder.path(), &strict).unwrap();
    let unclear = format!("<LWM2M>stray{}</LWM2M>", object(40001, "", ITEM));
    fs::write(folder.path().join("a.xml"), &unclear).unwrap();
    let report = registry.load_dir_with(folder.path(), &strict).unwrap();
    assert_eq!((report.files, report.kept), (0, keys(&[40001])));
    let severities: Vec<_> = report
        .diagnostics
        .iter()
        .map(|found| found.severity)
        .collect();
    assert_eq!(severities, [Severity::Warning, Severity::Error]);
    assert_eq!(name(&registry, 40001).as_deref(), Some("A"));
    // What is clear is understood where nobody is strict.
    assert_eq!(load(&registry, &folder).changed, keys(&[40001]));
    assert_eq!(name(&registry, 40001).as_deref(), Some("Door"));
}
