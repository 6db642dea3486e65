//! The direction of the dependencies between the crates: who may know whom.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata};

/// Each crate of the workspace with the crates of the workspace that its code may use.
/// Development dependencies are free: a test may look at the whole from outside.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("lwm2m-core", &[]),
    ("lwm2m-coap", &[]),
    ("lwm2m-dtls", &[]),
    ("lwm2m-oscore", &["lwm2m-coap"]),
    ("lwm2m-registry", &["lwm2m-core"]),
    ("lwm2m-codegen", &["lwm2m-core", "lwm2m-registry"]),
    ("lwm2m-objects", &["lwm2m-core"]),
    (
        "lwm2m-macros",
        &["lwm2m-core", "lwm2m-registry", "lwm2m-codegen"],
    ),
    (
        "lwm2m-server",
        &[
            "lwm2m-core",
            "lwm2m-coap",
            "lwm2m-dtls",
            "lwm2m-oscore",
            "lwm2m-registry",
        ],
    ),
    (
        "lwm2m-admin",
        &["lwm2m-core", "lwm2m-coap", "lwm2m-registry", "lwm2m-server"],
    ),
    (
        "lwm2m-plugins",
        &["lwm2m-core", "lwm2m-coap", "lwm2m-server"],
    ),
    (
        "lwm2m-device",
        &["lwm2m-core", "lwm2m-coap", "lwm2m-dtls", "lwm2m-oscore"],
    ),
    (
        "lwm2m-daemon",
        &[
            "lwm2m-core",
            "lwm2m-coap",
            "lwm2m-dtls",
            "lwm2m-registry",
            "lwm2m-server",
            "lwm2m-admin",
            "lwm2m-device",
            "lwm2m-plugins",
        ],
    ),
    ("lwm2m-it", &[]),
    (
        "lwm2m-bench",
        &[
            "lwm2m-core",
            "lwm2m-coap",
            "lwm2m-dtls",
            "lwm2m-registry",
            "lwm2m-codegen",
            "lwm2m-server",
            "lwm2m-device",
            "lwm2m-plugins",
        ],
    ),
    ("xtask", &["lwm2m-core", "lwm2m-codegen", "lwm2m-registry"]),
];

/// Foreign crates that only the named crates may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "lwm2m-server",
            "lwm2m-admin",
            "lwm2m-daemon",
            "lwm2m-device",
            "lwm2m-bench",
            "lwm2m-plugins",
        ],
    ),
    ("wasmtime", &["lwm2m-plugins"]),
    ("wasmtime-wasi", &["lwm2m-plugins"]),
    ("rhai", &["lwm2m-plugins"]),
    ("axum", &["lwm2m-admin", "lwm2m-daemon"]),
    ("hyper", &["lwm2m-admin"]),
    ("tower-http", &["lwm2m-admin"]),
    ("coap-lite", &["lwm2m-coap", "lwm2m-bench"]),
    ("quinn-udp", &["lwm2m-server", "lwm2m-bench"]),
    (
        "rustix",
        &[
            "lwm2m-server",
            "lwm2m-device",
            "lwm2m-bench",
            "lwm2m-plugins",
            "xtask",
        ],
    ),
    ("quick-xml", &["lwm2m-registry"]),
    ("minicbor", &["lwm2m-core", "lwm2m-oscore"]),
];

/// Every arrow that points the wrong way, in words.
pub(crate) fn wrong(metadata: &Metadata) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(allowed) = rules.get(name) else {
            wrong.push(format!(
                "{name} has no rule yet: add it to MAY_KNOW in xtask/src/arrows.rs"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Development {
                continue;
            }
            let target = dependency.name.as_str();
            if rules.contains_key(target) && !allowed.contains(&target) {
                wrong.push(format!("{name} must not know {target}"));
            }
            let restricted = ONLY_IN.iter().find(|(foreign, _)| *foreign == target);
            if restricted.is_some_and(|(_, users)| !users.contains(&name)) {
                wrong.push(format!("{name} must not use {target}"));
            }
        }
    }
    wrong
}
