//! Files over HTTP and HTTPS, with patience and with bounds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ureq::Agent;
use ureq::http::header::LOCATION;
use ureq::http::{HeaderMap, StatusCode, Uri};

use super::file_path::FilePath;
use super::source::FetchError;
use super::{redirect, retry_after};

/// Redirects followed for one file.
const REDIRECTS_MAX: usize = 5;

/// Longest pause between two attempts, unless the server asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Longest pause that a server is granted: above it, people decide whether they wait.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(120);

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
    /// Until when the server asked to be left alone, by all who fetch.
    rests_until: Mutex<Option<Instant>>,
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
            rests_until: Mutex::default(),
        })
    }

    /// The content of a file, tried again while what goes wrong may pass.
    pub(super) fn fetch(&self, path: &FilePath, max: usize) -> Result<Vec<u8>, FetchError> {
        let mut pause = self.patience.pause;
        let mut retries = self.patience.retries;
        loop {
            self.wait();
            let error = match self.attempt(path, max) {
                Err(error) if retries > 0 => error,
                answer => return answer,
            };
            match next_pause(&error, pause) {
                None => return Err(error),
                Some(Pause::Own(pause)) => thread::sleep(pause),
                Some(Pause::Asked(pause)) => self.rest(pause),
            }
            retries -= 1;
            pause = pause.saturating_mul(2);
        }
    }

    /// Keeps everybody from asking for so long.
    fn rest(&self, pause: Duration) {
        let now = Instant::now();
        let until = now + pause;
        let mut rests_until = self.rests_until();
        if rests_until.is_none_or(|known| known <= now) {
            let seconds = pause.as_secs_f32();
            eprintln!("the server asks for a pause of {seconds:.0} s");
        }
        *rests_until = rests_until.max(Some(until));
    }

    /// Waits as long as the server asked to be left alone.
    fn wait(&self) {
        let until = *self.rests_until();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        thread::sleep(left.unwrap_or_default());
    }

    fn rests_until(&self) -> MutexGuard<'_, Option<Instant>> {
        // A time is whole whatever happened to its last writer.
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
                return Err(refusal(status, response.headers()));
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

/// How long to wait before the next attempt.
#[derive(Debug, PartialEq, Eq)]
enum Pause {
    Own(Duration),
    /// The server wants it of everybody.
    Asked(Duration),
}

/// The pause after an error; none when another attempt is of no use.
fn next_pause(error: &FetchError, own: Duration) -> Option<Pause> {
    let own = own.min(PAUSE_MAX);
    match error {
        error if !error.is_temporary() => None,
        FetchError::Status {
            pause: Some(asked), ..
        } => (*asked <= ASKED_PAUSE_MAX).then(|| Pause::Asked(own.max(*asked))),
        _ => Some(Pause::Own(own)),
    }
}

fn refusal(status: StatusCode, headers: &HeaderMap) -> FetchError {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound,
        other => FetchError::Status {
            status: other.as_u16(),
            pause: retry_after::pause(headers),
        },
    }
}

fn fault(error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Timeout(_) => FetchError::Timeout,
        other => FetchError::Connection(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_the_pause_that_it_asks_for_up_to_a_limit() {
        let own = Duration::from_secs(2);
        let pause = |seconds: Option<u64>| {
            let pause = seconds.map(Duration::from_secs);
            next_pause(&FetchError::Status { status: 429, pause }, own)
        };
        assert_eq!(pause(None), Some(Pause::Own(own)));
        assert_eq!(pause(Some(0)), Some(Pause::Asked(own)));
        assert_eq!(pause(Some(120)), Some(Pause::Asked(ASKED_PAUSE_MAX)));
        assert_eq!(pause(Some(121)), None);
        let forbidden = |pause| FetchError::Status { status: 403, pause };
        let asked = Pause::Asked(PAUSE_MAX);
        assert_eq!(next_pause(&forbidden(Some(PAUSE_MAX)), own), Some(asked));
        assert_eq!(next_pause(&forbidden(None), own), None);
        assert_eq!(next_pause(&FetchError::NotFound, own), None);
        let long = Duration::from_secs(31);
        assert_eq!(
            next_pause(&FetchError::Timeout, long),
            Some(Pause::Own(PAUSE_MAX))
        );
    }
}
