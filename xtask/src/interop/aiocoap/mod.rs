//! aiocoap, a CoAP library for Python, as two devices written by hand: one of LwM2M 1.1, and one of
//! 1.2 whose payloads come from cbor2.

mod oscore;
mod version_1_2;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::debian;
use super::peer::{Peer, free_port};
use super::report::Report;
use super::server::{Server, expect, value_at};
use crate::process;

const PEER: &str = "aiocoap";
const ENDPOINT: &str = "aiocoap";
const REQUIREMENTS: &[&str] = &["aiocoap==0.4.17", "cbor2==6.2.1"];
/// The DTLS of aiocoap, tinydtls, which pip builds from C.
const DTLS_REQUIREMENTS: &[&str] = &["aiocoap==0.4.17", "DTLSSocket==0.2.3"];
/// What aiocoap needs for OSCORE.
const OSCORE_REQUIREMENTS: &[&str] = &[
    "aiocoap==0.4.17",
    "cbor2==6.2.1",
    "cryptography==50.0.2",
    "filelock==4.2.11",
    "ge25519==2.0.0",
    "lakers-python==0.6.2",
];

/// Sees to it that aiocoap is there; its Python.
pub(crate) fn install_plain(root: &Path) -> anyhow::Result<PathBuf> {
    install(root, REQUIREMENTS)
}

pub(crate) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let python = install(root, REQUIREMENTS)?;
    let mut device = start(root, &python, &server.uri("coap")?, ENDPOINT, None)?;

    report.scenario(PEER, "register with 124 links, block-wise", || {
        device.hear("registered /rd/")?;
        let client = server.cli(&["client", ENDPOINT])?;
        let objects = client["objects"].as_array().into_iter().flatten();
        let instances: usize = objects
            .filter_map(|object| object["instances"].as_array())
            .map(Vec::len)
            .sum();
        ensure!(instances == 124, "{instances} instances are known of 124");
        Ok(())
    });
    report.scenario(PEER, "read text and SenML JSON", || {
        expect(
            "/3/0/0",
            &server.read(ENDPOINT, "/3/0/0", &["--format", "text"])?,
            "aiocoap",
        )?;
        let answer = server.cli(&["read", ENDPOINT, "/3/0", "--format", "senml-json"])?;
        expect("/3/0/14", &value_at(&answer, "/3/0/14")?, "+01:00")
    });
    report.scenario(PEER, "response apart from the acknowledgement", || {
        expect(
            "/3/0/2",
            &server.read(ENDPOINT, "/3/0/2", &["--format", "text"])?,
            "late",
        )
    });
    report.scenario(PEER, "write, execute, discover", || {
        server.cli(&["write", ENDPOINT, "/3/0/14", "+03:00", "--format", "text"])?;
        device.hear("written /3/0/14 +03:00")?;
        server.cli(&["exec", ENDPOINT, "/3/0/4", "0='now'"])?;
        device.hear("executed 0='now'")?;
        let links = server.cli(&["discover", ENDPOINT, "/3/0"])?;
        ensure!(
            links.to_string().contains("/3/0/14"),
            "the links are {links}"
        );
        Ok(())
    });
    report.scenario(PEER, "refuse a format, 4.06 becomes a problem", || {
        let problem = server.cli_fails(&["read", ENDPOINT, "/3/0/0", "--format", "tlv"])?;
        expect(
            "coap_code",
            problem["coap_code"].as_str().unwrap_or_default(),
            "4.06",
        )
    });
    report.scenario(PEER, "opaque block-wise both ways", || {
        blob(server, &mut device, ENDPOINT)
    });
    report.scenario(PEER, "read-composite", || {
        let answer = server.cli(&[
            "read",
            ENDPOINT,
            "/3/0/0",
            "/3303/0/5700",
            "--format",
            "senml-json",
        ])?;
        expect("/3/0/0", &value_at(&answer, "/3/0/0")?, "aiocoap")?;
        expect("/3303/0/5700", &value_at(&answer, "/3303/0/5700")?, "21.5")
    });
    report.scenario(PEER, "observe, notify, cancel", || {
        observe(server, &mut device, ENDPOINT)
    });
    report.scenario(PEER, "send", || {
        device.tell("send")?;
        device.hear("sent 2.04")?;
        Ok(())
    });
    report.scenario(PEER, "update, confirmable and not", || {
        device.tell("update")?;
        device.hear("updated 2.04")?;
        device.tell("non")?;
        device.hear("updated 2.04")?;
        Ok(())
    });
    report.scenario(PEER, "de-register", || {
        device.tell("stop")?;
        device.hear("deregistered 2.02")?;
        server.wait_registered(ENDPOINT, false)
    });
    version_1_2::run(root, &python, server, report)?;
    oscore::run(root, server, report)?;
    over_tcp(root, &python, server, report)
}

/// The device with this script, at this server; `context` is one of OSCORE.
fn start(
    root: &Path,
    python: &Path,
    server: &str,
    endpoint: &str,
    context: Option<&Path>,
) -> anyhow::Result<Peer> {
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/interop/aiocoap/device.py"))
        .args([server, endpoint, &free_port()?.to_string()])
        .args(context);
    Peer::start(command)
}

