//! What happens at the server, as its API streams it.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The events from a moment on.
pub(crate) struct Events(Receiver<(String, Value)>);

impl Events {
    /// Subscribes; what happens from now on is not missed.
    pub(crate) fn of(api: &str) -> anyhow::Result<Events> {
        let response = ureq::get(format!("{api}/api/v1/events"))
            .call()
            .context("the events cannot be followed")?;
        let (sender, events) = channel();
        std::thread::spawn(move || {
            let mut name = String::new();
            let lines = BufReader::new(response.into_body().into_reader()).lines();
            for line in lines.map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event:") {
                    name = event.trim().to_owned();
                } else if let Some(data) = line.strip_prefix("data:") {
                    let data = serde_json::from_str(data).unwrap_or_default();
                    if sender.send((name.clone(), data)).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Events(events))
    }

    /// Waits for the next event of this name; others are passed over.
    pub(crate) fn next(&self, name: &str) -> anyhow::Result<Value> {
        loop {
            let (found, data) = self
                .0
                .recv_timeout(PATIENCE)
                .with_context(|| format!("no event '{name}'"))?;
            if found == name {
                return Ok(data);
            }
        }
    }
}
