//! `<Object>` and `<Item>` elements as object models.

use lwm2m_core::{DataType, ObjectModel, ObjectVersion, Operations, ResourceModel};

use crate::diagnostic::Diagnostics;
use crate::error::ParseFault;
use crate::fields::Fields;
use crate::limits::Limits;
use crate::urn::{self, ObjectUrn};
use crate::words::{self, Word};
use crate::xml::{Element, Located};

const OBJECT_FIELDS: [&str; 10] = [
    "Name",
    "Description1",
    "ObjectID",
    "ObjectURN",
    "LWM2MVersion",
    "ObjectVersion",
    "MultipleInstances",
    "Mandatory",
    "Resources",
    "Description2",
];
const ITEM_FIELDS: [&str; 8] = [
    "Name",
    "Operations",
    "MultipleInstances",
    "Mandatory",
    "Type",
    "RangeEnumeration",
    "Units",
    "Description",
];
/// The fields of an item in the file of reusable resources, where instances and presence are left
/// to the object that uses it.
const REUSABLE_FIELDS: [&str; 9] = [
    "Name",
    "Operations",
    "Type",
    "RangeEnumeration",
    "Units",
    "Submitter",
    "Description",
    "TS",
    "TSLink",
];
const ID_RANGE: &str = "write a number from 0 to 65534";

/// What an `<Object>` element turned out to be.
#[derive(Debug)]
pub(crate) enum Definition {
    /// The definition of an object.
    Object(ObjectModel),
    /// A list of resources for objects to use.
    Reusable(Vec<ResourceModel>),
}

