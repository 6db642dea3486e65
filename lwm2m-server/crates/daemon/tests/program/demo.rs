//! A running demo on free ports.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lwm2m-server");

/// The names of the simulated devices.
const DEVICES: [&str; 3] = ["demo-meter", "demo-thermometer", "demo-tracker"];

/// `lwm2m-server --demo`, stopped when dropped.
pub(crate) struct Demo {
    child: Child,
    /// Where commands are run: what they write is gone afterwards.
    folder: tempfile::TempDir,
    /// As in `http://127.0.0.1:40001`.
    pub(crate) http: String,
    /// As in `coap://127.0.0.1:40002`.
    pub(crate) coap: String,
    /// What it printed when it started.
    pub(crate) welcome: String,
}

impl Demo {
    /// Starts it and waits until its three devices are registered.
    pub(crate) fn start() -> Demo {
        let mut child = Command::new(BINARY)
            .args(["--demo", "--coap-port", "0", "--http-port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut welcome = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        while !welcome.contains("Ctrl-C") {
            let read = output.read_line(&mut welcome).expect("it prints text");
            assert_ne!(read, 0, "the demo ended after: {welcome}");
        }
        let address = |scheme: &str| {
            let start = welcome.find(scheme).expect("an address");
            let rest = &welcome[start..];
            let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
            rest[..end].to_owned()
        };
        let http = address("http://").trim_end_matches("/api/v1").to_owned();
        let demo = Demo {
            http,
            coap: address("coap://"),
            child,
            folder: tempfile::tempdir().expect("a folder"),
            welcome,
        };
        demo.wait_for_devices();
        demo
    }

    /// Runs a command of the CLI against it.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .env("LWM2M_SERVER", &self.http)
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts")
    }

    fn wait_for_devices(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = self.cli(&["clients", "--json"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if DEVICES.iter().all(|device| text.contains(device)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the devices did not register: {text}"
            );
            std::thread::yield_now();
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
