//! `/events`: everything that happens, as server-sent events.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use lwm2m_server::hooks::Series;
use lwm2m_server::{Event, EventKind, Events, Lagged, Reason, Registration, Server};
use serde_json::{Map, Value as Json, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::{Values, texts};
use crate::models::Load;
use crate::naming::Naming;
use crate::observations::About;
use crate::observe::set_by;
use crate::problem::Problem;
use crate::query::Query;
use crate::registration::{Client, Identity};
use crate::time::rfc3339;
use crate::value::{base64, to_json};

/// How often a comment keeps an idle stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Registrations that one stream remembers, for the names of values.
const REGISTRATIONS_MAX: usize = 1024;

/// The places for readers of the stream.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Streams {
    pub(crate) fn new(max: usize) -> Streams {
        Streams(Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))))
    }
}

pub(crate) async fn stream(
    State(server): State<Server>,
    Extension(streams): Extension<Streams>,
    mut query: Query,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    let endpoint = query.take("endpoint");
    query.finish()?;
    let place = streams
        .0
        .try_acquire_owned()
        .map_err(|_| Problem::too_many_streams())?;
    let reader = Reader {
        _place: place,
        events: server.events(),
        server,
        endpoint,
        registrations: HashMap::new(),
        sent: 0,
    };
    let messages = unfold(reader, async |mut reader| {
        let message = reader.next().await?;
        Some((Ok(message), reader))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(messages).keep_alive(keep_alive))
}

/// One reader of the stream.
struct Reader {
    /// Given back when the reader goes.
    _place: OwnedSemaphorePermit,
    server: Server,
    events: Events,
    endpoint: Option<String>,
    registrations: HashMap<String, Arc<Registration>>,
    sent: u64,
}

impl Reader {
    /// The next message; none when the server stops.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.events.next().await? {
                Ok(event) if self.wanted(&event) => {
                    let registration = self.registration(&event).await;
                    let naming = Naming::new(self.server.models(), registration.as_deref());
                    let (name, data) = (name(&event.kind), data(&event, &naming));
                    return Some(self.message(name, &data));
                }
                Ok(_) => {}
                Err(Lagged(dropped)) => {
                    return Some(self.message("lagged", &json!({ "dropped": dropped })));
                }
            }
        }
    }

    fn wanted(&self, event: &Event) -> bool {
        let of = event.endpoint.as_ref().map(|endpoint| endpoint.as_str());
        self.endpoint.is_none() || of == self.endpoint.as_deref()
    }

    fn message(&mut self, name: &str, data: &Json) -> Message {
        self.sent += 1;
        Message::default()
            .event(name)
            .id(self.sent.to_string())
            .data(data.to_string())
    }

    /// The registration that an event with values belongs to; asked for once.
    async fn registration(&mut self, event: &Event) -> Option<Arc<Registration>> {
        let endpoint = event.endpoint.as_ref()?.as_str();
        match &event.kind {
            EventKind::Registered { registration, .. }
            | EventKind::Updated { registration, .. } => {
                self.remember(endpoint, registration);
                None
            }
            EventKind::Deregistered { .. } | EventKind::Expired { .. } => {
                self.registrations.remove(endpoint);
                None
            }
            EventKind::Notification { .. } | EventKind::Send { .. } => {
                if let Some(known) = self.registrations.get(endpoint) {
                    return Some(Arc::clone(known));
                }
                let found = Arc::new(self.server.registration(endpoint).await?);
                self.remember(endpoint, &found);
                Some(found)
            }
            _ => None,
        }
    }

    fn remember(&mut self, endpoint: &str, registration: &Arc<Registration>) {
        if self.registrations.len() >= REGISTRATIONS_MAX {
            self.registrations.clear();
        }
        self.registrations
            .insert(endpoint.to_owned(), Arc::clone(registration));
    }
}

fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Registered { .. } => "registered",
        EventKind::Updated { .. } => "updated",
        EventKind::Deregistered { .. } => "deregistered",
        EventKind::Expired { .. } => "expired",
        EventKind::Refused { .. } => "refused",
        EventKind::SessionEnded { .. } => "session_ended",
        EventKind::BootstrapStarted { .. } => "bootstrap_started",
        EventKind::BootstrapStepFailed { .. } => "bootstrap_step_failed",
        EventKind::BootstrapFinished { .. } => "bootstrap_finished",
        EventKind::BootstrapFailed { .. } => "bootstrap_failed",
        EventKind::Awake => "awake",
        EventKind::Asleep => "asleep",
        EventKind::ObservationStarted { .. } => "observation_started",
        EventKind::ObservationEnded { .. } => "observation_ended",
        EventKind::ObserveRules { .. } => "observe_rules",
        EventKind::ObservePlanned { .. } => "observe_planned",
        EventKind::ObserveEstablished { .. } => "observe_established",
        EventKind::ObserveFailed { .. } => "observe_failed",
        EventKind::Notification { .. } => "notification",
        EventKind::Undecodable { .. } => "undecodable",
        EventKind::Send { .. } => "send",
        EventKind::KeysReloaded { .. } => "keys_reloaded",
        EventKind::Series { .. } => "series",
        EventKind::Document { .. } => "document",
        EventKind::Published { .. } => "published",
        EventKind::ExtensionFailed { .. } => "extension_failed",
        EventKind::ExtensionSwitched { .. } => "extension_switched",
        EventKind::ModelsLoaded { .. } => "models_loaded",
        _ => "other",
    }
}

