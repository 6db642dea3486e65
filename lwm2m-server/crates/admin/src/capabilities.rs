//! `/capabilities`: what the server can do, as it was built and as it was started.

use axum::Json;
use axum::extract::State;
use lwm2m_server::{DtlsCapabilities, Server, ServerCapabilities};
use serde::Serialize;

use crate::problem::Problem;
use crate::query::Query;

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    version: &'static str,
    lwm2m_versions: Vec<&'static str>,
    bindings: Vec<&'static str>,
    listeners: Vec<String>,
    shards: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtls: Option<Dtls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    oscore: bool,
    bootstrap: bool,
    features: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Dtls {
    backend: &'static str,
    modes: Vec<&'static str>,
    suites: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id_bytes: Option<usize>,
    resumption: bool,
    extended_master_secret_required: bool,
    psk_beside_x509: bool,
    stateless_cookie: bool,
    waits_for_credentials: bool,
    sessions_max: usize,
    handshakes_max: usize,
}

#[derive(Debug, Serialize)]
struct Tls {
    modes: Vec<&'static str>,
}

pub(crate) async fn capabilities(
    State(server): State<Server>,
    query: Query,
) -> Result<Json<Answer>, Problem> {
    query.finish()?;
    Ok(Json(Answer::new(server.capabilities())))
}

impl Answer {
    fn new(capabilities: ServerCapabilities) -> Answer {
        let versions = capabilities.lwm2m_versions.iter();
        Answer {
            version: capabilities.version,
            lwm2m_versions: versions.map(|version| version.as_str()).collect(),
            bindings: capabilities.bindings,
            listeners: capabilities.listeners,
            shards: capabilities.shards,
            dtls: capabilities.dtls.map(Dtls::new),
            tls: capabilities.tls.map(|tls| Tls { modes: tls.modes }),
            oscore: capabilities.oscore,
            bootstrap: capabilities.bootstrap,
            features: capabilities.features,
        }
    }
}

impl Dtls {
    fn new(dtls: DtlsCapabilities) -> Dtls {
        Dtls {
            backend: dtls.backend.backend,
            modes: dtls.modes,
            suites: dtls.suites,
            connection_id_bytes: dtls.connection_id_bytes,
            resumption: dtls.resumption,
            extended_master_secret_required: dtls.extended_master_secret_required,
            psk_beside_x509: dtls.backend.psk_beside_x509,
            stateless_cookie: dtls.backend.stateless_cookie,
            waits_for_credentials: dtls.backend.parked_lookup,
            sessions_max: dtls.sessions_max,
            handshakes_max: dtls.handshakes_max,
        }
    }
}
