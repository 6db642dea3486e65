//! The rules in service: those of the configuration, and before them those that were set at run time.

use std::sync::Arc;

use super::planning::Planned;
use super::rule::ObserveRule;
use super::strategies::ObserveStrategies;
use crate::Registration;

/// Who has made a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObserveRuleSource {
    /// The configuration: [`ServerBuilder::observe`](crate::ServerBuilder::observe) and
    /// [`Server::set_observe_strategies`](crate::Server::set_observe_strategies).
    Configuration,
    /// An operator at run time:
    /// [`Server::change_observe_rules`](crate::Server::change_observe_rules).
    Operator,
}

/// Strategies as they are in service.
#[derive(Debug, Default)]
pub(super) struct InService {
    pub(super) configured: Arc<ObserveStrategies>,
    /// The rules of operators.
    pub(super) set: Arc<[ObserveRule]>,
    /// All that count, in their order.
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    source: ObserveRuleSource,
    rule: ObserveRule,
    /// What it comes to.
    plan: Option<Arc<Planned>>,
}

impl InService {
    /// Rules of operators come first. One of the configuration for the same endpoints does not count;
    /// the one for all devices comes last, whoever has made it.
    pub(super) fn new(configured: Arc<ObserveStrategies>, set: Arc<[ObserveRule]>) -> InService {
        let is_set = |rule: &&ObserveRule| set.iter().any(|own| own.endpoint == rule.endpoint);
        let rest = configured.rules.iter().filter(|rule| !is_set(rule));
        let own = set.iter().map(|rule| (ObserveRuleSource::Operator, rule));
        let all = own.chain(rest.map(|rule| (ObserveRuleSource::Configuration, rule)));
        let (last, first): (Vec<_>, Vec<_>) = all.partition(|(_, rule)| rule.is_default());
        let in_service = first.into_iter().chain(last).map(|(source, rule)| Rule {
            source,
            plan: rule.plan().map(|plan| Arc::new(Planned::by_rule(plan))),
            rule: rule.clone(),
        });
        InService {
            rules: in_service.collect(),
            configured,
            set,
        }
    }

    /// True when some device may be observed.
    pub(super) fn any(&self) -> bool {
        self.rules.iter().any(|rule| rule.plan.is_some())
    }

    pub(super) fn rules(&self) -> Vec<(ObserveRuleSource, ObserveRule)> {
        let rules = self.rules.iter();
        rules.map(|rule| (rule.source, rule.rule.clone())).collect()
    }

    /// The plan for a device.
    pub(super) fn plan(&self, registration: &Registration) -> Option<Arc<Planned>> {
        let endpoint = registration.endpoint.as_str();
        let identity = &registration.identity;
        let fits = |rule: &&Rule| rule.rule.endpoint.matches(endpoint, identity);
        self.rules.iter().find(fits)?.plan.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointName;
    use crate::observe::ObserveStrategy;
    use ObserveRuleSource::{Configuration, Operator};

    fn rule(endpoint: &str, path: &str) -> ObserveRule {
        let rule =
            ObserveRule::new(ObserveStrategy::Single).endpoint(endpoint.parse().expect("one"));
        rule.path(path.parse().expect("a path"))
    }

    fn first(in_service: &InService, endpoint: &str) -> Option<String> {
        let endpoint = EndpointName::new(endpoint).expect("a name");
        let registration = Registration::new(endpoint, ([127, 0, 0, 1], 1).into());
        let planned = in_service.plan(&registration)?;
        Some(planned.plan.targets[0].path.to_string())
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let quiet = ObserveRule::new(ObserveStrategy::Plugin);
        let configured = ObserveStrategies::default()
            .rule(quiet.endpoint("quiet-*".parse().expect("a pattern")))
            .rule(rule("*-meter", "/3/0/9"))
            .rule(rule("*", "/4"));
        let in_service = InService::new(Arc::new(configured), Arc::default());
        assert_eq!(first(&in_service, "quiet-meter"), None);
        assert_eq!(first(&in_service, "loud-meter").as_deref(), Some("/3/0/9"));
        assert_eq!(first(&in_service, "other").as_deref(), Some("/4"));
        assert!(in_service.any() && !InService::default().any());
    }

    #[test]
    fn rules_of_operators_come_before_those_of_the_configuration() {
        let configured = ObserveStrategies::default()
            .rule(rule("a-*", "/1"))
            .rule(rule("b-*", "/2"))
            .rule(rule("*", "/3"));
        let set = [rule("*-x", "/4"), rule("*", "/5"), rule("b-*", "/6")];
        let in_service = InService::new(Arc::new(configured), set.into());
        let rules: Vec<_> = in_service
            .rules()
            .iter()
            .map(|(source, rule)| {
                (
                    *source,
                    rule.endpoint.to_string(),
                    rule.paths[0].to_string(),
                )
            })
            .collect();
        let expected = [
            (Operator, "*-x", "/4"),
            (Operator, "b-*", "/6"),
            (Configuration, "a-*", "/1"),
            (Operator, "*", "/5"),
        ];
        let expected = expected.map(|(source, at, path)| (source, at.to_owned(), path.to_owned()));
        assert_eq!(rules, expected);
        for (endpoint, path) in [("a-x", "/4"), ("a-y", "/1"), ("b-y", "/6"), ("c", "/5")] {
            assert_eq!(
                first(&in_service, endpoint).as_deref(),
                Some(path),
                "{endpoint}"
            );
        }
    }
}
