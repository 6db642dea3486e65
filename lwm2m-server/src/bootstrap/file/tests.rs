//! A file that is there, changes, breaks, and goes.

use super::*;

#[test]
fn a_file_is_followed_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let store = FileBootstrap::open(&path, None).expect("no file is no plan");
    let plans = || {
        let devices = store.shared.devices.read().expect("nobody panics");
        devices.len()
    };
    assert_eq!(plans(), 0);
    let device = "[[device]]\nendpoint = \"a\"\n";
    fs::write(&path, device.repeat(2)).expect("written");
    assert!(store.reload().expect("a good file"));
    assert!(!store.reload().expect("the same file"));
    assert_eq!(plans(), 2);
    fs::write(&path, "[[device]]\n").expect("written");
    let error = store.reload().expect_err("a broken file").to_string();
    assert!(
        error.contains("bootstrap.toml: line 1: missing field"),
        "{error}"
    );
    assert_eq!(plans(), 2);
    fs::remove_file(&path).expect("removed");
    assert!(store.reload().expect("no file"));
    assert_eq!(plans(), 0);
}
