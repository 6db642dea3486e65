//! Plans against devices.

use proptest::prelude::*;

use super::*;
use crate::hooks::ObserveTarget;

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn plan(grouping: Grouping, paths: &[&str]) -> ObservePlan {
    let target = |text: &&str| ObserveTarget {
        path: path(text),
        attributes: Attributes::default(),
    };
    ObservePlan {
        targets: paths.iter().map(target).collect(),
        grouping,
        ..ObservePlan::default()
    }
}

fn objects(list: &str) -> ObjectList {
    ObjectList::parse(list.as_bytes()).expect("a list")
}

/// What a plan comes to, one text for each observation.
fn observed(plan: &ObservePlan, situation: &Situation<'_>) -> Vec<String> {
    let text = |group: &Group| {
        let paths: Vec<String> = group.paths().iter().map(ToString::to_string).collect();
        match group.is_composite() {
            true => format!("[{}]", paths.join(" ")),
            false => paths.join(" "),
        }
    };
    wanted(plan, situation).groups.iter().map(text).collect()
}

fn situation<'s>(objects: &'s ObjectList, splits: &'s Splits) -> Situation<'s> {
    Situation {
        objects,
        version: Version::V1_1,
        splits,
        repairs: &[],
    }
}

#[test]
fn each_grouping_comes_to_its_observations() {
    let objects = objects("</1/0>,</3/0>,</4/0>");
    let splits = Splits::default();
    let situation = situation(&objects, &splits);
    let paths = ["/3/0/9", "/4/0/1", "/3/0/7"];
    for (grouping, expected) in [
        (Grouping::Single, &["/3/0/9", "/4/0/1", "/3/0/7"][..]),
        (Grouping::CompositeAll, &["[/3/0/7 /3/0/9 /4/0/1]"]),
        (
            Grouping::CompositeByObject,
            &["[/3/0/7 /3/0/9]", "[/4/0/1]"],
        ),
        (
            Grouping::Custom(vec![vec![0], vec![1, 2], vec![99]]),
            &["/3/0/9", "[/3/0/7 /4/0/1]"],
        ),
        // What no group names is alone, and nothing is observed twice in the same way.
        (
            Grouping::Custom(vec![vec![0, 0], vec![0], vec![0]]),
            &["[/3/0/9]", "/3/0/9", "/4/0/1", "/3/0/7"],
        ),
    ] {
        assert_eq!(observed(&plan(grouping, &paths), &situation), expected);
    }
    assert!(observed(&plan(Grouping::CompositeAll, &[]), &situation).is_empty());
}

#[test]
fn what_is_not_registered_is_left_out() {
    let objects = objects("</1/0>,</3/0>,</5>,</3303/2>");
    let splits = Splits::default();
    let situation = situation(&objects, &splits);
    let paths = [
        "/3/0/9",
        "/4",
        "/5",
        "/5/0/3",
        "/3303",
        "/3303/0/5700",
        "/3303/2/5700",
    ];
    for grouping in [Grouping::Single, Grouping::CompositeAll] {
        let wanted = wanted(&plan(grouping, &paths), &situation);
        let mut taken: Vec<Path> = wanted
            .groups
            .iter()
            .flat_map(Group::paths)
            .copied()
            .collect();
        taken.sort_unstable();
        // An object is there without an instance.
        assert_eq!(taken, ["/3/0/9", "/5", "/3303", "/3303/2/5700"].map(path));
        assert_eq!(wanted.left_out, ["/4", "/5/0/3", "/3303/0/5700"].map(path));
    }
    let nothing = plan(Grouping::CompositeAll, &["/4"]);
    assert!(observed(&nothing, &situation).is_empty());
}

#[test]
fn a_device_without_composites_gets_its_paths_one_by_one() {
    let objects = objects("</3/0>,</4/0>");
    let plan = plan(Grouping::CompositeByObject, &["/3/0/9", "/3/0/7", "/4/0/1"]);
    let none = Splits::default();
    let mut old = situation(&objects, &none);
    old.version = Version::V1_0;
    assert_eq!(observed(&plan, &old), ["/3/0/7", "/3/0/9", "/4/0/1"]);
    assert!(wanted(&plan, &old).version_splits);
    let all = Splits {
        all: true,
        ..Splits::default()
    };
    let refusing = situation(&objects, &all);
    assert_eq!(observed(&plan, &refusing), ["/3/0/7", "/3/0/9", "/4/0/1"]);
    assert!(!wanted(&plan, &refusing).version_splits);
    let device = ObservationTarget::Composite(["/3/0/7", "/3/0/9"].map(path).to_vec());
    let recalled = Splits {
        recalled: true,
        ..Splits::default()
    };
    let known = situation(&objects, &recalled);
    assert_eq!(observed(&plan, &known), ["/3/0/7", "/3/0/9", "/4/0/1"]);
    assert!(wanted(&plan, &known).recalled_splits && !wanted(&plan, &refusing).recalled_splits);
    let some = Splits {
        some: vec![device],
        ..Splits::default()
    };
    let refusing_one = situation(&objects, &some);
    assert_eq!(
        observed(&plan, &refusing_one),
        ["/3/0/7", "/3/0/9", "[/4/0/1]"]
    );
}

