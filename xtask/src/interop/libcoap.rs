//! libcoap's command-line tools as a device without any LwM2M stack.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::peer::{Peer, free_port};
use super::report::Report;
use super::server::{Server, expect, value_at};
use crate::process;

const PEER: &str = "libcoap";
const ENDPOINT: &str = "libcoap";

pub(crate) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    install(root)?;
    let port = free_port()?;
    let device = Device {
        server: server.coap_port,
        port,
    };
    report.scenario(PEER, "register, 2.01 with a location", || {
        device.client(
            "post",
            "/rd?ep=libcoap&lwm2m=1.1&lt=60&b=U",
            Some("</1/0>,</3/0>,</3303/0>"),
        )?;
        server.wait_registered(ENDPOINT, true)
    });
    report.scenario(PEER, "register with another version, 4.12", || {
        let printed = device.client(
            "post",
            "/rd?ep=other&lwm2m=3.0&lt=60&b=U",
            Some("</1/0>,</3/0>"),
        )?;
        anyhow::ensure!(printed.contains("4.12"), "the answer was {printed}");
        Ok(())
    });
    report.scenario(PEER, "register without a name, 4.00", || {
        let printed = device.client("post", "/rd?lwm2m=1.1&lt=60", Some("</1/0>,</3/0>"))?;
        anyhow::ensure!(printed.contains("4.00"), "the answer was {printed}");
        Ok(())
    });
    report.scenario(PEER, "send a large body block-wise", || {
        let records: Vec<String> = (0..200)
            .map(|number| format!("{{\"n\":\"/3303/0/5700\",\"t\":-{number},\"v\":{number}.5}}"))
            .collect();
        let body = format!("[{}]", records.join(","));
        let printed = device.send(&body)?;
        anyhow::ensure!(!printed.contains("4."), "the answer was {printed}");
        Ok(())
    });

    let _resources = Peer::start(device.coap_server())?;
    report.scenario(PEER, "write text, read it back", || {
        device.create("3/0/14", "+01:00")?;
        server.cli(&["write", ENDPOINT, "/3/0/14", "+02:00", "--format", "text"])?;
        expect(
            "/3/0/14",
            &server.read(ENDPOINT, "/3/0/14", &["--format", "text"])?,
            "+02:00",
        )
    });
    report.scenario(PEER, "observe a value that changes", || {
        device.create("3303/0/5700", "21.5")?;
        let observing = server.cli_in_background(&[
            "observe",
            ENDPOINT,
            "/3303/0/5700",
            "--format",
            "text",
            "--count",
            "1",
        ])?;
        let expect_value = |value: &str| {
            expect(
                "/3303/0/5700",
                &value_at(&observing.answer()?, "/3303/0/5700")?,
                value,
            )
        };
        expect_value("21.5")?;
        device.create("3303/0/5700", "23.25")?;
        expect_value("23.25")?;
        server.wait_observations(ENDPOINT, 0)
    });
    report.scenario(PEER, "read what is not there, 4.04", || {
        let problem = server.cli_fails(&["read", ENDPOINT, "/3/0/99", "--unchecked"])?;
        expect(
            "coap_code",
            problem["coap_code"].as_str().unwrap_or_default(),
            "4.04",
        )
    });
    Ok(())
}

/// The command-line tools, at one address.
struct Device {
    server: u16,
    port: u16,
}

impl Device {
    /// One request to the server under test, from the device's own port.
    fn client(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<String> {
        let port = self.port.to_string();
        let uri = format!("coap://127.0.0.1:{}{path}", self.server);
        let mut arguments = vec![
            "-v",
            "6",
            "-B",
            "10",
            "-p",
            &port,
            "-a",
            "127.0.0.1",
            "-m",
            method,
        ];
        if let Some(body) = body {
            arguments.extend(["-t", "40", "-e", body]);
        }
        arguments.push(&uri);
        process::capture(Path::new("."), "coap-client-notls", &arguments)
    }

    /// A Send of SenML JSON, in small blocks.
    fn send(&self, body: &str) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("body");
        std::fs::write(&file, body)?;
        let port = self.port.to_string();
        let uri = format!("coap://127.0.0.1:{}/dp", self.server);
        let file = file.to_string_lossy();
        process::capture(
            Path::new("."),
            "coap-client-notls",
            &[
                "-v",
                "6",
                "-B",
                "20",
                "-b",
                "256",
                "-p",
                &port,
                "-a",
                "127.0.0.1",
                "-m",
                "post",
                "-t",
                "110",
                "-f",
                &file,
                &uri,
            ],
        )
    }

    /// The server side of the device, on the same port as its requests.
    fn coap_server(&self) -> Command {
        let mut command = Command::new("coap-server-notls");
        command.args(["-A", "127.0.0.1", "-p", &self.port.to_string(), "-d", "50"]);
        command
    }

    /// Puts a resource into the device, or changes it.
    fn create(&self, path: &str, value: &str) -> anyhow::Result<()> {
        let uri = format!("coap://127.0.0.1:{}/{path}", self.port);
        let arguments = ["-B", "5", "-m", "put", "-t", "0", "-e", value, &uri];
        process::capture(Path::new("."), "coap-client-notls", &arguments)?;
        Ok(())
    }
}

fn install(root: &Path) -> anyhow::Result<()> {
    if process::capture(root, "which", &["coap-client-notls"]).is_ok() {
        return Ok(());
    }
    process::capture(root, "apt-get", &["update"])
        .and_then(|_| process::capture(root, "apt-get", &["install", "--yes", "libcoap3-bin"]))
        .context("the Debian package libcoap3-bin cannot be installed")?;
    Ok(())
}
