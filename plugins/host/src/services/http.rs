//! *http*: requests to servers that the permission names.

use std::time::{Duration, Instant};

use crate::Permission;
use crate::context::CallContext;

/// The client that all plugins share: its connections are kept open between two requests.
#[derive(Default)]
pub(crate) struct Client(std::sync::OnceLock<Option<reqwest::Client>>);

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Shorter than what is left to the call.
    pub(crate) timeout: Option<Duration>,
}

/// The answer, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(
        "the plugin has no permission: http:{0}; its manifest asks for it, with as much of the URL as is fixed"
    )]
    PermissionDenied(String),
    #[error(
        "this hook may not take so long: ask in credentials, bootstrap, on_registered, on_updated, on_gone, \
         on_bootstrapped"
    )]
    NotAllowedHere,
    #[error("no answer in time")]
    Timeout,
    #[error("the answer is larger than limits.output_max")]
    TooLarge,
    #[error("{0}")]
    Failed(String),
}

impl CallContext {
    /// Carries out a request. Redirects are answers like others: following them could lead to where
    /// the permission does not.
    pub(crate) async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let denied = || HttpError::PermissionDenied(request.url.clone());
        let allowed = self.allowance.permissions.iter().any(|has| match has {
            Permission::Http(prefix) => prefix.matches(&request.url),
            _ => false,
        });
        if !allowed {
            return Err(denied());
        }
        if !self.hook.is_some_and(|hook| crate::hook::facts(hook).waits) {
            return Err(HttpError::NotAllowedHere);
        }
        self.leave_in_passing().await;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = request.timeout.map_or(left, |own| own.min(left));
        let exchange = self.exchange(request);
        let done = tokio::time::timeout(timeout, exchange).await;
        done.unwrap_or(Err(HttpError::Timeout))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(stage) = &self.services().stage {
            return stage.http(&request);
        }
        let client = self.services().http.get()?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|error| HttpError::Failed(error.to_string()))?;
        let mut builder = client.request(method, &request.url).body(request.body);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let mut response = builder.send().await.map_err(failed)?;
        let max = self.allowance.limits.output_max as usize;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > max {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let header =
            |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
                Some((name.to_string(), value.to_str().ok()?.to_owned()))
            };
        Ok(HttpResponse {
            status: response.status().as_u16(),
            headers: response.headers().iter().filter_map(header).collect(),
            body,
        })
    }
}

/// What went wrong, down to what the system says. Without the URL: a plugin knows which one it has
/// asked, and there may be a secret in it.
fn failed(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    HttpError::Failed(told)
}

impl Client {
    fn get(&self) -> Result<&reqwest::Client, HttpError> {
        let client = self.0.get_or_init(|| {
            let builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                // Where a request goes is what the permission says, not the environment.
                .no_proxy()
                .user_agent(concat!("lwm2m-plugins/", env!("CARGO_PKG_VERSION")));
            builder.build().ok()
        });
        client
            .as_ref()
            .ok_or_else(|| HttpError::Failed("there is no HTTP client".to_owned()))
    }
}
