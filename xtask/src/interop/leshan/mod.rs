//! The Leshan client libraries as a device.

mod oscore;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::peer::Peer;
use super::report::Report;
use super::server::{Server, expect, value_at, wait_for};
use crate::process;

const PEER: &str = "leshan";
const ENDPOINT: &str = "leshan";

pub(crate) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    install(root)?;
    let mut device = start(root, server, ENDPOINT, "awake")?;

    report.scenario(PEER, "register", || {
        device.hear("registered /rd/")?;
        let client = server.cli(&["client", ENDPOINT])?;
        expect(
            "version",
            client["version"].as_str().unwrap_or_default(),
            "1.1",
        )
    });
    report.scenario(PEER, "read a resource in every format", || {
        for format in ["text", "cbor", "tlv", "json", "senml-json", "senml-cbor"] {
            let value = server.read(ENDPOINT, "/3/0/0", &["--format", format]);
            expect(format, &value.with_context(|| format.to_owned())?, "Leshan")?;
        }
        Ok(())
    });
    report.scenario(
        PEER,
        "read an instance and an object in every format",
        || {
            for format in ["tlv", "json", "senml-json", "senml-cbor"] {
                for path in ["/3303/0", "/3303"] {
                    let answer = server.cli(&["read", ENDPOINT, path, "--format", format])?;
                    let value =
                        value_at(&answer, "/3303/0/5700").with_context(|| format.to_owned())?;
                    expect(format, &value, "21.5")?;
                }
            }
            Ok(())
        },
    );
    report.scenario(PEER, "write in every format", || {
        for (format, value) in [
            ("text", "+02:00"),
            ("cbor", "+03:00"),
            ("tlv", "+04:00"),
            ("json", "+05:00"),
            ("senml-json", "+06:00"),
            ("senml-cbor", "+07:00"),
        ] {
            server.cli(&["write", ENDPOINT, "/3/0/14", value, "--format", format])?;
            expect(format, &server.read(ENDPOINT, "/3/0/14", &[])?, value)?;
        }
        Ok(())
    });
    report.scenario(PEER, "write several resources", || {
        server.cli(&[
            "write",
            ENDPOINT,
            "/3/0",
            "14=+00:00",
            "15=Europe/Rome",
            "--update",
        ])?;
        expect(
            "/3/0/15",
            &server.read(ENDPOINT, "/3/0/15", &[])?,
            "Europe/Rome",
        )
    });
    report.scenario(PEER, "execute", || {
        server.cli(&["exec", ENDPOINT, "/3/0/4"])?;
        device.hear("executed 4")?;
        Ok(())
    });
    report.scenario(PEER, "write-attributes and discover", || {
        server.cli(&["attributes", ENDPOINT, "/3303/0/5700", "pmin=1", "gt=30.5"])?;
        let links = server.cli(&["discover", ENDPOINT, "/3303/0"])?;
        let link = links["links"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|l| l["path"] == "/3303/0/5700");
        let link = link.with_context(|| format!("no /3303/0/5700 in {links}"))?;
        expect("pmin", &link["attributes"]["pmin"].to_string(), "1")?;
        server.cli(&["attributes", ENDPOINT, "/3303/0/5700", "pmin", "gt"])?;
        Ok(())
    });
    report.scenario(PEER, "create and delete an instance", || {
        server.cli(&[
            "create",
            ENDPOINT,
            "/3303/1",
            "5700=1.5",
            "5701=Cel",
            "--unchecked",
        ])?;
        expect(
            "created",
            &server.read(ENDPOINT, "/3303/1/5701", &[])?,
            "Cel",
        )?;
        server.cli(&["delete", ENDPOINT, "/3303/1"])?;
        let problem = server.cli_fails(&["read", ENDPOINT, "/3303/1"])?;
        expect(
            "coap_code",
            problem["coap_code"].as_str().unwrap_or_default(),
            "4.04",
        )
    });
    report.scenario(PEER, "write what is read-only, 4.05", || {
        let problem = server.cli_fails(&["write", ENDPOINT, "/3/0/0", "x", "--unchecked"])?;
        expect(
            "coap_code",
            problem["coap_code"].as_str().unwrap_or_default(),
            "4.05",
        )
    });
    report.scenario(PEER, "read-composite and write-composite", || {
        composite(server)
    });
    report.scenario(PEER, "observe, notify, cancel", || {
        observe(server, &mut device, &["/3303/0/5700"])
    });
    report.scenario(PEER, "observe-composite, notify, cancel", || {
        observe(server, &mut device, &["/3303/0/5700", "/3/0/0"])
    });
    report.scenario(PEER, "send", || {
        device.tell("send")?;
        device.hear("sent CHANGED")?;
        Ok(())
    });
    report.scenario(PEER, "update", || {
        device.tell("update")?;
        device.hear("updated")?;
        Ok(())
    });
    report.scenario(PEER, "write the lifetime, the device updates", || {
        server.cli(&["write", ENDPOINT, "/1/0/1", "77"])?;
        wait_for("the new lifetime", || {
            Ok(server.cli(&["client", ENDPOINT])?["lifetime_s"].as_u64() == Some(77))
        })
    });
    report.scenario(PEER, "de-register", || {
        device.tell("stop")?;
        device.hear("deregistered")?;
        server.wait_registered(ENDPOINT, false)
    });
    report.scenario(PEER, "queue mode: a request waits for the update", || {
        queue_mode(root, server)
    });
    oscore::run(root, server, report)?;
    report.skip(
        PEER,
        "coap+tcp, coaps+tcp",
        "the artifact that has them, org.eclipse.leshan:leshan-tl-jc-client-coaptcp, is not on Maven \
         Central, neither in 2.0.0-M16, nor in M17, nor in M18",
    );
    Ok(())
}

