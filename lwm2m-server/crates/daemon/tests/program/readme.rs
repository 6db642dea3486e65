//! Every command that the README and the demo show.

use std::process::Command;

use crate::demo::{BINARY, Demo};

const README: &str = include_str!("../../../../../README.md");

#[test]
fn the_commands_of_the_readme_work_when_pasted() {
    let demo = Demo::start();
    let mut ran = 0;
    for command in shown(README) {
        let command = command
            .replace("http://127.0.0.1:8080", &demo.http)
            .replace("coap://127.0.0.1:5683", &demo.coap);
        if run(&demo, &command) {
            ran += 1;
        }
    }
    assert!(ran >= 15, "the README shows {ran} commands");
}

#[test]
fn the_commands_of_the_welcome_work_when_pasted() {
    let demo = Demo::start();
    let commands: Vec<&str> = demo
        .welcome
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("cargo run") || line.starts_with("curl "))
        .collect();
    assert_eq!(commands.len(), 3, "{}", demo.welcome);
    for command in commands {
        assert!(run(&demo, command), "{command}");
    }
}

#[test]
fn the_configuration_of_the_readme_starts_a_server() {
    let text = block(README, "```toml")
        .replace("5683", "0")
        .replace("8080", "0");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lwm2m-server.toml");
    std::fs::write(&file, text).expect("the file is written");
    let mut child = Command::new(BINARY)
        .arg("--config")
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(
        child.stdout.take().expect("its output is piped"),
    ));
    let first = lines.next().expect("a line").expect("text");
    let _ = child.kill();
    let _ = child.wait();
    assert!(first.starts_with("coap://0.0.0.0:"), "{first}");
}

/// The lines that start with `$ ` in the console blocks.
fn shown(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("$ "))
}

fn block<'t>(text: &'t str, opening: &str) -> &'t str {
    let start = text.find(opening).expect("the block opens") + opening.len();
    let length = text[start..].find("```").expect("the block closes");
    &text[start..start + length]
}

/// Runs one command as it is shown; false for those that other tests run.
fn run(demo: &Demo, command: &str) -> bool {
    if command == "cargo run --release -- --demo" || command == "cargo test --workspace" {
        return false; // the demo runs already, and so do the tests
    }
    if command.starts_with("cargo xtask registry ") {
        return false; // the tests of xtask run these, against a registry of their own
    }
    if let Some(arguments) = command.strip_prefix("cargo run --release -- ") {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = demo.cli(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        assert!(!output.stdout.is_empty(), "{command} prints nothing");
        return true;
    }
    if let Some(arguments) = command.strip_prefix("curl ") {
        let answer = curl(arguments);
        assert!(answer.contains('{'), "{command}: {answer}");
        return true;
    }
    if let Some(arguments) = command.strip_prefix("cargo run --release -p lwm2m-device -- ") {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "lwm2m-device", "--"])
            .args(arguments.split(' '))
            .output()
            .expect("cargo starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        return true;
    }
    panic!("nothing runs `{command}`");
}

/// Does what these curl arguments ask for.
pub(crate) fn curl(arguments: &str) -> String {
    let url = arguments
        .split(' ')
        .find(|word| word.starts_with("http://"))
        .expect("a URL");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(true)
        .build()
        .into();
    let response = match arguments.split_once("-d '") {
        None => agent.get(url).call(),
        Some((before, rest)) => {
            assert!(before.contains("-X PUT"), "{arguments}");
            let body = rest.split('\'').next().expect("a body");
            agent
                .put(url)
                .header("content-type", "application/json")
                .send(body)
        }
    };
    response
        .expect(arguments)
        .body_mut()
        .read_to_string()
        .expect("text")
}
