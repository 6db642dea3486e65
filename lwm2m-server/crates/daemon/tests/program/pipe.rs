//! Whoever reads what the program says may stop: it ends without a word then, and a server goes on.

use std::fs::File;
use std::io::{Read, pipe};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::demo::{BINARY, Demo};

/// Runs a command whose output nobody reads: how it ends, and what it complains of.
fn unread(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(BINARY)
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .output()
        .expect("the binary starts");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), complaints)
}

#[test]
fn a_command_ends_without_a_word_when_nobody_reads_it() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().expect("a folder");
    let server = demo.http.clone();
    for arguments in [
        &["plugin", "new", "first"][..],
        &["plugin", "new", "second", "--json"],
        &["plugin", "check", "plugins/first"],
        &["plugin", "test", "plugins/first"],
        &["keygen", "--name", "a.example", "--directory", "keys"],
        &["config"],
        &["--server", &server, "clients"],
        &["--server", &server, "--json", "clients"],
        &["--server", &server, "read", "demo-thermometer", "/3303/0"],
        &["--server", &server, "models"],
        // The problem document of a device that is not there.
        &["--server", &server, "--json", "read", "nobody", "/3"],
    ] {
        let (code, complaints) = unread(folder.path(), arguments);
        assert_eq!((code, &*complaints), (Some(141), ""), "{arguments:?}");
    }
    // Nothing was left undone.
    assert!(folder.path().join("plugins/first/plugin.toml").is_file());
    let (_, complaints) = unread(folder.path(), &["--help"]);
    assert_eq!(complaints, "");
}

#[test]
fn a_server_goes_on_when_nobody_reads_it() {
    let mut outcome = serves_unread();
    // A port that was free may be somebody else's by the time that the server is there.
    for _ in 0..9 {
        match &outcome {
            Err(complaints) if complaints.contains("in use") => outcome = serves_unread(),
            _ => break,
        }
    }
    assert_eq!(outcome, Ok(()));
}

/// Whether a server answers and goes on; if not, what it complains of.
fn serves_unread() -> Result<(), String> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut server = Command::new(BINARY)
        .args(["--demo", "--coap-port", "0", "--http-port", &port])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    let url = format!("http://127.0.0.1:{port}");
    let answers = || {
        let asked = Command::new(BINARY)
            .args(["--server", &url, "clients"])
            .output();
        asked.is_ok_and(|output| output.status.success())
    };
    let mut answered = answers();
    while !answered && Instant::now() < deadline && matches!(server.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(50));
        answered = answers();
    }
    let goes_on = matches!(server.try_wait(), Ok(None));
    server.kill().expect("it runs or has ended");
    server.wait().expect("it has ended");
    let mut complaints = String::new();
    let errors = server.stderr.take();
    let _ = errors.map(|mut errors| errors.read_to_string(&mut complaints));
    match answered && goes_on {
        true => Ok(()),
        false => Err(complaints),
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full");
    let output = Command::new(BINARY)
        .arg("config")
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the binary starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaints}");
    assert!(complaints.contains("cannot be written"), "{complaints}");
    assert!(!complaints.contains("panicked"), "{complaints}");
}
