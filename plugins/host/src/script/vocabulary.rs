//! The words that scripts have, for who writes one wrong.

use lwm2m_server::Hook;

use super::calls::{Called, Calls, Takes, Way};
use crate::Permission;
use crate::guest::Doubt;
use crate::spelling::nearest;

/// Functions of the host: how they are called, and the permission that they need begins so.
const HOST: [(&str, &str, &str); 34] = [
    ("kv_get", "kv_get(scope, key)", "kv"),
    (
        "kv_set",
        "kv_set(scope, key, value) or kv_set(scope, key, value, seconds)",
        "kv",
    ),
    ("kv_revision", "kv_revision(scope, key)", "kv"),
    ("kv_cas", "kv_cas(scope, key, revision, value)", "kv"),
    ("kv_delete", "kv_delete(scope, key)", "kv"),
    ("kv_increment", "kv_increment(scope, key, by)", "kv"),
    ("kv_keys", "kv_keys(scope, prefix)", "kv"),
    ("registry_get", "registry_get(endpoint)", "registry"),
    ("registry_names", "registry_names(after, limit)", "registry"),
    ("device_read", "device_read(endpoint, path)", "device:read:"),
    (
        "device_write",
        "device_write(endpoint, path, value)",
        "device:write:",
    ),
    (
        "device_execute",
        "device_execute(endpoint, path, arguments)",
        "device:execute:",
    ),
    (
        "device_write_attributes",
        "device_write_attributes(endpoint, path, #{ pmin: 10 })",
        "device:write-attributes:",
    ),
    (
        "device_discover",
        "device_discover(endpoint, path)",
        "device:discover:",
    ),
    ("http_get", "http_get(url)", "http:"),
    ("http_post", "http_post(url, type, body)", "http:"),
    (
        "http_send",
        "http_send(#{ method: .., url: .., headers: .., body: .. })",
        "http:",
    ),
    ("emit_event", "emit_event(kind, data)", "events"),
    (
        "log_trace",
        "log_trace(message) or log_trace(message, #{ .. })",
        "",
    ),
    (
        "log_debug",
        "log_debug(message) or log_debug(message, #{ .. })",
        "",
    ),
    (
        "log_info",
        "log_info(message) or log_info(message, #{ .. })",
        "",
    ),
    (
        "log_warn",
        "log_warn(message) or log_warn(message, #{ .. })",
        "",
    ),
    (
        "log_error",
        "log_error(message) or log_error(message, #{ .. })",
        "",
    ),
    (
        "metric_add",
        "metric_add(name, value) or metric_add(name, value, #{ .. })",
        "",
    ),
    ("now_ms", "now_ms()", ""),
    ("config", "config()", ""),
    ("to_json", "to_json(value)", ""),
    ("from_json", "from_json(text)", ""),
    ("to_blob", "to_blob(text)", ""),
    ("from_hex", "from_hex(text)", ""),
    (
        "ask",
        "ask(hook, #{ .. }), in functions whose names begin with test_",
        "",
    ),
    (
        "seen",
        "seen(), in functions whose names begin with test_",
        "",
    ),
    ("assert", "assert(condition, message)", ""),
    ("assert_eq", "assert_eq(got, expected)", ""),
];

