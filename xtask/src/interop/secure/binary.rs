//! The binary over DTLS: a whole life of the Leshan client in each mode, and what is refused.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::leshan::life;
use super::super::peer::Peer;
use super::super::report::Report;
use super::super::server::{Server, expect};
use super::exchange::{Exchange, created, register};
use super::material::{Material, below};
use super::programs::{Credential, KEY, Program, hex, libcoap};
use super::relay::Relay;
use super::{BAD_CERTIFICATES, BAD_KEYS, GOOD, modes};

const LESHAN: &str = "leshan";
/// The endpoint name that all good credentials are for.
pub(super) const ENDPOINT: &str = "dev1";

/// Gives the server the credentials of the device.
pub(super) fn add_credentials(server: &Server) -> anyhow::Result<()> {
    let key = server.material.write("psk", &hex(KEY))?;
    let public_key = server.material.file("client.pub.pem");
    for (id, more) in [
        ("dtls-psk", &["--identity", "dev1", "--key-file", &key][..]),
        ("dtls-rpk", &["--public-key", &public_key]),
        ("dtls-x509", &["--mode", "x509", "--common-name", "dev1"]),
    ] {
        let add = [&["credentials", "add", ENDPOINT, "--id", id], more].concat();
        server.cli(&add)?;
    }
    Ok(())
}

/// Every program registers in every mode that it has, and is refused with bad credentials.
pub(super) fn programs(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let port = server.port("coaps")?;
    let material = &server.material;
    for program in [Program::OpenSsl, Program::GnuTls] {
        report.scenario(program.name(), "binary: register in each mode", || {
            for (credential, mode) in modes() {
                if program == Program::OpenSsl && mode == "rpk" {
                    continue;
                }
                let command = program.command(material, port, credential, "CCM_8");
                let mut exchange = Exchange::start(command, &register(ENDPOINT, 1))?;
                exchange.hear(&created(1)).context(mode)?;
                identified(server, mode)?;
            }
            Ok(())
        });
        report.scenario(program.name(), "binary: bad credentials", || {
            for (credential, reason) in BAD_KEYS.into_iter().chain(BAD_CERTIFICATES) {
                let command = program.command(material, port, credential, "CCM_8");
                refused(server, command, &register(ENDPOINT, 1), reason)?;
            }
            Ok(())
        });
        report.scenario(program.name(), "binary: the name of another device", || {
            let command = program.command(material, port, GOOD, "CCM_8");
            refused(server, command, &register("dev2", 1), "endpoint")
        });
    }
    for library in ["openssl", "gnutls"] {
        report.scenario(
            "libcoap",
            &format!("binary: {library}, register in each mode"),
            || {
                for (credential, mode) in modes() {
                    if library == "openssl" && mode == "rpk" {
                        continue;
                    }
                    let command = libcoap(material, library, "coaps", port, ENDPOINT, credential);
                    Exchange::start(command, b"")?
                        .hear(b"c:2.01")
                        .context(mode)?;
                    identified(server, mode)?;
                }
                Ok(())
            },
        );
    }
    Ok(())
}

/// The Leshan client: register, read, write, observe, update, and a port that changes.
pub(super) fn leshan(root: &Path, server: &Server, report: &mut Report) {
    for (credential, mode) in modes() {
        let name = format!("binary {mode}: register, read, observe, update");
        report.scenario(LESHAN, &name, || {
            let device = start(root, server, &server.uri("coaps")?, credential, &[])?;
            life(server, ENDPOINT, device, mode)
        });
        let name = format!("binary {mode}: cid, the port changes");
        report.scenario(LESHAN, &name, || moving(root, server, credential));
    }
    let turned_away = |(credential, reason): (Credential, &str)| {
        let events = server.events()?;
        let _device = start(root, server, &server.uri("coaps")?, credential, &[])?;
        let event = events.next("refused")?["reason"].to_string();
        ensure!(event.contains(reason), "expected {reason}, found {event}");
        anyhow::Ok(())
    };
    report.scenario(LESHAN, "binary psk: wrong key, unknown identity", || {
        BAD_KEYS.into_iter().try_for_each(turned_away)
    });
    report.scenario(LESHAN, "binary rpk: unknown key", || {
        turned_away((Credential::Rpk("strange"), "rpk-unknown"))
    });
    report.scenario(LESHAN, "binary x509: expired, unknown issuer", || {
        BAD_CERTIFICATES[..2]
            .iter()
            .try_for_each(|bad| turned_away(*bad))
    });
    report.scenario(LESHAN, "binary: a credential is removed", || {
        let device = start(root, server, &server.uri("coaps")?, GOOD, &[])?;
        device.hear("registered /rd/")?;
        server.cli(&["credentials", "remove", "dtls-psk"])?;
        server.wait_registered(ENDPOINT, false)
    });
}

/// Behind a router that gives it another port: without a new handshake and a new registration.
fn moving(root: &Path, server: &Server, credential: Credential) -> anyhow::Result<()> {
    let relay = Relay::to(server.port("coaps")?)?;
    let uri = format!("coaps://127.0.0.1:{}", relay.port);
    let mut device = start(root, server, &uri, credential, &["cid=4"])?;
    let registered = device.hear("registered /rd/")?;
    let before = server.cli(&["client", ENDPOINT])?;
    relay.move_on()?;
    device.tell("update")?;
    device.hear("updated")?;
    let after = server.cli(&["client", ENDPOINT])?;
    ensure!(
        before["registered_at"] == after["registered_at"],
        "it registered anew after {registered}"
    );
    ensure!(
        before["address"] != after["address"],
        "it is still at {}",
        after["address"]
    );
    expect("/3/0/0", &server.read(ENDPOINT, "/3/0/0", &[])?, "Leshan")?;
    device.tell("stop")?;
    device.hear("deregistered")?;
    server.wait_registered(ENDPOINT, false)
}

/// The registration was made in a session of this mode.
pub(super) fn identified(server: &Server, mode: &str) -> anyhow::Result<()> {
    let client = server.cli(&["client", ENDPOINT])?;
    let found = client["identity"]["mode"].as_str().unwrap_or_default();
    expect("the mode of the identity", found, mode)
}

/// The server refuses what a program tries, for this reason.
pub(super) fn refused(
    server: &Server,
    command: Command,
    message: &[u8],
    reason: &str,
) -> anyhow::Result<()> {
    let events = server.events()?;
    let mut exchange = Exchange::start(command, message)?;
    let event = events.next("refused").with_context(|| exchange.said())?;
    let found = event["reason"]["code"].as_str().unwrap_or_default();
    ensure!(found.contains(reason), "expected {reason}, found {event}");
    ensure!(!exchange.heard(&created(1)), "it was answered");
    Ok(())
}

fn start(
    root: &Path,
    server: &Server,
    uri: &str,
    credential: Credential,
    more: &[&str],
) -> anyhow::Result<Peer> {
    let material: &Material = &server.material;
    let folder = below(root, "tests/interop/leshan/target");
    let mut command = Command::new("java");
    command
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args([
            "-cp",
            &format!("{folder}/leshan-device-1.jar:{folder}/lib/*"),
        ])
        .args(["interop.LeshanDevice", uri, ENDPOINT, "300", "awake"])
        .arg(below(root, "object-registry/objects/3303.xml"))
        .args(super::programs::java_options(material, credential))
        .args(more);
    Peer::start(command)
}
