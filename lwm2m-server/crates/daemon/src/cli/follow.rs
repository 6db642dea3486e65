//! Following events until Ctrl-C.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use serde_json::{Value, json};

use super::api::{Api, Method};
use super::bodies::at;
use super::events::{self, Flow};
use super::show;
use super::table::text;

/// Makes an observation, follows it, and cancels it at the end.
///
/// The events are listened to before the observation is made, so that none is missed. The first of
/// them repeats the value of the answer.
pub(crate) fn observation(
    api: &Api,
    endpoint: &str,
    start: impl FnOnce() -> anyhow::Result<Value>,
    count: Option<u64>,
    json: bool,
) -> anyhow::Result<()> {
    let inputs = listen(api.stream("/events", &[("endpoint", endpoint.to_owned())])?)?;
    let started = start()?;
    let Some(id) = begun(&started, json)? else {
        return Ok(());
    };
    let mut shown = 0;
    let mut first = true;
    while count.is_none_or(|count| shown < count) {
        let (name, data) = match inputs.recv() {
            Ok(Input::Event(name, data)) => (name, data),
            Ok(Input::End(outcome)) => return outcome.context("the stream of events broke off"),
            Ok(Input::Interrupt) | Err(_) => break,
        };
        let of_this = data.get("observation").and_then(Value::as_u64) == Some(id);
        match name.as_str() {
            "notification" if of_this && first => first = false,
            "notification" if of_this => {
                shown += 1;
                show::values(&data, json)?;
            }
            "observation_ended" if of_this => {
                remark!("the observation ended: {}", reason(&data));
                return Ok(());
            }
            "lagged" => remark!("some notifications were lost: this terminal is too slow"),
            _ => {}
        }
    }
    let cancel = at(endpoint, &format!("/observations/{id}"));
    api.call(Method::Delete, &cancel, &[("mode", "active".to_owned())])?;
    Ok(())
}

/// Shows the first value of an observation; its id when it stands.
pub(crate) fn begun(started: &Value, json: bool) -> anyhow::Result<Option<u64>> {
    show::values(started, json)?;
    let id = started.get("observation").and_then(Value::as_u64);
    if id.is_none() {
        remark!("the device answered with its value but does not observe this path");
    }
    Ok(id)
}

/// What a command that follows waits for.
enum Input {
    Event(String, Value),
    End(anyhow::Result<()>),
    Interrupt,
}

/// Gathers events and Ctrl-C in one place.
fn listen(stream: impl Read + Send + 'static) -> anyhow::Result<Receiver<Input>> {
    let (sender, inputs) = channel();
    let events_sender = sender.clone();
    std::thread::spawn(move || {
        let outcome = events::read(stream, |event| {
            let open = events_sender
                .send(Input::Event(event.name, event.data))
                .is_ok();
            Ok(if open { Flow::Continue } else { Flow::Stop })
        });
        let _ = events_sender.send(Input::End(outcome));
    });
    on_interrupt(move || {
        let _ = sender.send(Input::Interrupt);
    })?;
    Ok(inputs)
}

/// Follows everything that happens.
pub(crate) fn everything(api: &Api, endpoint: Option<&str>, json: bool) -> anyhow::Result<()> {
    let query: Vec<(&str, String)> = endpoint
        .map(|endpoint| ("endpoint", endpoint.to_owned()))
        .into_iter()
        .collect();
    let stream = api.stream("/events", &query)?;
    events::read(stream, |event| {
        if json {
            show::as_json(&json!({ "event": event.name, "data": event.data }))?;
        } else {
            say!(
                "{}  {:<20} {:<24} {}",
                text(&event.data, "at"),
                event.name.replace('_', " "),
                text(&event.data, "endpoint"),
                summary(&event.data)
            );
        }
        Ok(Flow::Continue)
    })
}

/// What matters of an event, on one line.
fn summary(data: &Value) -> String {
    let values = data
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let values: Vec<String> = values
        .map(|record| format!("{}={}", text(record, "path"), text(record, "value")))
        .collect();
    match data.get("models") {
        Some(models) => of_models(models),
        None if values.is_empty() => reason(data),
        None => values.join(" "),
    }
}

/// What a load of the models directory changed.
fn of_models(models: &Value) -> String {
    let changes = ["added", "changed", "removed", "kept"].map(|change| {
        let objects = models.get(change).and_then(Value::as_array);
        let objects = objects.into_iter().flatten().filter_map(Value::as_str);
        let objects: Vec<&str> = objects.collect();
        match objects.is_empty() {
            true => String::new(),
            false => format!("{change} {} ", objects.join(" ")),
        }
    });
    let errors = text(models, "errors");
    format!("{}{errors} errors {}", changes.concat(), reason(models))
}

fn reason(data: &Value) -> String {
    let Some(reason) = data.get("reason") else {
        return String::new();
    };
    let message = text(reason, "message");
    match text(reason, "hint") {
        hint if hint.is_empty() => message,
        hint => format!("{message} ({hint})"),
    }
}

/// Runs something on Ctrl-C, so that an observation is cancelled before the program ends.
fn on_interrupt(then: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for Ctrl-C")?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            then();
        }
    });
    Ok(())
}
