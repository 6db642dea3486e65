//! `[observe]`: what the server observes on devices by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_core::Attributes;
use lwm2m_server::Limits;
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use serde::Deserialize;

use super::set;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ObserveSection {
    strategy: Strategy,
    paths: Vec<String>,
    attributes: BTreeMap<String, toml::Table>,
    format: Option<String>,
    delay_s: u64,
    rule: Vec<RuleSection>,
    plans_parallel_max: Option<usize>,
    plans_waiting_max: Option<usize>,
    targets_max: Option<usize>,
    repairs_max: Option<usize>,
    looks_max: Option<usize>,
}

impl Default for ObserveSection {
    fn default() -> ObserveSection {
        ObserveSection {
            strategy: Strategy::Plugin,
            paths: Vec::new(),
            attributes: BTreeMap::new(),
            format: None,
            delay_s: 0,
            rule: Vec::new(),
            plans_parallel_max: None,
            plans_waiting_max: None,
            targets_max: None,
            repairs_max: None,
            looks_max: None,
        }
    }
}

/// The same for some devices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    endpoint: String,
    strategy: Strategy,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, toml::Table>,
    format: Option<String>,
    #[serde(default)]
    delay_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Strategy {
    #[serde(rename = "SINGLE")]
    Single,
    #[serde(rename = "COMPOSITE_ALL")]
    CompositeAll,
    #[serde(rename = "COMPOSITE_BY_OBJECT")]
    CompositeByObject,
    #[serde(rename = "plugin")]
    Plugin,
}

impl Strategy {
    fn strategy(self) -> ObserveStrategy {
        match self {
            Strategy::Single => ObserveStrategy::Single,
            Strategy::CompositeAll => ObserveStrategy::CompositeAll,
            Strategy::CompositeByObject => ObserveStrategy::CompositeByObject,
            Strategy::Plugin => ObserveStrategy::Plugin,
        }
    }
}

impl ObserveSection {
    /// The rules, checked as a whole; the section itself is the last one, for all devices.
    pub(super) fn strategies(self) -> anyhow::Result<ObserveStrategies> {
        let mut limits = Limits::default();
        self.apply(&mut limits)?;
        let mut strategies = ObserveStrategies::default();
        let mut names = Vec::new();
        for (at, rule) in self.rule.into_iter().enumerate() {
            let name = format!(
                "[[observe.rule]] {}, endpoint = \"{}\"",
                at + 1,
                rule.endpoint
            );
            let pattern = rule.endpoint.parse();
            let pattern = pattern.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
            let wish = Wish {
                strategy: rule.strategy,
                paths: rule.paths,
                attributes: rule.attributes,
                format: rule.format,
                delay_s: rule.delay_s,
            };
            let rule = wish.rule().with_context(|| name.clone())?;
            strategies = strategies.rule(rule.endpoint(pattern));
            names.push(name);
        }
        let wish = Wish {
            strategy: self.strategy,
            paths: self.paths,
            attributes: self.attributes,
            format: self.format,
            delay_s: self.delay_s,
        };
        // Rules may be for all endpoints themselves.
        if wish.says_something() {
            strategies = strategies.rule(wish.rule().context("[observe]")?);
            names.push("[observe]".to_owned());
        }
        match strategies.check(limits.observe_targets_max) {
            Ok(()) => Ok(strategies),
            Err(error) => {
                let name = names
                    .get(error.rule - 1)
                    .map_or("[observe]", String::as_str);
                bail!("{name}: {}", error.fault)
            }
        }
    }

    pub(super) fn apply(&self, limits: &mut Limits) -> anyhow::Result<()> {
        for (key, value) in [
            ("plans_parallel_max", self.plans_parallel_max),
            ("plans_waiting_max", self.plans_waiting_max),
            ("targets_max", self.targets_max),
            ("looks_max", self.looks_max),
        ] {
            if value == Some(0) {
                bail!("[observe] {key} = 0: use 1 or more");
            }
        }
        set(
            &mut limits.observe_plans_parallel_max,
            self.plans_parallel_max,
        );
        set(
            &mut limits.observe_plans_waiting_max,
            self.plans_waiting_max,
        );
        set(&mut limits.observe_targets_max, self.targets_max);
        set(&mut limits.observe_repairs_max, self.repairs_max);
        set(&mut limits.observe_looks_max, self.looks_max);
        Ok(())
    }
}

/// What a rule says, wherever it stands.
struct Wish {
    strategy: Strategy,
    paths: Vec<String>,
    attributes: BTreeMap<String, toml::Table>,
    format: Option<String>,
    delay_s: u64,
}

impl Wish {
    /// False for what the section says by default.
    fn says_something(&self) -> bool {
        let wants = !(self.paths.is_empty() && self.attributes.is_empty());
        wants || self.strategy != Strategy::Plugin || self.format.is_some()
    }

    fn rule(self) -> anyhow::Result<ObserveRule> {
        let mut rule = ObserveRule::new(self.strategy.strategy());
        for text in &self.paths {
            let path = text.parse();
            let path =
                path.with_context(|| format!("paths: {text:?}: write it as in \"/3/0/9\""))?;
            rule = rule.path(path);
        }
        for (text, given) in &self.attributes {
            let at = || format!("attributes for {text:?}");
            let path = text.parse().with_context(at)?;
            rule = rule.attributes(path, attributes(given).with_context(at)?);
        }
        if let Some(name) = &self.format {
            let format = name.parse();
            rule = rule.format(format.with_context(|| format!("format = {name:?}"))?);
        }
        Ok(rule.delay(Duration::from_secs(self.delay_s)))
    }
}

