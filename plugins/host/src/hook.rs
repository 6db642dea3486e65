//! What is fixed for each hook: its names, its default time limit, what a failure means by default.

use std::time::Duration;

use lwm2m_server::Hook;
use serde::Deserialize;

/// What the failure of a plugin means for what it was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// It goes on as if the plugin had no opinion.
    Open,
    /// It is refused: a Register, an Update or a bootstrap with 5.03, a handshake; values are dropped.
    Closed,
}

/// Facts of a hook.
pub(crate) struct Facts {
    /// Interface and function of the contract.
    pub(crate) wit: (&'static str, &'static str),
    /// How many arguments the function of a script has.
    pub(crate) arity: usize,
    /// How long an answer may take unless the configuration says otherwise.
    pub(crate) timeout: Duration,
    /// What a failure means unless the configuration says otherwise.
    pub(crate) fail: Fail,
    /// Whether it may ask HTTP servers, and so take its time.
    pub(crate) waits: bool,
    /// Whether it may ask devices: not while one waits for its answer.
    pub(crate) talks: bool,
}

/// The facts of a hook.
pub(crate) fn facts(hook: Hook) -> Facts {
    let facts = |interface, function, arity, timeout_ms, fail, waits| Facts {
        wit: (interface, function),
        arity,
        timeout: Duration::from_millis(timeout_ms),
        fail,
        waits,
        talks: waits && interface == "devices",
    };
    use Fail::{Closed, Open};
    match hook {
        Hook::Credentials => facts("credentials", "lookup", 1, 2_000, Closed, true),
        Hook::OnRegister => facts("registration", "on-register", 1, 50, Closed, false),
        Hook::OnUpdate => facts("registration", "on-update", 2, 50, Closed, false),
        Hook::OnRegistered => facts("devices", "on-registered", 1, 30_000, Open, true),
        Hook::OnUpdated => facts("devices", "on-updated", 2, 30_000, Open, true),
        Hook::OnGone => facts("devices", "on-gone", 2, 30_000, Open, true),
        Hook::ObservePlan => facts("observe", "plan", 1, 100, Open, false),
        Hook::ObserveFailed => facts("observe", "on-failure", 3, 100, Open, false),
        Hook::Transform => facts("telemetry", "transform", 1, 20, Open, false),
        Hook::Firmware => facts("firmware", "select", 1, 500, Open, false),
        Hook::FirmwareStep => facts("firmware-driver", "step", 3, 500, Closed, false),
        Hook::Bootstrap => facts("bootstrap", "configure", 1, 2_000, Closed, true),
        Hook::OnBootstrapped => facts("bootstrap", "on-finished", 3, 30_000, Open, true),
        // One that a later version of the server adds is not asked of plugins.
        _ => facts("", "", 0, 0, Open, false),
    }
}

/// The hook of this name, as in `on_register`.
pub(crate) fn named(name: &str) -> Option<Hook> {
    Hook::ALL.into_iter().find(|hook| hook.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_its_facts() {
        for hook in Hook::ALL {
            let facts = facts(hook);
            assert!(!facts.wit.0.is_empty() && facts.arity > 0 && !facts.timeout.is_zero());
            assert_eq!(named(hook.name()), Some(hook));
        }
        assert_eq!(named("on_reboot"), None);
    }
}
