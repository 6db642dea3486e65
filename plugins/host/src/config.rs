//! What whoever runs the server says about plugins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lwm2m_server::Hook;
use serde::Deserialize;

use crate::BreakerConfig;
use crate::hook::{Fail, facts, named};

/// `[plugins]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginsConfig {
    /// A folder of plugins: `*.rhai`, `*.wasm`, and folders with a `plugin.toml`. It is watched;
    /// what is put there is loaded. None for only those that `plugin` names.
    pub directory: Option<PathBuf>,
    /// Where plugins keep their durable keys; none to keep them in memory, lost with the process.
    pub state: Option<PathBuf>,
    /// Where compiled components are kept, readable and writable by the server alone; none to
    /// compile them at each start.
    pub cache: Option<PathBuf>,
    /// Threads that run plugins; 0 for one for each core, at least two.
    pub threads: usize,
    /// Counts how much components compute, in units that are the same wherever they run: for authors,
    /// as it makes them slower.
    pub fuel: bool,
    /// Settings of single plugins, by their names: `[[plugins.plugin]]`.
    pub plugin: Vec<PluginConfig>,
}

impl Default for PluginsConfig {
    fn default() -> PluginsConfig {
        PluginsConfig {
            directory: Some(PathBuf::from("plugins")),
            state: None,
            cache: None,
            threads: 0,
            fuel: false,
            plugin: Vec::new(),
        }
    }
}

impl PluginsConfig {
    /// Takes relative paths from this folder.
    pub fn start_from(&mut self, folder: &std::path::Path) {
        let sources = self.plugin.iter_mut().map(|plugin| &mut plugin.source);
        let own = [&mut self.directory, &mut self.state, &mut self.cache];
        for path in own.into_iter().chain(sources).flatten() {
            *path = folder.join(&*path);
        }
    }

    /// The same, when all of it can be.
    ///
    /// # Errors
    /// A setting that cannot be, a plugin that is named twice.
    pub fn checked(self) -> Result<PluginsConfig, ConfigError> {
        for (at, plugin) in self.plugin.iter().enumerate() {
            plugin.check()?;
            let before = self.plugin.iter().take(at);
            if before.clone().any(|other| other.name == plugin.name) {
                return Err(ConfigError {
                    plugin: plugin.name.clone(),
                    key: "name",
                    why: "it is there twice".to_owned(),
                });
            }
        }
        Ok(self)
    }

    /// True when there may be plugins: the folder is there, or one is named.
    pub fn is_used(&self) -> bool {
        !self.plugin.is_empty()
            || self
                .directory
                .as_deref()
                .is_some_and(std::path::Path::is_dir)
    }
}

/// `[[plugins.plugin]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// Its name, as its manifest has it; without one, the name of its file without the ending.
    pub name: String,
    /// Its file or folder, when it is not in `directory`.
    #[serde(default)]
    pub source: Option<PathBuf>,
    /// False to leave it out.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Plugins are asked in this order, those of one order by name.
    #[serde(default = "hundred")]
    pub order: i32,
    /// Another order for single hooks, as in `{ transform = 10 }`.
    #[serde(default)]
    pub order_for: BTreeMap<String, i32>,
    /// The permissions that it gets. It must have all that its manifest asks for.
    #[serde(default)]
    pub grant: Vec<String>,
    /// What a failure means: `"open"`, `"closed"`, or for single hooks, as in
    /// `{ on_register = "open" }`.
    #[serde(default)]
    pub fail: FailPolicy,
    /// Time limits for single hooks in milliseconds, as in `{ on_register = 100 }`.
    #[serde(default)]
    pub timeout_ms: BTreeMap<String, u64>,
    /// When it is switched off.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// What it may use.
    #[serde(default)]
    pub limits: PluginLimits,
    /// Its own table, given to its `init`.
    #[serde(default)]
    pub config: toml::Table,
}

/// What a failure means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum FailPolicy {
    /// For all hooks.
    All(Fail),
    /// For single hooks; the others have their defaults.
    Each(BTreeMap<String, Fail>),
}

/// What a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginLimits {
    /// Memory of one instance, in KiB.
    pub memory_kib_max: u32,
    /// Instances of a component that exist at once.
    pub instances_max: u32,
    /// Calls of one instance before a fresh one takes its place; 1 for one each call.
    pub recycle_after: u32,
    /// Microseconds that a call of a component may take, on average, of the thread that asks, mostly a
    /// shard: above, it is asked at the workers for a while. 0 to ask it at the workers alone. Scripts
    /// always are.
    pub shard_us_max: u32,
    /// Operations of a script in one call.
    pub operations_max: u64,
    /// Calls that wait or run at once.
    pub waiting_max: u32,
    /// Host functions that one call may use.
    pub host_calls_max: u32,
    /// Log lines that one call may write.
    pub log_lines_max: u32,
    /// Bytes of one string or list that a plugin hands to the host.
    pub output_max: u32,
    /// Bytes of all durable keys and values.
    pub state_bytes_max: u64,
}

impl PluginLimits {
    /// [`PluginLimits::shard_us_max`]
    pub(crate) fn shard(&self) -> Duration {
        Duration::from_micros(self.shard_us_max.into())
    }
}

impl Default for PluginLimits {
    fn default() -> PluginLimits {
        PluginLimits {
            memory_kib_max: 16 * 1024,
            instances_max: 8,
            recycle_after: 10_000,
            shard_us_max: 50,
            operations_max: 1_000_000,
            waiting_max: 4096,
            host_calls_max: 1_000,
            log_lines_max: 20,
            output_max: 256 * 1024,
            state_bytes_max: 1 << 20,
        }
    }
}

