//! libcoap's command-line tools as a device without any LwM2M stack.

use std::path::Path;
use std::process::Command;

use super::debian;
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
        server: server.port("coap")?,
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
        for version in ["1.3", "2.0", "3.0"] {
            let path = format!("/rd?ep=other&lwm2m={version}&lt=60&b=U");
            let printed = device.client("post", &path, Some("</1/0>,</3/0>"))?;
            anyhow::ensure!(
                printed.contains("c:4.12"),
                "{version}: the answer was {printed}"
            );
        }
        Ok(())
    });
    report.scenario(PEER, "register 1.2, profile id known or not", || {
        let alone = "/rd?ep=libcoap&lwm2m=1.2&lt=60&b=U&pid=6:0a1b2c3d";
        let printed = device.client("post", alone, None)?;
        anyhow::ensure!(printed.contains("c:4.09"), "the answer was {printed}");
        device.client("post", alone, Some("</1/0>,</3/0>,</3303/0>"))?;
        device.client("post", alone, None)?;
        let client = server.cli(&["client", ENDPOINT])?;
        expect("version", client["version"].as_str().unwrap_or(""), "1.2")?;
        let objects = client["objects"].as_array().into_iter().flatten();
        let objects: Vec<u64> = objects.filter_map(|o| o["id"].as_u64()).collect();
        anyhow::ensure!(objects == [1, 3, 3303], "the objects are {objects:?}");
        Ok(())
    });
    report.scenario(PEER, "register without a name, 4.00", || {
        let printed = device.client("post", "/rd?lwm2m=1.1&lt=60", Some("</1/0>,</3/0>"))?;
        anyhow::ensure!(printed.contains("c:4.00"), "the answer was {printed}");
        Ok(())
    });
    report.scenario(PEER, "send a large body block-wise", || {
        let records: Vec<String> = (0..200)
            .map(|number| format!("{{\"n\":\"/3303/0/5700\",\"t\":-{number},\"v\":{number}.5}}"))
            .collect();
        let body = format!("[{}]", records.join(","));
        let printed = device.with_body("/dp", "post", "110", body.as_bytes())?;
        anyhow::ensure!(!printed.contains("c:4."), "the answer was {printed}");
        Ok(())
    });
    report.scenario(PEER, "send LwM2M CBOR, good and broken", || {
        // {[3303, 0, 5701]: "Cel"}, a duplicate of it, and a key without a value.
        for (bytes, code) in [
            (&b"\xa1\x83\x19\x0c\xe7\x00\x19\x16\x45\x63Cel"[..], "c:2.04"),
            (
                b"\xa2\x83\x19\x0c\xe7\x00\x19\x16\x45\x63Cel\x83\x19\x0c\xe7\x00\x19\x16\x45\x63Cel",
                "c:4.00",
            ),
            (b"\xa1\x83\x19\x0c\xe7\x00\x19\x16\x45", "c:4.00"),
        ] {
            let printed = device.with_body("/dp", "post", "11544", bytes)?;
            anyhow::ensure!(
                printed.contains(code),
                "{bytes:x?}: the answer was {printed}"
            );
        }
        Ok(())
    });

    report.scenario(PEER, "tcp: register, then a name that is missing", || {
        let uri = server.uri("coap+tcp")?;
        for (query, code) in [
            ("ep=libcoap-tcp&lwm2m=1.1&lt=60&b=T", "c:2.01"),
            ("lwm2m=1.1&lt=60&b=T", "c:4.00"),
        ] {
            let uri = format!("{uri}/rd?{query}");
            let body = ["-m", "post", "-t", "40", "-e", "</1/0>,</3/0>", &uri];
            let printed = coap_client(&[&["-v", "6", "-B", "10"], &body[..]].concat())?;
            anyhow::ensure!(printed.contains(code), "{query}: the answer was {printed}");
        }
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
    report.scenario(PEER, "read LwM2M CBOR and SenML CBOR", || {
        // {3303: {0: {5601: 22.5}}} and [{-2: "/3303/0/5602", 2: 22.5}].
        let lwm2m = b"\xa1\x19\x0c\xe7\xa1\x00\xa1\x19\x15\xe1\xfb\x40\x36\x80\0\0\0\0\0";
        let senml = b"\x81\xa2\x21\x6c/3303/0/5602\x02\xf9\x4d\xa0";
        for (path, number, name, body) in [
            ("/3303/0/5601", "11544", "lwm2m-cbor", &lwm2m[..]),
            ("/3303/0/5602", "112", "senml-cbor", senml),
        ] {
            device.put(path.trim_start_matches('/'), number, body)?;
            let answer = server.cli(&["read", ENDPOINT, path])?;
            expect("format", answer["format"].as_str().unwrap_or(""), name)?;
            expect(name, &value_at(&answer, path)?, "22.5")?;
        }
        Ok(())
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
pub(super) struct Device {
    pub(super) server: u16,
    pub(super) port: u16,
}

impl Device {
    /// One request to the server under test, from the device's own port.
    pub(super) fn client(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> anyhow::Result<String> {
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
        coap_client(&arguments)
    }

    /// One request with a body of a format, in small blocks.
    fn with_body(
        &self,
        path: &str,
        method: &str,
        format: &str,
        body: &[u8],
    ) -> anyhow::Result<String> {
        let port = self.port.to_string();
        let uri = format!("coap://127.0.0.1:{}{path}", self.server);
        let own = ["-p", &port, "-a", "127.0.0.1"];
        with_file(body, |file| {
            let request = ["-b", "256", "-m", method, "-t", format, "-f", file, &uri];
            coap_client(&[&["-v", "6", "-B", "20"], &own[..], &request].concat())
        })
    }

    /// The server side of the device, on the same port as its requests.
    pub(super) fn coap_server(&self) -> Command {
        let mut command = Command::new("coap-server-notls");
        command.args(["-A", "127.0.0.1", "-p", &self.port.to_string(), "-d", "50"]);
        command
    }

    /// Puts a resource into the device as text, or changes it.
    pub(super) fn create(&self, path: &str, value: &str) -> anyhow::Result<()> {
        self.put(path, "0", value.as_bytes())
    }

    /// Puts a resource into the device, or changes it.
    fn put(&self, path: &str, format: &str, value: &[u8]) -> anyhow::Result<()> {
        let uri = format!("coap://127.0.0.1:{}/{path}", self.port);
        with_file(value, |file| {
            coap_client(&["-B", "5", "-m", "put", "-t", format, "-f", file, &uri])
        })?;
        Ok(())
    }
}

/// Bytes as a file, for as long as it is used.
fn with_file(
    body: &[u8],
    then: impl FnOnce(&str) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("body");
    std::fs::write(&file, body)?;
    then(&file.to_string_lossy())
}

fn coap_client(arguments: &[&str]) -> anyhow::Result<String> {
    process::capture(Path::new("."), "coap-client-notls", arguments)
}

/// The tools in all their builds: without TLS, with OpenSSL, with GnuTLS.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    debian::install(root, "coap-client-notls", &["libcoap3-bin"])
}
