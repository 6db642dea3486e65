//! `/api/v1/plugins`: which plugins are in service, and their figures.
//!
//! The HTTP API knows nothing of plugins; these routes are added to it here.
//!
//! | Method | Path | What |
//! | --- | --- | --- |
//! | GET | `/plugins` | all plugins: state, hooks, figures, and why the newest version of one is not in service |
//! | GET | `/plugins/{name}` | one of them; with the histogram of each hook |

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use lwm2m_admin::rfc3339;
use lwm2m_plugins::{
    BreakerState, BreakerStatus, HookFigures, LoadError, PluginHost, PluginMetric, PluginStatus,
};
use lwm2m_server::{Hook, Server};
use serde_json::{Value, json};

/// The routes; without a host there are no plugins.
pub(crate) fn router(host: Option<PluginHost>) -> Router<Server> {
    Router::new()
        .route("/plugins", get(list))
        .route("/plugins/{name}", get(one))
        .layer(Extension(host))
}

async fn list(State(_): State<Server>, Extension(host): Extension<Option<PluginHost>>) -> Response {
    let plugins = look(host).await;
    let plugins: Vec<Value> = plugins
        .iter()
        .map(|(status, metrics)| document(status, metrics, false))
        .collect();
    Json(json!({ "plugins": plugins })).into_response()
}

async fn one(
    State(_): State<Server>,
    Extension(host): Extension<Option<PluginHost>>,
    Path(name): Path<String>,
) -> Response {
    let plugins = look(host).await;
    match plugins.iter().find(|(status, _)| status.name == name) {
        Some((status, metrics)) => Json(document(status, metrics, true)).into_response(),
        None => unknown(&name),
    }
}

/// The plugins with their own figures. Not on this thread: while plugins are compiled, it waits.
async fn look(host: Option<PluginHost>) -> Vec<(PluginStatus, Vec<PluginMetric>)> {
    let Some(host) = host else {
        return Vec::new();
    };
    let look = tokio::task::spawn_blocking(move || (host.list(), host.metrics()));
    let Ok((plugins, metrics)) = look.await else {
        return Vec::new();
    };
    let with_metrics = |status: PluginStatus| {
        let own = metrics.iter().filter(|m| m.plugin == status.name);
        let own = own.cloned().collect();
        (status, own)
    };
    plugins.into_iter().map(with_metrics).collect()
}

/// A problem document, as the API has them.
fn unknown(name: &str) -> Response {
    let document = json!({
        "type": "urn:lwm2m:problem:unknown-plugin",
        "title": "no such plugin",
        "status": 404,
        "detail": format!("there is no plugin called {name:?}"),
        "hint": "GET /api/v1/plugins has their names",
    });
    let head = [(CONTENT_TYPE, "application/problem+json")];
    (StatusCode::NOT_FOUND, head, document.to_string()).into_response()
}

fn document(status: &PluginStatus, metrics: &[PluginMetric], whole: bool) -> Value {
    let hooks: Vec<&str> = status.hooks.iter().copied().map(Hook::name).collect();
    let state = match status.breaker.as_ref().map(|breaker| &breaker.state) {
        None => "refused",
        Some(BreakerState::Open { .. }) => "off",
        Some(BreakerState::HalfOpen) => "trying",
        Some(_) => "on",
    };
    let figures = status.figures.iter();
    let has_memory = status.language == COMPONENT;
    let metric = |it: &PluginMetric| {
        let labels = it
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)));
        let labels: serde_json::Map<_, _> = labels.collect();
        json!({ "name": it.name, "labels": labels, "count": it.count, "sum": it.sum })
    };
    json!({
        "name": status.name,
        "version": status.version,
        "description": status.description,
        "language": status.language,
        "state": state,
        "breaker": status.breaker.as_ref().map(breaker),
        "hooks": hooks,
        "generation": status.generation,
        "loaded_at": status.loaded_at.map(rfc3339),
        "error": status.error.as_ref().map(error),
        "memory_bytes": has_memory.then_some(status.memory),
        "waiting": status.waiting,
        "figures": figures.map(|it| figures_of(it, has_memory, whole)).collect::<Vec<_>>(),
        "metrics": metrics.iter().map(metric).collect::<Vec<_>>(),
    })
}

/// The language of components. They have a memory of their own, and scripts have none that can be told
/// from that of the server: a figure would be a guess, and there is none.
const COMPONENT: &str = "wasm";

fn breaker(breaker: &BreakerStatus) -> Value {
    let (state, until, why) = match &breaker.state {
        BreakerState::Open { until, why } => ("open", Some(rfc3339(*until)), Some(why)),
        BreakerState::HalfOpen => ("half-open", None, None),
        _ => ("closed", None, None),
    };
    let last = breaker.last_failure.as_ref().map(|last| {
        json!({
            "at": rfc3339(last.at),
            "hook": last.hook.name(),
            "code": last.code,
            "message": last.message,
        })
    });
    json!({
        "state": state,
        "until": until,
        "why": why,
        "failures_in_a_row": breaker.failures,
        "last_failure": last,
    })
}

fn error(error: &LoadError) -> Value {
    json!({
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "message": error.message,
        "hint": error.hint,
    })
}

fn figures_of(figures: &HookFigures, has_memory: bool, whole: bool) -> Value {
    let failures = figures.failures.iter();
    let failures: serde_json::Map<_, _> = failures
        .map(|(code, count)| ((*code).to_owned(), json!(count)))
        .collect();
    let errors: u64 = figures.failures.iter().map(|(_, count)| count).sum();
    // The last bucket has no upper bound.
    let quantile = |share| {
        let time = figures.quantile(share);
        time.filter(|time| *time != std::time::Duration::MAX)
            .map(|time| time.as_micros() as u64)
    };
    let mut document = json!({
        "hook": figures.hook.name(),
        "calls": figures.calls,
        "errors": errors,
        "failures": failures,
        "time_us": figures.time.as_micros() as u64,
        "fuel": figures.fuel,
        "memory_max_bytes": has_memory.then_some(figures.memory_max),
        "p50_us": quantile(0.5),
        "p99_us": quantile(0.99),
        "max_us": (figures.calls > 0).then_some(figures.time_max.as_micros() as u64),
    });
    if whole {
        let buckets = figures.histogram.iter().filter(|(_, count)| *count > 0);
        let buckets = buckets.map(
            |(bound, count)| json!({ "at_most_us": bound.as_micros() as u64, "calls": count }),
        );
        document["histogram"] = buckets.collect();
    }
    document
}
