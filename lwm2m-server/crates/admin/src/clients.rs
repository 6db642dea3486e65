//! `/clients`: who is registered.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lwm2m_server::{ClientFilter, Server};
use serde::Serialize;

use crate::naming::Naming;
use crate::problem::Problem;
use crate::query::Query;
use crate::registration::{Client as ClientView, ClientDetail};
use crate::target::Client;

/// Registrations on one page, when the caller does not say.
const LIMIT: usize = 100;

/// Registrations on one page at most.
const LIMIT_MAX: usize = 1000;

#[derive(Debug, Serialize)]
pub(crate) struct Page {
    clients: Vec<ClientView>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
}

pub(crate) async fn list(
    State(server): State<Server>,
    mut query: Query,
) -> Result<Json<Page>, Problem> {
    let limit = query.parsed("limit")?.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::parameter(format!(
            "limit={limit}: 1 to {LIMIT_MAX}"
        )));
    }
    let mut filter = ClientFilter::default();
    filter.after = query.take("after");
    filter.contains = query.take("contains");
    // One more than asked for tells whether there is a next page.
    filter.limit = Some(limit + 1);
    query.finish()?;
    let mut registrations = server.registrations(filter).await;
    let more = registrations.len() > limit;
    registrations.truncate(limit);
    let next = match registrations.last() {
        Some(last) if more => Some(last.endpoint.to_string()),
        _ => None,
    };
    let clients = registrations.iter().map(ClientView::new).collect();
    Ok(Json(Page { clients, next }))
}

pub(crate) async fn one(
    State(server): State<Server>,
    Client(endpoint): Client,
    query: Query,
) -> Result<Json<ClientDetail>, Problem> {
    query.finish()?;
    let registration = server
        .registration(endpoint.as_str())
        .await
        .ok_or_else(|| Problem::not_registered(endpoint.as_str()))?;
    let naming = Naming::new(server.models(), Some(&registration));
    Ok(Json(ClientDetail::new(&registration, &naming)))
}

pub(crate) async fn forget(
    State(server): State<Server>,
    Client(endpoint): Client,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    match server.forget(endpoint.as_str()).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_registered(endpoint.as_str())),
    }
}
