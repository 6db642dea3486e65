//! What is observed by configuration: rules by endpoint pattern, the first that fits counts.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rule::{ObserveRule, ObserveRuleFault};
use crate::Limits;

/// What the server observes on which devices by itself; nothing by default.
///
/// An interceptor that has a plan for a device comes first, see
/// [`Interceptor::observe_plan`](crate::Interceptor::observe_plan).
///
/// ```
/// use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let strategies = ObserveStrategies::default()
///     .rule(
///         ObserveRule::new(ObserveStrategy::CompositeByObject)
///             .endpoint("urn:imei:35*".parse()?)
///             .path("/3/0/9".parse()?)
///             .path("/3303/0/5700".parse()?),
///     )
///     .rule(ObserveRule::new(ObserveStrategy::Plugin));
/// let server = lwm2m_server::Server::builder().observe(strategies);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObserveStrategies {
    /// In their order.
    pub rules: Vec<ObserveRule>,
}

/// How paths become observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObserveStrategy {
    /// `SINGLE`: one Observe for each path.
    #[serde(rename = "SINGLE")]
    Single,
    /// `COMPOSITE_ALL`: one Observe-Composite for all paths.
    #[serde(rename = "COMPOSITE_ALL")]
    CompositeAll,
    /// `COMPOSITE_BY_OBJECT`: one Observe-Composite for each object id.
    #[serde(rename = "COMPOSITE_BY_OBJECT")]
    CompositeByObject,
    /// `plugin`: what interceptors plan, and nothing else.
    #[serde(rename = "plugin")]
    Plugin,
}

impl ObserveStrategies {
    /// Adds a rule behind those that are there.
    #[must_use]
    pub fn rule(mut self, rule: ObserveRule) -> ObserveStrategies {
        self.rules.push(rule);
        self
    }

    /// Looks at all rules: those that come before another one for the same endpoints, and more than
    /// `limits.observe_rules_max`, are faults as well.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self, limits: &Limits) -> Result<(), ObserveStrategiesError> {
        let last = self.rules.iter().position(ObserveRule::is_default);
        let mut patterns = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let same = patterns.insert(&rule.endpoint, at + 1);
            let checked = match (last, same) {
                _ if at >= limits.observe_rules_max => {
                    Err(ObserveRuleFault::TooMany(limits.observe_rules_max))
                }
                (Some(last), _) if last < at => Err(ObserveRuleFault::NeverReached(last + 1)),
                (_, Some(same)) => Err(ObserveRuleFault::SameEndpoints(same)),
                _ => rule.check(limits.observe_targets_max),
            };
            checked.map_err(|fault| ObserveStrategiesError {
                rule: at + 1,
                endpoint: rule.endpoint.to_string(),
                fault,
            })?;
        }
        Ok(())
    }
}

impl ObserveStrategy {
    /// All of them.
    pub const ALL: [ObserveStrategy; 4] = [
        ObserveStrategy::Single,
        ObserveStrategy::CompositeAll,
        ObserveStrategy::CompositeByObject,
        ObserveStrategy::Plugin,
    ];
}

impl fmt::Display for ObserveStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObserveStrategy::Single => "SINGLE",
            ObserveStrategy::CompositeAll => "COMPOSITE_ALL",
            ObserveStrategy::CompositeByObject => "COMPOSITE_BY_OBJECT",
            ObserveStrategy::Plugin => "plugin",
        })
    }
}

impl FromStr for ObserveStrategy {
    type Err = UnknownObserveStrategy;

    fn from_str(text: &str) -> Result<ObserveStrategy, UnknownObserveStrategy> {
        let named = |strategy: &ObserveStrategy| strategy.to_string() == text;
        let found = ObserveStrategy::ALL.into_iter().find(named);
        found.ok_or(UnknownObserveStrategy)
    }
}

/// A text that names no strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use SINGLE, COMPOSITE_ALL, COMPOSITE_BY_OBJECT or plugin")]
pub struct UnknownObserveStrategy;

/// Why strategies are not taken: none of them is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("observe rule {rule}, for {endpoint}: {fault}")]
pub struct ObserveStrategiesError {
    /// Which rule, from 1.
    pub rule: usize,
    /// Its pattern.
    pub endpoint: String,
    /// What is wrong with it.
    pub fault: ObserveRuleFault,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lwm2m_core::{Attributes, ContentFormat, Path};

    use super::*;

    fn limits(targets_max: usize) -> Limits {
        Limits {
            observe_targets_max: targets_max,
            observe_rules_max: 2,
            ..Limits::default()
        }
    }

