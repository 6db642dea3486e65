//! Observe rules of the binary: from its configuration, from commands, and after a restart.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lwm2m_core::Version;
use lwm2m_device::objects::{DeviceObject, Temperature};
use lwm2m_device::{Device, DeviceHandle};
use serde_json::{Value, json};

use crate::demo::BINARY;

const GUIDE: &str = include_str!("../../../../../docs/observe.md");

const DEVICE: &str = "urn:imei:350000000000001";

/// A server in a folder of somebody else; stopped when dropped.
struct Running {
    child: Child,
    coap: SocketAddr,
    http: String,
}

impl Running {
    /// Starts one whose configuration ends with `observe`.
    fn start(folder: &Path, observe: &str) -> Running {
        configure(folder, observe);
        let mut child = Command::new(BINARY)
            .arg("--config")
            .arg(folder.join("lwm2m-server.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let coap = lines.next().expect("a line");
        let coap = coap.strip_prefix("coap://").expect("its first listener");
        let coap = coap.parse().expect("an address");
        let line = lines.find(|line| line.starts_with("http://"));
        let http = line.expect("an address").replace("/api/v1", "");
        Running { child, coap, http }
    }

    async fn device(&self) -> DeviceHandle {
        let version = Version::V1_1;
        let device = Device::builder(DEVICE)
            .server(self.coap)
            .version(version)
            .object(DeviceObject::minimal(version, "Model 500", "000000001"))
            .object(Temperature::new(2));
        let device = device.start().await.expect("a port");
        device.wait_registered().await.expect("it registers");
        device
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new(BINARY)
            .env("LWM2M_SERVER", &self.http)
            .args(arguments)
            .output()
            .expect("the binary starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.cli(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// What a command says once it says this. The device goes on meanwhile.
    async fn until(&self, arguments: &[&str], holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let said = self.json(arguments);
            if holds(&said) {
                return said;
            }
            assert!(Instant::now() < deadline, "{arguments:?}: {said}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until these are observed, each a list of paths.
    async fn observed(&self, expected: Value) -> Value {
        let wanted = expected.clone();
        let holds = move |said: &Value| {
            let all = said["observations"].as_array().expect("a list");
            let mut paths: Vec<&Value> = all.iter().map(|one| &one["paths"]).collect();
            paths.sort_by_key(|paths| paths.to_string());
            json!(paths) == wanted
        };
        self.until(&["observations", DEVICE], holds).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the configuration, whose last part is `observe`.
fn configure(folder: &Path, observe: &str) {
    let text = format!(
        "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\nsecurity_mode = \"nosec\"\n\
         [http]\nbind = \"127.0.0.1:0\"\n{observe}"
    );
    fs::write(folder.join("lwm2m-server.toml"), text).expect("written");
}

fn section(strategy: &str, paths: &[&str]) -> String {
    format!("[observe]\nstrategy = \"{strategy}\"\npaths = {paths:?}\n")
}

const PATHS: [&str; 2] = ["/3/0/0", "/3303/0/5700"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_read_again_when_the_configuration_changes_and_a_broken_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let running = Running::start(folder, &section("SINGLE", &PATHS));
    let _device = running.device().await;
    let before = running
        .observed(json!([["/3/0/0"], ["/3303/0/5700"]]))
        .await;
    configure(folder, &section("SINGLE", &PATHS[..1]));
    let after = running.observed(json!([["/3/0/0"]])).await;
    let same = |one: &&Value| one["paths"] == json!(["/3/0/0"]);
    let first = before["observations"]
        .as_array()
        .expect("a list")
        .iter()
        .find(same);
    assert_eq!(
        first.expect("it stood")["id"],
        after["observations"][0]["id"]
    );

    for (broken, parts) in [
        (
            section("SINGEL", &PATHS),
            ["line 8", "strategy", "`SINGLE`"],
        ),
        (section("SINGLE", &["3/0/0"]), ["line 9", "paths", "3/0/0"]),
        (
            format!("{}[limit]\n", section("SINGLE", &PATHS)),
            ["line 10", "limit", "`limits`"],
        ),
        (
            "[[observe.rule]]\nendpoint = \"a\"\n".to_owned(),
            ["line 7", "strategy", "a"],
        ),
    ] {
        configure(folder, &broken);
        let refused = |said: &Value| {
            let message = said["refused"]["message"].as_str().unwrap_or_default();
            let mut parts = parts.iter().chain(&["lwm2m-server.toml"]);
            parts.all(|part| message.contains(part))
        };
        running.until(&["observe-rules", "list"], refused).await;
        let text = running.cli(&["observe-rules", "list"]);
        assert!(
            text.contains("was not taken") && text.contains("mend the file"),
            "{text}"
        );
        let rules = running.json(&["observe-rules", "list"]);
        assert_eq!(rules["rules"][0]["paths"], json!(["/3/0/0"]));
        running.observed(json!([["/3/0/0"]])).await;
    }
    let file = folder.join("lwm2m-server.toml");
    for (bytes, part) in [
        (b"[observe]\n# \xff\n".to_vec(), "line 2: this is no text"),
        (vec![b'\n'; (16 << 20) + 1], "more than 16777216 bytes"),
    ] {
        fs::write(&file, bytes).expect("written");
        let refused = |said: &Value| {
            let message = said["refused"]["message"].as_str().unwrap_or_default();
            message.contains(part) && message.contains("lwm2m-server.toml")
        };
        running.until(&["observe-rules", "list"], refused).await;
        running.observed(json!([["/3/0/0"]])).await;
    }
    configure(folder, &section("COMPOSITE_ALL", &PATHS));
    running.observed(json!([PATHS])).await;
    let rules = running.json(&["observe-rules", "list"]);
    assert_eq!(rules["refused"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_set_comes_before_the_configuration_after_a_restart_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let running = Running::start(folder, &section("SINGLE", &PATHS));
    let set = ["observe-rules", "set", "--strategy", "COMPOSITE_ALL"];
    running.cli(&set);
    drop(running);
    let running = Running::start(folder, &section("SINGLE", &PATHS[..1]));
    let _device = running.device().await;
    // The strategy alone was named, so the paths are those of the rule before.
    running.observed(json!([PATHS])).await;
    configure(folder, &section("SINGLE", &PATHS[1..]));
    running.cli(&["observe-rules", "remove", "*"]);
    running.observed(json!([["/3303/0/5700"]])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_were_set_are_read_again_when_their_file_is_edited() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let running = Running::start(folder, &section("SINGLE", &PATHS));
    let _device = running.device().await;
    let set = ["observe-rules", "set", "--strategy", "COMPOSITE_ALL"];
    running.cli(&set);
    running.observed(json!([PATHS])).await;
    let file = folder.join("observe.toml");
    let text = fs::read_to_string(&file).expect("the server has written it");
    let edited = text.replace("\"COMPOSITE_ALL\"", "\"COMPOSITE_BY_OBJECT\"");
    fs::write(&file, &edited).expect("written");
    let by_object = json!([["/3/0/0"], ["/3303/0/5700"]]);
    let standing = running.observed(by_object.clone()).await;
    let composites = standing["observations"].as_array().expect("a list");
    let is_composite = |one: &Value| one["composite"] == json!(true);
    assert!(composites.iter().all(is_composite), "{standing}");

    fs::write(&file, edited.replace("/3303/0/5700", "3303")).expect("written");
    let refused = |said: &Value| {
        let message = said["file_refused"]["message"].as_str().unwrap_or_default();
        let parts = ["observe.toml", "line 8", "paths", "3303"];
        parts.iter().all(|part| message.contains(part))
    };
    let rules = running.until(&["observe-rules", "list"], refused).await;
    assert_eq!(rules["rules"][0]["paths"], json!(PATHS));
    assert_eq!(rules["refused"], Value::Null);
    let text = running.cli(&["observe-rules", "list"]);
    assert!(
        text.contains("was not taken") && text.contains("mend the file"),
        "{text}"
    );
    // Nor is it written over.
    let output = Command::new(BINARY)
        .env("LWM2M_SERVER", &running.http)
        .args(["observe-rules", "remove", "*"])
        .output()
        .expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("mend it"),
        "{errors}"
    );
    running.observed(by_object).await;
    fs::remove_file(&file).expect("removed");
    let gone = |said: &Value| said["rules"][0]["set_by"] == json!("configuration");
    let rules = running.until(&["observe-rules", "list"], gone).await;
    assert_eq!(rules["file_refused"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_guide_work_when_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    let example = GUIDE.split("```toml\n").nth(1).expect("a block");
    let example = example.split("```").next().expect("its end");
    let running = Running::start(folder.path(), example);
    let _device = running.device().await;
    running
        .observed(json!([["/3/0/0"], ["/3303/0/5700"]]))
        .await;
    let mut ran = 0;
    for command in GUIDE.lines().filter_map(|line| line.strip_prefix("$ ")) {
        ran += 1;
        if let Some(arguments) = command.strip_prefix("lwm2m-server ") {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            assert!(!running.cli(&arguments).is_empty(), "{command}");
        } else {
            let command = command.replace("http://127.0.0.1:8080", &running.http);
            let answer = crate::readme::curl(&command);
            assert!(answer.contains('{'), "{command}: {answer}");
        }
        match ran {
            2 => drop(running.observed(json!([PATHS])).await),
            // The rule of the configuration counts again.
            4 => drop(
                running
                    .observed(json!([["/3/0/0"], ["/3303/0/5700"]]))
                    .await,
            ),
            6 => drop(running.observed(json!([["/3/0/0"]])).await),
            _ => {}
        }
    }
    assert_eq!(ran, 7);
    running
        .observed(json!([["/3/0/0"], ["/3303/0/5700"]]))
        .await;
    let table = running.cli(&["observe-rules", "list"]);
    assert!(
        table.contains("urn:imei:35*") && table.contains("configuration"),
        "{table}"
    );
    assert!(!table.contains("operator"), "{table}");

    // Cancelled by hand, and shown so.
    let observations = running.json(&["observations", DEVICE]);
    let id = observations["observations"][0]["id"].to_string();
    running.cli(&["cancel", DEVICE, &id]);
    let table = running.cli(&["observations", DEVICE]);
    assert!(table.contains("cancelled by hand"), "{table}");
}
