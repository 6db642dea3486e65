//! What scripts may ask of the host.

use std::time::{SystemTime, UNIX_EPOCH};

use rhai::{Dynamic, Engine, EvalAltResult, Position};

use super::{current, engine};
use crate::Failure;
use crate::context::CallContext;

/// Makes the functions known to an engine; `config` is the plugin's own table as JSON.
pub(super) fn register(engine: &mut Engine, config: &str) {
    let config = engine::from_json(engine, config);
    engine.register_fn("config", move || config.clone());
    engine.register_fn("now_ms", || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as i64)
    });
}

/// The limit that a thrown value stands for.
pub(super) fn limit_of(thrown: &Dynamic) -> Option<&'static str> {
    thrown.read_lock::<OverLimit>().map(|limit| limit.0)
}

/// Thrown by a host function when the call has reached a limit: the call of the plugin ends.
#[derive(Debug, Clone, Copy)]
struct OverLimit(&'static str);

/// The call that asks, counted.
fn counted() -> Result<std::sync::Arc<CallContext>, Box<EvalAltResult>> {
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
