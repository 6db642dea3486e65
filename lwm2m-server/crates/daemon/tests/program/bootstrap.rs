//! Bootstrap with the binary: a file of plans, a credential for each of the two servers, a device.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::demo::BINARY;

const README: &str = include_str!("../../../../../README.md");

/// A server in a folder of its own; stopped when dropped.
struct Running {
    folder: TempDir,
    child: Child,
    /// Where devices register.
    port: u16,
    /// Where they bootstrap.
    bootstrap: SocketAddr,
    http: String,
}

impl Running {
    /// Starts one with a key for each of its two servers; `plans` are given the port.
    fn start(plans: impl Fn(u16) -> Option<String>) -> Running {
        // A port that was free may be somebody else's by the time that the server is there.
        let mut ports = (0..10).map(|_| free_port());
        let started = ports.find_map(|port| Running::at(port, plans(port)));
        started.expect("the server starts; if not, it says why above")
    }

    /// The same at a port; none when it ends at once.
    fn at(port: u16, plans: Option<String>) -> Option<Running> {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write(
            "lwm2m-server.toml",
            format!(
                "[server]\nbind_address = \"127.0.0.1\"\nbind_port = {port}\nbootstrap_port = 0\n\
                 [http]\nbind = \"127.0.0.1:0\"\n"
            ),
        );
        let (first, second) = ("00".repeat(16), "11".repeat(16));
        write(
            "credentials.json",
            format!(
                "[{{\"id\":\"bootstrap\",\"mode\":\"psk\",\"identity\":\"first\",\"key\":\"{first}\",\
                 \"endpoints\":[\"meter-7\"]}},\n\
                 {{\"id\":\"own\",\"mode\":\"psk\",\"identity\":\"second\",\"key\":\"{second}\",\
                 \"endpoints\":[\"meter-7\"]}}]"
            ),
        );
        if let Some(plans) = plans {
            write("bootstrap.toml", plans);
        }
        let child = Command::new(BINARY)
            .arg("--config")
            .arg(folder.path().join("lwm2m-server.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary starts");
        let output = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output)
            .lines()
            .map(|line| line.expect("text"));
        let Some(line) = lines.next() else {
            child.wait().expect("it has ended");
            return None;
        };
        assert_eq!(line, format!("coaps://127.0.0.1:{port}"));
        let line = lines.next().expect("a line");
        let address = line
            .strip_prefix("coaps://")
            .and_then(|line| line.strip_suffix(" (bootstrap)"))
            .expect(&line);
        let http = lines.next().expect("a line");
        Some(Running {
            folder,
            child,
            port,
            bootstrap: address.parse().expect("an address"),
            http: http.trim_end_matches("/api/v1").to_owned(),
        })
    }

    fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.env("LWM2M_SERVER", &self.http).arg("bootstrap");
        command.args(arguments).output().expect("the binary starts")
    }

    /// Bootstraps a device; it registers with what it was given.
    async fn bootstraps(&self) {
        use lwm2m_device::{BootstrapAccount, Device, DtlsAccount};

        let account = DtlsAccount::psk(b"first", &[0; 16]).expect("a key");
        let account = BootstrapAccount::new(self.bootstrap).dtls(account);
        let device = Device::builder("meter-7").bootstrap(account);
        let device = device.start().await.expect("a port");
        let registered =
            tokio::time::timeout(std::time::Duration::from_secs(60), device.wait_registered());
        registered.await.expect("in time").expect("registered");
        let identity = lwm2m_core::Path::resource(0, 0, 3);
        let given = device
            .with(move |client, _| {
                client.config().dtls.is_some() && client.value(&identity).is_none()
            })
            .await;
        assert!(given.expect("it runs"), "keys are closed to servers");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port for a listener, which is free at the moment.
fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}

#[tokio::test]
async fn a_device_gets_its_account_from_a_file_of_plans() {
    let running = Running::start(|port| {
        let plans = README
            .split("```toml")
            .find(|block| block.contains("[[device]]"));
        let plans = plans.and_then(|block| block.split("```").next());
        let plans = plans.expect("the README shows plans");
        let plans = plans.replace("urn:imei:35*", "meter-*");
        let plans = plans.replace("192.0.2.1:5685", &format!("127.0.0.1:{port}"));
        assert!(plans.contains(&port.to_string()), "{plans}");
        Some(plans)
    });
    running.bootstraps().await;
}

#[tokio::test]
async fn plans_are_added_listed_and_removed_by_commands_and_keys_are_not_shown() {
    let running = Running::start(|_| None);
    let succeeds = |arguments: &[&str]| {
        let output = running.cli(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        said
    };
    assert!(succeeds(&["list"]).contains("There is no plan"));
    let uri = format!("coaps://127.0.0.1:{}", running.port);
    let account = ["--short-server-id", "101", "--uri", &uri];
    let add = ["add", "meter-*"];
    let said = succeeds(&[&add[..], &account, &["--credential", "psk", "--verify"]].concat());
    assert!(said.contains(&uri), "{said}");
    running.bootstraps().await;

    let secret = "00112233445566778899aabbccddeeff";
    let key = running.folder.path().join("key");
    fs::write(&key, secret).expect("written");
    let key = key.to_string_lossy();
    let own = ["--psk-identity", "x", "--psk-key-file", &key];
    succeeds(&[&["add", "other"][..], &account, &own].concat());
    let file = running.folder.path().join("bootstrap.toml");
    let kept = fs::read_to_string(&file).expect("written");
    assert!(kept.contains(secret), "the server has the key: {kept}");
    for shown in [
        succeeds(&["list"]),
        succeeds(&["--json", "list"]),
        succeeds(&["show", "other"]),
    ] {
        assert!(
            shown.contains("other") && !shown.contains(secret),
            "{shown}"
        );
    }
    let again = running.cli(&[&add[..], &account, &["--credential", "psk"]].concat());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("hint: "), "{said}");
    let wrong = running.cli(&[&["add", "third"][..], &account].concat());
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("there is no key for it"), "{said}");

    let copy = running.folder.path().join("copy.toml");
    fs::write(&copy, &kept).expect("written");
    succeeds(&["remove", "other", "meter-*"]);
    assert!(succeeds(&["list"]).contains("There is no plan"));
    assert!(succeeds(&["import", &copy.to_string_lossy()]).contains("2 plans added"));
    running.bootstraps().await;
}

#[test]
fn a_broken_file_of_plans_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("lwm2m-server.toml");
    let text = "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 0\nbootstrap_port = 0\n";
    fs::write(&config, text).expect("written");
    let plans = folder.path().join("bootstrap.toml");
    fs::write(plans, "[[device]]\nendpoint = \"a\"\nservers = []\n").expect("written");
    let output = Command::new(BINARY).arg("--config").arg(&config).output();
    let output = output.expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["bootstrap.toml", "line 3", "unknown field `servers`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
