//! Observe strategies: what the server observes by itself on devices of others.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::events::Events;
use super::peer::{Peer, free_port};
use super::report::Report;
use super::server::{Server, expect, wait_for};
use super::{leshan, libcoap};

const PEER: &str = "observe";

/// One rule for each strategy, by the end of the endpoint name.
const CONFIG: &str = r#"
[[observe.rule]]
endpoint   = "*-single"
strategy   = "SINGLE"
paths      = ["/3303/0/5700", "/3/0/0", "/9/0/7"]
attributes = { "/3303/0/5700" = { pmin = 1, pmax = 600 } }

[[observe.rule]]
endpoint = "*-all"
strategy = "COMPOSITE_ALL"
paths    = ["/3303/0/5700", "/3/0/0", "/9/0/7"]
delay_s  = 3

[[observe.rule]]
endpoint = "*-by-object"
strategy = "COMPOSITE_BY_OBJECT"
paths    = ["/3303/0/5700", "/3303/0/5601", "/3/0/0"]

[[observe.rule]]
endpoint = "*-plugin"
strategy = "plugin"
"#;

const PLUGIN: &str = r#"
fn observe_plan(registration) {
    if !registration.endpoint.ends_with("-plugin") { return; }
    observe([target("/3303/0/5700", #{ pmin: 1 }), "/3/0/0"], "composite-all")
}
"#;

/// Which observations a strategy comes to: their paths, and whether they are composites.
type Expected = &'static [(&'static [&'static str], bool)];

const LESHAN: [(&str, &str, Expected); 4] = [
    (
        "leshan-single",
        "SINGLE, attributes before",
        &[(&["/3303/0/5700"], false), (&["/3/0/0"], false)],
    ),
    (
        "leshan-all",
        "COMPOSITE_ALL, after its delay",
        &[(&["/3/0/0", "/3303/0/5700"], true)],
    ),
    (
        "leshan-by-object",
        "COMPOSITE_BY_OBJECT",
        &[
            (&["/3303/0/5601", "/3303/0/5700"], true),
            (&["/3/0/0"], true),
        ],
    ),
    (
        "leshan-plugin",
        "plugin, a script",
        &[(&["/3/0/0", "/3303/0/5700"], true)],
    ),
];

pub(crate) fn run(root: &Path, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start_with(root, CONFIG, &[("plugins/planner.rhai", PLUGIN)])?;
    match libcoap::install(root) {
        Ok(()) => report.scenario(PEER, "libcoap: a composite falls back to single", || {
            raw_device(&server)
        }),
        Err(reason) => report.skip(PEER, "libcoap", &format!("{reason:#}")),
    }
    if let Err(reason) = leshan::install(root) {
        report.skip(PEER, "leshan", &format!("{reason:#}"));
        return Ok(());
    }
    for (endpoint, name, expected) in LESHAN {
        report.scenario(PEER, &format!("leshan: {name}"), || {
            strategy(root, &server, endpoint, expected)
        });
    }
    report.scenario(PEER, "leshan: a new registration is observed anew", || {
        again(root, &server)
    });
    report.scenario(
        PEER,
        "leshan: a strategy changed over HTTP cancels and makes what differs",
        || changed(root, &server),
    );
    Ok(())
}

fn strategy(
    root: &Path,
    server: &Server,
    endpoint: &str,
    expected: Expected,
) -> anyhow::Result<()> {
    let events = server.events()?;
    let mut device = leshan::start(root, server, endpoint, "awake")?;
    device.hear("registered /rd/")?;
    let established = next(&events, endpoint, "observe_established")?;
    expect(
        "made",
        &established["made"].to_string(),
        &expected.len().to_string(),
    )?;
    expect("failed", &established["failed"].to_string(), "0")?;
    let answer = server.cli(&["observations", endpoint])?;
    let observations = answer["observations"]
        .as_array()
        .context("no observations")?;
    ensure!(observations.len() == expected.len(), "{answer}");
    for (observation, (paths, composite)) in observations.iter().zip(expected) {
        ensure!(
            observation["paths"] == json!(paths)
                && observation["composite"] == *composite
                && observation["planned"] == true,
            "{answer}"
        );
    }
    if endpoint.ends_with("-single") || endpoint.ends_with("-plugin") {
        let links = server.cli(&["discover", endpoint, "/3303/0"])?;
        let links = links["links"].as_array().context("no links")?;
        let link = links.iter().find(|link| link["path"] == "/3303/0/5700");
        let link = link.context("no /3303/0/5700")?;
        expect("pmin", &link["attributes"]["pmin"].to_string(), "1")?;
    }
    notifies(&events, &mut device, endpoint)?;
    device.tell("stop")?;
    device.hear("deregistered")?;
    server.wait_registered(endpoint, false)
}

/// A new value on the device is told of without anybody having asked.
fn notifies(events: &Events, device: &mut Peer, endpoint: &str) -> anyhow::Result<()> {
    device.tell("set 22.5")?;
    for _ in 0..8 {
        let notification = next(events, endpoint, "notification")?;
        let values = notification["values"].as_array().context("no values")?;
        let is_it = |value: &Value| value["path"] == "/3303/0/5700" && value["value"] == 22.5;
        if values.iter().any(is_it) {
            return Ok(());
        }
    }
    anyhow::bail!("no notification with the new value")
}

/// A device that comes back under the same name without a word of farewell.
fn again(root: &Path, server: &Server) -> anyhow::Result<()> {
    const ENDPOINT: &str = "leshan-again-single";
    let events = server.events()?;
    for round in 0..2 {
        let device = leshan::start(root, server, ENDPOINT, "awake")?;
        device.hear("registered /rd/")?;
        let established = next(&events, ENDPOINT, "observe_established")?;
        expect(
            &format!("made in round {round}"),
            &established["made"].to_string(),
            "2",
        )?;
        server.wait_observations(ENDPOINT, 2)?;
    }
    Ok(())
}

/// Rules for one device change while it is registered; the device says what it is asked.
fn changed(root: &Path, server: &Server) -> anyhow::Result<()> {
    const ENDPOINT: &str = "leshan-changed";
    const ALL: [&str; 3] = ["/3/0/0", "/3303/0/5601", "/3303/0/5700"];
    let set = |strategy: &str, paths: &[&str]| {
        let rule = ["observe-rules", "set", ENDPOINT, "--strategy", strategy];
        let paths = paths.iter().flat_map(|path| ["--path", *path]);
        let rule: Vec<&str> = rule.into_iter().chain(paths).collect();
        server.cli(&rule)
    };
    let events = server.events()?;
    let mut device = leshan::start(root, server, ENDPOINT, "awake")?;
    device.hear("registered /rd/")?;
    // All that the device was asked up to the end of a plan, in any order; what is asked twice, or
    // besides, is one too many.
    let mut expect_asked = |expected: &[&str]| -> anyhow::Result<Value> {
        let established = next(&events, ENDPOINT, "observe_established")?;
        expect("failed", &established["failed"].to_string(), "0")?;
        device.tell("mark")?;
        let mut asked = Vec::new();
        loop {
            let fact = device.hear_either(&["observe ", "unknown mark"])?;
            match fact.strip_prefix("observe ") {
                Some(fact) => asked.push(fact.trim().to_owned()),
                None => break,
            }
        }
        asked.sort();
        ensure!(asked == expected, "{asked:?} is not {expected:?}");
        let answer = server.cli(&["observations", ENDPOINT])?;
        Ok(answer["observations"].clone())
    };
    set("SINGLE", &ALL)?;
    expect_asked(&[
        "begins GET 3/0/0",
        "begins GET 3303/0/5601",
        "begins GET 3303/0/5700",
    ])?;
    set("SINGLE", &ALL[..2])?;
    expect_asked(&["ends GET 3303/0/5700"])?;
    // The strategy alone.
    server.cli(&[
        "observe-rules",
        "set",
        ENDPOINT,
        "--strategy",
        "COMPOSITE_BY_OBJECT",
    ])?;
    let by_object = expect_asked(&[
        "begins FETCH",
        "begins FETCH",
        "ends GET 3/0/0",
        "ends GET 3303/0/5601",
    ])?;
    // One object has a path more: the composite of the other one stands.
    set("COMPOSITE_BY_OBJECT", &ALL)?;
    let more = expect_asked(&["begins FETCH", "ends FETCH"])?;
    let of_device = |observations: &Value| -> anyhow::Result<Value> {
        let mut all = observations.as_array().context("no observations")?.iter();
        let one = all.find(|one| one["paths"] == json!(["/3/0/0"]));
        Ok(one.context("no /3/0/0")?["id"].clone())
    };
    ensure!(
        of_device(&by_object)? == of_device(&more)?,
        "{by_object} {more}"
    );
    server.cli(&["observe-rules", "remove", ENDPOINT])?;
    let none = expect_asked(&["ends FETCH", "ends FETCH"])?;
    ensure!(none == json!([]), "{none}");
    Ok(())
}

/// libcoap has no FETCH at its root; its resources are there when the delay of the rule is over.
fn raw_device(server: &Server) -> anyhow::Result<()> {
    const ENDPOINT: &str = "libcoap-all";
    let events = server.events()?;
    let device = libcoap::Device {
        server: server.port("coap")?,
        port: free_port()?,
    };
    device.client(
        "post",
        "/rd?ep=libcoap-all&lwm2m=1.1&lt=60&b=U",
        Some("</1/0>,</3/0>,</3303/0>"),
    )?;
    server.wait_registered(ENDPOINT, true)?;
    let _resources = Peer::start(device.coap_server())?;
    wait_for("coap-server", || {
        Ok(device.create("3303/0/5700", "21.5").is_ok())
    })?;
    device.create("3/0/0", "libcoap")?;
    let failed = next(&events, ENDPOINT, "observe_failed")?;
    expect(
        "reason",
        failed["reason"]["code"].as_str().unwrap_or(""),
        "composite-unsupported",
    )?;
    let established = next(&events, ENDPOINT, "observe_established")?;
    expect("made", &established["made"].to_string(), "2")?;
    let answer = server.cli(&["observations", ENDPOINT])?;
    let observations = answer["observations"]
        .as_array()
        .context("no observations")?;
    let single =
        |observation: &Value| observation["composite"] == false && observation["planned"] == true;
    ensure!(
        observations.len() == 2 && observations.iter().all(single),
        "{answer}"
    );
    device.create("3303/0/5700", "23.25")?;
    for _ in 0..8 {
        let notification = next(&events, ENDPOINT, "notification")?;
        if notification["values"][0]["value"] == 23.25 {
            return Ok(());
        }
    }
    anyhow::bail!("no notification with the new value")
}

/// The next event of a device.
fn next(events: &Events, endpoint: &str, name: &str) -> anyhow::Result<Value> {
    loop {
        let event = events.next(name)?;
        if event["endpoint"] == endpoint {
            return Ok(event);
        }
    }
}
