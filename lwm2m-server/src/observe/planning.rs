//! Which observations a plan comes to on a device: functions without sockets and clock.

use std::sync::Arc;

use lwm2m_core::{Attributes, ContentFormat, ObjectList, Path, Version};

use crate::ObservationTarget;
use crate::hooks::{Grouping, ObservePlan};

/// A plan and who made it.
#[derive(Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) plan: ObservePlan,
    /// Where the interceptor stands in the chain; none for a rule.
    pub(super) owner: Option<usize>,
    /// What events call who made it.
    pub(super) name: Arc<str>,
    /// The attributes of all targets, for devices that have them all.
    pub(super) attributes: Written,
}

/// The attributes that a device was told, by path, without those that say nothing.
pub(super) type Written = Arc<[(Path, Attributes)]>;

/// One observation, and what is written before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) target: ObservationTarget,
    pub(super) format: Option<ContentFormat>,
    /// For those of its paths that have any.
    pub(super) attributes: Vec<(Path, Attributes)>,
}

/// What a plan comes to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) groups: Vec<Group>,
    /// Targets that the device has not registered.
    pub(super) left_out: Vec<Path>,
    /// A composite was asked for, and the version of the device has none.
    pub(super) version_splits: bool,
    /// A composite was asked for, and the device answered none at an earlier registration.
    pub(super) recalled_splits: bool,
}

/// Composites that a device did not take.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Splits {
    /// It takes none.
    pub(super) all: bool,
    /// It answered none at an earlier registration.
    pub(super) recalled: bool,
    pub(super) some: Vec<ObservationTarget>,
}

/// What an owner made of a group that failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fix {
    Dropped,
    Replaced(ObservePlan),
}

/// What a plan is held against.
pub(super) struct Situation<'s> {
    pub(super) objects: &'s ObjectList,
    pub(super) version: Version,
    pub(super) splits: &'s Splits,
    /// In the order in which they were made.
    pub(super) repairs: &'s [(ObservationTarget, Fix)],
}

impl Planned {
    pub(super) fn by_rule(plan: ObservePlan) -> Planned {
        Planned::new(plan, None, "configuration".into())
    }

    pub(super) fn new(plan: ObservePlan, owner: Option<usize>, name: Arc<str>) -> Planned {
        let mut attributes: Vec<(Path, Attributes)> = Vec::new();
        for target in &plan.targets {
            let known = attributes.iter().any(|(path, _)| *path == target.path);
            if !known && !target.attributes.is_empty() {
                attributes.push((target.path, target.attributes.clone()));
            }
        }
        attributes.sort_by_key(|(path, _)| *path);
        Planned {
            plan,
            owner,
            name,
            attributes: attributes.into(),
        }
    }
}

impl Group {
    pub(super) fn paths(&self) -> &[Path] {
        paths(&self.target)
    }

    pub(super) fn is_composite(&self) -> bool {
        matches!(self.target, ObservationTarget::Composite(_))
    }
}

/// The paths of an observation.
pub(super) fn paths(target: &ObservationTarget) -> &[Path] {
    match target {
        ObservationTarget::Single(path) => std::slice::from_ref(path),
        ObservationTarget::Composite(paths) => paths,
    }
}

/// True when a device has what a path names, as far as its object list tells: an object may be there
/// without an instance.
pub(super) fn is_registered(objects: &ObjectList, path: &Path) -> bool {
    match *path.ids() {
        [] => false,
        [object] => objects.has_object(object),
        [object, instance, ..] => {
            let instance = Path::instance(object, instance);
            objects.paths.binary_search(&instance).is_ok()
        }
    }
}

/// The observations that a plan comes to; no two of them are about the same.
pub(super) fn wanted(plan: &ObservePlan, device: &Situation<'_>) -> Wanted {
    let mut wanted = Wanted::default();
    add(plan, device, device.repairs, &mut wanted);
    wanted.left_out.sort_unstable();
    wanted.left_out.dedup();
    wanted
}

