//! What the path of a request names: an endpoint, and an LwM2M path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use lwm2m_core::Path;
use lwm2m_server::EndpointName;
use lwm2m_server::credentials::CredentialId;

use crate::problem::Problem;

/// The `{endpoint}` of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) EndpointName);

/// The `{endpoint}` and the LwM2M `{path}` of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) endpoint: EndpointName,
    pub(crate) path: Path,
}

/// The `{id}` of a path: a number, or a problem that says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Client, Problem> {
        let name = parameter(parts, state, "endpoint").await?;
        let endpoint = EndpointName::new(&name).ok_or_else(|| {
            Problem::endpoint(format!(
                "an endpoint name has 1 to {} bytes",
                EndpointName::MAX
            ))
        })?;
        Ok(Client(endpoint))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Target, Problem> {
        let Client(endpoint) = Client::from_request_parts(parts, state).await?;
        let text = parameter(parts, state, "path").await?;
        let path = format!("/{text}")
            .parse()
            .map_err(|error| Problem::path(format!("{text:?}: {error}")))?;
        Ok(Target { endpoint, path })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, Problem> {
        let text = parameter(parts, state, "id").await?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits => Ok(Id(id)),
            _ => Err(Problem::path(format!("{text:?} is no number"))),
        }
    }
}

/// The `{endpoint}` of a path: what a plan is for, a name or a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Plan {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Plan, Problem> {
        parameter(parts, state, "endpoint").await.map(Plan)
    }
}

/// The `{id}` of a path: that of a credential.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential(pub(crate) CredentialId);

impl<S: Send + Sync> FromRequestParts<S> for Credential {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Credential, Problem> {
        let text = parameter(parts, state, "id").await?;
        let id = CredentialId::new(&text);
        id.map(Credential)
            .ok_or_else(|| Problem::unknown_credential(&text))
    }
}

/// A parameter of the path, percent-decoded.
async fn parameter<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|error| Problem::path(error.body_text()))?;
    parameters
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .ok_or_else(|| Problem::path(format!("the path names no {name}")))
}
