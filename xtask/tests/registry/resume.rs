//! A pull that was interrupted goes on where it stopped.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Stdio;

use crate::fixture::{definition, index, names, read, registry};
use crate::program::{command, pull};
use crate::server::{Answer, Server};

#[test]
fn goes_on_after_a_failure_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    server.answer("5.xml", Answer::Status(500));
    let failed = pull(folder.path(), &server.url(), &["--retries", "1"]);
    failed.fails_with(&["5.xml", "status 500", "goes on from there"]);
    assert_eq!(names(folder.path()), [".objects.pulling"]);
    let asked = server.requests();
    assert_eq!(asked.iter().filter(|path| *path == "5.xml").count(), 2);

    let content = registry()["5.xml"].clone();
    server.answer("5.xml", Answer::Content(content));
    let outcome = pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(
        outcome.stderr.contains("going on after 3 of 6"),
        "{outcome:?}"
    );
    let companions = ["Common.xml", "LWM2M_senml_units.xml"];
    let expected = ["5.xml", companions[0], "DDF.xml", companions[1]];
    assert_eq!(server.requests(), expected);
    let mut found = read(&folder.path().join("objects"));
    found.remove("registry.lock").unwrap();
    assert_eq!(found, registry());
    assert_eq!(names(folder.path()), ["objects"]);
}

#[test]
fn goes_on_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = registry();
    let rows: Vec<(u16, String)> = (10..40).map(|id| (id, format!("{id}.xml"))).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, path)| (*id, "1.0", path.as_str()))
        .collect();
    files.insert("DDF.xml".to_owned(), index(&rows).into());
    for (id, version, path) in &rows {
        files.insert((*path).to_owned(), definition(*id, version, "N").into());
    }
    let server = Server::new(&files);
    server.answer("30.xml", Answer::Silence);
    let requests = server.watch();
    let url = server.url();
    let arguments = ["pull", "--source", &url, "--jobs", "1"];
    let mut child = command(folder.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(requests.iter().any(|path| path == "30.xml"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(folder.path()), [".objects.pulling"]);
    // As when the power goes in the middle of a line.
    let journal = folder.path().join(".objects.pulling/registry.lock");
    let mut journal = OpenOptions::new().append(true).open(journal).unwrap();
    journal.write_all(b"\"39.xml\" = \"0").unwrap();
    fs::write(folder.path().join(".objects.pulling/38.part"), "<LWM2M>").unwrap();

    server.requests();
    server.answer("30.xml", Answer::Content(files["30.xml"].clone()));
    pull(folder.path(), &url, &[]).succeeds();
    let again = server.requests();
    let was_stored = |id: u16| !again.contains(&format!("{id}.xml"));
    // The last file before the end may have been on its way.
    assert!((10..29).all(was_stored), "{again:?}");
    assert!((30..40).all(|id| !was_stored(id)), "{again:?}");
    let found = read(&folder.path().join("objects"));
    assert!(rows.iter().all(|(_, _, path)| found[*path] == files[*path]));
    assert_eq!(found.len(), rows.len() + 2);
    assert_eq!(names(folder.path()), ["objects"]);
}

#[test]
fn starts_anew_when_the_registry_or_the_file_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let staged = folder.path().join(".objects.pulling");
    let server = Server::new(&registry());
    let interrupt = || {
        server.answer("5.xml", Answer::Status(404));
        pull(folder.path(), &server.url(), &[]).fails_with(&["5.xml"]);
        server.requests();
        let content = registry()["5.xml"].clone();
        server.answer("5.xml", Answer::Content(content));
    };
    let asked = |path: &str| server.requests().contains(&path.to_owned());

    interrupt();
    fs::write(staged.join("3.xml"), definition(3, "1.1", "Damaged")).unwrap();
    pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(asked("3.xml"), "a damaged file is fetched again");
    assert_eq!(
        read(&folder.path().join("objects"))["3.xml"],
        registry()["3.xml"]
    );

    interrupt();
    for (path, content) in registry() {
        server.answer(&format!("other/{path}"), Answer::Content(content));
    }
    let other = format!("{}other/", server.url());
    pull(folder.path(), &other, &[]).succeeds();
    assert!(asked("other/3.xml"), "of another place nothing counts");

    interrupt();
    let text = String::from_utf8(registry()["DDF.xml"].clone()).unwrap();
    let text = text.replace("<Owner>O<", "<Owner>P<");
    server.answer("DDF.xml", Answer::Content(text.into()));
    pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(asked("3.xml"), "with another index nothing counts");
}

#[cfg(unix)]
#[test]
fn two_pulls_do_not_work_in_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    server.answer("5.xml", Answer::Silence);
    let requests = server.watch();
    let url = server.url();
    let mut child = command(folder.path(), &["pull", "--source", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(requests.iter().any(|path| path == "5.xml"));
    pull(folder.path(), &url, &[]).fails_with(&["another pull is at work"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let content = registry()["5.xml"].clone();
    server.answer("5.xml", Answer::Content(content));
    pull(folder.path(), &url, &[]).succeeds();
}
