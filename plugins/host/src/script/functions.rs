//! What scripts may ask of the host.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{Attributes, Path, Value};
use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, Map, Position};

use super::answers::wrong;
use super::inputs::to_value;
use super::{current, engine};
use crate::Failure;
use crate::context::CallContext;
use crate::services::{HttpRequest, Level, Scope};

type Asked<T> = Result<T, Box<EvalAltResult>>;

/// Makes the functions known to an engine; `config` is the plugin's own table as JSON.
pub(super) fn register(engine: &mut Engine, config: &str) {
    let config = engine::from_json(config);
    engine.register_fn("config", move || config.clone());
    engine.register_fn("now_ms", || {
        let clock = current().map(|call| call.services().clock.clone());
        clock.unwrap_or_default().now_ms() as i64
    });
    engine.register_fn("from_json", |text: &str| -> Asked<Dynamic> {
        let json = serde_json::from_str(text);
        json.map(|json| engine::value(&json))
            .map_err(|error| wrong(error.to_string()))
    });
    engine.register_fn("to_json", |value: Dynamic| -> Asked<String> {
        let json = rhai::serde::from_dynamic::<serde_json::Value>(&value)?;
        Ok(json.to_string())
    });
    log(engine);
    metrics(engine);
    kv(engine);
    registry(engine);
    device(engine);
    http(engine);
    events(engine);
}

/// The limit that a thrown value stands for.
pub(super) fn limit_of(thrown: &Dynamic) -> Option<&'static str> {
    thrown.read_lock::<OverLimit>().map(|limit| limit.0)
}

/// Thrown by a host function when the call has reached a limit: the call of the plugin ends.
#[derive(Debug, Clone, Copy)]
struct OverLimit(&'static str);

/// The call that asks, counted.
fn counted() -> Asked<Arc<CallContext>> {
    let call = current().ok_or("this can only be asked within a call")?;
    call.count().map_err(|failure| {
        let limit = match failure {
            Failure::Limit(limit) => limit,
            _ => "host_calls_max",
        };
        let thrown = Dynamic::from(OverLimit(limit));
        Box::new(EvalAltResult::ErrorRuntime(thrown, Position::NONE))
    })?;
    Ok(call)
}

/// Waits for what the host does for a call.
fn wait<T, E, F>(work: impl FnOnce(Arc<CallContext>) -> F) -> Asked<T>
where
    T: Send + 'static,
    E: Display + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let call = counted()?;
    let done = call.services().wait(work(Arc::clone(&call)), call.deadline);
    match done {
        Some(done) => done.map_err(|error| wrong(error.to_string())),
        // Like a script that computes for too long.
        None => Err(Box::new(EvalAltResult::ErrorTerminated(
            Dynamic::UNIT,
            Position::NONE,
        ))),
    }
}

fn log(engine: &mut Engine) {
    for (name, level) in [
        ("log_trace", Level::Trace),
        ("log_debug", Level::Debug),
        ("log_info", Level::Info),
        ("log_warn", Level::Warn),
        ("log_error", Level::Error),
    ] {
        engine.register_fn(name, move |message: Dynamic| {
            say(level, &message.to_string(), &[])
        });
        engine.register_fn(name, move |message: Dynamic, fields: Map| {
            let field = |(key, value): (&_, &Dynamic)| (format!("{key}"), value.to_string());
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| field((key, value)))
                .collect();
            say(level, &message.to_string(), &fields);
        });
    }
    engine.on_print(|text| say(Level::Info, text, &[]));
    engine.on_debug(|text, _, at| say(Level::Debug, &format!("{text} ({at:?})"), &[]));
}

fn say(level: Level, message: &str, fields: &[(String, String)]) {
    if let Some(call) = current() {
        call.log(level, message, fields);
    }
}

fn metrics(engine: &mut Engine) {
    let add = |name: &str, value: Dynamic, labels: Map| -> Asked<()> {
        let value = value
            .as_float()
            .or_else(|_| value.as_int().map(|value| value as f64));
        let value = value.map_err(|_| wrong("metric_add: a number"))?;
        let labels = labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        counted()?.add_metric(name, value, labels.collect());
        Ok(())
    };
    engine
        .register_fn("metric_add", move |name: &str, value: Dynamic| {
            add(name, value, Map::new())
        })
        .register_fn("metric_add", add);
}

