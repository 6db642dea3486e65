//! `plugin run`: a plugin at work, with a server on loopback and a simulated device.
//!
//! ```text
//! simulated device ─> server on loopback ─> the plugin ─> each call is shown
//! the file is saved ─> loaded ─> another device comes, which does what the plugin has hooks for
//! ```

mod keys;
mod simulated;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_core::Path as ResourcePath;
use lwm2m_plugins::{
    CallTrace, LoadError, PluginConfig, PluginHost, PluginStatus, PluginsConfig, check,
};
use lwm2m_server::bootstrap::MemoryBootstrap;
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use lwm2m_server::{EndpointName, Event, EventKind, Hook, Listener, Reason, Server};
use serde_json::{Value, json};

use super::cache;
use crate::cli::table::{printable, printable_json};
use crate::run::{interrupted, start_logging};
use keys::RunKeys;
use simulated::{Running, Security, Simulation, Started};

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

/// What `plugin run` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A script, a component, or the folder of a plugin.
    plugin: PathBuf,
    /// What its init gets: a file with the table that `config` has in [[plugins.plugin]].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The endpoint name of the simulated device.
    #[arg(long, value_name = "NAME", default_value = "simulated-meter")]
    endpoint: String,
    /// The identity of its pre-shared key, for plugins that look credentials up; its endpoint name
    /// when left out.
    #[arg(long, value_name = "TEXT")]
    identity: Option<String>,
    /// What it proves itself with, for plugins that have `credentials`: the key that the plugin has for
    /// it, a raw public key, or a certificate with its endpoint name.
    #[arg(long, value_enum, default_value_t = Security::Psk)]
    security: Security,
}

pub(super) fn run(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let settings = super::check::settings(arguments.config.as_deref())?;
    if EndpointName::new(&arguments.endpoint).is_none() {
        bail!("--endpoint: an endpoint name has 1 to 255 bytes");
    }
    // What plugins log is a line each.
    // What is loaded and refused is shown, and needs no line in the log.
    start_logging("warn,lwm2m_plugins=info,lwm2m_plugins::host=off,lwm2m_device=error");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(arguments, settings, json))
}

async fn serve(arguments: &Arguments, settings: toml::Table, json: bool) -> anyhow::Result<()> {
    let plugin = &arguments.plugin;
    let place = plugin
        .canonicalize()
        .with_context(|| format!("cannot read {}", plugin.display()))?;
    let mut config = plugins(&place, settings);
    config.cache = cache();
    let host = match PluginHost::with(config.clone()).await {
        // A cache that cannot be used costs time only.
        Err(_) if config.cache.take().is_some() => PluginHost::with(config).await?,
        host => host?,
    };
    host.watch_calls(move |call| show_call(call, json));
    let [object, instance, resource] = OBSERVED;
    let observed = ResourcePath::resource(object, instance, resource);
    let observed = ObserveRule::new(ObserveStrategy::Single).path(observed);
    let running = Running::default();
    let loopback = (Ipv4Addr::LOCALHOST, 0).into();
    let accounts = MemoryBootstrap::default();
    accounts.set(&arguments.endpoint, simulated::account());
    let keys = RunKeys::new(&arguments.endpoint)?;
    let server = Server::builder()
        .keys(keys.of_server())
        .listen(Listener::coap(loopback).also_bootstrap())
        .listen(Listener::coaps(loopback).also_bootstrap())
        .bootstrap(Arc::new(accounts))
        .intercept(host.clone())
        .intercept(running.clone())
        .observe(ObserveStrategies::default().rule(observed))
        .on(move |event| show_event(event, json))
        .start()
        .await?;
    let [coap, coaps] = server.local_addresses()[..] else {
        bail!("the server has not its two listeners");
    };
    let endpoint = arguments.endpoint.clone();
    let simulation = Simulation {
        identity: arguments.identity.clone().unwrap_or(endpoint.clone()),
        endpoint,
        security: arguments.security,
        keys,
        coap,
        coaps,
    };
    if !json {
        say(&format!(
            "{} runs with a simulated device. Save it to load it again; Ctrl-C ends.",
            plugin.display()
        ));
    }
    let outcome = tokio::select! {
        outcome = follow(&host, &simulation, &running, json) => outcome,
        () = interrupted() => Ok(()),
    };
    running.replace(None).await;
    server.shutdown().await;
    outcome
}

