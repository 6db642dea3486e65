//! Device management: LwM2M CBOR, resource instances, Discover to a depth, new attributes.

use anyhow::ensure;
use serde_json::{Value, json};

use super::super::super::server::{expect, value_at};
use super::ENDPOINT;
use super::device::{Device, link_of, same_items};

pub(super) fn read(device: &mut Device<'_>) -> anyhow::Result<()> {
    for style in ["flat", "nested", "mixed", "open"] {
        device.tell(&format!("style {style}"))?;
        let answer = device.cli(&["read", "/3/0", "--format", "lwm2m-cbor"])?;
        device.received(&json!({
            "code": "GET", "path": "/3/0", "accept": 11544, "format": null, "observe": null
        }))?;
        expect(
            "format",
            answer["format"].as_str().unwrap_or(""),
            "lwm2m-cbor",
        )?;
        for (path, value) in [("/3/0/0", "aiocoap"), ("/3/0/6/1", "5"), ("/3/0/9", "87")] {
            expect(style, &value_at(&answer, path)?, value)?;
        }
        let answer = device.cli(&["read", "/1", "--format", "lwm2m-cbor"])?;
        for (path, value) in [("/1/0/6", "false"), ("/1/0/10", "11:0")] {
            expect(style, &value_at(&answer, path)?, value)?;
        }
        // Without Accept this device answers LwM2M CBOR, also for one value.
        let answer = device.cli(&["read", "/3303/0/5700"])?;
        device.received(&json!({ "path": "/1", "accept": 11544 }))?;
        device.received(&json!({ "path": "/3303/0/5700", "accept": null }))?;
        expect(style, &value_at(&answer, "/3303/0/5700")?, "21.5")?;
        let answer = device.cli(&["read", "/3/0/6/1", "--format", "lwm2m-cbor"])?;
        device.received(&json!({ "path": "/3/0/6/1", "accept": 11544 }))?;
        expect(style, &value_at(&answer, "/3/0/6/1")?, "5")?;
    }
    Ok(())
}

pub(super) fn times(device: &mut Device<'_>) -> anyhow::Result<()> {
    for form in ["tagged", "plain", "text"] {
        device.tell(&format!("time {form}"))?;
        for (format, number) in [("lwm2m-cbor", 11544), ("cbor", 60)] {
            let answer = device.cli(&["read", "/3/0/13", "--format", format])?;
            device.received(&json!({ "path": "/3/0/13", "accept": number }))?;
            expect(form, &value_at(&answer, "/3/0/13")?, "1700000000")?;
        }
    }
    device.tell("time tagged")
}

pub(super) fn write(device: &mut Device<'_>) -> anyhow::Result<()> {
    for (format, number) in [
        ("lwm2m-cbor", 11544),
        ("senml-cbor", 112),
        ("senml-json", 110),
    ] {
        device.cli(&[
            "write", "/1/0", "1=86400", "6=true", "7=", "10=21:3", "--update", "--format", format,
        ])?;
        device.received(&json!({
            "code": "POST", "path": "/1/0", "format": number, "accept": null, "query": []
        }))?;
        device.written(&json!({
            "/1/0/1": "86400", "/1/0/6": "true", "/1/0/7": "\"\"", "/1/0/10": "\"21:3\""
        }))?;
        device.cli(&[
            "write",
            "/3/0",
            "13=1700000001",
            "14=+02:00",
            "--format",
            format,
        ])?;
        device.received(&json!({ "code": "PUT", "path": "/3/0", "format": number }))?;
        device.written(&json!({ "/3/0/13": "1700000001", "/3/0/14": "\"+02:00\"" }))?;
        device.cli(&["write", "/19/0/0/0", "AAECAw==", "--format", format])?;
        device.received(&json!({ "code": "PUT", "path": "/19/0/0/0", "format": number }))?;
        device.written(&json!({ "/19/0/0/0": "h'00010203'" }))?;
        device.cli(&[
            "write", "/16/0/0", "0=a", "3=d", "--update", "--format", format,
        ])?;
        device.received(&json!({ "code": "POST", "path": "/16/0/0", "format": number }))?;
        device.written(&json!({ "/16/0/0/0": "\"a\"", "/16/0/0/3": "\"d\"" }))?;
        device.cli(&["write", "/16/0/0/1", "b", "--format", format])?;
        device.received(&json!({ "code": "PUT", "path": "/16/0/0/1", "format": number }))?;
        device.written(&json!({ "/16/0/0/1": "\"b\"" }))?;
    }
    Ok(())
}

