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
