//! Everything that a registry, or the way to it, can do wrong.

use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{definition, index, names, read, registry};
use crate::program::pull;
use crate::server::{Answer, Server};

/// A pull into a folder that was filled before fails with these words, and changes nothing.
#[track_caller]
fn leaves_the_folder_alone(break_it: impl Fn(&Server), arguments: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let server = Server::new(&registry());
    pull(folder.path(), &server.url(), &[]).succeeds();
    let before = read(&objects);
    break_it(&server);
    pull(folder.path(), &server.url(), arguments).fails_with(words);
    assert_eq!(read(&objects), before);
}

#[test]
fn a_file_that_is_not_there() {
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::Status(404)),
        &[],
        &[
            "3.xml: it is not there (404 Not Found)",
            "check --source",
            "is as it was",
        ],
    );
}

#[test]
fn an_index_that_is_not_there_or_none() {
    let not_there = |server: &Server| server.answer("DDF.xml", Answer::Status(404));
    leaves_the_folder_alone(not_there, &[], &["DDF.xml: it is not there"]);
    let none = Answer::Content(definition(3, "1.0", "N").into());
    leaves_the_folder_alone(
        |server| server.answer("DDF.xml", none.clone()),
        &[],
        &["this is no index of a registry", "<DDFList>"],
    );
}

#[test]
fn a_transfer_that_is_cut_short() {
    let content = registry()["3.xml"].clone();
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::Cut(content.clone())),
        &["--retries", "1"],
        &["3.xml: the connection failed", "check the network"],
    );
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::CutChunked(content.clone())),
        &["--retries", "0"],
        &["3.xml: the connection failed"],
    );
    // Cut by somebody on the way who also corrected the length.
    let half = content[..content.len() / 2].to_vec();
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::Content(half.clone())),
        &[],
        &["3.xml: line ", "not well-formed", "cut short"],
    );
}

#[test]
fn a_server_that_says_nothing() {
    // Time enough for a busy machine to answer with the others.
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::Silence),
        &["--timeout", "3", "--retries", "0"],
        &["3.xml: no complete answer came in time", "--timeout"],
    );
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    let content = registry()["3.xml"].clone();
    server.answer("3.xml", Answer::Late(2, content));
    let impatient = pull(folder.path(), &server.url(), &["--retries", "0"]);
    impatient.fails_with(&["3.xml: the server answers with status 503", "later"]);
    pull(folder.path(), &server.url(), &["--retries", "1"]).succeeds();
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let content = registry()["3.xml"].clone();
    for lines in [
        "Retry-After: 1",
        "Date: Fri, 31 Dec 1999 23:59:59 GMT\r\nRetry-After: Sat, 01 Jan 2000 00:00:00 GMT",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new(&registry());
        server.answer("3.xml", Answer::Pause(lines, content.clone()));
        let start = Instant::now();
        let outcome = pull(folder.path(), &server.url(), &["--retries", "1"]).succeeds();
        assert!(start.elapsed() >= Duration::from_secs(1), "{lines}");
        let said = "the server asks for a pause of 1 s";
        assert!(outcome.stderr.contains(said), "{outcome:?}");
    }
}

#[test]
fn a_pause_that_is_too_long_is_left_to_people() {
    leaves_the_folder_alone(
        |server| server.answer("3.xml", Answer::Refusal(429, "Retry-After: 3600")),
        &["--retries", "20"],
        &[
            "3.xml: the server answers with status 429 and asks for a pause of 3600 s",
            "run the command again",
        ],
    );
}

#[test]
fn content_in_pieces_is_content() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    for (path, content) in registry() {
        server.answer(&path, Answer::Chunked(content));
    }
    pull(folder.path(), &server.url(), &[]).succeeds();
    let expected = &registry()["3.xml"];
    assert_eq!(&read(&folder.path().join("objects"))["3.xml"], expected);
}

#[test]
fn redirects_are_followed_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    let content = registry()["3.xml"].clone();
    let redirect = |path: &str, target: &str| {
        server.answer(path, Answer::Redirect(target.to_owned()));
    };
    redirect("3.xml", "/a/1");
    for hop in 1..5 {
        redirect(&format!("a/{hop}"), &format!("{}", hop + 1));
    }
    server.answer("a/5", Answer::Content(content.clone()));
    pull(folder.path(), &server.url(), &[]).succeeds();
    assert_eq!(read(&folder.path().join("objects"))["3.xml"], content);

    redirect("a/5", "6");
    server.answer("a/6", Answer::Content(content));
    let long = pull(folder.path(), &server.url(), &[]);
    long.fails_with(&["3.xml: the redirect goes on after 5 others"]);
    redirect("3.xml", &format!("{}3.xml", server.url()));
    let circle = pull(folder.path(), &server.url(), &[]);
    circle.fails_with(&["3.xml: the redirect goes on after 5 others", "--source"]);
    let to_file = Answer::Redirect("file:///etc/hostname".to_owned());
    server.answer("3.xml", to_file);
    let file = pull(folder.path(), &server.url(), &[]);
    file.fails_with(&["3.xml: the redirect to file:///etc/hostname is refused"]);
    server.answer("3.xml", Answer::Redirect(String::new()));
    let nowhere = pull(folder.path(), &server.url(), &[]);
    nowhere.fails_with(&["3.xml: the redirect has no Location"]);
}