fn kv(engine: &mut Engine) {
    engine
        .register_fn("kv_get", |scope: &str, key: &str| -> Asked<Dynamic> {
            let entry = counted()?.kv_get(self::scope(scope)?, key).map_err(told)?;
            Ok(entry.map_or(Dynamic::UNIT, |entry| kept(entry.value)))
        })
        .register_fn(
            "kv_set",
            |scope: &str, key: &str, value: Dynamic| -> Asked<()> {
                let set = counted()?.kv_set(self::scope(scope)?, key, to_keep(value)?, None);
                set.map(|_| ()).map_err(told)
            },
        )
        .register_fn(
            "kv_set",
            |scope: &str, key: &str, value: Dynamic, ttl: i64| -> Asked<()> {
                let ttl = u32::try_from(ttl).map_err(|_| wrong("kv_set: seconds"))?;
                let set = counted()?.kv_set(self::scope(scope)?, key, to_keep(value)?, Some(ttl));
                set.map(|_| ()).map_err(told)
            },
        )
        .register_fn("kv_revision", |scope: &str, key: &str| -> Asked<i64> {
            let entry = counted()?.kv_get(self::scope(scope)?, key).map_err(told)?;
            Ok(entry.map_or(0, |entry| entry.revision as i64))
        })
        .register_fn(
            "kv_cas",
            |scope: &str, key: &str, expected: i64, value: Dynamic| -> Asked<bool> {
                let expected = u64::try_from(expected).map_err(|_| wrong("kv_cas: a revision"))?;
                let (scope, value) = (self::scope(scope)?, to_keep(value)?);
                match counted()?.kv_compare_and_set(scope, key, expected, value, None) {
                    Ok(_) => Ok(true),
                    Err(crate::services::KvError::Conflict) => Ok(false),
                    Err(error) => Err(told(error)),
                }
            },
        )
        .register_fn("kv_delete", |scope: &str, key: &str| -> Asked<()> {
            counted()?.kv_delete(self::scope(scope)?, key).map_err(told)
        })
        .register_fn(
            "kv_increment",
            |scope: &str, key: &str, by: i64| -> Asked<i64> {
                counted()?
                    .kv_increment(self::scope(scope)?, key, by)
                    .map_err(told)
            },
        )
        .register_fn("kv_keys", |scope: &str, prefix: &str| -> Asked<Array> {
            let keys = counted()?.kv_keys(self::scope(scope)?, prefix, u32::MAX);
            Ok(keys.map_err(told)?.into_iter().map(Dynamic::from).collect())
        });
}

fn scope(name: &str) -> Asked<Scope> {
    match name {
        "plugin" => Ok(Scope::Plugin),
        "device" => Ok(Scope::Device),
        _ => Err(wrong("the scopes are \"plugin\" and \"device\"")),
    }
}

/// Text as text, else bytes.
fn kept(value: Vec<u8>) -> Dynamic {
    match String::from_utf8(value) {
        Ok(text) => text.into(),
        Err(error) => Dynamic::from_blob(error.into_bytes()),
    }
}

fn to_keep(value: Dynamic) -> Asked<Vec<u8>> {
    match value.is_blob() {
        true => value.into_blob().map_err(|_| wrong("bytes")),
        false => Ok(value.to_string().into_bytes()),
    }
}

fn registry(engine: &mut Engine) {
    engine
        .register_fn("registry_get", |endpoint: &str| -> Asked<Dynamic> {
            let endpoint = endpoint.to_owned();
            let found = wait(|call| async move { call.registration(&endpoint).await })?;
            Ok(found.map_or(Dynamic::UNIT, |found| Dynamic::from(Arc::new(found))))
        })
        .register_fn(
            "registry_names",
            |after: &str, limit: i64| -> Asked<Array> {
                let after = (!after.is_empty()).then(|| after.to_owned());
                let limit = u32::try_from(limit).map_err(|_| wrong("registry_names: a limit"))?;
                let names = wait(|call| async move { call.endpoint_names(after, limit).await })?;
                Ok(names.into_iter().map(Dynamic::from).collect())
            },
        );
}

