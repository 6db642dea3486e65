//! One rule: what is observed on devices whose endpoint name fits.

use std::time::Duration;

use lwm2m_core::{AttributeError, Attributes, ContentFormat, Path, Version};

use super::strategies::ObserveStrategy;
use crate::credentials::NamePattern;
use crate::hooks::{Grouping, ObservePlan, ObserveTarget};

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

    /// True for the one for all devices that no other rule is for.
    pub fn is_default(&self) -> bool {
        self.endpoint.to_string() == EVERY_ENDPOINT
    }

    pub(super) fn check(&self, targets_max: usize) -> Result<(), ObserveRuleFault> {
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
    pub(super) fn plan(&self) -> Option<ObservePlan> {
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
    /// A rule behind one for the same devices.
    #[error("rule {0} is for the same endpoints: make one of the two")]
    SameEndpoints(usize),
    /// More rules than `limits.observe_rules_max`.
    #[error(
        "there is no room for more than {0} rules: raise limits.observe_rules_max, or use patterns"
    )]
    TooMany(usize),
    /// A rule behind one for all devices.
    #[error("it is never reached, since rule {0} is for all endpoints: put that one last")]
    NeverReached(usize),
}

impl ObserveRuleFault {
    /// The key of the configuration that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            ObserveRuleFault::NoPaths
            | ObserveRuleFault::TooManyPaths(_)
            | ObserveRuleFault::Root
            | ObserveRuleFault::Closed(_)
            | ObserveRuleFault::Twice(_) => "paths",
            ObserveRuleFault::PathsOfPlugin => "strategy",
            ObserveRuleFault::NotAmongPaths(_) | ObserveRuleFault::Attributes(..) => "attributes",
            ObserveRuleFault::Format(_) => "format",
            ObserveRuleFault::Delay => "delay_s",
            ObserveRuleFault::SameEndpoints(_)
            | ObserveRuleFault::TooMany(_)
            | ObserveRuleFault::NeverReached(_) => "endpoint",
        }
    }
}
