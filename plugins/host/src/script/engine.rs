//! The engine of one script: what the language offers, and its limits.

use std::time::Instant;

use rhai::packages::{Package, StandardPackage};
use rhai::{Dynamic, Engine, EvalAltResult};

use super::{answers, current, inputs};
use crate::config::PluginLimits;
use crate::lane;

/// How deep functions may call each other.
const CALL_DEPTH_MAX: usize = 32;

/// How often the deadline is looked at, in operations: a few microseconds.
const LOOK_EVERY: u64 = 64;

/// An engine with everything that scripts may use, and within their limits.
pub(super) fn engine(limits: &PluginLimits) -> Engine {
    let mut engine = Engine::new_raw();
    StandardPackage::new().register_into_engine(&mut engine);
    // Its lock would be shared by all threads.
    engine.set_max_strings_interned(0);
    engine.set_strict_variables(true);
    engine.set_max_modules(0);
    engine.disable_symbol("eval");
    engine.set_max_operations(limits.operations_max);
    engine.set_max_call_levels(CALL_DEPTH_MAX);
    engine.set_max_expr_depths(64, 32);
    let size = limits.memory_kib_max as usize * 1024;
    engine.set_max_string_size(size.min(limits.output_max as usize));
    // An element takes 16 bytes and what it points to.
    engine.set_max_array_size(size / 64);
    engine.set_max_map_size(size / 256);
    engine.on_progress(|operations| {
        if operations % LOOK_EVERY != 0 {
            return None;
        }
        let now = Instant::now();
        lane::hand_out_in_time(now);
        let late = current().is_some_and(|call| call.is_late_at(now));
        late.then_some(Dynamic::UNIT)
    });
    no_time_of_its_own(&mut engine);
    inputs::register(&mut engine);
    answers::register(&mut engine);
    engine
}

/// The language comes with a clock that no fixture can set, and with a sleep that no deadline ends.
fn no_time_of_its_own(engine: &mut Engine) {
    type Refused = Result<(), Box<EvalAltResult>>;
    const SLEEP: &str = "a script does not sleep: what it was asked about waits for it";
    engine
        .register_fn("sleep", |_: i64| -> Refused { Err(SLEEP.into()) })
        .register_fn("sleep", |_: f64| -> Refused { Err(SLEEP.into()) })
        .register_fn("timestamp", || -> Refused {
            Err("timestamp() is not there: now_ms() has the time".into())
        });
}

/// JSON as values of the language; nothing when it is none.
pub(super) fn from_json(json: &str) -> Dynamic {
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    value(&json)
}

/// JSON as a value of the language.
pub(super) fn value(json: &serde_json::Value) -> Dynamic {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match json {
        Null => Dynamic::UNIT,
        Bool(value) => (*value).into(),
        Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        String(text) => text.as_str().into(),
        Array(items) => Dynamic::from_array(items.iter().map(value).collect()),
        Object(fields) => {
            let field = |(key, item): (&std::string::String, &serde_json::Value)| {
                (key.as_str().into(), value(item))
            };
            Dynamic::from_map(fields.iter().map(field).collect())
        }
    }
}