/// Both directions over the one connection that the device makes (RFC 8323).
fn over_tcp(
    root: &Path,
    python: &Path,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<()> {
    const ENDPOINT: &str = "aiocoap-tcp";
    let mut device = start(root, python, &server.uri("coap+tcp")?, ENDPOINT, None)?;
    report.scenario(PEER, "tcp: register", || {
        device.hear("registered /rd/")?;
        let client = server.cli(&["client", ENDPOINT])?;
        expect("binding", client["binding"].as_str().unwrap_or(""), "T")
    });
    report.scenario(PEER, "tcp: read, write, execute", || {
        let value = server.read(ENDPOINT, "/3/0/0", &["--format", "text"])?;
        expect("/3/0/0", &value, "aiocoap")?;
        server.cli(&["write", ENDPOINT, "/3/0/14", "+03:00", "--format", "text"])?;
        device.hear("written /3/0/14 +03:00")?;
        server.cli(&["exec", ENDPOINT, "/3/0/4", "0='now'"])?;
        device.hear("executed 0='now'")?;
        Ok(())
    });
    report.scenario(PEER, "tcp: 5000 bytes both ways", || {
        blob(server, &mut device, ENDPOINT)
    });
    report.scenario(PEER, "tcp: observe, notify, cancel", || {
        observe(server, &mut device, ENDPOINT)
    });
    report.scenario(PEER, "tcp: send, update, de-register", || {
        device.tell("send")?;
        device.hear("sent 2.04")?;
        device.tell("update")?;
        device.hear("updated 2.04")?;
        device.tell("stop")?;
        device.hear("deregistered 2.02")?;
        server.wait_registered(ENDPOINT, false)
    });
    Ok(())
}

/// Reads a large value and writes it back.
fn blob(server: &Server, device: &mut Peer, endpoint: &str) -> anyhow::Result<()> {
    let how = ["--format", "opaque", "--unchecked"];
    let read = [&["read", endpoint, "/19/0/0"], &how[..]].concat();
    let value = value_at(&server.cli(&read)?, "/19/0/0")?;
    ensure!(
        value.len() > 6000,
        "5000 bytes as base64 are longer than {}",
        value.len()
    );
    server.cli(&[&["write", endpoint, "/19/0/0", &value], &how[..]].concat())?;
    device.hear("received 5000")?;
    Ok(())
}

fn observe(server: &Server, device: &mut Peer, endpoint: &str) -> anyhow::Result<()> {
    let observing = server.cli_in_background(&[
        "observe",
        endpoint,
        "/3303/0/5700",
        "--format",
        "text",
        "--count",
        "2",
    ])?;
    device.hear("observers /3303/0/5700 1")?;
    expect_value(&observing, "21.5")?;
    for value in ["22.5", "23.5"] {
        device.tell(&format!("set {value}"))?;
        expect_value(&observing, value)?;
    }
    device
        .hear("observers /3303/0/5700 0")
        .context("the observation was not cancelled")?;
    server.wait_observations(endpoint, 0)
}

fn expect_value(observing: &Peer, value: &str) -> anyhow::Result<()> {
    expect(
        "/3303/0/5700",
        &value_at(&observing.answer()?, "/3303/0/5700")?,
        value,
    )
}

/// Python with what aiocoap needs for OSCORE.
fn install_oscore(root: &Path) -> anyhow::Result<PathBuf> {
    install(root, OSCORE_REQUIREMENTS)
}

/// Python with what aiocoap needs for DTLS.
pub(crate) fn install_dtls(root: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(python) = installed(root, DTLS_REQUIREMENTS) {
        return Ok(python);
    }
    let packages = [
        "autoconf",
        "automake",
        "libtool",
        "make",
        "gcc",
        "python3-dev",
    ];
    debian::install(root, "autoreconf", &packages)?;
    install(root, DTLS_REQUIREMENTS)
}

/// Python in a virtual environment of its own, so that the machine's stays as it is.
fn install(root: &Path, requirements: &[&str]) -> anyhow::Result<PathBuf> {
    if let Ok(python) = installed(root, requirements) {
        return Ok(python);
    }
    let folder = root.join("target/interop/aiocoap");
    process::capture(root, "python3", &["-m", "venv", &folder.to_string_lossy()])
        .context("python3 with venv is needed")?;
    let arguments = [&["install"], requirements].concat();
    pip(root, &arguments).context("the Python packages cannot be installed")?;
    installed(root, requirements)
}

/// Python, when its environment has all of these.
fn installed(root: &Path, requirements: &[&str]) -> anyhow::Result<PathBuf> {
    let frozen = pip(root, &["freeze"])?;
    let missing = requirements
        .iter()
        .find(|required| !frozen.lines().any(|line| line == **required));
    match missing {
        None => Ok(python(root)),
        Some(missing) => anyhow::bail!("{missing} is missing"),
    }
}

fn pip(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let module = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    let arguments = [&module, arguments].concat();
    process::capture(root, &python(root).to_string_lossy(), &arguments)
}

fn python(root: &Path) -> PathBuf {
    root.join("target/interop/aiocoap/bin/python")
}
