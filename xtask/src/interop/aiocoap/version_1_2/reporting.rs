//! Reporting: attributes in an Observe, confirmable notifications, both cancels, Send.

use anyhow::ensure;
use serde_json::{Value, json};

use super::super::super::peer::Peer;
use super::super::super::server::{expect, value_at};
use super::ENDPOINT;
use super::device::{Device, link_of, same_items};

pub(super) fn observe(device: &mut Device<'_>) -> anyhow::Result<()> {
    let observing = device.cli_in_background(&[
        "observe",
        "/3303/0/5700",
        "--attribute",
        "pmin=0",
        "--attribute",
        "gt=22.25",
        "--attribute",
        "con=1",
        "--format",
        "lwm2m-cbor",
        "--count",
        "2",
    ])?;
    let request = device.received(&json!({
        "code": "GET", "path": "/3303/0/5700", "observe": 0, "accept": 11544
    }))?;
    same_items(&request["query"], &["pmin=0", "gt=22.25", "con=1"])?;
    expect(
        "first",
        &value_at(&observing.answer()?, "/3303/0/5700")?,
        "21.5",
    )?;
    // They are of this observation alone.
    let answer = device.cli(&["discover", "/3303/0/5700"])?;
    device.received(&json!({ "accept": 40 }))?;
    let link = link_of(&answer, "/3303/0/5700")?;
    ensure!(link["attributes"] == json!({}), "attached: {link}");
    for value in ["22.5", "23.5"] {
        device.peer.tell(&format!("set /3303/0/5700 {value}"))?;
        device.peer.hear("acknowledged")?;
        expect(
            value,
            &value_at(&observing.answer()?, "/3303/0/5700")?,
            value,
        )?;
    }
    cancelled(device, &request)
}

pub(super) fn observe_boolean(device: &mut Device<'_>) -> anyhow::Result<()> {
    let observing = device.cli_in_background(&[
        "observe",
        "/3200/0/5500",
        "--attribute",
        "edge=0",
        "--attribute",
        "hqmax=3",
        "--format",
        "senml-cbor",
        "--count",
        "2",
    ])?;
    let request =
        device.received(&json!({ "path": "/3200/0/5500", "observe": 0, "accept": 112 }))?;
    same_items(&request["query"], &["edge=0", "hqmax=3"])?;
    expect(
        "first",
        &value_at(&observing.answer()?, "/3200/0/5500")?,
        "false",
    )?;
    device.tell("set /3200/0/5500 true")?;
    expect(
        "next",
        &value_at(&observing.answer()?, "/3200/0/5500")?,
        "true",
    )?;
    cancelled_after_history(device, &observing, &request)
}

/// The stored history of three values, each with its own time, ends the observation.
fn cancelled_after_history(
    device: &mut Device<'_>,
    observing: &Peer,
    request: &Value,
) -> anyhow::Result<()> {
    device.peer.tell("history /3200/0/5500 false true false")?;
    let answer = observing.answer()?;
    let records = answer["values"].as_array().into_iter().flatten();
    let times: Vec<&str> = records
        .filter_map(|record| record["time"].as_str())
        .collect();
    let expected = ["20.000Z", "21.000Z", "22.000Z"];
    ensure!(times.len() == expected.len(), "{answer}");
    for (time, end) in times.iter().zip(expected) {
        ensure!(time.ends_with(end), "{time} does not end with {end}");
    }
    cancelled(device, request)
}

/// The next request cancels the observation of `request`.
pub(super) fn cancelled(device: &mut Device<'_>, request: &Value) -> anyhow::Result<()> {
    let mut expected = json!({ "observe": 1 });
    for name in ["code", "path", "token", "payload", "format"] {
        expected[name] = request[name].clone();
    }
    device.received(&expected)?;
    device.server.wait_observations(ENDPOINT, 0)
}

pub(super) fn cancel_by_reset(device: &mut Device<'_>) -> anyhow::Result<()> {
    let started = device.cli(&[
        "observe",
        "/3303/0/5700",
        "--attribute",
        "con=1",
        "--detach",
    ])?;
    device.received(&json!({ "path": "/3303/0/5700", "observe": 0, "query": ["con=1"] }))?;
    let id = started["observation"].to_string();
    device.cli(&["cancel", &id, "--passive"])?;
    device.peer.tell("set /3303/0/5700 24.5")?;
    device.peer.hear("reset")?;
    device.peer.hear("observers 0")?;
    Ok(())
}

pub(super) fn send(device: &mut Device<'_>) -> anyhow::Result<()> {
    let events = device.server.events()?;
    device.tell("style nested")?;
    for (format, name) in [
        ("11544", "lwm2m-cbor"),
        ("112", "senml-cbor"),
        ("110", "senml-json"),
    ] {
        device
            .peer
            .tell(&format!("send {format} /3303/0/5700 /16/0/0/2"))?;
        device.peer.hear("sent 2.04")?;
        let sent = events.next("send")?;
        expect(name, &value_at(&sent, "/3303/0/5700")?, "24.5")?;
        expect(name, &value_at(&sent, "/16/0/0/2")?, "vendor")?;
    }
    for (bytes, code) in [
        ("send 112 80", "2.04"),
        ("send 11544 a0", "4.00"),
        ("send 11544 a183182a000001", "4.04"),
        ("send 11544 a1830300", "4.00"),
        ("send 60 01", "4.00"),
    ] {
        device.peer.tell(bytes)?;
        let answer = device.peer.hear("sent ")?;
        ensure!(answer.contains(code), "{bytes}: expected {code}, {answer}");
    }
    Ok(())
}
