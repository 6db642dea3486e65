//! What changed between two definitions of an object.

use std::fmt::{self, Write};

use lwm2m_core::{ObjectModel, Operations, ResourceModel};
use serde::Serialize;

/// One difference, and whether devices or servers of the old definition break on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// The resource; none when it is about the object.
    pub(crate) resource: Option<u16>,
    #[serde(rename = "change")]
    pub(crate) text: String,
    /// Calls for a new major version (Core 1.2.2 §7.2).
    #[serde(rename = "breaking")]
    pub(crate) is_breaking: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resource {
            Some(id) => write!(f, "resource {id} {}", self.text)?,
            None => write!(f, "object {}", self.text)?,
        }
        match self.is_breaking {
            true => f.write_str(" [breaking]"),
            false => Ok(()),
        }
    }
}

/// The differences of the objects, then those of the resources by id.
///
/// Descriptions are prose and not compared here, only reported as changed.
pub(crate) fn changes(old: &ObjectModel, new: &ObjectModel) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.text("name", &old.name, &new.name, false);
    changes.word("instances", old.multiple, new.multiple, instances);
    changes.word("presence", old.mandatory, new.mandatory, presence);
    changes.prose(&old.description, &new.description);
    let mut ids: Vec<u16> = [old, new]
        .iter()
        .flat_map(|model| model.resources.iter().map(|resource| resource.id))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        changes.resource = Some(id);
        match (old.resource(id), new.resource(id)) {
            (Some(old), Some(new)) => changes.resource(old, new),
            (Some(old), None) => changes.add(format!("removed: {}", summary(old)), true),
            // A device of the old definition lacks it.
            (None, Some(new)) => changes.add(format!("added: {}", summary(new)), new.mandatory),
            (None, None) => {}
        }
    }
    changes.found
}

/// A resource in a line.
fn summary(resource: &ResourceModel) -> String {
    let mut text = format!(
        "`{}`, {}, {}, {}, {}",
        resource.name,
        operations(resource.operations),
        data_type(resource),
        instances(resource.multiple),
        presence(resource.mandatory),
    );
    for (label, value) in [("range", &resource.range), ("unit", &resource.units)] {
        if !value.is_empty() {
            // Into a String: cannot fail.
            let _ = write!(text, ", {label} `{value}`");
        }
    }
    text
}

#[derive(Default)]
struct Changes {
    resource: Option<u16>,
    found: Vec<Change>,
}

impl Changes {
    fn resource(&mut self, old: &ResourceModel, new: &ResourceModel) {
        self.text("name", &old.name, &new.name, false);
        self.text("type", data_type(old), data_type(new), true);
        let (before, after) = (old.operations, new.operations);
        let lost = (before.read && !after.read)
            || (before.write && !after.write)
            || (before.execute && !after.execute);
        self.text("operations", &operations(before), &operations(after), lost);
        self.word("instances", old.multiple, new.multiple, instances);
        self.word("presence", old.mandatory, new.mandatory, presence);
        self.text("range", &old.range, &new.range, false);
        self.text("unit", &old.units, &new.units, true);
        self.prose(&old.description, &new.description);
    }

    fn text(&mut self, what: &str, old: &str, new: &str, is_breaking: bool) {
        if old != new {
            self.add(format!("{what}: `{old}` -> `{new}`"), is_breaking);
        }
    }

    fn word(&mut self, what: &str, old: bool, new: bool, word: fn(bool) -> &'static str) {
        self.text(what, word(old), word(new), true);
    }

    fn prose(&mut self, old: &str, new: &str) {
        if old != new {
            self.add("description changed".to_owned(), false);
        }
    }

    fn add(&mut self, text: String, is_breaking: bool) {
        self.found.push(Change {
            resource: self.resource,
            text,
            is_breaking,
        });
    }
}

fn data_type(resource: &ResourceModel) -> &'static str {
    resource.data_type.map_or("no type", |found| found.as_str())
}

fn operations(operations: Operations) -> String {
    let letters = [
        (operations.read, 'R'),
        (operations.write, 'W'),
        (operations.execute, 'E'),
    ];
    let text: String = letters
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, letter)| letter)
        .collect();
    match text.is_empty() {
        true => "no operation".to_owned(),
        false => text,
    }
}

const fn instances(multiple: bool) -> &'static str {
    match multiple {
        true => "Multiple",
        false => "Single",
    }
}

const fn presence(mandatory: bool) -> &'static str {
    match mandatory {
        true => "Mandatory",
        false => "Optional",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(items: &str) -> ObjectModel {
        let xml = format!(
            "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Door</Name><ObjectID>42769</ObjectID>\
             <ObjectURN>urn:oma:lwm2m:x:42769</ObjectURN>\
             <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
             <Resources>{items}</Resources></Object></LWM2M>"
        );
        lwm2m_registry::parse(xml, "door.xml")
            .unwrap()
            .models
            .remove(0)
    }

    fn item(id: u16, fields: [&str; 5]) -> String {
        let [operations, mandatory, data_type, range, units] = fields;
        format!(
            "<Item ID=\"{id}\"><Name>R{id}</Name><Operations>{operations}</Operations>\
             <MultipleInstances>Single</MultipleInstances><Mandatory>{mandatory}</Mandatory>\
             <Type>{data_type}</Type><RangeEnumeration>{range}</RangeEnumeration>\
             <Units>{units}</Units><Description>d</Description></Item>"
        )
    }

    #[test]
    fn equal_definitions_have_no_changes() {
        let model = object(&item(0, ["R", "Optional", "Float", "", ""]));
        assert_eq!(changes(&model, &model), []);
    }

    #[test]
    fn names_every_field_and_what_breaks() {
        let old = object(
            &[
                item(0, ["RW", "Optional", "Integer", "0..9", "s"]),
                item(1, ["E", "Optional", "", "", ""]),
            ]
            .concat(),
        );
        let new = object(
            &[
                item(0, ["R", "Mandatory", "Float", "0..10", "ms"]),
                item(2, ["R", "Optional", "String", "", ""]),
                item(3, ["", "Mandatory", "String", "0..5", ""]),
            ]
            .concat(),
        );
        let found: Vec<String> = changes(&old, &new)
            .iter()
            .map(|change| change.to_string())
            .collect();
        assert_eq!(
            found,
            [
                "resource 0 type: `Integer` -> `Float` [breaking]",
                "resource 0 operations: `RW` -> `R` [breaking]",
                "resource 0 presence: `Optional` -> `Mandatory` [breaking]",
                "resource 0 range: `0..9` -> `0..10`",
                "resource 0 unit: `s` -> `ms` [breaking]",
                "resource 1 removed: `R1`, E, no type, Single, Optional [breaking]",
                "resource 2 added: `R2`, R, String, Single, Optional",
                "resource 3 added: `R3`, no operation, String, Single, Mandatory, range `0..5` \
                 [breaking]",
            ]
        );
    }
}
