//! `/objects/{id}`: what the resources of an object are.

use axum::Json;
use axum::extract::State;
use lwm2m_core::{ObjectModel, ObjectVersion, Operations, ResourceModel};
use lwm2m_server::Server;
use serde::Serialize;

use crate::problem::Problem;
use crate::query::Query;
use crate::target::Id;
use crate::value::type_name;

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
