//! Answers of the API as tables for people, or as the JSON that came.

use serde_json::Value;

use super::table::{print, print_facts, printable, printable_json, text};

/// The list of devices.
pub(crate) fn clients(clients: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(clients);
    }
    let rows = array(clients)
        .iter()
        .map(|client| {
            [
                "endpoint",
                "version",
                "lifetime_s",
                "binding",
                "address",
                "identity",
                "awake",
                "updated_at",
            ]
            .map(|key| match key {
                "identity" => identity(client),
                key => text(client, key),
            })
            .to_vec()
        })
        .collect();
    print(
        &[
            "endpoint",
            "LwM2M",
            "lifetime s",
            "binding",
            "address",
            "identity",
            "awake",
            "last update",
        ],
        rows,
        "No device is registered.",
    );
    Ok(())
}

/// Who a device has proven to be; nothing without security.
fn identity(client: &Value) -> String {
    let of = |key| client.get("identity").map(|identity| text(identity, key));
    match (of("mode"), of("name")) {
        (Some(mode), Some(name)) if !name.is_empty() => format!("{mode} {name}"),
        _ => String::new(),
    }
}

/// One device.
pub(crate) fn client(client: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(client);
    }
    let facts = client.as_object().into_iter().flatten();
    print_facts(
        facts
            .map(|(key, value)| match key.as_str() {
                "identity" => (key.clone(), identity(client)),
                _ => (key.replace('_', " "), fact(value)),
            })
            .filter(|(_, value)| !value.is_empty())
            .collect(),
    );
    Ok(())
}

/// A fact of a registration: lists on one line, objects one a line.
pub(super) fn fact(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let separator = if items.iter().any(Value::is_object) {
                "\n"
            } else {
                " "
            };
            items
                .iter()
                .map(fact)
                .collect::<Vec<String>>()
                .join(separator)
        }
        Value::Object(object) if object.contains_key("instances") => {
            let instances = value.get("instances").map(fact).unwrap_or_default();
            let of = |key| text(value, key);
            format!(
                "/{} {} {}, instances: {instances}",
                of("id"),
                of("name"),
                of("version")
            )
        }
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| format!("{}={}", printable(key), fact(value)))
            .collect::<Vec<String>>()
            .join(" "),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// Values that were read or notified.
pub(crate) fn values(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let values = answer.get("values").unwrap_or(&Value::Null);
    let rows = array(values)
        .iter()
        .map(|record| {
            ["path", "name", "value", "unit", "time"]
                .map(|key| text(record, key))
                .to_vec()
        })
        .collect();
    print(
        &["path", "name", "value", "unit", "time"],
        rows,
        "The device has no value there.",
    );
    for fault in array(answer.get("faults").unwrap_or(&Value::Null)) {
        remark!(
            "not decoded: {} {}",
            text(fault, "path"),
            text(fault, "error")
        );
    }
    Ok(())
}

/// The answer to a Discover.
pub(crate) fn links(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let rows = array(answer.get("links").unwrap_or(&Value::Null))
        .iter()
        .map(|link| {
            let attributes = link
                .get("attributes")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<String>>()
                .join(" ");
            vec![
                text(link, "path"),
                text(link, "name"),
                text(link, "dim"),
                attributes,
            ]
        })
        .collect();
    print(
        &["path", "name", "instances", "attributes"],
        rows,
        "The device lists nothing there.",
    );
    Ok(())
}

/// The observations of a device.
pub(crate) fn observations(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let paths = |observation: &Value| {
        let paths = array(observation.get("paths").unwrap_or(&Value::Null)).iter();
        let paths: Vec<&str> = paths.filter_map(Value::as_str).collect();
        paths.join(" ")
    };
    let standing = array(answer.get("observations").unwrap_or(&Value::Null)).iter();
    let standing = standing.map(|observation| {
        vec![
            text(observation, "id"),
            paths(observation),
            text(observation, "notifications"),
            match observation.get("planned").and_then(Value::as_bool) {
                Some(true) => "plan".to_owned(),
                _ => "request".to_owned(),
            },
        ]
    });
    let withdrawn = array(answer.get("withdrawn").unwrap_or(&Value::Null)).iter();
    let withdrawn = withdrawn.map(|observation| {
        let made_by = "plan, and cancelled by hand".to_owned();
        vec![String::new(), paths(observation), String::new(), made_by]
    });
    let rows = standing.chain(withdrawn).collect();
    print(
        &["id", "paths", "notifications", "made by"],
        rows,
        "Nothing is observed.",
    );
    Ok(())
}

/// The object models in service, and the state of the models directory.
pub(crate) fn models(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let rows = array(answer.get("objects").unwrap_or(&Value::Null)).iter();
    let columns = ["id", "version", "name", "resources"];
    let rows = rows
        .map(|object| columns.map(|key| text(object, key)).to_vec())
        .collect();
    print(&columns, rows, "No object is known.");
    if let Some(directory) = answer.get("directory") {
        models_directory(directory);
    }
    Ok(())
}

fn models_directory(directory: &Value) {
    let of = |key| text(directory, key);
    say!("\n{} at {}", of("path"), of("loaded_at"));
    for change in ["added", "changed", "removed", "kept"] {
        let objects = directory.get(change).map(fact).unwrap_or_default();
        if !objects.is_empty() {
            say!("{change}: {objects}");
        }
    }
    if let Some(reason) = directory.get("reason") {
        say!("{}; {}", text(reason, "message"), text(reason, "hint"));
    }
    for finding in array(directory.get("findings").unwrap_or(&Value::Null)) {
        let of = |key| text(finding, key);
        let (file, line, severity) = (of("file"), of("line"), of("severity"));
        let advice = of("advice");
        say!("{file}:{line}: {severity}: {}; {advice}", of("message"));
    }
}

/// The resources of an object.
pub(crate) fn object_model(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let of = |key| text(answer, key);
    let (id, version) = (of("id"), of("version"));
    say!("/{id} {} {version}: {}", of("name"), of("description"));
    let rows = array(answer.get("resources").unwrap_or(&Value::Null)).iter();
    let columns = ["id", "name", "operations", "type", "range", "unit"];
    let rows = rows
        .map(|resource| columns.map(|key| text(resource, key)).to_vec())
        .collect();
    print(&columns, rows, "It has no resources.");
    Ok(())
}

/// Counters of the server.
pub(crate) fn status(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let mut facts = Vec::new();
    flatten("", answer, &mut facts);
    print_facts(facts);
    Ok(())
}

fn flatten(prefix: &str, value: &Value, facts: &mut Vec<(String, String)>) {
    let Some(object) = value.as_object() else {
        return;
    };
    for (key, inner) in object {
        let name = format!("{prefix}{}", key.replace('_', " "));
        if inner.is_object() {
            flatten(&format!("{name} "), inner, facts);
        } else {
            facts.push((name, fact(inner)));
        }
    }
}

/// What the device answered to an operation without values.
pub(crate) fn done(answer: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(answer);
    }
    let code = text(answer, "code");
    let created = text(answer, "created");
    match (code.is_empty(), created.is_empty()) {
        (true, _) => say!("done"),
        (false, true) => say!("{code}"),
        (false, false) => say!("{code} {created}"),
    }
    Ok(())
}

/// One line of JSON.
pub(crate) fn as_json(value: &Value) -> anyhow::Result<()> {
    say!("{}", printable_json(value));
    Ok(())
}

pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
