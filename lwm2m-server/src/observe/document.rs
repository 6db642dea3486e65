//! Rules as text: TOML, or JSON of the same fields.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_core::Attributes;
use serde::{Deserialize, Serialize};

use super::rule::ObserveRule;
use super::strategies::ObserveStrategy;

/// A rule as a file or a body says it: a `[[observe.rule]]` of the configuration.
///
/// ```
/// use lwm2m_server::observe::ObserveRuleDocument;
///
/// let document: ObserveRuleDocument = toml::from_str(
///     r#"
///     endpoint   = "urn:imei:35*"
///     strategy   = "COMPOSITE_BY_OBJECT"
///     paths      = ["/3/0/9", "/3303/0/5700"]
///     attributes = { "/3303/0/5700" = { pmin = 10, gt = 30.5 } }
///     "#,
/// )?;
/// let rule = document.rule()?;
/// assert_eq!(rule.paths.len(), 2);
/// assert_eq!(ObserveRuleDocument::of(&rule), document);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserveRuleDocument {
    /// A name, or a pattern; `*` for devices that no other rule is for.
    pub endpoint: String,
    /// `SINGLE`, `COMPOSITE_ALL`, `COMPOSITE_BY_OBJECT` or `plugin`.
    pub strategy: ObserveStrategy,
    /// What is observed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The format to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// When to start after the registration, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_s: u64,
    /// What is written before, by path and name: numbers, or true and false.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// What cannot be read in a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ObserveDocumentError {
    /// The key that it is about.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
}

impl ObserveRuleDocument {
    /// What it means; not yet whether that can be, see
    /// [`ObserveStrategies::check`](super::ObserveStrategies::check).
    ///
    /// # Errors
    /// A text that is not what it should be.
    pub fn rule(&self) -> Result<ObserveRule, ObserveDocumentError> {
        let wrong = |key, message| ObserveDocumentError { key, message };
        let endpoint = self.endpoint.parse();
        let endpoint = endpoint.map_err(|error| wrong("endpoint", format!("endpoint: {error}")))?;
        let mut rule = ObserveRule::new(self.strategy).endpoint(endpoint);
        for text in &self.paths {
            let path = text.parse().map_err(|error| {
                let message = format!("paths: {text:?}: {error}: write it as in \"/3/0/9\"");
                wrong("paths", message)
            })?;
            rule = rule.path(path);
        }
        for (text, given) in &self.attributes {
            let at = |message| wrong("attributes", format!("attributes for {text:?}: {message}"));
            let path = text.parse();
            let path = path.map_err(|error| at(format!("{error}: write it as in \"/3/0/9\"")))?;
            rule = rule.attributes(path, attributes(given).map_err(at)?);
        }
        if let Some(name) = &self.format {
            let format = name.parse();
            let format =
                format.map_err(|error| wrong("format", format!("format = {name:?}: {error}")))?;
            rule = rule.format(format);
        }
        Ok(rule.delay(Duration::from_secs(self.delay_s)))
    }

    /// The text of a rule.
    pub fn of(rule: &ObserveRule) -> ObserveRuleDocument {
        let attributes = rule.attributes.iter().map(|(path, attributes)| {
            let items = attributes.query_items();
            let items = items.iter().filter_map(|item| item.split_once('='));
            let items = items.map(|(name, text)| (name.to_owned(), value(text)));
            (path.to_string(), items.collect())
        });
        ObserveRuleDocument {
            endpoint: rule.endpoint.to_string(),
            strategy: rule.strategy,
            paths: rule.paths.iter().map(ToString::to_string).collect(),
            format: rule.format.map(|format| format.to_string()),
            delay_s: rule.delay.as_secs(),
            attributes: attributes.collect(),
        }
    }
}

/// `{ pmin = 10, gt = 30.0, con = true }`
fn attributes(given: &BTreeMap<String, toml::Value>) -> Result<Attributes, String> {
    let mut attributes = Attributes::default();
    for (name, value) in given {
        let value = match value {
            toml::Value::Boolean(truth) => u8::from(*truth).to_string(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::String(text) => text.clone(),
            other => return Err(format!("{name} = {other}: use a number, true or false")),
        };
        let set = attributes.set(name, Some(&value));
        set.map_err(|error| error.to_string())?;
    }
    Ok(attributes)
}

/// The number that an attribute is written with.
fn value(text: &str) -> toml::Value {
    match (text.parse(), text.parse()) {
        (Ok(integer), _) => toml::Value::Integer(integer),
        (_, Ok(float)) => toml::Value::Float(float),
        _ => toml::Value::String(text.to_owned()),
    }
}

fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

/// The line of a key within a rule of a file of TOML, from 1; that of the rule itself where it does not
/// have the key. `rule` counts from 0; none stands for `[observe]` itself.
pub fn line_of(text: &str, rule: Option<usize>, key: &str) -> Option<usize> {
    let (head, below) = match rule {
        Some(_) => ("[[observe.rule]]", "[observe.rule."),
        None => ("[observe]", "[observe."),
    };
    let lines = text.lines().map(str::trim).enumerate();
    let mut heads = lines.filter(|(_, line)| line.starts_with(head));
    let (head, _) = heads.nth(rule.unwrap_or(0))?;
    let is_key = |line: &&str| {
        let name = line.split('=').next().unwrap_or_default();
        name.trim() == key || line.starts_with(&format!("{below}{key}"))
    };
    let rest = text.lines().skip(head + 1).map(str::trim);
    let own = rest.take_while(|line| !line.starts_with('[') || line.starts_with(below));
    let own = own.collect::<Vec<&str>>();
    let at = own.iter().position(is_key);
    Some(head + 1 + at.map_or(0, |at| at + 1))
}