/// A whole number in a Float resource goes as a float: devices decode by the major type.
pub(super) fn create(device: &mut Device<'_>) -> anyhow::Result<()> {
    let answer = device.cli(&[
        "create",
        "/3303",
        "5700=30",
        "5701=Cel",
        "--format",
        "lwm2m-cbor",
    ])?;
    device.received(&json!({ "code": "POST", "path": "/3303", "format": 11544 }))?;
    device.written(&json!({ "/3303/1/5700": "30.0", "/3303/1/5701": "\"Cel\"" }))?;
    expect(
        "created",
        answer["created"].as_str().unwrap_or(""),
        "/3303/1",
    )?;
    let answer = device.cli(&["read", "/3303", "--format", "lwm2m-cbor"])?;
    device.received(&json!({ "path": "/3303" }))?;
    expect("/3303/1/5700", &value_at(&answer, "/3303/1/5700")?, "30.0")?;
    expect("/3303/0/5700", &value_at(&answer, "/3303/0/5700")?, "21.5")?;
    device.cli(&["delete", "/3303/1"])?;
    device.received(&json!({ "code": "DELETE", "path": "/3303/1" }))?;
    Ok(())
}

pub(super) fn delete_instance(device: &mut Device<'_>) -> anyhow::Result<()> {
    device.cli(&["delete", "/16/0/0/1"])?;
    device.received(&json!({ "code": "DELETE", "path": "/16/0/0/1", "payload": "" }))?;
    let answer = device.cli(&["read", "/16/0/0", "--format", "lwm2m-cbor"])?;
    device.received(&json!({ "path": "/16/0/0" }))?;
    ensure!(
        value_at(&answer, "/16/0/0/1").is_err(),
        "still there: {answer}"
    );
    value_at(&answer, "/16/0/0/2")?;
    let problem = device
        .server
        .cli_fails(&["delete", ENDPOINT, "/16/0/0/1"])?;
    device.received(&json!({ "code": "DELETE", "path": "/16/0/0/1" }))?;
    expect(
        "coap_code",
        problem["coap_code"].as_str().unwrap_or(""),
        "4.04",
    )
}

pub(super) fn discover(device: &mut Device<'_>) -> anyhow::Result<()> {
    for (depth, paths) in [
        ("0", &["/3200"][..]),
        ("1", &["/3200", "/3200/0"]),
        ("2", &["/3200", "/3200/0", "/3200/0/5500"]),
    ] {
        let answer = device.cli(&["discover", "/3200", "--depth", depth])?;
        device.received(&json!({
            "code": "GET", "path": "/3200", "accept": 40, "query": [format!("depth={depth}")]
        }))?;
        let links = answer["links"].as_array().into_iter().flatten();
        let found: Vec<&str> = links.filter_map(|link| link["path"].as_str()).collect();
        ensure!(found == paths, "depth {depth}: {found:?}");
    }
    let answer = device.cli(&["discover", "/3", "--depth", "3"])?;
    device.received(&json!({ "path": "/3", "query": ["depth=3"] }))?;
    ensure!(link_of(&answer, "/3/0/6")?["dim"] == 2, "{answer}");
    link_of(&answer, "/3/0/6/1")?;
    device.cli(&["discover", "/3/0"])?;
    device.received(&json!({ "path": "/3/0", "accept": 40, "query": [] }))?;
    Ok(())
}

pub(super) fn attributes(device: &mut Device<'_>) -> anyhow::Result<()> {
    device.cli(&[
        "attributes",
        "/3200/0/5500",
        "edge=1",
        "con=1",
        "hqmax=10",
        "epmin=1",
    ])?;
    let request = device.received(&json!({
        "code": "PUT", "path": "/3200/0/5500", "format": null, "payload": "", "observe": null
    }))?;
    same_items(
        &request["query"],
        &["edge=1", "con=1", "hqmax=10", "epmin=1"],
    )?;
    let answer = device.cli(&["discover", "/3200/0/5500"])?;
    device.received(&json!({ "path": "/3200/0/5500", "accept": 40 }))?;
    let link = link_of(&answer, "/3200/0/5500")?;
    for (key, value) in [("edge", "1"), ("con", "1"), ("hqmax", "10"), ("epmin", "1")] {
        let found = match &link["attributes"][key] {
            Value::Bool(truth) => u8::from(*truth).to_string(),
            other => other.to_string(),
        };
        expect(key, &found, value)?;
    }
    device.cli(&[
        "attributes",
        "/3200/0/5500",
        "edge",
        "con",
        "hqmax",
        "epmin",
    ])?;
    let request = device.received(&json!({ "code": "PUT", "payload": "" }))?;
    same_items(&request["query"], &["edge", "con", "hqmax", "epmin"])?;
    let answer = device.cli(&["discover", "/3200/0/5500"])?;
    device.received(&json!({ "accept": 40 }))?;
    let link = link_of(&answer, "/3200/0/5500")?;
    ensure!(link["attributes"] == json!({}), "still attached: {link}");
    let problem = device
        .server
        .cli_fails(&["attributes", ENDPOINT, "/3303/0/5700", "edge=1"])?;
    ensure!(
        problem["coap_code"].is_null(),
        "edge on a number was sent: {problem}"
    );
    Ok(())
}