/// Functions that make an answer, and how they are called.
const ANSWERS: [(&str, &str); 41] = [
    ("pass", "pass()"),
    ("annotate", "annotate(#{ .. })"),
    ("accept", "accept() or accept(#{ .. })"),
    ("reject", "reject(code, why)"),
    (
        "psk",
        "psk(key) or psk(key, #{ endpoint: .., cache: seconds })",
    ),
    ("accept_rpk", "accept_rpk()"),
    ("accept_x509", "accept_x509()"),
    ("deny", "deny(why)"),
    (
        "observe",
        "observe([paths]) or observe([paths], \"composite-all\")",
    ),
    ("target", "target(path, #{ pmin: 10 })"),
    ("keep", "keep()"),
    ("drop", "drop()"),
    ("replace", "replace([measurements])"),
    ("emit", "emit([series(..)])"),
    (
        "series",
        "series(name, measurement) or series(name, measurement, #{ .. })",
    ),
    ("measurement", "measurement(path, value)"),
    ("document", "document(type, body)"),
    ("object5_push", "object5_push()"),
    ("object5_pull", "object5_pull(uri)"),
    ("object19_push", "object19_push()"),
    ("custom", "custom(state)"),
    ("postpone", "postpone(seconds)"),
    ("refuse", "refuse(why); in bootstrap refuse(code, why)"),
    ("step", "step(state, [actions])"),
    ("done", "done(state)"),
    ("failed", "failed(why)"),
    ("retry_later", "retry_later(state, seconds)"),
    ("observe_path", "observe_path(path)"),
    ("send_image", "send_image(path)"),
    ("wait", "wait(ms)"),
    ("progress", "progress(percent)"),
    ("execute", "execute(path)"),
    ("configure", "configure([operations])"),
    ("discover", "discover(path)"),
    ("delete", "delete(path)"),
    ("read", "read(path)"),
    ("write", "write(path, #{ .. })"),
    ("has_object", "registration.has_object(3)"),
    ("has_path", "registration.has_path(\"/3/0\")"),
    ("annotation", "registration.annotation(key)"),
    ("parameter", "request.parameter(key)"),
];

/// What the values have that a script is given.
const PROPERTIES: [(&str, &[&str]); 10] = [
    (
        "Registration",
        &[
            "endpoint",
            "id",
            "version",
            "lifetime",
            "binding",
            "queue_mode",
            "sms",
            "address",
            "identity",
            "registered_ms",
            "annotations",
            "links",
        ],
    ),
    ("Link", &["path", "object", "instance", "version"]),
    (
        "Identity",
        &[
            "mode",
            "name",
            "common_name",
            "alternative_names",
            "fingerprint",
        ],
    ),
    (
        "Update",
        &[
            "lifetime_changed",
            "binding_changed",
            "address_changed",
            "links_changed",
        ],
    ),
    (
        "CredentialRequest",
        &[
            "mode",
            "name",
            "identity",
            "server_name",
            "scheme",
            "address",
        ],
    ),
    (
        "Batch",
        &[
            "endpoint",
            "registration",
            "source",
            "path",
            "received_ms",
            "annotations",
            "measurements",
        ],
    ),
    (
        "Measurement",
        &[
            "path",
            "object",
            "instance",
            "resource",
            "resource_instance",
            "time",
            "value",
        ],
    ),
    (
        "Job",
        &[
            "id",
            "attempt",
            "target",
            "image",
            "image_name",
            "image_version",
            "image_size",
            "image_sha256",
            "image_uris",
        ],
    ),
    ("FirmwareEvent", &["kind", "results", "measurements"]),
    (
        "BootstrapRequest",
        &[
            "endpoint",
            "scheme",
            "address",
            "identity",
            "preferred_format",
            "parameters",
        ],
    ),
];

