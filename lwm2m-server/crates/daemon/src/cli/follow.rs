//! Following events until Ctrl-C.

use anyhow::Context;
use serde_json::{Value, json};

use super::api::{Api, Method};
use super::bodies::at;
use super::events::{self, Flow};
use super::show;
use super::table::text;

/// Follows one observation that has just been made, and cancels it at the end.
///
/// The first value is that of the answer; the events bring those after it.
pub(crate) fn observation(
    api: &Api,
    endpoint: &str,
    started: &Value,
    detach: bool,
    count: Option<u64>,
    json: bool,
) -> anyhow::Result<()> {
    show::values(started, json)?;
    let Some(id) = started.get("observation").and_then(Value::as_u64) else {
        eprintln!("the device answered with its value but does not observe this path");
        return Ok(());
    };
    if detach {
        return Ok(());
    }
    let stream = api.stream("/events", &[("endpoint", endpoint.to_owned())])?;
    let cancel = at(endpoint, &format!("/observations/{id}"));
    let interrupt = on_interrupt()?;
    let (sender, receiver) = std::sync::mpsc::channel();
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
    std::thread::spawn(move || {
        let _ = interrupt.recv();
        let _ = sender.send(Input::Interrupt);
    });
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        match receiver.recv() {
            Ok(Input::Event(name, data))
                if data.get("observation").and_then(Value::as_u64) == Some(id) =>
            {
                match name.as_str() {
                    "notification" => {
                        seen += 1;
                        show::values(&data, json)?;
                    }
                    "observation_ended" => {
                        eprintln!("the observation ended: {}", reason(&data));
                        return Ok(());
                    }
                    _ => {}
                }
            }
            Ok(Input::Event(..)) => {}
            Ok(Input::Interrupt) | Err(_) => break,
            Ok(Input::End(outcome)) => {
                return outcome.context("the stream of events broke off");
            }
        }
    }
    api.call(Method::Delete, &cancel, &[("mode", "active".to_owned())])?;
    Ok(())
}

enum Input {
    Event(String, Value),
    End(anyhow::Result<()>),
    Interrupt,
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
            println!(
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
    if values.is_empty() {
        reason(data)
    } else {
        values.join(" ")
    }
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

/// Ctrl-C as a message, so that an observation is cancelled before the program ends.
fn on_interrupt() -> anyhow::Result<std::sync::mpsc::Receiver<()>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for Ctrl-C")?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = sender.send(());
        }
    });
    Ok(receiver)
}
