//! The Leshan client under OSCORE.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::super::peer::Peer;
use super::super::report::Report;
use super::super::server::Server;
use super::{PEER, life, package};

const ENDPOINT: &str = "leshan-oscore";
const SECRET: &str = "1112030405060708090a0b0c0d0e0f10";
const SALT: &str = "9e7ca92223786340";
const RECIPIENT_ID: &str = "lesh";
const SENDER_ID: &str = "srv";

pub(super) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let folder = root.join("tests/interop/leshan-oscore");
    if let Err(reason) = package(&folder) {
        report.skip(PEER, "oscore", &format!("{reason:#}"));
        return Ok(());
    }
    let class_path = format!(
        "{}:{}/*",
        folder.join("target/leshan-oscore-device-1.jar").display(),
        folder.join("target/lib").display()
    );
    let start = |secret: &str| {
        let mut command = Command::new("java");
        command
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .args(["-cp", &class_path, "interop.OscoreDevice"])
            .arg(server.uri("coap")?)
            .args([ENDPOINT, "300", "awake"])
            .arg(root.join("object-registry/objects/3303.xml"))
            .args(["mode=oscore", &format!("secret={secret}")])
            .arg(format!("salt={SALT}"))
            .arg(format!("sender={RECIPIENT_ID}"))
            .arg(format!("recipient={SENDER_ID}"));
        Peer::start(command)
    };
    let secrets = tempfile::tempdir()?;
    let secret = secrets.path().join("secret");
    fs::write(&secret, SECRET)?;
    let secret = secret.to_string_lossy();
    let add = ["credentials", "add", ENDPOINT, "--id", ENDPOINT];
    let context = [
        "--recipient-id",
        RECIPIENT_ID,
        "--sender-id",
        SENDER_ID,
        "--master-salt",
        SALT,
        "--secret-file",
        &secret,
    ];
    server.cli(&[&add[..], &context[..]].concat())?;

    report.scenario(PEER, "oscore: another secret, refused", || {
        let events = server.events()?;
        let _device = start("ff02030405060708090a0b0c0d0e0f10")?;
        let refused = events.next("refused")?["reason"].to_string();
        ensure!(refused.contains("decryption failed"), "{refused}");
        ensure!(
            server.cli(&["client", ENDPOINT]).is_err(),
            "it is registered"
        );
        Ok(())
    });
    // A context that was never used: the device, which does not repeat a request with an Echo, is not
    // challenged, and the server's numbers are no longer than it takes.
    report.scenario(PEER, "oscore: register, read, observe, update", || {
        life(server, ENDPOINT, start(SECRET)?, "oscore")
    });
    Ok(())
}
