//! The observations of one shard.
//!
//! One table by request id, since that is what a notification brings; the observations of one
//! device are a chain through the table. What is asked for is shared: a fleet observes the same
//! paths.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use lwm2m_coap::RequestId;
use lwm2m_core::typed::ObjectDefinition;
use lwm2m_core::{ContentFormat, Request};

use crate::registration::Location;
use crate::{ObservationId, ObservationTarget};

/// The observations that stand with the devices of one shard.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    table: HashTable<Observation>,
    hasher: DefaultHashBuilder,
    origins: HashMap<u64, Vec<Arc<Origin>>>,
    origins_len: usize,
    sweep_at: usize,
}

/// The first observation of a device; each leads to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ObservationChain(Option<RequestId>);

/// One observation.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) request: RequestId,
    next: Option<RequestId>,
    pub(crate) id: ObservationId,
    pub(crate) device: Location,
    pub(crate) origin: Arc<Origin>,
    pub(crate) notifications: u32,
    /// It is one of an observe plan.
    pub(crate) planned: bool,
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Origin {
    /// The Observe or Observe-Composite request.
    pub(crate) request: Request,
    pub(crate) target: ObservationTarget,
    /// What the caller knows of the object.
    pub(crate) definition: Option<&'static ObjectDefinition>,
}

impl Observation {
    pub(crate) fn new(
        request: RequestId,
        id: ObservationId,
        device: Location,
        origin: Arc<Origin>,
    ) -> Observation {
        Observation {
            request,
            next: None,
            id,
            device,
            origin,
            notifications: 0,
            planned: false,
        }
    }
}

impl Observations {
    const SWEEP_MIN: usize = 1024;

    /// Takes an observation into a device's chain.
    pub(crate) fn insert(&mut self, chain: &mut ObservationChain, mut observation: Observation) {
        observation.next = chain.0.replace(observation.request);
        let hash = self.hasher.hash_one(observation.request);
        self.table.insert_unique(hash, observation, |other| {
            self.hasher.hash_one(other.request)
        });
    }

    /// Takes an observation out of a device's chain.
    pub(crate) fn remove(
        &mut self,
        chain: &mut ObservationChain,
        request: RequestId,
    ) -> Option<Observation> {
        let next = self.get(request)?.next;
        if chain.0 == Some(request) {
            chain.0 = next;
        } else {
            let before = self
                .chain(*chain)
                .find(|o| o.next == Some(request))?
                .request;
            self.get_mut(before)?.next = next;
        }
        self.take(request)
    }

    /// Takes the first observation out of a chain.
    pub(crate) fn pop(&mut self, chain: &mut ObservationChain) -> Option<Observation> {
        let first = self.take(chain.0?)?;
        chain.0 = first.next;
        Some(first)
    }

    pub(crate) fn get(&self, request: RequestId) -> Option<&Observation> {
        self.table
            .find(self.hasher.hash_one(request), |o| o.request == request)
    }

    pub(crate) fn get_mut(&mut self, request: RequestId) -> Option<&mut Observation> {
        self.table
            .find_mut(self.hasher.hash_one(request), |o| o.request == request)
    }

    /// The observations of a device, the youngest first.
    pub(crate) fn chain(&self, chain: ObservationChain) -> impl Iterator<Item = &Observation> {
        std::iter::successors(chain.0.and_then(|first| self.get(first)), |observation| {
            observation.next.and_then(|next| self.get(next))
        })
    }

    /// The shared form of what an observe request asks for; none for other requests.
    pub(crate) fn origin(
        &mut self,
        request: &Request,
        definition: Option<&'static ObjectDefinition>,
    ) -> Option<Arc<Origin>> {
        let target = target(request)?;
        let hash = self.hasher.hash_one(match &target {
            ObservationTarget::Single(path) => std::slice::from_ref(path),
            ObservationTarget::Composite(paths) => paths,
        });
        if self.origins_len >= self.sweep_at {
            self.sweep();
        }
        let same = self.origins.entry(hash).or_default();
        let is_same =
            |origin: &&Arc<Origin>| origin.request == *request && origin.definition == definition;
        if let Some(origin) = same.iter().find(is_same) {
            return Some(Arc::clone(origin));
        }
        let origin = Arc::new(Origin {
            request: request.clone(),
            target,
            definition,
        });
        same.push(Arc::clone(&origin));
        self.origins_len += 1;
        Some(origin)
    }

