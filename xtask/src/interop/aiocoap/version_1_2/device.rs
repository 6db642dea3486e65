//! The device, what it says that it received, and how that is held against expectations.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::super::super::peer::Peer;
use super::super::super::server::Server;
use super::ENDPOINT;

/// The device, and the server that it is registered at.
pub(super) struct Device<'s> {
    pub(super) peer: Peer,
    pub(super) server: &'s Server,
}

impl Device<'_> {
    /// Makes an end of what an earlier scenario may have left when it failed.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        if let Ok(answer) = self.cli(&["observations"]) {
            for observation in answer["observations"].as_array().into_iter().flatten() {
                self.cli(&["cancel", &observation["id"].to_string()])?;
            }
        }
        self.tell("style flat")
    }

    /// Gives it a command and waits until it is carried out.
    pub(super) fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        self.peer.tell(command)?;
        self.peer.hear("done")?;
        Ok(())
    }

    /// The next request that it receives must have these members.
    pub(super) fn received(&self, expected: &Value) -> anyhow::Result<Value> {
        let line = self.peer.hear("request ")?;
        let request: Value = serde_json::from_str(line.trim_start_matches("request "))?;
        for (name, value) in expected.as_object().context("members are expected")? {
            ensure!(
                request[name] == *value,
                "{name} of the request: expected {value}, found {} in {request}",
                request[name]
            );
        }
        Ok(request)
    }

    /// The next write must give these values, in the diagnostic notation of CBOR.
    pub(super) fn written(&self, expected: &Value) -> anyhow::Result<()> {
        let line = self.peer.hear("written ")?;
        let values: Value = serde_json::from_str(line.trim_start_matches("written "))?;
        ensure!(values == *expected, "expected {expected}, written {values}");
        Ok(())
    }

    pub(super) fn cli(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.server.cli(&with_endpoint(arguments))
    }

    pub(super) fn cli_in_background(&self, arguments: &[&str]) -> anyhow::Result<Peer> {
        self.server.cli_in_background(&with_endpoint(arguments))
    }
}

/// A command with the endpoint after its first word.
fn with_endpoint<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![arguments[0], ENDPOINT];
    all.extend(&arguments[1..]);
    all
}

pub(super) fn link_of<'a>(answer: &'a Value, path: &str) -> anyhow::Result<&'a Value> {
    let links = answer["links"].as_array().into_iter().flatten();
    let mut links = links.filter(|link| link["path"] == path);
    links
        .next()
        .with_context(|| format!("no {path} in {answer}"))
}

/// The items of a query in any order.
pub(super) fn same_items(query: &Value, expected: &[&str]) -> anyhow::Result<()> {
    let items = query.as_array().into_iter().flatten();
    let mut items: Vec<&str> = items.filter_map(Value::as_str).collect();
    let mut wanted = expected.to_vec();
    items.sort_unstable();
    wanted.sort_unstable();
    ensure!(
        items == wanted,
        "the query is {query}, expected {expected:?}"
    );
    Ok(())
}