/// What belongs to an event, beside its time and device.
fn data(event: &Event, naming: &Naming<'_>) -> Json {
    let mut data = Map::new();
    data.insert("at".to_owned(), rfc3339(event.at).into());
    if let Some(endpoint) = &event.endpoint {
        data.insert("endpoint".to_owned(), endpoint.as_str().into());
    }
    let particulars = match &event.kind {
        EventKind::Registered {
            registration,
            replaced,
        } => json!({ "registration": Client::new(registration), "replaced": replaced }),
        EventKind::Updated {
            registration,
            objects_changed,
        } => json!({
            "registration": Client::new(registration),
            "objects_changed": objects_changed,
        }),
        EventKind::Deregistered { registration } | EventKind::Expired { registration } => {
            json!({ "registration": Client::new(registration) })
        }
        EventKind::Refused {
            operation,
            peer,
            identity,
            code,
            reason,
        } => json!({
            "operation": operation,
            "peer": peer.to_string(),
            "identity": Identity::new(identity),
            "code": format!("{code:?}"),
            "reason": reason_json(reason),
        }),
        EventKind::SessionEnded {
            peer,
            identity,
            reason,
        } => json!({
            "peer": peer.to_string(),
            "identity": Identity::new(identity),
            "reason": reason_json(reason),
        }),
        EventKind::BootstrapStarted {
            peer,
            identity,
            steps,
        } => json!({
            "peer": peer.to_string(),
            "identity": Identity::new(identity),
            "steps": steps,
        }),
        EventKind::BootstrapStepFailed {
            step,
            operation,
            path,
            code,
            reason,
        } => json!({
            "step": step,
            "operation": operation,
            "path": path.to_string(),
            "code": code.map(|code| format!("{code:?}")),
            "reason": reason_json(reason),
        }),
        EventKind::BootstrapFinished { steps, failures } => {
            json!({ "steps": steps, "failures": failures })
        }
        EventKind::BootstrapFailed { step, reason } => {
            json!({ "step": step, "reason": reason_json(reason) })
        }
        EventKind::ObservationStarted { id, target } => {
            with_about(json!({ "observation": id.0 }), target)
        }
        EventKind::ObservationEnded { id, target, reason } => with_about(
            json!({ "observation": id.0, "reason": reason_json(reason) }),
            target,
        ),
        EventKind::ObservePlanned {
            owner,
            targets,
            left_out,
        } => json!({
            "owner": owner,
            "observations": targets.iter().map(About::new).collect::<Vec<_>>(),
            "left_out": texts(left_out),
        }),
        EventKind::ObserveEstablished {
            made,
            cancelled,
            failed,
        } => json!({ "made": made, "cancelled": cancelled, "failed": failed }),
        EventKind::ObserveFailed {
            operation,
            paths,
            code,
            reason,
        } => json!({
            "operation": operation,
            "paths": texts(paths),
            "code": code.map(|code| format!("{code:?}")),
            "reason": reason_json(reason),
        }),
        EventKind::Notification { id, target, values } => merged(
            with_about(json!({ "observation": id.0 }), target),
            json!(Values::new(values, naming, event.at)),
        ),
        EventKind::Undecodable {
            operation,
            format,
            payload,
            reason,
        } => json!({
            "operation": operation,
            "format": format,
            "payload": base64(payload),
            "reason": reason_json(reason),
        }),
        EventKind::Send { values } => json!(Values::new(values, naming, event.at)),
        EventKind::ObserveRules { source, outcome } => {
            let source = json!({ "set_by": set_by(*source) });
            let outcome = match outcome {
                Ok(rules) => json!({ "rules": rules }),
                Err(reason) => json!({ "reason": reason_json(reason) }),
            };
            merged(source, outcome)
        }
        EventKind::KeysReloaded { outcome } => match outcome {
            Ok(warnings) => {
                let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                json!({ "warnings": warnings })
            }
            Err(reason) => json!({ "reason": reason_json(reason) }),
        },
        EventKind::Series { series } => json!({
            "series": series.iter().map(|series| series_json(series, event)).collect::<Vec<_>>(),
        }),
        EventKind::Document { content_type, body } => json!({
            "content_type": content_type,
            "body": document_json(content_type, body),
        }),
        EventKind::Published {
            extension,
            kind,
            json,
        } => json!({
            "extension": extension,
            "kind": kind,
            "data": serde_json::from_str(json).unwrap_or_else(|_| Json::from(json.as_str())),
        }),
        EventKind::ExtensionFailed {
            extension,
            hook,
            reason,
        } => json!({
            "extension": extension,
            "hook": hook,
            "reason": reason_json(reason),
        }),
        EventKind::ExtensionSwitched {
            extension,
            state,
            reason,
        } => json!({
            "extension": extension,
            "state": state,
            "reason": reason_json(reason),
        }),
        EventKind::ModelsLoaded { load } => json!({ "models": Load::new(load) }),
        _ => Json::Null,
    };
    merged(Json::Object(data), particulars)
}

fn with_about(data: Json, target: &lwm2m_server::ObservationTarget) -> Json {
    merged(data, json!(About::new(target)))
}

/// A value under a name of the application's.
fn series_json(series: &Series, event: &Event) -> Json {
    let record = &series.record;
    let time = record
        .time
        .map(|time| crate::time::of_record(time, event.at));
    json!({
        "name": series.name,
        "value": to_json(&record.value),
        "unit": series.unit,
        "path": record.path.to_string(),
        "time": time,
        "tags": series.tags.iter().cloned().collect::<BTreeMap<_, _>>(),
    })
}

/// JSON as it is, text as a string, anything else in base64.
fn document_json(content_type: &str, body: &[u8]) -> Json {
    let text = std::str::from_utf8(body).ok();
    match text {
        Some(text) if content_type.contains("json") => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        Some(text) if content_type.starts_with("text/") => text.into(),
        _ => base64(body).into(),
    }
}

pub(crate) fn reason_json(reason: &Reason) -> Json {
    json!({
        "code": reason.code,
        "message": reason.message,
        "hint": reason.hint,
    })
}

/// The fields of both objects.
fn merged(mut data: Json, more: Json) -> Json {
    if let (Json::Object(data), Json::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    data
}
