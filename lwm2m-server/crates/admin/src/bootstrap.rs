//! `/bootstrap`: what is written into devices. Keys come in, and never go out again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lwm2m_server::Server;
use lwm2m_server::bootstrap::{
    BootstrapChange, BootstrapDocument, BootstrapStore, BootstrapStoreError,
};
use serde::Serialize;

use crate::body::{Body, Text};
use crate::problem::Problem;
use crate::query::Query;
use crate::target;

#[derive(Serialize)]
pub(crate) struct Plans {
    /// In the order in which they count.
    plans: Vec<BootstrapDocument>,
}

pub(crate) async fn list(
    State(server): State<Server>,
    query: Query,
) -> Result<Json<Plans>, Problem> {
    query.finish()?;
    let documents = documents(&server)?;
    let plans = documents.iter().map(BootstrapDocument::without_keys);
    Ok(Json(Plans {
        plans: plans.collect(),
    }))
}

pub(crate) async fn one(
    State(server): State<Server>,
    target::Plan(endpoint): target::Plan,
    query: Query,
) -> Result<Json<BootstrapDocument>, Problem> {
    query.finish()?;
    let documents = documents(&server)?;
    let plan = documents.iter().find(|plan| plan.endpoint() == endpoint);
    let plan = plan.ok_or(BootstrapStoreError::NotFound(endpoint))?;
    Ok(Json(plan.without_keys()))
}

pub(crate) async fn add(
    State(server): State<Server>,
    query: Query,
    Body(plan): Body<BootstrapDocument>,
) -> Result<impl IntoResponse, Problem> {
    query.finish()?;
    let shown = plan.without_keys();
    change(&server, Vec::new(), vec![plan]).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(crate) async fn remove(
    State(server): State<Server>,
    target::Plan(endpoint): target::Plan,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    change(&server, vec![endpoint], Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(crate) struct Imported {
    added: usize,
}

pub(crate) async fn import(
    State(server): State<Server>,
    query: Query,
    body: Text,
) -> Result<Json<Imported>, Problem> {
    query.finish()?;
    let plans = BootstrapDocument::read_all(&body.text).map_err(BootstrapStoreError::Invalid)?;
    let added = plans.len();
    if added > 0 {
        change(&server, Vec::new(), plans).await?;
    }
    Ok(Json(Imported { added }))
}

async fn change(
    server: &Server,
    remove: Vec<String>,
    add: Vec<BootstrapDocument>,
) -> Result<(), Problem> {
    let change = BootstrapChange { remove, add };
    Ok(store(server)?.change(change).await?)
}

fn documents(server: &Server) -> Result<Vec<BootstrapDocument>, Problem> {
    let documents = store(server)?.documents();
    Ok(documents.ok_or(BootstrapStoreError::NotHere)?)
}

fn store(server: &Server) -> Result<&Arc<dyn BootstrapStore>, Problem> {
    Ok(server.bootstrap().ok_or(BootstrapStoreError::NotHere)?)
}
