//! `plugin list`: the plugins of a running server.

use serde_json::Value;

use crate::cli::api::{Api, Method};
use crate::cli::show::{array, as_json};
use crate::cli::table::{print, text};

pub(super) fn run(api: &Api, json: bool) -> anyhow::Result<()> {
    let answer = api.call(Method::Get, "/plugins", &[])?;
    if json {
        return as_json(&answer);
    }
    let plugins = array(answer.get("plugins").unwrap_or(&Value::Null));
    let mut rows = Vec::new();
    for plugin in plugins {
        let figures = array(plugin.get("figures").unwrap_or(&Value::Null));
        let hooks = array(plugin.get("hooks").unwrap_or(&Value::Null));
        let of = |key| text(plugin, key);
        let facts = [
            of("name"),
            of("version"),
            of("language"),
            state(plugin),
            memory(plugin.get("memory_bytes")),
        ];
        if hooks.is_empty() {
            rows.push(facts.to_vec());
        }
        for (at, hook) in hooks.iter().filter_map(Value::as_str).enumerate() {
            // What is said of the plugin is said once.
            let facts = match at {
                0 => facts.clone(),
                _ => Default::default(),
            };
            let is_of = |it: &&Value| it.get("hook").and_then(Value::as_str) == Some(hook);
            let figures = figures.iter().find(is_of).unwrap_or(&Value::Null);
            let keys = ["calls", "errors", "p50_us", "p99_us", "max_us", "fuel"];
            let figures_of = keys.map(|key| text(figures, key));
            let held = [memory(figures.get("memory_max_bytes"))];
            rows.push([&facts[..], &[hook.to_owned()], &figures_of, &held].concat());
        }
    }
    let header = [
        "plugin", "version", "language", "state", "memory", "hook", "calls", "errors", "p50 us",
        "p99 us", "max us", "fuel", "instance",
    ];
    print(&header, rows, "No plugin is loaded.");
    for plugin in plugins {
        let last = plugin.pointer("/breaker/last_failure");
        if let Some(last) = last.filter(|last| !last.is_null()) {
            let breaker = plugin.get("breaker").unwrap_or(&Value::Null);
            say!(
                "\n{}: failed {} at {}: {}\n  {} failures in a row",
                text(plugin, "name"),
                text(last, "hook"),
                text(last, "at"),
                text(last, "message"),
                text(breaker, "failures_in_a_row"),
            );
        }
        if let Some(error) = plugin.get("error").filter(|error| !error.is_null()) {
            say!("\n{}: {}", text(plugin, "name"), place(error));
            for line in [text(error, "hint"), stays(plugin)] {
                if !line.is_empty() {
                    say!("  {line}");
                }
            }
        }
    }
    Ok(())
}

/// What is in service although it is not the newest.
fn stays(plugin: &Value) -> String {
    match plugin.get("generation").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(generation) => format!("generation {generation} of it stays in service"),
    }
}

/// As in `on`, or `off until 2026-01-02T03:04:05Z`.
fn state(plugin: &Value) -> String {
    let state = text(plugin, "state");
    match plugin.pointer("/breaker/until").and_then(Value::as_str) {
        Some(until) => format!("{state} until {until}"),
        None => state,
    }
}

fn memory(bytes: Option<&Value>) -> String {
    match bytes.and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(bytes) => format!("{} KiB", bytes.div_ceil(1024)),
    }
}

/// As in `a.rhai:2:4: what is wrong`.
fn place(error: &Value) -> String {
    let place = ["file", "line", "column"].map(|key| text(error, key));
    let place: Vec<String> = place.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}: {}", place.join(":"), text(error, "message"))
}
