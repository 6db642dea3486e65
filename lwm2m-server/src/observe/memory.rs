//! What is remembered of a device, beside what its shard knows.

use std::sync::Arc;

use lwm2m_core::{Attributes, Path};

use super::planning::{Fix, Planned, Splits, Written, is_registered};
use crate::{ObservationTarget, Registration};

/// What is remembered of a device while its registration lasts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) planned: Option<Arc<Planned>>,
    /// What plans have written.
    pub(super) written: Option<Written>,
    pub(super) splits: Splits,
    pub(super) repairs: Vec<(ObservationTarget, Fix)>,
    /// Groups that are not tried again for now.
    pub(super) failed: Vec<ObservationTarget>,
    /// The plan has begun: its delay is over.
    pub(super) begun: bool,
}

impl Memory {
    /// True when there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.planned.is_none() && self.written.is_none()
    }

    /// Takes a plan that was made anew. What failed is tried again; what was repaired stays so while
    /// the plan is the same.
    pub(super) fn take(&mut self, planned: Option<Arc<Planned>>) {
        let same = match (&planned, &self.planned) {
            (Some(new), Some(old)) => new.plan == old.plan,
            _ => false,
        };
        if !same {
            self.repairs.clear();
        }
        self.failed.clear();
        self.planned = planned;
    }

    /// What the device has been told at a path.
    pub(super) fn write(&mut self, path: Path, told: Attributes) {
        let mut written = self.written.as_deref().unwrap_or_default().to_vec();
        written.retain(|(at, _)| *at != path);
        if !told.is_empty() {
            written.push((path, told));
            written.sort_by_key(|(path, _)| *path);
        }
        let shared = self.planned.as_ref().map(|planned| &planned.attributes);
        self.written = match shared {
            _ if written.is_empty() => None,
            Some(shared) if **shared == *written => Some(Arc::clone(shared)),
            _ => Some(written.into()),
        };
    }

    /// Attributes go with their instance.
    pub(super) fn forget_missing(&mut self, registration: &Registration) {
        let objects = &registration.objects;
        let gone = |(path, _): &&(Path, Attributes)| !is_registered(objects, path);
        let written = self.written.as_deref().unwrap_or_default();
        let gone: Vec<Path> = written.iter().filter(gone).map(|(path, _)| *path).collect();
        for path in gone {
            self.write(path, Attributes::default());
        }
    }
}
