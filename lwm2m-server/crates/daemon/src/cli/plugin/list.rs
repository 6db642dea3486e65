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
            of("state"),
            memory(plugin),
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
            let figures = ["calls", "errors", "p50_us", "p99_us"].map(|key| text(figures, key));
            rows.push([&facts[..], &[hook.to_owned()], &figures].concat());
        }
    }
    let header = [
        "plugin", "version", "language", "state", "memory", "hook", "calls", "errors", "p50 us",
        "p99 us",
    ];
    print(&header, rows, "No plugin is loaded.");
    for plugin in plugins {
        if let Some(error) = plugin.get("error").filter(|error| !error.is_null()) {
            println!("\n{}: {}", text(plugin, "name"), place(error));
            println!("  {}", text(error, "hint"));
        }
    }
    Ok(())
}

fn memory(plugin: &Value) -> String {
    match plugin.get("memory_bytes").and_then(Value::as_u64) {
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
