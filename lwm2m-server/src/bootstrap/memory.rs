//! Plans in memory.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::{BootstrapAnswer, BootstrapPlan, BootstrapRequest, BootstrapStore};
use crate::credentials::{LookUp, NamePattern};

/// Plans for endpoint names. One for exactly the name counts before those for patterns; of these,
/// the first that fits.
#[derive(Debug, Default)]
pub struct MemoryBootstrap {
    rules: RwLock<Rules>,
}

/// A plan, and the devices that it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapRule {
    /// The endpoint names; fields, as in `{identity}`, are those of the peer.
    pub endpoint: NamePattern,
    /// What is written into them.
    pub plan: Arc<BootstrapPlan>,
}

#[derive(Debug, Default)]
struct Rules {
    exact: HashMap<String, Arc<BootstrapPlan>>,
    patterns: Vec<BootstrapRule>,
}

impl MemoryBootstrap {
    /// A store with these rules.
    pub fn new(rules: impl IntoIterator<Item = BootstrapRule>) -> MemoryBootstrap {
        let store = MemoryBootstrap::default();
        store.replace(rules);
        store
    }

    /// Puts these rules into the place of all others. Of two for the same name, the later counts.
    pub fn replace(&self, rules: impl IntoIterator<Item = BootstrapRule>) {
        let mut new = Rules::default();
        for rule in rules {
            match rule.endpoint.literal() {
                Some(name) => {
                    new.exact.insert(name.to_owned(), rule.plan);
                }
                None => new.patterns.push(rule),
            }
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Sets the plan of one device.
    pub fn set(&self, endpoint: &str, plan: BootstrapPlan) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.exact.insert(endpoint.to_owned(), Arc::new(plan));
    }

    /// Takes the plan of one device away; false when it has none of its own.
    pub fn remove(&self, endpoint: &str) -> bool {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.exact.remove(endpoint).is_some()
    }

    /// The plan for a request.
    fn plan(&self, request: &BootstrapRequest) -> Option<Arc<BootstrapPlan>> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let name = request.endpoint.as_str();
        let fitting = || {
            let fits = |rule: &&BootstrapRule| rule.endpoint.matches(name, &request.identity);
            rules.patterns.iter().find(fits).map(|rule| &rule.plan)
        };
        rules.exact.get(name).or_else(fitting).cloned()
    }
}

impl BootstrapStore for MemoryBootstrap {
    fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        LookUp::Now(match self.plan(request) {
            Some(plan) => BootstrapAnswer::Configure(plan),
            None => BootstrapAnswer::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_core::Path;

    use super::*;
    use crate::{EndpointName, PeerIdentity};

    fn rule(endpoint: &str, object: u16) -> BootstrapRule {
        BootstrapRule {
            endpoint: endpoint.parse().expect("a pattern"),
            plan: Arc::new(BootstrapPlan::new().delete(Path::object(object))),
        }
    }

    fn planned(store: &MemoryBootstrap, endpoint: &str) -> Option<u16> {
        let request = BootstrapRequest {
            endpoint: EndpointName::new(endpoint).expect("a name"),
            scheme: "coaps",
            peer: ([127, 0, 0, 1], 1).into(),
            identity: PeerIdentity::psk(b"id", None),
            authenticated: None,
            preferred_format: None,
            parameters: Vec::new(),
        };
        let LookUp::Now(answer) = store.configure(&request) else {
            panic!("memory answers at once");
        };
        match answer {
            BootstrapAnswer::Configure(plan) => plan.operations[0].path().object_id(),
            _ => None,
        }
    }

    #[test]
    fn the_name_itself_counts_before_patterns_and_the_first_of_these() {
        let store = MemoryBootstrap::new([
            rule("urn:*", 1),
            rule("urn:imei:*", 2),
            rule("urn:a", 3),
            rule("{identity}-*", 4),
        ]);
        for (name, object) in [
            ("urn:a", Some(3)),
            ("urn:imei:1", Some(1)),
            ("id-7", Some(4)),
            ("other", None),
        ] {
            assert_eq!(planned(&store, name), object, "{name}");
        }
        assert!(store.remove("urn:a"));
        assert!(!store.remove("urn:a"));
        assert_eq!(planned(&store, "urn:a"), Some(1));
        store.set("other", BootstrapPlan::new().delete(Path::object(5)));
        assert_eq!(planned(&store, "other"), Some(5));
    }
}