#[test]
fn paths_that_lead_elsewhere() {
    for path in [
        "../secret.xml",
        "/etc/secret.xml",
        "version_history/../../secret.xml",
        "C:\\secret.xml",
        "other/secret.xml",
        "https://example.com/secret.xml",
        "secret.txt",
        "ddf.xml",
        "registry.lock",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let mut files = registry();
        let rows = [(3, "1.1", "3.xml"), (7, "1.0", path)];
        files.insert("DDF.xml".to_owned(), index(&rows).into());
        let server = Server::new(&files);
        let place = path.trim_start_matches('/');
        server.answer(place, Answer::Content(definition(7, "1.0", "N").into()));
        pull(&inside, &server.url(), &[]).fails_with(&["DDF.xml", "failed"]);
        assert_eq!(names(folder.path()), ["inside"], "{path}");
        assert_eq!(names(&inside), [".objects.pulling"], "{path}");
        assert!(
            !server.requests().iter().any(|asked| asked == place),
            "{path}"
        );
        // The rest of the registry is not held back for those who do not want this object.
        pull(&inside, &server.url(), &["--only", "3"]).succeeds();
    }
}

#[test]
fn a_file_of_another_object() {
    let other = Answer::Content(definition(5, "1.1", "N").into());
    leaves_the_folder_alone(
        |server| server.answer("3.xml", other.clone()),
        &[],
        &["3.xml: it defines object 5 version 1.1, not object 3 version 1.1"],
    );
    let page = Answer::Content("<html><body>Please log in</body></html>".into());
    leaves_the_folder_alone(
        |server| server.answer("3.xml", page.clone()),
        &[],
        &["3.xml: line 1: the root element is <html>"],
    );
}

#[test]
fn a_file_at_and_above_the_limit() {
    let padded = |bytes: usize| {
        let mut content = registry()["3.xml"].clone();
        content.resize(bytes, b' ');
        Answer::Content(content)
    };
    let max = 1 << 20;
    leaves_the_folder_alone(
        |server| server.answer("3.xml", padded(max + 1)),
        &[],
        &["3.xml: it has more than 1048576 bytes"],
    );
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    server.answer("3.xml", padded(max));
    pull(folder.path(), &server.url(), &[]).succeeds();
}

#[test]
fn all_failures_are_named_and_the_rest_can_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&registry());
    server.answer("3.xml", Answer::Status(404));
    server.answer("5.xml", Answer::Status(403));
    let words = [
        "3.xml: it is not there",
        "5.xml: the server answers with status 403",
    ];
    let all = pull(folder.path(), &server.url(), &[]).fails_with(&words);
    assert!(all.stderr.contains("2 files failed"), "{all:?}");
    assert!(!folder.path().join("objects").exists());
    let partial = pull(folder.path(), &server.url(), &["--partial"]);
    partial
        .fails_with(&words)
        .fails_with(&["are missing in objects"]);
    let expected = ["3303.xml", "DDF.xml", "registry.lock", "version_history"];
    assert_eq!(names(&folder.path().join("objects")), expected);
}

#[test]
fn places_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    for (source, word) in [
        ("nowhere", "is no folder"),
        ("ftp://127.0.0.1/", "only http and https"),
        ("file:///tmp/", "file"),
        ("http://user:secret@127.0.0.1/", "leave it out"),
        ("http://127.0.0.1/?a=b", "leave out `?`"),
        ("http://", "--source http://"),
    ] {
        pull(folder.path(), source, &[]).fails_with(&[word]);
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let refused = pull(folder.path(), &url, &["--retries", "1"]);
    refused.fails_with(&["DDF.xml: the connection failed", "check the network"]);
}

#[test]
fn https_is_spoken_and_a_server_that_does_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        first
    });
    let refused = pull(folder.path(), &url, &["--retries", "0"]);
    refused.fails_with(&["DDF.xml: the connection failed"]);
    let [first] = server.join().unwrap();
    assert_eq!(first, 22, "a TLS handshake (RFC 8446 §5.1)");
}
