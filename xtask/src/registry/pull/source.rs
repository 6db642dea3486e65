//! Where the files come from.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_registry::Limits;

use super::file_path::FilePath;
use super::http::{Http, Patience};
use crate::registry::definitions;

/// The public registry: its published branch, or the commit that stands in the braces' place.
pub(super) const PUBLIC_REGISTRY: &str =
    "https://raw.githubusercontent.com/OpenMobileAlliance/lwm2m-registry/{commit}/";

/// The branch that stands there when no commit is asked for.
const PUBLISHED_BRANCH: &str = "prod";

/// Bytes that a file may have.
pub(super) fn file_bytes_max() -> usize {
    Limits::default().file_bytes_max
}

/// A folder, or a place in the web.
#[derive(Debug)]
pub(super) enum Source {
    Folder(PathBuf),
    Http(Http),
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it is not there (404 Not Found)")]
    NotFound,
    #[error("the server answers with status {status}{}", asks_for(.pause))]
    Status {
        status: u16,
        /// What the server asks for before the next attempt.
        pause: Option<Duration>,
    },
    #[error("no complete answer came in time")]
    Timeout,
    #[error("it has more than {max} bytes")]
    TooLong { max: usize },
    #[error("the connection failed: {0}")]
    Connection(String),
    #[error("the redirect {0}")]
    Redirect(String),
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl FetchError {
    /// True when the same request may succeed in a moment.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            // Some say "forbidden" to those who ask too often, and until when.
            FetchError::Status {
                status: 403, pause, ..
            } => pause.is_some(),
            FetchError::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            FetchError::Timeout | FetchError::Connection(_) => true,
            FetchError::NotFound
            | FetchError::TooLong { .. }
            | FetchError::Redirect(_)
            | FetchError::Unreadable(_) => false,
        }
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            FetchError::NotFound => "check --source and --commit, or leave it out with --only",
            FetchError::Status { pause: Some(_), .. } => {
                "wait so long and run the command again: it goes on from here; fewer --jobs may help"
            }
            FetchError::Status {
                status: 401 | 403, ..
            } => "the registry must be readable without a password",
            FetchError::Status { .. } => "the server has a problem: try again later",
            FetchError::Timeout => "try again, with a longer --timeout where the line is slow",
            FetchError::TooLong { .. } => "it is hardly an object definition: check --source",
            FetchError::Connection(_) => "check the network and --source, and try again",
            FetchError::Redirect(_) => "give the final address as --source",
            FetchError::Unreadable(_) => "check the file and its permissions",
        }
    }
}

fn asks_for(pause: &Option<Duration>) -> String {
    match pause {
        Some(pause) => format!(" and asks for a pause of {} s", pause.as_secs()),
        None => String::new(),
    }
}

impl Source {
    /// The place that `--source` and `--commit` mean.
    pub(super) fn new(
        place: &str,
        commit: Option<&str>,
        patience: Patience,
    ) -> anyhow::Result<Source> {
        if let Some(commit) = commit {
            let is_hash = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_hash {
                bail!("`{commit}` pins nothing: give the 40 hexadecimal digits of a commit");
            }
        }
        if !place.contains("://") {
            if commit.is_some() {
                bail!("--commit is for places in the web: check the commit out in the folder");
            }
            let folder = PathBuf::from(place);
            if !folder.is_dir() {
                bail!("{place} is no folder: give one with DDF.xml, or an http or https URL");
            }
            return Ok(Source::Folder(folder));
        }
        if commit.is_some() && !place.contains("{commit}") {
            bail!("--commit needs a --source with {{commit}} in it, in the place of the commit");
        }
        let url = place.replace("{commit}", commit.unwrap_or(PUBLISHED_BRANCH));
        let http = Http::new(&url, patience).with_context(|| format!("--source {place}"))?;
        Ok(Source::Http(http))
    }

    /// The content of a file of the registry.
    pub(super) fn fetch(&self, path: &FilePath) -> Result<Vec<u8>, FetchError> {
        match self {
            Source::Folder(folder) => read(folder, path),
            Source::Http(http) => http.fetch(path, file_bytes_max()),
        }
    }
}

fn read(folder: &Path, path: &FilePath) -> Result<Vec<u8>, FetchError> {
    let max = file_bytes_max();
    match definitions::read_bounded(&path.under(folder), max) {
        Ok(bytes) if bytes.len() > max => Err(FetchError::TooLong { max }),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FetchError::NotFound),
        Err(error) => Err(FetchError::Unreadable(error)),
    }
}
