//! The built-in objects are those that are registered.

use std::fs;
use std::path::Path;

use lwm2m_core::{ObjectModel, ObjectModels, ObjectVersion};
use lwm2m_registry::Registry;
use serde_json::Value;

/// A registered definition with an executable resource that has instances: not built in.
const FAULTY: (u64, &str) = (15, "1.0");

#[test]
fn equal_the_facts_of_every_version() {
    let facts = facts("core-objects.allversions.facts.json");
    let registry = Registry::embedded().snapshot();
    let mut compared = 0;
    for object in objects(&facts) {
        let (id, version) = key(object);
        if (u64::from(id), object["version"].as_str().unwrap()) == FAULTY {
            continue;
        }
        let model = registry
            .exact(id, version)
            .unwrap_or_else(|| panic!("object {id} version {version} is missing"));
        compare(model, object);
        compared += 1;
    }
    assert_eq!(compared, 148);
    assert_eq!(registry.len(), compared);
}

#[test]
fn answer_with_the_newest_version_of_each_core_object() {
    let facts = facts("core-objects.facts.json");
    let registry = Registry::embedded();
    for object in objects(&facts) {
        let (id, version) = key(object);
        let model = registry.object(id, None).unwrap();
        assert_eq!(model.version, version, "object {id}");
        compare(&model, object);
    }
    assert_eq!(objects(&facts).len(), 51);
}

#[test]
fn have_the_versions_that_each_enabler_version_implies() {
    let facts = facts("core-objects.facts.json");
    let enablers = facts["default_object_versions_by_lwm2m"]
        .as_object()
        .unwrap();
    assert_eq!(enablers.len(), 3);
    let registry = Registry::embedded().snapshot();
    for (id, version) in enablers
        .values()
        .flat_map(|table| table.as_object().unwrap())
    {
        let version = version.as_str().unwrap().parse().unwrap();
        let id = id.parse().unwrap();
        assert!(registry.exact(id, version).is_some(), "{id} {version}");
    }
}

/// Every version of the objects of the enabler that is registered.
const ENABLER_VERSIONS: &[(u16, &[&str])] = &[
    (0, &["1.0", "1.1", "1.2"]),
    (1, &["1.0", "1.1", "1.2"]),
    (2, &["1.0", "1.1"]),
    (3, &["1.0", "1.1", "1.2"]),
    (4, &["1.0", "1.1", "1.2", "1.3"]),
    (5, &["1.0", "1.1", "1.2"]),
    (6, &["1.0"]),
    (7, &["1.0"]),
    (21, &["1.0", "1.1", "2.0"]),
];

#[test]
fn have_every_version_of_the_objects_of_the_enabler() {
    let registry = Registry::embedded().snapshot();
    for (id, versions) in ENABLER_VERSIONS {
        let found: Vec<String> = registry
            .iter()
            .filter(|model| model.id == *id)
            .map(|model| model.version.to_string())
            .collect();
        assert_eq!(found, *versions, "object {id}");
    }
}

/// The objects of the core facts with their newest versions.
const NEWEST: &[(u16, &str)] = &[
    (0, "1.2"),
    (1, "1.2"),
    (2, "1.1"),
    (3, "1.2"),
    (4, "1.3"),
    (5, "1.2"),
    (6, "1.0"),
    (7, "1.0"),
    (9, "1.0"),
    (10, "1.1"),
    (16, "1.0"),
    (19, "1.0"),
    (20, "2.1"),
    (21, "2.0"),
    (22, "1.1"),
    (23, "1.0"),
    (24, "1.0"),
    (25, "2.0"),
    (26, "1.0"),
    (500, "1.0"),
    (3200, "1.1"),
    (3202, "1.1"),
    (3300, "1.1"),
    (3301, "1.1"),
    (3302, "1.1"),
    (3303, "1.1"),
    (3304, "1.1"),
    (3305, "1.1"),
    (3306, "1.1"),
    (3308, "1.1"),
    (3310, "1.1"),
    (3311, "1.0"),
    (3312, "1.1"),
    (3313, "1.1"),
    (3315, "1.1"),
    (3316, "1.1"),
    (3322, "1.1"),
    (3323, "1.1"),
    (3325, "1.1"),
    (3328, "1.1"),
    (3330, "1.1"),
    (3336, "2.0"),
    (3337, "1.1"),
    (3338, "1.1"),
    (3340, "1.0"),
    (3341, "1.0"),
    (3342, "1.1"),
    (3345, "1.0"),
    (3347, "1.1"),
    (3348, "1.1"),
    (3350, "1.1"),
];

#[test]
fn have_the_newest_version_of_every_core_object() {
    let facts = facts("core-objects.facts.json");
    let named: Vec<(u16, ObjectVersion)> = objects(&facts).iter().map(key).collect();
    let listed = NEWEST
        .iter()
        .map(|(id, version)| (*id, version.parse().unwrap()));
    assert_eq!(listed.clone().collect::<Vec<_>>(), named);
    let registry = Registry::embedded();
    for (id, version) in listed {
        let model = registry.object(id, None).unwrap();
        assert_eq!(model.version, version, "object {id}");
    }
}

#[test]
fn describe_every_object_and_resource_in_a_sentence() {
    for model in Registry::embedded().snapshot().iter() {
        let of_resources = model.resources.iter().map(|resource| &resource.description);
        for text in of_resources.chain([&model.description]) {
            assert!(text.ends_with('.'), "object {}: `{text}`", model.id);
        }
    }
}

#[test]
fn give_way_to_models_of_the_embedder() {
    let mut own = ObjectModel::clone(&Registry::embedded().object(3, None).unwrap());
    own.name = "Own Device".into();
    let registry = Registry::with([own]);
    assert_eq!(&*registry.object(3, None).unwrap().name, "Own Device");
    assert_eq!(
        &*registry.object(4, None).unwrap().name,
        "Connectivity Monitoring"
    );
    assert!(Registry::empty().object(3, None).is_none());
}

fn facts(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn objects(facts: &Value) -> &[Value] {
    facts["objects"].as_array().unwrap()
}

fn key(object: &Value) -> (u16, ObjectVersion) {
    let id = object["id"].as_u64().unwrap().try_into().unwrap();
    (id, object["version"].as_str().unwrap().parse().unwrap())
}

fn compare(model: &ObjectModel, object: &Value) {
    let id = model.id;
    assert_eq!(object["name"], *model.name);
    assert_eq!(object["multiple"], model.multiple, "object {id}");
    assert_eq!(object["mandatory"], model.mandatory, "object {id}");
    let found: Vec<Value> = model
        .resources
        .iter()
        .map(|resource| {
            let letters = [
                (resource.operations.read, "R"),
                (resource.operations.write, "W"),
                (resource.operations.execute, "E"),
            ];
            let operations: String = letters
                .iter()
                .filter_map(|(is_set, letter)| is_set.then_some(*letter))
                .collect();
            Value::from(vec![
                Value::from(resource.id),
                Value::from(&*resource.name),
                Value::from(operations),
                Value::from(if resource.multiple { "M" } else { "S" }),
                Value::from(if resource.mandatory { "M" } else { "O" }),
                Value::from(
                    resource
                        .data_type
                        .map_or("", |data_type| data_type.as_str()),
                ),
                Value::from(&*resource.range),
                Value::from(&*resource.units),
            ])
        })
        .collect();
    assert_eq!(object["resources"], Value::from(found), "object {id}");
}
