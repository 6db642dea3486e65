//! Whether a component is a plugin, and which hooks it has.

use std::path::Path;

use lwm2m_server::{Hook, HookSet};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::LoadError;
use crate::hook::facts;
use crate::spelling::nearest;

/// The package of the contract.
const PACKAGE: &str = "lwm2m:plugin";

/// The version of it that this server speaks.
const VERSION: &str = "0.1.0";

/// The interfaces of the contract that components export.
const EXPORTS: [&str; 9] = [
    "lifecycle",
    "registration",
    "devices",
    "credentials",
    "observe",
    "telemetry",
    "firmware",
    "firmware-driver",
    "bootstrap",
];

/// Says what bytes are that are no component.
///
/// # Errors
/// No WebAssembly, or a module, of which components are made.
pub(super) fn check_bytes(file: &Path, code: &[u8]) -> Result<(), LoadError> {
    match code.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            let hint = "build it for wasm32-wasip2, or make a component of it with \
                        `wasm-tools component new`";
            Err(LoadError::new(file, "it is a WebAssembly module and no component").hint(hint))
        }
        _ => Err(LoadError::new(file, "it is no WebAssembly component")
            .hint("the file may be cut off: build it again and copy it as a whole")),
    }
}

/// The hooks of a component, by the interfaces that it exports.
///
/// # Errors
/// It is made for another version of the contract, exports or imports what there is not, has no
/// hooks, or has no `lifecycle`.
pub(super) fn check(
    file: &Path,
    component: &Component,
    engine: &Engine,
) -> Result<HookSet, LoadError> {
    let ty = component.component_type();
    for (name, _) in ty.imports(engine) {
        check_import(file, name)?;
    }
    let mut exported = Vec::new();
    for (name, _) in ty.exports(engine) {
        exported.extend(check_export(file, name)?);
    }
    let is_exported = |interface: &str| exported.contains(&interface);
    let hooks: HookSet = Hook::ALL
        .into_iter()
        .filter(|hook| is_exported(facts(*hook).wit.0))
        .collect();
    if hooks.is_empty() {
        let what = "it exports no hook";
        let hint = format!(
            "export at least one of the interfaces {} of {PACKAGE}@{VERSION}",
            EXPORTS[1..].join(", ")
        );
        return Err(LoadError::new(file, what).hint(hint));
    }
    if !is_exported("lifecycle") {
        let hint = "every plugin has an init, even if it does nothing";
        let what = format!("it does not export {PACKAGE}/lifecycle");
        return Err(LoadError::new(file, what).hint(hint));
    }
    Ok(hooks)
}

/// The interface of the contract that an export is; none for one of something else.
fn check_export(file: &Path, name: &str) -> Result<Option<&'static str>, LoadError> {
    let known = |interface| EXPORTS.into_iter().find(|known| *known == interface);
    match interface_of(file, name)? {
        Some(interface) => match known(interface) {
            Some(interface) => Ok(Some(interface)),
            None => Err(unknown(file, name, interface)),
        },
        None => {
            // A function or an interface outside of the contract is the component's own business,
            // unless it looks like one that is meant to be inside.
            let last = name.rsplit('/').next().unwrap_or(name);
            let last = last.split('@').next().unwrap_or(last);
            let functions = Hook::ALL.into_iter().map(|hook| facts(hook).wit);
            for (interface, function) in functions {
                if nearest(last, [function].into_iter()).is_some() && function.len() > 4 {
                    let what = format!("it exports {name}");
                    let hint = format!(
                        "did you mean the function {function} of {PACKAGE}/{interface}@{VERSION}?"
                    );
                    return Err(LoadError::new(file, what).hint(hint));
                }
            }
            match nearest(last, EXPORTS.into_iter()) {
                Some(_) => Err(unknown(file, name, last)),
                None => Ok(None),
            }
        }
    }
}

fn unknown(file: &Path, name: &str, interface: &str) -> LoadError {
    let error = LoadError::new(
        file,
        format!("it exports {name}, which is no part of {PACKAGE}"),
    );
    match nearest(interface, EXPORTS.into_iter()) {
        Some(meant) => error.hint(format!("did you mean {PACKAGE}/{meant}@{VERSION}?")),
        None => error.hint(format!("the hooks are in {}", EXPORTS[1..].join(", "))),
    }
}