/// `{ pmin = 10, gt = 30.0, con = true }`
fn attributes(given: &toml::Table) -> anyhow::Result<Attributes> {
    let mut attributes = Attributes::default();
    for (name, value) in given {
        let value = match value {
            toml::Value::Boolean(truth) => u8::from(*truth).to_string(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::String(text) => text.clone(),
            other => bail!("{name} = {other}: use a number, true or false"),
        };
        attributes.set(name, Some(&value))?;
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn strategies(text: &str) -> anyhow::Result<ObserveStrategies> {
        Ok(toml::from_str::<Config>(text)?.settings()?.observe)
    }

    #[test]
    fn rules_come_before_what_is_for_all() {
        let text = "[observe]\nstrategy = \"COMPOSITE_BY_OBJECT\"\npaths = [\"/3/0/9\", \"/3303\"]\n\
                    attributes = { \"/3303\" = { pmin = 10, con = true } }\nformat = \"senml-cbor\"\n\
                    delay_s = 5\n[[observe.rule]]\nendpoint = \"urn:imei:35*\"\nstrategy = \"SINGLE\"\n\
                    paths = [\"/4\"]\n[[observe.rule]]\nendpoint = \"quiet\"\nstrategy = \"plugin\"\n";
        let strategies = strategies(text).unwrap();
        let names: Vec<(String, ObserveStrategy)> = strategies
            .rules
            .iter()
            .map(|rule| (rule.endpoint.to_string(), rule.strategy))
            .collect();
        let expected = [
            ("urn:imei:35*", ObserveStrategy::Single),
            ("quiet", ObserveStrategy::Plugin),
            ("*", ObserveStrategy::CompositeByObject),
        ];
        assert_eq!(
            names,
            expected.map(|(name, strategy)| (name.to_owned(), strategy))
        );
        let last = &strategies.rules[2];
        assert_eq!(last.paths.len(), 2);
        assert_eq!(last.attributes[0].1.query_items(), ["pmin=10", "con=1"]);
        assert_eq!(last.delay, Duration::from_secs(5));
        assert!(last.format.is_some());
    }

    #[test]
    fn the_example_of_the_readme_is_taken() {
        let readme = include_str!("../../../../../README.md");
        let example = readme.split("```toml\n[observe]").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let strategies = strategies(&format!("[observe]{example}")).unwrap();
        assert_eq!(strategies.rules.len(), 2);
    }

    #[test]
    fn without_a_word_nothing_is_observed() {
        assert_eq!(strategies("").unwrap(), ObserveStrategies::default());
        // A rule for all devices needs nothing behind it.
        let all = "[[observe.rule]]\nendpoint = \"*\"\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\n";
        assert_eq!(strategies(all).unwrap().rules.len(), 1);
    }

    #[test]
    fn limits_are_taken_over() {
        let text = "[observe]\nplans_parallel_max = 3\nplans_waiting_max = 4\ntargets_max = 5\n\
                    repairs_max = 0\nlooks_max = 7\n";
        let limits = toml::from_str::<Config>(text)
            .unwrap()
            .settings()
            .unwrap()
            .server
            .limits;
        assert_eq!(limits.observe_plans_parallel_max, 3);
        assert_eq!(limits.observe_plans_waiting_max, 4);
        assert_eq!(limits.observe_targets_max, 5);
        assert_eq!(limits.observe_repairs_max, 0);
        assert_eq!(limits.observe_looks_max, 7);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, parts) in [
            (
                "[observe]\nstrategy = \"SINGEL\"\n",
                &["line 2", "SINGLE"][..],
            ),
            (
                "[observe]\nstrategie = \"SINGLE\"\n",
                &["line 2", "strategy"],
            ),
            (
                "[observe]\npaths = [\"3/0\"]\n",
                &["[observe]", "3/0", "\"/3/0/9\""],
            ),
            ("[observe]\npaths = [\"/3\"]\n", &["[observe]", "plugin"]),
            (
                "[observe]\nstrategy = \"SINGLE\"\n",
                &["[observe]", "it has no paths"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\nattributes = { \"/4\" = { pmin = 1 } }\n",
                &["[observe]", "/4", "not among the paths"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\nattributes = { \"/3\" = { pmni = 1 } }\n",
                &["[observe]", "\"/3\"", "pmni", "pmin"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\nformat = \"xml\"\n",
                &["[observe]", "xml"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\ndelay_s = 86401\n",
                &["[observe]", "longer than a day"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\", \"/4\"]\ntargets_max = 1\n",
                &["[observe]", "more than 1 paths"],
            ),
            (
                "[[observe.rule]]\nendpoint = \"{who}\"\nstrategy = \"plugin\"\n",
                &["[[observe.rule]] 1", "{who}", "{identity}"],
            ),
            (
                "[[observe.rule]]\nendpoint = \"a\"\nstrategy = \"SINGLE\"\npaths = [\"/0\"]\n",
                &["[[observe.rule]] 1, endpoint = \"a\"", "/0", "closed"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\n[[observe.rule]]\nendpoint = \"*\"\nstrategy = \"plugin\"\n",
                &["[observe]", "never reached"],
            ),
            (
                "[observe]\nplans_parallel_max = 0\n",
                &["[observe] plans_parallel_max = 0", "1 or more"],
            ),
        ] {
            let error = strategies(text).expect_err(text);
            let told = format!("{error:#}");
            for part in parts {
                assert!(told.contains(part), "{text}: {part}: {told}");
            }
        }
    }
}