/// A whole life in some mode: register, read, write, observe, send, update, de-register.
pub(crate) fn life(
    server: &Server,
    endpoint: &str,
    mut device: Peer,
    mode: &str,
) -> anyhow::Result<()> {
    device.hear("registered /rd/")?;
    let client = server.cli(&["client", endpoint])?;
    let found = client["identity"]["mode"].as_str().unwrap_or_default();
    expect("the mode of the identity", found, mode)?;
    expect("/3/0/0", &server.read(endpoint, "/3/0/0", &[])?, "Leshan")?;
    server.cli(&["write", endpoint, "/3/0/14", "+02:00"])?;
    expect("/3/0/14", &server.read(endpoint, "/3/0/14", &[])?, "+02:00")?;
    let observing =
        server.cli_in_background(&["observe", endpoint, "/3303/0/5700", "--count", "1"])?;
    let value = value_at(&observing.answer()?, "/3303/0/5700")?;
    expect("first", &value, "21.5")?;
    device.tell("set 22.5")?;
    let value = value_at(&observing.answer()?, "/3303/0/5700")?;
    expect("next", &value, "22.5")?;
    server.wait_observations(endpoint, 0)?;
    device.tell("send")?;
    device.hear("sent CHANGED")?;
    device.tell("update")?;
    device.hear("updated")?;
    device.tell("stop")?;
    device.hear("deregistered")?;
    server.wait_registered(endpoint, false)
}

fn composite(server: &Server) -> anyhow::Result<()> {
    for format in ["senml-json", "senml-cbor"] {
        let answer = server.cli(&[
            "read", ENDPOINT, "/3/0/0", "/3303/0", "/3/0/14", "--format", format,
        ])?;
        expect(format, &value_at(&answer, "/3/0/0")?, "Leshan")?;
        value_at(&answer, "/3303/0/5700")?;
        let pair = if format == "senml-json" {
            "/3/0/15=Europe/Oslo"
        } else {
            "/3/0/15=Europe/Bern"
        };
        server.cli(&[
            "write",
            ENDPOINT,
            "/3/0/14=+01:00",
            pair,
            "--composite",
            "--format",
            format,
        ])?;
        let zone = pair.trim_start_matches("/3/0/15=");
        expect(format, &server.read(ENDPOINT, "/3/0/15", &[])?, zone)?;
    }
    Ok(())
}

fn observe(server: &Server, device: &mut Peer, paths: &[&str]) -> anyhow::Result<()> {
    let mut arguments = vec!["observe", ENDPOINT];
    arguments.extend(paths);
    arguments.extend(["--count", "2"]);
    device.tell("set 21.5")?;
    let observing = server.cli_in_background(&arguments)?;
    let expect_value = |value: &str| {
        expect(
            "/3303/0/5700",
            &value_at(&observing.answer()?, "/3303/0/5700")?,
            value,
        )
    };
    expect_value("21.5")?;
    server.wait_observations(ENDPOINT, 1)?;
    for value in ["22.5", "23.5"] {
        device.tell(&format!("set {value}"))?;
        expect_value(value)?;
    }
    server.wait_observations(ENDPOINT, 0)
}

/// The server under test keeps devices awake for two seconds.
fn queue_mode(root: &Path, server: &Server) -> anyhow::Result<()> {
    const SLEEPER: &str = "leshan-sleeper";
    let mut device = start(root, server, SLEEPER, "queue")?;
    device.hear("registered /rd/")?;
    wait_for("the device to sleep", || {
        Ok(server.cli(&["client", SLEEPER])?["awake"].as_bool() == Some(false))
    })?;
    let waiting = server.cli_in_background(&["read", SLEEPER, "/3/0/0", "--timeout", "30"])?;
    ensure!(
        waiting.is_silent(Duration::from_millis(500)),
        "the request did not wait"
    );
    device.tell("update")?;
    let answer = waiting.answer()?;
    expect("/3/0/0", &value_at(&answer, "/3/0/0")?, "Leshan")?;
    device.tell("stop")
}

pub(super) fn start(
    root: &Path,
    server: &Server,
    endpoint: &str,
    mode: &str,
) -> anyhow::Result<Peer> {
    let folder = root.join("tests/interop/leshan/target");
    let class_path = format!(
        "{}:{}/*",
        folder.join("leshan-device-1.jar").display(),
        folder.join("lib").display()
    );
    let mut command = Command::new("java");
    command
        .args(["-cp", &class_path, "interop.LeshanDevice"])
        .arg(server.uri("coap")?)
        .args([endpoint, "300", mode])
        .arg(root.join("object-registry/objects/3303.xml"));
    Peer::start(command)
}

/// Builds the device over UDP and DTLS, and the programs of Scandium.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    package(&root.join("tests/interop/leshan"))
}

/// What comes of a folder of Maven.
fn package(folder: &Path) -> anyhow::Result<()> {
    process::capture(folder, "mvn", &["--version"])
        .context("Maven and a Java 17 development kit are needed")?;
    process::capture(
        folder,
        "mvn",
        &[
            "--quiet",
            "--batch-mode",
            "--no-transfer-progress",
            "package",
        ],
    )
    .context("the harness cannot be built")?;
    Ok(())
}