fn check_import(file: &Path, name: &str) -> Result<(), LoadError> {
    interface_of(file, name)?;
    let refuse = |what: &str, hint: &str| {
        let what = format!("it imports {name}: {what}");
        Err(LoadError::new(file, what).hint(hint))
    };
    match name {
        name if name.starts_with("wasi:sockets/") => refuse(
            "plugins have no sockets",
            "ask for the permission http and use lwm2m:plugin/http",
        ),
        name if name.starts_with("wasi:http/") => refuse(
            "plugins talk HTTP through the host",
            "ask for the permission http and use lwm2m:plugin/http",
        ),
        name if name.starts_with("wasi:") && !cfg!(feature = "wasi") => refuse(
            "this server has no WASI",
            "build it for wasm32-unknown-unknown, or the server with the feature wasi",
        ),
        _ => Ok(()),
    }
}

/// The interface that a name like `lwm2m:plugin/log@0.1.0` stands for; none for one of another
/// package.
///
/// # Errors
/// It is of a version that does not go with this one.
fn interface_of<'a>(file: &Path, name: &'a str) -> Result<Option<&'a str>, LoadError> {
    let Some(rest) = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    if compatible(version) {
        return Ok(Some(interface));
    }
    let version = match version {
        "" => "no version of the contract".to_owned(),
        version => format!("version {version} of the contract"),
    };
    let what = format!("it is made for {version}; this server speaks {VERSION}");
    let hint = "build it with the WIT of this server, or take a server that is as new as it";
    Err(LoadError::new(file, what).hint(hint))
}

/// Versions that differ in the last number only go together (as those of Rust's crates below 1.0).
fn compatible(version: &str) -> bool {
    let stem = |version: &str| version.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    stem(version) == stem(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(name: &str) -> Result<Option<&'static str>, String> {
        check_export(Path::new("p.wasm"), name).map_err(|error| {
            let hint = error.hint.clone().unwrap_or_default();
            format!("{error}; {hint}")
        })
    }

    #[test]
    fn exports_of_the_contract_are_hooks() {
        assert_eq!(
            export("lwm2m:plugin/telemetry@0.1.0"),
            Ok(Some("telemetry"))
        );
        assert_eq!(
            export("lwm2m:plugin/telemetry@0.1.7"),
            Ok(Some("telemetry"))
        );
        assert_eq!(export("wasi:cli/run@0.2.3"), Ok(None));
        assert_eq!(export("my-own-thing"), Ok(None));
    }

    #[test]
    fn exports_that_are_nearly_hooks_say_which_is_meant() {
        for (name, told) in [
            (
                "lwm2m:plugin/telemetrie@0.1.0",
                "did you mean lwm2m:plugin/telemetry@0.1.0",
            ),
            ("lwm2m:plugin/zzz@0.1.0", "the hooks are in registration"),
            (
                "lwm2m:plugn/registration@0.1.0",
                "did you mean lwm2m:plugin/registration@0.1.0",
            ),
            (
                "registration",
                "did you mean lwm2m:plugin/registration@0.1.0",
            ),
            (
                "on-registr",
                "the function on-register of lwm2m:plugin/registration@0.1.0",
            ),
            (
                "lwm2m:plugin/telemetry@0.2.0",
                "version 0.2.0 of the contract",
            ),
            ("lwm2m:plugin/telemetry", "no version of the contract"),
        ] {
            let error = export(name).expect_err(name);
            assert!(error.contains(told), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_no_component_is_said_to_be_what_it_is() {
        let told = |code: &[u8]| check_bytes(Path::new("p.wasm"), code).map_err(|e| e.message);
        assert_eq!(told(b"\0asm\x0d\0\x01\0rest"), Ok(()));
        assert!(told(b"\0asm\x01\0\0\0").is_err_and(|error| error.contains("module")));
        for code in [&b""[..], b"\0asm", b"#!/bin/sh\n"] {
            assert!(told(code).is_err_and(|error| error.contains("no WebAssembly")));
        }
    }
}
