//! Bootstrap with the binary: a file of plans, a credential for each of the two servers, a device.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::demo::BINARY;

const README: &str = include_str!("../../../../../README.md");

/// A program that is stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port for a listener, which is free at the moment.
fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}

#[tokio::test]
async fn a_device_gets_its_account_from_a_file_of_plans() {
    use lwm2m_device::{BootstrapAccount, Device, DtlsAccount};

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("written");
    };
    let port = free_port();
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
    let plans = README
        .split("```toml")
        .find(|block| block.contains("[[device]]"));
    let plans = plans.and_then(|block| block.split("```").next());
    let plans = plans.expect("the README shows plans");
    let plans = plans.replace("urn:imei:35*", "meter-*");
    let plans = plans.replace("192.0.2.1:5685", &format!("127.0.0.1:{port}"));
    assert!(plans.contains(&port.to_string()), "{plans}");
    write("bootstrap.toml", plans);
    let child = Command::new(BINARY)
        .arg("--config")
        .arg(folder.path().join("lwm2m-server.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut running = Running(child.expect("the binary starts"));
    let output = running.0.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output)
        .lines()
        .map(|line| line.expect("text"));
    assert_eq!(lines.next(), Some(format!("coaps://127.0.0.1:{port}")));
    let line = lines.next().expect("a line");
    let address = line
        .strip_prefix("coaps://")
        .and_then(|line| line.strip_suffix(" (bootstrap)"))
        .expect(&line);
    let account = DtlsAccount::psk(b"first", &[0; 16]).expect("a key");
    let account = BootstrapAccount::new(address.parse().expect("an address")).dtls(account);
    let device = Device::builder("meter-7").bootstrap(account);
    let device = device.start().await.expect("a port");
    let registered =
        tokio::time::timeout(std::time::Duration::from_secs(60), device.wait_registered());
    registered.await.expect("in time").expect("registered");
    let identity = lwm2m_core::Path::resource(0, 0, 3);
    let given = device
        .with(move |client, _| client.config().dtls.is_some() && client.value(&identity).is_none())
        .await;
    assert!(given.expect("it runs"), "keys are closed to servers");
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