/// The one plugin, with everything that it asks for.
fn plugins(place: &Path, settings: toml::Table) -> PluginsConfig {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy();
    let mut config = PluginConfig::new(&stem);
    config.grant = GRANT.map(str::to_owned).to_vec();
    if let Ok(checked) = check(place, &settings, cache().as_deref()) {
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

/// Tells when the plugin is loaded or refused, and lets a device come for each version of it.
async fn follow(
    host: &PluginHost,
    simulation: &Simulation,
    running: &Running,
    json: bool,
) -> anyhow::Result<()> {
    let mut known: Option<(u64, Option<LoadError>)> = None;
    let mut started: Option<Started> = None;
    loop {
        let looking = host.clone();
        let list = tokio::task::spawn_blocking(move || looking.list()).await?;
        if let Some(status) = list.first() {
            let now = (status.generation, status.error.clone());
            let before = known.replace(now.clone());
            if before.as_ref() != Some(&now) {
                show_status(status, json);
            }
            let is_new = before.is_none_or(|(generation, _)| generation != status.generation);
            let key = match &mut started {
                _ if is_new => None,
                Some(started) => simulation.other_key(host, started).await,
                None => None,
            };
            if is_new && status.generation > 0 || key.is_some() {
                running.replace(None).await;
                let now = simulation.start(host, &status.hooks, key).await?;
                running.replace(Some(now.device.clone())).await;
                show_device(&now.told, json);
                started = Some(now);
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
    // A handshake has a scheme; who asks without one gives the device its key.
    let is_for_device = call.hook == Hook::Credentials && call.input["request"]["scheme"].is_null();
    if json {
        return say_json(json!({
            "call": call.hook.name(), "endpoint": call.endpoint, "input": call.input,
            word: answer, "took_us": call.took.as_micros() as u64,
            "for_the_device": is_for_device,
        }));
    }
    let about = match is_for_device {
        true => "to give the simulated device its key",
        false => call.endpoint.as_deref().unwrap_or_default(),
    };
    let hook = call.hook.name();
    say(&format!("\n{hook}  {}  {took_ms:.2} ms", printable(about)));
    for (key, value) in call.input.as_object().into_iter().flatten() {
        say(&format!("  {key:<12}  {}", printable(&value.to_string())));
    }
    say(&format!("  {word:<12}  {}", printable(&answer.to_string())));
}

fn show_status(status: &PluginStatus, json: bool) {
    let hooks: Vec<&str> = status.hooks.iter().copied().map(Hook::name).collect();
    let error = status.error.as_ref();
    let note = not_asked(&status.hooks);
    if json {
        return say_json(json!({
            "generation": status.generation, "hooks": hooks,
            "error": error.map(ToString::to_string),
            "hint": error.and_then(|error| error.hint.clone()),
            "note": note,
        }));
    }
    match error {
        None => say(&format!(
            "\nloaded, generation {}: {}",
            status.generation,
            hooks.join(", ")
        )),
        Some(error) => {
            say(&format!("\nrefused: {}", printable(&error.to_string())));
            if let Some(hint) = &error.hint {
                say(&format!("  {}", printable(hint)));
            }
        }
    }
    if let Some(note) = note {
        say(&format!("  {note}"));
    }
}

/// What is said of hooks that no device can bring about here.
fn not_asked(hooks: &[Hook]) -> Option<String> {
    let firmware = [Hook::Firmware, Hook::FirmwareStep].into_iter();
    let firmware = firmware.filter(|hook| hooks.contains(hook)).map(Hook::name);
    let firmware: Vec<&str> = firmware.collect();
    (!firmware.is_empty()).then(|| {
        let names = firmware.join(" and ");
        format!(
            "not called here: {names}. This server has no firmware service yet; try them with \
             `lwm2m-server plugin test`"
        )
    })
}

fn show_device(told: &str, json: bool) {
    match json {
        true => say_json(json!({ "device": told })),
        false => say(&format!("\ndevice  {}", printable(told))),
    }
}

fn show_event(event: &Event, json: bool) {
    let because = |reason: &Reason| match &reason.hint {
        Some(hint) => format!("{} ({hint})", reason.message),
        None => reason.message.to_string(),
    };
    let (what, told) = match &event.kind {
        EventKind::Published { kind, json, .. } => (kind.as_str(), json.clone()),
        EventKind::Registered { registration, .. } => {
            let told = format!("{}, {}", registration.endpoint, registration.identity);
            ("registered", told)
        }
        EventKind::Refused {
            operation, reason, ..
        } => (*operation, because(reason)),
        EventKind::SessionEnded { reason, .. } => ("session-ended", because(reason)),
        EventKind::BootstrapFinished { steps, failures } => {
            let told = format!("{steps} steps, {failures} of them failed");
            ("bootstrapped", told)
        }
        EventKind::BootstrapStepFailed {
            operation,
            path,
            reason,
            ..
        } => {
            let told = format!("{operation} {path}: {}", because(reason));
            ("bootstrap-step-failed", told)
        }
        EventKind::BootstrapFailed { reason, .. } => ("bootstrap-failed", because(reason)),
        EventKind::ObserveFailed { paths, reason, .. } => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let told = format!("{}: {}", paths.join(", "), because(reason));
            ("observe-failed", told)
        }
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

fn say(line: &str) {
    say!("{line}");
}
