//! `plugin run`: a plugin at work, with a server on loopback and a simulated device.
//!
//! ```text
//! simulated device ─> server on loopback ─> the plugin ─> each call is shown
//! the file is saved ─> loaded ─> the device registers again
//! ```

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use lwm2m_core::{Path as ResourcePath, Version};
use lwm2m_device::objects::{DeviceObject, Firmware, Temperature};
use lwm2m_device::{Device, DeviceHandle};
use lwm2m_plugins::{
    CallTrace, LoadError, PluginConfig, PluginHost, PluginStatus, PluginsConfig, check,
};
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use lwm2m_server::{Event, EventKind, Hook, Listener, Server};
use serde_json::{Value, json};

use crate::cli::table::{printable, printable_json};
use crate::run::{interrupted, start_logging};

/// The device.
const ENDPOINT: &str = "simulated-meter";

/// What is observed on the device unless the plugin has a plan, so that there are values.
const OBSERVED: [u16; 3] = [3303, 0, 5700];

/// How often it is looked whether the plugin was loaded anew.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Permissions that a plugin which is tried out has; those for HTTP are those it asks for.
const GRANT: [&str; 8] = [
    "kv",
    "registry",
    "events",
    "device:read:/**",
    "device:write:/**",
    "device:execute:/**",
    "device:write-attributes:/**",
    "device:discover:/**",
];

pub(super) fn run(plugin: &Path, config: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let settings = super::check::settings(config)?;
    // What plugins log is a line each.
    start_logging("warn,lwm2m_plugins=info");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(plugin, settings, json))
}

async fn serve(plugin: &Path, settings: toml::Table, json: bool) -> anyhow::Result<()> {
    let place = plugin
        .canonicalize()
        .with_context(|| format!("cannot read {}", plugin.display()))?;
    let host = PluginHost::with(plugins(&place, settings)).await?;
    host.watch_calls(move |call| show_call(call, json));
    let [object, instance, resource] = OBSERVED;
    let observed = ResourcePath::resource(object, instance, resource);
    let observed = ObserveRule::new(ObserveStrategy::Single).path(observed);
    let server = Server::builder()
        .listen(Listener::coap((Ipv4Addr::LOCALHOST, 0).into()))
        .intercept(host.clone())
        .observe(ObserveStrategies::default().rule(observed))
        .on(move |event| show_event(event, json))
        .start()
        .await?;
    let address = server.local_addresses().first().copied();
    let device = device(address.context("the server has no listener")?).await?;
    if !json {
        say(&format!(
            "{} runs with the simulated device {ENDPOINT}. Save it to load it again; Ctrl-C ends.",
            plugin.display()
        ));
    }
    let outcome = tokio::select! {
        outcome = follow(&host, &device, json) => outcome,
        () = interrupted() => Ok(()),
    };
    device.stop().await;
    server.shutdown().await;
    outcome
}

/// The one plugin, with everything that it asks for.
fn plugins(place: &Path, settings: toml::Table) -> PluginsConfig {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy();
    let mut config = PluginConfig::new(&stem);
    config.grant = GRANT.map(str::to_owned).to_vec();
    if let Ok(checked) = check(place, &settings) {
        config.name = checked.manifest.name;
        let asked = checked.manifest.permissions.into_iter();
        config
            .grant
            .extend(asked.filter(|it| it.starts_with("http:")));
    } else if let Some(name) = name_in(place) {
        config.name = name;
    }
    config.source = Some(place.to_owned());
    config.config = settings;
    // Who tries something out may be slow, and fails more often.
    config.breaker.failures = 0;
    PluginsConfig {
        directory: None,
        plugin: vec![config],
        ..PluginsConfig::default()
    }
}

/// The name in the manifest of a plugin that cannot be loaded yet.
fn name_in(place: &Path) -> Option<String> {
    let text = std::fs::read_to_string(place.join("plugin.toml")).ok()?;
    let manifest: toml::Table = toml::from_str(&text).ok()?;
    Some(manifest.get("name")?.as_str()?.to_owned())
}

async fn device(server: SocketAddr) -> anyhow::Result<DeviceHandle> {
    let version = Version::V1_1;
    let device = Device::builder(ENDPOINT)
        .version(version)
        .server(server)
        .lifetime_s(30)
        .object(DeviceObject::new(version, "Meter M3", "M3-000042"))
        .object(Firmware::new("1.0.0"))
        .object(Temperature::new(1).drifting(Duration::from_secs(2), 42));
    Ok(device.start().await?)
}

/// Tells when the plugin is loaded or refused, and has the device register then.
async fn follow(host: &PluginHost, device: &DeviceHandle, json: bool) -> anyhow::Result<()> {
    let mut known: Option<(u64, Option<LoadError>)> = None;
    loop {
        let looking = host.clone();
        let list = tokio::task::spawn_blocking(move || looking.list()).await?;
        if let Some(status) = list.first() {
            let now = (status.generation, status.error.clone());
            let before = known.replace(now.clone());
            if before.as_ref() != Some(&now) {
                show_status(status, json);
            }
            if before.is_some_and(|(generation, _)| generation != status.generation) {
                device.reboot().await?;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn show_call(call: &CallTrace, json: bool) {
    let took_ms = call.took.as_secs_f64() * 1000.0;
    let (word, answer) = match &call.answer {
        Ok(answer) => ("answer", answer.clone()),
        Err(failure) => ("fails", Value::from(failure.to_string())),
    };
    if json {
        return say_json(json!({
            "call": call.hook.name(), "endpoint": call.endpoint, "input": call.input,
            word: answer, "took_us": call.took.as_micros() as u64,
        }));
    }
    let (hook, endpoint) = (
        call.hook.name(),
        call.endpoint.as_deref().unwrap_or_default(),
    );
    say(&format!(
        "\n{hook}  {}  {took_ms:.2} ms",
        printable(endpoint)
    ));
    for (key, value) in call.input.as_object().into_iter().flatten() {
        say(&format!("  {key:<12}  {}", printable(&value.to_string())));
    }
    say(&format!("  {word:<12}  {}", printable(&answer.to_string())));
}

fn show_status(status: &PluginStatus, json: bool) {
    let hooks: Vec<&str> = status.hooks.iter().copied().map(Hook::name).collect();
    let error = status.error.as_ref();
    if json {
        return say_json(json!({
            "generation": status.generation, "hooks": hooks,
            "error": error.map(ToString::to_string),
            "hint": error.and_then(|error| error.hint.clone()),
        }));
    }
    match error {
        None => say(&format!(
            "\nloaded, generation {}: {}",
            status.generation,
            hooks.join(", ")
        )),
        Some(error) => {
            let hint = error.hint.as_deref().unwrap_or_default();
            say(&format!("\nrefused: {}\n  {}", error, hint));
        }
    }
}

fn show_event(event: &Event, json: bool) {
    let (what, told) = match &event.kind {
        EventKind::Published { kind, json, .. } => (kind.as_str(), json.clone()),
        EventKind::Refused {
            operation, reason, ..
        } => (*operation, reason.message.to_string()),
        _ => return,
    };
    match json {
        true => say_json(json!({ "event": what, "told": told })),
        false => say(&format!(
            "\nevent  {}  {}",
            printable(what),
            printable(&told)
        )),
    }
}

fn say_json(line: Value) {
    say(&printable_json(&line));
}

/// A line, at once: who pipes it waits for it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more otherwise.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
