//! Composite operations, in every format that their requests and answers come in.

use anyhow::{Context, ensure};
use serde_json::json;

use super::super::super::server::{expect, value_at};
use super::device::{Device, same_items};
use super::reporting::cancelled;

/// The formats of a composite request and of its answer, by name and number.
const COMPOSITE: [(&str, u16, &str, u16); 6] = [
    ("senml-cbor", 112, "senml-cbor", 112),
    ("senml-cbor", 112, "lwm2m-cbor", 11544),
    ("senml-json", 110, "senml-json", 110),
    ("senml-etch-cbor", 322, "senml-cbor", 112),
    ("senml-etch-cbor", 322, "lwm2m-cbor", 11544),
    ("senml-etch-json", 320, "senml-json", 110),
];

const NAMES_CBOR: &str = "[{0: \"/3/0/0\"}, {0: \"/3/0/99\"}, {0: \"/3200/0\"}]";
const NAMES_JSON: &str = "[{\"n\": \"/3/0/0\"}, {\"n\": \"/3/0/99\"}, {\"n\": \"/3200/0\"}]";

pub(super) fn read(device: &mut Device<'_>) -> anyhow::Result<()> {
    for (format, number, accept, accept_number) in COMPOSITE {
        let answer = device.cli(&[
            "read", "/3/0/0", "/3/0/99", "/3200/0", "--format", format, "--accept", accept,
        ])?;
        device.received(&json!({
            "code": "FETCH", "path": "/", "query": [], "format": number, "accept": accept_number,
            "body": if format.ends_with("json") { NAMES_JSON } else { NAMES_CBOR },
        }))?;
        expect("format", answer["format"].as_str().unwrap_or(""), accept)?;
        expect(format, &value_at(&answer, "/3/0/0")?, "aiocoap")?;
        value_at(&answer, "/3200/0/5500")?;
        ensure!(value_at(&answer, "/3/0/99").is_err(), "{answer}");
    }
    Ok(())
}

pub(super) fn write(device: &mut Device<'_>) -> anyhow::Result<()> {
    for (format, number) in [
        ("senml-cbor", 112),
        ("senml-json", 110),
        ("senml-etch-cbor", 322),
        ("senml-etch-json", 320),
        ("lwm2m-cbor", 11544),
    ] {
        device.cli(&[
            "write",
            "/1/0/1=600",
            "/3/0/14=+03:00",
            "/16/0/0/5=e",
            "/1/0/6=false",
            "--composite",
            "--format",
            format,
        ])?;
        device.received(&json!({
            "code": "iPATCH", "path": "/", "query": [], "format": number
        }))?;
        device.written(&json!({
            "/1/0/1": "600", "/1/0/6": "false", "/16/0/0/5": "\"e\"", "/3/0/14": "\"+03:00\""
        }))?;
    }
    for (format, number) in [("senml-etch-cbor", 322), ("senml-etch-json", 320)] {
        device.cli(&[
            "write",
            "/16/0/0/6=f",
            "/16/0/0/5",
            "--composite",
            "--format",
            format,
        ])?;
        device.received(&json!({ "code": "iPATCH", "format": number }))?;
        device.written(&json!({ "/16/0/0/5": "null", "/16/0/0/6": "\"f\"" }))?;
        let answer = device.cli(&["read", "/16/0/0", "--format", "senml-cbor"])?;
        device.received(&json!({ "path": "/16/0/0", "accept": 112 }))?;
        expect("/16/0/0/6", &value_at(&answer, "/16/0/0/6")?, "f")?;
        ensure!(
            value_at(&answer, "/16/0/0/5").is_err(),
            "still there: {answer}"
        );
        device.cli(&["write", "/16/0/0/5", "e", "--format", "cbor"])?;
        device.received(&json!({ "code": "PUT", "path": "/16/0/0/5", "format": 60 }))?;
    }
    Ok(())
}

pub(super) fn observe(device: &mut Device<'_>) -> anyhow::Result<()> {
    for (format, number, accept, accept_number) in COMPOSITE {
        device.tell("set /3200/0/5500 false")?;
        let observing = device.cli_in_background(&[
            "observe",
            "/3/0/0",
            "/3/0/99",
            "/3200/0",
            "--attribute",
            "pmin=0",
            "--attribute",
            "con=1",
            "--format",
            format,
            "--accept",
            accept,
            "--count",
            "2",
        ])?;
        let request = device.received(&json!({
            "code": "FETCH", "path": "/", "observe": 0, "format": number, "accept": accept_number,
            "body": if format.ends_with("json") { NAMES_JSON } else { NAMES_CBOR },
        }))?;
        same_items(&request["query"], &["pmin=0", "con=1"])?;
        let first = observing.answer()?;
        expect(format, &value_at(&first, "/3200/0/5500")?, "false")?;
        expect(format, &value_at(&first, "/3/0/0")?, "aiocoap")?;
        for value in ["true", "false"] {
            device.peer.tell(&format!("set /3200/0/5500 {value}"))?;
            device.peer.hear("acknowledged")?;
            expect(
                format,
                &value_at(&observing.answer()?, "/3200/0/5500")?,
                value,
            )?;
        }
        cancelled(device, &request).with_context(|| format.to_owned())?;
    }
    Ok(())
}
