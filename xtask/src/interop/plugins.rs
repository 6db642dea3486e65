//! Plugins with programs of others: the examples at work on their devices, and the beginnings built with
//! their compilers.

mod beginnings;

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::peer::free_port;
use super::report::Report;
use super::server::{Server, expect};
use super::{leshan, libcoap};

const PEER: &str = "plugins";

const CONFIG: &str = r#"
[[plugins.plugin]]
name   = "allow-list"
config = { prefixes = ["good-"] }

[[plugins.plugin]]
name   = "observe-by-manufacturer"
grant  = ["kv", "device:read:/3/0/0"]
config = { plans = { "Leshan" = ["/3303/0/5700"] } }
"#;

/// The files of an example, as they are in a folder of plugins.
macro_rules! example {
    ($name:literal) => {
        [
            (
                concat!("plugins/", $name, "/plugin.toml"),
                include_str!(concat!("../../../plugins/examples/", $name, "/plugin.toml")),
            ),
            (
                concat!("plugins/", $name, "/", $name, ".rhai"),
                include_str!(concat!(
                    "../../../plugins/examples/",
                    $name,
                    "/",
                    $name,
                    ".rhai"
                )),
            ),
        ]
    };
}

pub(crate) fn run(root: &Path, report: &mut Report) -> anyhow::Result<()> {
    let files = [
        example!("allow-list"),
        example!("fahrenheit"),
        example!("observe-by-manufacturer"),
    ];
    let server = Server::start_with(root, CONFIG, &files.concat())?;
    beginnings::run(root, server.binary(), report)?;
    match libcoap::install(root) {
        Ok(()) => report.scenario(PEER, "libcoap: an endpoint on no list gets 4.03", || {
            refused_libcoap(&server)
        }),
        Err(reason) => report.skip(PEER, "libcoap", &format!("{reason:#}")),
    }
    if let Err(reason) = leshan::install(root) {
        report.skip(PEER, "leshan", &format!("{reason:#}"));
        return Ok(());
    }
    report.scenario(PEER, "leshan: an endpoint on no list gets 4.03", || {
        let events = server.events()?;
        let device = leshan::start(root, &server, "leshan-bad", "awake")?;
        says_why(&events.next("refused")?, "leshan-bad")?;
        ensure!(server.cli(&["client", "leshan-bad"]).is_err(), "it is in");
        drop(device);
        Ok(())
    });
    report.scenario(
        PEER,
        "leshan: a plan is observed, in degrees Fahrenheit",
        || observed(root, &server),
    );
    Ok(())
}

fn refused_libcoap(server: &Server) -> anyhow::Result<()> {
    let events = server.events()?;
    let device = libcoap::Device {
        server: server.port("coap")?,
        port: free_port()?,
    };
    let path = "/rd?ep=libcoap-bad&lwm2m=1.1&lt=60&b=U";
    let said = device.client("post", path, Some("</1/0>,</3/0>"))?;
    ensure!(said.contains("c:4.03"), "the answer was {said}");
    says_why(&events.next("refused")?, "libcoap-bad")
}

/// The event has the words of the plugin.
fn says_why(refused: &Value, endpoint: &str) -> anyhow::Result<()> {
    expect(
        "endpoint",
        refused["endpoint"].as_str().unwrap_or(""),
        endpoint,
    )?;
    let reason = refused["reason"].to_string();
    ensure!(
        reason.contains(&format!("{endpoint} is on no list")),
        "{refused}"
    );
    Ok(())
}

/// The device is observed as a plugin has planned, and its values go through another one.
fn observed(root: &Path, server: &Server) -> anyhow::Result<()> {
    const ENDPOINT: &str = "good-leshan";
    let events = server.events()?;
    let mut device = leshan::start(root, server, ENDPOINT, "awake")?;
    device.hear("registered /rd/")?;
    let established = events.next("observe_established")?;
    expect("made", &established["made"].to_string(), "1")?;
    device.tell("set 100.0")?;
    for _ in 0..8 {
        let notification = events.next("notification")?;
        let values = notification["values"].as_array().context("no values")?;
        if values.iter().any(|value| value["value"] == 212.0) {
            return Ok(());
        }
    }
    anyhow::bail!("no notification with 212 degrees Fahrenheit")
}
