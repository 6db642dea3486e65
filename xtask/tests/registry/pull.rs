//! What a pull brings, keeps and refuses to lose.

use std::fs;
use std::path::Path;

use crate::fixture::{self, definition, embedded, index, names, read, registry};
use crate::program::{pull, run};
use crate::server::{Answer, Server};

#[test]
fn brings_what_the_index_names_and_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    let outcome = pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(outcome.stdout.contains("added: 5"), "{outcome:?}");
    assert!(outcome.stdout.contains("without a file: 1"), "{outcome:?}");

    let mut files = read(&folder.path().join("objects"));
    let lock = String::from_utf8(files.remove("registry.lock").unwrap()).unwrap();
    assert_eq!(files, registry());
    assert!(lock.contains(&format!("source = \"{}\"", server.url())));
    assert_eq!(lock.matches(".xml\" = ").count(), 5);
    assert_eq!(names(folder.path()), ["objects"], "nothing is left behind");

    let again = pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(again.stdout.contains("added: 0, changed: 0, removed: 0"));
    assert_eq!(names(folder.path()), ["objects"]);
}

#[test]
fn brings_companions_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = registry();
    let common = "<LWM2M><Object ObjectType=\"CommonResources\"><Resources><Item ID=\"5500\">\
        <Name>A</Name><Operations>R</Operations><Type>Boolean</Type></Item></Resources></Object>\
        </LWM2M>";
    files.insert("Common.xml".to_owned(), common.into());
    files.insert("LWM2M_senml_units.xml".to_owned(), "<units/>".into());
    let server = Server::new(&files);
    pull(folder.path(), &server.url(), &[]).succeeds();
    let mut found = read(&folder.path().join("objects"));
    found.remove("registry.lock").unwrap();
    assert_eq!(found, files);
}

#[test]
fn brings_every_embedded_object() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../object-registry/objects");
    let files = embedded();
    let server = Server::new(&files);
    let outcome = pull(folder.path(), &server.url(), &["--jobs", "8"]).succeeds();
    assert!(
        outcome.stderr.contains("50 of "),
        "plain lines: {outcome:?}"
    );
    let mut found = read(&folder.path().join("objects"));
    found.remove("registry.lock").unwrap();
    assert_eq!(found, files);
    run(folder.path(), &["check", "objects"]).succeeds();
    let diff = run(
        folder.path(),
        &["diff", objects.to_str().unwrap(), "objects"],
    )
    .succeeds();
    assert!(
        diff.stdout
            .starts_with("versions added: 0, removed: 0, changed: 0")
    );
}

#[test]
fn line_ends_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = folder.path().join("checkout");
    let mut files = registry();
    for content in files.values_mut() {
        *content = String::from_utf8_lossy(content)
            .replace('\n', "\r\n")
            .into();
    }
    fixture::write(&checkout, &files);
    let server = Server::new(&registry());
    pull(folder.path(), &server.url(), &["--into", "lf"]).succeeds();
    pull(folder.path(), "checkout", &["--into", "crlf"]).succeeds();
    let sums = |name: &str| {
        let lock = fs::read_to_string(folder.path().join(name).join("registry.lock")).unwrap();
        lock.split_once("[files]").unwrap().1.to_owned()
    };
    assert_eq!(sums("lf"), sums("crlf"));
    // The lock of one is true of the other: also when a checkout turned its line ends around.
    pull(folder.path(), "checkout", &["--into", "lf", "--locked"]).succeeds();
}

#[test]
fn only_brings_these_objects() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    let only = ["--only", "3,3000..4000"];
    pull(folder.path(), &server.url(), &only).succeeds();
    let objects = folder.path().join("objects");
    let expected = [
        "3.xml",
        "3303.xml",
        "DDF.xml",
        "registry.lock",
        "version_history",
    ];
    assert_eq!(names(&objects), expected);
    assert!(!server.requests().contains(&"5.xml".to_owned()));

    // Objects that are not wanted any more go, and the lock knows what was wanted.
    pull(folder.path(), &server.url(), &["--only", "5"]).succeeds();
    assert_eq!(names(&objects), ["5.xml", "DDF.xml", "registry.lock"]);
    run(folder.path(), &["pull", "--locked"]).succeeds();
    assert_eq!(names(&objects), ["5.xml", "DDF.xml", "registry.lock"]);

    let unknown = pull(folder.path(), &server.url(), &["--only", "3,77,80..90"]);
    unknown.fails_with(&["no object 77", "no object 80..90", "correct --only"]);
    pull(folder.path(), &server.url(), &["--only", "x"]).fails_with(&["not an object id"]);
}