#[test]
fn a_format_that_the_device_cannot_have_is_left_out() {
    let objects = objects("</3/0>");
    let splits = Splits::default();
    let format = |grouping, format, version| {
        let mut plan = plan(grouping, &["/3/0/9"]);
        plan.format = Some(format);
        let mut situation = situation(&objects, &splits);
        situation.version = version;
        wanted(&plan, &situation).groups[0].format
    };
    use ContentFormat::{SenmlCbor, Tlv};
    use Grouping::{CompositeAll, Single};
    assert_eq!(format(Single, SenmlCbor, Version::V1_1), Some(SenmlCbor));
    assert_eq!(
        format(CompositeAll, SenmlCbor, Version::V1_1),
        Some(SenmlCbor)
    );
    assert_eq!(format(CompositeAll, Tlv, Version::V1_1), None);
    assert_eq!(format(Single, Tlv, Version::V1_0), Some(Tlv));
    // The fallback of a composite.
    assert_eq!(format(CompositeAll, SenmlCbor, Version::V1_0), None);
}

#[test]
fn repairs_take_the_place_of_their_group() {
    let objects = objects("</3/0>,</4/0>");
    let splits = Splits::default();
    let single = |text: &str| ObservationTarget::Single(path(text));
    let replaced = |paths: &[&str]| Fix::Replaced(plan(Grouping::Single, paths));
    let original = plan(Grouping::Single, &["/3/0/9", "/4/0/1"]);
    for (repairs, expected) in [
        (vec![(single("/4/0/1"), Fix::Dropped)], &["/3/0/9"][..]),
        (
            vec![(single("/4/0/1"), replaced(&["/4/0/2", "/3/0/9", "/6/0/0"]))],
            &["/3/0/9", "/4/0/2"],
        ),
        // The replacement fails as well.
        (
            vec![
                (single("/4/0/1"), replaced(&["/4/0/2"])),
                (single("/4/0/2"), Fix::Dropped),
            ],
            &["/3/0/9"],
        ),
        // A plan that replaces a group by itself ends.
        (
            vec![
                (single("/4/0/1"), replaced(&["/4/0/1"])),
                (single("/4/0/1"), replaced(&["/4/0/1"])),
            ],
            &["/3/0/9", "/4/0/1"],
        ),
    ] {
        let situation = Situation {
            repairs: &repairs,
            ..situation(&objects, &splits)
        };
        assert_eq!(observed(&original, &situation), expected, "{repairs:?}");
    }
}

#[test]
fn attributes_go_with_their_paths() {
    let objects = objects("</3/0>,</4/0>");
    let splits = Splits::default();
    let mut plan = plan(Grouping::CompositeAll, &["/3/0/9", "/4/0/1"]);
    let slow = Attributes::from_query(["pmin=10"]).expect("attributes");
    plan.targets[1].attributes = slow.clone();
    let wanted = wanted(&plan, &situation(&objects, &splits));
    let expected = [(path("/4/0/1"), slow)];
    assert_eq!(wanted.groups[0].attributes, expected);
    let planned = Planned::by_rule(plan);
    assert_eq!(*planned.attributes, expected);
}

fn any_path() -> impl Strategy<Value = Path> {
    prop_oneof![
        (1u16..4).prop_map(Path::object),
        (1u16..4, 0u16..2).prop_map(|(o, i)| Path::instance(o, i)),
        (1u16..4, 0u16..2, 0u16..3).prop_map(|(o, i, r)| Path::resource(o, i, r)),
    ]
}

fn any_grouping() -> impl Strategy<Value = Grouping> {
    prop_oneof![
        Just(Grouping::Single),
        Just(Grouping::CompositeAll),
        Just(Grouping::CompositeByObject),
        prop::collection::vec(prop::collection::vec(0u32..8, 0..4), 0..4)
            .prop_map(Grouping::Custom),
    ]
}

proptest! {
    #[test]
    fn each_target_is_observed_or_left_out(
        paths in prop::collection::vec(any_path(), 0..8),
        grouping in any_grouping(),
        listed in prop::collection::btree_set(any_path(), 0..6),
        old in any::<bool>(),
        splits in any::<bool>(),
    ) {
        let targets = paths.iter().map(|path| ObserveTarget {
            path: *path,
            attributes: Attributes::default(),
        });
        let plan = ObservePlan { targets: targets.collect(), grouping, ..ObservePlan::default() };
        let objects = ObjectList {
            paths: listed.into_iter().filter(|path| path.ids().len() < 3).collect(),
            ..ObjectList::default()
        };
        let splits = Splits { all: splits, ..Splits::default() };
        let situation = Situation {
            version: if old { Version::V1_0 } else { Version::V1_2 },
            ..situation(&objects, &splits)
        };
        let wanted = wanted(&plan, &situation);
        for path in &paths {
            let observed = wanted.groups.iter().any(|group| group.paths().contains(path));
            prop_assert_eq!(observed, is_registered(&objects, path));
            prop_assert_eq!(wanted.left_out.contains(path), !observed);
        }
        for (at, group) in wanted.groups.iter().enumerate() {
            prop_assert!(!group.paths().is_empty());
            prop_assert!(!group.is_composite() || !(old || splits.all));
            let twice = wanted.groups[..at].iter().any(|other| other.target == group.target);
            prop_assert!(!twice);
        }
    }
}
