//! `/status`: is it there, where, and how much has it done.

use axum::Json;
use axum::extract::State;
use lwm2m_server::{ModelsLoad, Server, Statistics};
use serde::Serialize;

use crate::problem::Problem;
use crate::query::Query;
use crate::time::rfc3339;

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    listeners: Vec<String>,
    registrations: u64,
    connections: u64,
    bootstrap_sessions: u64,
    registered: u64,
    updated: u64,
    refused: u64,
    notifications: u64,
    events_dropped: u64,
    values_dropped: u64,
    device_hooks_dropped: u64,
    observe_looks_missed: u64,
    models: Models,
    coap: Coap,
}

/// The object models; `/models` has the details.
#[derive(Debug, Serialize)]
struct Models {
    objects: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_at: Option<String>,
    errors: usize,
    /// Why the directory could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Coap {
    received: u64,
    sent: u64,
    retransmitted: u64,
    duplicates: u64,
    malformed: u64,
    refused: u64,
}

pub(crate) async fn status(
    State(server): State<Server>,
    query: Query,
) -> Result<Json<Status>, Problem> {
    query.finish()?;
    let models = Models::of(&server);
    Ok(Json(Status::new(
        &server.statistics(),
        server.local_uris(),
        models,
    )))
}

impl Models {
    fn of(server: &Server) -> Models {
        let load = server.models_load();
        let load = load.as_deref();
        Models {
            objects: server.models().all().len(),
            directory: load.map(|load| load.directory.display().to_string()),
            loaded_at: load.map(|load| rfc3339(load.at)),
            errors: load.map_or(0, ModelsLoad::errors),
            reason: load.and_then(|load| Some(load.outcome.as_ref().err()?.message.to_string())),
        }
    }
}

impl Status {
    fn new(statistics: &Statistics, listeners: Vec<String>, models: Models) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            listeners,
            registrations: statistics.registrations,
            connections: statistics.connections,
            bootstrap_sessions: statistics.bootstrap_sessions,
            registered: statistics.registered,
            updated: statistics.updated,
            refused: statistics.refused,
            notifications: statistics.notifications,
            events_dropped: statistics.events_dropped,
            values_dropped: statistics.values_dropped,
            device_hooks_dropped: statistics.device_hooks_dropped,
            observe_looks_missed: statistics.observe_looks_missed,
            models,
            coap: Coap {
                received: statistics.coap.received,
                sent: statistics.coap.sent,
                retransmitted: statistics.coap.retransmitted,
                duplicates: statistics.coap.duplicates,
                malformed: statistics.coap.malformed,
                refused: statistics.coap.refused,
            },
        }
    }
}
