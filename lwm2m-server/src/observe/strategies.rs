//! What is observed by configuration: rules by endpoint pattern, the first that fits counts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{AttributeError, Attributes, ContentFormat, Path, Version};

use super::planning::Planned;
use crate::Registration;
use crate::credentials::NamePattern;
use crate::hooks::{Grouping, ObservePlan, ObserveTarget};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObserveStrategy {
    /// `SINGLE`: one Observe for each path.
    Single,
    /// `COMPOSITE_ALL`: one Observe-Composite for all paths.
    CompositeAll,
    /// `COMPOSITE_BY_OBJECT`: one Observe-Composite for each object id.
    CompositeByObject,
    /// `plugin`: what interceptors plan, and nothing else.
    Plugin,
}

/// What is observed on devices whose endpoint name fits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObserveRule {
    /// Which devices: all, unless something else is said. `{…}` stands for what the identity of the
    /// device says.
    pub endpoint: NamePattern,
    /// How.
    pub strategy: ObserveStrategy,
    /// What: objects, instances and resources. What a device has not registered is left out, and
    /// comes when an Update brings it.
    pub paths: Vec<Path>,
    /// What is written before, for some of the paths.
    pub attributes: Vec<(Path, Attributes)>,
    /// The format to ask for; what the device's version prefers when none. Left out where a device
    /// of LwM2M 1.0, or a composite, cannot have it.
    pub format: Option<ContentFormat>,
    /// When to start, after the registration.
    pub delay: Duration,
}

impl ObserveStrategies {
    /// Adds a rule behind those that are there.
    #[must_use]
    pub fn rule(mut self, rule: ObserveRule) -> ObserveStrategies {
        self.rules.push(rule);
        self
    }

    /// Looks at all rules; `targets_max` is `limits.observe_targets_max`.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self, targets_max: usize) -> Result<(), ObserveStrategiesError> {
        let everything = |rule: &ObserveRule| rule.endpoint.to_string() == EVERY_ENDPOINT;
        let last = self.rules.iter().position(everything);
        for (at, rule) in self.rules.iter().enumerate() {
            let fault = match last {
                Some(last) if last < at => Err(ObserveRuleFault::NeverReached(last + 1)),
                _ => rule.check(targets_max),
            };
            fault.map_err(|fault| ObserveStrategiesError {
                rule: at + 1,
                endpoint: rule.endpoint.to_string(),
                fault,
            })?;
        }
        Ok(())
    }
}

/// The pattern that every endpoint name fits.
const EVERY_ENDPOINT: &str = "*";

/// Objects that servers neither see nor touch.
const CLOSED_OBJECTS: [u16; 3] = [0, 21, 23];

impl ObserveRule {
    /// The longest [`ObserveRule::delay`]: a day.
    pub const DELAY_MAX: Duration = Duration::from_secs(86_400);

    /// A rule for all devices, without paths yet.
    pub fn new(strategy: ObserveStrategy) -> ObserveRule {
        ObserveRule {
            endpoint: EVERY_ENDPOINT
                .parse()
                .expect("invariant: a star is a pattern"),
            strategy,
            paths: Vec::new(),
            attributes: Vec::new(),
            format: None,
            delay: Duration::ZERO,
        }
    }

    /// Only for these devices.
    #[must_use]
    pub fn endpoint(mut self, endpoint: NamePattern) -> ObserveRule {
        self.endpoint = endpoint;
        self
    }

    /// Adds a path.
    #[must_use]
    pub fn path(mut self, path: Path) -> ObserveRule {
        self.paths.push(path);
        self
    }

    /// Adds attributes for one of the paths.
    #[must_use]
    pub fn attributes(mut self, path: Path, attributes: Attributes) -> ObserveRule {
        self.attributes.push((path, attributes));
        self
    }

    /// Sets the format.
    #[must_use]
    pub fn format(mut self, format: ContentFormat) -> ObserveRule {
        self.format = Some(format);
        self
    }

    /// Sets the delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> ObserveRule {
        self.delay = delay;
        self
    }

    fn check(&self, targets_max: usize) -> Result<(), ObserveRuleFault> {
        if self.delay > ObserveRule::DELAY_MAX {
            return Err(ObserveRuleFault::Delay);
        }
        let says_more =
            !(self.paths.is_empty() && self.attributes.is_empty() && self.format.is_none());
        match self.strategy {
            ObserveStrategy::Plugin if says_more => return Err(ObserveRuleFault::PathsOfPlugin),
            ObserveStrategy::Plugin => return Ok(()),
            _ if self.paths.is_empty() => return Err(ObserveRuleFault::NoPaths),
            _ if self.paths.len() > targets_max => {
                return Err(ObserveRuleFault::TooManyPaths(targets_max));
            }
            _ => {}
        }
        for (at, path) in self.paths.iter().enumerate() {
            check_path(path)?;
            if self.paths[..at].contains(path) {
                return Err(ObserveRuleFault::Twice(*path));
            }
        }
        for (at, (path, attributes)) in self.attributes.iter().enumerate() {
            if !self.paths.contains(path) {
                return Err(ObserveRuleFault::NotAmongPaths(*path));
            }
            if self.attributes[..at].iter().any(|(other, _)| other == path) {
                return Err(ObserveRuleFault::Twice(*path));
            }
            // The version of the device is not known yet, nor the type of the value.
            attributes
                .validate(Version::V1_2, path.level(), None)
                .map_err(|error| ObserveRuleFault::Attributes(*path, error))?;
        }
        match self.format {
            Some(format) if !may_carry(format) => Err(ObserveRuleFault::Format(format)),
            _ => Ok(()),
        }
    }

    /// As interceptors would say it; none for those who leave it to interceptors.
    fn plan(&self) -> Option<ObservePlan> {
        let grouping = match self.strategy {
            ObserveStrategy::Single => Grouping::Single,
            ObserveStrategy::CompositeAll => Grouping::CompositeAll,
            ObserveStrategy::CompositeByObject => Grouping::CompositeByObject,
            ObserveStrategy::Plugin => return None,
        };
        let target = |path: &Path| {
            let own = self.attributes.iter().find(|(at, _)| at == path);
            let attributes = own.map(|(_, attributes)| attributes.clone());
            ObserveTarget {
                path: *path,
                attributes: attributes.unwrap_or_default(),
            }
        };
        Some(ObservePlan {
            targets: self.paths.iter().map(target).collect(),
            grouping,
            format: self.format,
            delay: self.delay,
            owner: None,
        })
    }
}

