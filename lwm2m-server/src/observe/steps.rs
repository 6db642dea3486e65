//! What has to be done so that a plan stands: a function of what is wanted and what stands.

use lwm2m_core::{Attributes, ObjectList, Path};

use super::planning::{Group, is_registered, paths};
use crate::{ObservationId, ObservationInfo, ObservationTarget};

/// Something to ask of a device.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The end of an observation of the plan.
    Cancel(ObservationId, ObservationTarget),
    /// Write-Attributes.
    Write {
        path: Path,
        /// What differs from what the device was told before.
        change: Attributes,
        /// What it has been told then; empty when nothing is left of it.
        told: Attributes,
    },
    /// Observe or Observe-Composite.
    Observe(Group),
}

/// What a plan is held against.
pub(super) struct Standing<'s> {
    /// All observations of the device.
    pub(super) observations: &'s [ObservationInfo],
    /// The attributes that plans have written since the device registered.
    pub(super) written: &'s [(Path, Attributes)],
    /// Groups that are left alone for now: they have failed, wait for another attempt, or were
    /// cancelled by hand.
    pub(super) set_aside: &'s [ObservationTarget],
    /// Paths whose attributes are written later, and whose groups wait for that.
    pub(super) unwritten: &'s [Path],
    pub(super) objects: &'s ObjectList,
}

/// The steps, in their order: what ends, then what is written for nobody any more, then for each
/// group its attributes and its observation. None when the plan stands.
///
/// An observation whose attributes change ends and is made anew: what a change does to one that
/// stands is not defined (Core 1.2.2 §7.3). Observations that are not of a plan are left alone; one
/// that is about the same as a group stands for it.
pub(super) fn steps(wanted: &[Group], standing: &Standing<'_>) -> Vec<Step> {
    let told = |path: &Path| {
        let written = standing.written.iter().find(|(at, _)| at == path);
        written.map(|(_, attributes)| attributes)
    };
    // The first group that has a path says its attributes.
    let asked = |path: &Path| {
        let mut attributes = wanted.iter().flat_map(|group| &group.attributes);
        let first = attributes.find(|(at, _)| at == path);
        first.map(|(_, attributes)| attributes.clone())
    };
    let change_at = |path: &Path| {
        let asked = asked(path).unwrap_or_default();
        (change(&asked, told(path)), asked)
    };
    let is_changed = |path: &Path| !change_at(path).0.is_empty();
    let stands = |group: &Group, observation: &ObservationInfo| {
        observation.target == group.target
            && observation.format == group.format
            && !group.paths().iter().any(is_changed)
    };
    let mut steps = Vec::new();
    for observation in standing.observations.iter().filter(|o| o.planned) {
        if !wanted.iter().any(|group| stands(group, observation)) {
            let target = observation.target.clone();
            steps.push(Step::Cancel(observation.id, target));
        }
    }
    let mut written: Vec<Path> = Vec::new();
    let mut write = |path: &Path, steps: &mut Vec<Step>| {
        let (change, told) = change_at(path);
        if !change.is_empty() && !written.contains(path) {
            written.push(*path);
            let path = *path;
            steps.push(Step::Write { path, change, told });
        }
    };
    for (path, _) in standing.written {
        let is_wanted = wanted.iter().any(|group| group.paths().contains(path));
        let waits = standing.unwritten.contains(path);
        if !is_wanted && !waits && is_registered(standing.objects, path) {
            write(path, &mut steps);
        }
    }
    for group in wanted {
        let waits = |path: &Path| standing.unwritten.contains(path);
        if standing.set_aside.contains(&group.target) || group.paths().iter().any(waits) {
            continue;
        }
        for path in paths(&group.target) {
            write(path, &mut steps);
        }
        let is_there = |observation: &ObservationInfo| match observation.planned {
            true => stands(group, observation),
            false => observation.target == group.target,
        };
        if !standing.observations.iter().any(is_there) {
            steps.push(Step::Observe(group.clone()));
        }
    }
    steps
}

/// What to write so that a device that was told `told` has what is `asked`.
fn change(asked: &Attributes, told: Option<&Attributes>) -> Attributes {
    let Some(told) = told else {
        return asked.clone();
    };
    Attributes {
        pmin: one(asked.pmin, told.pmin),
        pmax: one(asked.pmax, told.pmax),
        gt: one(asked.gt, told.gt),
        lt: one(asked.lt, told.lt),
        st: one(asked.st, told.st),
        epmin: one(asked.epmin, told.epmin),
        epmax: one(asked.epmax, told.epmax),
        edge: one(asked.edge, told.edge),
        con: one(asked.con, told.con),
        hqmax: one(asked.hqmax, told.hqmax),
    }
}

/// The same of one attribute: what is not asked for any more is unset.
fn one<T: PartialEq>(asked: Option<Option<T>>, told: Option<Option<T>>) -> Option<Option<T>> {
    match (asked, told) {
        (None, Some(Some(_))) => Some(None),
        (asked, told) if asked == told => None,
        (asked, _) => asked,
    }
}

#[cfg(test)]
mod tests;
