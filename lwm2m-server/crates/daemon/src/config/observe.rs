//! `[observe]`: what the server observes on devices by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use lwm2m_server::Limits;
use lwm2m_server::observe::{ObserveRuleDocument, ObserveStrategies, ObserveStrategy, line_of};
use serde::Deserialize;

use super::set;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ObserveSection {
    strategy: ObserveStrategy,
    paths: Vec<String>,
    attributes: BTreeMap<String, BTreeMap<String, toml::Value>>,
    format: Option<String>,
    delay_s: u64,
    pub(super) file: PathBuf,
    poll_interval_s: u64,
    rule: Vec<ObserveRuleDocument>,
    plans_parallel_max: Option<usize>,
    plans_waiting_max: Option<usize>,
    targets_max: Option<usize>,
    rules_max: Option<usize>,
    file_bytes_max: Option<u64>,
    replans_per_second: Option<u32>,
    repairs_max: Option<usize>,
    retries_max: Option<u32>,
    retry_s: Option<u64>,
    retry_longest_s: Option<u64>,
    unanswered_max: Option<usize>,
    unanswered_s: Option<u64>,
    looks_max: Option<usize>,
}

impl Default for ObserveSection {
    fn default() -> ObserveSection {
        ObserveSection {
            strategy: ObserveStrategy::Plugin,
            paths: Vec::new(),
            attributes: BTreeMap::new(),
            format: None,
            delay_s: 0,
            file: PathBuf::from("observe.toml"),
            poll_interval_s: 1,
            rule: Vec::new(),
            plans_parallel_max: None,
            plans_waiting_max: None,
            targets_max: None,
            rules_max: None,
            file_bytes_max: None,
            replans_per_second: None,
            repairs_max: None,
            retries_max: None,
            retry_s: None,
            retry_longest_s: None,
            unanswered_max: None,
            unanswered_s: None,
            looks_max: None,
        }
    }
}

impl ObserveSection {
    /// The rules, checked as a whole; the section itself is the last one, for all devices. An error
    /// names the line in `text`, which is what the section was read from.
    pub(super) fn strategies(&self, text: &str) -> anyhow::Result<ObserveStrategies> {
        let mut limits = Limits::default();
        self.apply(&mut limits)?;
        let mut documents: Vec<(Option<usize>, &ObserveRuleDocument)> = self
            .rule
            .iter()
            .enumerate()
            .map(|(at, rule)| (Some(at), rule))
            .collect();
        let own = self.own();
        // Rules may be for all endpoints themselves.
        if own != ObserveSection::default().own() {
            documents.push((None, &own));
        }
        let place = |at: Option<usize>, endpoint: &str, key: &str| {
            let section = match at {
                Some(at) => format!("[[observe.rule]] {}, endpoint = \"{endpoint}\"", at + 1),
                None => "[observe]".to_owned(),
            };
            match line_of(text, at, key) {
                Some(line) => format!("line {line}: {section}"),
                None => section,
            }
        };
        let mut strategies = ObserveStrategies::default();
        for (at, document) in &documents {
            let rule = document.rule();
            let rule = rule.map_err(|error| {
                let place = place(*at, &document.endpoint, error.key);
                anyhow!("{place}: {error}")
            })?;
            strategies = strategies.rule(rule);
        }
        strategies.check(&limits).map_err(|error| {
            let at = documents.get(error.rule - 1).and_then(|(at, _)| *at);
            let place = place(at, &error.endpoint, error.fault.key());
            anyhow!("{place}: {}", error.fault)
        })?;
        Ok(strategies)
    }

    /// Where rules that are set at run time are kept.
    pub(super) fn file(&self) -> anyhow::Result<PathBuf> {
        if self.file.as_os_str().is_empty() {
            bail!("[observe] file = \"\": name a file, as in \"observe.toml\"");
        }
        Ok(self.file.clone())
    }

    pub(super) fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_s)
    }

    /// What the section says of devices that no rule is for.
    fn own(&self) -> ObserveRuleDocument {
        ObserveRuleDocument {
            endpoint: "*".to_owned(),
            strategy: self.strategy,
            paths: self.paths.clone(),
            format: self.format.clone(),
            delay_s: self.delay_s,
            attributes: self.attributes.clone(),
        }
    }

    pub(super) fn apply(&self, limits: &mut Limits) -> anyhow::Result<()> {
        for (key, value) in [
            ("plans_parallel_max", self.plans_parallel_max),
            ("plans_waiting_max", self.plans_waiting_max),
            ("targets_max", self.targets_max),
            ("rules_max", self.rules_max),
            (
                "replans_per_second",
                self.replans_per_second.map(|rate| rate as usize),
            ),
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
        set(&mut limits.observe_rules_max, self.rules_max);
        set(&mut limits.observe_file_bytes_max, self.file_bytes_max);
        set(
            &mut limits.observe_replans_per_second,
            self.replans_per_second,
        );
        set(&mut limits.observe_repairs_max, self.repairs_max);
        set(&mut limits.observe_looks_max, self.looks_max);
        for (key, value) in [
            ("retry_s", self.retry_s),
            ("retry_longest_s", self.retry_longest_s),
            ("unanswered_s", self.unanswered_s),
            ("poll_interval_s", Some(self.poll_interval_s)),
        ] {
            if value.is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
                bail!("[observe] {key}: use 1 to 86400");
            }
        }
        set(&mut limits.observe_retries_max, self.retries_max);
        set(
            &mut limits.observe_retry_delay,
            self.retry_s.map(Duration::from_secs),
        );
        set(
            &mut limits.observe_retry_delay_max,
            self.retry_longest_s.map(Duration::from_secs),
        );
        set(&mut limits.observe_unanswered_max, self.unanswered_max);
        set(
            &mut limits.observe_unanswered_time,
            self.unanswered_s.map(Duration::from_secs),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn strategies(text: &str) -> anyhow::Result<ObserveStrategies> {
        let mut config = toml::from_str::<Config>(text)?;
        config.text = text.to_owned();
        Ok(config.settings()?.observe.strategies)
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
                    repairs_max = 0\nlooks_max = 7\nrules_max = 6\nreplans_per_second = 2\nretries_max = 0\nretry_s = 8\n\
                    retry_longest_s = 9\nunanswered_max = 10\nunanswered_s = 11\n";
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
        assert_eq!(limits.observe_rules_max, 6);
        assert_eq!(limits.observe_replans_per_second, 2);
        assert_eq!(limits.observe_retries_max, 0);
        assert_eq!(limits.observe_retry_delay, Duration::from_secs(8));
        assert_eq!(limits.observe_retry_delay_max, Duration::from_secs(9));
        assert_eq!(limits.observe_unanswered_max, 10);
        assert_eq!(limits.observe_unanswered_time, Duration::from_secs(11));
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
            ("[observe]\nretry_s = 0\n", &["retry_s", "1 to 86400"]),
            (
                "[observe]\nfile = \"\"\n",
                &["[observe] file", "observe.toml"],
            ),
            (
                "[server]\n\n[[observe.rule]]\nendpoint = \"a\"\nstrategy = \"plugin\"\n\n[[observe.rule]]\n\
                 endpoint = \"b\"\nstrategy = \"SINGLE\"\npaths = [\n  \"/3\",\n]\ndelay_s = 90000\n",
                &["line 13: [[observe.rule]] 2, endpoint = \"b\"", "a day"],
            ),
            (
                "[observe]\nstrategy = \"SINGLE\"\npaths = [\"/3\"]\n[observe.attributes]\n\"/4\" = { pmin = 1 }\n",
                &["line 4: [observe]", "not among the paths"],
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