/// What helps with an error of a script: its message with what may have been meant.
pub(super) fn explained(message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> {
        text.split('\'')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    if message.starts_with("Unknown property")
        && let [property, kind, ..] = &quoted(message)[..]
        && let Some((_, properties)) = PROPERTIES.iter().find(|(known, _)| known == kind)
    {
        return match nearest(property, properties.iter().copied()) {
            Some(meant) => format!("there is no {property} in {kind}; did you mean {meant}?"),
            None => {
                let all = properties.join(", ");
                format!("there is no {property} in {kind}; there are {all}")
            }
        };
    }
    if let Some(call) = message.strip_prefix("Function not found: ") {
        let name = call.split([' ', '(']).next().unwrap_or_default();
        if let Some(usage) = usage(name) {
            return format!("{message}; it is called as {usage}");
        }
        if let Some(meant) = meant(name, std::iter::empty()) {
            return format!("{message}; did you mean {meant}?");
        }
    }
    message.to_owned()
}

/// What is doubtful in a script that loads: calls of functions that nobody has, or that nobody has with
/// so many arguments, of those that need a permission which is not asked for, and of texts. Each is told
/// once, in their order.
pub(super) fn doubts(calls: &Calls, asked_for: &[Permission]) -> Vec<Doubt> {
    let mut doubts: Vec<Doubt> = Vec::new();
    for call in &calls.all {
        let Some(what) = doubt(call, calls, asked_for) else {
            continue;
        };
        if !doubts.iter().any(|known| known.what == what) {
            let (line, column) = (call.at.line(), call.at.position());
            doubts.push(Doubt { line, column, what });
        }
    }
    for (text, at) in &calls.texts {
        let what = format!("call takes a function, and {text:?} is a text: Fn({text:?}).call(..)");
        let (line, column) = (at.line(), at.position());
        doubts.push(Doubt { line, column, what });
    }
    if let Some(at) = calls.outside {
        doubts.push(Doubt {
            line: at.line(),
            column: at.position(),
            what: "what stands outside of functions is not run, nor seen by them".to_owned(),
        });
    }
    doubts.sort_by_key(|doubt| (doubt.line, doubt.column));
    doubts
}

fn doubt(call: &Called, calls: &Calls, asked_for: &[Permission]) -> Option<String> {
    let name = call.name.as_str();
    let host = HOST.iter().find(|(known, _, _)| *known == name);
    let is_own = calls.is_own(name);
    if let Some((_, _, family)) = host.filter(|_| !is_own) {
        let is_asked = |it: &Permission| it.to_string().starts_with(family);
        if !asked_for.iter().any(is_asked) && !family.is_empty() {
            let example = example(family);
            return Some(format!(
                "{name} fails without a permission: permissions = [{example:?}]"
            ));
        }
    }
    let (kind, arguments) = match call.way {
        Way::Function(arguments) => ("function", arguments),
        Way::Method(arguments) => ("method", arguments),
        Way::Name => ("function", 0),
    };
    match calls.takes(call) {
        Takes::It => None,
        // Tests have some functions of their own.
        Takes::Unknown if host.is_some() => None,
        Takes::Unknown => {
            let own = calls.own.iter().map(|(name, _)| name.as_str());
            let hint = match meant(name, own.chain(calls.language())) {
                Some(meant) => format!("; did you mean {meant}?"),
                None => String::new(),
            };
            Some(format!("there is no {kind} {name}{hint}"))
        }
        Takes::Others(others) => {
            let there = format!("there is no {kind} {name} with {arguments} arguments");
            let others: Vec<String> = others.iter().map(usize::to_string).collect();
            Some(match usage(name).filter(|_| !is_own) {
                Some(usage) => format!("{there}; it is called as {usage}"),
                None if others.is_empty() => there,
                None => format!("{there}; it takes {}", others.join(" or ")),
            })
        }
    }
}

/// A permission that begins so, as it is written.
fn example(family: &str) -> String {
    match family {
        "http:" => "http:https://keys.example/".to_owned(),
        family if family.ends_with(':') => format!("{family}/3/**"),
        family => family.to_owned(),
    }
}

fn usage(name: &str) -> Option<&'static str> {
    let host = HOST.iter().map(|(known, usage, _)| (known, usage));
    let answers = ANSWERS.iter().map(|(known, usage)| (known, usage));
    let mut all = host.chain(answers);
    all.find(|(known, _)| **known == name)
        .map(|(_, usage)| *usage)
}

/// The function that may have been meant: of the host, a hook, or one of these.
fn meant<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let host = HOST.iter().map(|(known, _, _)| *known);
    let answers = ANSWERS.iter().map(|(known, _)| *known);
    let hooks = Hook::ALL.map(Hook::name);
    nearest(name, host.chain(answers).chain(hooks).chain(others))
}

#[cfg(test)]
mod tests;
