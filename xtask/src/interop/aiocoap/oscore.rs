//! The 1.1 device of aiocoap under OSCORE, in both directions.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::peer::{Peer, free_port};
use super::super::report::Report;
use super::super::server::{Server, expect, value_at};

const PEER: &str = "aiocoap";
const ENDPOINT: &str = "aiocoap-oscore";
const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";
const SALT: &str = "9e7ca92223786340";
const RECIPIENT_ID: &str = "dev1";
const SENDER_ID: &str = "srv";

pub(super) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let python = match super::install_oscore(root) {
        Ok(python) => python,
        Err(reason) => {
            report.skip(PEER, "oscore", &format!("{reason:#}"));
            return Ok(());
        }
    };
    let folder = tempfile::tempdir()?;
    let start = |name: &str, secret: &str| {
        let context = folder.path().join(name);
        fs::create_dir(&context)?;
        let settings = serde_json::json!({
            "secret_hex": secret, "salt_hex": SALT,
            "sender-id_ascii": RECIPIENT_ID, "recipient-id_ascii": SENDER_ID,
        });
        fs::write(context.join("settings.json"), settings.to_string())?;
        super::start(
            root,
            &python,
            &server.uri("coap")?,
            ENDPOINT,
            Some(&context),
        )
    };
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET)?;
    server.cli(&[
        "credentials",
        "add",
        ENDPOINT,
        "--id",
        ENDPOINT,
        "--recipient-id",
        RECIPIENT_ID,
        "--sender-id",
        SENDER_ID,
        "--master-salt",
        SALT,
        "--secret-file",
        &secret.to_string_lossy(),
    ])?;

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
    report.scenario(PEER, "oscore: register", || {
        device.hear("registered /rd/")?;
        let client = server.cli(&["client", ENDPOINT])?;
        ensure!(client.to_string().contains("oscore"), "{client}");
        Ok(())
    });
    report.scenario(PEER, "oscore: read, write, execute", || {
        let value = server.read(ENDPOINT, "/3/0/0", &["--format", "text"])?;
        expect("/3/0/0", &value, "aiocoap")?;
        server.cli(&["write", ENDPOINT, "/3/0/14", "+03:00", "--format", "text"])?;
        device.hear("written /3/0/14 +03:00")?;
        server.cli(&["exec", ENDPOINT, "/3/0/4", "0='now'"])?;
        device.hear("executed 0='now'")?;
        let paths = [
            "read",
            ENDPOINT,
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
    report.scenario(PEER, "oscore: observe, notify, cancel", || {
        super::observe(server, &mut device, ENDPOINT)
    });
    report.scenario(PEER, "oscore: send, update, de-register", || {
        device.tell("send")?;
        device.hear("sent 2.04")?;
        device.tell("update")?;
        device.hear("updated 2.04")?;
        device.tell("stop")?;
        device.hear("deregistered 2.02")?;
        server.wait_registered(ENDPOINT, false)
    });
    report.scenario(PEER, "oscore: without it, refused", || {
        let device = super::start(root, &python, &server.uri("coap")?, ENDPOINT, None)?;
        device.hear("refused").context("it was let in")?;
        Ok(())
    });
    report.scenario(PEER, "oscore: bootstrap, then register", || {
        bootstrap(root, &python, server, folder.path())
    });
    Ok(())
}

/// A device bootstraps under one context, and registers under the other that it is given.
fn bootstrap(root: &Path, python: &Path, server: &Server, folder: &Path) -> anyhow::Result<()> {
    const ENDPOINT: &str = "boot-oscore";
    let contexts = [
        ("first", "b1", "s1", "a102030405060708090a0b0c0d0e0f10"),
        ("given", "b2", "s2", "b102030405060708090a0b0c0d0e0f10"),
    ];
    for (name, recipient, sender, secret) in contexts {
        let file = folder.join(format!("{name}.hex"));
        fs::write(&file, secret)?;
        let id = format!("{ENDPOINT}-{name}");
        let ids = ["--recipient-id", recipient, "--sender-id", sender];
        let rest = ["--secret-file", &file.to_string_lossy()];
        let add = ["credentials", "add", ENDPOINT, "--id", &id];
        server.cli(&[&add[..], &ids, &rest].concat())?;
        let settings = serde_json::json!({
            "secret_hex": secret,
            "sender-id_ascii": recipient, "recipient-id_ascii": sender,
        });
        let context = folder.join(name);
        fs::create_dir(&context)?;
        fs::write(context.join("settings.json"), settings.to_string())?;
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