    fn take(&mut self, request: RequestId) -> Option<Observation> {
        let hash = self.hasher.hash_one(request);
        let found = self.table.find_entry(hash, |o| o.request == request).ok()?;
        Some(found.remove().0)
    }

    /// Drops what no observation asks for any more; runs when their number has doubled.
    fn sweep(&mut self) {
        self.origins.retain(|_, same| {
            same.retain(|origin| Arc::strong_count(origin) > 1);
            !same.is_empty()
        });
        self.origins_len = self.origins.values().map(Vec::len).sum();
        self.sweep_at = (2 * self.origins_len).max(Observations::SWEEP_MIN);
    }
}

/// The format that an observe request asks for.
pub(super) fn format(request: &Request) -> Option<ContentFormat> {
    match request {
        Request::Observe { accept, .. } | Request::ObserveComposite { accept, .. } => *accept,
        _ => None,
    }
}

/// What an observe request is about; none for other requests.
pub(crate) fn target(request: &Request) -> Option<ObservationTarget> {
    match request {
        Request::Observe { path, .. } => Some(ObservationTarget::Single(*path)),
        Request::ObserveComposite { paths, .. } => {
            Some(ObservationTarget::Composite(paths.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_core::{Attributes, Path};

    const DEVICE: Location = Location {
        shard: 0,
        generation: 1,
        slot: 2,
    };

    fn observe(resource: u16) -> Request {
        Request::Observe {
            path: Path::resource(3, 0, resource),
            attributes: Attributes::default(),
            accept: None,
        }
    }

    fn add(observations: &mut Observations, chain: &mut ObservationChain, number: u64) {
        let origin = observations
            .origin(&observe(9), None)
            .expect("an observe request");
        let id = ObservationId(number);
        let observation = Observation::new(RequestId(number), id, DEVICE, origin);
        observations.insert(chain, observation);
    }

    fn numbers(observations: &Observations, chain: ObservationChain) -> Vec<u64> {
        observations.chain(chain).map(|o| o.request.0).collect()
    }

    #[test]
    fn observations_leave_from_anywhere_in_the_chain() {
        let mut observations = Observations::default();
        let (mut mine, mut other) = Default::default();
        for number in 1..=4 {
            add(&mut observations, &mut mine, number);
        }
        add(&mut observations, &mut other, 5);
        assert_eq!(numbers(&observations, mine), [4, 3, 2, 1]);
        assert!(observations.remove(&mut mine, RequestId(3)).is_some());
        assert!(observations.remove(&mut mine, RequestId(4)).is_some());
        assert!(observations.remove(&mut mine, RequestId(5)).is_none());
        assert_eq!(numbers(&observations, mine), [2, 1]);
        while observations.pop(&mut mine).is_some() {}
        assert!(numbers(&observations, mine).is_empty());
        assert!(
            observations.get(RequestId(5)).is_some(),
            "the other device's"
        );
    }

    #[test]
    fn what_is_asked_for_is_shared_and_forgotten() {
        let mut observations = Observations::default();
        let first = observations.origin(&observe(9), None).expect("observe");
        let second = observations.origin(&observe(9), None).expect("observe");
        assert!(Arc::ptr_eq(&first, &second));
        for resource in 0..5000 {
            observations.origin(&observe(resource), None);
        }
        assert!(observations.origins_len <= Observations::SWEEP_MIN);
        assert!(
            observations
                .origin(&Request::Delete { path: Path::ROOT }, None)
                .is_none()
        );
    }

    #[test]
    fn an_observation_is_small() {
        assert!(
            size_of::<Observation>() <= 56,
            "{}",
            size_of::<Observation>()
        );
    }
}