#[test]
fn changed_content_is_reported_and_refused_when_locked() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let server = Server::new(&registry());
    pull(folder.path(), &server.url(), &["--locked"]).fails_with(&["no registry.lock"]);
    pull(folder.path(), &server.url(), &[]).succeeds();
    let before = read(&objects);

    let changed = definition(5, "1.0", "Firmware, edited in place");
    server.answer("5.xml", Answer::Content(changed.clone().into()));
    let locked = pull(folder.path(), &server.url(), &["--locked"]);
    locked.fails_with(&["5.xml: its sum is", "the lock says", "without --locked"]);
    assert_eq!(read(&objects), before);

    let pulled = pull(folder.path(), &server.url(), &[]).succeeds();
    assert!(
        pulled.stdout.contains("changed in place: 5.xml"),
        "{pulled:?}"
    );
    assert_eq!(read(&objects)["5.xml"], changed.as_bytes());
    run(folder.path(), &["pull", "--locked"]).succeeds();

    let rows = [(5, "1.0", "5.xml")];
    server.answer("DDF.xml", Answer::Content(index(&rows).into()));
    let locked = pull(folder.path(), &server.url(), &["--locked"]);
    locked.fails_with(&["DDF.xml: its sum is"]);
}

#[test]
fn a_lock_restores_files_that_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let server = Server::new(&registry());
    pull(folder.path(), &server.url(), &[]).succeeds();
    let before = read(&objects);
    fs::remove_file(objects.join("3.xml")).unwrap();
    fs::remove_dir_all(objects.join("version_history")).unwrap();
    run(folder.path(), &["pull", "--locked"]).succeeds();
    assert_eq!(read(&objects), before);
}

#[test]
fn files_of_the_user_stay() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let server = Server::new(&registry());
    run(folder.path(), &["new", "42769", "Water Meter"]).succeeds();
    fs::create_dir_all(objects.join("notes/deep")).unwrap();
    fs::write(objects.join("notes/deep/a.txt"), "a").unwrap();
    let own = read(&objects);
    pull(folder.path(), &server.url(), &[]).succeeds();
    pull(folder.path(), &server.url(), &["--only", "3"]).succeeds();
    let found = read(&objects);
    assert!(own.iter().all(|(path, content)| found[path] == *content));
    assert!(found.contains_key("3.xml") && !found.contains_key("5.xml"));
}

#[test]
fn edited_and_foreign_files_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let server = Server::new(&registry());
    fs::create_dir(&objects).unwrap();
    fs::write(objects.join("3.xml"), "mine").unwrap();
    let refused = pull(folder.path(), &server.url(), &[]);
    refused.fails_with(&["3.xml", "--overwrite"]);
    assert_eq!(fs::read(objects.join("3.xml")).unwrap(), b"mine");
    pull(folder.path(), &server.url(), &["--overwrite"]).succeeds();

    fs::write(objects.join("5.xml"), "mine").unwrap();
    pull(folder.path(), &server.url(), &[]).fails_with(&["5.xml", "were edited"]);
    assert_eq!(fs::read(objects.join("5.xml")).unwrap(), b"mine");
    pull(folder.path(), &server.url(), &["--overwrite"]).succeeds();
    assert_eq!(read(&objects)["5.xml"], registry()["5.xml"]);
}

#[test]
fn folders_with_more_in_them_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    let here = pull(folder.path(), &server.url(), &["--into", "."]);
    here.fails_with(&["replaced as a whole"]);
    fs::create_dir_all(folder.path().join("repository/.git")).unwrap();
    let repository = pull(folder.path(), &server.url(), &["--into", "repository"]);
    repository.fails_with(&["replaced as a whole"]);
    fs::write(folder.path().join("file"), "").unwrap();
    pull(folder.path(), &server.url(), &["--into", "file"]).fails_with(&["is a file"]);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_commit_pins_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let files = registry();
    let pinned = files
        .into_iter()
        .map(|(path, content)| (format!("{commit}/{path}"), content));
    let server = Server::new(&pinned.collect());
    let source = format!("{}{{commit}}/", server.url());
    pull(folder.path(), &source, &["--commit", commit]).succeeds();
    let lock = fs::read_to_string(folder.path().join("objects/registry.lock")).unwrap();
    assert!(lock.contains(&format!("commit = \"{commit}\"")), "{lock}");
    server.requests();
    run(folder.path(), &["pull", "--locked"]).succeeds();
    let requests = server.requests();
    assert!(
        requests.iter().all(|path| path.starts_with(commit)),
        "{requests:?}"
    );

    pull(folder.path(), &source, &["--commit", "main"]).fails_with(&["pins nothing"]);
    let bare = pull(folder.path(), &server.url(), &["--commit", commit]);
    bare.fails_with(&["{commit}"]);
    // Without a commit it is the published branch.
    let branch = pull(folder.path(), &source, &["--into", "other"]);
    branch.fails_with(&["DDF.xml", "404"]);
    assert!(server.requests().contains(&"prod/DDF.xml".to_owned()));
}
