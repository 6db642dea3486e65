use super::*;
use crate::objects::{DeviceObject, Location, test_object};

fn tree() -> ObjectTree {
    let mut tree = ObjectTree::new();
    tree.insert(DeviceObject::new(Version::V1_1, "model", "serial"));
    tree.insert(Location::new(1.0, 2.0));
    tree.insert(test_object());
    tree
}

fn time(tree: &ObjectTree) -> Option<i64> {
    match tree.value(&Path::resource(3, 0, 13)) {
        Some(Value::Time(time)) => Some(time),
        _ => None,
    }
}

#[test]
fn objects_stand_by_id_and_replace_each_other() {
    let mut tree = tree();
    tree.insert(DeviceObject::minimal(Version::V1_1, "other", "serial"));
    let ids: Vec<u16> = tree
        .objects()
        .map(|object| object.store().object())
        .collect();
    assert_eq!(ids, [3, 6, 3442]);
    let model = tree.value(&Path::resource(3, 0, 1));
    assert_eq!(model, Some(Value::from("other")));
}

#[test]
fn the_clock_goes_on_and_can_be_set() {
    let mut tree = tree();
    let start = Instant::now();
    tree.set_wall_clock(start, 1_800_000_000.0);
    tree.started(start);
    assert_eq!(time(&tree), Some(1_800_000_000));
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(tree.deadline(), Some(start + minute));
    tree.elapsed(start + minute);
    assert_eq!(time(&tree), Some(1_800_000_060));

    let path = Path::resource(3, 0, 13);
    let record = Record::new(path, Value::Time(1_000));
    let mode = lwm2m_core::WriteMode::Replace;
    tree.write(&path, mode, vec![record], start + minute)
        .unwrap();
    tree.elapsed(start + 2 * minute);
    assert_eq!(time(&tree), Some(1_060));
}

#[test]
fn a_device_without_wall_clock_stands_still() {
    let mut tree = tree();
    tree.started(Instant::now());
    assert_eq!(tree.deadline(), None);
}

#[test]
fn values_of_resource_instances_are_set_one_by_one() {
    let mut tree = tree();
    tree.set(&Path::resource_instance(3442, 0, 1120, 1), 7);
    tree.set(&Path::resource_instance(3442, 0, 1120, 5), 8);
    let values: Vec<Value<'static>> = tree
        .read(&Path::resource(3442, 0, 1120))
        .unwrap()
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(
        values,
        [Value::Integer(1024), Value::Integer(7), Value::Integer(8)]
    );
    tree.set(&Path::resource(99, 0, 1), 7);
    assert_eq!(tree.value(&Path::resource(99, 0, 1)), None);
}

#[test]
fn changes_are_told_once() {
    let mut tree = tree();
    tree.set(&Path::resource(3, 0, 9), 50);
    let changes = tree.take_changes();
    assert_eq!(
        (changes.paths, changes.instances),
        (vec![Path::resource(3, 0, 9)], false)
    );
    assert!(tree.take_changes().paths.is_empty());
}

#[test]
fn object_versions_are_implied_by_the_enabler() {
    for (version, object, expected) in [
        (Version::V1_0, 3, "1.0"),
        (Version::V1_1, 4, "1.2"),
        (Version::V1_1, 5, "1.0"),
        (Version::V1_2, 5, "1.1"),
        (Version::V1_2, 21, "2.0"),
        (Version::V1_2, 3303, "1.0"),
    ] {
        assert_eq!(implied_version(version, object).to_string(), expected);
    }
}
