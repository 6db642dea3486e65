//! What LwM2M 1.2 added, against a device whose every payload comes from an independent CBOR
//! library. Both sides are looked at: what the device received, and what the server made of it.

mod composite;
mod device;
mod management;
mod reporting;

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::super::peer::{Peer, free_port};
use super::super::report::Report;
use super::super::server::{Server, expect};
use device::Device;

const PEER: &str = "aiocoap";
const ENDPOINT: &str = "aiocoap-1.2";
const PROFILE: &str = "6:27354b9a";
const LINKS: &str = "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 320 322 11544\",</1/0>,</3/0>,</16/0>,\
                     </19/0>,</3200/0>,</3303/0>";

pub(super) fn run(
    root: &Path,
    python: &Path,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/interop/aiocoap/device_1_2.py"))
        .args([
            "127.0.0.1",
            &server.port("coap")?.to_string(),
            ENDPOINT,
            &free_port()?.to_string(),
        ]);
    let mut device = Device {
        peer: Peer::start(command)?,
        server,
    };
    type Scenario = fn(&mut Device<'_>) -> anyhow::Result<()>;
    let scenarios: [(&str, Scenario); 16] = [
        ("1.2: register by profile id", profile),
        (
            "1.2: read LwM2M CBOR, its keys in four forms",
            management::read,
        ),
        ("1.2: a time in three forms", management::times),
        (
            "1.2: write LwM2M CBOR, SenML CBOR and JSON",
            management::write,
        ),
        ("1.2: create in LwM2M CBOR", management::create),
        (
            "1.2: delete a resource instance",
            management::delete_instance,
        ),
        ("1.2: discover to a depth", management::discover),
        ("1.2: attributes edge, con, hqmax", management::attributes),
        ("1.2: attributes in an observe, con", reporting::observe),
        (
            "1.2: edge and hqmax in an observe",
            reporting::observe_boolean,
        ),
        ("1.2: passive cancel, a reset", reporting::cancel_by_reset),
        ("1.2: read-composite in CBOR, JSON, ETCH", composite::read),
        ("1.2: write-composite, removal by null", composite::write),
        (
            "1.2: observe-composite, SenML CBOR and ETCH",
            composite::observe,
        ),
        ("1.2: send in LwM2M CBOR and SenML CBOR", reporting::send),
        ("1.2: de-register", deregister),
    ];
    for (name, scenario) in scenarios {
        report.scenario(PEER, name, || {
            device.settle()?;
            scenario(&mut device)
        });
    }
    Ok(())
}

/// Not known: 4.09. Learnt from a registration that brings its list too; then known.
fn profile(device: &mut Device<'_>) -> anyhow::Result<()> {
    let alone = format!("register pid={PROFILE}");
    device.peer.tell(&alone)?;
    device.peer.hear("refused 4.09")?;
    device.peer.tell(&format!("{alone} {LINKS}"))?;
    device.peer.hear("registered 2.01")?;
    device.peer.tell(&alone)?;
    device.peer.hear("registered 2.01")?;
    let client = device.cli(&["client"])?;
    expect("version", client["version"].as_str().unwrap_or(""), "1.2")?;
    let objects = client["objects"].as_array().into_iter().flatten();
    let objects: Vec<u64> = objects.filter_map(|object| object["id"].as_u64()).collect();
    ensure!(objects == [1, 3, 16, 19, 3200, 3303], "{objects:?}");
    let formats = "[\"cbor\",\"senml-json\",\"senml-cbor\",\"senml-etch-json\",\"senml-etch-cbor\",\"lwm2m-cbor\"]";
    expect("formats", &client["formats"].to_string(), formats)
}

fn deregister(device: &mut Device<'_>) -> anyhow::Result<()> {
    device.peer.tell("stop")?;
    device.peer.hear("deregistered 2.02")?;
    device.server.wait_registered(ENDPOINT, false)
}