/// Adds what a plan comes to. A group that was repaired is left to what took its place; later
/// repairs only are of that, so this ends.
fn add(
    plan: &ObservePlan,
    device: &Situation<'_>,
    repairs: &[(ObservationTarget, Fix)],
    wanted: &mut Wanted,
) {
    for group in groups(plan, device, wanted) {
        let repair = repairs.iter().position(|(of, _)| *of == group.target);
        match repair.map(|at| (&repairs[at].1, &repairs[at + 1..])) {
            Some((Fix::Dropped, _)) => {}
            Some((Fix::Replaced(plan), later)) => add(plan, device, later, wanted),
            None if wanted.groups.iter().any(|g| g.target == group.target) => {}
            None => wanted.groups.push(group),
        }
    }
}

fn groups(plan: &ObservePlan, device: &Situation<'_>, wanted: &mut Wanted) -> Vec<Group> {
    let mut groups = Vec::new();
    for (indices, composite) in grouped(plan) {
        let mut paths: Vec<Path> = indices.iter().map(|at| plan.targets[*at].path).collect();
        paths.sort_unstable();
        paths.dedup();
        let (paths, missing): (Vec<Path>, Vec<Path>) = paths
            .into_iter()
            .partition(|path| is_registered(device.objects, path));
        wanted.left_out.extend(missing);
        if paths.is_empty() {
            continue;
        }
        let of_version = composite && device.version < Version::V1_1;
        wanted.version_splits |= of_version;
        wanted.recalled_splits |= composite && !of_version && device.splits.recalled;
        let target = ObservationTarget::Composite(paths);
        if composite && !of_version && !device.splits.apply_to(&target) {
            groups.push(group(plan, target, device.version));
            continue;
        }
        for path in self::paths(&target) {
            let target = ObservationTarget::Single(*path);
            groups.push(group(plan, target, device.version));
        }
    }
    groups
}

/// Which targets are observed together, by their indices, and whether as a composite.
fn grouped(plan: &ObservePlan) -> Vec<(Vec<usize>, bool)> {
    let all = 0..plan.targets.len();
    match &plan.grouping {
        Grouping::Single => all.map(|at| (vec![at], false)).collect(),
        Grouping::CompositeAll => vec![(all.collect(), true)],
        Grouping::CompositeByObject => {
            let mut groups: Vec<(Option<u16>, Vec<usize>)> = Vec::new();
            for at in all {
                let object = plan.targets[at].path.object_id();
                match groups.iter_mut().find(|(of, _)| *of == object) {
                    Some((_, group)) => group.push(at),
                    None => groups.push((object, vec![at])),
                }
            }
            groups.into_iter().map(|(_, group)| (group, true)).collect()
        }
        Grouping::Custom(given) => {
            let indices = |group: &Vec<u32>| -> Vec<usize> {
                let known = group.iter().map(|at| *at as usize);
                known.filter(|at| *at < plan.targets.len()).collect()
            };
            let mut groups: Vec<(Vec<usize>, bool)> = given
                .iter()
                .map(|group| (indices(group), group.len() > 1))
                .collect();
            // What no group names is observed all the same.
            let alone = |at: &usize| !groups.iter().any(|(group, _)| group.contains(at));
            let rest: Vec<usize> = all.filter(alone).collect();
            groups.extend(rest.into_iter().map(|at| (vec![at], false)));
            groups
        }
    }
}

fn group(plan: &ObservePlan, target: ObservationTarget, version: Version) -> Group {
    let own = |path: &Path| {
        let target = plan.targets.iter().find(|target| target.path == *path)?;
        let attributes = target.attributes.clone();
        (!attributes.is_empty()).then_some((*path, attributes))
    };
    Group {
        attributes: paths(&target).iter().filter_map(own).collect(),
        format: plan
            .format
            .filter(|format| carries(*format, &target, version)),
        target,
    }
}

/// True when a device of this version may answer in a format.
fn carries(format: ContentFormat, target: &ObservationTarget, version: Version) -> bool {
    use ContentFormat::{Cbor, Lwm2mCbor, SenmlCbor, SenmlJson};
    match target {
        ObservationTarget::Composite(_) => matches!(format, SenmlJson | SenmlCbor | Lwm2mCbor),
        ObservationTarget::Single(_) => {
            version >= Version::V1_1 || !matches!(format, Cbor | SenmlJson | SenmlCbor | Lwm2mCbor)
        }
    }
}

impl Splits {
    fn apply_to(&self, target: &ObservationTarget) -> bool {
        self.all || self.recalled || self.some.contains(target)
    }
}

#[cfg(test)]
mod tests;
