//! Rules that operators set at run time.

use super::rule::ObserveRule;
use super::strategies::{ObserveStrategies, ObserveStrategiesError};
use crate::Limits;
use crate::credentials::NamePattern;

/// What is to become of the rules that operators have set.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ObserveRuleChange {
    /// This one takes the place of the one for the same endpoints; one that is new comes first.
    Set(ObserveRule),
    /// The one for these endpoints goes; one of the configuration for them counts again.
    Remove(NamePattern),
    /// These take the place of all, in their order.
    Replace(Vec<ObserveRule>),
}

/// Why the rules stay as they are.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveRuleError {
    /// A rule that cannot be.
    #[error(transparent)]
    Invalid(#[from] ObserveStrategiesError),
    /// There is no rule for these endpoints.
    #[error("there is no observe rule for {0:?}")]
    NotFound(String),
    /// The rule is one of the configuration.
    #[error("the observe rule for {0:?} is one of the configuration")]
    OfConfiguration(String),
    /// The file that keeps them was edited, and is broken: it is not written over.
    #[error("{0}")]
    FileUnusable(String),
    /// They cannot be kept at the moment.
    #[error("{0}")]
    Unavailable(String),
}

/// The rules of operators after a change.
pub(super) fn changed(
    set: &[ObserveRule],
    configured: &ObserveStrategies,
    change: ObserveRuleChange,
    limits: &Limits,
) -> Result<Vec<ObserveRule>, ObserveRuleError> {
    let mut rules = set.to_vec();
    match change {
        ObserveRuleChange::Replace(all) => rules = all,
        ObserveRuleChange::Set(rule) => {
            let same = rules.iter_mut().find(|own| own.endpoint == rule.endpoint);
            match same {
                Some(same) => *same = rule,
                None if rule.is_default() => rules.push(rule),
                None => rules.insert(0, rule),
            }
        }
        ObserveRuleChange::Remove(endpoint) => {
            let is_it = |rule: &ObserveRule| rule.endpoint == endpoint;
            let Some(at) = rules.iter().position(is_it) else {
                let name = endpoint.to_string();
                return Err(match configured.rules.iter().any(is_it) {
                    true => ObserveRuleError::OfConfiguration(name),
                    false => ObserveRuleError::NotFound(name),
                });
            };
            rules.remove(at);
        }
    }
    let strategies = ObserveStrategies { rules };
    strategies.check(limits)?;
    Ok(strategies.rules)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::observe::ObserveStrategy;

    pub(in crate::observe) fn rule(endpoint: &str) -> ObserveRule {
        let rule = ObserveRule::new(ObserveStrategy::Single).path("/3/0/9".parse().expect("one"));
        rule.endpoint(endpoint.parse().expect("a pattern"))
    }

    fn names(rules: &[ObserveRule]) -> Vec<String> {
        rules.iter().map(|rule| rule.endpoint.to_string()).collect()
    }

    #[test]
    fn what_is_set_last_comes_first_and_the_one_for_all_last() {
        let mut rules = Vec::new();
        let configured = ObserveStrategies::default().rule(rule("c*"));
        let limits = Limits::default();
        for endpoint in ["a*", "*", "b*", "a*"] {
            let change = ObserveRuleChange::Set(rule(endpoint));
            rules = changed(&rules, &configured, change, &limits).expect("taken");
        }
        assert_eq!(names(&rules), ["b*", "a*", "*"]);
        let remove = |endpoint: &str| {
            let pattern = endpoint.parse().expect("a pattern");
            let change = ObserveRuleChange::Remove(pattern);
            changed(&rules, &configured, change, &limits).map(|rules| names(&rules))
        };
        assert_eq!(remove("b*").expect("removed"), ["a*", "*"]);
        let of_configuration = ObserveRuleError::OfConfiguration("c*".to_owned());
        assert_eq!(remove("c*"), Err(of_configuration));
        assert_eq!(
            remove("d*"),
            Err(ObserveRuleError::NotFound("d*".to_owned()))
        );
    }

    #[test]
    fn one_rule_more_than_the_limit_is_refused() {
        let limits = Limits {
            observe_rules_max: 2,
            ..Limits::default()
        };
        let set = [rule("a*"), rule("b*")];
        let change = |change| changed(&set, &ObserveStrategies::default(), change, &limits);
        assert!(change(ObserveRuleChange::Set(rule("b*"))).is_ok());
        let error = change(ObserveRuleChange::Set(rule("c*"))).expect_err("three");
        assert!(error.to_string().contains("more than 2 rules"), "{error}");
    }
}