fn device(engine: &mut Engine) {
    engine
        .register_fn("device_read", |endpoint: &str, path: &str| {
            read(endpoint, &[path.into()])
        })
        .register_fn("device_read", |endpoint: &str, paths: Array| {
            read(endpoint, &paths)
        })
        .register_fn(
            "device_write",
            |endpoint: &str, path: &str, value: Dynamic| -> Asked<()> {
                let value: Value<'static> =
                    to_value(value, None).ok_or_else(|| wrong("device_write: a value"))?;
                let (endpoint, path) = (endpoint.to_owned(), self::path(path)?);
                wait(|call| async move { call.device_write(&endpoint, vec![(path, value)]).await })
            },
        )
        .register_fn("device_execute", |endpoint: &str, path: &str| {
            execute(endpoint, path, None)
        })
        .register_fn(
            "device_execute",
            |endpoint: &str, path: &str, arguments: &str| {
                execute(endpoint, path, Some(arguments.to_owned()))
            },
        )
        .register_fn(
            "device_write_attributes",
            |endpoint: &str, path: &str, attributes: Map| -> Asked<()> {
                let items: Vec<String> = attributes
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let attributes = Attributes::from_query(items.iter().map(String::as_str));
                let attributes = attributes.map_err(told)?;
                let (endpoint, path) = (endpoint.to_owned(), self::path(path)?);
                wait(|call| async move {
                    call.device_write_attributes(&endpoint, path, attributes)
                        .await
                })
            },
        )
        .register_fn(
            "device_discover",
            |endpoint: &str, path: &str| -> Asked<String> {
                let (endpoint, path) = (endpoint.to_owned(), self::path(path)?);
                wait(|call| async move { call.device_discover(&endpoint, path).await })
            },
        );
}

fn read(endpoint: &str, paths: &[Dynamic]) -> Asked<Array> {
    let paths: Vec<Path> = paths
        .iter()
        .map(|path| self::path(&path.to_string()))
        .collect::<Asked<_>>()?;
    let endpoint = endpoint.to_owned();
    let records = wait(|call| async move { call.device_read(&endpoint, &paths).await })?;
    Ok(records.into_iter().map(Dynamic::from).collect())
}

fn execute(endpoint: &str, path: &str, arguments: Option<String>) -> Asked<()> {
    let (endpoint, path) = (endpoint.to_owned(), self::path(path)?);
    wait(|call| async move { call.device_execute(&endpoint, path, arguments).await })
}

fn path(text: &str) -> Asked<Path> {
    text.parse()
        .map_err(|error| wrong(format!("{text:?} is no path: {error}")))
}

fn http(engine: &mut Engine) {
    engine
        .register_fn("http_get", |url: &str| {
            send(HttpRequest {
                method: "GET".to_owned(),
                url: url.to_owned(),
                ..HttpRequest::default()
            })
        })
        .register_fn("http_post", |url: &str, content_type: &str, body: &str| {
            send(HttpRequest {
                method: "POST".to_owned(),
                url: url.to_owned(),
                headers: vec![("content-type".to_owned(), content_type.to_owned())],
                body: body.as_bytes().to_vec(),
                timeout: None,
            })
        })
        .register_fn("http_send", |request: Map| -> Asked<Map> {
            let text = |key: &str| request.get(key).map(ToString::to_string);
            let headers = request
                .get("headers")
                .and_then(|h| h.clone().try_cast::<Map>());
            let header = |(name, value): (&_, &Dynamic)| (format!("{name}"), value.to_string());
            let timeout = request.get("timeout_ms").and_then(|ms| ms.as_int().ok());
            send(HttpRequest {
                method: text("method").unwrap_or_else(|| "GET".to_owned()),
                url: text("url").unwrap_or_default(),
                headers: headers
                    .unwrap_or_default()
                    .iter()
                    .map(|(n, v)| header((n, v)))
                    .collect(),
                body: match request.get("body") {
                    Some(body) => to_keep(body.clone())?,
                    None => Vec::new(),
                },
                timeout: timeout.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            })
        });
}

/// `#{status, headers, body}`, the body as text where it is text.
fn send(request: HttpRequest) -> Asked<Map> {
    let response = wait(|call| async move { call.http(request).await })?;
    let headers = response.headers.into_iter();
    let headers: Map = headers
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Ok(Map::from([
        ("status".into(), i64::from(response.status).into()),
        ("headers".into(), headers.into()),
        ("body".into(), kept(response.body)),
    ]))
}

fn events(engine: &mut Engine) {
    engine
        .register_fn("emit_event", |kind: &str, data: Dynamic| {
            event(kind, None, &data)
        })
        .register_fn("emit_event", |kind: &str, endpoint: &str, data: Dynamic| {
            event(kind, Some(endpoint), &data)
        })
        .register_fn("to_blob", |text: &str| -> Blob { text.as_bytes().to_vec() });
}

fn event(kind: &str, endpoint: Option<&str>, data: &Dynamic) -> Asked<()> {
    let json = rhai::serde::from_dynamic::<serde_json::Value>(data)?;
    counted()?
        .emit(kind, endpoint, &json.to_string())
        .map_err(told)
}

fn told(error: impl Display) -> Box<EvalAltResult> {
    wrong(error.to_string())
}
