//! The 1.1 device of aiocoap under OSCORE, in both directions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::peer::{Peer, free_port};
use super::super::report::Report;
use super::super::server::{Server, expect, value_at};

const PEER: &str = "aiocoap";
const ENDPOINT: &str = "aiocoap-oscore";
const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";
const SALT: &str = "9e7ca92223786340";

/// A context by which server and device know each other: its id, as in the id of the credential; how
/// the server knows the device, and the device the server.
struct Known {
    id: &'static str,
    recipient: &'static str,
    sender: &'static str,
}

pub(super) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let python = match super::install_oscore(root) {
        Ok(python) => python,
        Err(reason) => {
            report.skip(PEER, "oscore", &format!("{reason:#}"));
            return Ok(());
        }
    };
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let uri = server.uri("coap")?;
    let known = Known {
        id: ENDPOINT,
        recipient: "dev1",
        sender: "srv",
    };
    known.add(server, folder, ENDPOINT, SECRET)?;
    let start = |name: &str, secret: &str| {
        let context = known.keep(folder, name, secret)?;
        super::start(root, &python, &uri, ENDPOINT, Some(&context))
    };

    report.scenario(PEER, "oscore: another secret, refused", || {
        let events = server.events()?;
        let _device = start("wrong", "ff02030405060708090a0b0c0d0e0f10")?;
        let refused = events.next("refused")?["reason"].to_string();
        ensure!(refused.contains("decryption failed"), "{refused}");
        ensure!(
            server.cli(&["client", ENDPOINT]).is_err(),
            "it is registered"
        );
        Ok(())
    });
    let mut device = start("good", SECRET)?;
    live(server, report, &mut device, ENDPOINT, "oscore");
    report.scenario(PEER, "oscore: without it, refused", || {
        let device = super::start(root, &python, &uri, ENDPOINT, None)?;
        device.hear("refused").context("it was let in")?;
        Ok(())
    });
    over_tcp(root, &python, server, folder, report)?;
    report.scenario(PEER, "oscore: bootstrap, then register", || {
        bootstrap(root, &python, server, folder)
    });
    Ok(())
}

/// The device that registers under OSCORE, in both directions until it goes.
fn live(server: &Server, report: &mut Report, device: &mut Peer, endpoint: &str, how: &str) {
    let named = |what: &str| format!("{how}: {what}");
    report.scenario(PEER, &named("register"), || {
        device.hear("registered /rd/")?;
        let client = server.cli(&["client", endpoint])?;
        ensure!(client.to_string().contains("oscore"), "{client}");
        Ok(())
    });
    report.scenario(PEER, &named("read, write, execute"), || {
        let value = server.read(endpoint, "/3/0/0", &["--format", "text"])?;
        expect("/3/0/0", &value, "aiocoap")?;
        server.cli(&["write", endpoint, "/3/0/14", "+03:00", "--format", "text"])?;
        device.hear("written /3/0/14 +03:00")?;
        server.cli(&["exec", endpoint, "/3/0/4", "0='now'"])?;
        device.hear("executed 0='now'")?;
        let paths = [
            "read",
            endpoint,
            "/3/0/0",
            "/3303/0/5700",
            "--format",
            "senml-json",
        ];
        expect(
            "/3303/0/5700",
            &value_at(&server.cli(&paths)?, "/3303/0/5700")?,
            "21.5",
        )
    });
    report.scenario(PEER, &named("observe, notify, cancel"), || {
        super::observe(server, device, endpoint)
    });
    report.scenario(PEER, &named("send, update, de-register"), || {
        device.tell("send")?;
        device.hear("sent 2.04")?;
        device.tell("update")?;
        device.hear("updated 2.04")?;
        device.tell("stop")?;
        device.hear("deregistered 2.02")?;
        server.wait_registered(endpoint, false)
    });
}

/// The same over the connection that the device makes.
fn over_tcp(
    root: &Path,
    python: &Path,
    server: &Server,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    const ENDPOINT: &str = "aiocoap-oscore-tcp";
    const SECRET: &str = "c102030405060708090a0b0c0d0e0f10";
    let known = Known {
        id: ENDPOINT,
        recipient: "dev2",
        sender: "srv2",
    };
    known.add(server, folder, ENDPOINT, SECRET)?;
    let context = known.keep(folder, "tcp", SECRET)?;
    let uri = server.uri("coap+tcp")?;
    let mut device = super::start(root, python, &uri, ENDPOINT, Some(&context))?;
    live(server, report, &mut device, ENDPOINT, "oscore over tcp");
    Ok(())
}

impl Known {
    /// Adds the context at the server.
    fn add(
        &self,
        server: &Server,
        folder: &Path,
        endpoint: &str,
        secret: &str,
    ) -> anyhow::Result<()> {
        let file = folder.join(format!("{}.hex", self.id));
        fs::write(&file, secret)?;
        let file = file.to_string_lossy();
        let ids = ["--recipient-id", self.recipient, "--sender-id", self.sender];
        let rest = ["--master-salt", SALT, "--secret-file", &file];
        let add = ["credentials", "add", endpoint, "--id", self.id];
        server.cli(&[&add[..], &ids, &rest].concat())?;
        Ok(())
    }

    /// Writes the context for the device, in a folder of its own.
    fn keep(&self, folder: &Path, name: &str, secret: &str) -> anyhow::Result<PathBuf> {
        let context = folder.join(name);
        fs::create_dir(&context)?;
        let settings = serde_json::json!({
            "secret_hex": secret, "salt_hex": SALT,
            "sender-id_ascii": self.recipient, "recipient-id_ascii": self.sender,
        });
        fs::write(context.join("settings.json"), settings.to_string())?;
        Ok(context)
    }
}

/// A device bootstraps under one context, and registers under the other that it is given.
fn bootstrap(root: &Path, python: &Path, server: &Server, folder: &Path) -> anyhow::Result<()> {
    const ENDPOINT: &str = "boot-oscore";
    for (name, id, recipient, sender, secret) in [
        (
            "first",
            "boot-oscore-first",
            "b1",
            "s1",
            "a102030405060708090a0b0c0d0e0f10",
        ),
        (
            "given",
            "boot-oscore-given",
            "b2",
            "s2",
            "b102030405060708090a0b0c0d0e0f10",
        ),
    ] {
        let known = Known {
            id,
            recipient,
            sender,
        };
        known.add(server, folder, ENDPOINT, secret)?;
        known.keep(folder, name, secret)?;
    }
    let plan = format!(
        "[[device]]\nendpoint = \"{ENDPOINT}\"\n[[device.server]]\nshort_server_id = 101\n\
         uri = \"{}\"\ncredential = \"oscore\"\n",
        server.uri("coap")?
    );
    let plan = server.material.write("oscore-plan.toml", &plan)?;
    server.cli(&["bootstrap", "import", &plan])?;
    let events = server.events()?;
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/interop/aiocoap/bootstrap.py"))
        .args([&server.bootstrap_uri("coap")?, ENDPOINT])
        .arg(free_port()?.to_string())
        .arg(folder.join("first"));
    let device = Peer::start(command)?;
    device.hear("written /0/")?;
    device.hear("finished")?;
    let finished = events.next("bootstrap_finished")?;
    let found = finished["endpoint"].as_str().unwrap_or_default();
    expect("the endpoint", found, ENDPOINT)?;
    let given = Some(folder.join("given"));
    let device = super::start(
        root,
        python,
        &server.uri("coap")?,
        ENDPOINT,
        given.as_deref(),
    )?;
    device.hear("registered /rd/")?;
    Ok(())
}