impl Default for FailPolicy {
    fn default() -> FailPolicy {
        FailPolicy::Each(BTreeMap::new())
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugins.plugin {plugin:?}, {key}: {why}")]
pub struct ConfigError {
    pub(crate) plugin: String,
    pub(crate) key: &'static str,
    pub(crate) why: String,
}

/// Under which a plugin is asked at a hook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// What its failure means.
    pub(crate) fail: Fail,
}

impl PluginConfig {
    /// The settings of a plugin that the configuration does not name.
    pub fn new(name: &str) -> PluginConfig {
        PluginConfig {
            name: name.to_owned(),
            source: None,
            enabled: true,
            order: hundred(),
            order_for: BTreeMap::new(),
            grant: Vec::new(),
            fail: FailPolicy::default(),
            timeout_ms: BTreeMap::new(),
            breaker: BreakerConfig::default(),
            limits: PluginLimits::default(),
            config: toml::Table::new(),
        }
    }

    /// Its place in the chain of a hook.
    pub(crate) fn order(&self, hook: Hook) -> i32 {
        let own = self.order_for.get(hook.name());
        own.copied().unwrap_or(self.order)
    }

    /// Under which it is asked at a hook.
    pub(crate) fn terms(&self, hook: Hook) -> Terms {
        Terms {
            timeout: self.timeout(hook),
            fail: self.fail(hook),
        }
    }

    fn timeout(&self, hook: Hook) -> Duration {
        let own = self.timeout_ms.get(hook.name());
        own.map_or(facts(hook).timeout, |ms| Duration::from_millis(*ms))
    }

    fn fail(&self, hook: Hook) -> Fail {
        let own = match &self.fail {
            FailPolicy::All(fail) => Some(fail),
            FailPolicy::Each(each) => each.get(hook.name()),
        };
        own.copied().unwrap_or(facts(hook).fail)
    }

    /// Checks what serde does not see.
    ///
    /// # Errors
    /// A name that no path can have, a hook that is not known.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why: String| {
            Err(ConfigError {
                plugin: self.name.clone(),
                key,
                why,
            })
        };
        if let Err(why) = check_name(&self.name) {
            return refuse("name", why.to_owned());
        }
        let each = match &self.fail {
            FailPolicy::All(_) => &BTreeMap::new(),
            FailPolicy::Each(each) => each,
        };
        let keys = (self.order_for.keys().map(|name| ("order_for", name)))
            .chain(self.timeout_ms.keys().map(|name| ("timeout_ms", name)))
            .chain(each.keys().map(|name| ("fail", name)));
        for (key, name) in keys {
            if named(name).is_none() {
                let all = Hook::ALL.map(Hook::name);
                let meant = crate::spelling::nearest(name, all.into_iter());
                let meant = meant.map(|meant| format!("; did you mean {meant}?"));
                let meant = meant.unwrap_or_default();
                return refuse(key, format!("there is no hook {name}{meant}"));
            }
        }
        if self.limits.instances_max == 0 || self.limits.waiting_max == 0 {
            let why = "instances_max and waiting_max are at least 1";
            return refuse("limits", why.to_owned());
        }
        Ok(())
    }
}

/// A plugin's name stands in file names, in figures and in events.
///
/// # Errors
/// Why this is no such name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.len() {
        1..=64 if name.chars().all(allowed) => Ok(()),
        _ => Err("a name has 1 to 64 letters, digits, - and _"),
    }
}

fn yes() -> bool {
    true
}

fn hundred() -> i32 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> PluginConfig {
        toml::from_str(text).expect("a configuration")
    }

    #[test]
    fn a_name_alone_has_the_defaults_of_the_hooks() {
        let config = config("name = 'fleet'");
        assert_eq!(config, PluginConfig::new("fleet"));
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.fail(Hook::OnRegister), Fail::Closed);
        assert_eq!(config.fail(Hook::Transform), Fail::Open);
        assert_eq!(config.timeout(Hook::Credentials), Duration::from_secs(2));
    }

    #[test]
    fn single_hooks_have_their_own_settings() {
        let config = config(
            "name = 'fleet'
            order = 5
            order_for = { transform = 10 }
            fail = { on_register = 'open' }
            timeout_ms = { on_register = 100 }",
        );
        assert_eq!(config.order(Hook::Transform), 10);
        assert_eq!(config.order(Hook::OnRegister), 5);
        assert_eq!(config.fail(Hook::OnRegister), Fail::Open);
        assert_eq!(config.fail(Hook::OnUpdate), Fail::Closed);
        assert_eq!(config.timeout(Hook::OnRegister), Duration::from_millis(100));
        let closed = super::tests::config("name = 'a'\nfail = 'closed'");
        assert_eq!(closed.fail(Hook::Transform), Fail::Closed);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        for (text, told) in [
            (
                "name = 'a'\nfail = { on_registr = 'open' }",
                "plugins.plugin \"a\", fail: there is no hook on_registr; did you mean on_register?",
            ),
            (
                "name = '../a'",
                "plugins.plugin \"../a\", name: a name has 1 to 64 letters, digits, - and _",
            ),
            (
                "name = 'a'\nlimits = { waiting_max = 0 }",
                "plugins.plugin \"a\", limits: instances_max and waiting_max are at least 1",
            ),
        ] {
            let error = config(text).check().expect_err(text);
            assert_eq!(error.to_string(), told);
        }
        assert!(check_name(&"a".repeat(64)).is_ok());
        assert!(check_name(&"a".repeat(65)).is_err());
    }
}
