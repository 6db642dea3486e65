//! Wrong arguments, wrong files, wrong servers: each ends in a sentence that says what to do.

use std::process::{Command, Output};

use crate::demo::{BINARY, Demo};

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn fails_with(output: &Output, part: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded");
    assert!(text.contains(part), "'{part}' is not in: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_listener_that_is_not_known_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "[[listener]]\nuri = \"mqtt://0.0.0.0:1883\"\n").expect("written");
    let output = run(&["--config", &file.to_string_lossy()]);
    fails_with(&output, "mqtt://0.0.0.0:1883");
    fails_with(&output, "coaps://");
}

#[test]
fn a_configuration_error_names_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "[server]\nbind_port = 5683\nbind_prot = 1\n").expect("written");
    let output = run(&["--config", &file.to_string_lossy()]);
    for part in [
        "wrong.toml",
        "line 3",
        "bind_prot",
        "did you mean `bind_port`?",
    ] {
        fails_with(&output, part);
    }
    fails_with(
        &run(&["--config", "/nowhere/at-all.toml"]),
        "/nowhere/at-all.toml",
    );
}

#[test]
#[cfg(not(feature = "webrtc-dtls"))]
fn a_backend_that_is_not_compiled_in_is_named_with_its_feature() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backend.toml");
    let text = "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\n\
                [http]\nbind = \"127.0.0.1:0\"\n[dtls]\nbackend = \"webrtc-dtls\"\n";
    std::fs::write(&file, text).expect("written");
    let output = run(&["--config", &file.to_string_lossy()]);
    fails_with(
        &output,
        "is not compiled in: build with the feature `webrtc-dtls`",
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    fails_with(
        &run(&["--demo", "--coap-port", &port, "--http-port", "0"]),
        &port,
    );
}

#[test]
fn no_server_is_a_sentence() {
    // A port that is taken, and where nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}", taken.local_addr().expect("an address"));
    fails_with(&run(&["--server", &url, "clients"]), "no server answers");
    fails_with(
        &run(&["--server", "https://x", "clients"]),
        "http://HOST:PORT",
    );
}

#[test]
fn wrong_arguments_are_sentences_and_never_panics() {
    let demo = Demo::start();
    let device = "demo-meter";
    for (arguments, part) in [
        (&["read", "nobody", "/3/0"][..], "registered"),
        (&["read", device, "3/0"], "no LwM2M path"),
        (&["read", device, "/3/0/9/9/9"], "no LwM2M path"),
        (&["read", device, "/65535"], "no LwM2M path"),
        (&["read", device, "/3/0/0", "--format", "xml"], "format"),
        (&["write", device, "/3/0/14"], "nothing to write"),
        (&["write", device, "/1/0/1", "ten"], "Integer"),
        (&["write", device, "/3/0/0", "x"], "/3/0/0"),
        (&["exec", device, "/3/0/0"], "/3/0/0"),
        (&["exec", device, "/1/0/8", "not arguments"], "arguments"),
        (&["discover", device, "/3", "--depth", "9"], "depth"),
        (&["attributes", device, "/3/0/9", "pmin=soon"], "pmin"),
        (&["attributes", device, "/3/0/9", "gt=1", "lt=9"], "lt"),
        (&["attributes", device, "/3/0/9", "speed=9"], "speed"),
        (&["cancel", device, "424242"], "observation"),
        (&["create", device, "/3"], "object 3 has one instance"),
        (&["delete", device, "/3/0/0"], "/3/0/0"),
        (&["observe", device, "/"], "/"),
        (&["read", "a/b?c#d%", "/3"], "registered"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = demo.cli(arguments);
        fails_with(&output, part);
    }
}

#[test]
fn problems_are_json_for_programs() {
    let demo = Demo::start();
    let output = demo.cli(&["--json", "read", "nobody", "/3/0"]);
    assert!(!output.status.success());
    let problem: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(problem["status"], 404, "{problem}");
}
