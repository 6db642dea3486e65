//! An event when a value rises above a threshold, and when it is below again.
//!
//! ```toml
//! [[plugins.plugin]]
//! name = "threshold-alarm"
//! grant = ["kv", "events"]
//! config = { path = "/3303/0/5700", above = 30.0 }
//! ```

use std::sync::OnceLock;

use lwm2m_plugin::kv::{self, Scope};
use lwm2m_plugin::telemetry::{Batch, Guest, Outcome};
use lwm2m_plugin::{Plugin, events, log};

struct ThresholdAlarm;

struct Threshold {
    path: String,
    above: f64,
}

static THRESHOLD: OnceLock<Threshold> = OnceLock::new();

impl Plugin for ThresholdAlarm {
    fn init(config: &str) -> Result<(), String> {
        let path = text_of(config, "path").ok_or("path is missing, as in \"/3303/0/5700\"")?;
        let above = number_of(config, "above").ok_or("above is missing, as in 30.0")?;
        let _ = THRESHOLD.set(Threshold { path, above });
        Ok(())
    }
}

impl Guest for ThresholdAlarm {
    fn transform(batch: Batch) -> Outcome {
        let Some(threshold) = THRESHOLD.get() else {
            return Outcome::Pass;
        };
        let measured = batch.measurements.iter();
        let ours = measured.filter(|measured| measured.path.to_string() == threshold.path);
        for number in ours.filter_map(|measured| measured.value.as_f64()) {
            if let Err(error) = tell(&batch.endpoint, number, threshold) {
                log::write(log::Level::Warn, &error, &[]);
            }
        }
        Outcome::Pass
    }
}

/// Tells of a change, once: whether the alarm is on is kept with the device.
fn tell(endpoint: &str, number: f64, threshold: &Threshold) -> Result<(), String> {
    let failed = |error| format!("the alarm is not kept: {error:?}");
    let is_on = number > threshold.above;
    let was_on = kv::get(Scope::Device, "alarm").map_err(failed)?.is_some();
    if is_on == was_on {
        return Ok(());
    }
    match is_on {
        true => kv::set(Scope::Device, "alarm", b"on", None).map(drop),
        false => kv::delete(Scope::Device, "alarm"),
    }
    .map_err(failed)?;
    let kind = if is_on { "alarm" } else { "alarm-over" };
    let json = format!("{{\"path\":\"{}\",\"value\":{number}}}", threshold.path);
    let emitted = events::emit(kind, Some(endpoint), &json);
    emitted.map_err(|error| format!("the event is not sent: {error:?}"))
}

/// A text of a flat JSON object.
fn text_of(json: &str, key: &str) -> Option<String> {
    let rest = after(json, key)?.strip_prefix('"')?;
    Some(rest.split('"').next()?.to_owned())
}

/// A number of a flat JSON object.
fn number_of(json: &str, key: &str) -> Option<f64> {
    let rest = after(json, key)?;
    rest.split([',', '}']).next()?.trim().parse().ok()
}

fn after<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let rest = json.split_once(&format!("\"{key}\""))?.1.trim_start();
    Some(rest.strip_prefix(':')?.trim_start())
}

lwm2m_plugin::export!(ThresholdAlarm: telemetry);
