//! Files over HTTP and HTTPS, with patience and with bounds.

use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use ureq::Agent;
use ureq::http::header::LOCATION;
use ureq::http::{StatusCode, Uri};

use super::file_path::FilePath;
use super::redirect;
use super::source::FetchError;

/// Redirects followed for one file.
const REDIRECTS_MAX: usize = 5;

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long and how often to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For each request, from looking up the name to the last byte.
    pub(super) timeout: Duration,
    /// Attempts after the first one.
    pub(super) retries: u32,
    /// Before the second attempt; doubles with each one.
    pub(super) pause: Duration,
}

/// A registry in the web.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    /// Ends with a slash.
    base: String,
    patience: Patience,
}

impl Http {
    pub(super) fn new(base: &str, patience: Patience) -> anyhow::Result<Http> {
        let uri: Uri = base.parse().context("it is no URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            bail!("only http and https are known");
        }
        if uri
            .authority()
            .is_some_and(|found| found.as_str().contains('@'))
        {
            bail!("a user name or a password in a URL ends up in logs: leave it out");
        }
        if uri.query().is_some() || base.contains('#') {
            bail!("file names are put behind it: leave out `?` and `#`");
        }
        let slash = if base.ends_with('/') { "" } else { "/" };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(patience.timeout))
            .user_agent(concat!("lwm2m-xtask/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Http {
            agent: config.into(),
            base: format!("{base}{slash}"),
            patience,
        })
    }

    /// The content of a file, tried again while what goes wrong may pass.
    pub(super) fn fetch(&self, path: &FilePath, max: usize) -> Result<Vec<u8>, FetchError> {
        let mut pause = self.patience.pause;
        let mut retries = self.patience.retries;
        loop {
            match self.attempt(path, max) {
                Err(error) if error.is_temporary() && retries > 0 => {
                    retries -= 1;
                    thread::sleep(pause.min(PAUSE_MAX));
                    pause = pause.saturating_mul(2);
                }
                answer => return answer,
            }
        }
    }

    fn attempt(&self, path: &FilePath, max: usize) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}{path}", self.base);
        let mut uri: Uri = url
            .parse()
            .map_err(|_| FetchError::Redirect(format!("to {url} leads nowhere")))?;
        for _ in 0..=REDIRECTS_MAX {
            let mut response = self.agent.get(uri.clone()).call().map_err(fault)?;
            let status = response.status();
            if status == StatusCode::OK {
                // The bound itself counts as passed.
                let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
                let body = response.body_mut().with_config().limit(bound).read_to_vec();
                return body.map_err(|error| match error {
                    ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong { max },
                    other => fault(other),
                });
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(refusal(status));
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            uri = redirect::target(&uri, location.unwrap_or_default())
                .map_err(FetchError::Redirect)?;
        }
        let reason = format!("goes on after {REDIRECTS_MAX} others");
        Err(FetchError::Redirect(reason))
    }
}

fn refusal(status: StatusCode) -> FetchError {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound,
        other => FetchError::Status(other.as_u16()),
    }
}

fn fault(error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Timeout(_) => FetchError::Timeout,
        other => FetchError::Connection(other.to_string()),
    }
}
