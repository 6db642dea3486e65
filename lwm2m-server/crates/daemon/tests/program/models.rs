//! The models directory of a running server: files come, change, break and go.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo::BINARY;

/// A server with a configuration of its own, stopped when dropped.
struct Running {
    child: Child,
    http: String,
}

impl Running {
    fn start(folder: &Path) -> Running {
        let config = "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\n\
                      security_mode = \"nosec\"\n[http]\nbind = \"127.0.0.1:0\"\n\
                      [models]\ndirectory = \"objects\"\n";
        let file = folder.join("lwm2m-server.toml");
        fs::write(&file, config).expect("written");
        // Started elsewhere: the directory is the one beside the file.
        let mut child = Command::new(BINARY)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let line = lines.find(|line| line.starts_with("http://"));
        let http = line.expect("an address");
        let http = http.trim_end_matches("/api/v1").to_owned();
        Running { child, http }
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

    /// What `models` says once it says this.
    fn models(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.cli(&["models", "--json"]);
            let models = serde_json::from_str(&text).expect("JSON");
            if holds(&models) {
                return models;
            }
            assert!(Instant::now() < deadline, "not so: {}", models["directory"]);
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name of the object of the example in service.
fn name(models: &Value) -> Option<&str> {
    let objects = models["objects"].as_array().expect("a list");
    let object = objects.iter().find(|object| object["id"] == 26241)?;
    object["name"].as_str()
}

#[test]
fn the_server_follows_its_models_directory() {
    const XML: &str = include_str!("../../../../examples/water-meter.xml");
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let models = running.models(|_| true);
    assert_eq!(models["directory"]["reason"]["code"], "models-missing");
    assert_eq!(name(&models), None);
    assert!(running.cli(&["models"]).contains("Connectivity Monitoring"));

    let directory = folder.path().join("objects");
    fs::create_dir(&directory).expect("made");
    let file = directory.join("meter.xml");
    fs::write(&file, XML).expect("written");
    let models = running.models(|models| name(models) == Some("Water Meter"));
    assert_eq!(models["directory"]["added"][0], "26241/1.0");
    let table = running.cli(&["models", "26241", "1.0"]);
    assert!(table.contains("Tariff Limit"), "{table}");

    fs::write(&file, XML.replace(">Water Meter<", ">Flow Meter<")).expect("written");
    running.models(|models| name(models) == Some("Flow Meter"));

    // In one step: what is wrong with half a file is something else.
    let draft = folder.path().join("draft");
    fs::write(&draft, XML.replace("</Object>", "")).expect("written");
    fs::rename(&draft, &file).expect("renamed");
    let models = running.models(|models| models["directory"]["errors"] == 1);
    assert_eq!(name(&models), Some("Flow Meter"), "the old one serves");
    let finding = &models["directory"]["findings"][0];
    assert!(finding["line"].as_u64() > Some(1), "{finding}");
    let text = running.cli(&["models"]);
    let place = format!("{}:{}", file.display(), finding["line"]);
    assert!(text.contains(&place), "{place} is not in {text}");
    let status = running.cli(&["status"]);
    assert!(status.contains("models errors"), "{status}");

    fs::remove_file(&file).expect("removed");
    running.models(|models| name(models).is_none());
}
