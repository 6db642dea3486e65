//! `/credentials`: what proves devices. Keys come in, and never go out again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use lwm2m_server::credentials::{
    Credential, CredentialDocument, CredentialFilter, CredentialId, CredentialStore, Import,
    ImportFormat, NamePattern, Proof, SecretKey,
};
use lwm2m_server::{EndpointName, Reason, Server};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::body::{Body, Text};
use crate::problem::Problem;
use crate::query::Query;
use crate::target;

/// Credentials on one page, when the caller does not say.
const LIMIT: usize = 100;

/// Credentials on one page at most.
const LIMIT_MAX: usize = 1000;

/// Bits of a generated key, when the caller does not say.
const BITS: usize = 128;

#[derive(Serialize)]
pub(crate) struct Page {
    credentials: Vec<View>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
}

/// A credential without its key.
#[derive(Serialize)]
pub(crate) struct View {
    #[serde(flatten)]
    document: CredentialDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
struct Warning {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl View {
    fn new(credential: &Credential) -> View {
        View {
            document: CredentialDocument::without_key(credential),
            key_bytes: match &credential.proof {
                Proof::Psk { key, .. } => Some(key.expose().len()),
                Proof::Oscore(oscore) => Some(oscore.master_secret.expose().len()),
                _ => None,
            },
            warnings: credential
                .warnings()
                .into_iter()
                .map(Warning::new)
                .collect(),
        }
    }
}

impl Warning {
    fn new(reason: Reason) -> Warning {
        Warning {
            code: reason.code,
            message: reason.message.into_owned(),
            hint: reason.hint.map(|hint| hint.into_owned()),
        }
    }
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
    let mut filter = CredentialFilter::default();
    filter.after = query.take("after");
    let well_formed = |id: &String| CredentialId::new(id).is_some();
    if !filter.after.as_ref().is_none_or(well_formed) {
        return Err(Problem::parameter("after: it is the id of no credential"));
    }
    filter.mode = query.take("mode");
    if let Some(mode) = &filter.mode
        && !["psk", "rpk", "x509", "oscore"].contains(&mode.as_str())
    {
        let detail = format!("mode={mode:?}: psk, rpk, x509 or oscore");
        return Err(Problem::parameter(detail));
    }
    filter.endpoint = match query.take("endpoint") {
        None => None,
        Some(name) => Some(
            EndpointName::new(&name)
                .ok_or_else(|| Problem::parameter("endpoint: a name has 1 to 255 bytes"))?,
        ),
    };
    // One more than asked for tells whether there is a next page.
    filter.limit = Some(limit + 1);
    query.finish()?;
    let mut found = store(&server)?.list(filter).await;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = match found.last() {
        Some(last) if more => Some(last.id.to_string()),
        _ => None,
    };
    let credentials = found
        .iter()
        .map(|credential| View::new(credential))
        .collect();
    Ok(Json(Page { credentials, next }))
}

pub(crate) async fn one(
    State(server): State<Server>,
    target::Credential(id): target::Credential,
    query: Query,
) -> Result<Json<View>, Problem> {
    query.finish()?;
    let found = store(&server)?.find(&id).await;
    let found = found.ok_or_else(|| Problem::unknown_credential(id.as_str()))?;
    Ok(Json(View::new(&found)))
}

pub(crate) async fn add(
    State(server): State<Server>,
    query: Query,
    Body(document): Body<CredentialDocument>,
) -> Result<impl IntoResponse, Problem> {
    query.finish()?;
    let store = store(&server)?;
    let credential = document.credential().map_err(|e| Problem::credential(&e))?;
    let view = View::new(&credential);
    let at = location(&credential.id);
    store.add(vec![credential]).await?;
    Ok((StatusCode::CREATED, [at], Json(view)))
}

pub(crate) async fn remove(
    State(server): State<Server>,
    target::Credential(id): target::Credential,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    store(&server)?.remove(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(crate) struct Imported {
    added: usize,
    /// Those with warnings, as id and warning.
    warnings: Vec<ImportWarning>,
}

#[derive(Serialize)]
struct ImportWarning {
    id: String,
    #[serde(flatten)]
    warning: Warning,
}

pub(crate) async fn import(
    State(server): State<Server>,
    mut query: Query,
    body: Text,
) -> Result<Json<Imported>, Problem> {
    let format = match query.take("format").as_deref() {
        Some("csv") => ImportFormat::Csv,
        Some("json") => ImportFormat::Json,
        None if body.content_type.starts_with("text/csv") => ImportFormat::Csv,
        None => ImportFormat::Json,
        Some(other) => {
            return Err(Problem::parameter(format!("format={other:?}: json or csv")));
        }
    };
    query.finish()?;
    let store = store(&server)?;
    let mut import = Import::read(&body.text, format).map_err(Problem::import)?;
    let added = import.credentials.len();
    let warnings = import.credentials.iter().flat_map(|credential| {
        let warnings = credential.warnings().into_iter();
        warnings.map(|reason| ImportWarning {
            id: credential.id.to_string(),
            warning: Warning::new(reason),
        })
    });
    let warnings = warnings.take(Import::ERRORS_MAX).collect();
    if added > 0 {
        let credentials = std::mem::take(&mut import.credentials);
        store.add(credentials).await.map_err(|error| {
            let concerned = import.refused(error.clone());
            match concerned.line {
                Some(_) => Problem::import(vec![concerned]),
                None => Problem::from(error),
            }
        })?;
    }
    Ok(Json(Imported { added, warnings }))
}

/// What a key is generated for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Generate {
    endpoint: String,
    /// The endpoint name when it is missing.
    identity: Option<String>,
    id: Option<String>,
    bits: Option<usize>,
}

#[derive(Serialize)]
pub(crate) struct Generated {
    #[serde(flatten)]
    view: View,
    /// The key in hexadecimal; it is shown this once.
    key: String,
}

pub(crate) async fn generate(
    State(server): State<Server>,
    query: Query,
    Body(asked): Body<Generate>,
) -> Result<impl IntoResponse, Problem> {
    query.finish()?;
    let store = store(&server)?;
    let endpoint = EndpointName::new(&asked.endpoint)
        .ok_or_else(|| Problem::endpoint("an endpoint name has 1 to 255 bytes"))?;
    let bits = asked.bits.unwrap_or(BITS);
    if !bits.is_multiple_of(8) || !(BITS..=SecretKey::MAX * 8).contains(&bits) {
        let most = SecretKey::MAX * 8;
        let detail = format!("bits: {bits} is no multiple of 8 from {BITS} to {most}");
        return Err(Problem::body(detail));
    }
    let mut key = vec![0; bits / 8];
    rand::rng().fill_bytes(&mut key);
    let key = SecretKey::new(&key).ok_or_else(|| Problem::body("bits: no key has that many"))?;
    let id = match &asked.id {
        None => CredentialId::random(),
        Some(id) => CredentialId::new(id)
            .ok_or_else(|| Problem::body("id: use 1 to 64 letters, digits, . _ : and -"))?,
    };
    let identity = asked.identity.unwrap_or(asked.endpoint);
    let shown: String = key
        .expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let proof = Proof::Psk {
        identity: identity.into_bytes().into(),
        key,
    };
    let credential = Credential::new(id, proof).endpoints([NamePattern::exact(endpoint.as_str())]);
    let generated = Generated {
        view: View::new(&credential),
        key: shown,
    };
    let at = location(&credential.id);
    store.add(vec![credential]).await?;
    let secret = (CACHE_CONTROL, "no-store".to_owned());
    Ok((StatusCode::CREATED, [at, secret], Json(generated)))
}

fn location(id: &CredentialId) -> (HeaderName, String) {
    (LOCATION, format!("/api/v1/credentials/{id}"))
}

fn store(server: &Server) -> Result<&Arc<dyn CredentialStore>, Problem> {
    server.credentials().ok_or_else(Problem::no_credentials)
}
