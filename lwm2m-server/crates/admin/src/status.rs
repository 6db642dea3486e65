//! `/status`: is it there, where, and how much has it done.

use axum::Json;
use axum::extract::State;
use lwm2m_server::{Server, Statistics};
use serde::Serialize;

use crate::problem::Problem;
use crate::query::Query;

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    listeners: Vec<String>,
    registrations: u64,
    registered: u64,
    updated: u64,
    refused: u64,
    notifications: u64,
    events_dropped: u64,
    coap: Coap,
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
    let addresses = server.local_addresses().iter();
    let listeners = addresses.map(|address| format!("coap://{address}"));
    Ok(Json(Status::new(&server.statistics(), listeners.collect())))
}

impl Status {
    fn new(statistics: &Statistics, listeners: Vec<String>) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            listeners,
            registrations: statistics.registrations,
            registered: statistics.registered,
            updated: statistics.updated,
            refused: statistics.refused,
            notifications: statistics.notifications,
            events_dropped: statistics.events_dropped,
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