/// Reads an `<Object>` element.
pub(crate) fn read(
    element: &Element<'_>,
    limits: &Limits,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<Definition, Located> {
    match element.attribute("ObjectType") {
        Some("CommonResources") => {
            let fields = Fields::of(element, &["Resources"], diagnostics);
            let resources = resources(fields, Kind::Reusable, limits, diagnostics)?;
            return Ok(Definition::Reusable(resources));
        }
        Some("MODefinition") => {}
        _ => {
            let message = "the object's ObjectType is not MODefinition";
            let advice = "write <Object ObjectType=\"MODefinition\">";
            diagnostics.warning(element.at, message, advice);
        }
    }
    let fields = Fields::of(element, &OBJECT_FIELDS, diagnostics);
    let id = object_id(fields, diagnostics)?;
    let version = object_version(fields, id, diagnostics)?;
    enabler_version(fields, diagnostics);
    let name = name(fields, || format!("Object {id}"), diagnostics);
    let description = fields
        .text("Description1", diagnostics)
        .or_else(|| fields.text("Description2", diagnostics))
        .unwrap_or_default();
    let multiple = fields.choice(
        "MultipleInstances",
        words::multiple,
        "Multiple or Single",
        diagnostics,
    );
    let mandatory = fields.choice(
        "Mandatory",
        words::mandatory,
        "Mandatory or Optional",
        diagnostics,
    );
    let resources = resources(fields, Kind::OfObject, limits, diagnostics)?;
    Ok(Definition::Object(ObjectModel {
        id,
        version,
        name: name.into(),
        description: description.into(),
        multiple,
        mandatory,
        resources,
    }))
}

fn object_id(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) -> Result<u16, Located> {
    let text = fields
        .text("ObjectID", diagnostics)
        .ok_or((fields.at(), ParseFault::Missing("ObjectID")))?;
    urn::id(&text).ok_or_else(|| (fields.at_child("ObjectID"), ParseFault::BadObjectId(text)))
}

/// The version that the object states, else the one of its URN, else 1.0; and whether the URN
/// agrees.
fn object_version(
    fields: Fields<'_, '_>,
    id: u16,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<ObjectVersion, Located> {
    let stated = stated_version(fields, "ObjectVersion", diagnostics)?;
    let at_urn = fields.at_child("ObjectURN");
    let Some(text) = fields.text("ObjectURN", diagnostics) else {
        diagnostics.warning(at_urn, "the object has no <ObjectURN>", "add it");
        return Ok(stated.unwrap_or(ObjectVersion::V1_0));
    };
    let Some(urn) = ObjectUrn::parse(&text) else {
        let message = format!("`{text}` is not the URN of an object");
        let advice = "write urn:oma:lwm2m:{oma, ext or x}:{id}, with :{version} unless it is 1.0";
        diagnostics.warning(at_urn, message, advice);
        return Ok(stated.unwrap_or(ObjectVersion::V1_0));
    };
    if urn.id != id {
        let message = format!("the URN is of object {}, the object id is {id}", urn.id);
        diagnostics.warning(at_urn, message, "the object id is used; correct the other");
    }
    let of_urn = urn.version.unwrap_or(ObjectVersion::V1_0);
    match stated {
        Some(stated) => {
            if stated != of_urn {
                let message = format!("the URN says version {of_urn}, the object {stated}");
                let advice = "the object's version is used; correct the other";
                diagnostics.warning(at_urn, message, advice);
            }
            Ok(stated)
        }
        None => {
            if of_urn != ObjectVersion::V1_0 {
                let message = format!("the object has no version, its URN says {of_urn}");
                diagnostics.warning(at_urn, message, "add <ObjectVersion>");
            }
            Ok(of_urn)
        }
    }
}

/// The LwM2M version is not part of the model; it is only checked.
fn enabler_version(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) {
    if let Err((at, fault)) = stated_version(fields, "LWM2MVersion", diagnostics) {
        let message = fault.to_string().replace("an object version", "a version");
        diagnostics.warning(at, message, fault.advice());
    }
}

fn stated_version(
    fields: Fields<'_, '_>,
    name: &'static str,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<Option<ObjectVersion>, Located> {
    let Some(text) = fields.text(name, diagnostics) else {
        return Ok(None);
    };
    match words::version(&text) {
        Word::Exact(version) => Ok(Some(version)),
        Word::Meant(version) => {
            let message = format!("`{text}` in <{name}> has no minor version");
            let advice = format!("write {version}");
            diagnostics.warning(fields.at_child(name), message, &advice);
            Ok(Some(version))
        }
        Word::Unknown => Err((fields.at_child(name), ParseFault::BadVersion(text))),
    }
}

fn name(
    fields: Fields<'_, '_>,
    otherwise: impl Fn() -> String,
    diagnostics: &mut Diagnostics<'_>,
) -> String {
    fields.text("Name", diagnostics).unwrap_or_else(|| {
        let name = otherwise();
        let message = format!("there is no name, it is called `{name}`");
        diagnostics.warning(fields.at_child("Name"), message, "add <Name>");
        name
    })
}

/// Whose resources a list holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OfObject,
    Reusable,
}

/// The resources by id, ascending.
fn resources(
    fields: Fields<'_, '_>,
    kind: Kind,
    limits: &Limits,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<Vec<ResourceModel>, Located> {
    let Some(list) = fields.child("Resources") else {
        diagnostics.warning(fields.at(), "there is no <Resources>", "add it");
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    let mut found = 0;
    for item in &list.children {
        if item.name != "Item" {
            let message = format!("<{}> is not known in <Resources>", item.name);
            diagnostics.warning(item.at, message, "it is ignored; write <Item>");
            continue;
        }
        found += 1;
        if found > limits.resources_max {
            let max = limits.resources_max;
            let what = "resources of an object";
            return Err((item.at, ParseFault::OverLimit { what, max }));
        }
        if let Some(resource) = resource(item, kind, diagnostics) {
            items.push((item.at, resource));
        }
    }
    if items.is_empty() {
        diagnostics.warning(list.at, "there is no resource", "add an <Item>");
    }
    // Stable, so that of two resources with the same id the first in the file is kept.
    items.sort_by_key(|(_, resource)| resource.id);
    let mut resources: Vec<ResourceModel> = Vec::with_capacity(items.len());
    for (at, resource) in items {
        match resources.last() {
            Some(last) if last.id == resource.id => {
                let (id, name) = (resource.id, &resource.name);
                let message = format!("resource {id} is defined again, as `{name}`");
                diagnostics.error(at, message, "the first one is used; remove the other");
            }
            _ => resources.push(resource),
        }
    }
    Ok(resources)
}

fn resource(
    item: &Element<'_>,
    kind: Kind,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<ResourceModel> {
    let Some(id_text) = item.attribute("ID") else {
        let message = "the resource has no ID, it is left out";
        diagnostics.error(item.at, message, "write <Item ID=\"number\">");
        return None;
    };
    let Some(id) = urn::id(id_text.trim()) else {
        let message = format!("`{id_text}` is not a resource id, the resource is left out");
        diagnostics.error(item.at, message, ID_RANGE);
        return None;
    };
    let known = match kind {
        Kind::OfObject => ITEM_FIELDS.as_slice(),
        Kind::Reusable => REUSABLE_FIELDS.as_slice(),
    };
    let fields = Fields::of(item, known, diagnostics);
    let name = name(fields, || format!("Resource {id}"), diagnostics);
    let (multiple, mandatory) = match kind {
        Kind::OfObject => presence(fields, diagnostics),
        Kind::Reusable => (false, false),
    };
    let resource = ResourceModel {
        id,
        name: name.into(),
        description: fields
            .text("Description", diagnostics)
            .unwrap_or_default()
            .into(),
        operations: operations(fields, diagnostics),
        multiple,
        mandatory,
        data_type: data_type(fields, diagnostics),
        range: fields.lines("RangeEnumeration", diagnostics).into(),
        units: fields.text("Units", diagnostics).unwrap_or_default().into(),
    };
    check(fields, &resource, diagnostics);
    Some(resource)
}

fn presence(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) -> (bool, bool) {
    let multiple = fields.choice(
        "MultipleInstances",
        words::multiple,
        "Multiple or Single",
        diagnostics,
    );
    let mandatory = fields.choice(
        "Mandatory",
        words::mandatory,
        "Mandatory or Optional",
        diagnostics,
    );
    (multiple, mandatory)
}

fn operations(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) -> Operations {
    const ADVICE: &str = "write R, W, RW, E, or nothing for bootstrap only";
    let text = fields.text("Operations", diagnostics).unwrap_or_default();
    let at = fields.at_child("Operations");
    if fields.child("Operations").is_none() {
        diagnostics.warning(at, "the resource has no <Operations>", ADVICE);
    }
    match words::operations(&text) {
        Word::Exact(operations) => operations,
        Word::Meant(operations) => {
            diagnostics.warning(at, format!("`{text}` are unusual operations"), ADVICE);
            operations
        }
        Word::Unknown => {
            let message = format!("`{text}` are no operations, none is allowed");
            diagnostics.error(at, message, ADVICE);
            Operations::default()
        }
    }
}

fn data_type(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) -> Option<DataType> {
    let text = fields.text("Type", diagnostics).unwrap_or_default();
    let at = fields.at_child("Type");
    match words::data_type(&text) {
        Word::Exact(data_type) => data_type,
        Word::Meant(data_type) => {
            let name = data_type.map_or("nothing", DataType::as_str);
            let message = format!("`{text}` is not a type, it is taken for {name}");
            diagnostics.warning(at, message, &format!("write {name}"));
            data_type
        }
        Word::Unknown => {
            let message = format!("`{text}` is not a type, values stay untyped");
            let advice = "write String, Integer, Unsigned Integer, Float, Boolean, Opaque, Time, \
                Objlnk or Corelnk";
            diagnostics.error(at, message, advice);
            None
        }
    }
}

/// Combinations that make no sense together.
fn check(fields: Fields<'_, '_>, resource: &ResourceModel, diagnostics: &mut Diagnostics<'_>) {
    let Operations {
        read,
        write,
        execute,
    } = resource.operations;
    let at_type = fields.at_child("Type");
    // An unknown word has its own finding.
    let says_no_type = fields
        .child("Type")
        .is_none_or(|element| element.text.trim().is_empty());
    if (read || write) && says_no_type {
        let message = "the resource has values but no type, they stay untyped";
        diagnostics.warning(at_type, message, "write the type");
    }
    if execute && !read && !write && resource.data_type.is_some() {
        let message = "an executable resource has no values, but a type is given";
        diagnostics.warning(at_type, message, "leave <Type> empty");
    }
    if execute && resource.multiple {
        let at = fields.at_child("MultipleInstances");
        let message = "an executable resource cannot have instances";
        diagnostics.warning(at, message, "write Single");
    }
    let at_range = fields.at_child("RangeEnumeration");
    if words::is_reversed_range(&resource.range) {
        let message = format!("the range `{}` is reversed", resource.range);
        diagnostics.warning(at_range, message, "write the lower bound first");
    }
    if resource.data_type == Some(DataType::Boolean) && !resource.range.is_empty() {
        let message = "a Boolean has no range";
        diagnostics.note(at_range, message, "leave <RangeEnumeration> empty");
    }
}