    fn path(text: &str) -> Path {
        text.parse().expect("a path")
    }

    fn attributes(query: &str) -> Attributes {
        Attributes::from_query(query.split('&')).expect("attributes")
    }

    fn single(paths: &[&str]) -> ObserveRule {
        let rule = ObserveRule::new(ObserveStrategy::Single);
        paths.iter().fold(rule, |rule, text| rule.path(path(text)))
    }

    fn fault(rule: ObserveRule) -> Option<ObserveRuleFault> {
        let strategies = ObserveStrategies::default().rule(rule);
        strategies.check(&limits(3)).err().map(|error| error.fault)
    }

    #[test]
    fn names_read_back() {
        for strategy in ObserveStrategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        assert_eq!(
            "single".parse::<ObserveStrategy>(),
            Err(UnknownObserveStrategy)
        );
    }

    #[test]
    fn a_rule_is_looked_at_as_a_whole() {
        let plugin = ObserveRule::new(ObserveStrategy::Plugin);
        let battery = path("/3/0/9");
        let unnamed = path("/4/0");
        for (rule, expected) in [
            (single(&["/3/0/9"]), None),
            (plugin.clone(), None),
            (single(&[]), Some(ObserveRuleFault::NoPaths)),
            (plugin.path(battery), Some(ObserveRuleFault::PathsOfPlugin)),
            (single(&["/3", "/4", "/5"]), None),
            (
                single(&["/3", "/4", "/5", "/6"]),
                Some(ObserveRuleFault::TooManyPaths(3)),
            ),
            (single(&["/"]), Some(ObserveRuleFault::Root)),
            (
                single(&["/0/0"]),
                Some(ObserveRuleFault::Closed(path("/0/0"))),
            ),
            (
                single(&["/3", "/3"]),
                Some(ObserveRuleFault::Twice(path("/3"))),
            ),
            (
                single(&["/3"]).attributes(unnamed, attributes("pmin=1")),
                Some(ObserveRuleFault::NotAmongPaths(unnamed)),
            ),
            (
                single(&["/3/0/9"]).format(ContentFormat::Link),
                Some(ObserveRuleFault::Format(ContentFormat::Link)),
            ),
            (single(&["/3"]).delay(ObserveRule::DELAY_MAX), None),
            (
                single(&["/3"]).delay(ObserveRule::DELAY_MAX + Duration::from_millis(1)),
                Some(ObserveRuleFault::Delay),
            ),
        ] {
            assert_eq!(fault(rule.clone()), expected, "{rule:?}");
        }
        for (at, query) in [("/3/0/9", "pmin=9&pmax=3"), ("/3/0", "gt=1")] {
            let rule = single(&[at]).attributes(path(at), attributes(query));
            let found = fault(rule);
            assert!(
                matches!(found, Some(ObserveRuleFault::Attributes(..))),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_rule_behind_one_for_all_is_never_reached() {
        let meters = single(&["/3"]).endpoint("meter-*".parse().expect("a pattern"));
        let good = ObserveStrategies::default()
            .rule(meters.clone())
            .rule(single(&["/3"]));
        assert_eq!(good.check(&limits(1)), Ok(()));
        let bad = ObserveStrategies::default()
            .rule(single(&["/3"]))
            .rule(meters);
        let error = bad.check(&limits(1)).expect_err("the second rule");
        assert_eq!(
            (error.rule, &error.fault),
            (2, &ObserveRuleFault::NeverReached(1))
        );
        assert!(
            error
                .to_string()
                .starts_with("observe rule 2, for meter-*: "),
            "{error}"
        );
    }

    #[test]
    fn each_pattern_has_one_rule_and_one_rule_too_many_is_refused() {
        let rule = |endpoint: &str| single(&["/3"]).endpoint(endpoint.parse().expect("a pattern"));
        let fault = |endpoints: &[&str]| {
            let rules = endpoints.iter().map(|endpoint| rule(endpoint)).collect();
            let checked = ObserveStrategies { rules }.check(&limits(1));
            checked.err().map(|error| (error.rule, error.fault))
        };
        assert_eq!(fault(&["a*", "b*"]), None);
        let same = ObserveRuleFault::SameEndpoints(1);
        assert_eq!(fault(&["a*", "a*"]), Some((2, same)));
        let too_many = ObserveRuleFault::TooMany(2);
        assert_eq!(fault(&["a*", "b*", "c*"]), Some((3, too_many)));
    }
}
