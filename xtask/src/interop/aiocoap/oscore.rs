//! The 1.1 device of aiocoap under OSCORE, in both directions.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

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
    Ok(())
}
