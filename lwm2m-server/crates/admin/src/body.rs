//! JSON bodies.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A JSON object; no body at all is an empty one.
///
/// The Content-Type is not looked at: `curl -d` sends that of forms.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let bytes = read(request, state, crate::BODY_MAX).await?;
        parse(&bytes).map(Body)
    }
}

/// A body of text, of at most [`crate::IMPORT_MAX`] bytes, and its Content-Type.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) content_type: String,
}

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Text, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let bytes = read(request, state, crate::IMPORT_MAX).await?;
        let text = String::from_utf8(bytes.into());
        let text = text.map_err(|_| Problem::body("the body is no UTF-8"))?;
        Ok(Text { text, content_type })
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S, max: usize) -> Result<Bytes, Problem> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(max),
        _ => Problem::body("the body broke off"),
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = match bytes.trim_ascii() {
        [] => b"{}",
        // serde takes a list for a structure, field by field.
        [b'[', ..] => return Err(Problem::body("a JSON object is expected, and not a list")),
        bytes => bytes,
    };
    serde_json::from_slice(bytes).map_err(|error| Problem::body(error.to_string()))
}