/// Refuses what no server may observe.
pub(super) fn check_path(path: &Path) -> Result<(), ObserveRuleFault> {
    match path.object_id() {
        None => Err(ObserveRuleFault::Root),
        Some(object) if CLOSED_OBJECTS.contains(&object) => Err(ObserveRuleFault::Closed(*path)),
        Some(_) => Ok(()),
    }
}

/// True for the formats of values.
fn may_carry(format: ContentFormat) -> bool {
    use ContentFormat::{Cbor, Json, Lwm2mCbor, Opaque, SenmlCbor, SenmlJson, Text, Tlv};
    let formats = [
        Text, Opaque, Cbor, Tlv, Json, SenmlJson, SenmlCbor, Lwm2mCbor,
    ];
    formats.contains(&format)
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

/// What is wrong with a rule, and how to mend it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveRuleFault {
    /// Nothing to observe.
    #[error("it has no paths: name some, or use the strategy plugin")]
    NoPaths,
    /// The strategy `plugin` with something to observe.
    #[error("the strategy plugin takes what plugins plan: leave paths, attributes and format out")]
    PathsOfPlugin,
    /// More paths than `limits.observe_targets_max`.
    #[error("it has more than {0} paths: raise limits.observe_targets_max, or observe instances")]
    TooManyPaths(usize),
    /// The path `/`.
    #[error("/ cannot be observed: name objects, instances or resources")]
    Root,
    /// An object that only a bootstrap server reaches.
    #[error("{0} is closed to servers, only a bootstrap server reaches it: leave it out")]
    Closed(Path),
    /// A path twice.
    #[error("{0} is there twice: name it once")]
    Twice(Path),
    /// Attributes for something that is not observed.
    #[error("attributes for {0}, which is not among the paths: add it, or leave them out")]
    NotAmongPaths(Path),
    /// Attributes that cannot be.
    #[error("attributes for {0}: {1}")]
    Attributes(Path, AttributeError),
    /// A format that carries no values.
    #[error(
        "{0} carries no values: use text, opaque, cbor, tlv, json, senml-json, senml-cbor or lwm2m-cbor"
    )]
    Format(ContentFormat),
    /// More than [`ObserveRule::DELAY_MAX`].
    #[error("its delay is longer than a day")]
    Delay,
    /// A rule behind one for all devices.
    #[error("it is never reached, since rule {0} is for all endpoints: put that one last")]
    NeverReached(usize),
}

/// Strategies as they are in service.
#[derive(Debug, Default)]
pub(super) struct InService {
    pub(super) given: Arc<ObserveStrategies>,
    /// What each rule comes to.
    plans: Vec<Option<Arc<Planned>>>,
}

impl InService {
    pub(super) fn new(given: ObserveStrategies) -> InService {
        let plan = |rule: &ObserveRule| rule.plan().map(|plan| Arc::new(Planned::by_rule(plan)));
        InService {
            plans: given.rules.iter().map(plan).collect(),
            given: Arc::new(given),
        }
    }

    /// True when some device may be observed.
    pub(super) fn any(&self) -> bool {
        self.plans.iter().any(Option::is_some)
    }

    /// The plan for a device.
    pub(super) fn plan(&self, registration: &Registration) -> Option<Arc<Planned>> {
        let endpoint = registration.endpoint.as_str();
        let mut rules = self.given.rules.iter().zip(&self.plans);
        let fits =
            |(rule, _): &(&ObserveRule, _)| rule.endpoint.matches(endpoint, &registration.identity);
        rules.find(fits)?.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointName;

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
        strategies.check(3).err().map(|error| error.fault)
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
        assert_eq!(good.check(1), Ok(()));
        let bad = ObserveStrategies::default()
            .rule(single(&["/3"]))
            .rule(meters);
        let error = bad.check(1).expect_err("the second rule");
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
    fn the_first_rule_that_fits_counts() {
        let pattern = |text: &str| text.parse().expect("a pattern");
        let strategies = ObserveStrategies::default()
            .rule(ObserveRule::new(ObserveStrategy::Plugin).endpoint(pattern("quiet-*")))
            .rule(single(&["/3/0/9"]).endpoint(pattern("*-meter")))
            .rule(single(&["/4"]));
        let in_service = InService::new(strategies);
        let first = |endpoint: &str| {
            let endpoint = EndpointName::new(endpoint).expect("a name");
            let registration = Registration::new(endpoint, ([127, 0, 0, 1], 1).into());
            let planned = in_service.plan(&registration)?;
            Some(planned.plan.targets[0].path)
        };
        assert_eq!(first("quiet-meter"), None);
        assert_eq!(first("loud-meter"), Some(path("/3/0/9")));
        assert_eq!(first("other"), Some(path("/4")));
        assert!(in_service.any() && !InService::default().any());
    }
}
