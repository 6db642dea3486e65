//! `/clients/{ep}/observations`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lwm2m_core::{Attributes, Request};
use lwm2m_server::{CancelMode, ObservationId, ObservationInfo, ObservationTarget, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue};

use crate::answer::{Answer, texts};
use crate::body::Body;
use crate::operations::{Exchange, paths};
use crate::problem::Problem;
use crate::query::Query;
use crate::target::{Client, Id};

#[derive(Debug, Serialize)]
pub(crate) struct List {
    observations: Vec<Observation>,
    /// Those of the plan that were cancelled by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withdrawn: Vec<About>,
}

#[derive(Debug, Serialize)]
struct Observation {
    id: u64,
    #[serde(flatten)]
    about: About,
    notifications: u64,
    planned: bool,
}

/// What an observation is about.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    paths: Vec<String>,
    composite: bool,
}

impl About {
    pub(crate) fn new(target: &ObservationTarget) -> About {
        match target {
            ObservationTarget::Single(path) => About {
                paths: vec![path.to_string()],
                composite: false,
            },
            ObservationTarget::Composite(paths) => About {
                paths: texts(paths),
                composite: true,
            },
        }
    }
}

pub(crate) async fn list(
    State(server): State<Server>,
    Client(endpoint): Client,
    query: Query,
) -> Result<Json<List>, Problem> {
    query.finish()?;
    let device = server.device(endpoint.as_str());
    let observations = device.observations().await?;
    let withdrawn = device.withdrawn_observations().await?;
    let observation = |info: &ObservationInfo| Observation {
        id: info.id.0,
        about: About::new(&info.target),
        notifications: info.notifications,
        planned: info.planned,
    };
    Ok(Json(List {
        observations: observations.iter().map(observation).collect(),
        withdrawn: withdrawn.iter().map(About::new).collect(),
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ObserveBody {
    path: Option<String>,
    paths: Option<Vec<String>>,
    attributes: Map<String, JsonValue>,
}

pub(crate) async fn start(
    State(server): State<Server>,
    Client(endpoint): Client,
    mut query: Query,
    Body(body): Body<ObserveBody>,
) -> Result<Answer, Problem> {
    let attributes = attributes(&body.attributes)?;
    let request = match (body.path, body.paths) {
        (Some(path), None) => Request::Observe {
            path: path
                .parse()
                .map_err(|error| Problem::path(format!("{path:?}: {error}")))?,
            attributes,
            accept: query.format("format")?,
        },
        (None, Some(texts)) => Request::ObserveComposite {
            paths: paths(&texts)?,
            attributes,
            format: query.format("format")?,
            accept: query.format("accept")?,
        },
        _ => return Err(Problem::body("give \"path\", or \"paths\" for a composite")),
    };
    let exchange = Exchange::with(&server, &endpoint).await?;
    exchange.send(request, query).await
}

/// `{"pmin": 5, "gt": null}`: null unsets.
fn attributes(given: &Map<String, JsonValue>) -> Result<Attributes, Problem> {
    let items: Vec<String> = given
        .iter()
        .map(|(key, value)| match value {
            JsonValue::Null => key.clone(),
            JsonValue::Bool(truth) => format!("{key}={}", u8::from(*truth)),
            JsonValue::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    Attributes::from_query(items.iter().map(String::as_str))
        .map_err(|error| Problem::value(error.to_string()))
}

pub(crate) async fn cancel(
    State(server): State<Server>,
    Client(endpoint): Client,
    Id(id): Id,
    mut query: Query,
) -> Result<StatusCode, Problem> {
    let mode = match query.take("mode").as_deref() {
        None | Some("active") => CancelMode::Active,
        Some("passive") => CancelMode::Passive,
        Some(other) => {
            return Err(Problem::parameter(format!(
                "mode={other:?}: active or passive"
            )));
        }
    };
    query.finish()?;
    server
        .device(endpoint.as_str())
        .cancel(ObservationId(id), mode)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
