//! The index of a registry, `DDF.xml`.

use lwm2m_core::ObjectVersion;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::error::ParseFault;
use crate::fields::Fields;
use crate::limits::Limits;
use crate::urn::{self, ObjectUrn};
use crate::words::{self, Word};
use crate::xml::{Element, Located};

const ROW_FIELDS: [&str; 12] = [
    "ObjectID",
    "URN",
    "Name",
    "Description",
    "Owner",
    "Source",
    "Ver",
    "DDF",
    "Vorto",
    "DDFLink",
    "TS",
    "TSLink",
];

/// What a registry says that it has.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Index {
    /// One row for each version of an object, in the order of the file.
    pub rows: Vec<IndexRow>,
    /// What is wrong, or unusual, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// One version of an object in an index.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IndexRow {
    /// The object id.
    pub id: u16,
    /// The version of the definition.
    pub version: ObjectVersion,
    /// The URN, as it is written; empty when there is none.
    pub urn: Box<str>,
    /// The object's name.
    pub name: Box<str>,
    /// What the object is for.
    pub description: Box<str>,
    /// Who registered it.
    pub owner: Box<str>,
    /// What kind of organisation registered it.
    pub origin: Origin,
    /// The path of the definition relative to the index; none when it is not published.
    ///
    /// Always relative, of plain names, and inside the index's folder.
    pub definition: Option<Box<str>>,
    /// The line of the row in the file, counted from 1.
    pub line: u32,
}

/// What kind of organisation registered an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// OMA itself.
    Oma,
    /// Another standards organisation.
    Standards,
    /// A company or a person.
    Private,
    /// The index does not say it in a known way.
    Unknown,
}

/// Reads the rows of a `<DDFList>` element.
pub(crate) fn rows(
    root: &Element<'_>,
    limits: &Limits,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<Vec<IndexRow>, Located> {
    let mut rows = Vec::new();
    let mut items = 0;
    for item in &root.children {
        if item.name != "Item" {
            let message = format!("<{}> is not known in <DDFList>", item.name);
            diagnostics.warning(item.at, message, "it is ignored; write <Item>");
            continue;
        }
        items += 1;
        if items > limits.rows_max {
            let max = limits.rows_max;
            let what = "rows in an index";
            return Err((item.at, ParseFault::OverLimit { what, max }));
        }
        rows.extend(row(item, diagnostics));
    }
    Ok(rows)
}

fn row(item: &Element<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<IndexRow> {
    let fields = Fields::of(item, &ROW_FIELDS, diagnostics);
    let text = fields.text("ObjectID", diagnostics).unwrap_or_default();
    let Some(id) = urn::id(&text) else {
        let message = format!("`{text}` is not an object id, the row is left out");
        let advice = "write a number from 0 to 65534";
        diagnostics.error(fields.at_child("ObjectID"), message, advice);
        return None;
    };
    let urn = fields.text("URN", diagnostics).unwrap_or_default();
    let version = version(fields, &urn, diagnostics)?;
    check_urn(fields, &urn, id, version, diagnostics);
    let mut text = |name| {
        let text = fields.text(name, diagnostics).unwrap_or_default();
        text.into_boxed_str()
    };
    let (name, description, owner) = (text("Name"), text("Description"), text("Owner"));
    let origin = match &*text("Source") {
        "0" => Origin::Oma,
        "1" => Origin::Standards,
        "2" => Origin::Private,
        _ => Origin::Unknown,
    };
    Some(IndexRow {
        id,
        version,
        urn: urn.into(),
        name,
        description,
        owner,
        origin,
        definition: definition(fields, diagnostics),
        line: diagnostics.line(item.at),
    })
}

/// The version that the row states, else the one of its URN, else 1.0.
fn version(
    fields: Fields<'_, '_>,
    urn: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<ObjectVersion> {
    let of_urn = ObjectUrn::parse(urn).and_then(|urn| urn.version);
    let Some(text) = fields.text("Ver", diagnostics) else {
        return Some(of_urn.unwrap_or(ObjectVersion::V1_0));
    };
    let at = fields.at_child("Ver");
    match words::version(&text) {
        Word::Exact(version) => Some(version),
        Word::Meant(version) => {
            let message = format!("`{text}` in <Ver> has no minor version");
            diagnostics.warning(at, message, &format!("write {version}"));
            Some(version)
        }
        Word::Unknown => {
            let message = format!("`{text}` is not a version, the row is left out");
            diagnostics.error(at, message, "write major.minor, as in 1.1");
            None
        }
    }
}

fn check_urn(
    fields: Fields<'_, '_>,
    text: &str,
    id: u16,
    version: ObjectVersion,
    diagnostics: &mut Diagnostics<'_>,
) {
    let agrees = ObjectUrn::parse(text)
        .is_some_and(|urn| urn.id == id && urn.version.unwrap_or(ObjectVersion::V1_0) == version);
    if !agrees {
        let message = format!("`{text}` is not the URN of object {id} version {version}");
        let advice = "id and version of the row are used; correct the URN";
        diagnostics.warning(fields.at_child("URN"), message, advice);
    }
}

/// The path of the definition, when it leads nowhere but to a file below the index.
fn definition(fields: Fields<'_, '_>, diagnostics: &mut Diagnostics<'_>) -> Option<Box<str>> {
    let path = fields.text("DDF", diagnostics)?;
    let is_plain = |part: &str| {
        let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_known)
    };
    if path.split('/').all(is_plain) && path.ends_with(".xml") {
        return Some(path.into());
    }
    let message = format!("`{path}` is not a path below the index, it is ignored");
    let advice = "write names of letters, digits, `-`, `_` and `.`, separated by `/`";
    diagnostics.error(fields.at_child("DDF"), message, advice);
    None
}
