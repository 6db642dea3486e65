//! The steps, carried out on a device that is made of tables.

use proptest::prelude::*;

use super::*;
use crate::hooks::{Grouping, ObservePlan, ObserveTarget};
use crate::observe::planning::{Situation, Splits, wanted};
use lwm2m_core::{ContentFormat, Version};

/// What stands, and what was written.
#[derive(Debug, Default)]
struct Table {
    observations: Vec<ObservationInfo>,
    written: Vec<(Path, Attributes)>,
    failed: Vec<ObservationTarget>,
    /// What the device has at each path: what a Write-Attributes sets, and what it leaves.
    attributes: Vec<(Path, Attributes)>,
    count: u64,
}

impl Table {
    fn steps(&self, groups: &[Group], objects: &ObjectList) -> Vec<Step> {
        let standing = Standing {
            observations: &self.observations,
            written: &self.written,
            set_aside: &self.failed,
            unwritten: &[],
            objects,
        };
        steps(groups, &standing)
    }

    fn observe(&mut self, target: ObservationTarget, format: Option<ContentFormat>, planned: bool) {
        // A device keeps one observation for each target.
        self.observations.retain(|o| o.target != target);
        self.count += 1;
        self.observations.push(ObservationInfo {
            id: ObservationId(self.count),
            target,
            format,
            notifications: 0,
            planned,
        });
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Cancel(id, target) => {
                    let at = self.observations.iter().position(|o| o.id == id);
                    let ended = self.observations.remove(at.expect("it stands"));
                    assert!(ended.planned && ended.target == target);
                }
                Step::Write { path, change, told } => {
                    let observed =
                        |o: &ObservationInfo| o.planned && paths(&o.target).contains(&path);
                    assert!(!self.observations.iter().any(observed), "written before");
                    assert!(!change.is_empty());
                    self.written.retain(|(at, _)| *at != path);
                    if !told.is_empty() {
                        self.written.push((path, told));
                    }
                    let has = self.attributes.iter().find(|(at, _)| *at == path);
                    let has = has.map(|(_, has)| has.clone()).unwrap_or_default();
                    let set = |change: Option<Option<u32>>, has| match change {
                        None => has,
                        Some(None) => None,
                        set => set,
                    };
                    let new = Attributes {
                        pmin: set(change.pmin, has.pmin),
                        pmax: set(change.pmax, has.pmax),
                        ..Attributes::default()
                    };
                    self.attributes.retain(|(at, _)| *at != path);
                    self.attributes.push((path, new));
                }
                Step::Observe(group) => self.observe(group.target, group.format, true),
            }
        }
    }
}

fn single(path: &str) -> ObservationTarget {
    ObservationTarget::Single(path.parse().expect("a path"))
}

fn group(target: ObservationTarget, query: &[&str]) -> Group {
    let attributes = Attributes::from_query(query.iter().copied()).expect("attributes");
    let path = paths(&target)[0];
    Group {
        attributes: match attributes.is_empty() {
            true => Vec::new(),
            false => vec![(path, attributes)],
        },
        format: None,
        target,
    }
}

fn everything() -> ObjectList {
    ObjectList::parse(b"</3/0>,</4/0>").expect("a list")
}

#[test]
fn attributes_come_before_and_what_stands_is_left_alone() {
    let mut table = Table::default();
    let both = [
        group(single("/3/0/9"), &["pmin=1"]),
        group(single("/4/0/1"), &[]),
    ];
    let first = table.steps(&both, &everything());
    let words: Vec<&str> = first
        .iter()
        .map(|step| match step {
            Step::Cancel(..) => "cancel",
            Step::Write { .. } => "write",
            Step::Observe(_) => "observe",
        })
        .collect();
    assert_eq!(words, ["write", "observe", "observe"]);
    table.carry_out(first);
    assert_eq!(table.steps(&both, &everything()), []);
    // One attribute of one of them: the other one stands.
    let other = [
        group(single("/3/0/9"), &["pmin=2"]),
        group(single("/4/0/1"), &[]),
    ];
    let steps = table.steps(&other, &everything());
    let write = |query: &str| Attributes::from_query([query]).expect("attributes");
    let expected = [
        Step::Cancel(ObservationId(1), single("/3/0/9")),
        Step::Write {
            path: "/3/0/9".parse().expect("a path"),
            change: write("pmin=2"),
            told: write("pmin=2"),
        },
        Step::Observe(other[0].clone()),
    ];
    assert_eq!(steps, expected);
    table.carry_out(steps);
    // What is not observed any more has no attributes of ours either.
    let steps = table.steps(&other[1..], &everything());
    let unset = Step::Write {
        path: "/3/0/9".parse().expect("a path"),
        change: write("pmin"),
        told: Attributes::default(),
    };
    assert_eq!(
        steps,
        [Step::Cancel(ObservationId(3), single("/3/0/9")), unset]
    );
    // Where its instance is gone there is nothing to unset.
    let without = ObjectList::parse(b"</4/0>").expect("a list");
    assert_eq!(table.steps(&other[1..], &without).len(), 1);
}

