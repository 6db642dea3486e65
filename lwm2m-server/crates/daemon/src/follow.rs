//! The configuration, read again when it changes: `[observe]` counts at once, the rest at the next start.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lwm2m_server::{Reason, Server};
use tracing::{info, warn};

use crate::config::Config;

/// Follows what a configuration says is observed.
pub(crate) struct Follower {
    path: PathBuf,
    server: Server,
    /// What was looked at last.
    taken: Option<Seen>,
    /// What has yet to be the same when it is read again: who writes a file may not be done.
    seen: Option<Seen>,
    /// Everything but `[observe]`, as it is in service.
    rest: Option<toml::Table>,
}

/// The text of the file, or why it is none.
type Seen = Result<String, String>;

impl Follower {
    pub(crate) fn new(path: PathBuf, server: Server) -> Follower {
        Follower {
            path,
            server,
            taken: None,
            seen: None,
            rest: None,
        }
    }

    /// Looks at the file again and again, until dropped.
    pub(crate) async fn run(mut self, interval: Duration) {
        loop {
            let path = self.path.clone();
            match tokio::task::spawn_blocking(move || read(&path)).await {
                Ok(Some(seen)) => self.look(seen),
                // It may be about to be replaced, and what is in service stays.
                Ok(None) => self.seen = None,
                Err(_) => return,
            }
            tokio::time::sleep(interval).await;
        }
    }

    fn look(&mut self, seen: Seen) {
        if self.taken.as_ref() == Some(&seen) {
            self.seen = None;
            return;
        }
        if self.taken.is_some() && self.seen.as_ref() != Some(&seen) {
            self.seen = Some(seen);
            return;
        }
        let first = self.taken.replace(seen.clone()).is_none();
        self.seen = None;
        let taken = seen
            .map_err(anyhow::Error::msg)
            .and_then(|text| self.take(text));
        if let Err(error) = taken {
            self.refuse(&error);
        } else if !first {
            info!(path = %self.path.display(), "configuration read again");
        }
    }

    fn take(&mut self, text: String) -> anyhow::Result<()> {
        let rest = rest(&text);
        let config = Config::parse(&self.path, text)?;
        let strategies = config.strategies()?;
        // What else is in it must be right as well: it is what the server starts with next time.
        config.settings()?;
        self.server.set_observe_strategies(strategies)?;
        if self.rest.as_ref().is_some_and(|known| *known != rest) {
            warn!(
                path = %Path::display(&self.path),
                "only the rules of [observe] count at once: what else has changed counts when the \
                 server is started again"
            );
        }
        self.rest = Some(rest);
        Ok(())
    }

    fn refuse(&self, error: &anyhow::Error) {
        let hint = "mend the file; until then the server goes on with the rules that it has";
        warn!(hint, "observe rules stay as they were: {error:#}");
        let reason = Reason::new("configuration-unusable", format!("{error:#}")).hint(hint);
        self.server.refuse_observe_strategies(reason);
    }
}

/// What the file is; none when it cannot be read at the moment.
fn read(path: &Path) -> Option<Seen> {
    match Config::read(path) {
        Ok(text) => Some(Ok(text)),
        Err(error) => {
            let kind = error.downcast_ref().map(io::Error::kind)?;
            let is_wrong = [ErrorKind::FileTooLarge, ErrorKind::InvalidData].contains(&kind);
            is_wrong.then(|| Err(format!("{error:#}")))
        }
    }
}

/// All keys that do not count at once.
fn rest(text: &str) -> toml::Table {
    const AT_ONCE: [&str; 6] = [
        "rule",
        "strategy",
        "paths",
        "attributes",
        "format",
        "delay_s",
    ];
    let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
    if let Some(toml::Value::Table(observe)) = table.get_mut("observe") {
        observe.retain(|key, _| !AT_ONCE.contains(&key));
        if observe.is_empty() {
            table.remove("observe");
        }
    }
    table
}
