//! The Leshan client under OSCORE.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::super::peer::Peer;
use super::super::report::Report;
use super::super::server::{Server, expect};
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
    let start_with = |uri: &str, endpoint: &str, ids: [&str; 2], secret: &str, more: &[&str]| {
        let mut command = Command::new("java");
        command
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .args(["-cp", &class_path, "interop.OscoreDevice"])
            .args([uri, endpoint, "300", "awake"])
            .arg(root.join("object-registry/objects/3303.xml"))
            .args(["mode=oscore", &format!("secret={secret}")])
            .arg(format!("salt={SALT}"))
            .arg(format!("sender={}", ids[0]))
            .arg(format!("recipient={}", ids[1]))
            .args(more);
        Peer::start(command)
    };
    let start = |secret: &str| {
        let ids = [RECIPIENT_ID, SENDER_ID];
        start_with(&server.uri("coap")?, ENDPOINT, ids, secret, &[])
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
        "--never-used",
    ];
    server.cli(&[&add[..], &context[..]].concat())?;
    add_bootstrap(server, secrets.path())?;

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
    // A context that is said to be new: the device, which does not repeat a request with an Echo, is not
    // challenged, and the server's numbers are no longer than it takes.
    report.scenario(PEER, "oscore: register, read, observe, update", || {
        life(server, ENDPOINT, start(SECRET)?, "oscore")
    });
    report.scenario(
        PEER,
        "oscore: bootstrap, register, read, observe, update",
        || {
            let events = server.events()?;
            let uri = server.bootstrap_uri("coap")?;
            let [(_, ids, secret), _] = BOOTSTRAP;
            let device = start_with(&uri, BOOTS, ids, secret, &["bootstrap=yes"])?;
            device.hear("bootstrapped")?;
            let finished = events.next("bootstrap_finished")?;
            let found = finished["endpoint"].as_str().unwrap_or_default();
            expect("the endpoint", found, BOOTS)?;
            life(server, BOOTS, device, "oscore")
        },
    );
    Ok(())
}

/// The device that bootstraps.
const BOOTS: &str = "leshan-oscore-boots";

/// Its context for the bootstrap server, and the one that it is given: name, ids, secret.
const BOOTSTRAP: [(&str, [&str; 2], &str); 2] = [
    ("first", ["lb1", "sb1"], "a112030405060708090a0b0c0d0e0f10"),
    ("given", ["lb2", "sb2"], "b112030405060708090a0b0c0d0e0f10"),
];

/// Gives the server both contexts, and a plan with the other one.
fn add_bootstrap(server: &Server, folder: &Path) -> anyhow::Result<()> {
    for (name, [recipient, sender], secret) in BOOTSTRAP {
        let file = folder.join(name);
        fs::write(&file, secret)?;
        let id = format!("{BOOTS}-{name}");
        let add = ["credentials", "add", BOOTS, "--id", &id];
        let ids = ["--recipient-id", recipient, "--sender-id", sender];
        let rest = [
            "--master-salt",
            SALT,
            "--secret-file",
            &file.to_string_lossy(),
            "--never-used",
        ];
        server.cli(&[&add[..], &ids, &rest].concat())?;
    }
    let plan = format!(
        "[[device]]\nendpoint = \"{BOOTS}\"\n[[device.server]]\nshort_server_id = 101\n\
         uri = \"{}\"\ncredential = \"oscore\"\n",
        server.uri("coap")?
    );
    let plan = server.material.write("leshan-oscore-plan.toml", &plan)?;
    server.cli(&["bootstrap", "import", &plan])?;
    Ok(())
}