#[test]
fn another_format_is_another_observation() {
    let mut table = Table::default();
    let text = [group(single("/3/0/9"), &[])];
    table.carry_out(table.steps(&text, &everything()));
    let mut cbor = text.clone();
    cbor[0].format = Some(ContentFormat::SenmlCbor);
    let steps = table.steps(&cbor, &everything());
    let expected = [
        Step::Cancel(ObservationId(1), single("/3/0/9")),
        Step::Observe(cbor[0].clone()),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn one_made_by_hand_stands_for_the_plan_and_is_not_touched() {
    let mut table = Table::default();
    table.observe(single("/3/0/9"), Some(ContentFormat::Text), false);
    table.observe(single("/4"), None, false);
    let wanted = [group(single("/3/0/9"), &["pmin=1"])];
    let steps = table.steps(&wanted, &everything());
    assert!(matches!(steps[..], [Step::Write { .. }]), "{steps:?}");
    table.carry_out(steps);
    assert_eq!(table.steps(&wanted, &everything()), []);
    // When it is cancelled by hand, the plan needs its own.
    table.observations.clear();
    assert_eq!(
        table.steps(&wanted, &everything()),
        [Step::Observe(wanted[0].clone())]
    );
}

#[test]
fn what_failed_is_not_tried_again() {
    let table = Table {
        failed: vec![single("/3/0/9")],
        ..Table::default()
    };
    let wanted = [
        group(single("/3/0/9"), &["pmin=1"]),
        group(single("/4/0/1"), &[]),
    ];
    let steps = table.steps(&wanted, &everything());
    assert_eq!(steps, [Step::Observe(wanted[1].clone())]);
}

fn any_path() -> impl Strategy<Value = Path> {
    (3u16..5, 0u16..2, 0u16..3).prop_map(|(o, i, r)| Path::resource(o, i, r))
}

fn any_plan() -> impl Strategy<Value = ObservePlan> {
    let period = || prop_oneof![Just(None), (1u32..3).prop_map(|s| Some(Some(s)))];
    let target = (any_path(), period(), period()).prop_map(|(path, pmin, pmax)| ObserveTarget {
        path,
        attributes: Attributes {
            pmin,
            pmax,
            ..Attributes::default()
        },
    });
    let grouping = prop_oneof![
        Just(Grouping::Single),
        Just(Grouping::CompositeAll),
        Just(Grouping::CompositeByObject),
        prop::collection::vec(prop::collection::vec(0u32..6, 0..4), 0..3)
            .prop_map(Grouping::Custom),
    ];
    let format = prop_oneof![Just(None), Just(Some(ContentFormat::SenmlCbor))];
    let targets = prop::collection::vec(target, 0..6);
    (targets, grouping, format).prop_map(|(targets, grouping, format)| ObservePlan {
        targets,
        grouping,
        format,
        ..ObservePlan::default()
    })
}

fn any_objects() -> impl Strategy<Value = ObjectList> {
    prop::collection::btree_set((3u16..5, 0u16..2), 0..4).prop_map(|instances| ObjectList {
        paths: instances
            .into_iter()
            .map(|(object, instance)| Path::instance(object, instance))
            .collect(),
        ..ObjectList::default()
    })
}

proptest! {
    /// From any plan to any other, with observations by hand in between: what comes out is what is
    /// wanted, by no more steps than it takes, and nothing by hand is touched.
    #[test]
    fn any_plan_follows_any_other(
        plans in prop::collection::vec((any_plan(), any_objects()), 1..5),
        by_hand in prop::collection::vec(any_path(), 0..3),
    ) {
        let mut table = Table::default();
        for path in by_hand {
            table.observe(ObservationTarget::Single(path), None, false);
        }
        let manual: Vec<ObservationInfo> = table.observations.clone();
        for (plan, objects) in plans {
            let splits = Splits::default();
            let situation = Situation {
                objects: &objects,
                version: Version::V1_2,
                splits: &splits,
                repairs: &[],
            };
            let wanted = wanted(&plan, &situation).groups;
            // As a run does: attributes go with their instance.
            let gone = |path: &Path| !is_registered(&objects, path);
            table.written.retain(|(path, _)| !gone(path));
            table.attributes.retain(|(path, _)| !gone(path));
            let steps = table.steps(&wanted, &objects);
            let before = table.observations.clone();
            let cancelled = steps.iter().filter(|step| matches!(step, Step::Cancel(..))).count();
            table.carry_out(steps);
            prop_assert_eq!(table.steps(&wanted, &objects), []);
            for observation in &manual {
                prop_assert!(table.observations.contains(observation));
            }
            for group in &wanted {
                let stands = table.observations.iter().filter(|o| o.target == group.target).count();
                prop_assert_eq!(stands, 1);
                for (path, asked) in &group.attributes {
                    let has = table.attributes.iter().find(|(at, _)| at == path);
                    let first = wanted.iter().flat_map(|group| &group.attributes);
                    let first = first.clone().find(|(at, _)| at == path).expect("this one");
                    if first.1 == *asked {
                        prop_assert_eq!(&has.expect("written").1, asked);
                    }
                }
            }
            let planned = table.observations.iter().filter(|o| o.planned);
            for observation in planned.clone() {
                prop_assert!(wanted.iter().any(|group| group.target == observation.target));
            }
            // What is the same before and after was not cancelled.
            let kept = before.iter().filter(|o| o.planned && table.observations.contains(o)).count();
            prop_assert_eq!(before.iter().filter(|o| o.planned).count() - kept, cancelled);
            // What is not observed has no attributes of a plan.
            for (path, has) in &table.attributes {
                let is_wanted = wanted.iter().any(|group| group.paths().contains(path));
                prop_assert!(is_wanted || has.is_empty(), "{path} {has:?}");
            }
        }
    }
}
