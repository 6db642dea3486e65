//! `/models` and `/objects/{id}`: which objects are known, and what their resources are.

use axum::Json;
use axum::extract::State;
use lwm2m_core::{ObjectModel, ObjectVersion, Operations, ResourceModel};
use lwm2m_registry::ObjectKey;
use lwm2m_server::{ModelsLoad, Server};
use serde::Serialize;
use serde_json::Value;

use crate::events::reason_json;
use crate::problem::Problem;
use crate::query::Query;
use crate::target::Id;
use crate::time::rfc3339;
use crate::value::type_name;

/// Findings of one load that are shown, the errors first.
const FINDINGS_MAX: usize = 200;

/// What is in service.
#[derive(Debug, Serialize)]
pub(crate) struct Models {
    objects: Vec<Summary>,
    /// Of the models directory; none when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<Load>,
}

#[derive(Debug, Serialize)]
struct Summary {
    id: u16,
    version: String,
    name: String,
    multiple: bool,
    mandatory: bool,
    resources: usize,
}

/// The last load of the models directory that changed or found something. Objects are named as in
/// `3/1.1`.
#[derive(Debug, Serialize)]
pub(crate) struct Load {
    path: String,
    loaded_at: String,
    /// Files that were read without an error.
    files: usize,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    /// In service as before, although their file is broken now.
    kept: Vec<String>,
    errors: usize,
    findings: Vec<Finding>,
    /// Findings that are not shown.
    findings_left_out: usize,
    /// Why the directory could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: &'static str,
    file: String,
    /// 0 when it is about the file as a whole.
    line: u32,
    column: u32,
    message: String,
    advice: String,
}

pub(crate) async fn all(
    State(server): State<Server>,
    query: Query,
) -> Result<Json<Models>, Problem> {
    query.finish()?;
    let objects = server.models().all();
    Ok(Json(Models {
        objects: objects.iter().map(|model| Summary::new(model)).collect(),
        directory: server.models_load().map(|load| Load::new(&load)),
    }))
}

impl Summary {
    fn new(model: &ObjectModel) -> Summary {
        Summary {
            id: model.id,
            version: model.version.to_string(),
            name: model.name.to_string(),
            multiple: model.multiple,
            mandatory: model.mandatory,
            resources: model.resources.len(),
        }
    }
}

impl Load {
    pub(crate) fn new(load: &ModelsLoad) -> Load {
        let report = load.outcome.as_ref().ok();
        let report = report.cloned().unwrap_or_default();
        let names = |keys: &[ObjectKey]| -> Vec<String> {
            let name = |key: &ObjectKey| format!("{}/{}", key.id, key.version);
            keys.iter().map(name).collect()
        };
        let mut findings = report.diagnostics;
        findings.sort_by_key(|found| std::cmp::Reverse(found.severity));
        let findings_left_out = findings.len().saturating_sub(FINDINGS_MAX);
        let findings = findings.into_iter().take(FINDINGS_MAX);
        Load {
            path: load.directory.display().to_string(),
            loaded_at: rfc3339(load.at),
            files: report.files,
            added: names(&report.added),
            changed: names(&report.changed),
            removed: names(&report.removed),
            kept: names(&report.kept),
            errors: load.errors(),
            findings: findings
                .map(|found| Finding {
                    severity: found.severity.as_str(),
                    file: found.file.into(),
                    line: found.line,
                    column: found.column,
                    message: found.message,
                    advice: found.advice,
                })
                .collect(),
            findings_left_out,
            reason: load.outcome.as_ref().err().map(reason_json),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Object {
    id: u16,
    version: String,
    name: String,
    description: String,
    multiple: bool,
    mandatory: bool,
    resources: Vec<Resource>,
}

#[derive(Debug, Serialize)]
struct Resource {
    id: u16,
    name: String,
    description: String,
    /// Some of `R`, `W`, `E`; none when only a bootstrap server reaches it.
    operations: String,
    multiple: bool,
    mandatory: bool,
    #[serde(rename = "type")]
    data_type: Option<&'static str>,
    range: String,
    unit: String,
}

pub(crate) async fn object(
    State(server): State<Server>,
    Id(id): Id,
    mut query: Query,
) -> Result<Json<Object>, Problem> {
    let version: Option<ObjectVersion> = query.parsed("version")?;
    query.finish()?;
    let unknown = || {
        Problem::unknown_object(match version {
            Some(version) => format!("there is no model of object {id} that fits {version}"),
            None => format!("there is no model of object {id}"),
        })
    };
    let number = u16::try_from(id).map_err(|_| unknown())?;
    let model = server
        .models()
        .object(number, version)
        .ok_or_else(unknown)?;
    Ok(Json(Object::from(&*model)))
}

impl From<&ObjectModel> for Object {
    fn from(model: &ObjectModel) -> Object {
        Object {
            id: model.id,
            version: model.version.to_string(),
            name: model.name.to_string(),
            description: model.description.to_string(),
            multiple: model.multiple,
            mandatory: model.mandatory,
            resources: model.resources.iter().map(Resource::from).collect(),
        }
    }
}

impl From<&ResourceModel> for Resource {
    fn from(model: &ResourceModel) -> Resource {
        Resource {
            id: model.id,
            name: model.name.to_string(),
            description: model.description.to_string(),
            operations: letters(model.operations),
            multiple: model.multiple,
            mandatory: model.mandatory,
            data_type: model.data_type.map(type_name),
            range: model.range.to_string(),
            unit: model.units.to_string(),
        }
    }
}

fn letters(operations: Operations) -> String {
    [
        (operations.read, 'R'),
        (operations.write, 'W'),
        (operations.execute, 'E'),
    ]
    .into_iter()
    .filter_map(|(given, letter)| given.then_some(letter))
    .collect()
}
